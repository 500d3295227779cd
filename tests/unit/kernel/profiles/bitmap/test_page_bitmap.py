"""Row B2: `memory_manager_t`, `alloc_page` by first fit, and the frees that are ignored and counted."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from bitmap_memory import FIRST_PAGE, MANAGER_AT, SIZE_BYTES
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hillemu.emu.guest import FakeMemory
from hillemu.emu.i386.address import PAGE_SIZE, Frame, PhysAddr
from hillemu.kernel.errors import Corruption, InvalidParameters
from hillemu.kernel.mm.frames import FrameRun
from hillemu.kernel.profiles.bitmap.page_bitmap import BITMAP_AT, MANAGER, PageBitmap, PageCount

PAGES = SIZE_BYTES // PAGE_SIZE


def make(
    *runs: tuple[int, int], kept: tuple[tuple[int, int], ...] = (), memory: Any = None, reports: Any = None
) -> PageBitmap:
    return PageBitmap.create(
        memory or FakeMemory(SIZE_BYTES),
        MANAGER_AT,
        [FrameRun(Frame(first), Frame(end)) for first, end in runs or ((0, PAGES),)],
        kept=[FrameRun(Frame(first), Frame(end)) for first, end in kept],
        kernel_page_dir=0x9000,
        report=(reports if reports is not None else []).append,
    )


def bits_in_memory(pages: PageBitmap) -> list[int]:
    """The numbers of the clear bits, from the bytes that a debugger sees at 0x100000."""
    raw = pages.memory.read(BITMAP_AT, (pages.total_pages + 7) // 8)
    return [page for page in range(pages.total_pages) if not raw[page // 8] >> page % 8 & 1]


def test_the_manager_is_the_documents_twenty_bytes() -> None:
    pages = make()
    total, free, bitmap, length, directory = struct.unpack("<5I", pages.memory.read(MANAGER_AT, 20))
    assert (total, bitmap, length, directory) == (PAGES, 0x100000, PAGES // 8, 0x9000)
    assert free == PAGES - FIRST_PAGE
    assert MANAGER.size_bytes == 20


def test_a_page_has_its_bit_in_the_byte_and_at_the_place_that_the_document_says() -> None:
    pages = make()
    assert bits_in_memory(pages) == list(range(FIRST_PAGE, PAGES))
    assert pages.alloc_page() == FIRST_PAGE * PAGE_SIZE
    assert bits_in_memory(pages) == list(range(FIRST_PAGE + 1, PAGES))
    pages.free_page(FIRST_PAGE * PAGE_SIZE)
    assert bits_in_memory(pages) == list(range(FIRST_PAGE, PAGES))


def test_pages_are_given_out_from_the_end_of_the_bitmap_on_and_below_it_none() -> None:
    pages = make((0, 0x9F), (0x100, PAGES))
    got = [pages.alloc_page() for _ in range(pages.free_pages)]
    assert pages.end == got[0] == FIRST_PAGE * PAGE_SIZE
    assert [at // PAGE_SIZE for at in got] == list(range(FIRST_PAGE, PAGES))


def test_the_lowest_free_page_comes_first_whatever_was_freed_in_which_order() -> None:
    pages = make()
    got = [pages.alloc_page() for _ in range(300)]
    for at in (got[200], got[7], got[130], got[8]):
        pages.free_page(at)
    assert [pages.alloc_page() for _ in range(5)] == [got[7], got[8], got[130], got[200], got[-1] + PAGE_SIZE]


def test_there_is_0_when_no_page_is_free_and_the_count_says_so() -> None:
    pages = make((0x100, 0x110))
    got = [pages.alloc_page() for _ in range(pages.free_pages)]
    assert len(got) == 15
    assert pages.free_pages == 0
    assert [pages.alloc_page(), pages.alloc_page()] == [0, 0]
    assert pages.counts[PageCount.EXHAUSTED] == 2
    assert pages.counts[PageCount.ALLOCATED] == 15
    pages.free_page(got[3])
    assert pages.free_pages == 1
    assert pages.alloc_page() == got[3]


def test_what_is_kept_and_what_is_no_ram_is_never_given_out() -> None:
    pages = make((0, 0x180), (0x1C0, PAGES), kept=((0x150, 0x160), (0x2F0, 0x400)))
    wanted = {*range(FIRST_PAGE, 0x150), *range(0x160, 0x180), *range(0x1C0, 0x2F0)}
    assert {page for page in range(-1, 0x400) if not pages.is_used(page)} == wanted
    got = {pages.alloc_page() // PAGE_SIZE for _ in range(pages.free_pages)}
    assert got == wanted
    assert {page for page in range(-1, 0x400) if not pages.is_reserved(page)} == wanted
    assert all(pages.is_used(page) for page in range(-1, 0x400))
    assert pages.alloc_page() == 0


@pytest.mark.parametrize(
    ("at", "count", "words"),
    [
        (FIRST_PAGE * PAGE_SIZE + 4, PageCount.MISALIGNED, "0x00101004, which is not the start of a page"),
        (PAGES * PAGE_SIZE, PageCount.OUT_OF_RANGE, "0x00300000, which is beyond the last page"),
        (-PAGE_SIZE, PageCount.OUT_OF_RANGE, "0xFFFFF000, which is beyond the last page"),
        (0x102 * PAGE_SIZE, PageCount.ALREADY_FREE, "0x00102000, which is free already"),
        (0, PageCount.RESERVED, "0x00000000, which is reserved: it was never given out"),
        (0x100000, PageCount.RESERVED, "0x00100000, which is reserved: it was never given out"),
        (0x180000, PageCount.RESERVED, "0x00180000, which is reserved: it was never given out"),
    ],
)
def test_a_free_that_makes_no_sense_is_ignored_counted_and_reported(at: int, count: PageCount, words: str) -> None:
    reports: list[str] = []
    pages = make((0, 0x180), (0x190, PAGES), reports=reports)
    pages.alloc_page()
    before = bytes(pages.memory.read(BITMAP_AT, 256)), pages.free_pages
    assert not pages.free_page(at)
    assert (bytes(pages.memory.read(BITMAP_AT, 256)), pages.free_pages) == before
    assert [pages.counts[kind] for kind in PageCount if kind >= PageCount.MISALIGNED and kind != count] == [0, 0, 0]
    assert pages.counts[count] == 1
    assert reports == [f"free_page: ignored {words}"]
    assert not pages.check()


def test_structures_that_are_there_already_are_opened_as_they_are() -> None:
    """Everything that counts lies in guest memory."""
    pages = make()
    got = [pages.alloc_page() for _ in range(100)]
    pages.free_page(got[50])
    again = PageBitmap(pages.memory, MANAGER_AT)
    assert not again.check()
    assert again.free_pages == pages.free_pages
    assert [again.alloc_page(), again.alloc_page()] == [got[50], got[-1] + PAGE_SIZE]


def test_a_memory_that_shows_no_buffer_gives_the_same_pages(closed_memory: Any) -> None:
    pages = make((0, 0x120), memory=closed_memory(SIZE_BYTES))
    assert [pages.alloc_page() >> 12 for _ in range(3)] == [FIRST_PAGE, FIRST_PAGE + 1, FIRST_PAGE + 2]
    assert not pages.check()


def test_memory_beyond_4_gib_is_left_out_and_told() -> None:
    reports: list[str] = []
    pages = make((0x100, 1 << 20), (1 << 20, (1 << 20) + 256), reports=reports)
    assert pages.total_pages == 1 << 20
    assert reports == ["memory_init: 256 pages beyond 4 GiB are out of reach of 32-bit physical addresses"]
    assert not pages.is_used((1 << 20) - 1)
    assert pages.is_used(1 << 20)


def test_a_memory_without_a_free_page_is_refused() -> None:
    with pytest.raises(InvalidParameters, match="no free page behind the bitmap at 0x100000"):
        make((0, 0x101))


def test_a_bitmap_that_does_not_fit_into_ram_is_refused() -> None:
    with pytest.raises(InvalidParameters, match="no RAM for the bitmap, 262144 bytes at 0x100000"):
        make((0x100, 1 << 20), memory=FakeMemory(0x110000))


def test_there_is_no_manager_where_nothing_was_created() -> None:
    with pytest.raises(Corruption, match="no memory_manager_t at physical 0x20000"):
        PageBitmap(FakeMemory(SIZE_BYTES), MANAGER_AT)


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (MANAGER_AT, 5, "memory_manager_t.total_pages is 0x5, not 0x300"),
        (MANAGER_AT + 4, 5, "memory_manager_t.free_pages is 5, but 509 bits are clear"),
        (MANAGER_AT + 8, 5, "memory_manager_t.bitmap is 0x5, not 0x100000"),
        (MANAGER_AT + 12, 5, "memory_manager_t.bitmap_length is 0x5, not 0x60"),
        (BITMAP_AT, 0xFFFFFFFE, "page 0x0 is marked free, but it is reserved"),
        (BITMAP_AT + 8, 0xFFFFFFFB, "page 0x42 is marked free, but it is reserved"),
        (BITMAP_AT + 0x20, 0xFFFFFFEF, "page 0x104 is marked free, but it is in use"),
        (BITMAP_AT + 0x24, 0x00000001, "memory_manager_t.free_pages is 509, but 508 bits are clear"),
    ],
)
def test_whatever_is_overwritten_is_found(at: int, value: int, words: str) -> None:
    """Checkpoint "bitmap": page 0x104 is known to be in use."""
    pages = make()
    in_use = [pages.alloc_page() >> 12 for _ in range(4)] and range(FIRST_PAGE, FIRST_PAGE + 4)
    pages.free_page(FIRST_PAGE * PAGE_SIZE)
    pages.free_page((FIRST_PAGE + 1) * PAGE_SIZE)
    assert not pages.check(in_use[2:])
    pages.memory.set_u32(PhysAddr(at), value)
    assert any(words in line for line in pages.check(in_use[2:])), pages.check(in_use[2:])


def test_a_page_that_is_marked_free_by_somebody_else_in_a_full_word_is_found() -> None:
    pages = make()
    for _ in range(100):
        pages.alloc_page()
    pages.memory.set_u32(PhysAddr(BITMAP_AT + 0x20), 0xFFFFFFFB)
    assert "bitmap: pages 0x102 were marked free by nobody who frees pages" in pages.check()


def test_a_page_that_is_marked_used_by_somebody_else_is_not_given_out() -> None:
    pages = make()
    pages.memory.write(PhysAddr(BITMAP_AT + 0x20), bytes([0xFF] * 8))
    assert pages.alloc_page() == 0x140 * PAGE_SIZE


class Model(RuleBasedStateMachine):
    """Against a plain set of free pages: the lowest comes first."""

    def __init__(self) -> None:
        super().__init__()
        self.pages = make((0, 0x140), (0x150, 0x190))
        self.free = {*range(FIRST_PAGE, 0x140), *range(0x150, 0x190)}
        self.all = frozenset(self.free)

    @rule(count=st.integers(1, 40))
    def alloc(self, count: int) -> None:
        for _ in range(count):
            expected = min(self.free, default=0)
            assert self.pages.alloc_page() == expected * PAGE_SIZE
            self.free.discard(expected)

    @rule(page=st.integers(0xF0, 0x19F), off=st.sampled_from([0, 0, 0, 0, 1, 4095]))
    def free_page(self, page: int, off: int) -> None:
        right = not off and page in self.all and page not in self.free
        assert self.pages.free_page(page * PAGE_SIZE + off) == right
        if right:
            self.free.add(page)

    @rule()
    def open_again(self) -> None:
        self.pages = PageBitmap(self.pages.memory, MANAGER_AT)

    @invariant()
    def memory_says_the_same(self) -> None:
        assert bits_in_memory(self.pages) == sorted(self.free)
        assert self.pages.free_pages == len(self.free)
        assert not self.pages.check()


TestPagesAgainstASet = Model.TestCase
TestPagesAgainstASet.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
