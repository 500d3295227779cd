"""Memory of profile `bitmap` without a processor: pages from 1 MiB on, and a mapper that is a dictionary."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hillemu.emu.guest import FakeMemory
from hillemu.emu.i386.address import PAGE_SIZE, Frame, PhysAddr, VirtAddr
from hillemu.kernel.mm.debug_aids import Options
from hillemu.kernel.mm.frames import FrameRun
from hillemu.kernel.profiles.bitmap.block_heap import BlockHeap
from hillemu.kernel.profiles.bitmap.page_bitmap import PageBitmap
from hillemu.kernel.profiles.bitmap.page_window import PageWindow

MANAGER_AT, HEAP_AT = PhysAddr(0x20000), PhysAddr(0x20100)
HEAP_BASE, HEAP_END = VirtAddr(0x30000000), VirtAddr(0x30400000)
SIZE_BYTES = 0x300000
FIRST_PAGE = 0x101
"""The page behind the maps, which fit into one."""


class DictMapper:
    """`KernelMapper`; refuses what is mapped already, and everything once `left` pages were mapped.

    `take_table` gives a page for a page table, with every page that is mapped; 0 if there is none.
    """

    def __init__(self) -> None:
        self.mapped: dict[int, int] = {}
        self.left = 1 << 20
        self.take_table: Callable[[], int] = lambda: 1

    def map_page(self, virt: VirtAddr, phys: PhysAddr, flags: int, /) -> int:
        if virt in self.mapped or not self.left or not self.take_table():
            return -1
        self.left -= 1
        self.mapped[virt] = phys | flags
        return 0

    def unmap_page(self, virt: VirtAddr, /) -> int:
        return 0 if self.mapped.pop(virt, None) else -1


class BitmapMemory:
    """The parts, put together; `reports` is what they said."""

    def __init__(self, size_bytes: int = SIZE_BYTES, memory: Any = None, aids: Options | None = None) -> None:
        self.memory = memory or FakeMemory(size_bytes)
        self.reports: list[str] = []
        run = FrameRun(Frame(0), Frame(size_bytes // PAGE_SIZE))
        self.pages = PageBitmap.create(self.memory, MANAGER_AT, [run], report=self.reports.append)
        self.mapper = DictMapper()
        self.window = self.new_window(HEAP_BASE, HEAP_END)
        options = aids or Options(red_zones=False, poison=False)
        self.heap = BlockHeap(self.memory, HEAP_AT, self.window, self.reports.append, options)

    def new_window(self, base: int, end: int) -> PageWindow:
        return PageWindow(self.memory, self.pages, self.mapper, VirtAddr(base), VirtAddr(end))

    def scatter(self) -> None:
        """Take every second page, so that no two that are given out from now on are neighbours."""
        taken = [self.pages.alloc_page() for _ in range(self.pages.free_pages // 2)]
        for phys in taken[::2]:
            self.pages.free_page(phys)

    def exhaust(self) -> list[PhysAddr]:
        """Take all pages that are free."""
        return [self.pages.alloc_page() for _ in range(self.pages.free_pages)]

    def u32(self, virt: int) -> int:
        """The word at a virtual address, by the mapper's dictionary."""
        entry = self.mapper.mapped[virt & -PAGE_SIZE]
        return int(self.memory.u32(PhysAddr((entry & -PAGE_SIZE) + (virt & PAGE_SIZE - 1))))

    def set_u32(self, virt: int, value: int) -> None:
        """What a stray write of the guest does."""
        entry = self.mapper.mapped[virt & -PAGE_SIZE]
        self.memory.set_u32(PhysAddr((entry & -PAGE_SIZE) + (virt & PAGE_SIZE - 1)), value)

    def list_in_memory(self, head: int | None = None) -> list[tuple[int, int, int]]:
        """The heap's list as a debugger would read it: (header's address, size, is_free)."""
        found = []
        at = self.memory.u32(HEAP_AT) if head is None else head
        while at:
            found.append((at, self.u32(at), self.u32(at + 4)))
            at = self.u32(at + 8)
        return found

    def check(self) -> list[str]:
        return self.pages.check(self.window.frames()) + self.heap.check()
