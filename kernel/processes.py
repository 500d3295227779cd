"""The processes of profile `hillson`: how they begin, have children, and become other programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hillemu.emu.i386.address import VirtAddr
from hillemu.kernel.errno import Errno
from hillemu.kernel.fpu import Fpu
from hillemu.kernel.kernel_stacks import KernelStacks
from hillemu.kernel.mm.address_space import AddressSpace
from hillemu.kernel.mm.files import File
from hillemu.kernel.mm.frames import OutOfMemory
from hillemu.kernel.mm.outcomes import SIGKILL
from hillemu.kernel.mm.virtual_memory import VirtualMemory
from hillemu.kernel.process import NEXT, TASK, Process
from hillemu.kernel.process_table import ProcessTable
from hillemu.kernel.program_loader import load_program
from hillemu.kernel.scheduler import Scheduler
from hillemu.kernel.trap_frame import (
    KERNEL_FRAME_WORDS,
    USER_FRAME_WORDS,
    make_kernel_frame,
    make_user_frame,
)

if TYPE_CHECKING:
    from hillemu.kernel.mm.words import Words

_THREAD_ARGUMENT_WORDS = 16


class Processes(ProcessTable[Process]):
    """Programs and kernel threads, with a record and a kernel stack each."""

    scheduler: Scheduler
    fpu: Fpu

    def __init__(
        self,
        vm: VirtualMemory,
        scheduler: Scheduler,
        stacks: KernelStacks,
        fpu: Fpu,
        words: Words,
        log: Callable[[str], None],
        leave_space: Callable[[], None],
    ) -> None:
        super().__init__(scheduler, fpu, words, log, leave_space)
        self._vm, self.stacks = vm, stacks
        self._records = vm.kernel_memory.caches.create("task", TASK.size_bytes)
        vm.kill = self._killed_for_memory

    # ---- beginnings -------------------------------------------------------------------------------------------------

    def start_program(self, file: File, arguments: Sequence[bytes]) -> Process | Errno:
        """A process of its own that runs `file`."""
        process = self._create(file.name, 0, None)
        if isinstance(process, Errno):
            return process
        loaded = load_program(self._vm, file, arguments, (), str(process))
        if isinstance(loaded, Errno):
            self._forget(process)
            return loaded
        process.set_space(loaded.space)
        make_user_frame(self._words, self._frame_word(process), loaded.entry, loaded.stack)
        self.scheduler.add(process)
        return process

    def start_thread(self, entry: int, name: str, return_to: int) -> Process | Errno:
        """A kernel thread that begins at `entry`, as a function called from `return_to` without arguments."""
        process = self._create(name, 0, None)
        if isinstance(process, Errno):
            return process
        # Above the frame lies what the function finds on its stack: where to return to, and no arguments.
        process.frame = process.stack_top - 4 * (KERNEL_FRAME_WORDS + _THREAD_ARGUMENT_WORDS)
        frame = self._frame_word(process)
        make_kernel_frame(self._words, frame, entry)
        self._words[frame + KERNEL_FRAME_WORDS] = return_to
        self.scheduler.add(process)
        return process

    def fork(self, parent: Process, frame: int) -> int:
        """The pid of a child that is like `parent` but for this result, which is 0 there."""
        assert parent.space is not None
        child = self._create(parent.name, parent.pid, None)
        if isinstance(child, Errno):
            return child
        space = parent.space.fork() if self.fpu.fork(parent, child) else OutOfMemory(0, 0)
        if isinstance(space, OutOfMemory):
            self._forget(child)
            return Errno.ENOMEM
        child.set_space(space)
        child.files = parent.files.copy()
        self._fork_frame(frame, child)
        self.scheduler.add(child)
        return child.pid

    def execute(
        self, process: Process, frame: int, file: File, arguments: Sequence[bytes], environment: Sequence[bytes]
    ) -> int:
        """Have `process` run `file` instead, from the start; an error if that is not possible."""
        loaded = load_program(self._vm, file, arguments, environment, str(process))
        if isinstance(loaded, Errno):
            return loaded
        old = process.space
        self._leave_space()
        process.set_space(loaded.space)
        process.rename(file.name)
        self.fpu.drop(process)
        self.scheduler.use_space_of_current()
        if old is not None:
            old.destroy()
        make_user_frame(self._words, frame, loaded.entry, loaded.stack)
        return 0

    def _killed_for_memory(self, space: AddressSpace, reason: str) -> None:
        for process in list(self.by_pid.values()):
            if process.space is space:
                self.end(process, SIGKILL)

    # ---- the table --------------------------------------------------------------------------------------------------

    def _frame_word(self, process: Process) -> int:
        return self.stacks.word_index(process.frame)

    def _create(self, name: str, parent: int, space: AddressSpace | None) -> Process | Errno:
        pid = self._free_pid()
        if pid is None:
            return Errno.EAGAIN
        stack = self.stacks.take()
        if isinstance(stack, OutOfMemory):
            return Errno.ENOMEM
        at = self._records.alloc()
        if not at:
            self.stacks.give_back(stack)
            return Errno.ENOMEM
        process = Process(self._vm.direct, VirtAddr(at), pid, parent, name, stack, space)
        process.frame = process.stack_top - 4 * USER_FRAME_WORDS
        if self.by_pid:
            next(reversed(self.by_pid.values())).record[NEXT] = at
        self.by_pid[pid] = process
        return process

    def _forget(self, process: Process) -> None:
        before = None
        for one in self.by_pid.values():
            if one is process:
                break
            before = one
        if before is not None:
            before.record[NEXT] = process.record[NEXT]
        del self.by_pid[process.pid]
        self.fpu.drop(process)
        self.stacks.give_back(process.stack)
        self._records.free(process.at)

    def check(self) -> list[str]:
        """Contradictions between processes, address spaces and stacks; none if all is well."""
        found = self.stacks.check() + self.fpu.check(self.by_pid.values())
        owners = {process.space for process in self.by_pid.values() if process.space}
        for space in self._vm.spaces.values():
            if space not in owners:
                found.append(f"process: the address space {space.name} is nobody's")
        if owners - set(self._vm.spaces.values()):
            found.append("process: a process has an address space that is gone")
        if self._records.active != len(self.by_pid):
            found.append(f"process: {self._records.active} records, {len(self.by_pid)} processes")
        used = {process.stack for process in self.by_pid.values()}
        if used != self.stacks.in_use:
            found.append(f"process: {len(self.stacks.in_use)} kernel stacks in use, {len(used)} known to processes")
        return found
