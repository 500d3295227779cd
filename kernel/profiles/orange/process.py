"""A process, and its entry in `proc_table`, an array in the kernel's image.

::

    struct proc {
        u32 below[16];       what is pushed below the frame while the kernel returns by it
        u32 frame[19];       struct trap_frame of docs/kernel.md: its registers while it does not run
        u32 pid;             0: the entry is not in use
        u32 parent;
        u32 state;           1 ready, 3 waiting for a child, 4 a zombie
        u32 page_directory;  CR3
        u32 window;          where the kernel sees its memory
        u32 pages;           how many the window has
        u32 exit_status;     as waitpid gives it
        u32 waits_for;       a pid, or -1 for any child
        u32 status_at;       where the program wants the status
        u32 fpu;             fpu_area, from its first coprocessor instruction on
        u8  name[16];
        u8  unused[12];
        u8  fpu_area[512];   coprocessor registers, as FXSAVE or FNSAVE has them
    };                       720 bytes

ESP0 of the task-state segment is the end of `frame`, so that the processor saves a program's registers right here.
"""

from __future__ import annotations

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PhysAddr
from hillemu.kernel.mm.structure import Structure
from hillemu.kernel.mm.words import words
from hillemu.kernel.process_base import NAME_BYTES, Members, ProcessBase, State
from hillemu.kernel.profiles.orange.process_memory import ProcessMemory
from hillemu.kernel.trap_frame import USER_FRAME_WORDS

PROC = Structure(
    "proc", "u32 below[16]", f"u32 frame[{USER_FRAME_WORDS}]", "u32 pid", "u32 parent", "u32 state",
    "u32 page_directory", "u32 window", "u32 pages", "u32 exit_status", "u32 waits_for", "u32 status_at", "u32 fpu",
    f"u8 name[{NAME_BYTES}]", "u8 unused[12]", "u8 fpu_area[512]",
)  # fmt: skip


def _word(member: str) -> int:
    return PROC.offset(member) // 4


FRAME, PID, PARENT, STATE, PAGE_DIRECTORY, WINDOW, PAGES = (
    _word(name) for name in ("frame", "pid", "parent", "state", "page_directory", "window", "pages")
)
EXIT_STATUS, WAITS_FOR, STATUS_AT, FPU = (_word(name) for name in ("exit_status", "waits_for", "status_at", "fpu"))


class Process(ProcessBase[ProcessMemory]):
    """The process in place `slot` of the table at `table`, whose entry becomes its own."""

    MEMBERS = Members(PARENT, STATE, EXIT_STATUS, WAITS_FOR, STATUS_AT, FPU)

    def __init__(
        self, memory: GuestMemory, table: int, slot: int, pid: int, parent: int, name: str, space: ProcessMemory
    ) -> None:
        self.slot, self.at = slot, PhysAddr(table + slot * PROC.size_bytes)
        memory.fill(self.at, PROC.size_bytes)
        raw = name.encode("utf-8", "replace")[: NAME_BYTES - 1]
        PROC.write(
            memory, self.at, pid=pid, parent=parent, page_directory=space.cr3, window=space.window, pages=space.pages,
            name=raw,
        )  # fmt: skip
        super().__init__(words(memory, self.at, PROC.size_bytes // 4), pid, name)
        self.space = space
        self.state = State.READY

    @property
    def frame(self) -> int:
        return self.at + PROC.offset("frame")

    @property
    def stack_top(self) -> int:
        return self.at + PROC.offset("pid")

    @property
    def fpu_area(self) -> PhysAddr:
        return PhysAddr(self.at + PROC.offset("fpu_area"))

    def drop_space(self) -> None:
        space = self.space
        if space is not None:
            self.space = None
            for member in (PAGE_DIRECTORY, WINDOW, PAGES):
                self.record[member] = 0
            space.destroy()
