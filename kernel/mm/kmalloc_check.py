"""Verifies kmalloc: the table, the pool, the caches, and what the table says against who owns the memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hillemu.emu.i386.address import PAGE_SHIFT, PAGE_SIZE
from hillemu.kernel.layout import KERNEL_BASE
from hillemu.kernel.mm.frame_table import Owner

if TYPE_CHECKING:
    from hillemu.kernel.mm.allocation_table import Row
    from hillemu.kernel.mm.kmalloc import Kmalloc


def check(kmalloc: Kmalloc) -> list[str]:
    """Contradictions and broken fences and poison, as sentences; none if all is well."""
    found = kmalloc.table.check()
    if found:
        return found  # nothing else can be trusted then
    found += kmalloc.blocks.check()
    found += kmalloc.caches.check()
    in_pages = in_slabs = 0
    for row in (row for _, row in kmalloc.table.rows()):
        if row.in_use:
            found += _check_live(kmalloc, row)
            in_pages += row.pages
            in_slabs += not row.pages and not kmalloc.pool.holds(row.virt)
        elif fault := _poison_fault(kmalloc, row):
            found.append(f"kmalloc: {fault}; {kmalloc.table.describe(row, kmalloc.symbolise)}")
    owned = sum(1 for _, record in kmalloc.pmm.table.used() if record.owner is Owner.KMALLOC)
    if owned != in_pages:
        found.append(f"kmalloc: it owns {owned} frames, but its table has {in_pages}")
    objects = sum(cache.active for cache in kmalloc.caches if cache.name.startswith("kmalloc-"))
    if objects != in_slabs:
        found.append(f"kmalloc: {objects} slab objects are in use, but its table has {in_slabs}")
    return found


def _poison_fault(kmalloc: Kmalloc, row: Row) -> str:
    if not kmalloc.aids.options.poison or not kmalloc.pool.holds(row.virt):
        return ""
    return kmalloc.aids.broken_poison(row.virt, row.size + 7 & -8)


def _check_live(kmalloc: Kmalloc, row: Row) -> list[str]:
    what = kmalloc.table.describe(row, kmalloc.symbolise)
    if not kmalloc.direct.holds(row.virt, row.size):
        return [f"kmalloc: outside the direct map: {what}"]
    found = []
    if row.pages:
        record = kmalloc.pmm.table.record(row.phys >> PAGE_SHIFT)
        if row.virt != KERNEL_BASE + row.phys or row.size > row.pages * PAGE_SIZE:
            found.append(f"kmalloc: its entry contradicts itself: {what}")
        elif record.owner is not Owner.KMALLOC or record.order is None or 1 << record.order != row.pages:
            found.append(f"kmalloc: frame {row.phys >> PAGE_SHIFT:#x} is no block of {row.pages} pages of its: {what}")
    if kmalloc.aids.options.red_zones and (fault := kmalloc.broken(row.virt, row.size, row.pages)):
        found.append(f"kmalloc: {fault}; {what}")
    return found
