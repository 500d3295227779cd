"""The machine that a test takes into its hands: a `Machine` whose runs have budgets and say how they failed.

A run with a goal (`until`, `at`) either reaches it or fails the test: a kernel that crashed on the way must not look
like one that got there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from hillemu.boot.image import BootOptions, Image, Module, read_file
from hillemu.booting import DriveOptions
from hillemu.emu.cpu.core import EVERYWHERE
from hillemu.emu.errors import OptionError, UserMistake
from hillemu.emu.stop import Stop, StopReason
from hillemu.machine import Machine
from hillemu.testing.budget import Budget
from hillemu.testing.failures import BudgetExceeded, StoppedEarly
from hillemu.testing.request import BUILT_IN

if TYPE_CHECKING:
    from hillemu.emu.snapshot import Snapshot
    from hillemu.kernel.options import KernelOptions
    from hillemu.testing.request import BootRequest, GuestFile
    from hillemu.watch import TextWatch

GUESTS_OWN_ENDINGS = frozenset(
    {
        StopReason.EXIT,
        StopReason.POWER_OFF,
        StopReason.HALT,
        StopReason.HANG,
        StopReason.RESET,
        StopReason.TRIPLE_FAULT,
        StopReason.DISK_FAILURE,
        StopReason.CPU_ERROR,
    }
)
"""A run that ends in another way was ended by the test: a breakpoint, a watchpoint, `stop`, `max_insns`."""


class MachineUnderTest(Machine):
    """A machine that has loaded what `request` asks for, and has not run yet.

    `notes` holds what hillemu would have reported of it: what the guest uses and is not modelled.  Raises `ImageError`
    and `OptionError`, as `Machine` does.
    """

    OUTSIDE_STATE = Machine.OUTSIDE_STATE | {"terminal"}

    def __init__(self, request: BootRequest) -> None:
        self.terminal: Callable[[], AbstractContextManager[None]] = nullcontext
        """Gives `debug` the terminal that pytest runs on."""
        drives = DriveOptions(disks=tuple(str(disk.path) for disk in request.disks))
        self.notes: list[str] = []
        super().__init__(
            request.mem,
            cpu=request.cpu,
            timing=request.timing,
            report=self.notes.append,
            drives=drives,
            devices=request.devices,
        )
        self.request = request
        self.kernel_path = (request.profile or BUILT_IN) if request.kernel is None else request.kernel.name
        """As the guest is told it: the same whatever folder the tests are run in."""
        self.default_budget = request.budget
        modules = tuple(Module(file.name, words, read_file(str(file.path))) for file, words in request.modules)
        if request.kernel is None:
            self._load_built_in(modules, request.append, _kernel_options(request.kernel_module), request.profile)
            return
        initrds = tuple(_as_module(file) for file in request.initrds)
        self._load(
            Image(request.kernel.name, read_file(str(request.kernel.path))),
            BootOptions(request.format, request.append, modules, initrds),
        )
        self.symbol_files = [str(request.kernel.path)]

    def run(
        self,
        *,
        until: str | re.Pattern[str] | TextWatch | None = None,
        at: str | int | None = None,
        budget: str | int | Budget | None = None,
        max_insns: int | None = None,
        between: Callable[[], bool] | None = None,
        over_breakpoint: bool = True,
        stay_in: range = EVERYWHERE,
    ) -> Stop:
        """Run as `Machine.run` does, within `budget` (as `Budget.parse` takes it) or the test's.

        `at` is an address or symbol: the run ends in front of the instruction there.  `max_insns` without a `budget`
        is all the budget there is.

        Raises `BudgetExceeded`; `StoppedEarly` when the guest ends before `until` or `at` is reached; what
        `Machine.run` raises; `OptionError` for a budget that is none.
        """
        __tracebackhide__ = True
        if until is not None and at is not None:
            raise UserMistake("a run goes until a text or to an address; give one of until= and at=")
        bounded = budget is not None or max_insns is None
        limit = self.default_budget if budget is None else Budget.parse(budget, self.default_budget)
        insns = max_insns
        if bounded and (max_insns is None or limit.instructions < max_insns):
            insns = limit.instructions
        cycles = self._cycle_limit(limit) if bounded else None
        if cycles is not None and (insns is None or cycles < insns):
            insns = cycles  # an instruction takes a cycle at least
        started = self.cycles
        clock = _VirtualLimit(self, limit.virtual_ns, between) if bounded else None
        added = self._add_breakpoint(at)
        try:
            stop = super().run(
                until=until,
                max_insns=insns,
                between=clock or between,
                over_breakpoint=over_breakpoint,
                stay_in=stay_in,
            )
        finally:
            if added is not None:
                self.breakpoints.remove(added)
        goal = _goal(until, at)
        out_of_time = clock is not None and clock.is_exceeded and stop.reason is StopReason.INTERRUPTED
        out_of_instructions = insns != max_insns and stop.reason is StopReason.MAX_INSNS
        out_of_cycles = cycles is not None and self.cycles - started > cycles
        if out_of_time or out_of_instructions or out_of_cycles:
            used = (
                f"{cycles:,} cycles (it took {self.cycles - started:,})"
                if out_of_cycles
                else f"{limit.virtual_ns / 10**9:g} s of virtual time"
                if out_of_time
                else f"{limit.instructions:,} instructions"
            )
            raise BudgetExceeded(f"{goal or 'the guest did not stop'} within the budget of {used}", self)
        if goal and stop.reason in GUESTS_OWN_ENDINGS:
            told = f"{stop.reason}" + (f" ({stop.detail})" if stop.detail else "")
            raise StoppedEarly(f"{goal}: the guest stopped before: {told}", self)
        return stop

    def debug(self, *arguments: str) -> Stop:
        """Debug the machine as `Machine.debug` does, on the terminal that pytest runs on; no budget ends it."""
        with self.terminal():
            return super().debug(*arguments)

    def _cycle_limit(self, limit: Budget) -> int | None:
        if limit.cycles is not None and self.timing is None:
            raise OptionError("budget", "cycles are those of a processor; say which, as timing='i486'")
        return limit.cycles

    def forget_observers(self) -> None:
        """Take away what a test has hung on to the machine: breakpoints, watches, callbacks."""
        for address in tuple(self.breakpoints):
            self.breakpoints.remove(address)
        self.cpu.processor.observers.forget_all()
        for log in (self._pc.serial_log, self._pc.serial2_log, self._pc.debug_log):
            log.observers.clear()

    def go_back_to(self, snapshot: Snapshot) -> None:
        """Be as at `snapshot`, with nobody watching.  Raises as `restore` does."""
        self.forget_observers()
        self.restore(snapshot)

    def _add_breakpoint(self, at: str | int | None) -> int | None:
        """Put a breakpoint at `at`, unless there is one; return its address if this is ours."""
        if at is None or at in self.breakpoints:
            return None
        return self.breakpoints.add(at)


class _VirtualLimit:
    """Ends a run when `virtual_ns` of virtual time have passed; stands between the machine and `inner`."""

    def __init__(self, machine: Machine, virtual_ns: int, inner: Callable[[], bool] | None) -> None:
        self._machine = machine
        self._end_ns = machine.clock.now_ns + virtual_ns
        self._inner = inner
        self.is_exceeded = False

    def __call__(self) -> bool:
        if self._machine.clock.now_ns >= self._end_ns:
            self.is_exceeded = True
            self._machine.stop()
        return self._inner is not None and self._inner()


def _kernel_options(file: GuestFile | None) -> KernelOptions:
    from hillemu.kernel_module import kernel_options

    return kernel_options(None if file is None else str(file.path))


def _as_module(file: GuestFile) -> Module:
    return Module(file.name, "", read_file(str(file.path)))


def _goal(until: str | re.Pattern[str] | TextWatch | None, at: str | int | None) -> str:
    """What did not happen, as the beginning of a sentence; empty for a run without a goal."""
    if at is not None:
        return f"the guest did not reach {at if isinstance(at, str) else f'{at:#010x}'}"
    if until is None:
        return ""
    pattern = until if isinstance(until, str | re.Pattern) else until.pattern
    return f"{pattern if isinstance(pattern, str) else pattern.pattern!r} did not appear"
