"""The breakpoints and watchpoints that a debugger has set on a machine.

They are put into the processor when the machine is set in motion, not when they are asked for: GDB takes all of them
out at every stop and puts them back, and each change costs translated code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hillemu.emu.gdb.target import ErrorNumber, HostSignal, PointKind, StopCause, Stopped, TargetError, Unsupported

if TYPE_CHECKING:
    from hillemu.machine import Machine
    from hillemu.watched import Handle

_CAUSES = {
    PointKind.SOFTWARE_BREAKPOINT: StopCause.SOFTWARE_BREAKPOINT,
    PointKind.HARDWARE_BREAKPOINT: StopCause.HARDWARE_BREAKPOINT,
    PointKind.WRITE_WATCHPOINT: StopCause.WRITE_WATCHPOINT,
    PointKind.READ_WATCHPOINT: StopCause.READ_WATCHPOINT,
    PointKind.ACCESS_WATCHPOINT: StopCause.ACCESS_WATCHPOINT,
}
_BREAKPOINTS = frozenset((PointKind.SOFTWARE_BREAKPOINT, PointKind.HARDWARE_BREAKPOINT))
_SPACE_END = 1 << 32

Watchpoint = tuple[PointKind, int, int]
"""What accesses, at which linear address, to how many bytes."""


class Points:
    """What the debugger wants `machine` to stop at; the user's own breakpoints and watchpoints stay."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._breakpoints: dict[int, set[PointKind]] = {}
        self._watchpoints: set[Watchpoint] = set()
        self._inserted: set[int] = set()
        self._watching: dict[Watchpoint, Handle] = {}

    @property
    def watches_data(self) -> bool:
        """Whether watchpoints can be set: the portable core sees no accesses."""
        return self._machine.cpu.core == "native"

    def add(self, kind: PointKind, at: int, length: int) -> None:
        if kind in _BREAKPOINTS:
            self._breakpoints.setdefault(at, set()).add(kind)
            return
        if not self.watches_data:
            raise Unsupported("watchpoints")
        if at + length > _SPACE_END:
            raise TargetError(ErrorNumber.INVALID, f"{length} bytes at {at:#x} reach beyond 4 GiB")
        self._watchpoints.add((kind, at, length))

    def remove(self, kind: PointKind, at: int, length: int) -> None:
        if kind not in _BREAKPOINTS:
            self._watchpoints.discard((kind, at, length))
            return
        kinds = self._breakpoints.get(at, set())
        kinds.discard(kind)
        if not kinds:
            self._breakpoints.pop(at, None)

    def clear(self) -> None:
        """Forget all of them, and take them out of the processor."""
        self._breakpoints.clear()
        self._watchpoints.clear()
        self.insert_breakpoints()
        self.insert_watchpoints()

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
        from hillemu.emu.cpu.observers import Watch

        for point in self._watching.keys() - self._watchpoints:
            self._watching.pop(point).remove()
        for point in self._watchpoints - self._watching.keys():
            kind, at, length = point
            accesses = {PointKind.WRITE_WATCHPOINT: Watch.WRITE, PointKind.READ_WATCHPOINT: Watch.READ}
            place = range(at, at + length)
            self._watching[point] = self._machine.watchpoints.add(place, accesses.get(kind, Watch.ACCESS))

    def has_breakpoint(self, at: int) -> bool:
        """Whether the debugger has a breakpoint at linear address `at`."""
        return at in self._breakpoints

    def breakpoint_stop(self, at: int) -> Stopped:
        """A stop in front of the instruction at `at`, which may be the user's own breakpoint."""
        kinds = self._breakpoints.get(at)
        return Stopped(HostSignal.TRAP, _CAUSES[min(kinds)] if kinds else StopCause.STEP)

    def watchpoint_stop(self) -> Stopped:
        """The stop behind the instruction whose accesses `machine.watchpoints.hits` has."""
        for hit in self._machine.watchpoints.hits:
            for kind, at, length in self._watchpoints:
                wrong_way = {"READ": PointKind.WRITE_WATCHPOINT, "WRITE": PointKind.READ_WATCHPOINT}[
                    hit.kind.name or ""
                ]
                if hit.address < at + length and at < hit.address + hit.size and kind is not wrong_way:
                    return Stopped(HostSignal.TRAP, _CAUSES[kind], max(hit.address, at))
        return Stopped(HostSignal.TRAP)
