"""Exceptions: what the processor complains about, and who pays for it.

=====================  ============================================================================
from a program         a page fault is memory management's, and the first coprocessor instruction
                       gets a save area (`hillemu.kernel.coprocessor`); what cannot be resolved, and
                       every other exception, ends the program with the signal that Linux would send
from a kernel thread   reported with registers; the thread ends
from anything else     reported with registers; the kernel panics
=====================  ============================================================================

The overflow of a kernel stack runs into its guard page.  There the processor cannot put the page fault's frame, so it
is a double fault that arrives, in a task with a stack of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hillemu.emu.i386.address import page_down
from hillemu.emu.i386.vectors import AC, BP, BR, DB, DE, EXCEPTIONS, MF, NM, OF, PF, UD, XM, describe
from hillemu.kernel.mm.outcomes import SIGBUS, SIGKILL, SIGSEGV, Killed
from hillemu.kernel.trap_frame import CS, EIP, ERROR_CODE, VECTOR
from hillemu.kernel.trap_frame import describe as registers_of

if TYPE_CHECKING:
    from hillemu.kernel.kernel import Kernel
    from hillemu.kernel.process import Process

SIGILL, SIGTRAP, SIGFPE = 4, 5, 8
SIGNALS = {
    NM: SIGFPE,
    DE: SIGFPE,
    MF: SIGFPE,
    XM: SIGFPE,
    DB: SIGTRAP,
    BP: SIGTRAP,
    UD: SIGILL,
    AC: SIGBUS,
    OF: SIGSEGV,
    BR: SIGSEGV,
}
"""All others are SIGSEGV."""


class Faults:
    """Handles the vectors that are nobody else's."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._words = kernel.words
        self._register = kernel.guest.registers.get

    def page_fault(self, frame: int) -> None:
        """Vector 14, with the trap frame at word `frame`."""
        words = self._words
        if words[frame + CS] & 3:
            process = self._kernel.scheduler.current
            assert process is not None and process.space is not None  # noqa: PT018 - every fault comes by here
            outcome = process.space.fault(self._register("cr2"), words[frame + ERROR_CODE])
            if type(outcome) is Killed:  # isinstance() would take 70 ns to say no
                if outcome.signal != SIGKILL:  # that memory has run out was told by those who ran out of it
                    self._kernel.report(f"{outcome.reason}; EIP 0x{words[frame + EIP]:08X}")
                self._end(process, outcome.signal)
            return
        self.exception(frame)

    def no_coprocessor(self, frame: int) -> None:
        """Vector 7: a program's first coprocessor instruction, or one of somebody who may use none."""
        process, fpu = self._kernel.scheduler.current, self._kernel.fpu
        if not self._words[frame + CS] & 3 or process is None or not fpu.kind:
            self.exception(frame)
        elif not fpu.first_use(process):
            self._kernel.report(f"{process}: out of memory: it needs a page for its coprocessor registers")
            self._end(process, SIGKILL)

    def exception(self, frame: int) -> None:
        """Whatever else the processor raised, and interrupts that nobody has asked for."""
        kernel, words = self._kernel, self._words
        process = kernel.scheduler.current if kernel.has_started else None
        vector = words[frame + VECTOR]
        if vector not in EXCEPTIONS:
            kernel.report(f"kernel: nobody expects vector {vector:#x} at {kernel.symbolise(words[frame + EIP])}")
            return
        if words[frame + CS] & 3 and process is not None:
            kernel.report(
                f"{process}: {describe(vector)}, error code {words[frame + ERROR_CODE]:#x}, "
                f"EIP 0x{words[frame + EIP]:08X}"
            )
            self._end(process, SIGNALS.get(vector, SIGSEGV))
            return
        for line in self.explain(frame):
            kernel.report(line)
        if process is not None:
            self._end(process, SIGNALS.get(vector, SIGSEGV))
        else:
            kernel.panic("a fault in ring 0")

    def double_fault(self) -> None:
        """The double-fault task runs; what it has interrupted is in the TSS."""
        kernel = self._kernel
        if not kernel.has_started:
            kernel.panic(f"double fault at address 0x{self._register('cr2'):08X}")
            return
        scheduler = kernel.scheduler
        eip, esp = scheduler.faulted()
        cr2 = self._register("cr2")
        process = scheduler.current
        at_guard = process is not None and page_down(cr2) == process.stack
        at_guard = at_guard or page_down(cr2) == kernel.symbols["boot_stack_guard"]
        what = "kernel stack overflow" if at_guard else "double fault"
        who = process if process is not None else "the kernel"
        kernel.report(f"{what} of {who}: address 0x{cr2:08X}, ESP 0x{esp:08X}, EIP {kernel.symbolise(eip)}")
        if process is None:
            kernel.panic(what)
            return
        kernel.end_in_double_fault(process, SIGSEGV)

    def explain(self, frame: int) -> list[str]:
        """What happened, where, and with which registers."""
        words = self._words
        vector = words[frame + VECTOR]
        what = describe(vector)
        if vector == PF:
            what += f" at 0x{self._register('cr2'):08X}"
        where = self._kernel.symbolise(words[frame + EIP])
        who = f" in {self._kernel.scheduler.current or 'the kernel'}" if self._kernel.has_started else ""
        return [
            f"fault: {what}{who}, error code {words[frame + ERROR_CODE]:#x}, EIP {where}",
            *registers_of(words, frame),
        ]

    def _end(self, process: Process, signal: int) -> None:
        self._kernel.processes.end(process, signal)
