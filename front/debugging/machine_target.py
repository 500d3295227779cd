"""A `Machine` as GDB's target: registers, memory, breakpoints.

It does not run the machine; `wanted` is how GDB wants it to be set in motion, and `hillemu.debugging.debugged_run`
does that.

Breakpoints are the processor's own, at linear addresses, whatever page tables and code are there: one that is set
before paging is on holds afterwards, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hillemu.debugging import memory_access, register_access
from hillemu.debugging.history import History
from hillemu.debugging.monitor import Monitor
from hillemu.debugging.points import Points
from hillemu.emu.gdb.agent_expressions import Expression
from hillemu.emu.gdb.registers import Register
from hillemu.emu.gdb.target import HostSignal, Outcome, PointKind, Region, Resume, Stopped
from hillemu.emu.i386.control import ControlState

if TYPE_CHECKING:
    from hillemu.machine import Machine

_INT3 = b"\xcc"


class MachineTarget:
    """`machine` through the eyes of a debugger; fulfils `hillemu.emu.gdb.target.Target`.

    Not modelled: the portable core has no watchpoints.
    """

    def __init__(self, machine: Machine, history: History) -> None:
        self.machine = machine
        self._history = history
        self._cpu = machine.cpu.processor
        self.monitor_commands = Monitor(machine, restart=self.restart, quit_=self.kill, was_moved=self._was_moved)
        self.wanted: Resume | None = None
        self.killed = self.moved = self.interrupted = False
        self.was_changed = False
        """Somebody wrote a register or memory since the machine stopped."""
        self.notes: list[str] = []
        """Lines for the person at the debugger, who hears them when the machine is next set in motion."""
        self.outcome: Outcome = Stopped(HostSignal.TRAP)
        self.points = Points(machine, self)

    # ---- registers and memory -----------------------------------------------------------------------------------

    @property
    def machine_name(self) -> str:
        return "i386" if register_access.code_size(self._cpu) == 32 else "i8086"

    def read_register(self, register: Register) -> bytes | None:
        return register_access.READERS[register.number](self._cpu)

    def read_expedited(self) -> bytes:
        return self._cpu.basic_registers()  # the same, in the same order

    def write_register(self, register: Register, value: bytes) -> None:
        self.was_changed = True
        if register.name == "eip" and int.from_bytes(value, "little") == self.pc + 1:
            self._note_a_skipped_int3()
        register_access.write(self._cpu, self.machine.memory, register, value)

    def _note_a_skipped_int3(self) -> None:
        """GDB goes on behind it, without a word, where it has a breakpoint at an INT3 that it did not write."""
        if self.read_memory(self.pc, 1, physical=False) == _INT3:
            self.notes.append(
                f"hillemu: the guest's INT3 at {self.pc:#010x} is skipped; no handler of its own is called"
            )

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

    # ---- breakpoints and watchpoints ----------------------------------------------------------------------------

    def add_point(self, kind: PointKind, at: int, length: int, conditions: Sequence[Expression] = ()) -> None:
        self.points.add(kind, at, length, conditions)

    def remove_point(self, kind: PointKind, at: int, length: int) -> None:
        self.points.remove(kind, at, length)

    @property
    def pc(self) -> int:
        """The linear address of the next instruction."""
        return self._cpu.linear_eip

    # ---- motion -------------------------------------------------------------------------------------------------

    def resume(self, how: Resume) -> None:
        self.wanted = how

    @property
    def goes_backwards(self) -> bool:
        return self._history.has_begun

    def interrupt(self) -> None:
        self.interrupted = True
        self.machine.stop()

    def last_stop(self) -> Outcome:
        self.interrupted = False  # whoever asks knows that the machine stands still
        return self.outcome

    def monitor(self, command: str) -> str:
        return self.monitor_commands.run(command)

    def detach(self) -> None:
        self.points.clear()

    def kill(self) -> None:
        self.killed = True

    def restart(self) -> None:
        self.machine.boot_again()
        self._was_moved()

    def _was_moved(self) -> None:
        """The machine is somewhere else in its run: what stopped it before is no more."""
        self.moved = True
        self.outcome = Stopped(HostSignal.TRAP)
