"""Going forwards: an instruction, a range of them, or to the next breakpoint whose condition is true.

The processor stops more often than the debugger is told: at breakpoints whose conditions are false, and where a REP
looks at a count that is zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from hillemu.debugging.points import Points
from hillemu.debugging.spent_rep import is_spent_rep
from hillemu.emu.cpu.core import EVERYWHERE
from hillemu.emu.stop import Stop, StopReason

if TYPE_CHECKING:
    from hillemu.machine import Machine


class Run(Protocol):
    """Runs the machine for so many instructions, or without a limit.

    A breakpoint where it stands may count; every linear address outside `stay_in` does.
    """

    def __call__(self, max_insns: int | None, *, over_breakpoint: bool, stay_in: range) -> Stop: ...


class Forwards:
    """Moves `machine` by `run`, but no more than `left` says: so many instructions, or `None` without a limit."""

    def __init__(self, machine: Machine, points: Points, run: Run, left: Callable[[], int | None]) -> None:
        self._machine = machine
        self._processor = machine.cpu.processor
        self._points = points
        self._run = run
        self._left = left

    def go_on(self) -> Stop:
        """Run until something is to be told."""
        # GDB steps over a breakpoint with the breakpoint taken out: where it left one, that is to stop the machine.
        return self._run_on(EVERYWHERE, over_breakpoint=not self._points.has_breakpoint(self._pc))

    def step(self, start: int, end: int) -> Stop:
        """Execute one instruction, and more while the program counter stays from `start` up to `end`."""
        was_at = self._pc
        stop = self._step_once()
        at = self._pc
        if at == was_at and self._has_more_to_do(stop) and self._is_at_spent_rep():
            stop = self._step_once()
            at = self._pc
        if not (start <= at < end and self._has_more_to_do(stop)):
            return stop
        if self._points.reached(at) is not None:
            return Stop(StopReason.BREAKPOINT)
        return self._run_on(range(start, end), over_breakpoint=True)

    def _step_once(self) -> Stop:
        return self._run(0 if self._left() == 0 else 1, over_breakpoint=True, stay_in=EVERYWHERE)

    def _has_more_to_do(self, stop: Stop) -> bool:
        return stop.reason is StopReason.MAX_INSNS and self._left() != 0

    def _run_on(self, stay_in: range, *, over_breakpoint: bool) -> Stop:
        self._points.insert_breakpoints()
        stop = self._run(self._left(), over_breakpoint=over_breakpoint, stay_in=stay_in)
        passed = None
        while stop.reason is StopReason.BREAKPOINT:
            at, count = self._pc, self._processor.instructions
            is_look = passed == (at, count - 1) and self._is_at_spent_rep()
            if at not in stay_in or not (is_look or self._points.passes(at)):
                return stop
            passed = at, count
            stop = self._run(self._left(), over_breakpoint=True, stay_in=stay_in)
        return stop

    @property
    def _pc(self) -> int:
        return self._processor.linear_eip

    def _is_at_spent_rep(self) -> bool:
        return is_spent_rep(self._processor, self._machine.memory)
