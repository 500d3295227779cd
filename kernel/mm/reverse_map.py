"""From a frame back to the page-table entries that map it.

No chains are kept for it.  A program's page never moves: `fork` keeps addresses, and there is no `mremap`.  So the page
number in an anonymous frame's `info` (``space << 20 | page``) finds its entry in every space that shares it, and a
cached frame's file and page lead through the areas.  The references of a frame tell when all entries are found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from hillemu.emu.i386.address import PAGE_SHIFT, Frame
from hillemu.kernel.mm.frame_table import INFO_SHIFT, ORDER_SHIFT, OWNER_SHIFT, REFERENCES_MASK, Owner
from hillemu.kernel.mm.page_cache import PageCache
from hillemu.kernel.mm.page_tables import ACCESSED, DIRTY, PRESENT
from hillemu.kernel.mm.pmm import Pmm

if TYPE_CHECKING:
    from hillemu.kernel.mm.address_space import AddressSpace

PAGE_NUMBER_BITS = 20
PAGE_NUMBER_MASK = (1 << PAGE_NUMBER_BITS) - 1
_KIND = 0xFF << OWNER_SHIFT | 0xFF << ORDER_SHIFT
_ANONYMOUS = Owner.ANONYMOUS << OWNER_SHIFT | 0x80 << ORDER_SHIFT
_PAGE_CACHE = Owner.PAGE_CACHE << OWNER_SHIFT | 0x80 << ORDER_SHIFT


class Place(NamedTuple):
    """An entry that maps the frame in question: number `slot` of the space's tables, for the page at `at`."""

    space: AddressSpace
    at: int
    slot: int


class ReverseMap:
    """Looks through `spaces`, by id."""

    def __init__(self, pmm: Pmm, cache: PageCache, spaces: Mapping[int, AddressSpace]) -> None:
        self._entries, self._end = pmm.table.entries, pmm.table.end
        self._cache, self._spaces = cache, spaces

    @property
    def end(self) -> int:
        """One past the last frame."""
        return self._end

    def is_program_page(self, frame: int) -> bool:
        """Whether `frame` is a program's page, or a cached page of a file."""
        return 0 <= frame < self._end and self._entries[frame] & _KIND in (_ANONYMOUS, _PAGE_CACHE)

    def is_cached(self, frame: int) -> bool:
        """Whether `frame` is a page of a file."""
        return self._entries[frame] & _KIND == _PAGE_CACHE

    def mappings_of(self, frame: int) -> int:
        """How many entries map a program's page, if nobody else holds it."""
        return (self._entries[frame] & REFERENCES_MASK) - self.is_cached(frame)

    def places(self, frame: Frame) -> list[Place]:
        """Every entry that maps `frame`, a program's page."""
        wanted = self.mappings_of(frame)
        found: list[Place] = []
        if not wanted:
            return found
        for space, at in self._file_pages(frame) if self.is_cached(frame) else self._same_pages(frame):
            tables = space.tables
            slot = tables.find(at)
            entry = tables.words[slot] if slot else 0
            if entry & PRESENT and (entry & tables.frame_mask) >> PAGE_SHIFT == frame:
                found.append(Place(space, at, slot))
                if len(found) == wanted:
                    break
        return found

    def was_accessed(self, frame: Frame) -> bool:
        """Whether anybody has used `frame` since the last time; forgets it: the A bits are cleared."""
        accessed = False
        for place in self.places(frame):
            words = place.space.tables.words
            if (entry := words[place.slot]) & ACCESSED:
                accessed = True
                words[place.slot] = entry & ~ACCESSED
        return accessed

    def is_dirty(self, frame: Frame) -> bool:
        """Whether somebody has written to `frame` since it was mapped, by the D bits."""
        return any(place.space.tables.words[place.slot] & DIRTY for place in self.places(frame))

    def _same_pages(self, frame: int) -> Iterator[tuple[AddressSpace, int]]:
        info = self._entries[frame] >> INFO_SHIFT
        at = (info & PAGE_NUMBER_MASK) << PAGE_SHIFT
        first = self._spaces.get(info >> PAGE_NUMBER_BITS)
        if first is not None:
            yield first, at
        for space in self._spaces.values():
            if space is not first:
                yield space, at

    def _file_pages(self, frame: Frame | int) -> Iterator[tuple[AddressSpace, int]]:
        number, page = self._cache.place(Frame(frame))
        for space in self._spaces.values():
            for area in space.areas:
                at = area.start + (page - area.page << PAGE_SHIFT)
                if area.file == number and area.start <= at < area.end:
                    yield space, at
