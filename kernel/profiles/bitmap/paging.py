"""Page tables of profile bitmap: kernel space, which all address spaces share, and what a program has above it.

::

    directory entry   0 - 255       kernel space, 0x00000000 - 0x3FFFFFFF: the same in every directory
                    256 - 1023      the program's, 0x40000000 - 0xFFFFFFFF

The boot code has made the kernel's directory; tables that are added come from the page bitmap.  A change of an entry
that was present flushes the TLB; one that was not present is in no TLB.

`map_page` is the document's, for kernel space and the program in use: 0, or -1 for what cannot be.  Refusals are
counted and reported.

Source: Intel SDM Vol. 3A, "32-Bit Paging", "Caching Translation Information".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, PhysAddr, VirtAddr
from hillemu.emu.reports import Report, unheard
from hillemu.kernel.mm.page_tables import LARGE, PRESENT, USER, WRITABLE
from hillemu.kernel.mm.words import Words
from hillemu.kernel.profiles.bitmap.layout import KERNEL_END
from hillemu.kernel.profiles.bitmap.page_bitmap import PageBitmap

FAILED = -1
_FRAME = ~PAGE_MASK & 0xFFFFFFFF
_TABLE_SHIFT = 22
_KERNEL_ENTRIES = KERNEL_END >> _TABLE_SHIFT
_ENTRIES = 1024
_ALLOWED = PRESENT | WRITABLE | USER
_FOUR_GIB = 1 << 32


class PageDirectory:
    """The directory at physical `cr3`, and its tables; `words` is memory by physical address divided by four."""

    def __init__(self, words: Words, cr3: PhysAddr) -> None:
        self.words, self.cr3 = words, cr3

    def directory_slot(self, at: int) -> int:
        """Where among `words` the directory entry of `at` lies."""
        return (self.cr3 >> 2) + (at >> _TABLE_SHIFT)

    def slot(self, at: int) -> int:
        """Where among `words` the entry of the page at `at` lies; 0 if it has no table."""
        pde = self.words[self.directory_slot(at)]
        if pde & (PRESENT | LARGE) != PRESENT:
            return 0
        return ((pde & _FRAME) >> 2) + (at >> PAGE_SHIFT & _ENTRIES - 1)

    def entry(self, at: int) -> int:
        """The entry of the page at `at`; 0 if it has no table."""
        slot = self.slot(at)
        return self.words[slot] if slot else 0

    def entries(self, first: int, end: int) -> Iterator[tuple[VirtAddr, int]]:
        """Every entry that is not 0, with the address of its page, from the table of `first` up to that of `end`."""
        for base in range(first, end, 1 << _TABLE_SHIFT):
            slot = self.slot(base)
            for number in range(_ENTRIES if slot else 0):
                if entry := self.words[slot + number]:
                    yield VirtAddr(base + (number << PAGE_SHIFT)), entry

    def tables(self, first: int, end: int) -> Iterator[tuple[VirtAddr, PhysAddr]]:
        """Every page table from that of `first` up to that of `end`, with the address that it begins to map."""
        for base in range(first, end, 1 << _TABLE_SHIFT):
            if self.words[self.directory_slot(base)] & PRESENT:
                yield VirtAddr(base), PhysAddr(self.words[self.directory_slot(base)] & _FRAME)


class Paging:
    """Kernel space, and the directories of programs, which follow it.

    `flush_tlb` has the processor forget its translations.
    """

    def __init__(
        self,
        memory: GuestMemory,
        words: Words,
        pages: PageBitmap,
        cr3: PhysAddr,
        flush_tlb: Callable[[], None],
        report: Report = unheard,
    ) -> None:
        self.kernel = PageDirectory(words, cr3)
        self.pages, self.flush_tlb, self.report = pages, flush_tlb, report
        self.programs: list[PageDirectory] = []
        self.current: PageDirectory | None = None
        """The program's whose directory is in CR3."""
        self.refused = 0
        """Calls of `map_page` and `unmap_page` that made no sense, or found no memory."""
        self._memory, self._words = memory, words

    # ---- the document's -----------------------------------------------------------------------------------------

    def map_page(self, virt: VirtAddr, phys: PhysAddr, flags: int) -> int:
        """Have the page at `virt` lead to `phys` with the flags PTE_P, PTE_W, PTE_U; 0, or -1.

        Without PTE_P the page's mapping goes.
        """
        if not flags & PRESENT:
            return self.unmap_page(virt)
        directory = self._directory_of(virt)
        why = self._why_not(virt, phys, flags, directory)
        if why or directory is None:
            return self._refuse(f"map_page(0x{virt:08X}, 0x{phys:08X}, {flags:#x}): {why}")
        if not self.set_entry(directory, virt, phys | flags):
            return self._refuse(f"map_page(0x{virt:08X}, 0x{phys:08X}, {flags:#x}): no page is free for its table")
        return 0

    def unmap_page(self, virt: VirtAddr) -> int:
        """Take the mapping of the page at `virt` away, whose frame stays whose it is; 0, or -1 if there is none."""
        directory = self._directory_of(virt)
        if virt & PAGE_MASK or directory is None or not directory.entry(virt) & PRESENT:
            return self._refuse(f"unmap_page(0x{virt:08X}): nothing is mapped there")
        self.set_entry(directory, virt, 0)
        return 0

    def _directory_of(self, virt: int) -> PageDirectory | None:
        return self.kernel if 0 <= virt < KERNEL_END else self.current

    @staticmethod
    def _why_not(virt: int, phys: int, flags: int, directory: PageDirectory | None) -> str:
        if (virt | phys) & PAGE_MASK:
            return "not the start of a page"
        if not 0 <= virt < _FOUR_GIB or not 0 <= phys < _FOUR_GIB:
            return "not an address of 32 bits"
        if flags & ~_ALLOWED:
            return "flags are PTE_P (1), PTE_W (2) and PTE_U (4)"
        if directory is None:
            return "no program runs whose memory this could be"
        if not virt:
            return "page 0 stays unmapped, so that null pointers are noticed"
        if virt < KERNEL_END and flags & USER:
            return "kernel space is not for programs"
        return ""

    def _refuse(self, why: str) -> int:
        self.refused += 1
        self.report(why)
        return FAILED

    # ---- entries ------------------------------------------------------------------------------------------------

    def set_entry(self, directory: PageDirectory, at: int, entry: int) -> bool:
        """Write the entry of the page at `at`; False if there is no memory for its table.

        The processor forgets what it knew of the page, if that was anything.
        """
        slot = directory.slot(at) or (self._make_table(directory, at) if entry else 0)
        if not slot:
            return not entry
        before = self._words[slot]
        self._words[slot] = entry
        if before & PRESENT:
            self.flush_tlb()
        return True

    def _make_table(self, directory: PageDirectory, at: int) -> int:
        table = self.pages.alloc_page()
        if not table:
            return 0
        self._memory.fill(table, PAGE_SIZE)
        pde = table | PRESENT | WRITABLE | (0 if at < KERNEL_END else USER)
        sharers = (self.kernel, *self.programs) if at < KERNEL_END else (directory,)
        for one in sharers:
            self._words[one.directory_slot(at)] = pde
        return directory.slot(at)

    # ---- directories of programs --------------------------------------------------------------------------------

    def new_directory(self) -> PageDirectory | None:
        """A directory whose upper part is empty; None if there is no memory."""
        page = self.pages.alloc_page()
        if not page:
            return None
        self._memory.fill(page, PAGE_SIZE)
        directory = PageDirectory(self._words, page)
        for number in range(_KERNEL_ENTRIES):
            self._words[(page >> 2) + number] = self._words[(self.kernel.cr3 >> 2) + number]
        self.programs.append(directory)
        return directory

    def drop_directory(self, directory: PageDirectory) -> None:
        """Give its upper tables and itself back; it must not be in CR3, and what it maps is somebody else's care."""
        self.programs.remove(directory)
        if self.current is directory:
            self.current = None
        for _, table in tuple(directory.tables(KERNEL_END, _FOUR_GIB)):
            self.pages.free_page(table)
        self.pages.free_page(directory.cr3)
