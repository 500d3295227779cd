"""The runs of an address space in plain Python: entry by entry, as the manual describes them.

A quarter of a microsecond an entry and more, so that small spaces are done before numpy would be imported; and the
second opinion on `spaces_numpy`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from heapq import merge

from hillemu.emu.i386.control import PagingMode
from hillemu.emu.i386.entries import LargePageEntry, PaeLargePageEntry
from hillemu.emu.i386.paging import reserved_bits
from hillemu.emu.i386.spaces import (
    ACCESSED,
    CACHE_DISABLED,
    DIRTY,
    EXECUTABLE,
    GLOBAL,
    RIGHTS,
    Columns,
    attributes_mask,
)
from hillemu.emu.i386.spaces_tables import (
    LEGACY_SPAN,
    PAE_SPAN,
    POINTER_SPAN,
    PRESENT,
    Link,
    Tables,
    frame_mask,
    is_large,
)

NO_EXECUTE = 1 << 63
Leaf = tuple[int, int, int, int]
"""Virtual start, physical start, size in bytes, attributes."""


def runs_by_plain_python(tables: Tables, key_mask: int) -> Columns:
    """Join the pages of `tables` to runs that are alike in the attributes of `key_mask`."""
    rows: list[list[int]] = []
    next_start = next_phys = size_of_run = key_of_run = -1
    for start, phys, size, attributes in leaves_of(tables):
        key = attributes & key_mask
        if start != next_start or phys != next_phys or size != size_of_run or key != key_of_run:
            rows.append([start, phys, 0, size, attributes & RIGHTS, 0, 0, 0, 0])
            size_of_run, key_of_run = size, key
        next_start, next_phys = start + size, phys + size
        row = rows[-1]
        row[2] += size
        for column, flag in enumerate((ACCESSED, DIRTY, GLOBAL, CACHE_DISABLED), 5):
            if attributes & flag:
                row[column] += 1
    return Columns(*(array("Q", [row[column] for row in rows]) for column in range(len(Columns._fields))))


def leaves_of(tables: Tables) -> Iterator[Leaf]:
    """Every page that can be translated, in ascending order of virtual address."""
    small = (leaf for link in page_tables_of(tables) for leaf in _pages(tables, link))
    return merge(large_pages_of(tables), small)


def page_tables_of(tables: Tables) -> list[Link]:
    """The directory entries that the processor follows to page tables, in ascending order."""
    return [link for link in tables.links if link.span != POINTER_SPAN and not link.leads_nowhere]


def large_pages_of(tables: Tables) -> Iterator[Leaf]:
    """Every page that a directory entry maps itself, in ascending order."""
    control = tables.control
    kind, size = (PaeLargePageEntry, PAE_SPAN) if control.mode is PagingMode.PAE else (LargePageEntry, LEGACY_SPAN)
    mask = attributes_mask(control)
    for first, directory, _ in tables.directories:
        for index, raw in enumerate(tables.entries(directory)):
            if raw & PRESENT and is_large(raw, control):
                entry = kind(raw)
                if not reserved_bits(entry, control):
                    yield first + index * size, entry.base, size, attributes_of(raw, mask)


def _pages(tables: Tables, link: Link) -> Iterator[Leaf]:
    mask = attributes_mask(tables.control)
    granted = attributes_of(link.step.entry, mask) | ~RIGHTS
    address = frame_mask(tables.control)
    refused = table_entry_reserved(tables) | PRESENT
    start: int = link.start
    for raw in tables.entries(link.table):
        if raw & refused == PRESENT:
            yield start, raw & address, 0x1000, attributes_of(raw, mask) & granted
        start += 0x1000


def attributes_of(raw: int, mask: int) -> int:
    """The attributes of one entry; a legacy entry has no bit 63, so it is executable."""
    return (raw & ~EXECUTABLE | (0 if raw & NO_EXECUTE else EXECUTABLE)) & mask


def table_entry_reserved(tables: Tables) -> int:
    """The bits that must be zero in a page-table entry of this space."""
    control = tables.control
    if control.mode is not PagingMode.PAE:
        return 0
    beyond_address = NO_EXECUTE - (1 << control.physical_bits)
    return beyond_address if control.no_execute else beyond_address | NO_EXECUTE
