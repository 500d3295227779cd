"""A `Machine` as GDB's target: registers, memory, breakpoints.

It does not run the machine; `wanted` is how GDB wants it to be set in motion, and `hillemu.debugging.debugged_run`
does that.

Breakpoints are the processor's own, at linear addresses, whatever page tables and code are there: one that is set
before paging is on holds afterwards, too.  They are put into the processor when the machine is set in motion, because
GDB takes all of them out at every stop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hillemu.debugging import memory_access, register_access
from hillemu.debugging.monitor import Monitor
from hillemu.emu.gdb.registers import Register
from hillemu.emu.gdb.target import (
    HostSignal,
    Outcome,
    PointKind,
    Region,
    Resume,
    StopCause,
    Stopped,
    Unsupported,
)
from hillemu.emu.i386.control import ControlState

if TYPE_CHECKING:
    from hillemu.machine import Machine

_BREAKPOINTS = {
    PointKind.SOFTWARE_BREAKPOINT: StopCause.SOFTWARE_BREAKPOINT,
    PointKind.HARDWARE_BREAKPOINT: StopCause.HARDWARE_BREAKPOINT,
}


class MachineTarget:
    """`machine` through the eyes of a debugger; fulfils `hillemu.emu.gdb.target.Target`.

    Not modelled: watchpoints and reverse execution; GDB is told so when it attaches.
    """

    watches_data = False
    goes_backwards = False

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._cpu = machine.cpu.processor
        self.monitor_commands = Monitor(machine, restart=self.restart, quit_=self.kill)
        self.wanted: Resume | None = None
        self.killed = self.restarted = False
        self.was_changed = False
        """Somebody wrote a register or memory since the machine stopped."""
        self.outcome: Outcome = Stopped(HostSignal.TRAP)
        self._points: dict[int, set[PointKind]] = {}
        self._inserted: set[int] = set()

    # ---- registers and memory -----------------------------------------------------------------------------------

    @property
    def machine_name(self) -> str:
        return "i386" if register_access.code_size(self._cpu) == 32 else "i8086"

    def read_register(self, register: Register) -> bytes | None:
        return register_access.read(self._cpu, register)

    def write_register(self, register: Register, value: bytes) -> None:
        self.was_changed = True
        register_access.write(self._cpu, self.machine.memory, register, value)

    def read_memory(self, at: int, count: int, *, physical: bool) -> bytes:
        memory = self.machine.memory
        if physical:
            return memory_access.read_physical(memory, at, count)
        return memory_access.read_linear(memory, at, count, self._control)

    def write_memory(self, at: int, data: bytes, *, physical: bool) -> None:
        self.was_changed = True
        if physical:
            memory_access.write_physical(self.machine.memory, at, data)
        else:
            memory_access.write_linear(self.machine.memory, at, data, self._control)
        self._cpu.flush_tlb()  # it may have been a page table

    @property
    def _control(self) -> ControlState:
        return ControlState.read(self._cpu)

    def memory_map(self) -> Sequence[Region]:
        """All there is: any address may be mapped one day, and GDB never asks again."""
        return (Region(0, 1 << 32, True),)

    # ---- breakpoints --------------------------------------------------------------------------------------------

    def add_point(self, kind: PointKind, at: int, length: int) -> None:
        if kind not in _BREAKPOINTS:
            raise Unsupported("watchpoints")
        self._points.setdefault(at, set()).add(kind)

    def remove_point(self, kind: PointKind, at: int, length: int) -> None:
        if kind not in _BREAKPOINTS:
            raise Unsupported("watchpoints")
        kinds = self._points.get(at, set())
        kinds.discard(kind)
        if not kinds:
            self._points.pop(at, None)

    def insert_points(self) -> None:
        """Have the processor know the breakpoints that there are now; the user's own stay."""
        breakpoints = self.machine.breakpoints
        for at in self._inserted - self._points.keys():
            breakpoints.remove(at)
            self._inserted.remove(at)
        for at in self._points.keys() - self._inserted:
            if at not in breakpoints:
                breakpoints.add(at)
                self._inserted.add(at)

    def has_point(self, at: int) -> bool:
        """Whether the debugger has a breakpoint at linear address `at`."""
        return at in self._points

    @property
    def pc(self) -> int:
        """The linear address of the next instruction."""
        return register_access.linear_pc(self._cpu)

    def cause_at(self, at: int) -> StopCause:
        """Why a run stopped at the breakpoint at `at`."""
        kinds = self._points.get(at)
        return _BREAKPOINTS[min(kinds)] if kinds else StopCause.STEP

    def forget_points(self) -> None:
        """Take all of the debugger's breakpoints away."""
        self._points.clear()
        self.insert_points()

    # ---- motion -------------------------------------------------------------------------------------------------

    def resume(self, how: Resume) -> None:
        self.wanted = how

    def interrupt(self) -> None:
        self.machine.stop()

    def last_stop(self) -> Outcome:
        return self.outcome

    def monitor(self, command: str) -> str:
        return self.monitor_commands.run(command)

    def detach(self) -> None:
        self.forget_points()

    def kill(self) -> None:
        self.killed = True

    def restart(self) -> None:
        self.machine.boot_again()
        self.restarted = True
        self.outcome = Stopped(HostSignal.TRAP)
