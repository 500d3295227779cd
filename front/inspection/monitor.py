"""The texts of QEMU's monitor commands ``info mem`` and ``info tlb``, byte for byte, for 32-bit and PAE paging.

``info mem``: ranges as start, end, length, and the rights ``urw`` that directory and table grant together::

    00000000c0000000-00000000c0400000 0000000000400000 -rw

``info tlb``: every page as virtual address, physical address and the bits of its entry (the tables, not the TLB)::

    00000000c0000000: 0000000000000000 --PDA---W

QEMU prints what the entries say, not what a processor does with them, and so does this: reserved bits are not looked
at, a table outside RAM is empty, the no-execute bit is part of a physical address, a 4 MiB page shows bit 21 and hides
PSE-36's bits, and ``info mem`` knows no no-execute.  For what a processor does ask `Regions` or the walk.

Source: QEMU 7.2, target/i386/monitor.c (`hmp_info_mem`, `hmp_info_tlb`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache

from hillemu.emu.i386.address import PAGE_SIZE, PhysAddr
from hillemu.emu.i386.control import PAE, PG, PSE, ControlState
from hillemu.emu.i386.paging import ReadableMemory

PRESENT, WRITABLE, USER, LARGE = 1, 2, 4, 1 << 7
_PROTECTION = PRESENT | WRITABLE | USER
_PAGING_IS_OFF = "PG disabled\n"
_FLAGS = (("X", 63), ("G", 8), ("P", 7), ("D", 6), ("A", 5), ("C", 4), ("T", 3), ("U", 2), ("W", 1))
_FLAG_BITS = sum(1 << bit for _, bit in _FLAGS)
_ALL_ONES = (1 << 64) - 1
_LARGE_MASK = _ALL_ONES - (1 << 21) + 1
_PAE_LARGE_MASK = _ALL_ONES - (1 << 20) + 1
_PAGE_MASK = _ALL_ONES - PAGE_SIZE + 1
_PAE_TABLE = 0x3FFFFFFFFF000
_NOWHERE = bytes(PAGE_SIZE)


def info_mem(memory: ReadableMemory, control: ControlState) -> str:
    """What ``info mem`` prints."""
    if not control.cr0 & PG:
        return _PAGING_IS_OFF
    lines: list[str] = []
    run_start, run_protection = 0, 0
    for start, protection in _protections(memory, control):
        if protection != run_protection:
            if run_protection:
                lines.append(_mem_line(run_start, start, run_protection))
            run_start, run_protection = start, protection
    if run_protection:
        lines.append(_mem_line(run_start, 1 << 32, run_protection))
    return "".join(lines)


def info_tlb(memory: ReadableMemory, control: ControlState) -> str:
    """What ``info tlb`` prints: a line a page, so a full space is a million lines."""
    if not control.cr0 & PG:
        return _PAGING_IS_OFF
    lines = []
    for start, directory_entry, large, entries in _directory(memory, control):
        if large:
            mask = _PAE_LARGE_MASK if control.cr4 & PAE else _LARGE_MASK
            lines.append(_tlb_line(start, directory_entry, mask))
        for number, entry in enumerate(entries):
            if entry & PRESENT:
                lines.append(_tlb_line(start + number * PAGE_SIZE, entry & ~LARGE, _PAGE_MASK))
    return "".join(lines)


def _mem_line(start: int, end: int, protection: int) -> str:
    rights = ("u" if protection & USER else "-") + "r" + ("w" if protection & WRITABLE else "-")
    return f"{start:016x}-{end:016x} {end - start:016x} {rights}\n"


def _tlb_line(at: int, entry: int, mask: int) -> str:
    return f"{at:016x}: {entry & mask:016x} {_flag_letters(entry & _FLAG_BITS)}\n"


@cache
def _flag_letters(flags: int) -> str:
    return "".join(letter if flags >> bit & 1 else "-" for letter, bit in _FLAGS)


def _protections(memory: ReadableMemory, control: ControlState) -> Iterator[tuple[int, int]]:
    """Virtual address and protection wherever the latter may change, in ascending order."""
    behind = 0
    span = 1 << 21 if control.cr4 & PAE else 1 << 22
    for start, directory_entry, large, entries in _directory(memory, control):
        if start != behind:
            yield behind, 0
        behind = start + span
        if large:
            yield start, directory_entry & _PROTECTION
        for number, entry in enumerate(entries):
            yield start + number * PAGE_SIZE, entry & directory_entry & _PROTECTION if entry & PRESENT else 0
    if behind < 1 << 32:
        yield behind, 0


def _directory(memory: ReadableMemory, control: ControlState) -> Iterator[tuple[int, int, bool, tuple[int, ...]]]:
    """Every present directory entry: virtual start, the entry, whether it maps a page, and else its table's entries."""
    if not control.cr4 & PAE:
        for number, entry in enumerate(_table(memory, control.cr3 & 0xFFFFF000, "<1024I")):
            if entry & PRESENT:
                large = bool(entry & LARGE and control.cr4 & PSE)
                yield number << 22, entry, large, () if large else _table(memory, entry & 0xFFFFF000, "<1024I")
        return
    for pointer_number, pointer in enumerate(_table(memory, control.cr3 & 0xFFFFFFE0, "<4Q")):
        if pointer & PRESENT:
            for number, entry in enumerate(_table(memory, pointer & _PAE_TABLE, "<512Q")):
                if entry & PRESENT:
                    large = bool(entry & LARGE)
                    start = pointer_number << 30 | number << 21
                    yield start, entry, large, () if large else _table(memory, entry & _PAE_TABLE, "<512Q")


def _table(memory: ReadableMemory, at: int, layout: str) -> tuple[int, ...]:
    """The entries of a table; QEMU reads zeros where neither RAM nor ROM answers."""
    size = struct.calcsize(layout)
    try:
        data = memory.read(PhysAddr(at), size)
    except IndexError:
        data = _NOWHERE[:size]
    return struct.unpack(layout, data)
