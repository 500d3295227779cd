"""What has to be known of a machine, beside its tables, to judge them."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from hillemu.emu.i386.address import PAGE_SIZE, Frame, PhysAddr, VirtAddr, base_of, frame_of
from hillemu.emu.i386.control import ControlState, PagingMode
from hillemu.emu.i386.paging import ReadableMemory
from hillemu.emu.i386.spaces_tables import LEGACY_SPAN, PAE_SPAN, PRESENT, Tables, frame_mask, is_large
from hillemu.inspection.physical_map import PhysicalMap
from hillemu.inspection.privileged import PrivilegedPlace

_WRITABLE_OR_USER = 6


@dataclass(frozen=True, slots=True)
class DormantTable:
    """A frame that looks like a page table, behind a directory entry at `entry_at` whose P bit is clear.

    Its `present_entries` would map pages from virtual `start` on.
    """

    start: VirtAddr
    span: int
    entry_at: PhysAddr
    table: Frame
    present_entries: int


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Who answers in physical memory, where the kernel's parts lie, and tables that nothing reaches."""

    physical_map: PhysicalMap
    places: tuple[PrivilegedPlace, ...]
    dormant: tuple[DormantTable, ...] = ()


def dormant_tables(memory: ReadableMemory, tables: Tables, physical_map: PhysicalMap) -> tuple[DormantTable, ...]:
    """Directory entries that would lead to a table if their P bit were set.

    A processor ignores all other bits of such an entry, and a system may keep what it likes in them.  So only those
    count that look like an entry (writable or user, no PS bit, a frame in RAM that is no table already) and lead to
    what looks like a table: some entries are present, and each of these leads to where somebody answers.
    """
    pae = tables.control.mode is PagingMode.PAE
    span, size = (PAE_SPAN, 8) if pae else (LEGACY_SPAN, 4)
    address = frame_mask(tables.control)
    found = []
    for first, directory, _ in tables.directories:
        for index, raw in enumerate(tables.entries(directory)):
            if raw & PRESENT or not raw & _WRITABLE_OR_USER or is_large(raw, tables.control):
                continue
            table = frame_of(PhysAddr(raw & address))
            if not table or table in tables.frames or not physical_map.is_ram(base_of(table)):
                continue
            count = _present_entries(memory, table, tables.control, physical_map)
            if count:
                entry_at = PhysAddr(base_of(directory) + index * size)
                found.append(DormantTable(VirtAddr(first + index * span), span, entry_at, table, count))
    return tuple(found)


def _present_entries(memory: ReadableMemory, table: Frame, control: ControlState, physical_map: PhysicalMap) -> int:
    """How many entries of what may be a table are present; 0 if it cannot be one."""
    try:
        data = memory.read(base_of(table), PAGE_SIZE)
    except IndexError:
        return 0
    address, layout = frame_mask(control), "<512Q" if control.mode is PagingMode.PAE else "<1024I"
    present = [raw & address for raw in struct.unpack(layout, data) if raw & PRESENT]
    return len(present) if all(physical_map.find(at) for at in present) else 0
