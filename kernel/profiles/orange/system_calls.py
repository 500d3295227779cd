"""What programs may ask for with ``int 0x80``: numbers, registers and error numbers are those of Linux on i386.

::

    EAX  the call; then its result, negative for an error
    EBX ECX EDX   its arguments

    1 exit    2 fork    4 write (to the console: 1, 2)    7 waitpid    20 getpid    64 getppid
    158 sched_yield     252 exit_group

Every pointer is checked; one that leads nowhere gives EFAULT.  All other numbers are ENOSYS: there are no files, and
memory is what a program is linked with and its stack.

Source: Linux, arch/x86/entry/syscalls/syscall_32.tbl; man pages of section 2.
"""

from __future__ import annotations

from collections.abc import Callable

from hillemu.kernel.call_table import CallTable
from hillemu.kernel.errno import Errno
from hillemu.kernel.mm.words import Words
from hillemu.kernel.open_files import STDERR, STDOUT
from hillemu.kernel.process_base import ANY_CHILD
from hillemu.kernel.process_table import exit_status
from hillemu.kernel.profiles.orange.process import Process
from hillemu.kernel.profiles.orange.processes import Processes
from hillemu.kernel.trap_frame import EBX, ECX, EDX

_WHOLE_GROUP = (0, ANY_CHILD)
_WNOHANG = 1
_PIECE_BYTES = 4096
_LARGEST_COUNT = 0x7FFFF000


class SystemCalls(CallTable[Process]):
    """Answers them for whoever runs; `write` prints on the console."""

    def __init__(self, processes: Processes, words: Words, write: Callable[[bytes], None]) -> None:
        super().__init__(processes.scheduler, words)
        self._processes, self._write_console = processes, write
        self._calls = {
            1: self._exit, 2: self._fork, 4: self._write, 7: self._waitpid, 20: self._getpid, 64: self._getppid,
            158: self._yield, 252: self._exit,
        }  # fmt: skip

    # ---- None leaves EAX alone: somebody else runs from now on ------------------------------------------------------

    def _exit(self, frame: int) -> None:
        self._processes.end(self._process, exit_status(self._words[frame + EBX]))

    def _fork(self, frame: int) -> int:
        return self._processes.fork(self._process, frame)

    def _write(self, frame: int) -> int:
        words, space = self._words, self._process.space
        assert space is not None
        if words[frame + EBX] not in (STDOUT, STDERR):
            return Errno.EBADF
        at, count = words[frame + ECX], min(words[frame + EDX], _LARGEST_COUNT)
        done = 0
        while done < count:
            data = space.copy_in(at + done, min(count - done, _PIECE_BYTES))
            if data is None:
                return done or Errno.EFAULT
            self._write_console(data)
            done += len(data)
        return done

    def _waitpid(self, frame: int) -> int | None:
        words = self._words
        pid, status_at, options = words[frame + EBX], words[frame + ECX], words[frame + EDX]
        if options & ~_WNOHANG:
            return Errno.EINVAL
        pid = ANY_CHILD if pid in _WHOLE_GROUP else pid
        return self._processes.wait(self._process, pid, status_at, may_block=not options & _WNOHANG)
