"""What profile orange's guest code in ring 0 calls: the functions at the end of boot/asm/orange_kernel.s.

The number of a function is its place in `FUNCTIONS`; it comes in EAX.  Behind the frame lie the return address and the
arguments, as the System V ABI for i386 has them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hillemu.kernel.printk import c_string, render
from hillemu.kernel.trap_frame import EAX, KERNEL_FRAME_WORDS

if TYPE_CHECKING:
    from hillemu.kernel.profiles.orange.kernel import OrangeKernel

FUNCTIONS = ("init_mm", "start_processes", "double_fault", "printk", "vm_alloc", "vm_free")


class Calls:
    """Carries the calls out; `None` from a function leaves EAX as it is."""

    def __init__(self, kernel: OrangeKernel) -> None:
        self._kernel = kernel
        self._frame = 0
        self._functions: list[Callable[[], int | None]] = [getattr(self, f"_{name}") for name in FUNCTIONS]

    def __call__(self, frame: int) -> None:
        """Answer the call whose trap frame is at word `frame`."""
        words = self._kernel.words
        number = words[frame + EAX]
        self._frame = frame
        if number >= len(FUNCTIONS):
            caller = self._kernel.symbolise(words[frame + KERNEL_FRAME_WORDS])
            self._kernel.report(f"kernel call {number} does not exist; called by {caller}")
            return
        result = self._functions[number]()
        if result is not None:
            words[frame + EAX] = result & 0xFFFFFFFF

    def _argument(self, number: int) -> int:
        return self._kernel.words[self._frame + KERNEL_FRAME_WORDS + 1 + number]

    def _init_mm(self) -> int:
        self._kernel.init_mm()
        return 1

    def _start_processes(self) -> None:
        self._kernel.start_processes()

    def _double_fault(self) -> None:
        self._kernel.double_fault()

    def _printk(self) -> int:
        number = 0

        def next_word() -> int:
            nonlocal number
            number += 1
            return self._argument(number)

        def string_at(at: int) -> bytes:
            return c_string(at, self._kernel.read_virtual)

        out = render(string_at(self._argument(0)), next_word, string_at)
        self._kernel.console.write(out)
        return len(out)

    def _vm_alloc(self) -> int:
        return self._kernel.mm.vm_alloc(self._argument(0), self._argument(1))

    def _vm_free(self) -> int:
        return self._kernel.mm.vm_free(self._argument(0), self._argument(1))
