"""What GDB makes of a machine: steps, conditions, memory, the way back; and what a machine pays for listening to it.

GDB itself drives the first two, so its own time is in them, and measured beside them; the rest is measured at the
socket or at the target.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from figures import Goal, interleaved, table
from gdb_sessions import (
    Address,
    hillemu_waiting,
    nobody_waiting,
    qemu_waiting,
    recorded,
    seconds_in_one_command,
    seconds_of,
)
from machines import qemu_path
from processes import BenchError

from hillemu import Machine
from hillemu.boot.assembler import assemble_text
from hillemu.debugging.debugged_run import DebuggedRun
from hillemu.emu.gdb.framing import frame

STEPS = HITS = 10_000
EVALUATED_BY_GDB = "set breakpoint condition-evaluation host"
STEPS_COMMAND = f"stepi {STEPS}"
CONDITION = f"break *again+1 if $ecx == {HITS}"
QEMU_SHORTER = 10
"""QEMU's steps and hits are measured by a tenth, because they take so long."""
READ_BYTES = 1 << 20
LOOP = 40_000_000
"""Passes of seven instructions, so the way back from the end is 280 million instructions long."""
SOURCE = """
.section .multiboot; .long 0x1BADB002, 0, 0xE4524FFE
.text
.globl _start, again
_start: mov dword ptr [0x500000], 7
    xor edi, edi
    xor ecx, ecx
again: inc eax
    add [0x200000 + edi*4], eax
    inc edi
    and edi, 0xFFFF
    inc ecx
    cmp ecx, {passes}
    jb again
    mov al, 0
    out 0xF4, al
"""
STEPS_S, HITS_S, READ_MS, BACK_S, LISTENING = 2.0, 3.0, 50.0, 3.0, 1.05
_CHUNK = 0xFFFF
_RUNS = 5
"""Short runs, of which the best counts: what disturbs them is the host."""


def measure(folder: Path, *, rounds: int, shorter: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Seconds of each, `rounds` times; `shorter` divides the passes of the guest's loop, not what has a goal."""
    image = folder / "debugged.elf"
    image.write_bytes(assemble_text(SOURCE.format(passes=LOOP // shorter)).data)
    steps, hits = recorded(STEPS_COMMAND, image), recorded("continue", image, before=(EVALUATED_BY_GDB, CONDITION))
    measures: dict[str, Callable[[], float]] = {
        "steps": lambda: seconds_in_one_command(STEPS_COMMAND, image),
        "steps from elsewhere": lambda: _with(hillemu_waiting(image), STEPS_COMMAND, image),
        "steps of nobody": lambda: _with(nobody_waiting(steps), STEPS_COMMAND, image),
        "hits": lambda: _with(hillemu_waiting(image), "continue", image, CONDITION),
        "hits by gdb": lambda: seconds_in_one_command("continue", image, before=(EVALUATED_BY_GDB, CONDITION)),
        "hits from elsewhere": lambda: _with(hillemu_waiting(image), "continue", image, EVALUATED_BY_GDB, CONDITION),
        "hits of nobody": lambda: _with(nobody_waiting(hits), "continue", image, EVALUATED_BY_GDB, CONDITION),
        "read": lambda: _read(image),
        "back": lambda: _back(image, b"Z2,500000,4"),
        "last": lambda: _back(image, b"Z0,%x,1" % _again(image)),
        "plain": lambda: min(_run(image) for _ in range(_RUNS)),
        "attached": lambda: min(_run_attached(image) for _ in range(_RUNS)),
    }
    if qemu_path() is not None:
        few = f"break *again+1 if $ecx == {HITS // QEMU_SHORTER}"
        start = ("tbreak *again", "continue")
        step = f"stepi {STEPS // QEMU_SHORTER}"
        measures["steps of qemu"] = lambda: QEMU_SHORTER * _with(qemu_waiting(image), step, image, *start)
        measures["hits of qemu"] = lambda: QEMU_SHORTER * _with(qemu_waiting(image), "continue", image, *start, few)
    return interleaved(rounds, measures, tell)


def _with(machine: AbstractContextManager[Address], command: str, image: Path, *before: str) -> float:
    with machine as address:
        return seconds_of(command, image, address, before=before)


def _read(image: Path) -> float:
    """How long a client takes to read memory, in packets as long as may be."""
    with hillemu_waiting(image) as address, socket.create_connection(address) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as GDB does
        _ask(client, b"QStartNoAckMode")
        client.sendall(b"+")
        started = perf_counter()
        for at in range(0, READ_BYTES, _CHUNK):
            _ask(client, b"x%x,%x" % (0x200000 + at, min(_CHUNK, READ_BYTES - at)))
        return perf_counter() - started


def _ask(client: socket.socket, payload: bytes) -> bytes:
    client.sendall(frame(payload))
    answer = bytearray()
    # A '#' in data is escaped.
    while (end := answer.find(b"#")) < 0 or len(answer) < end + 3:
        piece = client.recv(1 << 16)
        if not piece:
            raise BenchError("hillemu has hung up")
        answer += piece
    return bytes(answer)


class _Script:
    """A debugger without a socket: sends `packets`, each when the last is answered, and takes the times."""

    def __init__(self, *packets: bytes) -> None:
        from hillemu.debugging.server import Event

        self._script = iter((Event.ATTACHED, frame(b"QStartNoAckMode"), *map(frame, packets)))
        self._woken = Event.WOKEN
        self.times: list[float] = []
        self.answers: list[bytes] = []
        self.on_end: Callable[[], None] = lambda: None

    def next(self, timeout_s: float | None) -> Any:
        if timeout_s == 0:
            return None
        self.times.append(perf_counter())
        item = next(self._script, None)
        if item is None:
            self.on_end()
        return self._woken if item is None else item

    def send(self, data: bytes) -> None:
        self.answers.append(data)

    def hang_up(self) -> None:
        pass

    def wake(self) -> None:
        pass


def _scripted(image: Path, *packets: bytes) -> _Script:
    machine = Machine()
    machine.load(str(image))
    script = _Script(*packets)
    run = DebuggedRun(machine, script)  # type: ignore[arg-type]
    script.on_end = run.stop
    run.run(wait=True)
    return script


def _back(image: Path, point: bytes) -> float:
    """How long the way back takes from the end of the run to the last place before it that `point` is for."""
    script = _scripted(image, b"c", point, b"bc")
    if b"replaylog" in script.answers[-2] or not script.answers[-2].startswith(b"$T05"):
        raise BenchError(f"the way back ended otherwise: {script.answers[-3:]!r}")
    return script.times[5] - script.times[4]


def _again(image: Path) -> int:
    """Where the loop is: its instructions are executed by the million."""
    machine = Machine()
    machine.load(str(image))
    return machine.symbols["again"]


def _run(image: Path) -> float:
    machine = Machine()
    machine.load(str(image))
    started = perf_counter()
    machine.run()
    return perf_counter() - started


def _run_attached(image: Path) -> float:
    """The same run with a debugger, history, and a breakpoint in a page that is never executed."""
    script = _scripted(image, b"Z0,800000,1", b"c")
    return script.times[4] - script.times[3]


def report(found: dict[str, Any]) -> tuple[str, list[Goal]]:
    """The table, and what should have come out."""
    steps, hits, by_gdb = found["steps"], found["hits"], found["hits by gdb"]
    listening = min(found["attached"]) / min(found["plain"])

    def row(what: str, seconds: list[float]) -> tuple[str, str, str]:
        return what, f"{median(seconds):.2f}", f"{min(seconds):.2f}"

    rows = [
        row(f"{STEPS:,} single steps by GDB (hillemu gdb), s", steps),
        row("- from elsewhere (boot --gdb, target remote)", found["steps from elsewhere"]),
        row("- of which GDB itself, with a stub that has no machine", found["steps of nobody"]),
        *([row("- with QEMU", found["steps of qemu"])] if "steps of qemu" in found else []),
        row(f"{HITS:,} hits of a conditional breakpoint, s", hits),
        row("the same, with GDB itself evaluating the condition (hillemu gdb), s", by_gdb),
        row("- from elsewhere (boot --gdb, target remote)", found["hits from elsewhere"]),
        row("- of which GDB itself, with a stub that has no machine", found["hits of nobody"]),
        *([row("- with QEMU", found["hits of qemu"])] if "hits of qemu" in found else []),
        ("1 MiB of memory read, ms", *(f"{1000 * f(found['read']):.1f}" for f in (median, min))),
        ("back to the run's start by a watchpoint, s", *(f"{f(found['back']):.2f}" for f in (median, min))),
        (
            "back to the last of millions of hits of a breakpoint, s",
            *(f"{f(found['last']):.2f}" for f in (median, min)),
        ),
        ("a run with GDB attached, and its history, ratio", f"{listening:.3f}", ""),
    ]
    return table(("GDB", "median", "best"), rows), [
        Goal("gdb: 10,000 single steps, s", median(steps), STEPS_S),
        Goal("gdb: 10,000 hits of a conditional breakpoint, s", median(hits), HITS_S),
        Goal("gdb: 10,000 hits, evaluated by GDB, s", median(by_gdb), HITS_S),
        Goal("gdb: 1 MiB read, ms", 1000 * median(found["read"]), READ_MS),
        Goal("gdb: back over 280 million instructions, s", median(found["back"]), BACK_S),
        Goal("gdb: back to the last of many hits, s", median(found["last"]), BACK_S),
        Goal("gdb: a run with GDB attached, ratio", listening, LISTENING),
    ]
