"""The page cache: pages of files that somebody has looked at, in frames, until memory is needed for something else.

In guest memory, for each file that has been mapped::

    struct cached_file       from a slab cache
        number               1 to 4095
        size                 in bytes, at most 2**32 - 1
        cached               how many pages are in memory
        pages                u32 page[...]: frame * 2 + 1 if it was changed; 0 if it is not in memory

A cached frame belongs to `Owner.PAGE_CACHE` and its `info` is ``number << 20 | page``.  The cache holds one reference,
each page-table entry another.  Pages of shared mappings that were written to are written back before they go.
"""

from __future__ import annotations

from collections.abc import Iterator

from hillemu.emu.i386.address import PAGE_SHIFT, PAGE_SIZE, Frame, PhysAddr, VirtAddr
from hillemu.kernel.errors import InvalidParameters
from hillemu.kernel.layout import KERNEL_BASE
from hillemu.kernel.mm.counters import Counters, Event
from hillemu.kernel.mm.direct_map import DirectMap
from hillemu.kernel.mm.files import File, SharedMemory
from hillemu.kernel.mm.frame_table import INFO_SHIFT, Owner
from hillemu.kernel.mm.frames import OutOfMemory, order_for
from hillemu.kernel.mm.pmm import Pmm
from hillemu.kernel.mm.slab import Cache
from hillemu.kernel.mm.structure import Structure
from hillemu.kernel.mm.words import Words

CACHED_FILE = Structure("cached_file", "u32 number", "u32 size", "u32 cached", "u32 pages")
NUMBER, SIZE, CACHED, PAGES = range(4)
NUMBER_SHIFT = 20
PAGE_NUMBER_MASK = (1 << NUMBER_SHIFT) - 1
LARGEST_NUMBER = 0xFFF
LARGEST_SIZE = (1 << 32) - PAGE_SIZE
CHANGED = 1


class _Open:
    """A file and its structures."""

    def __init__(self, file: File, at: VirtAddr, header: Words, pages: Words, order: int) -> None:
        self.file, self.at, self.header, self.pages, self.order = file, at, header, pages, order


class PageCache:
    """Pages of files by the file's number and the page's."""

    def __init__(self, direct: DirectMap, pmm: Pmm, counters: Counters, structures: Cache) -> None:
        self._direct, self._pmm, self._counters, self._structures = direct, pmm, counters, structures
        self._open: dict[int, _Open] = {}
        self._entries = pmm.table.entries

    def open(self, file: File) -> int | OutOfMemory:
        """The file's number; the same for the same file.

        Raises `InvalidParameters` for a file of 4 GiB or more, and for the 4,096th file.
        """
        for number, known in self._open.items():
            if known.file is file:
                return number
        if not 0 < file.size_bytes <= LARGEST_SIZE:
            raise InvalidParameters(f"page cache: {file.name} has {file.size_bytes} bytes: that cannot be mapped")
        number = next(number for number in range(1, LARGEST_NUMBER + 2) if number not in self._open)
        if number > LARGEST_NUMBER:
            raise InvalidParameters(f"page cache: {file.name} is one file too many: {LARGEST_NUMBER} are mapped")
        count = page_count(file)
        order = order_for(-(-count * 4 // PAGE_SIZE))
        frame = self._pmm.alloc(order, Owner.KERNEL, number)
        if isinstance(frame, OutOfMemory):
            return frame
        at = self._structures.alloc()
        if not at:
            self._pmm.free(frame, order)
            return OutOfMemory(0, self._pmm.free_frames)
        base = PhysAddr(frame << PAGE_SHIFT)
        self._direct.memory.fill(base, PAGE_SIZE << order)
        header = self._direct.u32_array(at, len(CACHED_FILE.members))
        for member, value in enumerate((number, file.size_bytes, 0, KERNEL_BASE + base)):
            header[member] = value
        pages = self._direct.u32_array(VirtAddr(KERNEL_BASE + base), count)
        self._open[number] = _Open(file, at, header, pages, order)
        return number

    def close(self, number: int) -> None:
        """Forget a file that nobody maps; changed pages are written back."""
        known = self._open[number]
        for page in range(len(known.pages)):
            if entry := known.pages[page]:
                self.drop(Frame(entry >> 1))
        del self._open[number]
        self._pmm.free(Frame(known.header[PAGES] - KERNEL_BASE >> PAGE_SHIFT), known.order)
        self._structures.free(known.at)

    def file(self, number: int) -> File:
        return self._open[number].file

    def get(self, number: int, page: int) -> Frame | OutOfMemory | None:
        """The frame that has a page of a file, read in if it must be; None behind the file's end."""
        known = self._open[number]
        if not 0 <= page < len(known.pages):
            return None
        if entry := known.pages[page]:
            self._counters.count(Event.PAGE_CACHE_HIT)
            return Frame(entry >> 1)
        frame = self._pmm.alloc(0, Owner.PAGE_CACHE, number << NUMBER_SHIFT | page, high=True)
        if isinstance(frame, OutOfMemory):
            return frame
        offset = page << PAGE_SHIFT
        data = known.file.read(offset, min(PAGE_SIZE, known.file.size_bytes - offset))
        self._direct.memory.write(PhysAddr(frame << PAGE_SHIFT), data.ljust(PAGE_SIZE, b"\0"))
        known.pages[page] = frame << 1
        known.header[CACHED] += 1
        self._counters.count(Event.PAGE_CACHE_MISS)
        return frame

    def holds(self, number: int, page: int) -> bool:
        """Whether the page is in memory."""
        pages = self._open[number].pages
        return 0 <= page < len(pages) and bool(pages[page])

    def mark_changed(self, frame: Frame) -> None:
        """A shared mapping has written to this cached frame."""
        known, page = self._place(frame)
        known.pages[page] |= CHANGED

    def can_drop(self, frame: Frame) -> bool:
        """Whether the page can be had again: not if it is nowhere else."""
        return not isinstance(self._place(frame)[0].file, SharedMemory)

    def drop(self, frame: Frame) -> None:
        """Let go of a cached frame that no page table maps, written back if it was changed."""
        known, page = self._place(frame)
        if known.pages[page] & CHANGED and known.file.writable and self.can_drop(frame):
            offset = page << PAGE_SHIFT
            count = min(PAGE_SIZE, known.file.size_bytes - offset)
            known.file.write(offset, self._direct.memory.read(PhysAddr(frame << PAGE_SHIFT), count))
        known.pages[page] = 0
        known.header[CACHED] -= 1
        self._pmm.release(frame)

    def place(self, frame: Frame) -> tuple[int, int]:
        """The number of the file, and of its page, that a cached frame has."""
        info = self._entries[frame] >> INFO_SHIFT
        return info >> NUMBER_SHIFT, info & PAGE_NUMBER_MASK

    def frames(self, *, shared_only: bool = False) -> Iterator[Frame]:
        """All that is cached, or only shared anonymous memory."""
        for known in self._open.values():
            if known.header[CACHED] and (not shared_only or isinstance(known.file, SharedMemory)):
                yield from (
                    Frame(entry >> 1) for entry in map(known.pages.__getitem__, range(len(known.pages))) if entry
                )

    def counts(self) -> tuple[int, int, int]:
        """How many pages there are, how many are shared anonymous memory, and how many are newer than their file."""
        pages = shared = changed = 0
        for known in self._open.values():
            pages += known.header[CACHED]
            if isinstance(known.file, SharedMemory):
                shared += known.header[CACHED]
            elif known.header[CACHED]:
                changed += sum(known.pages[page] & CHANGED for page in range(len(known.pages)))
        return pages, shared, changed

    def check(self) -> list[str]:
        """Files and frames that contradict each other, as sentences; none if all is well."""
        found = []
        for number, known in self._open.items():
            cached = 0
            for page in range(len(known.pages)) if known.header[CACHED] else ():
                if entry := known.pages[page]:
                    cached += 1
                    record = self._pmm.table.record(entry >> 1)
                    if record.owner is not Owner.PAGE_CACHE or record.info != number << NUMBER_SHIFT | page:
                        found.append(
                            f"page cache: page {page} of {known.file.name} is in frame {entry >> 1:#x}: {record}"
                        )
            if cached != known.header[CACHED]:
                found.append(f"page cache: {known.file.name} has {cached} pages, but counts {known.header[CACHED]}")
        return found

    def _place(self, frame: Frame) -> tuple[_Open, int]:
        number, page = self.place(frame)
        return self._open[number], page


def page_count(file: File) -> int:
    """Pages that the file has, the last one perhaps in part."""
    return -(-file.size_bytes // PAGE_SIZE)
