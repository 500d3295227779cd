"""All of the kernel's dynamic memory in profile `bitmap`: one `kmalloc` and `kfree` over its parts.

::

    0x30000000   blocks     the document's heap of block_header_t     kmalloc of more than 128 bytes; handles
    0x38000000   pools      pages of small objects                    kmalloc of up to 128 bytes, unless pools are off
    0x3C000000   guarded    allocations between guard pages           kmalloc_guarded
    0x3E000000

Where a pool gets no page, the blocks serve.  An address says whose it is, so that `kfree` takes any of them.  When no
page is free, what blocks and pools can do without is given back, before anybody is told so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PAGE_SHIFT, PhysAddr, VirtAddr
from hillemu.emu.reports import Report, unheard
from hillemu.kernel.mm.debug_aids import Options
from hillemu.kernel.profiles.bitmap import block_heap, handles, pools
from hillemu.kernel.profiles.bitmap.block_heap import BlockHeap
from hillemu.kernel.profiles.bitmap.guarded_blocks import GuardedBlocks
from hillemu.kernel.profiles.bitmap.handles import Handles
from hillemu.kernel.profiles.bitmap.layout import GUARDED_BASE, GUARDED_END, HEAP_BASE, POOLS_BASE
from hillemu.kernel.profiles.bitmap.page_bitmap import PageBitmap
from hillemu.kernel.profiles.bitmap.page_window import KernelMapper, PageWindow
from hillemu.kernel.profiles.bitmap.pools import LARGEST_OBJECT, Pools

SIZE_BYTES = block_heap.SIZE_BYTES + handles.SIZE_BYTES + pools.SIZE_BYTES


class Figures(NamedTuple):
    """How full it is, in bytes."""

    mapped: int
    """All pages."""
    used: int
    """The contents of what is allocated, rounded up as its kind does."""
    allocations: int
    largest_free: int
    """The largest free block."""
    fragmentation: float
    """Of the free bytes of the blocks, the part outside the largest."""


class KernelHeap:
    """The parts, with their structures from `at` on: `SIZE_BYTES` of zeroed memory."""

    def __init__(
        self,
        memory: GuestMemory,
        at: PhysAddr,
        pages: PageBitmap,
        mapper: KernelMapper,
        report: Report = unheard,
        *,
        use_pools: bool = True,
        aids: Options = Options(red_zones=False, poison=False),  # noqa: B008  it is a constant
    ) -> None:
        self.use_pools, self._report = use_pools, report

        def window(base: VirtAddr, end: VirtAddr) -> PageWindow:
            return PageWindow(memory, pages, mapper, base, end)

        self.blocks = BlockHeap(memory, at, window(HEAP_BASE, POOLS_BASE), report, aids)
        at = PhysAddr(at + block_heap.SIZE_BYTES)
        self.handles = Handles(memory, at, self.blocks, report)
        at = PhysAddr(at + handles.SIZE_BYTES)
        self.pools = Pools(memory, at, window(POOLS_BASE, GUARDED_BASE), report)
        self.guarded = GuardedBlocks(window(GUARDED_BASE, GUARDED_END), report)
        self.windows = {"heap": self.blocks.window, "pools": self.pools.window, "guarded": self.guarded.window}
        """All ranges of kernel space that are managed here, by the names of the parts."""
        pages.reclaim = self.trim

    def kmalloc(self, size: int) -> VirtAddr:
        """`size` bytes, at a multiple of 4, content undefined; 0 (NULL) for no bytes, or if there is no memory."""
        if self.use_pools and 0 < size <= LARGEST_OBJECT and (content := self.pools.alloc(size)):
            return content
        return self.blocks.kmalloc(size)

    def kmalloc_guarded(self, size: int) -> VirtAddr:
        """As `kmalloc`, with a guard page behind the last byte."""
        return self.guarded.alloc(size)

    def kfree(self, content: int) -> bool:
        """Give memory back; whether it was.  NULL is nothing; what makes no sense is counted, reported and ignored."""
        if POOLS_BASE <= content < GUARDED_BASE:
            return self.pools.free(content)
        if GUARDED_BASE <= content < GUARDED_END:
            return self.guarded.free(content)
        return self.blocks.kfree(content)

    def krealloc(self, content: int, size: int) -> VirtAddr:
        """Change an allocation's size, content kept, perhaps elsewhere.

        NULL is allocated, size 0 is freed and gives NULL.  NULL for any other reason has changed nothing.
        """
        if not content:
            return self.kmalloc(size)
        if size <= 0:
            self.kfree(content)
            return VirtAddr(0)
        room = self.size_of(content)
        if not room:
            self._report(f"krealloc: ignored 0x{content & 0xFFFFFFFF:08X}, where nothing is allocated")
            return VirtAddr(0)
        if size <= room:
            return VirtAddr(content)
        other = self.kmalloc(size)
        if other:
            self._window_of(other).write(other, self._window_of(content).read(content, room))
            self.kfree(content)
        return other

    def trim(self) -> int:
        """Give back the pages that nothing allocated lies in, as far as blocks and pools can; how many."""
        return self.blocks.trim() + self.pools.trim()

    def _window_of(self, content: int) -> PageWindow:
        return next(window for window in self.windows.values() if window.base <= content < window.end)

    def size_of(self, content: int) -> int:
        """How many bytes may be used at `content`; 0 if nothing is allocated there."""
        if POOLS_BASE <= content < GUARDED_BASE:
            return self.pools.size_of(content)
        if GUARDED_BASE <= content < GUARDED_END:
            return self.guarded.size_of(content)
        block = self.blocks.block_of(content)
        return block.size - self.blocks.fences.pad if block else 0

    def frames(self) -> Iterator[tuple[int, str]]:
        """Every page frame that is managed here, with the name of its part."""
        for name, window in self.windows.items():
            for frame in window.frames():
                yield frame, name

    def figures(self) -> Figures:
        """How full it is now.  Looks at all blocks."""
        used_blocks = [block.size for block in self.blocks.blocks() if not block.is_free]
        objects = self.pools.used()
        guarded = self.guarded.sizes()
        return Figures(
            mapped=sum(len(window.delta) for window in self.windows.values()) << PAGE_SHIFT,
            used=sum(used_blocks) + sum(size * count for size, count in objects.items()) + sum(guarded),
            allocations=len(used_blocks) + sum(objects.values()) + len(guarded),
            largest_free=self.blocks.largest_free,
            fragmentation=self.blocks.fragmentation,
        )

    def check(self) -> list[str]:
        """Contradictions in all parts, as sentences; none if all is well."""
        return self.blocks.check() + self.handles.check() + self.pools.check() + self.guarded.check()
