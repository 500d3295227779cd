"""The processes of profile `orange`: how they begin and have children; their memory is from `vm_alloc`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hillemu.emu.i386.address import PAGE_SHIFT, VirtAddr, page_down, page_up
from hillemu.kernel.errno import Errno
from hillemu.kernel.mm.files import File
from hillemu.kernel.mm.protection import PROT_WRITE
from hillemu.kernel.mm.words import Words
from hillemu.kernel.process_table import ProcessTable
from hillemu.kernel.profiles.orange.fpu import Fpu
from hillemu.kernel.profiles.orange.layout import PROCESSES, STACK_PAGES, USER_BASE, USER_END, WINDOW_BYTES
from hillemu.kernel.profiles.orange.memory_manager import MemoryManager
from hillemu.kernel.profiles.orange.process import PAGE_DIRECTORY, PAGES, PID, WINDOW, Process
from hillemu.kernel.profiles.orange.process_memory import Area, ProcessMemory, bytes_for
from hillemu.kernel.program_file import NotAProgram, ProgramFile, read_program
from hillemu.kernel.program_loader import stack_image
from hillemu.kernel.round_robin import RoundRobin
from hillemu.kernel.trap_frame import make_user_frame

_STACK_BASE = VirtAddr(USER_END - (STACK_PAGES << PAGE_SHIFT))


class Processes(ProcessTable[Process]):
    """The table at physical `table`, which has `PROCESSES` places."""

    def __init__(
        self,
        mm: MemoryManager,
        scheduler: RoundRobin[Process],
        fpu: Fpu,
        words: Words,
        table: int,
        *,
        log: Callable[[str], None],
        report: Callable[[str], None],
        leave_space: Callable[[], None],
    ) -> None:
        super().__init__(scheduler, fpu, words, log, leave_space)
        self._mm, self._table, self._report = mm, table, report

    # ---- beginnings -------------------------------------------------------------------------------------------------

    def start_program(self, file: File, arguments: Sequence[bytes]) -> Process | Errno:
        """A process of its own that runs `file`."""
        program = read_program(file, USER_BASE, _STACK_BASE, USER_BASE)
        if isinstance(program, NotAProgram):
            self._report(f"exec: {file.name} {program.why}")
            return Errno.ENOEXEC
        stack = stack_image(USER_END, arguments, ())
        if len(stack) > STACK_PAGES << PAGE_SHIFT:
            return Errno.E2BIG

        areas = areas_of(program)
        if (size := bytes_for(areas)) > WINDOW_BYTES:
            self._report(
                f"exec: {file.name} takes {size >> 10} KB with its page tables; a process has {WINDOW_BYTES >> 10} KB"
            )
            return Errno.ENOMEM

        def fill(memory: ProcessMemory) -> None:
            for segment in program.segments:
                memory.load(segment.start, file.read(segment.offset, segment.file_bytes))
            memory.load(USER_END - len(stack), stack)

        made = self._create(file.name, 0, lambda slot: ProcessMemory.create(self._mm, slot, areas, fill))
        if not isinstance(made, Errno):
            make_user_frame(self._words, self._frame_word(made), program.entry, USER_END - len(stack))
            self.scheduler.add(made)
        return made

    def fork(self, parent: Process, frame: int) -> int:
        """The pid of a child that is like `parent` but for this result, which is 0 there.

        The parent's trap frame is at word `frame`.
        """
        space = parent.space
        assert space is not None
        child = self._create(parent.name, parent.pid, space.fork)
        if isinstance(child, Errno):
            return child
        self._fork_frame(frame, child)
        self.fpu.fork(parent, child)
        self.scheduler.add(child)
        return child.pid

    # ---- the table --------------------------------------------------------------------------------------------------

    def check(self) -> list[str]:
        """Contradictions between the table, page directories and windows; none if all is well."""
        found = []
        for process in self.by_pid.values():
            space, record = process.space, process.record
            wanted = (process.pid, *((space.cr3, space.window, space.pages) if space else (0, 0, 0)))
            said = tuple(record[member] for member in (PID, PAGE_DIRECTORY, WINDOW, PAGES))
            if said != wanted:
                found.append(f"process: {process} has pid, page directory, window and pages {said}, not {wanted}")
            if space is not None and self._mm.physical(space.window) != space.base:
                found.append(f"process: the window of {process} at 0x{space.window:08X} is not mapped to its frames")
            if space is not None:
                found += [f"process: {process}: {sentence}" for sentence in space.check()]
        kernel = self._mm.tables
        for cr3, directory in kernel.copies.items():
            if cr3 not in {one.space.cr3 for one in self.by_pid.values() if one.space}:
                found.append(f"process: page directory 0x{cr3:08X} is nobody's")
            shared = range(USER_BASE >> 22)
            wrong = [number for number in shared if (directory[number] ^ kernel.directory[number]) & ~0x60]
            if wrong:
                found.append(f"process: page directory 0x{cr3:08X} lacks the kernel's entry {wrong[0]}")
        return found

    def mappings(self) -> list[tuple[VirtAddr, int]]:
        """What the page tables of all processes map of their own."""
        spaces = [one.space for one in self.by_pid.values() if one.space is not None]
        return [mapping for space in spaces for mapping in space.mappings()]

    def _frame_word(self, process: Process) -> int:
        return process.frame >> 2

    def _create(self, name: str, parent: int, memory: Callable[[int], ProcessMemory | None]) -> Process | Errno:
        used = {one.slot for one in self.by_pid.values()}
        slot = next((number for number in range(PROCESSES) if number not in used), None)
        if slot is None:
            return Errno.EAGAIN
        pid = self._free_pid()
        assert pid is not None, "there are more numbers than places"
        space = memory(slot)
        if space is None:
            return Errno.ENOMEM
        self.by_pid[pid] = process = Process(self._mm.memory, self._table, slot, pid, parent, name, space)
        return process

    def _forget(self, process: Process) -> None:
        process.record[PID] = 0
        del self.by_pid[process.pid]


def areas_of(program: ProgramFile) -> list[Area]:
    """The pages of the segments, each page once, and of the stack: in runs that have the same rights."""
    writable: dict[int, bool] = {}
    for segment in program.segments:
        for page in range(page_down(segment.start), page_up(segment.end), 1 << PAGE_SHIFT):
            writable[page] = writable.get(page, False) or bool(segment.prot & PROT_WRITE)
    areas: list[Area] = []
    for page in sorted(writable):
        if areas and areas[-1].end == page and areas[-1].writable == writable[page]:
            areas[-1] = areas[-1]._replace(pages=areas[-1].pages + 1)
        else:
            areas.append(Area(VirtAddr(page), 1, writable[page]))
    return [*areas, Area(_STACK_BASE, STACK_PAGES, True)]
