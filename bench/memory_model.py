"""How many accesses in a second the memory model of each processor takes: alone, not in a running machine.

The accesses are those of the loops' first turns, recorded; data only.  *filter*: its question alone, whether an access
hits everywhere and changes nothing; asked of the model as it is at the end, it is answered with yes less often than
in a run.  *model*: every access with all that it causes.  Processor time is taken, as nothing here waits.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from struct import Struct
from time import process_time
from typing import Any, NamedTuple

from figures import Goal, interleaved, table
from kernels import LOOPS, build
from processes import BenchError

from hillemu import Machine
from hillemu.emu.cpu._core import MemoryModel
from hillemu.emu.timing.memory import memory_geometry
from hillemu.emu.timing.model import PROCESSORS, timing_model

ACCESSES = 200_000
TIMES = 10
RECORDED = ("rep_movsd", "word_copy", "list_chase", "sieve", "fib")
READ, WRITE, CR0, CR3 = 0, 1, 4, 5
RECORD = Struct("<BBBBIII")
"""As in emu/cpu/native/memory_model_type.c: operation, size, flags, zero, address, value, clocks since the last."""


class Recording(NamedTuple):
    """What a loop does to memory, and the memory with its page tables."""

    memory: bytes
    start: bytes
    trace: bytes


def measure(folder: Path, *, rounds: int, shorter: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Millions of accesses a second, by loop, processor and part, `rounds` times; `shorter` divides the accesses."""
    found: dict[str, Any] = {}
    for loop in LOOPS:
        if loop.name in RECORDED:
            tell(f"recording {loop.title}")
            recording = _record(build(loop.name, folder, repeats=loop.repeats), ACCESSES // shorter)
            measures = {}
            for processor in PROCESSORS:
                model = _model(processor, recording)
                measures[f"{processor} filter"] = partial(_seconds, partial(model.passes, recording.trace, TIMES))
                measures[f"{processor} model"] = partial(_seconds, partial(_run, model, recording.trace))
            count = TIMES * len(recording.trace) // RECORD.size
            seconds = interleaved(rounds, measures, tell)
            found[loop.title] = {name: [count / one / 1e6 for one in runs] for name, runs in seconds.items()}
    return found


def _record(image: Path, accesses: int) -> Recording:
    machine = Machine(mem="32M")
    machine.load(str(image))
    machine.run(until="<")
    records = bytearray()

    def note(kind: int, hit: Any) -> None:
        nonlocal records
        records += RECORD.pack(kind, hit.size, 0, 0, hit.address, 0, 1)
        if len(records) >= accesses * RECORD.size:
            machine.stop()

    handles = [
        machine.on_read(range(1 << 32), partial(note, READ)),
        machine.on_write(range(1 << 32), partial(note, WRITE)),
    ]
    machine.run()
    for handle in handles:
        handle.remove()
    if len(records) < accesses * RECORD.size:
        raise BenchError(f"{image.name}: ended after {len(records) // RECORD.size} accesses")
    controls = ((CR3, machine.cpu.cr3), (CR0, machine.cpu.cr0))
    start = b"".join(RECORD.pack(operation, 0, 0, 0, 0, value, 0) for operation, value in controls)
    return Recording(bytes(machine.memory.ram), start, bytes(records))


def _model(processor: str, recording: Recording) -> MemoryModel:
    """A model that has been through the recording once."""
    model = MemoryModel(memory_geometry(timing_model(processor))._asdict(), bytearray(recording.memory))
    model.run(recording.start + recording.trace, True)
    return model


def _run(model: MemoryModel, trace: bytes) -> None:
    for _ in range(TIMES):
        model.run(trace, True)


def _seconds(action: Callable[[], object]) -> float:
    started = process_time()
    action()
    return process_time() - started


def report(found: dict[str, Any]) -> tuple[str, list[Goal]]:
    """The table; it has no goals of its own, those are of a whole machine's `--timing`."""
    heads = [f"{processor} {part}" for processor in PROCESSORS for part in ("filter", "model")]
    rows = [(title, *(f"{median(runs[head]):.0f}" for head in heads)) for title, runs in found.items()]
    return table(("memory model, M accesses/s", *heads), rows), []
