"""A machine that goes back and forth between snapshots runs as one that was never disturbed.

At random points of a guest's run, between any two instructions and iterations of REP, snapshots are taken; then the
machine is taken to them in random order, runs on from there to random points, takes snapshots there, too, and must at
each point be what a machine was that went there straight.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import machine_outcome
import pytest
from guest_drives import GuestDrives, drive_options
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hillemu import Machine
from hillemu.emu.cpu.core import CoreMode
from hillemu.emu.snapshot import Snapshot

GUESTS = (
    "ata",
    "atapi",
    "floppy",
    "interrupt_window",
    "paging",
    "self_modifying",
    "strings",
    "task_switch",
    "vga_text",
    "vm86",
)
MOST = 20_000_000
POINTS = 1000


def outcome(machine: Machine) -> dict[str, Any]:
    """The same, and what only a whole PC has."""
    drives = machine._booting._drives
    return {
        **machine_outcome.outcome(machine),
        "video_ram": hash(machine.memory.video_ram[: 256 * 1024].tobytes()),
        "disks": [one.medium and one.medium.changed_sectors for one in (*drives.disks, *drives.floppies)]
        if drives
        else [],
    }


class Straight:
    """What a machine is at each point of its run, by one that only ever goes forward, in a run of its own."""

    def __init__(self, make: Callable[[], Machine]) -> None:
        self.make = make
        whole = make()
        self.stop = whole.run(max_insns=MOST)
        self.length = whole.cpu.instructions
        self.end = outcome(whole)
        self._at: dict[int, dict[str, Any]] = {}

    def at(self, count: int) -> dict[str, Any]:
        """The outcome after `count` instructions."""
        if count not in self._at:
            machine = self.make()
            machine.run(max_insns=count - machine.cpu.instructions)
            self._at[count] = outcome(machine)
        return self._at[count]


@pytest.fixture
def straight(
    image_of: Callable[[str], Path], guest_drives: GuestDrives, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str], Straight]:
    @cache
    def of(guest: str, core: str) -> Straight:
        def make() -> Machine:
            monkeypatch.setenv("HILLEMU_CORE", core)
            machine = Machine(mem="16M", drives=drive_options(guest, guest_drives))
            machine.load(str(image_of(guest)))
            machine.schedule_keys("hello{enter}", 2_000)
            return machine

        return Straight(make)

    return of


PLACES = st.integers(0, POINTS - 1)
MOVES = st.lists(st.tuples(st.integers(0, 99), PLACES, st.booleans()), min_size=2, max_size=6)


@settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(core=st.sampled_from(list(CoreMode)), first=PLACES, moves=MOVES)
@pytest.mark.parametrize("guest", GUESTS)
def test_going_back_and_forth_is_the_same_run(
    straight: Callable[[str, str], Straight], guest: str, core: str, first: int, moves: list[tuple[int, int, bool]]
) -> None:
    run = straight(guest, core)
    machine = run.make()
    start = machine.cpu.instructions

    def place(number: int) -> int:
        return start + (run.length - start) * number // POINTS

    def check() -> None:
        expected = run.at(machine.cpu.instructions)
        for key, value in outcome(machine).items():
            assert value == expected[key], key

    machine.run(max_insns=place(first) - start)
    kept: list[Snapshot] = [machine.snapshot()]
    check()
    for which, to, keep in moves:
        machine.restore(kept[which % len(kept)])
        ahead = place(to) - machine.cpu.instructions
        if ahead > 0:
            machine.run(max_insns=ahead)
        check()
        if keep:
            kept.append(machine.snapshot())
        elif len(kept) > 1:
            del kept[which % len(kept)]
    machine.restore(kept[0])
    assert machine.run(max_insns=MOST) == run.stop
    assert outcome(machine) == run.end
