"""Page tables in guest memory, in both formats of a 32-bit processor, behind one class.

::

    32-bit paging     CR3 -> directory [at >> 22] -> table [at >> 12 & 0x3FF] -> frame, entries of 4 bytes
    PAE paging        CR3 -> 4 pointers [at >> 30] -> directory [at >> 21 & 0x1FF] -> table [at >> 12 & 0x1FF] -> frame,
                      entries of 8 bytes

With PAE the four directories are there from the start, so that both formats are "a directory entry for each table":
a quarter of 32-bit paging's directory stands for a directory of PAE.  All tables lie in the direct map and belong to
`Owner.PAGE_TABLE`.  Entries are plain numbers here; `hillemu.emu.i386.entries` has their bits by name.

The tables remember nothing outside guest memory but addresses, and tell no processor: who changes live entries has
the TLB flushed, unless they were not present before, which no processor remembers.

Source: Intel SDM Vol. 3A, "32-Bit Paging", "PAE Paging", "Caching Translation Information".
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from hillemu.emu.i386.address import PAGE_SHIFT, PAGE_SIZE, Frame, PhysAddr
from hillemu.emu.i386.entries import LargePageEntry, LeafEntry, PaeTableEntry, PageTableEntry
from hillemu.kernel.errors import InvalidParameters
from hillemu.kernel.layout import KERNEL_BASE
from hillemu.kernel.mm.direct_map import DirectMap
from hillemu.kernel.mm.frame_table import Owner
from hillemu.kernel.mm.frames import OutOfMemory
from hillemu.kernel.mm.pmm import Pmm
from hillemu.kernel.mm.words import Words

PRESENT, WRITABLE, USER = LeafEntry.present.mask, LeafEntry.writable.mask, LeafEntry.user.mask
ACCESSED, DIRTY, LARGE = LeafEntry.accessed.mask, LeafEntry.dirty.mask, LargePageEntry.large.mask
GLOBAL = LeafEntry.global_page.mask
NO_EXECUTE = PaeTableEntry.no_execute.mask
"""Only in PAE's entries, and reserved unless EFER.NXE is set."""
_PAT_OF_LARGE = LargePageEntry.pat.mask
_EMPTY_PAGE = bytes(PAGE_SIZE)
_PIECE = 64
"""Directory entries that are looked at together."""
_FOUR_GIB = 1 << 32


class Format(NamedTuple):
    """How entries look: `shift` is log2 of what one table maps, `index_mask` numbers its entries."""

    name: str
    entry_bytes: int
    shift: int
    index_mask: int
    frame_mask: int
    typecode: str

    @property
    def directory_mask(self) -> int:
        """Numbers the directory entries of a GiB."""
        return (1 << 30 - self.shift) - 1


TWO_LEVEL = Format("32-bit paging", 4, 22, 0x3FF, PageTableEntry.frame.mask, "I")
PAE = Format("PAE paging", 8, 21, 0x1FF, PaeTableEntry.frame.mask, "Q")


class PageTables:
    """The tables that `cr3` leads to.

    A *slot* is the number of an entry in `words`, all of the direct map as an array of entries: what reads and writes
    single entries in a hurry uses ``words[slot]``.
    """

    def __init__(self, direct: DirectMap, pmm: Pmm, cr3: int, paging: Format) -> None:
        self.direct, self.pmm, self.cr3, self.format = direct, pmm, cr3, paging
        self.words: Words = direct.u32 if paging is TWO_LEVEL else direct.u64
        self.frame_mask, self._index_mask = paging.frame_mask, paging.index_mask
        self._shift, self._directory_mask = paging.shift, paging.directory_mask
        self._to_slot = 2 if paging is TWO_LEVEL else 3
        self._directories = self._find_directories()

    @classmethod
    def create(cls, like: PageTables, info: int = 0) -> PageTables | OutOfMemory:
        """New tables whose user half is empty, and whose kernel half is that of `like`.  `info` marks the frames."""
        direct, pmm, paging = like.direct, like.pmm, like.format
        taken: list[Frame] = []
        for _ in range(1 if paging is TWO_LEVEL else 4):
            frame = pmm.alloc(0, Owner.PAGE_TABLE, info)
            if isinstance(frame, OutOfMemory):
                for one in taken:
                    pmm.free(one)
                return frame
            direct.memory.fill(PhysAddr(frame << PAGE_SHIFT), PAGE_SIZE)
            taken.append(frame)
        cr3 = taken[0] << PAGE_SHIFT
        if paging is PAE:
            pointers = [frame << PAGE_SHIFT | PRESENT for frame in taken[1:]]
            for number, pointer in enumerate((*pointers, direct.u64[(like.cr3 >> 3) + 3])):
                direct.u64[(cr3 >> 3) + number] = pointer
        tables = cls(direct, pmm, cr3, paging)
        if paging is TWO_LEVEL:
            for at in range(KERNEL_BASE, _FOUR_GIB, 1 << paging.shift):
                tables.words[tables.directory_slot(at)] = like.words[like.directory_slot(at)]
        return tables

    # ---- single entries -----------------------------------------------------------------------------------------

    def directory_slot(self, at: int) -> int:
        """The slot of the directory entry that virtual address `at` goes through."""
        return self._directories[at >> 30] + (at >> self._shift & self._directory_mask)

    def find(self, at: int) -> int:
        """The slot of the entry of the page at `at`; 0 if there is no table for it, or a large page is in its place."""
        pde = self.words[self._directories[at >> 30] + (at >> self._shift & self._directory_mask)]
        if pde & (LARGE | PRESENT) != PRESENT:
            return 0
        return ((pde & self.frame_mask) >> self._to_slot) + (at >> PAGE_SHIFT & self._index_mask)

    def make(self, at: int, info: int = 0) -> int | OutOfMemory:
        """As `find`, but a missing table is made, and a large page is cut into small ones that map the same."""
        slot = self.find(at)
        if slot:
            return slot
        directory_slot = self.directory_slot(at)
        pde = self.words[directory_slot]
        frame = self.pmm.alloc(0, Owner.PAGE_TABLE, info)
        if isinstance(frame, OutOfMemory):
            return frame
        base = PhysAddr(frame << PAGE_SHIFT)
        if pde & PRESENT:
            self.direct.memory.write(base, self._cut(pde))
        else:
            self.direct.memory.fill(base, PAGE_SIZE)
        self.words[directory_slot] = base | PRESENT | WRITABLE | (USER if at < KERNEL_BASE else pde & USER)
        return self.find(at)

    def entry(self, at: int) -> int:
        """The entry that maps the page at `at`, as a small page's, even if a large one maps it; 0 if none does."""
        slot = self.find(at)
        if slot:
            return self.words[slot]
        pde = self.words[self.directory_slot(at)]
        if pde & PRESENT:
            return array(self.format.typecode, self._cut(pde))[at >> PAGE_SHIFT & self._index_mask]
        return 0

    # ---- many pages ---------------------------------------------------------------------------------------------

    def map(self, at: int, frames: Sequence[int], flags: int, info: int = 0) -> OutOfMemory | None:
        """Map the pages from `at` on to `frames`, all with `flags`; all of them, or nothing has changed.

        Raises `InvalidParameters` if something is mapped there already, or `at` is not the start of a page.
        """
        end = at + (len(frames) << PAGE_SHIFT)
        if at & PAGE_SIZE - 1 or not 0 <= at <= end <= _FOUR_GIB:
            raise InvalidParameters(f"map: pages at 0x{at:08X}-0x{end - 1:08X}")
        made: list[int] = []
        for first in range(at & -(1 << self._shift), end, 1 << self._shift):
            if self.words[self.directory_slot(first)] & PRESENT:
                continue
            slot = self.make(first, info)
            if isinstance(slot, OutOfMemory):
                self._take_tables(made)
                return slot
            made.append(first)
        for first, _, old in self.tables_of(at, end):
            if any(old):
                self._take_tables(made)
                raise InvalidParameters(f"map: the page at 0x{first:08X}, or one behind it, is mapped already")
        flags |= PRESENT
        new = array(self.format.typecode, [frame << PAGE_SHIFT | flags for frame in frames])
        done = 0
        for _, slot, old in self.tables_of(at, end):
            self._store(slot, new[done : done + len(old)])
            done += len(old)
        return None

    def unmap(self, at: int, end: int) -> list[int]:
        """Empty the entries of the pages from `at` up to `end`, and free tables that become empty; what was there.

        In the kernel half no table is freed.
        """
        found: list[int] = []
        for first, slot, old in self.tables_of(at, end):
            taken = [entry for entry in old if entry]
            if taken:
                found += taken
                self._store(slot, array(self.format.typecode, bytes(len(old) * self.format.entry_bytes)))
            if first < KERNEL_BASE:
                base = slot << self._to_slot & -PAGE_SIZE
                if bytes(self.direct.bytes[base : base + PAGE_SIZE]) == _EMPTY_PAGE:
                    self._take_tables((first,))
        return found

    def rewrite(self, at: int, end: int, keep: int, add: int) -> int:
        """Change present entries from `at` up to `end` to ``entry & keep | add``; how many have changed."""
        changed = 0
        for _, slot, old in self.tables_of(at, end):
            for number, entry in enumerate(old):
                if entry & PRESENT and (new := entry & keep | add) != entry:
                    self.words[slot + number] = new
                    changed += 1
        return changed

    def tables_of(self, at: int, end: int) -> Iterator[tuple[int, int, array[int]]]:
        """For each table between `at` and `end`: where its first page lies, that page's slot, and its entries."""
        span, entry_bytes = 1 << self._shift, self.format.entry_bytes
        for table_at, pde in self._directory_entries(at, end):
            if pde & LARGE:
                continue
            first = max(table_at, at)
            slot = ((pde & self.frame_mask) >> self._to_slot) + (first >> PAGE_SHIFT & self._index_mask)
            base = slot << self._to_slot
            size = (min(table_at + span, end) - first >> PAGE_SHIFT) * entry_bytes
            yield first, slot, array(self.format.typecode, bytes(self.direct.bytes[base : base + size]))

    def walk(self, at: int = 0, end: int = KERNEL_BASE) -> Iterator[tuple[int, int]]:
        """Every page between `at` and `end` whose entry is not empty, ascending: its address and its entry."""
        for first, _, entries in self.tables_of(at, end):
            for number, entry in enumerate(entries):
                if entry:
                    yield first + (number << PAGE_SHIFT), entry

    # ---- the tables themselves ----------------------------------------------------------------------------------

    def own_frames(self) -> list[Frame]:
        """The frames of everything that is not shared with the kernel half: the root, PAE's directories, the tables."""
        found = [Frame(self.cr3 >> PAGE_SHIFT)]
        if self.format is PAE:
            found += [Frame(slot >> PAGE_SHIFT - 3) for slot in self._directories[:3]]
        tables = (pde & self.frame_mask for _, pde in self._directory_entries(0, KERNEL_BASE))
        return found + [Frame(table >> PAGE_SHIFT) for table in tables]

    def destroy(self) -> None:
        """Free all of `own_frames`; the tables must not be in CR3."""
        for frame in self.own_frames():
            self.pmm.free(frame)

    def _directory_entries(self, at: int, end: int) -> Iterator[tuple[int, int]]:
        """Every present directory entry between `at` and `end`, ascending, and the first address it is for."""
        shift, mask = self._shift, self._directory_mask
        for gib in range(at >> 30, (end - 1 >> 30) + 1) if at < end else ():
            first = max(at, gib << 30) >> shift & mask
            last = min(end, gib + 1 << 30) - 1 >> shift & mask
            for start in range(first, last + 1, _PIECE):
                raw = self._directory_bytes(gib, start, min(start + _PIECE, last + 1))
                if raw == _EMPTY_PAGE[: len(raw)]:
                    continue  # most of a directory is
                for number, pde in enumerate(array(self.format.typecode, raw), start):
                    if pde & PRESENT:
                        yield gib << 30 | number << shift, pde

    def kernel_half(self) -> array[int]:
        """The directory entries for 0xC0000000 and above."""
        return array(self.format.typecode, self._directory_bytes(3, 0, 1 << 30 - self._shift))

    def _directory_bytes(self, gib: int, first: int, end: int) -> bytes:
        """The directory entries number `first` up to `end` of those for a GiB; zeros if it has no directory."""
        entry_bytes = self.format.entry_bytes
        if not self._directories[gib]:
            return bytes((end - first) * entry_bytes)
        base = self._directories[gib] << self._to_slot
        return bytes(self.direct.bytes[base + first * entry_bytes : base + end * entry_bytes])

    def _find_directories(self) -> tuple[int, ...]:
        """The slot of the first directory entry of each GiB."""
        if self.format is TWO_LEVEL:
            return tuple((self.cr3 & -PAGE_SIZE) + 0x400 * quarter >> 2 for quarter in range(4))
        pointers = (self.direct.u64[(self.cr3 >> 3) + quarter] for quarter in range(4))
        return tuple((pointer & self.frame_mask) >> 3 if pointer & PRESENT else 0 for pointer in pointers)

    def _take_tables(self, places: Iterable[int]) -> None:
        for at in places:
            slot = self.directory_slot(at)
            frame = Frame((self.words[slot] & self.frame_mask) >> PAGE_SHIFT)
            self.words[slot] = 0
            self.pmm.free(frame)

    def _store(self, slot: int, entries: array[int]) -> None:
        base = slot << self._to_slot
        self.direct.bytes[base : base + len(entries) * self.format.entry_bytes] = entries.tobytes()

    def _cut(self, pde: int) -> bytes:
        """The table of small pages that maps what the large page `pde` maps."""
        count = self._index_mask + 1
        base = pde & self.frame_mask & -(1 << self._shift)
        if self.format is TWO_LEVEL:
            base |= LargePageEntry(pde).high << 32
        if base + (count << PAGE_SHIFT) - 1 > self.frame_mask | PAGE_SIZE - 1:
            raise InvalidParameters(f"a large page at physical {base:#x} is beyond the reach of small ones")
        flags = pde & 0x17F & ~LARGE | pde & NO_EXECUTE | (LARGE if pde & _PAT_OF_LARGE else 0)
        entries = range(base | flags, (base | flags) + (count << PAGE_SHIFT), PAGE_SIZE)
        return array(self.format.typecode, entries).tobytes()
