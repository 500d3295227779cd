"""What profile bitmap's guest code in ring 0 calls: the functions at the end of boot/asm/bitmap_kernel.s.

The number of a function is its place in `FUNCTIONS`; it comes in EAX.  Behind the frame lie the return address and the
arguments, as the System V ABI for i386 has them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hillemu.emu.i386.address import PhysAddr, VirtAddr
from hillemu.kernel.printk import c_string, render
from hillemu.kernel.trap_frame import EAX, KERNEL_FRAME_WORDS

if TYPE_CHECKING:
    from hillemu.kernel.profiles.bitmap.kernel import BitmapKernel

FUNCTIONS = (
    "kernel_begin", "start_programs", "double_fault", "printk",
    "alloc_page", "free_page", "kmalloc", "kfree", "map_page",
    "kmalloc_guarded", "halloc", "hfree", "hlock", "hunlock", "compact",
)  # fmt: skip


class Calls:
    """Carries the calls out; `None` from a function leaves EAX as it is."""

    def __init__(self, kernel: BitmapKernel) -> None:
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

    def _kernel_begin(self) -> int:
        self._kernel.begin()
        return 1

    def _start_programs(self) -> None:
        self._kernel.start_programs()

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

    def _alloc_page(self) -> int:
        page = self._kernel.pages.alloc_page()
        if page:
            self._kernel.given.add(page)
        return page

    def _free_page(self) -> None:
        page = PhysAddr(self._argument(0))
        if self._kernel.pages.free_page(page):
            self._kernel.given.discard(page)

    def _kmalloc(self) -> int:
        return self._kernel.heap.kmalloc(self._argument(0))

    def _kfree(self) -> None:
        self._kernel.heap.kfree(self._argument(0))

    def _map_page(self) -> int:
        virt, phys, flags = (self._argument(number) for number in range(3))
        return self._kernel.paging.map_page(VirtAddr(virt), PhysAddr(phys), flags)

    def _kmalloc_guarded(self) -> int:
        return self._kernel.heap.kmalloc_guarded(self._argument(0))

    def _halloc(self) -> int:
        return self._kernel.heap.handles.halloc(self._argument(0))

    def _hfree(self) -> int:
        return self._kernel.heap.handles.hfree(self._argument(0))

    def _hlock(self) -> int:
        return self._kernel.heap.handles.lock(self._argument(0))

    def _hunlock(self) -> int:
        return self._kernel.heap.handles.unlock(self._argument(0))

    def _compact(self) -> int:
        return self._kernel.heap.handles.compact().blocks
