"""The breakpoints and watchpoints that a debugger has set on a machine.

They are put into the processor when the machine is set in motion, not when they are asked for: GDB takes all of them
out at every stop and puts them back, and each change costs translated code.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

from hillemu.emu.gdb.agent_expressions import Expression, Values
from hillemu.emu.gdb.target import (
    BREAKPOINTS,
    ErrorNumber,
    HostSignal,
    PointKind,
    StopCause,
    Stopped,
    TargetError,
    Unsupported,
)

if TYPE_CHECKING:
    from hillemu.emu.cpu.observers import Watch, WatchHit
    from hillemu.machine import Machine
    from hillemu.watched import Handle

_CAUSES = {
    PointKind.SOFTWARE_BREAKPOINT: StopCause.SOFTWARE_BREAKPOINT,
    PointKind.HARDWARE_BREAKPOINT: StopCause.HARDWARE_BREAKPOINT,
    PointKind.WRITE_WATCHPOINT: StopCause.WRITE_WATCHPOINT,
    PointKind.READ_WATCHPOINT: StopCause.READ_WATCHPOINT,
    PointKind.ACCESS_WATCHPOINT: StopCause.ACCESS_WATCHPOINT,
}
_STOPS = {kind: Stopped(HostSignal.TRAP, cause) for kind, cause in _CAUSES.items()}
_SPACE_END = 1 << 32


class Watchpoint(NamedTuple):
    """What accesses, at which linear address, to how many bytes."""

    kind: PointKind
    at: int
    length: int

    @property
    def access(self) -> Watch:
        from hillemu.emu.cpu.observers import Watch

        accesses = {PointKind.WRITE_WATCHPOINT: Watch.WRITE, PointKind.READ_WATCHPOINT: Watch.READ}
        return accesses.get(self.kind, Watch.ACCESS)

    def is_hit_by(self, hit: WatchHit) -> bool:
        """Whether that access is one of those."""
        overlaps = hit.address < self.at + self.length and self.at < hit.address + hit.size
        return overlaps and bool(hit.kind & self.access)

    def is_undone_by(self, hit: WatchHit) -> bool:
        """Whether going back over that access stops: a write that changed nothing is none that can be undone."""
        if self.kind is not PointKind.WRITE_WATCHPOINT or hit.before is None:
            return True
        before, after = (value.to_bytes(hit.size, "little") for value in (hit.before, hit.after))
        start = max(self.at - hit.address, 0)
        end = max(self.at + self.length - hit.address, 0)
        return before[start:end] != after[start:end]

    def stop(self, hit: WatchHit) -> Stopped:
        """What the debugger is told."""
        return Stopped(HostSignal.TRAP, _CAUSES[self.kind], max(hit.address, self.at))


class Points:
    """What the debugger wants `machine` to stop at; the user's own breakpoints and watchpoints stay.

    Conditions look at `values`.
    """

    def __init__(self, machine: Machine, values: Values) -> None:
        self._machine = machine
        self._values = values
        self._breakpoints: dict[int, dict[PointKind, Sequence[Expression]]] = {}
        self._watchpoints: set[Watchpoint] = set()
        self._inserted: set[int] = set()
        self._watching: dict[Watchpoint, Handle] = {}

    @property
    def watches_data(self) -> bool:
        """Whether watchpoints can be set: the portable core sees no accesses."""
        return self._machine.cpu.core == "native"

    def add(self, kind: PointKind, at: int, length: int, conditions: Sequence[Expression] = ()) -> None:
        if kind in BREAKPOINTS:
            self._breakpoints.setdefault(at, {})[kind] = conditions
            return
        if not self.watches_data:
            raise Unsupported("watchpoints")
        if at + length > _SPACE_END:
            raise TargetError(ErrorNumber.INVALID, f"{length} bytes at {at:#x} reach beyond 4 GiB")
        self._watchpoints.add(Watchpoint(kind, at, length))

    def remove(self, kind: PointKind, at: int, length: int) -> None:
        if kind not in BREAKPOINTS:
            self._watchpoints.discard(Watchpoint(kind, at, length))
            return
        kinds = self._breakpoints.get(at, {})
        kinds.pop(kind, None)
        if not kinds:
            self._breakpoints.pop(at, None)

    def clear(self) -> None:
        """Forget all of them, and take them out of the processor."""
        self._breakpoints.clear()
        self._watchpoints.clear()
        self.take_out()

    def take_out(self) -> None:
        """Have the processor know none of them; they are put in again when they are wanted."""
        for at in self._inserted:
            self._machine.breakpoints.remove(at)
        self._inserted.clear()
        for handle in self._watching.values():
            handle.remove()
        self._watching.clear()

    @property
    def breakpoints(self) -> Collection[int]:
        """The linear addresses at which the debugger has breakpoints."""
        return self._breakpoints.keys()

    @property
    def watchpoints(self) -> Collection[Watchpoint]:
        return self._watchpoints

    @property
    def any(self) -> bool:
        return bool(self._breakpoints or self._watchpoints)

    def insert_breakpoints(self) -> None:
        """Have the processor know the breakpoints that there are now."""
        known = self._machine.breakpoints
        for at in self._inserted - self._breakpoints.keys():
            known.remove(at)
            self._inserted.remove(at)
        for at in self._breakpoints.keys() - self._inserted:
            if at not in known:
                known.add(at)
                self._inserted.add(at)

    def insert_watchpoints(self) -> None:
        """Have the processor know the watchpoints that there are now."""
        if self._watching.keys() == self._watchpoints:
            return
        for point in self._watching.keys() - self._watchpoints:
            self._watching.pop(point).remove()
        for point in self._watchpoints - self._watching.keys():
            place = range(point.at, point.at + point.length)
            self._watching[point] = self._machine.watchpoints.add(place, point.access)

    def has_breakpoint(self, at: int) -> bool:
        """Whether the debugger has a breakpoint at linear address `at`."""
        return at in self._breakpoints

    def reached(self, at: int) -> Stopped | None:
        """The stop in front of the instruction at `at`, which is next; `None` where no breakpoint is, or wants it."""
        if not (kinds := self._breakpoints.get(at)):
            return None
        for kind in sorted(kinds):
            conditions = kinds[kind]
            if not conditions or any(condition.is_true(self._values) for condition in conditions):
                return _STOPS[kind]
        return None

    def unconditional_stop(self, at: int) -> Stopped | None:
        """What `reached` always is for `at`; `None` if that depends on conditions."""
        kind, conditions = min(self._breakpoints[at].items())
        return None if conditions else _STOPS[kind]

    def passes(self, at: int) -> bool:
        """Whether the run, stopped by a breakpoint at `at`, is to go on: it is ours, and its conditions are false."""
        return at in self._inserted and self.reached(at) is None

    def watchpoint_stop(self) -> Stopped:
        """The stop behind the instruction whose accesses `machine.watchpoints.hits` has."""
        for hit in self._machine.watchpoints.hits:
            for point in self._watchpoints:
                if point.is_hit_by(hit):
                    return point.stop(hit)
        return Stopped(HostSignal.TRAP)
