"""What the timing models make of small programs for which figures of real machines are published.

Each program runs in real mode with interrupts off, between two reads of the time-stamp counter, which counts the
model's cycles.  docs/timing.md explains the differences.  Nothing here depends on the host: the figures are the same
everywhere.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from figures import Goal, table
from processes import BenchError
from published_programs import COLD, INTEL_WAIT_STATES, PROGRAMS, WAIT_STATES

from hillemu import Machine
from hillemu.boot.assembler import Layout, assemble_text
from hillemu.emu.errors import OptionError
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.timing.model import TimingModel, timing_model

SECTORS, SECTOR = 16, 512
TIMES = 0x7000
"""Where the guest keeps its three readings of the counter."""
EXACT, MAX_INSNS = 0.01, 2_000_000

FRAME = """
.code16
start:
    cli
    xor ax, ax; mov ss, ax; mov sp, 0x7000
    mov ds, ax; mov es, ax
    mov ax, 0x0200 + {sectors}; mov bx, 0x7E00; mov cx, 2; xor dx, dx
    int 0x13
    cli
    mov ax, 0x2000; mov ds, ax; mov es, ax
    jmp measure
.org 510
.word 0xAA55
measure:
    mov byte ptr cs:[{times} + 12], {passes}
again:
    xor bx, bx; xor si, si; mov di, 0x400; mov sp, 0x7000
{before}
    rdtsc; mov dword ptr cs:[{times}], eax
{code}
    rdtsc; mov dword ptr cs:[{times} + 4], eax
    rdtsc; mov dword ptr cs:[{times} + 8], eax
    cli; dec byte ptr cs:[{times} + 12]; jz done; jmp again
done: hlt
{behind}
.org {size}
"""


def measure(*, tell: Callable[[str], None]) -> dict[str, Any]:
    """For every program, records of a processor's published and modelled cycles for a turn; and `speeds`.

    None: not modelled yet.  `speeds` are of a program on an i386 with 0 to 3 wait states, none being 1.
    """
    found: dict[str, Any] = {}
    speeds: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="hillemu-published-") as folder:
        for program in PROGRAMS:
            for figure in program.figures:
                tell(f"{program.title}, {figure.processor}")
                record: dict[str, Any] = figure._asdict()
                for suffix in ("-nomem", ""):
                    try:
                        timing = figure.processor + suffix
                        cycles = cycles_of(program.before, program.code, timing, Path(folder), program.passes)
                        record[_column(suffix)] = cycles / program.turns
                    except OptionError:
                        record[_column(suffix)] = None
                found.setdefault(program.title, []).append(record)
        for title, code in WAIT_STATES.items():
            tell(f"{title}, wait states")
            models = [timing_model("i386", wait_states=count) for count in range(len(INTEL_WAIT_STATES))]
            cycles = [cycles_of("", code, model, Path(folder)) for model in models]
            speeds[title] = [cycles[0] / some for some in cycles]
    return {"cycles": found, "speeds": speeds}


def cycles_of(
    before: str, code: str, timing: str | TimingModel, folder: Path, passes: int = COLD, behind: str = ""
) -> int:
    """The cycles of the last pass of `code`, in real mode behind `before`; `behind` is what it may call."""
    source = FRAME.format(
        before=before,
        code=code,
        behind=behind,
        passes=passes,
        sectors=SECTORS - 1,
        size=SECTORS * SECTOR,
        times=TIMES,
    )
    image = folder / "published.img"
    image.write_bytes(assemble_text(source, layout=Layout(flat=True, base=0x7C00)).data)
    machine = Machine(mem="4M", timing=timing)
    machine.load(str(image), format="floppy")
    machine.run(max_insns=MAX_INSNS)
    times = machine.memory.read(PhysAddr(TIMES), 12)
    start, end, again = (int.from_bytes(times[at : at + 4], "little") for at in (0, 4, 8))
    if not start < end < again:
        raise BenchError("a published program did not end as it should")
    return (end - start) - (again - end)


def error_of(cycles: float, low: float, high: float) -> float:
    """How far the model's cycles are from the nearest published figure, as a part of it; 0 within them.

    >>> error_of(7, 8, 10), error_of(9, 8, 10), error_of(12, 8, 10)
    (-0.125, 0.0, 0.2)
    """
    return round(cycles / min(max(cycles, low), high) - 1, 3)


def report(measured: dict[str, Any]) -> tuple[str, list[Goal]]:
    """Both tables; there are no goals."""
    text = cycles_table(measured["cycles"])
    heads = ["speed of an i386 by wait states", *map(str, range(len(INTEL_WAIT_STATES)))]
    rows = [[title, *(f"{speed:.2f}" for speed in speeds)] for title, speeds in measured["speeds"].items()]
    rows.append(["Intel's simulation", *(f"{speed:.2f}" for speed in INTEL_WAIT_STATES)])
    return f"{text}\n\n{table(heads, rows)}", []


def cycles_table(measured: dict[str, Any]) -> str:
    """A table of records, with the errors' mean below."""
    heads = ["cycles", "", "published", *(f"{_column(suffix)}, error" for suffix in ("-nomem", "")), "source"]
    rows, errors = [], dict[str, list[float]]()
    for title, records in measured.items():
        for record in records:
            low, high = record["low"], record["high"]
            cells = []
            for column in map(_column, ("-nomem", "")):
                if record[column] is None:
                    cells.append("open")
                    continue
                error = error_of(record[column], low, high)
                errors.setdefault(column, []).append(abs(error))
                cells.append(f"{record[column]:.1f} {100 * error:+5.0f} %")
            published = f"{low:.0f}" if low == high else f"{low:.0f}-{high:.0f}"
            rows.append([title, record["processor"], published, *cells, record["source"]])
    lines = [table(heads, rows), ""]
    for column, found in errors.items():
        exact = sum(error < EXACT for error in found)
        mean, worst = 100 * sum(found) / len(found), 100 * max(found)
        lines.append(f"{column}: {exact} of {len(found)} within 1 %, mean error {mean:.0f} %, largest {worst:.0f} %")
    return "\n".join(lines)


def _column(suffix: str) -> str:
    return "without memory" if suffix else "with memory"
