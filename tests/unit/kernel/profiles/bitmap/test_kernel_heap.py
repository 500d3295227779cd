"""Rows B3 and B6: one `kmalloc` over blocks, pools and guarded allocations; traces replayed through it."""

from __future__ import annotations

from typing import Any

import pytest
from bitmap_memory import HEAP_AT, BitmapMemory

from hillemu.emu.i386.address import PAGE_SIZE
from hillemu.kernel.mm.debug_aids import Options
from hillemu.kernel.profiles.bitmap.kernel_heap import SIZE_BYTES, KernelHeap
from hillemu.kernel.profiles.bitmap.layout import GUARDED_BASE, GUARDED_END, HEAP_BASE, POOLS_BASE
from hillemu.kernel.profiles.bitmap.page_bitmap import PageCount
from hillemu.kernel.profiles.bitmap.pools import OBJECT_SIZES
from hillemu.kernel.trace import parse
from hillemu.kernel.trace_generator import KINDS, generate


class Made(BitmapMemory):
    def __init__(self, size_bytes: int = 0x300000, **options: Any) -> None:
        super().__init__(size_bytes)
        self.free_at_first = self.pages.free_pages
        self.all = KernelHeap(self.memory, HEAP_AT, self.pages, self.mapper, self.reports.append, **options)

    def check_all(self) -> list[str]:
        return self.pages.check(frame for frame, _ in self.all.frames()) + self.all.check()


@pytest.fixture
def made() -> Made:
    return Made()


@pytest.mark.parametrize(("size", "base"), [(1, POOLS_BASE), (128, POOLS_BASE), (129, HEAP_BASE), (5000, HEAP_BASE)])
def test_small_blocks_come_from_pools_and_all_others_from_the_heap(made: Made, size: int, base: int) -> None:
    at = made.all.kmalloc(size)
    assert at & 0xFC000000 == base & 0xFC000000
    assert made.all.size_of(at) >= size
    assert made.all.kfree(at)
    assert made.all.size_of(at) == 0
    assert not made.check_all()


def test_without_pools_every_block_has_its_header() -> None:
    made = Made(use_pools=False)
    assert made.all.kmalloc(16) == HEAP_BASE + 12


def test_where_pools_get_no_page_the_blocks_serve(made: Made) -> None:
    made.all.kmalloc(1000)
    made.exhaust()
    assert made.all.kmalloc(16) & 0xFF000000 == HEAP_BASE


def test_what_the_heap_holds_free_is_given_back_before_memory_runs_out(made: Made) -> None:
    kept, at, small = made.all.kmalloc(1000), made.all.kmalloc(5 * PAGE_SIZE), made.all.kmalloc(100)
    assert made.all.kfree(at)
    assert made.all.kfree(small)
    made.exhaust()
    got = [made.pages.alloc_page() for _ in range(7)]
    assert [bool(page) for page in got] == [True] * 6 + [False], "five of the blocks' pages, one of a pool"
    assert made.pages.counts[PageCount.EXHAUSTED] == 1
    assert made.all.size_of(kept)
    assert not made.check_all()


def test_pools_and_guarded_allocations_get_pages_that_the_blocks_hold_free(made: Made) -> None:
    made.all.kfree(made.all.kmalloc(5 * PAGE_SIZE))
    made.all.kmalloc(50)
    made.exhaust()
    small, guarded = made.all.kmalloc(20), made.all.kmalloc_guarded(2 * PAGE_SIZE)
    assert small & 0xFF000000 == POOLS_BASE
    assert made.all.size_of(guarded) == 2 * PAGE_SIZE
    assert not made.check_all()


def test_a_pool_gets_the_page_that_another_pool_does_not_need(made: Made) -> None:
    made.all.kfree(made.all.kmalloc(128))
    made.exhaust()
    at = made.all.kmalloc(16)
    assert at & 0xFF000000 == POOLS_BASE
    assert made.all.size_of(at) == 16
    assert made.all.kmalloc(128) == 0, "there was one page"
    assert not made.check_all()


def test_a_heap_that_grows_does_not_give_back_what_it_grows_from() -> None:
    """The page tables of what is mapped come from the same pages, which run dry while the heap grows."""
    made = Made(0x140000)
    made.all.kmalloc(1000)
    made.all.kfree(made.all.kmalloc(3 * PAGE_SIZE))
    made.mapper.take_table = made.pages.alloc_page
    before = made.all.blocks.size_bytes
    wanted = made.pages.free_pages * PAGE_SIZE
    assert made.all.kmalloc(wanted) == 0
    assert made.all.blocks.size_bytes == before
    assert not made.check_all()


def test_a_guarded_allocation_is_freed_like_any_other(made: Made) -> None:
    at = made.all.kmalloc_guarded(100)
    assert GUARDED_BASE < at < GUARDED_END
    assert made.all.size_of(at) == 100
    assert made.all.kfree(at)
    assert made.reports == []


@pytest.mark.parametrize("at", [4, HEAP_BASE + 4, POOLS_BASE + 4, GUARDED_BASE + 4, GUARDED_END, 0xFFFFFFFC])
def test_what_is_nobodys_is_not_freed(made: Made, at: int) -> None:
    assert not made.all.kfree(at)
    assert len(made.reports) == 1
    assert made.all.size_of(at) == 0


def test_null_is_no_bytes_and_freeing_it_is_nothing(made: Made) -> None:
    assert made.all.kmalloc(0) == 0
    assert not made.all.kfree(0)
    assert made.reports == []


def test_fences_do_not_count_as_size() -> None:
    made = Made(aids=Options(red_zones=True, poison=True))
    assert made.all.size_of(made.all.kmalloc(200)) == 200


def test_figures_by_hand(made: Made) -> None:
    made.all.kmalloc(20)
    first, _ = made.all.kmalloc(1000), made.all.kmalloc(500)
    made.all.kmalloc_guarded(100)
    made.all.kfree(first)
    rest = 4096 - 3 * 12 - 1500
    found = made.all.figures()
    assert found == (3 * PAGE_SIZE, 32 + 500 + 100, 3, rest, pytest.approx(1000 / (1000 + rest)))
    assert made.pages.free_pages == made.free_at_first - 3
    assert [name for _, name in made.all.frames()] == ["heap", "pools", "guarded"]


@pytest.mark.parametrize(("before", "after"), [(10, 16), (10, 100), (100, 200), (200, 5000), (5000, 40), (16, 16)])
def test_a_reallocation_keeps_the_content(made: Made, before: int, after: int) -> None:
    at = made.all.kmalloc(before)
    window = next(window for window in made.all.windows.values() if window.base <= at < window.end)
    window.write(at, bytes(range(1, 1 + min(before, 200))))
    neighbour = made.all.kmalloc(before)
    moved = made.all.krealloc(at, after)
    kept = min(before, after, 200)
    window = next(window for window in made.all.windows.values() if window.base <= moved < window.end)
    assert window.read(moved, kept) == bytes(range(1, 1 + kept))
    assert made.all.size_of(moved) >= after
    assert (moved == at) == (made.all.size_of(at) > 0), "what moved was freed where it was"
    made.all.kfree(moved)
    made.all.kfree(neighbour)
    assert made.all.figures().allocations == 0
    assert not made.check_all()


def test_a_reallocation_that_cannot_be_changes_nothing(made: Made) -> None:
    at = made.all.kmalloc(1000)
    made.exhaust()
    assert made.all.krealloc(at, 100_000) == 0
    assert made.all.size_of(at) == 1000
    assert made.all.krealloc(at + 4, 10) == 0
    assert made.reports[-1] == f"krealloc: ignored 0x{at + 4:08X}, where nothing is allocated"
    assert made.all.krealloc(at, 0) == 0
    assert made.all.size_of(at) == 0
    assert made.all.krealloc(0, 500) == at


def test_structures_lie_side_by_side(made: Made) -> None:
    made.all.handles.halloc(1000)
    made.all.kmalloc(16)
    used = made.memory.read(HEAP_AT, SIZE_BYTES + 16)
    assert any(used[:SIZE_BYTES])
    assert not any(used[SIZE_BYTES:])
    assert not made.check_all()


@pytest.mark.parametrize("where", ["blocks", "handles", "pools", "guarded"])
def test_a_fault_in_any_part_is_found(made: Made, where: str) -> None:
    block, handle, small, guarded = (
        made.all.kmalloc(1000), made.all.handles.halloc(1000), made.all.kmalloc(16), made.all.kmalloc_guarded(97)
    )  # fmt: skip
    assert not made.check_all()
    if where == "handles":
        made.all.kfree(made.all.handles.address(handle))
    else:
        at = {"blocks": block - 12, "pools": small & -PAGE_SIZE, "guarded": guarded + 96}[where]
        made.set_u32(at, 0x41414141)
    assert len(made.check_all()) == 1
    assert made.check_all()[0].startswith("heap: ")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("use_pools", [True, False], ids=["pools", "blocks"])
def test_a_trace_is_replayed_and_leaves_nothing_behind(kind: str, use_pools: bool) -> None:
    """The traces of `hillemu kernel-trace`; each allocation is filled, and looked at when it is freed."""
    made = Made(0x800000, use_pools=use_pools)
    heap = made.all
    live: dict[int, tuple[int, int]] = {}
    for _, operation, name, size in parse(generate(kind, operations=3000), kind):
        if operation != "a":  # a reallocation is a free and an allocation
            at, length = live.pop(name)
            window = next(window for window in heap.windows.values() if window.base <= at < window.end)
            assert window.read(at, length) == bytes([name & 0xFF]) * length
            assert heap.kfree(at)
        if operation != "f":
            at = heap.kmalloc(size)
            assert at
            window = next(window for window in heap.windows.values() if window.base <= at < window.end)
            window.write(at, bytes([name & 0xFF]) * size)
            live[name] = at, size
    assert not live
    assert not made.check_all()
    assert made.reports == []
    assert heap.figures().allocations == 0
    heap.blocks.trim()
    assert made.pages.free_pages >= made.free_at_first - len(OBJECT_SIZES), "at most a page of each pool stays"
