"""A whole address space as runs of pages: what is mapped where, with which rights.

>>> from hillemu.emu.guest import FakeMemory
>>> from hillemu.emu.i386.address import PhysAddr
>>> memory = FakeMemory(0x8000)
>>> memory.set_u32(PhysAddr(0x1C00), 0x2023)
>>> for page in range(3):
...     memory.set_u32(PhysAddr(0x2000 + 4 * page), 0x5063 + 0x1000 * page)
>>> tables = capture_tables(memory, ControlState(cr0=0x80000001, cr3=0x1000))
>>> for region in regions_of(tables):
...     print(region)
0xC0000000-0xC0002FFF -> 0x000005000  -rwx   3 x 4 KiB  accessed dirty

A run joins pages that follow each other in virtual and in physical memory, have one size and the same rights.
Accessed, dirty, global and cache-disabled pages are counted in it, or (`split_flags`) split it too.

Only what a processor can translate is in the runs: entries with reserved bits and tables outside RAM map nothing.
Frames need not be RAM.  PAT and PWT are not told here; a walk shows the entries.

Two engines give the same answer: a plain one for small spaces, and numpy for large ones, whose import takes longer than
a small space (0.1 s), but which reads 1,048,576 entries in a tenth of a second.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, overload

from hillemu.emu.i386.address import PhysAddr, VirtAddr
from hillemu.emu.i386.control import PGE, ControlState, PagingMode, Rights
from hillemu.emu.i386.spaces_tables import Tables, capture_tables

WRITABLE, USER, CACHE_DISABLED, ACCESSED, DIRTY, GLOBAL = 1 << 1, 1 << 2, 1 << 4, 1 << 5, 1 << 6, 1 << 8
"""Attributes of a page lie where its entry has them."""
EXECUTABLE = 1 << 9
"""A bit that entries leave to software; here it is the opposite of the no-execute bit."""
RIGHTS = WRITABLE | USER | EXECUTABLE
FLAGS = CACHE_DISABLED | ACCESSED | DIRTY | GLOBAL
NUMPY_PAYS_FROM = 64
"""So many tables take the plain engine as long as importing numpy."""

__all__ = ["Columns", "Region", "Regions", "Tables", "attributes_mask", "capture_tables", "regions_of", "run_of"]


@dataclass(frozen=True, slots=True)
class Region:
    """A run of pages from virtual `start` to physical `phys`, `size_bytes` long, in pages of `page_size_bytes`.

    `rights` are what all levels of entries grant together, before CR0.WP, SMEP and SMAP have their say: ask
    `rights.refusal(access, control)` for one kind of access.  The counts say how many of the pages have the bit;
    `global_pages` counts only while CR4.PGE is on.
    """

    start: VirtAddr
    phys: PhysAddr
    size_bytes: int
    page_size_bytes: int
    rights: Rights
    accessed_pages: int = 0
    dirty_pages: int = 0
    global_pages: int = 0
    cache_disabled_pages: int = 0

    @property
    def end(self) -> int:
        """The first virtual address behind the run; 4 GiB at the end of the space."""
        return self.start + self.size_bytes

    @property
    def phys_end(self) -> int:
        """The first physical address behind the run."""
        return self.phys + self.size_bytes

    @property
    def pages(self) -> int:
        return self.size_bytes // self.page_size_bytes

    @property
    def letters(self) -> str:
        """The rights as ``urwx``, a hyphen for each that is missing."""
        return letters_of(self.rights)

    @property
    def flags(self) -> dict[str, int]:
        """Flag names and how many of the pages have each, without those that none has."""
        counts = {
            "accessed": self.accessed_pages,
            "dirty": self.dirty_pages,
            "global": self.global_pages,
            "cache-disabled": self.cache_disabled_pages,
        }
        return {name: count for name, count in counts.items() if count}

    def phys_at(self, at: int) -> PhysAddr:
        """Where virtual `at` of this run goes; `ValueError` outside."""
        if not self.start <= at < self.end:
            raise ValueError(f"0x{at:08X} is not in the run 0x{self.start:08X}-0x{self.end - 1:08X}")
        return PhysAddr(self.phys + at - self.start)

    def __contains__(self, at: int) -> bool:
        return self.start <= at < self.end

    def __str__(self) -> str:
        size = size_text(self.page_size_bytes)
        flags = [name if count == self.pages else f"{name}:{count}" for name, count in self.flags.items()]
        text = f"0x{self.start:08X}-0x{self.end - 1:08X} -> 0x{self.phys:09X}  {self.letters} {self.pages:>3} x {size}"
        return f"{text}  {' '.join(flags)}".rstrip()


def letters_of(rights: Rights) -> str:
    """Rights as ``urwx``: user, read (always), write, execute."""
    return ("u" if rights.user else "-") + "r" + ("w" if rights.writable else "-") + ("x" if rights.executable else "-")


def size_text(size_bytes: int) -> str:
    """A size in the largest binary unit that divides it: ``4 KiB``, ``12 MiB``, ``4 GiB``."""
    for shift, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size_bytes >= 1 << shift and not size_bytes & (1 << shift) - 1:
            return f"{size_bytes >> shift:,} {unit}"
    return f"{size_bytes} bytes"


class Columns(NamedTuple):
    """The runs as columns of 64-bit words: what both engines produce."""

    start: array[int]
    phys: array[int]
    size_bytes: array[int]
    page_size_bytes: array[int]
    rights: array[int]
    accessed: array[int]
    dirty: array[int]
    global_: array[int]
    cache_disabled: array[int]


class Regions(Sequence[Region]):
    """The runs of a space in ascending order, made into `Region`s as they are asked for: there may be a million."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns.start)

    @overload
    def __getitem__(self, index: int) -> Region: ...
    @overload
    def __getitem__(self, index: slice) -> Regions: ...
    def __getitem__(self, index: int | slice) -> Region | Regions:
        if isinstance(index, slice):
            return Regions(Columns(*(column[index] for column in self.columns)))
        return run_of(column[index] for column in self.columns)

    def __iter__(self) -> Iterator[Region]:
        return map(run_of, zip(*self.columns, strict=True))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Regions) and self.columns == other.columns

    __hash__ = None  # type: ignore[assignment]

    def find(self, at: int) -> Region | None:
        """The run that virtual address `at` lies in."""
        index = bisect_right(self.columns.start, at) - 1
        if index < 0 or at >= self.columns.start[index] + self.columns.size_bytes[index]:
            return None
        return self[index]

    def with_rights(self, mask: int, rights: int) -> Iterator[Region]:
        """The runs that have just `rights` of those in `mask`."""
        for number, granted in enumerate(self.columns.rights):
            if granted & mask == rights:
                yield self[number]

    def __str__(self) -> str:
        return "\n".join(str(region) for region in self)

    def __repr__(self) -> str:
        return f"<Regions: {len(self)} runs, {sum(self.columns.size_bytes) >> 10} KiB>"


_RIGHTS = {
    bits: Rights(user=bool(bits & USER), writable=bool(bits & WRITABLE), executable=bool(bits & EXECUTABLE))
    for bits in range(RIGHTS + 1)
    if not bits & ~RIGHTS
}


def run_of(row: Iterable[int]) -> Region:
    """The run of one row of `Columns`."""
    start, phys, size_bytes, page_size_bytes, rights, *counts = row
    return Region(VirtAddr(start), PhysAddr(phys), size_bytes, page_size_bytes, _RIGHTS[rights], *counts)


def attributes_mask(control: ControlState) -> int:
    """Which attribute bits of an entry count: G does only while CR4.PGE is on."""
    return RIGHTS | FLAGS if control.cr4 & PGE else (RIGHTS | FLAGS) & ~GLOBAL


def regions_of(tables: Tables, *, split_flags: bool = False) -> Regions:
    """All that `tables` map; with `split_flags` a run also ends where A, D, G or PCD changes.

    With paging off every address is its own translation: one run of one page of 4 GiB.
    """
    if tables.control.mode is PagingMode.OFF:
        whole = (0, 0, 1 << 32, 1 << 32, RIGHTS, 0, 0, 0, 0)
        return Regions(Columns(*(array("Q", [value]) for value in whole)))
    key_mask = RIGHTS | FLAGS if split_flags else RIGHTS
    if len(tables.links) >= NUMPY_PAYS_FROM or "numpy" in sys.modules:
        from hillemu.emu.i386.spaces_numpy import runs_by_numpy

        return Regions(runs_by_numpy(tables, key_mask))
    from hillemu.emu.i386.spaces_plain import runs_by_plain_python

    return Regions(runs_by_plain_python(tables, key_mask))
