"""All processes: how they begin, have children, and end; their memory is from `vm_alloc`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hillemu.emu.i386.address import PAGE_SHIFT, VirtAddr, page_down, page_up
from hillemu.kernel.errno import Errno
from hillemu.kernel.mm.files import File
from hillemu.kernel.mm.protection import PROT_WRITE
from hillemu.kernel.mm.words import Words
from hillemu.kernel.process import State
from hillemu.kernel.processes import status_text
from hillemu.kernel.profiles.orange.layout import PROCESSES, STACK_PAGES, USER_BASE, USER_END, WINDOW_BYTES
from hillemu.kernel.profiles.orange.memory_manager import MemoryManager
from hillemu.kernel.profiles.orange.process import (
    ANY_CHILD,
    EXIT_STATUS,
    PAGE_DIRECTORY,
    PAGES,
    PID,
    STATUS_AT,
    WAITS_FOR,
    WINDOW,
    Process,
)
from hillemu.kernel.profiles.orange.process_memory import Area, ProcessMemory, bytes_for
from hillemu.kernel.profiles.orange.scheduler import Scheduler
from hillemu.kernel.program_file import NotAProgram, ProgramFile, read_program
from hillemu.kernel.program_loader import stack_image
from hillemu.kernel.trap_frame import EAX, USER_FRAME_WORDS, make_user_frame

MAX_PID = 32767
_STACK_BASE = VirtAddr(USER_END - (STACK_PAGES << PAGE_SHIFT))


class Processes:
    """The table at physical `table`; `leave_space` has the processor use the kernel's own page directory."""

    def __init__(
        self,
        mm: MemoryManager,
        scheduler: Scheduler,
        words: Words,
        table: int,
        *,
        log: Callable[[str], None],
        report: Callable[[str], None],
        leave_space: Callable[[], None],
    ) -> None:
        self._mm, self.scheduler, self._words, self._table = mm, scheduler, words, table
        self._log, self._report, self._leave_space = log, report, leave_space
        self.by_pid: dict[int, Process] = {}
        self._last_pid = 0
        self.on_last_exit: Callable[[], None] = lambda: None
        """Called when the last process has ended."""

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
            make_user_frame(self._words, made.frame >> 2, program.entry, USER_END - len(stack))
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
        to = child.frame >> 2
        for number in range(USER_FRAME_WORDS):
            self._words[to + number] = self._words[frame + number]
        self._words[to + EAX] = 0
        self.scheduler.fork_registers(parent, child)
        self.scheduler.add(child)
        return child.pid

    # ---- ends -------------------------------------------------------------------------------------------------------

    def end(self, process: Process, status: int) -> None:
        """`process` ends with `status`, as waitpid gives it; if it runs, somebody else does from now on."""
        scheduler = self.scheduler
        was_running = process is scheduler.current
        scheduler.remove(process)
        scheduler.drop_registers(process)
        process.state = State.ZOMBIE
        process.record[EXIT_STATUS] = status
        space = process.space
        assert space is not None
        if was_running:
            self._leave_space()
        process.drop_space()
        space.destroy()
        for child in self._children(process.pid):
            child.parent = 0
            if child.state is State.ZOMBIE:
                self._forget(child)
        self._tell_parent(process)
        if was_running:
            scheduler.switch()
        if all(one.state is State.ZOMBIE for one in self.by_pid.values()):
            self.on_last_exit()

    def wait(self, parent: Process, pid: int, status_at: int, *, may_block: bool) -> int | None:
        """As waitpid: a child that has ended, 0 if `may_block` is false, an error, or None if `parent` waits now."""
        children = [one for one in self._children(parent.pid) if pid in (ANY_CHILD, one.pid)]
        if not children:
            return Errno.ECHILD
        for child in children:
            if child.state is State.ZOMBIE:
                return self._reap(parent, child, status_at)
        if not may_block:
            return 0
        parent.record[WAITS_FOR], parent.record[STATUS_AT] = pid, status_at
        self.scheduler.block(State.WAITING)
        return None

    def _tell_parent(self, process: Process) -> None:
        parent = self.by_pid.get(process.parent)
        if parent is None:
            self._log(f"kernel: {process} {status_text(process.record[EXIT_STATUS])}")
            self._forget(process)
        elif parent.state is State.WAITING and parent.record[WAITS_FOR] in (ANY_CHILD, process.pid):
            result = self._reap(parent, process, parent.record[STATUS_AT])
            self._words[(parent.frame >> 2) + EAX] = result & 0xFFFFFFFF
            self.scheduler.add(parent)

    def _reap(self, parent: Process, child: Process, status_at: int) -> int:
        assert parent.space is not None
        if status_at and not parent.space.write(status_at, child.record[EXIT_STATUS].to_bytes(4, "little")):
            return Errno.EFAULT
        self._forget(child)
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

    def _children(self, pid: int) -> list[Process]:
        return [one for one in self.by_pid.values() if one.parent == pid] if pid else []

    def _create(self, name: str, parent: int, memory: Callable[[int], ProcessMemory | None]) -> Process | Errno:
        used = {one.slot for one in self.by_pid.values()}
        slot = next((number for number in range(PROCESSES) if number not in used), None)
        if slot is None:
            return Errno.EAGAIN
        space = memory(slot)
        if space is None:
            return Errno.ENOMEM
        pid = self._free_pid()
        self.by_pid[pid] = process = Process(self._mm.memory, self._table, slot, pid, parent, name, space)
        return process

    def _free_pid(self) -> int:
        while True:
            self._last_pid = self._last_pid % MAX_PID + 1
            if self._last_pid not in self.by_pid:
                return self._last_pid

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
