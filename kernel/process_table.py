"""Processes by number, in every hosted kernel: how they end, and how their parents hear of it.

::

    ready, sleeping, waiting  --end-->  zombie  --the parent waits, or there is none-->  forgotten

What has ended keeps its number and its record until its parent has asked.  Its children become nobody's: they are
forgotten when they end, and their ends are printed.

Source: POSIX.1-2017, "_exit" (consequences of process termination) and "waitpid"; status words are Linux's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from hillemu.kernel.coprocessor import Coprocessor
from hillemu.kernel.errno import Errno
from hillemu.kernel.mm.words import Words
from hillemu.kernel.process_base import ANY_CHILD, ProcessBase, State
from hillemu.kernel.round_robin import RoundRobin
from hillemu.kernel.trap_frame import EAX, USER_FRAME_WORDS

MAX_PID = 32767
P = TypeVar("P", bound=ProcessBase[Any])


class ProcessTable(ABC, Generic[P]):
    """Everything that has a number; `leave_space` has the processor use the kernel's own page tables."""

    def __init__(
        self,
        scheduler: RoundRobin[P],
        fpu: Coprocessor[P],
        words: Words,
        log: Callable[[str], None],
        leave_space: Callable[[], None],
    ) -> None:
        self.scheduler, self.fpu, self._words = scheduler, fpu, words
        self._log, self._leave_space = log, leave_space
        self.by_pid: dict[int, P] = {}
        self._last_pid = 0
        self.on_last_exit: Callable[[], None] = lambda: None
        """Called when the last process has ended."""

    def end(self, process: P, status: int) -> None:
        """`process` ends with `status`, as waitpid gives it; if it runs, somebody else does from now on.

        That may be its parent, which is told first.
        """
        was_running = process is self.scheduler.current
        self.scheduler.remove(process)
        process.state = State.ZOMBIE
        process.exit_status = status
        self.fpu.drop(process)
        if was_running:
            self._leave_space()
        process.drop_space()
        for child in self._children(process.pid):
            child.parent = 0
            if child.state is State.ZOMBIE:
                self._forget(child)
        self._tell_parent(process)
        if was_running:
            self.scheduler.switch()
        if all(one.state is State.ZOMBIE for one in self.by_pid.values()):
            self.on_last_exit()

    def wait(self, parent: P, pid: int, status_at: int, *, may_block: bool) -> int | None:
        """As waitpid: a child that has ended, 0 if `may_block` is false, an error, or None if `parent` waits now."""
        children = [one for one in self._children(parent.pid) if pid in (ANY_CHILD, one.pid)]
        if not children:
            return Errno.ECHILD
        for child in children:
            if child.state is State.ZOMBIE:
                return self._reap(parent, child, status_at)
        if not may_block:
            return 0
        parent.wait_for(pid, status_at)
        self.scheduler.block(State.WAITING)
        return None

    def _fork_frame(self, frame: int, child: P) -> None:
        """`child` goes on by a copy of the trap frame at word `frame`, and finds 0 as the result of fork."""
        words, to = self._words, self._frame_word(child)
        for number in range(USER_FRAME_WORDS):
            words[to + number] = words[frame + number]
        words[to + EAX] = 0

    @abstractmethod
    def _frame_word(self, process: P) -> int:
        """Where in `words` the trap frame of a process lies that does not run."""

    @abstractmethod
    def _forget(self, process: P) -> None:
        """Its number and its record are free again."""

    def _tell_parent(self, process: P) -> None:
        parent = self.by_pid.get(process.parent)
        if parent is None:
            self._log(f"kernel: {process} {status_text(process.exit_status)}")
            self._forget(process)
        elif parent.awaits(process):
            result = self._reap(parent, process, parent.status_at)
            self._words[self._frame_word(parent) + EAX] = result & 0xFFFFFFFF
            self.scheduler.add(parent)

    def _reap(self, parent: P, child: P, status_at: int) -> int:
        assert parent.space is not None
        if status_at and not parent.space.copy_out(status_at, child.exit_status.to_bytes(4, "little")):
            return Errno.EFAULT
        self._forget(child)
        return child.pid

    def _children(self, pid: int) -> list[P]:
        return [one for one in self.by_pid.values() if one.parent == pid] if pid else []

    def _free_pid(self) -> int | None:
        """The next number that nobody has, the lowest again after `MAX_PID`; None if there is none."""
        for step in range(1, MAX_PID + 1):
            pid = (self._last_pid + step - 1) % MAX_PID + 1
            if pid not in self.by_pid:
                self._last_pid = pid
                return pid
        return None


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
