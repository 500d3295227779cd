"""A range of kernel space whose pages come from `alloc_page`: contiguous for the kernel, anywhere in physical memory.

::

    base                     top                 end
     | mapped, used as one run | mapped when needed |   the pages in front of `base` and behind `end` stay unmapped

What lies in it is reached by virtual address, through the translations that were made here.  A word of 32 bits never
crosses a page, so ``u32[(at >> 2) + delta[at >> 12]]`` is the word at `at`: who is in a hurry uses that.
"""

from __future__ import annotations

from typing import Protocol

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PAGE_SHIFT, PAGE_SIZE, Frame, PhysAddr, VirtAddr
from hillemu.kernel.errors import InvalidParameters
from hillemu.kernel.mm.page_tables import PRESENT, WRITABLE
from hillemu.kernel.mm.words import window_from_zero, words_from_zero
from hillemu.kernel.profiles.bitmap.page_bitmap import PageBitmap

_FOUR_GIB = 1 << 32
_WORDS_SHIFT = PAGE_SHIFT - 2


class KernelMapper(Protocol):
    """Changes the kernel's half of the page tables, and keeps the TLB right."""

    def map_page(self, virt: VirtAddr, phys: PhysAddr, flags: int, /) -> int:
        """Map one page with the flags of its entry; 0, or anything else if it cannot be done."""

    def unmap_page(self, virt: VirtAddr, /) -> int:
        """Take the mapping of one page away, and leave the frame alone; 0, or anything else if there was none."""


class PageWindow:
    """Virtual addresses `base` up to `end`, whose pages are taken and given back here.

    Raises `InvalidParameters` for a range that is not whole pages.
    """

    def __init__(
        self, memory: GuestMemory, pages: PageBitmap, mapper: KernelMapper, base: VirtAddr, end: VirtAddr
    ) -> None:
        if (base | end) & PAGE_SIZE - 1 or not 0 < base < end <= _FOUR_GIB:
            raise InvalidParameters(f"kernel pages: 0x{base:08X}-0x{end:08X} is no range of pages")
        self.memory, self.pages, self.base, self.end = memory, pages, base, end
        self._mapper = mapper
        end_of_ram = max(run.end for run in memory.ram_ranges if run.end <= _FOUR_GIB)
        self.u32 = words_from_zero(memory, end_of_ram, "I")
        self.bytes = window_from_zero(memory, end_of_ram)
        """The same memory, by physical address: what is at `at` lies at ``(delta[at >> 12] << 2) + at``."""
        self.delta: dict[int, int] = {}
        """By number of a mapped page: what to add to the number of a word to get its place in `u32`."""
        self.top = base
        """The end of the run of pages from `base` on, which `grow` and `shrink` change."""

    def grow(self, count: int) -> bool:
        """Map `count` pages at `top`; all of them, or nothing has changed."""
        if count > self.end - self.top >> PAGE_SHIFT or count > self.pages.free_pages:
            return False
        for number in range(count):
            if not self.map(VirtAddr(self.top + (number << PAGE_SHIFT))):
                for mapped in range(number):
                    self.unmap(VirtAddr(self.top + (mapped << PAGE_SHIFT)))
                return False
        self.top = VirtAddr(self.top + (count << PAGE_SHIFT))
        return True

    def shrink(self, count: int) -> None:
        """Give back the last `count` pages below `top`."""
        for _ in range(count):
            self.top = VirtAddr(self.top - PAGE_SIZE)
            self.unmap(self.top)

    def map(self, at: VirtAddr) -> bool:
        """Map a page at `at`, which has none; whether there was one to be had."""
        phys = self.pages.alloc_page()
        if not phys:
            return False
        if self._mapper.map_page(at, phys, PRESENT | WRITABLE):
            self.pages.free_page(phys)
            return False
        self.delta[at >> PAGE_SHIFT] = (phys - at) >> 2
        return True

    def unmap(self, at: VirtAddr) -> None:
        """Take the page at `at` away, and give it back."""
        phys = self.phys(at)
        self._mapper.unmap_page(at)
        del self.delta[at >> PAGE_SHIFT]
        self.pages.free_page(phys)

    def holds(self, at: int, count: int = 1) -> bool:
        """Whether all pages of `count` bytes at `at` are mapped."""
        return all(page in self.delta for page in range(at >> PAGE_SHIFT, (at + count - 1 >> PAGE_SHIFT) + 1))

    def phys(self, at: int) -> PhysAddr:
        """Where the byte at virtual address `at` lies; `KeyError` if its page is not mapped."""
        return PhysAddr((self.delta[at >> PAGE_SHIFT] << 2) + at)

    def frames(self) -> list[Frame]:
        """All that is mapped here."""
        return [Frame((delta >> _WORDS_SHIFT) + page) for page, delta in self.delta.items()]

    def get(self, at: int) -> int:
        """The 32-bit word at `at`, a multiple of 4."""
        return self.u32[(at >> 2) + self.delta[at >> PAGE_SHIFT]]

    def set(self, at: int, value: int) -> None:
        """Change the 32-bit word at `at`, a multiple of 4."""
        self.u32[(at >> 2) + self.delta[at >> PAGE_SHIFT]] = value

    def read(self, at: int, count: int) -> bytes:
        """`count` bytes from virtual address `at` on; `KeyError` if one of the pages is not mapped."""
        pieces = []
        while count > 0:
            here = min(count, PAGE_SIZE - (at & PAGE_SIZE - 1))
            pieces.append(self.memory.read(self.phys(at), here))
            at += here
            count -= here
        return b"".join(pieces)

    def write(self, at: int, data: bytes) -> None:
        """Write from virtual address `at` on; `KeyError` if one of the pages is not mapped.

        It may be code: the processor notices.
        """
        done = 0
        while done < len(data):
            here = min(len(data) - done, PAGE_SIZE - (at + done & PAGE_SIZE - 1))
            self.memory.write(self.phys(at + done), data[done : done + here])
            done += here
