"""How things stand in profile bitmap, as the kernel prints it at the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hillemu.kernel.profiles.bitmap.block_heap import HeapWord
from hillemu.kernel.profiles.bitmap.page_bitmap import PageCount
from hillemu.kernel.profiles.bitmap.residents import Count

if TYPE_CHECKING:
    from hillemu.kernel.profiles.bitmap.kernel import BitmapKernel


def summary_lines(kernel: BitmapKernel) -> Iterator[str]:
    """The lines."""
    pages, heap, residents = kernel.pages, kernel.heap, kernel.residents
    yield "=== Memory at the end ==="
    counts = pages.counts
    yield (
        f"pages: {pages.total_pages} in all, {pages.free_pages} free; {counts[PageCount.ALLOCATED]} taken, "
        f"{counts[PageCount.FREED]} given back, {_refused(kernel)} frees ignored"
    )
    words = heap.words
    yield (
        f"heap: {heap.size_bytes} bytes, {heap.free_bytes} free, the largest block {heap.largest_free}, "
        f"fragmentation {heap.fragmentation:.0%}; {words[HeapWord.ALLOCATED]} kmalloc, {words[HeapWord.FREED]} kfree"
    )
    faults = residents.counts
    yield (
        f"paging: {type(residents.policy).__name__}, {residents.limit or 'no'} limit of frames; "
        f"{faults[Count.FAULTS]} faults: {faults[Count.ZEROED]} zero, {faults[Count.FROM_FILE]} file, "
        f"{faults[Count.FROM_SWAP]} swap; {faults[Count.EVICTED]} evicted, {faults[Count.TO_SWAP]} written to swap"
    )


def _refused(kernel: BitmapKernel) -> int:
    kinds = (PageCount.MISALIGNED, PageCount.OUT_OF_RANGE, PageCount.ALREADY_FREE, PageCount.RESERVED)
    return sum(kernel.pages.counts[kind] for kind in kinds)
