"""Going forwards: an instruction, a range of them, or to the next breakpoint whose condition is true.

The processor stops more often than the debugger is told: at breakpoints whose conditions are false, and where a REP
looks at a count that is zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from hillemu.debugging.points import Points
from hillemu.debugging.register_access import linear_pc
from hillemu.debugging.spent_rep import is_spent_rep
from hillemu.emu.stop import Stop, StopReason

if TYPE_CHECKING:
    from hillemu.machine import Machine


class Run(Protocol):
    """Runs the machine for so many instructions, or without a limit; a breakpoint where it stands may count."""

    def __call__(self, max_insns: int | None, *, over_breakpoint: bool) -> Stop: ...


class Forwards:
    """Moves `machine` by `run`, but no more than `left` says: so many instructions, or `None` without a limit."""

    def __init__(self, machine: Machine, points: Points, run: Run, left: Callable[[], int | None]) -> None:
        self._machine = machine
        self._points = points
        self._run = run
        self._left = left

    def go_on(self) -> Stop:
        """Run until something is to be told."""
        self._points.insert_breakpoints()
        # GDB steps over a breakpoint with the breakpoint taken out: where it left one, that is to stop the machine.
        stop = self._run(self._left(), over_breakpoint=not self._points.has_breakpoint(self._pc))
        passed = None
        while stop.reason is StopReason.BREAKPOINT:
            at, count = self._pc, self._machine.cpu.instructions
            is_look = passed == (at, count - 1) and self._is_at_spent_rep()
            if not is_look and not self._points.passes(at):
                return stop
            passed = at, count
            stop = self._run(self._left(), over_breakpoint=True)
        return stop

    def step(self, start: int, end: int) -> Stop:
        """Execute one instruction, and more while the program counter stays from `start` up to `end`."""
        at = self._pc
        while True:
            was_at = at
            stop = self._run(0 if self._left() == 0 else 1, over_breakpoint=True)
            at = self._pc
            if stop.reason is not StopReason.MAX_INSNS or self._left() == 0:
                return stop
            if at == was_at and self._is_at_spent_rep():
                continue
            if not start <= at < end:
                return stop
            if self._points.reached(at) is not None:
                return Stop(StopReason.BREAKPOINT)

    @property
    def _pc(self) -> int:
        return linear_pc(self._machine.cpu.processor)

    def _is_at_spent_rep(self) -> bool:
        return is_spent_rep(self._machine.cpu.processor, self._machine.memory)
