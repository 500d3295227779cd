"""A run that is debugged, forwards and backwards and with everything on, is the run that nobody debugs.

Random packets: steps, continues, ways back, breakpoints with and without conditions and watchpoints anywhere in the
guest, looks at everything.
After each stop the machine must be what a machine is that went straight to that instruction; at the end, the whole run
must be the undisturbed one's.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from machine_outcome import outcome
from scripted_debugger import ScriptedServer, monitor

from hillemu import Machine
from hillemu.debugging import backwards, history, pace
from hillemu.debugging.debugged_run import DebuggedRun
from hillemu.emu.gdb.registers import LAYOUT

GUESTS = (
    "debug_registers",
    "exceptions",
    "interrupt_window",
    "paging",
    "self_modifying",
    "strings",
    "task_switch",
    "vm86",
)
TIMED = (("exceptions", "pentium-nomem"), ("strings", "i486"), ("task_switch", "i386-nomem"))
"""With cycles, which a debugger must not change either."""
MOST = 20_000_000
LOOKS = (b"g", b"m0,1000", monitor("info mem"), monitor("lint"), monitor("frames"), monitor("gdt"), b"?")
FORWARD, BACK = (b"s", b"c"), (b"bs", b"bc")
SAMPLES = 40
SELDOM = 5_000


class Straight:
    """An undisturbed run: its end, the outcome after any number of instructions, and where its code and data are."""

    def __init__(self, make: Callable[[], Machine]) -> None:
        self.make = make
        whole = make()
        start = whole.cpu.instructions
        self.stop = whole.run(max_insns=MOST)
        self.end = outcome(whole)
        sampled = make()
        self.code, self.data = [], []
        for _ in range(SAMPLES):
            sampled.run(max_insns=(whole.cpu.instructions - start) // SAMPLES)
            self.code.append(sampled.cpu.linear_eip)
            self.data += (at & 0xFFFFFFFF for at in (sampled.cpu.esp - 4, sampled.cpu.edi, sampled.cpu.esi))
        self.cool = self._seldom_executed()
        self.at = cache(self._at)

    def _seldom_executed(self) -> set[int]:
        """Those places of `code` where a condition does not take all of the test's time."""
        arrivals = Counter[int]()
        counted = self.make()
        for at in set(self.code):
            counted.cpu.processor.observers.on_arrival(at, lambda at: arrivals.update((at,)))
        counted.run(max_insns=MOST)
        return {at for at, count in arrivals.items() if count < SELDOM}

    def _at(self, count: int) -> dict[str, Any]:
        machine = self.make()
        machine.run(max_insns=count - machine.cpu.instructions)
        return outcome(machine)


@pytest.fixture
def straight(image_of: Callable[[str], Path]) -> Callable[[str, str], Straight]:
    @cache
    def of(guest: str, timing: str) -> Straight:
        def make() -> Machine:
            machine = Machine(mem="16M", timing=timing)
            machine.load(str(image_of(guest)))
            machine.schedule_keys("hello{enter}", 2_000)
            return machine

        return Straight(make)

    return of


def conditions(chance: random.Random, run: Straight) -> bytes:
    """None, or up to three: on a register, on memory that may not be there, on neither; true now and then."""
    made = []
    for _ in range(chance.choice([0, 0, 1, 3])):
        value = chance.choice([b"26%04x" % chance.randrange(len(LAYOUT[:16])), b"24%08x19" % chance.choice(run.data)])
        bits = chance.choice([0x00, 0x01, 0x07, 0x1000])
        # (value & bits) == 0: never, always and in between
        made.append(value + b"23%04x0f220013" % bits + chance.choice([b"", b"0e"]) + b"27")
    return b";" + b"".join(b"X%x,%b" % (len(code) // 2, code) for code in made) if made else b""


def passing(points: list[bytes], times: int, answers: list[bytes]) -> Iterator[bytes]:
    """Go on `times` times from a breakpoint, as GDB does for ``ignore`` and for conditions that it evaluates itself."""
    while times and answers[-1].startswith(b"T05") and b"replaylog" not in answers[-1]:
        times -= 1
        yield from (b"z" + point for point in points)
        yield b"s"
        stopped = answers[-1]
        yield from (b"Z" + point for point in points)
        if stopped.startswith(b"T05"):
            yield b"c"


def in_a_range(chance: random.Random, last: bytes) -> bytes:
    """Step while the program counter stays around where it is, as GDB steps over a line; or only one step."""
    told = re.search(rb"08:([0-9a-f]{8})", last)
    at = int.from_bytes(bytes.fromhex(told[1].decode()), "little") if told else 0
    start, end = at - min(at, chance.choice([0, 8, 64])), at + chance.choice([0, 1, 8, 64])
    return b"vCont;r%x,%x:1" % (start, min(end, 0xFFFFFFFF))


def session(chance: random.Random, run: Straight, answers: list[bytes]) -> Iterator[bytes]:
    """What a debugger does: random packets, but on towards the middle where the run begins or ends."""
    points: list[bytes] = []
    for _ in range(chance.randrange(10, 25)):
        if chance.random() < 0.4:
            kind = chance.randrange(5)
            where = chance.choice(run.code if kind < 2 else run.data)
            points.append(b"%x,%x,%x" % (kind, where, chance.choice([1, 4])))
            yield b"Z" + points[-1] + (conditions(chance, run) if kind < 2 and where in run.cool else b"")
        if points and chance.random() < 0.3:
            yield b"z" + points.pop(chance.randrange(len(points)))
        last = next((one for one in reversed(answers) if one.startswith(b"T")), b"")
        is_at_end, is_at_start = last.startswith(b"T") and not last.startswith(b"T05"), b"replaylog" in last
        ways = BACK if is_at_end else FORWARD if is_at_start or not last else BACK + FORWARD
        motion = chance.choice(ways)
        for _ in range(1 if motion == b"c" else chance.choice([1, 3, 30])):
            yield in_a_range(chance, answers[-1]) if motion == b"s" and chance.random() < 0.2 else motion
        if motion == b"c" and answers and chance.random() < 0.3:
            yield from passing(points, chance.choice([1, 5, 20]), answers)
        if chance.random() < 0.3:
            yield chance.choice(LOOKS)
    yield from (b"z" + point for point in points)
    yield b"bs"
    yield b"c"
    yield b"c"


@pytest.mark.parametrize(("guest", "timing"), [*((guest, "insn") for guest in GUESTS), *TIMED])
@settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 1 << 32))
def test_a_debugged_run_is_the_run_that_nobody_debugs(
    straight: Callable[[str, str], Straight], guest: str, timing: str, seed: int
) -> None:
    run = straight(guest, timing)
    machine = run.make()
    chance = random.Random(seed)
    checks = iter(range(200))
    server = ScriptedServer()
    server.will_send(session(chance, run, server.answers))
    packets = server.next

    def next_(timeout_s: float | None) -> Any:
        if timeout_s is None and chance.random() < 0.2 and next(checks, None) is not None:
            check_here(run, machine)
        return packets(timeout_s)

    server.next = next_  # type: ignore[method-assign]
    with pytest.MonkeyPatch.context() as patch:
        for name, number in (("INTERVAL", 3_000), ("FAR", 500), ("NEAR", 60), ("MOST_KEPT", 9)):
            patch.setattr(history, name, number)
        patch.setattr(pace, "MOST_S", 0.0)
        patch.setattr(backwards, "MANY", chance.choice([5, 50, 5000]))
        debugged = DebuggedRun(machine, server)  # type: ignore[arg-type]
        server.on_end = debugged.stop
        stop = debugged.run(wait=True)
    assert stop == run.stop
    assert outcome(machine) == run.end


def check_here(run: Straight, machine: Machine) -> None:
    """Compare, where the number of instructions alone tells the moment: in front of a handler it does not."""
    count = machine.cpu.instructions
    there = run.at(count)
    if there["ticks"] == machine.clock.now and there["deliveries"] == machine.deliveries:
        here = outcome(machine)
        for key, value in there.items():
            assert here[key] == value, key
