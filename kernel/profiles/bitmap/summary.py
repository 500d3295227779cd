"""How things stand in profile bitmap, as the kernel prints it at the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hillemu.kernel.profiles.bitmap.block_heap import HeapWord
from hillemu.kernel.profiles.bitmap.page_bitmap import PageCount
from hillemu.kernel.profiles.bitmap.pools import PoolCount
from hillemu.kernel.profiles.bitmap.residents import Count

if TYPE_CHECKING:
    from hillemu.kernel.profiles.bitmap.kernel import BitmapKernel


def summary_lines(kernel: BitmapKernel) -> Iterator[str]:
    """The lines."""
    pages, blocks, residents = kernel.pages, kernel.heap.blocks, kernel.residents
    yield "=== Memory at the end ==="
    counts = pages.counts
    yield (
        f"pages: {pages.total_pages} in all, {pages.free_pages} free; {counts[PageCount.ALLOCATED]} taken, "
        f"{counts[PageCount.FREED]} given back, {_refused(kernel)} frees ignored"
    )
    words = blocks.words
    yield (
        f"heap: {blocks.size_bytes} bytes, {blocks.free_bytes} free, the largest block {blocks.largest_free}, "
        f"fragmentation {blocks.fragmentation:.0%}; "
        f"{words[HeapWord.ALLOCATED]} allocated, {words[HeapWord.FREED]} freed"
    )
    pools, used = kernel.heap.pools, kernel.heap.pools.used()
    yield (
        f"pools: {pools.size_bytes} bytes; {pools.counts[PoolCount.ALLOCATED]} allocated, "
        f"{pools.counts[PoolCount.FREED]} freed; "
        + (", ".join(f"{count} of {size} bytes" for size, count in used.items() if count) or "none in use")
    )
    faults = residents.counts
    limit = f"at most {residents.limit} frames" if residents.limit else "no limit of frames"
    yield (
        f"paging: {type(residents.policy).__name__}, {limit}; "
        f"{faults[Count.FAULTS]} faults: {faults[Count.ZEROED]} zero, {faults[Count.FROM_FILE]} file, "
        f"{faults[Count.FROM_SWAP]} swap; {faults[Count.EVICTED]} evicted, {faults[Count.TO_SWAP]} written to swap"
    )
    yield "=== Memory over time ==="
    yield from kernel.usage.table()


def _refused(kernel: BitmapKernel) -> int:
    kinds = (PageCount.MISALIGNED, PageCount.OUT_OF_RANGE, PageCount.ALREADY_FREE, PageCount.RESERVED)
    return sum(kernel.pages.counts[kind] for kind in kinds)
