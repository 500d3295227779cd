"""How memory stands, in the document's own tables."""

from __future__ import annotations

from collections.abc import Iterator

from hillemu.emu.i386.address import PAGE_SHIFT
from hillemu.kernel.profiles.orange.memory_manager import MemoryManager, MmCount
from hillemu.kernel.profiles.orange.page_tables import PRESENT, frame_in, table_at
from hillemu.kernel.profiles.orange.pf_list import TYPE, WORDS, PageType, Protection

_SHOWN = 4
"""So many page tables the document shows."""


def page_table_lines(tables: int) -> list[str]:
    """The mapping that `tables` page tables realise.

    >>> print(*page_table_lines(8), sep="\\n")
    page table | physical base | linear range
             0 |       101000H | 0M ~ 4M
             1 |       102000H | 4M ~ 8M
             2 |       103000H | 8M ~ 12M
             3 |       104000H | 12M ~ 16M
           ... |           ... | ...
             7 |       108000H | 28M ~ 32M
    """
    lines = ["page table | physical base | linear range"]
    shown = [number for number in range(tables) if number < _SHOWN or number == tables - 1]
    for before, number in zip([-1, *shown], shown, strict=False):
        if number > before + 1:
            lines.append(f"{'...':>10} | {'...':>13} | ...")
        lines.append(f"{number:10} | {f'{table_at(number):X}H':>13} | {4 * number}M ~ {4 * number + 4}M")
    return lines


def frame_lines(mm: MemoryManager) -> list[str]:
    """How many frames there are of each type, and where `pf_list` is."""
    types = mm.pf_list.words(0, mm.pf_list.count)[TYPE::WORDS]
    counts = ", ".join(f"{types.count(kind)} {kind.name}" for kind in PageType)
    return [
        f"pf_list: {mm.pf_list.count} entries at {mm.pf_list.at:X}H ~ {mm.pf_list.groups_at:X}H, "
        f"frames {mm.pf_list.base:X}H ~ {mm.pf_list.physical(mm.pf_list.count):X}H",
        f"pf_list: {counts}",
    ]


def mapping_lines(mm: MemoryManager) -> list[str]:
    """Which linear addresses lead to which physical ones by `vm_alloc`, as long as both are in a row."""
    lines = [
        f"{linear:X}H ~ {linear + (pages << PAGE_SHIFT):X}H -> {frame:X}H ~ {frame + (pages << PAGE_SHIFT):X}H"
        + (", read-only" if protection == Protection.READ_ONLY else "")
        for linear, frame, pages, protection in _mapped_runs(mm)
    ]
    return [f"linear -> physical: {line}" for line in lines] or ["linear -> physical: nothing from vm_alloc"]


def count_lines(mm: MemoryManager) -> list[str]:
    """What has happened."""
    words = ", ".join(f"{mm.count(what)} {what.name.lower().replace('_', ' ')}" for what in MmCount)
    return [f"vm_alloc, vm_free: {words}"]


def _mapped_runs(mm: MemoryManager) -> Iterator[tuple[int, int, int, int]]:
    """(linear address, frame, pages, protection) of what `vm_alloc` has mapped."""
    linear = frame = pages = protection = 0
    for at, entry in mm.tables.mappings():
        number = mm.pf_list.number(frame_in(entry)) if entry & PRESENT else None
        if number is None or (found := mm.pf_list[number]).type != PageType.MAPPED:
            continue
        shift = pages << PAGE_SHIFT
        if pages and (at, frame_in(entry), found.protection) == (linear + shift, frame + shift, protection):
            pages += 1
            continue
        if pages:
            yield linear, frame, pages, protection
        linear, frame, pages, protection = at, frame_in(entry), 1, found.protection
    if pages:
        yield linear, frame, pages, protection
