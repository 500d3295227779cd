"""Verifies address spaces: each for itself, and all of them against frames, page cache and swap."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hillemu.emu.i386.address import PAGE_SHIFT, Frame, page_up
from hillemu.kernel.layout import HEAP_BASE, HEAP_MAX_BYTES
from hillemu.kernel.mm.frame_table import Owner
from hillemu.kernel.mm.page_tables import NO_EXECUTE, PRESENT, USER, WRITABLE
from hillemu.kernel.mm.protection import MAP_SHARED, PROT_EXEC, PROT_WRITE
from hillemu.kernel.mm.reverse_map import PAGE_NUMBER_MASK
from hillemu.kernel.mm.task_memory import (
    BRK,
    HEAP_END,
    HEAP_MAX,
    HEAP_START,
    PAGE_DIRECTORY,
    RESIDENT,
    SWAPPED,
)

if TYPE_CHECKING:
    from hillemu.kernel.mm.address_space import AddressSpace
    from hillemu.kernel.mm.areas import Area
    from hillemu.kernel.mm.virtual_memory import VirtualMemory


def check(space: AddressSpace) -> list[str]:
    """Contradictions within one space."""
    return [f"{space.name}: {finding}" for finding in (*space.areas.check(), *_record(space), *_pages(space))]


def _record(space: AddressSpace) -> Iterator[str]:
    record = space.record
    if record[PAGE_DIRECTORY] != space.cr3:
        yield f"its record has page_directory {record[PAGE_DIRECTORY]:#x}, but CR3 is {space.cr3:#x}"
    if record[HEAP_START] != HEAP_BASE or record[HEAP_MAX] != HEAP_BASE + HEAP_MAX_BYTES:
        yield f"its heap would be 0x{record[HEAP_START]:08X}-0x{record[HEAP_MAX]:08X}"
    if not record[HEAP_START] <= record[BRK] <= record[HEAP_MAX] or record[HEAP_END] != page_up(record[BRK]):
        yield f"its break 0x{record[BRK]:08X} and the end of its heap 0x{record[HEAP_END]:08X} do not go together"


def _pages(space: AddressSpace) -> Iterator[str]:
    """Every entry that is not empty lies in an area, and gives no right that the area does not."""
    resident = swapped = 0
    for at, entry in space.tables.walk():
        area = space.areas.find(at)
        if area is None:
            yield f"the page at 0x{at:08X} ({entry:#x}) is in no area"
        elif not entry & PRESENT:
            swapped += 1
            if area.flags & MAP_SHARED:
                yield f"the shared page at 0x{at:08X} is in swap ({entry:#x})"
        else:
            resident += 1
            yield from _rights(space, area, at, entry)
    if (resident, swapped) != (space.record[RESIDENT], space.record[SWAPPED]):
        yield (
            f"{resident} pages are in memory and {swapped} in swap, "
            f"but it counts {space.record[RESIDENT]} and {space.record[SWAPPED]}"
        )


def _rights(space: AddressSpace, area: Area, at: int, entry: int) -> Iterator[str]:
    where = f"the page at 0x{at:08X} ({entry:#x})"
    if bool(entry & USER) != bool(area.prot):
        owner = "the program" if entry & USER else "the kernel"
        yield f"{where} belongs to {owner}, but its area has rights {area.prot}"
    if entry & WRITABLE and not area.prot & PROT_WRITE:
        yield f"{where} can be written, its area not"
    if space.vm.kernel.no_execute and bool(entry & NO_EXECUTE) != (bool(area.prot) and not area.prot & PROT_EXEC):
        yield f"{where} has the wrong no-execute bit for rights {area.prot}"
    pmm, files = space.vm.pmm, space.vm.files
    frame = Frame((entry & space.tables.frame_mask) >> PAGE_SHIFT)
    record = pmm.table.record(frame)
    if record.owner is Owner.PAGE_CACHE:
        page = area.page + (at - area.start >> PAGE_SHIFT)
        if files.place(frame) != (area.file, page):
            yield f"{where} is a page of a file that is not mapped there"
        if entry & WRITABLE and not area.flags & MAP_SHARED:
            yield f"{where} can be written, but is the page cache's"
    elif record.owner is not Owner.ANONYMOUS:
        yield f"{where} maps a frame of {record.owner_name}"
    else:
        if record.info & PAGE_NUMBER_MASK != at >> PAGE_SHIFT:
            yield f"{where} maps the frame of page {record.info & PAGE_NUMBER_MASK:#x}"
        if entry & WRITABLE and record.references > 1:
            yield f"{where} can be written, but {record.references} programs share it"


def check_all(vm: VirtualMemory) -> list[str]:
    """Contradictions within spaces, between them, and with what they share."""
    found = []
    mapped: dict[int, int] = {}
    in_swap: dict[int, int] = {}
    tables: dict[int, str] = {}
    for space in vm.spaces.values():
        found += check(space)
        mask = space.tables.frame_mask
        for _, entry in space.tables.walk():
            count, number = (
                (mapped, (entry & mask) >> PAGE_SHIFT) if entry & PRESENT else (in_swap, entry >> PAGE_SHIFT)
            )
            count[number] = count.get(number, 0) + 1
        for frame in space.tables.own_frames():
            if frame in tables:
                found.append(f"{space.name} and {tables[frame]} share page table {frame:#x}")
            tables[frame] = space.name
            if vm.pmm.table.record(frame).owner is not Owner.PAGE_TABLE:
                found.append(f"{space.name}: its page table in frame {frame:#x} belongs to somebody else")
    for frame in vm.files.frames():
        mapped[frame] = mapped.get(frame, 0) + 1
    kernel_tables = 0
    for frame, record in vm.pmm.table.used():
        if record.owner in (Owner.ANONYMOUS, Owner.PAGE_CACHE):
            expected = mapped.pop(frame, 0)
            if record.references != expected:
                found.append(
                    f"frame {frame:#x} ({record.owner_name}) has {record.references} references, "
                    f"but {expected} page-table entries and caches lead to it"
                )
        elif record.owner is Owner.PAGE_TABLE and frame not in tables:
            kernel_tables += 1
    found += [f"a page-table entry leads to frame {frame:#x}, which is nobody's" for frame in sorted(mapped)]
    expected = vm.kernel.count_tables()
    if kernel_tables != expected:
        found.append(f"{kernel_tables} page tables belong to no program; the kernel half has {expected}")
    if vm.swap is not None:
        found += vm.swap.check(in_swap)
    elif in_swap:
        found.append(f"{sum(in_swap.values())} page-table entries lead to swap, and there is none")
    return found + vm.files.check() + vm.kernel.check() + vm.window.check()
