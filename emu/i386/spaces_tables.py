"""The tables of one address space, copied out of memory as they were at one moment.

>>> from hillemu.emu.guest import FakeMemory
>>> memory = FakeMemory(0x4000)
>>> memory.set_u32(PhysAddr(0x1C00), 0x2003)
>>> memory.set_u32(PhysAddr(0x2004), 0x3003)
>>> tables = capture_tables(memory, ControlState(cr0=0x80000001, cr3=0x1000))
>>> [hex(frame) for frame in tables.frames]
['0x1', '0x2']
>>> [(link.step.place, hex(link.start)) for link in tables.links]
[('PDE[0x300]', '0xc0000000')]

However wild the tables are, a walk is two or three levels deep, so there are at most 1025 of them (with PAE 2053).  A
table that several entries share is copied once.  A copy can be walked (`translate(tables, ...)`), compared and kept.

Tables are copied in whole frames; what begins in RAM and does not end there counts as outside RAM.

Source: Intel SDM Vol. 3A, "32-Bit Paging", "PAE Paging".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from hillemu.emu.i386.address import PAGE_MASK, PAGE_SIZE, Frame, PhysAddr, VirtAddr, base_of, frame_of
from hillemu.emu.i386.control import PSE, ControlState, PagingMode
from hillemu.emu.i386.entries import (
    PaeDirectoryEntry,
    PaeTableEntry,
    PageDirectoryEntry,
    PageDirectoryPointerEntry,
    PageTableEntry,
    PagingEntry,
)
from hillemu.emu.i386.outcomes import Step
from hillemu.emu.i386.paging import ReadableMemory, reserved_bits

PRESENT, LARGE = 1, 1 << 7
LEGACY_SPAN, PAE_SPAN, POINTER_SPAN = 1 << 22, 1 << 21, 1 << 30
"""How many bytes of virtual addresses an entry of each kind stands for: a PDE, a PDE with PAE, a PDPTE."""
_LEGACY_TABLE, _PAE_TABLE = struct.Struct("<1024I"), struct.Struct("<512Q")
_POINTER_COUNT = 4


@dataclass(frozen=True, slots=True)
class Link:
    """A present entry that leads to another table; `start` is the first of the `span` bytes that it stands for.

    `parent` is the PDPTE above, `None` at the first level.  `reserved` are the bits that the processor refuses,
    `outside_ram` says that no RAM or ROM answers where the table would be: in both cases nothing below is reached.
    """

    step: Step
    start: VirtAddr
    span: int
    table: Frame
    parent: Link | None
    reserved: int
    outside_ram: bool

    @property
    def leads_nowhere(self) -> bool:
        """Whether the processor refuses this entry or one above, or nobody can say what it reads there."""
        above = self.parent is not None and self.parent.leads_nowhere
        return bool(self.reserved) or self.outside_ram or above


@dataclass(frozen=True)
class Tables:
    """A copy of all tables that `control` reaches: the content of each by its frame number, in the order of the walk.

    It stands in for physical memory in a walk: reading where no table is raises `IndexError`.
    """

    control: ControlState
    frames: Mapping[Frame, bytes]

    def u32(self, at: PhysAddr) -> int:
        """The four bytes of a table at physical `at`."""
        return int.from_bytes(self.read(at, 4), "little")

    def u64(self, at: PhysAddr) -> int:
        """The eight bytes of a table at physical `at`."""
        return int.from_bytes(self.read(at, 8), "little")

    def read(self, at: PhysAddr, count: int) -> bytes:
        """`count` bytes of the table at physical `at`; `IndexError` if they are not wholly in one table."""
        data = self.frames.get(frame_of(at))
        offset = at & PAGE_MASK
        if data is None or offset + count > PAGE_SIZE:
            raise IndexError(f"{count} bytes at physical {at:#x} are not in a table")
        return data[offset : offset + count]

    def entries(self, table: Frame) -> tuple[int, ...]:
        """All entries of one table or directory as plain words; none if it lies outside RAM."""
        data = self.frames.get(table)
        if data is None:
            return ()
        return (_PAE_TABLE if self.control.mode is PagingMode.PAE else _LEGACY_TABLE).unpack(data)

    @cached_property
    def links(self) -> tuple[Link, ...]:
        """Every present entry that leads to a table, in ascending order of `start`, an upper level first."""
        if self.control.mode is PagingMode.LEGACY:
            return tuple(self._directory_links(frame_of(self.control.root), VirtAddr(0), None))
        return tuple(self._pae_links()) if self.control.mode is PagingMode.PAE else ()

    @cached_property
    def directories(self) -> tuple[tuple[VirtAddr, Frame, Link | None], ...]:
        """First virtual address, frame and PDPTE of every page directory that the processor reaches."""
        if self.control.mode is PagingMode.LEGACY:
            root = frame_of(self.control.root)
            return ((VirtAddr(0), root, None),) if root in self.frames else ()
        return tuple(
            (link.start, link.table, link)
            for link in self.links
            if link.span == POINTER_SPAN and not link.leads_nowhere
        )

    def _pae_links(self) -> Iterator[Link]:
        try:
            pointers = struct.unpack("<4Q", self.read(self.control.root, 8 * _POINTER_COUNT))
        except IndexError:
            return
        for index, raw in enumerate(pointers):
            if raw & PRESENT:
                at = PhysAddr(self.control.root + 8 * index)
                entry = PageDirectoryPointerEntry(raw)
                step = Step("PDPTE", index, at, entry)
                link = self._link(step, entry, VirtAddr(index * POINTER_SPAN), POINTER_SPAN, None)
                yield link
                yield from self._directory_links(link.table, link.start, link)

    def _directory_links(self, directory: Frame, first: VirtAddr, parent: Link | None) -> Iterator[Link]:
        pae = self.control.mode is PagingMode.PAE
        kind, size, span = (PaeDirectoryEntry, 8, PAE_SPAN) if pae else (PageDirectoryEntry, 4, LEGACY_SPAN)
        for index, raw in enumerate(self.entries(directory)):
            if raw & PRESENT and not is_large(raw, self.control):
                entry = kind(raw)
                step = Step("PDE", index, PhysAddr(base_of(directory) + index * size), entry)
                yield self._link(step, entry, VirtAddr(first + index * span), span, parent)

    def _link(self, step: Step, entry: PagingEntry, start: VirtAddr, span: int, parent: Link | None) -> Link:
        table = frame_of(entry.base)
        return Link(step, start, span, table, parent, reserved_bits(entry, self.control), table not in self.frames)


def is_large(raw: int, control: ControlState) -> bool:
    """Whether a page-directory entry maps a page itself: PS, which without PAE counts only with CR4.PSE."""
    return bool(raw & LARGE and (control.mode is PagingMode.PAE or control.cr4 & PSE))


def frame_mask(control: ControlState) -> int:
    """Which bits of an entry are the address of a 4 KiB frame."""
    return (PaeTableEntry if control.mode is PagingMode.PAE else PageTableEntry).frame.mask


def capture_tables(memory: ReadableMemory, control: ControlState) -> Tables:
    """Copy the tables that `control` leads to; reading only, like the walk."""
    frames: dict[Frame, bytes] = {}
    tables = Tables(control, frames)
    if control.mode is PagingMode.OFF:
        return tables
    root = frame_of(control.root)
    _copy(memory, root, frames)
    directories = [root] if root in frames else []
    if control.mode is PagingMode.PAE and directories:
        pointers = struct.unpack("<4Q", tables.read(control.root, 8 * _POINTER_COUNT))
        directories = [frame_of(PageDirectoryPointerEntry(raw).base) for raw in pointers if raw & PRESENT]
        for directory in directories:
            _copy(memory, directory, frames)
    address = frame_mask(control)
    for directory in directories:
        for raw in tables.entries(directory):
            if raw & PRESENT and not is_large(raw, control):
                _copy(memory, frame_of(PhysAddr(raw & address)), frames)
    return tables


def _copy(memory: ReadableMemory, frame: Frame, frames: dict[Frame, bytes]) -> None:
    if frame not in frames:
        try:
            frames[frame] = memory.read(base_of(frame), PAGE_SIZE)
        except IndexError:
            return  # No RAM or ROM answers there: the link says so.
