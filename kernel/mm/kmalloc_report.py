"""What people read about kmalloc: the seed's statistics, who has not freed what, how much it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from hillemu.emu.i386.address import PAGE_SIZE
from hillemu.kernel.mm.allocation_table import AllocationTable
from hillemu.kernel.mm.early_pool import BASE, BRK, END, PERMANENT
from hillemu.kernel.mm.slab import SLABS

if TYPE_CHECKING:
    from hillemu.kernel.mm.kmalloc import Kmalloc


class KmallocStatistics(NamedTuple):
    """Counted from the allocation table."""

    tracked: int
    """Entries, of the living and of the dead that are remembered: as the seed counts."""
    capacity: int
    live: int
    live_bytes: int
    physical_allocations: int
    physical_pages: int


def statistics_of(table: AllocationTable) -> KmallocStatistics:
    """What is allocated now."""
    live = list(table.live())
    pages = [row.pages for row in live if row.pages]
    size = sum(row.size for row in live)
    return KmallocStatistics(table.tracked, table.capacity, len(live), size, len(pages), sum(pages))


def print_stats(table: AllocationTable, log: Callable[[str], None]) -> None:
    """`kmalloc_print_stats`, in the seed's format.

    Its second line counts all live bytes, those in pages too, as the seed's does in spite of its name.
    """
    now = statistics_of(table)
    log("=== Kernel Allocation Statistics ===")
    log(f"  Total allocations tracked: {now.tracked}/{now.capacity}")
    log(f"  Virtual memory (early pool): {now.live_bytes} bytes")
    log(f"  Physical allocations: {now.physical_allocations}")
    log(f"  Physical pages used: {now.physical_pages} ({now.physical_pages * 4096 >> 20} MB)")
    log("=====================================")


def leak_lines(table: AllocationTable, symbolise: Callable[[int], str]) -> Iterator[str]:
    """One line for each place that has allocated what is not freed, the largest sum first; then the sum of all."""
    by_caller: dict[int, list[int]] = {}
    for row in table.live():
        by_caller.setdefault(row.allocated_by, []).append(row.size)
    for caller, sizes in sorted(by_caller.items(), key=lambda item: (-sum(item[1]), item[0])):
        what = f"{_count(len(sizes), 'allocation')} of {_count(sum(sizes), 'byte')}"
        yield f"kmalloc: {what} by {symbolise(caller)} not freed"
    if by_caller:
        total = [size for sizes in by_caller.values() for size in sizes]
        yield f"kmalloc: in all {_count(len(total), 'allocation')} of {_count(sum(total), 'byte')} not freed"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def held_bytes(kmalloc: Kmalloc) -> int:
    """What kmalloc has taken: the used part of the pool, the caches' slabs, and pages."""
    header = kmalloc.pool.header
    in_slabs = sum(
        cache.header[SLABS] * cache.slab_bytes for cache in kmalloc.caches if cache.name.startswith("kmalloc-")
    )
    in_pages = statistics_of(kmalloc.table).physical_pages * PAGE_SIZE
    return header[BRK] - header[BASE] - header[PERMANENT] + in_slabs + in_pages


def pool_fragmentation(kmalloc: Kmalloc) -> float:
    """Of the pool's free bytes, the part outside the largest free run; 0 if nothing is free."""
    header, pad = kmalloc.pool.header, kmalloc.aids.options.pad_bytes
    runs: list[list[int]] = []
    dead = (row for _, row in kmalloc.table.rows() if not row.in_use and kmalloc.pool.holds(row.virt))
    blocks = sorted((row.virt - pad, row.virt + (row.size + 7 & -8) + pad) for row in dead)
    for base, end in (*blocks, (header[BRK], header[END])):
        if runs and runs[-1][1] == base:
            runs[-1][1] = end
        else:
            runs.append([base, end])
    sizes = [end - base for base, end in runs]
    return 1 - max(sizes) / sum(sizes) if sum(sizes) else 0.0
