"""A process, and its record in guest memory.

::

    struct task {
        u32 pid, parent, state;
        u32 frame;            where its trap frame lies while it does not run
        u32 page_directory;   CR3
        u32 memory;           its struct task_memory; 0 for a kernel thread
        u32 kernel_stack;     the guard page below it
        u32 exit_status;      as waitpid gives it
        u64 wake_ns;          when a sleeper wakes
        u32 waits_for;        a pid, or -1 for any child
        u32 status_at;        where the program wants the status
        u32 next;             the task that was made after it
        u32 fpu;              where its coprocessor registers are saved; 0 until it uses them
        u8  name[16];
    };
"""

from __future__ import annotations

from hillemu.emu.i386.address import VirtAddr
from hillemu.kernel.kernel_stacks import SLOT_BYTES
from hillemu.kernel.mm.address_space import AddressSpace
from hillemu.kernel.mm.direct_map import DirectMap
from hillemu.kernel.mm.structure import Structure
from hillemu.kernel.open_files import OpenFiles
from hillemu.kernel.process_base import NAME_BYTES, Members, ProcessBase, State

TASK = Structure(
    "task",
    "u32 pid",
    "u32 parent",
    "u32 state",
    "u32 frame",
    "u32 page_directory",
    "u32 memory",
    "u32 kernel_stack",
    "u32 exit_status",
    "u64 wake_ns",
    "u32 waits_for",
    "u32 status_at",
    "u32 next",
    "u32 fpu",
    "u8 name[16]",
)
PID, PARENT, STATE, FRAME, PAGE_DIRECTORY, MEMORY, KERNEL_STACK, EXIT_STATUS = range(8)
WAITS_FOR, STATUS_AT, NEXT, FPU = 10, 11, 12, 13


class Process(ProcessBase[AddressSpace]):
    """The Python side of the record at `at`; `space` is None for a kernel thread."""

    MEMBERS = Members(PARENT, STATE, EXIT_STATUS, WAITS_FOR, STATUS_AT, FPU)

    def __init__(
        self, direct: DirectMap, at: VirtAddr, pid: int, parent: int, name: str, stack: int, space: AddressSpace | None
    ) -> None:
        super().__init__(direct.u32_array(at, TASK.size_bytes // 4), pid, name)
        self.at, self.stack, self._direct = at, stack, direct
        self.files = OpenFiles()
        for number in range(len(self.record)):
            self.record[number] = 0
        self.record[PID], self.record[PARENT], self.record[KERNEL_STACK] = pid, parent, stack
        self.state = State.READY
        self.set_space(space)
        self.rename(name)

    @property
    def stack_top(self) -> int:
        """Where its kernel stack is empty."""
        return self.stack + SLOT_BYTES

    @property
    def frame(self) -> int:
        """The address of its trap frame while it does not run."""
        return self.record[FRAME]

    @frame.setter
    def frame(self, at: int) -> None:
        self.record[FRAME] = at

    @property
    def wake_ns(self) -> int:
        return self.record[8] | self.record[9] << 32

    @wake_ns.setter
    def wake_ns(self, at: int) -> None:
        self.record[8], self.record[9] = at & 0xFFFFFFFF, at >> 32

    def set_space(self, space: AddressSpace | None) -> None:
        """Give it another address space."""
        self.space = space
        self.record[PAGE_DIRECTORY] = space.cr3 if space else 0
        self.record[MEMORY] = space.at if space else 0
        if space is not None:
            space.name = str(self)

    def drop_space(self) -> None:
        space = self.space
        if space is not None:
            self.set_space(None)
            space.destroy()

    def rename(self, name: str) -> None:
        """Call it by the program that it runs."""
        self.name = name
        raw = name.encode("utf-8", "replace")[: NAME_BYTES - 1].ljust(NAME_BYTES, b"\0")
        self._direct.write(VirtAddr(self.at + TASK.offset("name")), raw)
        if self.space is not None:
            self.space.name = str(self)
