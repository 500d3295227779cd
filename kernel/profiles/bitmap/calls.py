"""What profile bitmap's guest code in ring 0 calls: the functions at the end of boot/asm/bitmap_kernel.s.

The number of a function is its place in `FUNCTIONS`; it comes in EAX.  Behind the frame lie the return address and the
arguments, as the System V ABI for i386 has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hillemu.emu.i386.address import PhysAddr, VirtAddr
from hillemu.kernel.guest_calls import GuestCalls

if TYPE_CHECKING:
    from hillemu.kernel.profiles.bitmap.kernel import BitmapKernel

FUNCTIONS = (
    "kernel_begin", "start_programs", "double_fault", "printk",
    "alloc_page", "free_page", "kmalloc", "kfree", "map_page",
    "kmalloc_guarded", "halloc", "hfree", "hlock", "hunlock", "compact",
)  # fmt: skip


class Calls(GuestCalls):
    """Carries the calls out."""

    def __init__(self, kernel: BitmapKernel) -> None:
        super().__init__(kernel, FUNCTIONS)
        self._kernel = kernel

    def _kernel_begin(self) -> int:
        self._kernel.begin()
        return 1

    def _start_programs(self) -> None:
        self._kernel.start_programs()

    def _double_fault(self) -> None:
        self._kernel.double_fault()

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
