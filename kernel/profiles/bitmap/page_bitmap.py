"""The document's `memory_manager_t`: a bit for every page of physical memory, handed out by first fit.

All of its state lies in guest memory, where kernel space is mapped one to one::

    `at`        memory_manager_t       the document's, 20 bytes
    `at` + 20   page_statistics        what has happened, counted modulo 2**32
    `bitmap`    u8 bitmap[]            bit i of byte b: page 8 * b + i is in use, or reserved
    behind it   u8 reserved[]          likewise: the page is nobody's to give or free (fixed)

Both maps are padded with ones to whole 64-bit words.  As the document draws it, pages are given out from the end of the
maps up to the highest physical address: what lies below, and what is no RAM, is reserved.

`alloc_page` gives the lowest free page.  So that this does not cost a look at every byte, a heap outside guest memory
has the numbers of the words that are not full; it is made anew from the bitmap whenever the structures are opened.

Not modelled: memory beyond 4 GiB, which a 32-bit physical address cannot name; `create` reports how much it leaves out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import IntEnum
from heapq import heappop, heappush

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PAGE_SHIFT, PAGE_SIZE, PhysAddr, page_up
from hillemu.emu.reports import Report, unheard
from hillemu.kernel.errors import Corruption, InvalidParameters
from hillemu.kernel.mm.bits import set_bits
from hillemu.kernel.mm.frames import FrameRun
from hillemu.kernel.mm.structure import Structure
from hillemu.kernel.mm.words import words

BITMAP_AT = PhysAddr(0x100000)
"""Where the document has the bitmap."""

MANAGER = Structure(
    "memory_manager",
    "u32 total_pages",
    "u32 free_pages",
    "u32 bitmap",
    "u32 bitmap_length",
    "u32 kernel_page_dir",
)
"""`bitmap` is a pointer, `bitmap_length` its length in bytes, `kernel_page_dir` a physical address."""

TOTAL_PAGES, FREE_PAGES, BITMAP, BITMAP_LENGTH, KERNEL_PAGE_DIR = range(5)
"""Members of `PageBitmap.manager`."""


class PageCount(IntEnum):
    """Members of `page_statistics`; the last four are frees that were ignored."""

    ALLOCATED = 0
    FREED = 1
    EXHAUSTED = 2
    """Requests that got 0."""
    MISALIGNED = 3
    OUT_OF_RANGE = 4
    ALREADY_FREE = 5
    RESERVED = 6


STATISTICS = Structure("page_statistics", *(f"u32 {count.name.lower()}" for count in PageCount))
SIZE_BYTES = MANAGER.size_bytes + STATISTICS.size_bytes

_MOST_PAGES = 1 << 32 - PAGE_SHIFT
_WORD_SHIFT = PAGE_SHIFT + 6
_FULL = (1 << 64) - 1
_WHY = {
    PageCount.MISALIGNED: "is not the start of a page",
    PageCount.OUT_OF_RANGE: "is beyond the last page",
    PageCount.ALREADY_FREE: "is free already",
    PageCount.RESERVED: "is reserved: it was never given out",
}


class PageBitmap:
    """The allocator on the structures at `at`, which `create` has made.

    Raises `Corruption` if there are none.
    """

    alloc_page: Callable[[], PhysAddr]
    """The physical address of a page, its content undefined; 0 if no page is free, and none can be made free."""

    def __init__(self, memory: GuestMemory, at: PhysAddr, report: Report = unheard) -> None:
        self.memory, self.at, self.report = memory, at, report
        self.manager = words(memory, at, len(MANAGER.members))
        self.counts = words(memory, PhysAddr(at + MANAGER.size_bytes), len(PageCount))
        self.total_pages, self.bitmap_at = self.manager[TOTAL_PAGES], PhysAddr(self.manager[BITMAP])
        if not 0 < self.total_pages <= _MOST_PAGES or self.manager[BITMAP_LENGTH] != self.total_pages + 7 >> 3:
            raise Corruption(f"no memory_manager_t at physical {at:#x}")
        count = self.total_pages + 63 >> 6
        self.used = words(memory, self.bitmap_at, count, "Q")
        self.reserved = words(memory, PhysAddr(self.bitmap_at + 8 * count), count, "Q")
        self.reclaim: Callable[[], int] = lambda: 0
        """Called when no page is free: has pages given back that nobody needs; how many."""
        self._open = [number for number in range(count) if self.used[number] != _FULL]
        self.alloc_page = _alloc_page_of(self, self._open)

    @classmethod
    def create(
        cls,
        memory: GuestMemory,
        at: PhysAddr,
        available: Iterable[FrameRun],
        *,
        kept: Iterable[FrameRun] = (),
        bitmap_at: PhysAddr = BITMAP_AT,
        kernel_page_dir: int = 0,
        report: Report = unheard,
    ) -> PageBitmap:
        """Manage the pages that are `available`, without those that are `kept`, from the end of the bitmap on.

        Raises `InvalidParameters` if no page would be left, or the maps have no place in RAM.
        """
        runs = [run for run in available if len(run) > 0]
        beyond = sum(max(run.end - max(run.first, _MOST_PAGES), 0) for run in runs)
        if beyond:
            report(f"memory_init: {beyond} pages beyond 4 GiB are out of reach of 32-bit physical addresses")
        total = min(max((run.end for run in runs), default=0), _MOST_PAGES)
        count = total + 63 >> 6
        first = page_up(bitmap_at + 16 * count) >> PAGE_SHIFT
        bits = _bits(runs) & ~_bits(kept) & (1 << total) - 1
        bits = bits >> first << first
        if not bits:
            raise InvalidParameters(f"memory_init: no free page behind the bitmap at {bitmap_at:#x}")
        if not any(run.base <= bitmap_at and bitmap_at + 16 * count <= run.end for run in memory.ram_ranges):
            raise InvalidParameters(f"memory_init: no RAM for the bitmap, {16 * count} bytes at {bitmap_at:#x}")
        taken = (bits ^ (1 << 64 * count) - 1).to_bytes(8 * count, "little")
        memory.write(bitmap_at, taken + taken)
        memory.fill(at, SIZE_BYTES)
        MANAGER.write(
            memory,
            at,
            total_pages=total,
            free_pages=bits.bit_count(),
            bitmap=bitmap_at,
            bitmap_length=total + 7 >> 3,
            kernel_page_dir=kernel_page_dir,
        )
        return cls(memory, at, report)

    @property
    def free_pages(self) -> int:
        return self.manager[FREE_PAGES]

    @property
    def end(self) -> PhysAddr:
        """Where the maps end, and the pages that are given out begin."""
        return PhysAddr(page_up(self.bitmap_at + 16 * len(self.used)))

    def is_used(self, page: int) -> bool:
        """Whether the page of that number is given out or reserved; pages that do not exist are."""
        return not 0 <= page < self.total_pages or bool(self.used[page >> 6] >> (page & 63) & 1)

    def is_reserved(self, page: int) -> bool:
        """Whether the page of that number is never given out."""
        return not 0 <= page < self.total_pages or bool(self.reserved[page >> 6] >> (page & 63) & 1)

    def free_page(self, at: int) -> bool:
        """Give back the page at physical address `at`; whether it was.  What makes no sense is counted and reported."""
        page = at >> PAGE_SHIFT
        number, bit = page >> 6, 1 << (page & 63)
        if at & PAGE_SIZE - 1:
            return self._refuse(at, PageCount.MISALIGNED)
        if not 0 <= page < self.total_pages:
            return self._refuse(at, PageCount.OUT_OF_RANGE)
        if self.reserved[number] & bit:
            return self._refuse(at, PageCount.RESERVED)
        word = self.used[number]
        if not word & bit:
            return self._refuse(at, PageCount.ALREADY_FREE)
        if word == _FULL:
            heappush(self._open, number)
        self.used[number] = word & ~bit
        self.manager[FREE_PAGES] = self.manager[FREE_PAGES] + 1 & 0xFFFFFFFF
        self._count(PageCount.FREED)
        return True

    def _refuse(self, at: int, why: PageCount) -> bool:
        self._count(why)
        self.report(f"free_page: ignored 0x{at & 0xFFFFFFFF:08X}, which {_WHY[why]}")
        return False

    def _count(self, what: PageCount) -> None:
        self.counts[what] = self.counts[what] + 1 & 0xFFFFFFFF

    def check(self, in_use: Iterable[int] = ()) -> list[str]:
        """Contradictions in the structures, as sentences; none if all is well.

        `in_use` are numbers of pages that somebody is known to have: they must not be free.
        """
        found = []
        maps_at, length = self.bitmap_at, self.total_pages + 7 >> 3
        for member, value in ((TOTAL_PAGES, self.total_pages), (BITMAP, maps_at), (BITMAP_LENGTH, length)):
            if (said := self.manager[member]) != value:
                found.append(f"bitmap: memory_manager_t.{list(MANAGER.members)[member]} is {said:#x}, not {value:#x}")
        clear, listed = 0, set(self._open)
        for number in range(len(self.used)):
            free = ~self.used[number] & _FULL
            clear += free.bit_count()
            found += [
                f"bitmap: page {64 * number + bit:#x} is marked free, but it is reserved"
                for bit in set_bits(free & self.reserved[number])
            ]
            if free and number not in listed:
                found.append(f"bitmap: pages {set_of(number, free)} were marked free by nobody who frees pages")
        if clear != self.free_pages:
            found.append(f"bitmap: memory_manager_t.free_pages is {self.free_pages}, but {clear} bits are clear")
        found += [
            f"bitmap: page {page:#x} is marked free, but it is in use" for page in in_use if not self.is_used(page)
        ]
        return found


def set_of(number: int, bits: int) -> str:
    """The pages whose bits are set in word `number`, for people.

    >>> set_of(1, 0b101)
    '0x40, 0x42'
    """
    return ", ".join(f"{64 * number + bit:#x}" for bit in set_bits(bits))


def _bits(runs: Iterable[FrameRun]) -> int:
    bits = 0
    for first, end in runs:
        bits |= ((1 << max(end - first, 0)) - 1) << first
    return bits


def _alloc_page_of(pages: PageBitmap, open_: list[int]) -> Callable[[], PhysAddr]:
    manager, counts, used = pages.manager, pages.counts, pages.used
    allocated, exhausted = int(PageCount.ALLOCATED), int(PageCount.EXHAUSTED)

    def alloc_page() -> PhysAddr:
        free = manager[FREE_PAGES]
        while free and open_:
            number = open_[0]
            word = used[number]
            if word == _FULL:  # by somebody else's hand
                heappop(open_)
                continue
            used[number] = after = word | word + 1
            if after == _FULL:
                heappop(open_)
            manager[FREE_PAGES] = free - 1
            counts[allocated] = counts[allocated] + 1 & 0xFFFFFFFF
            return PhysAddr(number << _WORD_SHIFT | (after ^ word).bit_length() - 1 << PAGE_SHIFT)
        if pages.reclaim():
            return alloc_page()
        counts[exhausted] = counts[exhausted] + 1 & 0xFFFFFFFF
        return PhysAddr(0)

    return alloc_page
