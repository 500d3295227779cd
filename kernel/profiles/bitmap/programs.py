"""The programs of profile bitmap: one after the other, each in ring 3 with an address space of its own.

::

    EAX  the call; then its result, negative for an error       1 exit(status)   4 write(1 or 2, at, count)
    EBX ECX EDX  its arguments                                  20 getpid()      45 brk(new)

Numbers, registers and errors are Linux's on i386, as in profile hillson.  A program that does what it may not ends with
the signal that Linux would send.

Not modelled: several programs at a time, files, the coprocessor (its first instruction ends the program).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from hillemu.emu.guest import Guest
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.i386.tss import TSS_32
from hillemu.kernel.errno import Errno
from hillemu.kernel.mm.files import File
from hillemu.kernel.mm.outcomes import Fault, Killed
from hillemu.kernel.mm.words import Words
from hillemu.kernel.process_table import exit_status, status_text
from hillemu.kernel.profiles.bitmap.layout import STACK_BYTES, STACK_END, USER_BASE
from hillemu.kernel.profiles.bitmap.paging import PageDirectory
from hillemu.kernel.profiles.bitmap.program_space import ProgramSpace
from hillemu.kernel.profiles.bitmap.residents import Residents
from hillemu.kernel.program_file import NotAProgram, read_program
from hillemu.kernel.program_loader import stack_image
from hillemu.kernel.trap_frame import EAX, EBX, ECX, EDX, USER_FRAME_WORDS, make_user_frame

_ESP0 = TSS_32["esp0"][0] // 4
_STDOUT, _STDERR = 1, 2
_PIECE_BYTES = 4096


class Waiting(NamedTuple):
    """A program whose turn will come."""

    file: File
    arguments: Sequence[str]


class Running(NamedTuple):
    """The program whose turn it is."""

    pid: int
    name: str
    space: ProgramSpace


class Programs:
    """Runs what `add` gets, in order; `on_last_exit` is called when nothing is left.

    `places` are the indexes of ``trap_frame``, ``trap_cr3`` and ``tss`` among `words`, memory divided by four;
    `stack_top` is where the stack for traps from ring 3 is empty.
    """

    def __init__(
        self,
        guest: Guest,
        words: Words,
        residents: Residents,
        places: tuple[int, int, int],
        stack_top: int,
        write: Callable[[bytes], None],
        log: Callable[[str], None],
        report: Callable[[str], None],
    ) -> None:
        self._guest, self._words, self._residents = guest, words, residents
        self._trap_frame, self._trap_cr3, self._tss = places
        self._stack_top = stack_top
        self._write_console, self._log, self._report = write, log, report
        self._paging = residents.paging
        self.waiting: list[Waiting] = []
        self.running: Running | None = None
        self.statuses: dict[str, int] = {}
        """How programs have ended, as waitpid tells it; by ``name[pid]``."""
        self.on_last_exit: Callable[[], None] = lambda: None
        self._last_pid = 0
        self._first_frame = 0
        """The trap frame of ring 0, which has the programs run, and idles when they have ended."""
        self._calls: dict[int, Callable[[Running, int], int | None]] = {
            1: self._exit, 4: self._write, 20: self._getpid, 45: self._brk,
        }  # fmt: skip

    def add(self, file: File, arguments: Sequence[str] = ()) -> None:
        """Have `file` run when those before it have ended."""
        self.waiting.append(Waiting(file, arguments))

    def run_next(self) -> None:
        """Have the next program run when the trap returns; if there is none, tell, and go on behind the first call."""
        self._first_frame = self._first_frame or self._words[self._trap_frame]
        while self.waiting:
            if self._start(self.waiting.pop(0)):
                return
        self._words[self._trap_frame] = self._first_frame
        self.on_last_exit()

    def system_call(self, frame: int) -> None:
        """Answer the call whose trap frame is at word `frame`."""
        running = self.running
        assert running is not None, "int 0x80 comes from ring 3, where only programs are"
        call = self._calls.get(self._words[frame + EAX])
        result = Errno.ENOSYS if call is None else call(running, frame)
        if result is not None:
            self._words[frame + EAX] = result & 0xFFFFFFFF

    def page_fault(self, address: int, error_code: int, eip: int) -> None:
        """The running program has touched `address`."""
        assert self.running is not None, "only programs run in ring 3"
        outcome = self.running.space.fault(address, error_code)
        if isinstance(outcome, Killed):
            self._report(f"{outcome.reason}; EIP 0x{eip:08X}")
            self.end(outcome.signal)

    def end(self, status: int) -> None:
        """The running program ends; `status` is as waitpid has it."""
        assert self.running is not None, "somebody runs"
        running, self.running = self.running, None
        self.statuses[running.name] = status
        self._log(f"kernel: {running.name} {status_text(status)}")
        self._drop(running.space)
        self.run_next()

    # ---- beginnings and ends ------------------------------------------------------------------------------------

    def _start(self, waiting: Waiting) -> bool:
        file = waiting.file
        program = read_program(file, USER_BASE, STACK_END - 2 * STACK_BYTES, USER_BASE)
        if isinstance(program, NotAProgram):
            self._report(f"kernel: {file.name} {program.why}")
            return False
        self._last_pid += 1
        name = f"{file.name}[{self._last_pid}]"
        directory = self._paging.new_directory()
        if directory is None:
            self._report(f"kernel: {name}: out of memory: no page for its page directory")
            return False
        space = ProgramSpace(self._residents, directory, program, file, name)
        stack = stack_image(STACK_END, [text.encode() for text in (file.name, *waiting.arguments)], ())
        self._use(directory)
        if len(stack) > STACK_BYTES or space.copy_out(STACK_END - len(stack), stack) is not None:
            self._report(f"kernel: {name}: its arguments do not fit into memory, or into its stack")
            self._drop(space)
            return False
        self.running = Running(self._last_pid, name, space)
        frame = self._stack_top - 4 * USER_FRAME_WORDS
        make_user_frame(self._words, frame >> 2, program.entry, STACK_END - len(stack))
        self._words[self._trap_frame] = frame
        self._words[self._tss + _ESP0] = self._stack_top
        return True

    def _drop(self, space: ProgramSpace) -> None:
        self._use(None)
        space.destroy()
        self._paging.drop_directory(space.directory)

    def _use(self, directory: PageDirectory | None) -> None:
        """Have the processor use a program's page tables, or the kernel's own."""
        self._paging.current = directory
        cr3: PhysAddr = (directory or self._paging.kernel).cr3
        self._words[self._trap_cr3] = cr3
        self._guest.registers.set("cr3", cr3)

    # ---- system calls -------------------------------------------------------------------------------------------

    def _exit(self, running: Running, frame: int) -> None:
        self.end(exit_status(self._words[frame + EBX]))

    def _getpid(self, running: Running, frame: int) -> int:
        return running.pid

    def _brk(self, running: Running, frame: int) -> int:
        return running.space.brk(self._words[frame + EBX])

    def _write(self, running: Running, frame: int) -> int | None:
        number, at, count = (self._words[frame + register] for register in (EBX, ECX, EDX))
        if number not in (_STDOUT, _STDERR):
            return Errno.EBADF
        done = 0
        while done < count:
            data = running.space.copy_in(at + done, min(_PIECE_BYTES, count - done))
            if isinstance(data, Fault):
                return done or Errno.EFAULT
            self._write_console(data)
            done += len(data)
        return done
