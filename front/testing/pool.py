"""Machines that were booted, kept for the next test that asks for the same: a hundred tests cost one boot.

A test gets a machine that is as it was when its boot was done, to the bit, whatever tests before it did: the machine
goes back to a snapshot, and what was hung on to it is taken away.  One that cannot go back (its disk was closed) is
thrown away, and another booted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hillemu.emu.errors import UserMistake
from hillemu.testing.failures import GuestFailure
from hillemu.testing.tested_machine import MachineUnderTest

if TYPE_CHECKING:
    from hillemu.emu.snapshot import Snapshot
    from hillemu.testing.request import BootRequest

MOST_KEPT = 8
"""So many idle machines at most: each holds what its guest has touched of its RAM."""


class _Booted:
    """A machine, where its boot left it, and how the boot failed if it did."""

    def __init__(self, request: BootRequest, machine: MachineUnderTest) -> None:
        self.request = request
        self.machine = machine
        self.point: Snapshot | None = None
        self.failure: GuestFailure | None = None
        self.is_lent = False


class MachinePool:
    """Lends machines, each to one test at a time.  `boots` counts the boots, `len` the machines that are there."""

    def __init__(self) -> None:
        self._booted: list[_Booted] = []  # the latest used last
        self.boots = 0

    def __len__(self) -> int:
        return len(self._booted)

    def lend(self, request: BootRequest, made: Callable[[MachineUnderTest], None]) -> MachineUnderTest:
        """A machine that was booted as `request` says; `made` is told of it as soon as it exists.

        Raises `GuestFailure` when the boot fails; it is not tried again, because it would fail in the same way.
        Raises `ImageError` and `OptionError` for what cannot be booted.
        """
        booted = self._idle(request) or self._boot(request, made)
        self._booted.append(booted)
        made(booted.machine)
        if booted.failure is not None:
            self._keep_few()
            raise booted.failure.with_traceback(None)
        booted.is_lent = True
        return booted.machine

    def take_back(self, machine: MachineUnderTest) -> None:
        """The test is over."""
        for booted in self._booted:
            if booted.machine is machine:
                booted.is_lent = False
                machine.forget_observers()  # they may hold on to much of the test
        self._keep_few()

    def close(self) -> None:
        """Let go of all machines."""
        while self._booted:
            self._throw_away(self._booted[-1])

    def _idle(self, request: BootRequest) -> _Booted | None:
        """One that was booted before, as it was then; it is no longer in the list."""
        for booted in tuple(self._booted):
            if booted.is_lent or booted.request != request:
                continue
            if booted.point is not None:
                try:
                    booted.machine.go_back_to(booted.point)
                except UserMistake:
                    self._throw_away(booted)
                    continue
            self._booted.remove(booted)
            return booted
        return None

    def _boot(self, request: BootRequest, made: Callable[[MachineUnderTest], None]) -> _Booted:
        self.boots += 1
        booted = _Booted(request, MachineUnderTest(request))
        made(booted.machine)
        try:
            if request.until is not None or request.at is not None:
                booted.machine.run(until=request.until, at=request.at)
            booted.point = booted.machine.snapshot()
        except GuestFailure as failure:
            booted.failure = failure
        return booted

    def _keep_few(self) -> None:
        """Throw those away whose last use is longest ago."""
        idle = [booted for booted in self._booted if not booted.is_lent]
        for booted in idle[: max(len(idle) - MOST_KEPT, 0)]:
            self._throw_away(booted)

    def _throw_away(self, booted: _Booted) -> None:
        self._booted.remove(booted)
        booted.machine.close()
