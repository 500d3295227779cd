"""Row B6: pools for small blocks, without a header for each."""

from __future__ import annotations

import pytest
from bitmap_memory import BitmapMemory
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hillemu.emu.i386.address import PAGE_SIZE, PhysAddr
from hillemu.kernel.profiles.bitmap.pools import HEADER_BYTES, OBJECT_SIZES, PoolCount, Pools, capacity

BASE = 0x38000000
AT = PhysAddr(0x20200)


class Made(BitmapMemory):
    def __init__(self, pages: int = 16) -> None:
        super().__init__()
        self.scatter()
        self.pools = Pools(self.memory, AT, self.new_window(BASE, BASE + pages * PAGE_SIZE), report=self.reports.append)


@pytest.fixture
def made() -> Made:
    return Made()


@pytest.mark.parametrize(
    ("asked", "size"), [(1, 16), (16, 16), (17, 32), (32, 32), (33, 48), (64, 64), (65, 80), (113, 128), (128, 128)]
)
def test_an_object_is_of_the_next_larger_size(made: Made, asked: int, size: int) -> None:
    first, second = made.pools.alloc(asked), made.pools.alloc(asked)
    assert (first, second) == (BASE + HEADER_BYTES, BASE + HEADER_BYTES + size)
    assert made.pools.size_of(first) == size
    assert made.pools.used()[size] == 2


@pytest.mark.parametrize("size", OBJECT_SIZES)
def test_a_page_has_as_many_objects_as_fit_and_all_of_them_apart(made: Made, size: int) -> None:
    got = [made.pools.alloc(size) for _ in range(capacity(size))]
    assert made.pools.size_bytes == PAGE_SIZE
    assert sorted(got) == list(range(BASE + HEADER_BYTES, BASE + HEADER_BYTES + capacity(size) * size, size))
    assert got[-1] + size <= BASE + PAGE_SIZE < got[-1] + 2 * size
    assert made.pools.alloc(size) == BASE + PAGE_SIZE + HEADER_BYTES
    assert not made.pools.check()


def test_a_small_block_costs_no_header(made: Made) -> None:
    """1,000 objects of 16 bytes: 4 pages; in the heap, with 12 bytes each in front, they are 7."""
    for _ in range(1000):
        made.pools.alloc(16)
        made.heap.kmalloc(16)
    assert made.pools.size_bytes == 4 * PAGE_SIZE
    assert made.heap.size_bytes == 7 * PAGE_SIZE


def test_the_lowest_free_object_comes_first(made: Made) -> None:
    got = [made.pools.alloc(128) for _ in range(70)]
    for number in (65, 40, 3, 5):
        made.pools.free(got[number])
    assert [made.pools.alloc(120) for _ in range(5)] == [got[3], got[5], got[40], got[65], got[-1] + 128]


def test_a_page_that_becomes_free_is_given_back_but_not_the_last_with_free_objects(made: Made) -> None:
    free = made.pages.free_pages
    got = [made.pools.alloc(128) for _ in range(62)]
    assert made.pages.free_pages == free - 2
    for at in got[:31]:
        made.pools.free(at)
    assert made.pages.free_pages == free - 2, "the only page with free objects stays"
    for at in got[31:]:
        made.pools.free(at)
    assert made.pages.free_pages == free - 1
    assert set(made.mapper.mapped) == {BASE}
    assert made.pools.alloc(16) == BASE + PAGE_SIZE + HEADER_BYTES, "the address is used again"
    assert not made.pools.check()


def test_null_when_pages_or_addresses_run_out() -> None:
    made = Made(pages=1)
    assert [bool(made.pools.alloc(128)) for _ in range(32)] == [True] * 31 + [False]
    made = Made()
    made.exhaust()
    assert made.pools.alloc(16) == 0
    assert not made.pools.check()


@pytest.mark.parametrize(
    ("offset", "kind", "words"),
    [
        (HEADER_BYTES + 32, PoolCount.DOUBLE, "0x38000060, which is free already"),
        (HEADER_BYTES + 4, PoolCount.INTERIOR, "0x38000044, which is not the start of an object of 32 bytes"),
        (4, PoolCount.INTERIOR, "0x38000004, which is not the start of an object of 32 bytes"),
        (HEADER_BYTES + 126 * 32, PoolCount.INTERIOR, "0x38001000, which is in no pool"),
        (PAGE_SIZE + HEADER_BYTES, PoolCount.UNKNOWN, "0x38001040, which is in no pool"),
    ],
)
def test_a_bad_free_is_ignored_counted_and_reported(made: Made, offset: int, kind: PoolCount, words: str) -> None:
    made.pools.alloc(32)
    kind = PoolCount.UNKNOWN if words.endswith("in no pool") else kind
    assert not made.pools.free(BASE + offset)
    assert made.pools.size_of(BASE + offset) == 0
    assert made.reports == [f"kfree: ignored {words}"]
    assert made.pools.counts[kind] == 1
    assert made.pools.counts[PoolCount.FREED] == 0
    assert not made.pools.check()


@pytest.mark.parametrize(
    ("word", "value", "words"),
    [
        (0, 0x41414141, "magic=0x41414141 object_size=128, not 0x4c4f4f50 and 128"),
        (1, 7, "magic=0x4c4f4f50 object_size=7, not 0x4c4f4f50 and 128"),
        (2, 0, "free_objects=0, but 29 bits are clear"),
        (2, 99, "free_objects=99, but 29 bits are clear"),
        (4, 0, "objects beyond the 31 that there are seem free"),
    ],
)
def test_a_page_that_was_overwritten_is_reported_and_goes_on(made: Made, word: int, value: int, words: str) -> None:
    first, second = made.pools.alloc(128), made.pools.alloc(128)
    made.set_u32(BASE + 4 * word, value)
    assert made.pools.check() == [f"heap: the pool_page at 0x38000000 is wrong: {words}"]
    if word == 4:  # is looked at when the count is at an end
        got = [made.pools.alloc(128) for _ in range(30)]
        assert got[-2:] == [BASE + HEADER_BYTES + 30 * 128, BASE + PAGE_SIZE + HEADER_BYTES]
    assert made.pools.free(first)
    assert made.reports == [f"pools: the pool_page at 0x38000000 was overwritten: {words}; it is put right"]
    assert made.pools.counts[PoolCount.OVERWRITTEN] == 1
    assert not made.pools.check()
    assert made.pools.size_of(second) == 128


def test_an_object_beyond_the_last_is_never_given_out(made: Made) -> None:
    """The bits behind the last object were cleared, and those of all objects set."""
    made.pools.alloc(128)
    made.set_u32(BASE + 12, 0xFFFFFFFF)
    made.set_u32(BASE + 16, 0)
    assert made.pools.alloc(128) == BASE + PAGE_SIZE + HEADER_BYTES
    assert made.pools.counts[PoolCount.OVERWRITTEN] == 1
    assert not made.pools.check()


def test_bits_that_somebody_else_has_set_are_noticed_and_another_page_serves(made: Made) -> None:
    made.pools.alloc(128)
    made.set_u32(BASE + 12, 0xFFFFFFFF)
    assert made.pools.check() == ["heap: the pool_page at 0x38000000 is wrong: free_objects=30, but 0 bits are clear"]
    assert made.pools.alloc(128) == BASE + PAGE_SIZE + HEADER_BYTES


class PoolModel(RuleBasedStateMachine):
    """Against a plain set of objects: none is given out twice, and what was written stays."""

    def __init__(self) -> None:
        super().__init__()
        self.made = Made(pages=8)
        self.live: dict[int, bytes] = {}
        self.stamp = 0

    @rule(size=st.integers(1, 128), count=st.integers(1, 80))
    def alloc(self, size: int, count: int) -> None:
        for _ in range(count):
            at = self.made.pools.alloc(size)
            if not at:
                return
            assert at not in self.live
            self.stamp += 1
            self.live[at] = (self.stamp.to_bytes(4, "little") * 32)[: self.made.pools.size_of(at)]
            assert len(self.live[at]) >= size
            self.made.pools.window.write(at, self.live[at])

    @precondition(lambda self: self.live)
    @rule(which=st.integers(0, 1 << 16), count=st.integers(1, 80))
    def free(self, which: int, count: int) -> None:
        for _ in range(min(count, len(self.live))):
            at = sorted(self.live)[which % len(self.live)]
            assert self.made.pools.window.read(at, len(self.live[at])) == self.live.pop(at)
            assert self.made.pools.free(at)

    @invariant()
    def figures_are_right(self) -> None:
        assert not self.made.pools.check()
        assert sum(self.made.pools.used().values()) == len(self.live)
        counts = self.made.pools.counts
        assert counts[PoolCount.ALLOCATED] - counts[PoolCount.FREED] == len(self.live)
        if not self.live:
            assert self.made.pools.size_bytes <= len(OBJECT_SIZES) * PAGE_SIZE


TestPoolsAgainstASet = PoolModel.TestCase
TestPoolsAgainstASet.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
