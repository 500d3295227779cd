"""A run that is debugged, forwards and backwards and with everything on, is the run that nobody debugs.

Random packets: steps, continues, ways back, breakpoints and watchpoints anywhere in the guest, looks at everything.
After each stop the machine must be what a machine is that went straight to that instruction; at the end, the whole run
must be the undisturbed one's.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scripted_debugger import ScriptedServer, monitor

from hillemu import Machine
from hillemu.debugging import history
from hillemu.debugging.debugged_run import DebuggedRun

GUESTS = ("interrupt_window", "paging", "self_modifying", "strings", "task_switch", "vm86")
MOST = 20_000_000
LOOKS = (b"g", b"m0,1000", monitor("info mem"), monitor("lint"), monitor("frames"), monitor("gdt"), b"?")
MOTIONS = (b"s", b"c", b"bs", b"bc", b"vCont;r%x,%x:1")


def outcome(machine: Machine) -> dict[str, Any]:
    return {
        "instructions": machine.cpu.instructions,
        "ticks": machine.clock.now,
        "registers": machine.registers(),
        "ram": machine.memory.sha256(),
        "serial": machine.serial.data,
        "screen": machine.screen.cells,
        "deliveries": machine.deliveries,
    }


class Straight:
    """An undisturbed run: its end, the outcome after any number of instructions, and where its code and data are."""

    def __init__(self, make: Callable[[], Machine]) -> None:
        self.make = make
        whole = make()
        self.start = whole.cpu.eip
        self.stop = whole.run(max_insns=MOST)
        self.end = outcome(whole)
        self.at = cache(self._at)

    def _at(self, count: int) -> dict[str, Any]:
        machine = self.make()
        machine.run(max_insns=count - machine.cpu.instructions)
        return outcome(machine)


@pytest.fixture
def straight(image_of: Callable[[str], Path]) -> Callable[[str], Straight]:
    @cache
    def of(guest: str) -> Straight:
        def make() -> Machine:
            machine = Machine(mem="16M")
            machine.load(str(image_of(guest)))
            machine.schedule_keys("hello{enter}", 2_000)
            return machine

        return Straight(make)

    return of


def session(chance: random.Random, run: Straight) -> list[bytes]:
    """What a debugger does: random packets."""
    packets: list[bytes] = []
    points: list[bytes] = []
    for _ in range(chance.randrange(5, 25)):
        if chance.random() < 0.3:
            where = run.start + chance.randrange(0x800)
            point = b"%x,%x,%x" % (chance.randrange(5), where, chance.choice([1, 4]))
            packets.append(b"Z" + point)
            points.append(b"z" + point)
        if points and chance.random() < 0.2:
            packets.append(points.pop(chance.randrange(len(points))))
        motion = chance.choice(MOTIONS)
        packets += [motion % (run.start, run.start + 0x20) if b"%" in motion else motion] * chance.choice([1, 1, 1, 9])
        if chance.random() < 0.3:
            packets.append(chance.choice(LOOKS))
    return [*packets, *points, b"c", b"c"]


@pytest.mark.parametrize("guest", GUESTS)
@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 1 << 32))
def test_a_debugged_run_is_the_run_that_nobody_debugs(
    straight: Callable[[str], Straight], guest: str, seed: int
) -> None:
    run = straight(guest)
    machine = run.make()
    chance = random.Random(seed)
    checks = iter(range(200))
    server = ScriptedServer(*session(chance, run))
    packets = server.next

    def next_(timeout_s: float | None) -> Any:
        if timeout_s is None and chance.random() < 0.2 and next(checks, None) is not None:
            check_here(run, machine)
        return packets(timeout_s)

    server.next = next_  # type: ignore[method-assign]
    with pytest.MonkeyPatch.context() as patch:
        for name, number in (("INTERVAL", 3_000), ("FAR", 500), ("NEAR", 60), ("MOST_KEPT", 9)):
            patch.setattr(history, name, number)
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
