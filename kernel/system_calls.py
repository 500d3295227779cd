"""What programs may ask for with ``int 0x80``: numbers, registers and error numbers are those of Linux on i386.

::

    EAX  the call; then its result, negative for an error
    EBX ECX EDX ESI EDI EBP   its arguments

    1 exit    2 fork       3 read       4 write        5 open      6 close      7 waitpid    11 execve
    20 getpid 45 brk       64 getppid   90 mmap (old)  91 munmap   125 mprotect  158 sched_yield
    162 nanosleep          192 mmap2    252 exit_group

Every pointer is checked; one that leads nowhere gives EFAULT.  Files are boot modules, by name.  `mmap` with flags 0 is
private and anonymous, as the seed's program has it.

Source: Linux, arch/x86/entry/syscalls/syscall_32.tbl; man pages of section 2.
Not modelled: signals, times left over by interrupted sleeps, `lseek`, writing to files by `write`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

from hillemu.emu.i386.address import PAGE_SHIFT
from hillemu.kernel.call_table import CallTable
from hillemu.kernel.errno import Errno
from hillemu.kernel.mm.outcomes import Fault
from hillemu.kernel.open_files import STDERR, STDIN, STDOUT
from hillemu.kernel.process import Process
from hillemu.kernel.process_base import ANY_CHILD, State
from hillemu.kernel.process_table import exit_status
from hillemu.kernel.program_loader import MAX_ARGUMENT_BYTES
from hillemu.kernel.trap_frame import EAX, EBP, EBX, ECX, EDI, EDX, ESI

if TYPE_CHECKING:
    from hillemu.kernel.mm.address_space import AddressSpace
    from hillemu.kernel.mm.files import File
    from hillemu.kernel.mm.virtual_memory import VirtualMemory
    from hillemu.kernel.mm.words import Words
    from hillemu.kernel.processes import Processes

_MAX_PATH_BYTES = 4096
_MAX_POINTERS = 1024
_PIECE_BYTES = 4096
_LARGEST_COUNT = 0x7FFFF000
_WNOHANG = 1
_SECOND_NS = 1_000_000_000
_ANONYMOUS = 0x20
_OLD_MMAP = struct.Struct("<IIIIiI")


class SystemCalls(CallTable[Process]):
    """Answers them for whoever runs; `write` prints on the console."""

    def __init__(
        self,
        vm: VirtualMemory,
        processes: Processes,
        words: Words,
        write: Callable[[bytes], None],
        now_ns: Callable[[], int],
    ) -> None:
        super().__init__(processes.scheduler, words)
        self._vm, self._processes = vm, processes
        self._write_console, self._now_ns = write, now_ns
        self._calls = {
            1: self._exit, 2: self._fork, 3: self._read, 4: self._write, 5: self._open, 6: self._close,
            7: self._waitpid, 11: self._execve, 20: self._getpid, 45: self._brk, 64: self._getppid,
            90: self._old_mmap, 91: self._munmap, 125: self._mprotect, 158: self._yield, 162: self._nanosleep,
            192: self._mmap2, 252: self._exit,
        }  # fmt: skip

    # ---- processes; None leaves EAX alone: somebody else runs from now on -------------------------------------------

    @property
    def _space(self) -> AddressSpace:
        space = self._process.space
        assert space is not None
        return space

    def _exit(self, frame: int) -> None:
        self._processes.end(self._process, exit_status(self._words[frame + EBX]))

    def _fork(self, frame: int) -> int:
        return self._processes.fork(self._process, frame)

    def _waitpid(self, frame: int) -> int | None:
        words = self._words
        pid, status_at, options = words[frame + EBX], words[frame + ECX], words[frame + EDX]
        if options & ~_WNOHANG or (pid != ANY_CHILD and not 0 < pid < 1 << 31):
            return Errno.EINVAL
        return self._processes.wait(self._process, pid, status_at, may_block=not options & _WNOHANG)

    def _execve(self, frame: int) -> int:
        words = self._words
        file = self._file_named(words[frame + EBX])
        if isinstance(file, Errno):
            return file
        arguments = self._strings(words[frame + ECX])
        environment = self._strings(words[frame + EDX])
        if isinstance(arguments, Errno):
            return arguments
        if isinstance(environment, Errno):
            return environment
        return self._processes.execute(self._process, frame, file, arguments, environment)

    def _nanosleep(self, frame: int) -> int | None:
        raw = self._space.copy_in(self._words[frame + EBX], 8)
        if isinstance(raw, Fault):
            return Errno.EFAULT
        seconds, ns = struct.unpack("<ii", raw)
        if seconds < 0 or not 0 <= ns < _SECOND_NS:
            return Errno.EINVAL
        self._process.wake_ns = self._now_ns() + seconds * _SECOND_NS + ns
        self._words[frame + EAX] = 0
        self._scheduler.block(State.SLEEPING)
        return None

    # ---- memory -----------------------------------------------------------------------------------------------------

    def _brk(self, frame: int) -> int:
        return self._space.brk(self._words[frame + EBX])

    def _mmap2(self, frame: int) -> int:
        words = self._words
        hint, length, prot, flags = words[frame + EBX], words[frame + ECX], words[frame + EDX], words[frame + ESI]
        return self._map(hint, length, prot, flags, words[frame + EDI], words[frame + EBP])

    def _old_mmap(self, frame: int) -> int:
        raw = self._space.copy_in(self._words[frame + EBX], _OLD_MMAP.size)
        if isinstance(raw, Fault):
            return Errno.EFAULT
        hint, length, prot, flags, number, offset = _OLD_MMAP.unpack(raw)
        if offset & (1 << PAGE_SHIFT) - 1:
            return Errno.EINVAL
        return self._map(hint, length, prot, flags, number, offset >> PAGE_SHIFT)

    def _map(self, hint: int, length: int, prot: int, flags: int, number: int, page: int) -> int:
        file = None
        if flags and not flags & _ANONYMOUS:
            file = self._process.files.find(number)
            if file is None:
                return Errno.EBADF
        return self._space.mmap(hint, length, prot, flags, file, page << PAGE_SHIFT if file else 0)

    def _munmap(self, frame: int) -> int:
        words = self._words
        return self._space.munmap(words[frame + EBX], words[frame + ECX])

    def _mprotect(self, frame: int) -> int:
        words = self._words
        return self._space.mprotect(words[frame + EBX], words[frame + ECX], words[frame + EDX])

    # ---- files ------------------------------------------------------------------------------------------------------

    def _write(self, frame: int) -> int:
        words = self._words
        number, at, count = words[frame + EBX], words[frame + ECX], words[frame + EDX]
        if number not in (STDOUT, STDERR):
            return Errno.EBADF
        space, count = self._space, min(count, _LARGEST_COUNT)
        done = 0
        while done < count:
            data = space.copy_in(at + done, min(_PIECE_BYTES, count - done))
            if isinstance(data, Fault):
                return done or Errno.EFAULT
            self._write_console(data)
            done += len(data)
        return done

    def _read(self, frame: int) -> int:
        words = self._words
        number, at, count = words[frame + EBX], words[frame + ECX], words[frame + EDX]
        if number == STDIN:
            return 0  # nobody types: the end of the file
        data = self._process.files.read(number, min(count, _LARGEST_COUNT))
        if isinstance(data, Errno):
            return data
        return len(data) if self._space.copy_out(at, data) else Errno.EFAULT

    def _open(self, frame: int) -> int:
        words = self._words
        file = self._file_named(words[frame + EBX])
        if isinstance(file, Errno):
            return file
        return self._process.files.open(file)

    def _close(self, frame: int) -> int:
        return self._process.files.close(self._words[frame + EBX])

    # ---- what programs point to -------------------------------------------------------------------------------------

    def _file_named(self, at: int) -> File | Errno:
        path = self._space.copy_in_string(at, _MAX_PATH_BYTES)
        if isinstance(path, Fault):
            return Errno.EFAULT
        if len(path) == _MAX_PATH_BYTES:
            return Errno.ENAMETOOLONG
        return self._vm.find_file(path.decode("utf-8", "replace").rpartition("/")[2]) or Errno.ENOENT

    def _strings(self, at: int) -> list[bytes] | Errno:
        """The strings that an array of pointers leads to, which ends with a null pointer."""
        found: list[bytes] = []
        size = 0
        while at and len(found) < _MAX_POINTERS:
            raw = self._space.copy_in(at + 4 * len(found), 4)
            if isinstance(raw, Fault):
                return Errno.EFAULT
            pointer = int.from_bytes(raw, "little")
            if not pointer:
                return found
            text = self._space.copy_in_string(pointer, MAX_ARGUMENT_BYTES)
            if isinstance(text, Fault):
                return Errno.EFAULT
            found.append(text)
            size += len(text) + 1
            if size > MAX_ARGUMENT_BYTES:
                return Errno.E2BIG
        return Errno.E2BIG if at else found
