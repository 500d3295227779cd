"""All processes: how they begin, have children, become other programs, and end."""

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
from hillemu.kernel.process import ANY_CHILD, EXIT_STATUS, NEXT, STATUS_AT, TASK, WAITS_FOR, Process, State
from hillemu.kernel.program_loader import load_program
from hillemu.kernel.scheduler import Scheduler
from hillemu.kernel.trap_frame import (
    EAX,
    KERNEL_FRAME_WORDS,
    USER_FRAME_WORDS,
    make_kernel_frame,
    make_user_frame,
)

if TYPE_CHECKING:
    from hillemu.kernel.mm.words import Words

MAX_PID = 32767
_THREAD_ARGUMENT_WORDS = 16


class Processes:
    """Everything that has a number; `leave_space` has the processor use the kernel's page tables."""

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
        self._vm, self.scheduler, self.stacks, self.fpu, self._words = vm, scheduler, stacks, fpu, words
        self._log, self._leave_space = log, leave_space
        self._records = vm.kernel_memory.caches.create("task", TASK.size_bytes)
        self.by_pid: dict[int, Process] = {}
        self._last_pid = 0
        self.on_last_exit: Callable[[], None] = lambda: None
        """Called when the last process has ended."""
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
        make_user_frame(self._words, self.stacks.word_index(process.frame), loaded.entry, loaded.stack)
        self.scheduler.add(process)
        return process

    def start_thread(self, entry: int, name: str, return_to: int) -> Process | Errno:
        """A kernel thread that begins at `entry`, as a function called from `return_to` without arguments."""
        process = self._create(name, 0, None)
        if isinstance(process, Errno):
            return process
        # Above the frame lies what the function finds on its stack: where to return to, and no arguments.
        process.frame = process.stack_top - 4 * (KERNEL_FRAME_WORDS + _THREAD_ARGUMENT_WORDS)
        frame = self.stacks.word_index(process.frame)
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
        words, to = self._words, self.stacks.word_index(child.frame)
        for number in range(USER_FRAME_WORDS):
            words[to + number] = words[frame + number]
        words[to + EAX] = 0
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

    # ---- ends -------------------------------------------------------------------------------------------------------

    def end(self, process: Process, status: int) -> None:
        """`process` ends with `status`, as waitpid gives it; if it runs, somebody else does from now on.

        That may be its parent, which is told first.
        """
        scheduler = self.scheduler
        was_running = process is scheduler.current
        scheduler.remove(process)
        process.state = State.ZOMBIE
        process.record[EXIT_STATUS] = status
        self.fpu.drop(process)
        if was_running:
            self._leave_space()
        if process.space is not None:
            space = process.space
            process.set_space(None)
            space.destroy()
        for child in self._children(process.pid):
            child.parent = 0
            if child.state is State.ZOMBIE:
                self._forget(child)
        self._tell_parent(process)
        if was_running:
            scheduler.switch()
        if not any(one.state is not State.ZOMBIE for one in self.by_pid.values()):
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
            self._words[self.stacks.word_index(parent.frame) + EAX] = result & 0xFFFFFFFF
            self.scheduler.add(parent)

    def _reap(self, parent: Process, child: Process, status_at: int) -> int:
        assert parent.space is not None
        if status_at and not parent.space.copy_out(status_at, child.record[EXIT_STATUS].to_bytes(4, "little")):
            return Errno.EFAULT
        self._forget(child)
        return child.pid

    def _killed_for_memory(self, space: AddressSpace, reason: str) -> None:
        for process in list(self.by_pid.values()):
            if process.space is space:
                self.end(process, SIGKILL)

    # ---- the table --------------------------------------------------------------------------------------------------

    def _children(self, pid: int) -> list[Process]:
        return [one for one in self.by_pid.values() if one.parent == pid] if pid else []

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

    def _free_pid(self) -> int | None:
        for step in range(1, MAX_PID + 1):
            pid = (self._last_pid + step - 1) % MAX_PID + 1
            if pid not in self.by_pid:
                self._last_pid = pid
                return pid
        return None

    def _forget(self, process: Process) -> None:
        """Its number, its record and its kernel stack are free again."""
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


def exit_status(code: int) -> int:
    """The status of a program that has called exit with `code`."""
    return (code & 0xFF) << 8


def status_text(status: int) -> str:
    """As people read a status.

    >>> status_text(exit_status(3)), status_text(11)
    ('exited with code 3', 'was killed by signal 11 (SIGSEGV)')
    """
    signal = status & 0x7F
    if not signal:
        return f"exited with code {status >> 8}"
    names = {4: "SIGILL", 5: "SIGTRAP", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL", 11: "SIGSEGV"}
    return f"was killed by signal {signal}" + (f" ({names[signal]})" if signal in names else "")
