"""Row B6, protection: allocations between guard pages."""

from __future__ import annotations

import pytest
from bitmap_memory import BitmapMemory

from hillemu.emu.i386.address import PAGE_SIZE
from hillemu.kernel.profiles.bitmap.guarded_blocks import GuardedBlocks

BASE, PAGES = 0x3C000000, 32
FIRST_END = BASE + 2 * PAGE_SIZE


class Made(BitmapMemory):
    def __init__(self) -> None:
        super().__init__()
        self.scatter()
        self.free_at_first = self.pages.free_pages
        self.guarded = GuardedBlocks(self.new_window(BASE, BASE + PAGES * PAGE_SIZE), self.reports.append)


@pytest.fixture
def made() -> Made:
    return Made()


@pytest.mark.parametrize(("size", "pages"), [(1, 1), (100, 1), (4084, 1), (4085, 2), (4096, 2), (9000, 3)])
def test_content_ends_where_its_last_page_ends_and_no_page_follows(made: Made, size: int, pages: int) -> None:
    at = made.guarded.alloc(size)
    assert at % 4 == 0
    assert at + size <= BASE + (1 + pages) * PAGE_SIZE < at + size + 4
    assert sorted(made.mapper.mapped) == [BASE + PAGE_SIZE * number for number in range(1, pages + 1)]
    assert made.guarded.size_of(at) == size
    assert not made.guarded.check()


def test_every_allocation_has_a_page_that_is_not_mapped_on_either_side(made: Made) -> None:
    made.guarded.alloc(100)
    made.guarded.alloc(5000)
    made.guarded.alloc(8)
    mapped = sorted((at - BASE) // PAGE_SIZE for at in made.mapper.mapped)
    assert mapped == [1, 3, 4, 6]


def test_freed_pages_are_unmapped_and_given_back_and_their_place_is_used_again(made: Made) -> None:
    first, second = made.guarded.alloc(5000), made.guarded.alloc(100)
    assert made.guarded.free(first)
    assert sorted(made.mapper.mapped) == [second & -PAGE_SIZE]
    assert made.pages.free_pages == made.free_at_first - 1
    assert made.guarded.alloc(9000) > second, "three pages do not fit into the gap of two"
    assert made.guarded.alloc(4) == BASE + 2 * PAGE_SIZE - 4
    assert made.guarded.free(second)
    assert not made.guarded.check()


def test_null_when_addresses_or_pages_run_out_and_nothing_is_kept(made: Made) -> None:
    assert made.guarded.alloc(0) == made.guarded.alloc(-5) == made.guarded.alloc(1 << 30) == 0
    got = [made.guarded.alloc(4) for _ in range(16)]
    assert [bool(at) for at in got] == [True] * 15 + [False], "a page, and a guard behind each"
    assert made.reports == ["kmalloc_guarded: failed to allocate 4 bytes: 1 pages and a guard page"]
    made.guarded.free(got[0])
    made.exhaust()
    made.pages.free_page(made.pages.end + PAGE_SIZE * 4)
    free = made.pages.free_pages
    assert made.guarded.alloc(4096) == 0, "two pages, and one is free"
    assert made.pages.free_pages == free


def test_the_last_pages_of_the_range_are_used_and_the_very_last_is_a_guard(made: Made) -> None:
    guarded = GuardedBlocks(made.new_window(BASE, BASE + (PAGES + 1) * PAGE_SIZE))
    got = [guarded.alloc(4) for _ in range(16)]
    assert got[-1] == BASE + PAGES * PAGE_SIZE - 4
    assert guarded.alloc(4) == 0


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (FIRST_END, "in the guard page behind the 100 bytes at 0x3C001F9C"),
        (FIRST_END + 0xFFF, "in the guard page behind the 100 bytes at 0x3C001F9C"),
        (BASE + PAGE_SIZE - 1, "in the guard page in front of the 100 bytes at 0x3C001F9C"),
        (BASE + 2 * PAGE_SIZE - 1, "in the 100 bytes at 0x3C001F9C"),
        (BASE + PAGE_SIZE, ""),
        (BASE + 3 * PAGE_SIZE + 5, "in the 4000 bytes at 0x3C003060, which were freed"),
        (BASE + 5 * PAGE_SIZE, ""),
        (BASE - PAGE_SIZE, ""),
        (0, ""),
    ],
)
def test_the_address_of_a_fault_says_whose_memory_it_is(made: Made, at: int, words: str) -> None:
    made.guarded.alloc(100)
    made.guarded.free(made.guarded.alloc(4000))
    assert made.guarded.explain(at) == words


def test_addresses_that_are_given_out_again_are_freed_memory_no_more(made: Made) -> None:
    made.guarded.free(made.guarded.alloc(9000))
    at = made.guarded.alloc(8500)
    for offset in (0, 4096, 8499):
        assert made.guarded.explain(at + offset) == f"in the 8500 bytes at 0x{at:08X}"


@pytest.mark.parametrize(
    ("offset", "words"),
    [
        (-4, "in the guard page"),
        (4, "in the 100 bytes at 0x3C001F9C"),
        (0x20000, "which is no allocation"),
        (-0x3C000000, "which is no allocation"),
    ],
)
def test_a_bad_free_is_ignored_and_reported(made: Made, offset: int, words: str) -> None:
    at = made.guarded.alloc(100)
    before = dict(made.mapper.mapped)
    assert not made.guarded.free(at + offset)
    assert made.mapper.mapped == before
    assert len(made.reports) == 1
    assert made.reports[0].startswith("kfree: ignored 0x")
    if offset != -4:
        assert made.reports[0].endswith(words)


def test_a_double_free_says_that_it_was_freed(made: Made) -> None:
    at = made.guarded.alloc(100)
    assert made.guarded.free(at)
    assert not made.guarded.free(at)
    assert made.reports == [f"kfree: ignored 0x{at:08X}, in the 100 bytes at 0x{at:08X}, which were freed"]


@pytest.mark.parametrize(
    ("offset", "words"),
    [
        (-1, "written before its bounds: 0x3C001F9B-0x3C001F9B is 41"),
        (97, "written behind its bounds: 0x3C001FFD-0x3C001FFD is 41"),
        (-0xF9C, "its guarded_block at 0x3C001000 was overwritten"),
    ],
)
def test_a_write_around_the_content_is_found_by_check_and_when_it_is_freed(made: Made, offset: int, words: str) -> None:
    at = made.guarded.alloc(97)
    made.guarded.window.write(at + offset, b"\x41")
    assert made.guarded.check() == [f"heap: 97 guarded bytes at 0x{at:08X}: {words}"]
    assert made.guarded.free(at)
    assert made.reports == [f"kfree: OVERFLOW - 97 bytes at 0x{at:08X}, {words}"]
    assert made.pages.free_pages == made.free_at_first
