"""Exceptions: what the processor complains about, and who pays for it.

A program that faults dies, with a status that says of which signal; the kernel goes on.  A fault in ring 0 outside of
any program is the kernel's end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hillemu.emu.i386.vectors import PF, describe
from hillemu.kernel.trap_frame import EIP, ERROR_CODE, VECTOR
from hillemu.kernel.trap_frame import describe as registers_of

if TYPE_CHECKING:
    from hillemu.kernel.kernel import Kernel


class Faults:
    """Handles the vectors that are nobody else's."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._register = kernel.guest.registers.get

    def exception(self, frame: int) -> None:
        """Whatever the processor raised with the trap frame at word `frame`."""
        kernel = self._kernel
        for line in self.explain(frame):
            kernel.report(line)
        kernel.panic("a fault in ring 0")

    def double_fault(self) -> None:
        """The double-fault task runs: mostly because a kernel stack has overflowed."""
        self._kernel.panic("double fault")

    def explain(self, frame: int) -> list[str]:
        """What happened, where, and with which registers."""
        words = self._kernel.words
        vector = words[frame + VECTOR]
        what = describe(vector)
        if vector == PF:
            what += f" at 0x{self._register('cr2'):08X}"
        where = self._kernel.symbolise(words[frame + EIP])
        return [f"fault: {what}, error code {words[frame + ERROR_CODE]:#x}, EIP {where}", *registers_of(words, frame)]
