"""The heap of profile `bitmap` as `kernel.trace.replay` wants one: without a processor, so without page tables."""

from __future__ import annotations

from collections.abc import Iterable

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PhysAddr, VirtAddr
from hillemu.emu.reports import Report, unheard
from hillemu.kernel.mm.debug_aids import Options
from hillemu.kernel.mm.frames import FrameRun
from hillemu.kernel.profiles.bitmap.kernel_heap import KernelHeap
from hillemu.kernel.profiles.bitmap.page_bitmap import PageBitmap

_MANAGER_AT, _HEAP_AT = PhysAddr(0x20000), PhysAddr(0x21000)
"""In the kernel's image, if there were one."""


class NoPageTables:
    """`KernelMapper` for who has no processor: kernel space is where Python looks."""

    def map_page(self, _virt: VirtAddr, _phys: PhysAddr, _flags: int, /) -> int:
        return 0

    def unmap_page(self, _virt: VirtAddr, /) -> int:
        return 0


class ReplayedHeap:
    """`Replayed` on the `available` pages of `memory`; `caller` says nothing here: blocks have no room for it.

    Raises `InvalidParameters` if there is no page.
    """

    def __init__(
        self, memory: GuestMemory, available: Iterable[FrameRun], aids: Options, report: Report = unheard
    ) -> None:
        self.pages = PageBitmap.create(memory, _MANAGER_AT, available, report=report)
        memory.fill(_HEAP_AT, 0x1000)
        self.heap = KernelHeap(memory, _HEAP_AT, self.pages, NoPageTables(), report, aids=aids)

    def kmalloc(self, size: int, caller: int = 0) -> VirtAddr:
        return self.heap.kmalloc(size)

    def kfree(self, at: VirtAddr, caller: int = 0) -> bool:
        return self.heap.kfree(at)

    def krealloc(self, at: VirtAddr, size: int, caller: int = 0) -> VirtAddr:
        return self.heap.krealloc(at, size)

    def ksize(self, at: VirtAddr) -> int:
        return self.heap.size_of(at)

    def held_bytes(self) -> int:
        return self.heap.figures().mapped

    def fragmentation(self) -> float:
        return self.heap.blocks.fragmentation

    def check(self) -> list[str]:
        """Contradictions in bitmap and heap, as sentences; none if all is well."""
        return self.pages.check(frame for frame, _ in self.heap.frames()) + self.heap.check()
