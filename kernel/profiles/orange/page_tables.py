"""The kernel's page tables: the directory at 0x100000, page table `n` at 0x101000 + 0x1000 * n.

That makes the entries of all tables one array, whose element `linear >> 12` maps `linear`.  A table is in use if its
directory entry is present; what lies in the room of another one means nothing.

Page directories of processes have the kernel's first GiB, too: the same tables, by copies of the directory's entries.

Source: Intel SDM Vol. 3A, "32-Bit Paging".
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, PhysAddr, VirtAddr
from hillemu.emu.i386.entries import PageTableEntry
from hillemu.kernel.mm.words import Words, window, words
from hillemu.kernel.profiles.orange.layout import ENTRIES, PAGE_DIRECTORY, PAGE_TABLES, TABLE_BYTES, USER_BASE

PRESENT, WRITABLE = PageTableEntry.present.mask, PageTableEntry.writable.mask
USER = PageTableEntry.user.mask
KERNEL = PRESENT | WRITABLE
"""What directory entries and writable pages of the kernel have; ring 3 may use none of them."""
_EMPTY = bytes(PAGE_SIZE)
TABLE_SHIFT = 22
SHARED_TABLES = USER_BASE >> TABLE_SHIFT
"""All address spaces have these tables."""


def table_at(number: int) -> PhysAddr:
    """Where page table `number` lies.

    >>> hex(table_at(2))
    '0x103000'
    """
    return PhysAddr(PAGE_TABLES + number * PAGE_SIZE)


def entry_at(linear: int) -> PhysAddr:
    """Where the entry that maps `linear` lies.

    >>> hex(entry_at(11 << 20))
    '0x103c00'
    """
    return PhysAddr(PAGE_TABLES + (linear >> PAGE_SHIFT) * 4)


def tables_for(end: int) -> int:
    """How many page tables map all memory below `end` one to one.

    >>> tables_for(32 << 20), tables_for((32 << 20) + 1)
    (8, 9)
    """
    return -(-end // TABLE_BYTES)


class PageTables:
    """The tables in `memory`.  After taking an entry away, or a right, the processor's TLB must be flushed."""

    def __init__(self, memory: GuestMemory) -> None:
        self.directory = words(memory, PAGE_DIRECTORY, ENTRIES)
        self.copies: dict[int, Words] = {}
        """Page directories of processes, by CR3."""
        self._tables = window(memory, PAGE_TABLES, ENTRIES * PAGE_SIZE)

    def entry(self, linear: int) -> int:
        """The entry that maps `linear`; 0 if its table is not in use."""
        if not self.directory[linear >> TABLE_SHIFT] & PRESENT:
            return 0
        at = (linear >> PAGE_SHIFT) * 4
        return int.from_bytes(self._tables[at : at + 4], "little")

    def first_mapped(self, linear: int, pages: int) -> VirtAddr | None:
        """The lowest address of `pages` pages from `linear` on that is mapped; None if none is."""
        for start, count in _by_table(linear, pages):
            if not self.directory[start >> TABLE_SHIFT] & PRESENT:
                continue
            entries = self._read(start, count)
            if entries == _EMPTY[: len(entries)]:
                continue
            for number, entry in enumerate(array("I", entries)):
                if entry & PRESENT:
                    return VirtAddr(start + (number << PAGE_SHIFT))
        return None

    def entries(self, linear: int, pages: int) -> array[int]:
        """A copy of the entries that map `pages` pages from `linear` on; 0 where a table is not in use."""
        found = array("I")
        for start, count in _by_table(linear, pages):
            in_use = self.directory[start >> TABLE_SHIFT] & PRESENT
            found.frombytes(self._read(start, count) if in_use else bytes(4 * count))
        return found

    def map(self, linear: int, frame: int, pages: int, *, writable: bool) -> None:
        """Have `pages` pages from `linear` on lead to the frames from physical `frame` on; tables come into use."""
        for start, _ in _by_table(linear, pages):
            number = start >> TABLE_SHIFT
            if not self.directory[number] & PRESENT:
                self._tables[number * PAGE_SIZE : (number + 1) * PAGE_SIZE] = _EMPTY
                self._set_directory(number, table_at(number) | KERNEL)
        first = frame | (KERNEL if writable else PRESENT)
        self._write(linear, array("I", range(first, first + (pages << PAGE_SHIFT), PAGE_SIZE)))

    def protect(self, linear: int, pages: int, *, writable: bool) -> None:
        """Change the right to write to `pages` pages, all of them mapped."""
        bits = WRITABLE if writable else 0
        self._write(linear, array("I", [entry & ~WRITABLE | bits for entry in self.entries(linear, pages)]))

    def unmap(self, linear: int, pages: int) -> None:
        """Clear these entries where their tables are in use, and those of tables that are empty then."""
        for start, count in _by_table(linear, pages):
            number = start >> TABLE_SHIFT
            if not self.directory[number] & PRESENT:
                continue
            at = (start >> PAGE_SHIFT) * 4
            self._tables[at : at + 4 * count] = _EMPTY[: 4 * count]
            if self.is_empty(number):
                self._set_directory(number, 0)

    def is_empty(self, number: int) -> bool:
        """Whether page table `number` maps nothing."""
        return bytes(self._tables[number * PAGE_SIZE : (number + 1) * PAGE_SIZE]) == _EMPTY

    def in_use(self) -> list[int]:
        """The numbers of the tables that are in use."""
        return [number for number in range(ENTRIES) if self.directory[number] & PRESENT]

    def mappings(self) -> Iterator[tuple[VirtAddr, int]]:
        """Every entry that is present, with the address that it maps, in ascending order."""
        for table in self.in_use():
            for number, entry in enumerate(self.entries(table << TABLE_SHIFT, ENTRIES)):
                if entry & PRESENT:
                    yield VirtAddr(table << TABLE_SHIFT | number << PAGE_SHIFT), entry

    def share_with(self, cr3: int, directory: Words) -> None:
        """A process's `directory` gets the entries of the kernel's tables, and whatever becomes of them."""
        for number in range(SHARED_TABLES):
            directory[number] = self.directory[number]
        self.copies[cr3] = directory

    def _set_directory(self, number: int, entry: int) -> None:
        self.directory[number] = entry
        if number < SHARED_TABLES:
            for directory in self.copies.values():
                directory[number] = entry

    def _read(self, linear: int, pages: int) -> bytes:
        at = (linear >> PAGE_SHIFT) * 4
        return bytes(self._tables[at : at + 4 * pages])

    def _write(self, linear: int, entries: array[int]) -> None:
        at = (linear >> PAGE_SHIFT) * 4
        self._tables[at : at + 4 * len(entries)] = entries.tobytes()


def frame_in(entry: int) -> PhysAddr:
    """The frame that a page-table entry leads to."""
    return PhysAddr(entry & ~PAGE_MASK)


def _by_table(linear: int, pages: int) -> Iterator[tuple[int, int]]:
    """The same pages in pieces, (address, how many), each in one page table."""
    end = linear + (pages << PAGE_SHIFT)
    while linear < end:
        stop = min(end, (linear // TABLE_BYTES + 1) * TABLE_BYTES)
        yield linear, stop - linear >> PAGE_SHIFT
        linear = stop
