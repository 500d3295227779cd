"""Row H3: pages from the page allocators, and what is refused; the frame table above them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hillemu.emu.i386.address import Frame, PhysAddr
from hillemu.kernel.errors import Corruption, InvalidParameters, StillShared, Unowned
from hillemu.kernel.mm.bitmap import Bitmap
from hillemu.kernel.mm.buddy import Buddy
from hillemu.kernel.mm.frame_table import Owner
from hillemu.kernel.mm.frames import AllocatorFactory, OutOfMemory, Zone, order_for
from hillemu.kernel.mm.pmm import Pmm


class Stack:
    """The smallest allocator that a user would write: it trusts everybody."""

    def __init__(self, zone: Zone) -> None:
        self.stack = [Frame(frame) for run in zone.runs() for frame in run.frames()]

    @property
    def free_frames(self) -> int:
        return len(self.stack)

    def alloc(self, order: int = 0, /) -> Frame | OutOfMemory:
        return self.stack.pop() if self.stack and not order else OutOfMemory(order, len(self.stack))

    def free(self, frame: Frame, order: int = 0, /) -> None:
        self.stack.append(frame)


@pytest.fixture(params=[Buddy.for_zone, Bitmap.for_zone, Stack], ids=["buddy", "bitmap", "user's"])
def kernel(request: pytest.FixtureRequest, make_kernel: Callable[..., Any]) -> Any:
    factory: AllocatorFactory = request.param
    return make_kernel(8 << 20, allocator=factory)


@pytest.fixture
def pmm(kernel: Any) -> Pmm:
    found: Pmm = kernel.pmm
    return found


def test_pages_come_and_go(kernel: Any, pmm: Pmm) -> None:
    before = pmm.free_frames
    pages = [pmm.alloc_page() for _ in range(10)]
    assert len(set(pages)) == 10
    assert all(page and page % 4096 == 0 for page in pages)
    assert pmm.free_frames == before - 10
    assert not kernel.check()
    assert all(pmm.free_page(page) for page in pages)
    assert pmm.free_frames == before
    assert not kernel.check()
    assert not kernel.reports


def test_every_page_is_handed_out_once_and_none_that_is_taken(kernel: Any, pmm: Pmm) -> None:
    """No frame has two owners: not the kernel's image, not the tables, not the null page."""
    got = set()
    while page := pmm.alloc_page():
        got.add(page >> 12)
    assert len(got) == pmm.managed_frames
    assert all(kernel.boot.owner(frame) is None for frame in got)
    assert kernel.reports[-1].startswith("pmm_alloc_page: failed to allocate page: no block of 1 frames")


@pytest.mark.parametrize("allocator", [Buddy.for_zone, Bitmap.for_zone])
@pytest.mark.parametrize(("count", "frames"), [(1, 1), (2, 2), (3, 4), (5, 8), (1000, 1024)])
def test_counts_are_rounded_up_to_an_order(
    make_kernel: Callable[..., Any], allocator: AllocatorFactory, count: int, frames: int
) -> None:
    """Row H3."""
    kernel = make_kernel(16 << 20, allocator=allocator)
    before = kernel.pmm.free_frames
    at = kernel.pmm.alloc_pages(count)
    assert at % (frames * 4096) == 0
    assert kernel.pmm.free_frames == before - frames
    assert not kernel.check()
    assert kernel.pmm.free_pages(at, count)
    assert kernel.pmm.free_frames == before


def test_more_pages_than_a_block_has_are_not_cut_short(kernel: Any, pmm: Pmm) -> None:
    """The seed's loop stops at the largest order, so that 5,000 pages would get 1,024."""
    assert pmm.alloc_pages(1025) == 0
    assert kernel.reports == ["pmm_alloc_pages: failed to allocate 1025 pages: a block has at most 1024 pages"]
    assert pmm.alloc_pages(0) == 0


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (0, "pmm_free_page: invalid address 0x0"),
        (0x3001, "pmm_free_page: invalid address 0x3001"),
        (0x100000, "is reserved, or no RAM"),
        (0x7FFFFFFF000, "is reserved, or no RAM"),
        (0x5000, "is already free"),
    ],
)
def test_a_bad_free_is_reported_and_changes_nothing(kernel: Any, pmm: Pmm, at: int, words: str) -> None:
    """Row H3: zero, misaligned, unowned and double frees, whatever the allocator."""
    before = bytes(kernel.memory.data)
    assert not pmm.free_page(PhysAddr(at))
    assert words in kernel.reports[-1]
    assert bytes(kernel.memory.data) == before
    assert not kernel.check()


def test_a_negative_frame_is_not_counted_from_the_end(kernel: Any, pmm: Pmm) -> None:
    while pmm.alloc_page():
        pass
    assert pmm.references(Frame(pmm.table.end - 1)) == 1
    with pytest.raises(Unowned):
        pmm.free(Frame(-1))
    assert not kernel.check()


def test_a_double_free_is_refused_with_facts(kernel: Any, pmm: Pmm) -> None:
    page = pmm.alloc_page()
    assert pmm.free_page(page)
    assert not pmm.free_page(page)
    assert kernel.reports == [
        f"pmm_free_page: refused {page:#x}: pmm_free: frame {page >> 12:#x} (order 0) is already free"
    ]
    assert not kernel.check()


def test_part_of_a_block_cannot_be_freed(make_kernel: Callable[..., Any]) -> None:
    kernel = make_kernel(8 << 20)
    at = kernel.pmm.alloc_pages(4)
    assert not kernel.pmm.free_page(at)
    assert not kernel.pmm.free_page(at + 4096)
    assert "was allocated with order 2" in kernel.reports[0]
    assert f"in the middle of the block at {at >> 12:#x} (order 2)" in kernel.reports[1]
    assert kernel.pmm.free_pages(at, 4)
    assert not kernel.check()


def test_a_frame_is_freed_with_its_last_reference(kernel: Any, pmm: Pmm) -> None:
    """What copy-on-write needs (row H10)."""
    frame = pmm.alloc(owner=Owner.ANONYMOUS, info=42)
    assert isinstance(frame, int)
    assert pmm.hold(frame) == 2
    with pytest.raises(StillShared, match="still held 2 times"):
        pmm.free(frame)
    assert pmm.release(frame) == 1
    assert pmm.table.record(frame) == (1, 0, Owner.ANONYMOUS, 42)
    assert pmm.release(frame) == 0
    assert pmm.references(frame) == 0
    for wrong in (pmm.hold, pmm.release):
        with pytest.raises(Unowned):
            wrong(frame)
    assert not kernel.check()


def test_references_cannot_overflow(kernel: Any, pmm: Pmm) -> None:
    frame = pmm.alloc()
    assert isinstance(frame, int)
    pmm.table.entries[frame] |= 0xFFFF
    with pytest.raises(InvalidParameters, match="65535 references"):
        pmm.hold(frame)


def test_an_allocator_that_hands_out_a_frame_twice_is_caught(make_kernel: Callable[..., Any]) -> None:
    kernel = make_kernel(8 << 20, allocator=Stack)
    frame = kernel.pmm.alloc(owner=Owner.PAGE_TABLE)
    kernel.pmm.zones[0].allocator.stack.append(frame)
    with pytest.raises(Corruption, match=f"Stack of zone Normal handed out frame {frame:#x} .* belongs to page table"):
        kernel.pmm.alloc()


def test_an_allocator_that_hands_out_foreign_frames_is_caught(make_kernel: Callable[..., Any]) -> None:
    kernel = make_kernel(8 << 20, allocator=Stack)
    for foreign in (0x100, 0x100000):
        kernel.pmm.zones[0].allocator.stack.append(foreign)
        with pytest.raises(Corruption, match=f"handed out frame {foreign:#x}"):
            kernel.pmm.alloc()


@pytest.mark.parametrize("allocator", [Buddy.for_zone, Bitmap.for_zone])
def test_check_compares_the_allocator_with_the_frame_table(
    make_kernel: Callable[..., Any], allocator: AllocatorFactory
) -> None:
    kernel = make_kernel(8 << 20, allocator=allocator)
    frame = kernel.pmm.alloc()
    kernel.pmm.zones[0].allocator.free(frame, 0)  # behind the manager's back
    findings = kernel.check()
    assert any("is free in the allocator and in use by the frame table" in finding for finding in findings)


def test_check_sees_a_frame_that_belongs_to_no_block(kernel: Any, pmm: Pmm) -> None:
    frame = pmm.alloc()
    assert isinstance(frame, int)
    entry = pmm.table.entries[frame]
    for wrong in (entry & ~0xFF0000, entry & ~0xFFFF, entry | 0xFF << 24):
        pmm.table.entries[frame] = wrong
        assert pmm.check(), f"{wrong:#x} went unnoticed"
    pmm.table.entries[frame] = entry
    assert not pmm.check()


def test_check_sees_a_frame_that_no_allocator_was_given(kernel: Any, pmm: Pmm) -> None:
    pmm.table.entries[0x100] = 0x80 << 16 | Owner.KERNEL << 24 | 1
    assert any("frame 0x100 is in use, but was never given" in finding for finding in pmm.check())


def test_an_order_holds_at_least_its_count() -> None:
    for count in range(1, 2000):
        order = order_for(count)
        assert 1 << order >= count
        assert order == 0 or 1 << order - 1 < count
