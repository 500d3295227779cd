"""Paging-structure entries, bit by bit.

32-bit paging has two levels and 4-byte entries::

    31                      12 11   9  8   7   6  5  4   3  2   1  0
    | page table   31..12     | free |  | 0 |   | A |PCD|PWT|U/S|R/W|P|   PageDirectoryEntry
    | frame        31..12     | free | G|PAT| D | A |PCD|PWT|U/S|R/W|P|   PageTableEntry
    31      22 21 20     13 12 11   9  8   7   6  5  4   3  2   1  0
    | 31..22   | 0| 39..32 |PAT| free| G| 1 | D | A |PCD|PWT|U/S|R/W|P|   LargePageEntry, 4 MiB (PSE-36)

PAE paging has three levels and 8-byte entries, with the no-execute bit on top.  Writers build words by name:

>>> from hillemu.emu.i386.address import PhysAddr
>>> PageTableEntry.of(frame=0x123, dirty=1, accessed=1, user=1, present=1)
PageTableEntry(0x00123065 frame=0x123 dirty accessed user present)
>>> LargePageEntry.at(PhysAddr(0x1_0040_0000), present=1).base == 0x1_0040_0000
True

Bits that are named in neither drawing nor class are free for software.

Source: Intel SDM Vol. 3A, "32-Bit Paging" and "PAE Paging", the figures and tables of formats.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Self

from hillemu.emu.i386.address import Frame, PhysAddr, base_of
from hillemu.emu.word import Bit, Bits, Word


class PagingEntry(Word):
    """What an entry of every level has."""

    cache_disabled = Bit(4)
    write_through = Bit(3)
    present = Bit(0)

    @property
    @abstractmethod
    def base(self) -> PhysAddr:
        """Physical address of what the entry leads to: the next table, or the page."""


class RightsEntry(PagingEntry):
    """An entry that has a say in who may do what: all but the PDPTE."""

    accessed = Bit(5)
    user = Bit(2)
    writable = Bit(1)


class LeafEntry(RightsEntry):
    """An entry that maps a page."""

    global_page = Bit(8)
    dirty = Bit(6)


# ---- 32-bit paging


class PageDirectoryEntry(RightsEntry):
    """Leads to a page table, which maps 4 MiB in pages of 4 KiB."""

    table = Bits(31, 12)
    """Frame number of the page table."""

    @property
    def base(self) -> PhysAddr:
        return base_of(Frame(self.table))


class PageTableEntry(LeafEntry):
    """Maps a 4 KiB page."""

    frame = Bits(31, 12)
    pat = Bit(7)

    @property
    def base(self) -> PhysAddr:
        return base_of(Frame(self.frame))


class LargePageEntry(LeafEntry):
    """A page-directory entry that maps a 4 MiB page; `high` holds address bits 39-32 (PSE-36)."""

    frame = Bits(31, 22)
    """Address bits 31-22: the number of the 4 MiB block below 4 GiB."""
    high = Bits(20, 13)
    pat = Bit(12)
    large = Bit(7)

    @property
    def base(self) -> PhysAddr:
        return PhysAddr(self.high << 32 | self.frame << 22)

    @classmethod
    def at(cls, base: PhysAddr, **flags: int) -> Self:
        """Map the 4 MiB at `base`, a multiple of 4 MiB below 1 TiB; `ValueError` for any other."""
        if base & 0x3FFFFF:
            raise ValueError(f"a 4 MiB page cannot start at {base:#x}")
        return cls.of(frame=base >> 22 & 0x3FF, high=base >> 32, large=1, **flags)


# ---- PAE paging


class PageDirectoryPointerEntry(PagingEntry):
    """One of the four entries that CR3 leads to: 1 GiB each.  It grants and denies nothing."""

    BITS = 64
    directory = Bits(51, 12)
    """Frame number of the page directory."""

    @property
    def base(self) -> PhysAddr:
        return base_of(Frame(self.directory))


class PaeDirectoryEntry(RightsEntry):
    """Leads to a page table, which maps 2 MiB in pages of 4 KiB."""

    BITS = 64
    no_execute = Bit(63)
    table = Bits(51, 12)

    @property
    def base(self) -> PhysAddr:
        return base_of(Frame(self.table))


class PaeTableEntry(LeafEntry):
    """Maps a 4 KiB page."""

    BITS = 64
    no_execute = Bit(63)
    frame = Bits(51, 12)
    pat = Bit(7)

    @property
    def base(self) -> PhysAddr:
        return base_of(Frame(self.frame))


class PaeLargePageEntry(LeafEntry):
    """A page-directory entry that maps a 2 MiB page."""

    BITS = 64
    no_execute = Bit(63)
    frame = Bits(51, 21)
    """Number of the 2 MiB block."""
    pat = Bit(12)
    large = Bit(7)

    @property
    def base(self) -> PhysAddr:
        return PhysAddr(self.frame << 21)

    @classmethod
    def at(cls, base: PhysAddr, **flags: int) -> Self:
        """Map the 2 MiB at `base`, a multiple of 2 MiB; `ValueError` for any other."""
        if base & 0x1FFFFF:
            raise ValueError(f"a 2 MiB page cannot start at {base:#x}")
        return cls.of(frame=base >> 21, large=1, **flags)
