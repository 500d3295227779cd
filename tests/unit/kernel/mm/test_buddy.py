"""Row H2: the buddy system over all usable memory."""

from __future__ import annotations

from typing import Any

import pytest

from hillemu.emu.guest import FakeMemory
from hillemu.emu.i386.address import Frame, PhysAddr
from hillemu.kernel.errors import (
    Corruption,
    DoubleFree,
    InvalidParameters,
    Misaligned,
    Unowned,
    WrongSize,
)
from hillemu.kernel.mm.buddy import Buddy
from hillemu.kernel.mm.buddy_create import create
from hillemu.kernel.mm.buddy_layout import HEADER, Geometry
from hillemu.kernel.mm.frames import FrameRun, OutOfMemory

AT = PhysAddr(0x1000)


def zone(*runs: tuple[int, int], end: int = 64, **options: Any) -> Buddy:
    """A zone over frames 0 up to `end`."""
    found = [FrameRun(Frame(first), Frame(last)) for first, last in runs or ((0, end),)]
    return create(FakeMemory(0x40000), AT, found, base=options.pop("base", 0), end=end, **options)


def test_the_lowest_block_is_handed_out_first() -> None:
    buddy = zone()
    assert [buddy.alloc(0), buddy.alloc(1), buddy.alloc(0), buddy.alloc(2)] == [0, 2, 1, 4]
    assert not buddy.check()


def test_a_block_is_split_only_as_far_as_needed() -> None:
    buddy = zone()
    assert buddy.free_blocks()[6] == 1
    buddy.alloc(3)
    assert buddy.free_blocks() == [0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0]


def test_freeing_both_twins_merges_them() -> None:
    buddy = zone()
    first, second = buddy.alloc(0), buddy.alloc(0)
    buddy.free(first, 0)
    assert buddy.free_blocks()[0] == 1
    buddy.free(second, 0)
    assert buddy.free_blocks() == [0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert not buddy.check()


def test_neighbours_that_are_no_twins_stay_apart() -> None:
    buddy = zone((1, 3), end=4)
    assert buddy.free_blocks()[:2] == [2, 0]
    assert isinstance(buddy.alloc(1), OutOfMemory)


def test_all_of_memory_is_managed_not_one_block() -> None:
    """Row H2: the seed's buddy_init makes one block of at most 1,024 pages and loses the rest."""
    buddy = zone(end=5000, room_bytes=None)
    assert buddy.free_frames == 5000
    assert buddy.free_blocks()[10] == 4


def test_reserved_frames_are_never_handed_out() -> None:
    buddy = zone((3, 10), (12, 13), (40, 64))
    got = set()
    while not isinstance(frame := buddy.alloc(0), OutOfMemory):
        got.add(frame)
    assert got == {*range(3, 10), 12, *range(40, 64)}


def test_running_out_is_a_value_with_facts() -> None:
    buddy = zone(end=8)
    assert buddy.alloc(3) == 0
    assert buddy.alloc(0) == OutOfMemory(order=0, free_frames=0)
    buddy.free(Frame(0), 3)
    buddy.alloc(0)
    got = buddy.alloc(3)
    assert got == OutOfMemory(order=3, free_frames=7)
    assert str(got) == "no block of 8 frames (order 3); 7 frames are free"


def test_a_zone_need_not_start_at_frame_0() -> None:
    buddy = zone((2050, 3000), base=2048, end=4096)
    assert buddy.alloc(0) == 2050
    buddy.free(Frame(2050), 0)
    with pytest.raises(Unowned):
        buddy.free(Frame(100), 0)
    assert not buddy.check()


@pytest.mark.parametrize(
    ("frame", "order", "fault", "words"),
    [
        (40, 0, DoubleFree, "already free, in the block at 0x20 "),
        (0, 1, WrongSize, "was allocated with order 4"),
        (1, 1, Misaligned, "not at a multiple of 2 frames"),
        (2, 1, Unowned, "inside a block in use"),
        (70, 0, Unowned, "is not managed"),
        (-1, 0, Unowned, "is not managed"),
        (20, 0, Unowned, "is not managed"),
        (0, 11, WrongSize, "orders are 0 to 10"),
        (0, -1, WrongSize, "orders are 0 to 10"),
    ],
)
def test_a_bad_free_is_refused_and_changes_nothing(frame: int, order: int, fault: type, words: str) -> None:
    """Row H3: misaligned, unowned and double frees."""
    buddy = zone((0, 16), (32, 60))
    assert buddy.alloc(4) == 0
    before = bytes(buddy.memory.read(PhysAddr(0), 0x10000))
    with pytest.raises(fault, match=words):
        buddy.free(Frame(frame), order)
    assert bytes(buddy.memory.read(PhysAddr(0), 0x10000)) == before


@pytest.mark.parametrize("order", [-1, 11, 1000])
def test_an_order_that_cannot_be_is_refused(order: int) -> None:
    with pytest.raises(InvalidParameters, match=f"invalid order {order}"):
        zone().alloc(order)


def test_smaller_requests_than_the_smallest_order_are_rounded_up() -> None:
    buddy = zone((1, 62), min_order=2)
    assert buddy.alloc(0) == 4
    assert buddy.alloc(1) == 56  # a block of four as well
    buddy.free(Frame(4), 0)
    assert buddy.order_of(4) is None
    assert not buddy.check()
    assert buddy.free_frames == 56 - 4
    assert buddy.alloc(0) == 4


@pytest.mark.parametrize(
    "options",
    [
        {"max_order": 11},
        {"min_order": 3, "max_order": 2},
        {"min_order": -1},
        {"end": 0},
        {"base": 1},
        {"runs": ((60, 65),)},
    ],
)
def test_invalid_parameters_are_refused_in_the_seeds_words(options: dict[str, Any]) -> None:
    """Row H2."""
    with pytest.raises(InvalidParameters, match=r"^buddy_init: invalid parameters$"):
        zone(*options.pop("runs", ()), **options)


def test_structures_without_room_are_a_limit_that_is_reported() -> None:
    """Row H2: the seed's message, with the true limit."""
    room = Geometry(40, 10).size_bytes
    with pytest.raises(InvalidParameters, match=r"^buddy_init: ERROR - need 64 blocks, but MAX_BUDDY_BLOCKS=40$"):
        zone(room_bytes=room)


def test_no_page_at_all_is_refused_in_the_seeds_words() -> None:
    with pytest.raises(InvalidParameters, match=r"^buddy_init: ERROR - no available pages$"):
        create(FakeMemory(0x40000), AT, [], base=0, end=64)


def test_the_log_is_the_seeds() -> None:
    lines: list[str] = []
    zone((0, 2048), end=2048, log=lines.append)
    assert lines[0] == "buddy_init: base_page=0, total_pages=2048, max_order=10"
    assert lines[-2:] == [
        "buddy_init: initialized 2 blocks (order 10 = 1024 pages)",
        "buddy_init: base_page=0x0, max_order=10",
    ]


def test_another_reader_finds_the_same_zone_in_guest_memory() -> None:
    """What Python holds is derived: a second object on the same memory goes on where the first stopped."""
    buddy = zone()
    buddy.alloc(3)
    other = Buddy(buddy.memory, AT)
    assert other.alloc(0) == 8
    assert buddy.alloc(0) == 9
    assert buddy.order_of(0) == 3
    other.free(Frame(0), 3)
    assert buddy.is_free(0)


def test_what_is_no_zone_is_not_taken_for_one() -> None:
    with pytest.raises(Corruption, match="no buddy_zone at physical 0x1000"):
        Buddy(FakeMemory(0x40000), AT)


def test_it_works_on_a_memory_that_shows_no_buffer(closed_memory: Any) -> None:
    buddy = create(closed_memory(0x40000), AT, [FrameRun(Frame(0), Frame(64))], base=0, end=64)
    got = [buddy.alloc(order) for order in (0, 3, 1)]
    for frame, order in zip(got, (0, 3, 1), strict=True):
        assert isinstance(frame, int)
        buddy.free(frame, order)
    assert buddy.free_blocks()[6] == 1
    assert not buddy.check()


def test_no_bit_of_its_structures_can_change_unnoticed() -> None:
    """`check` sees every single flipped bit: in the header, in all four levels, in the state of every frame."""
    buddy = zone((0, 30), (32, 62), max_order=6)
    for order in (0, 0, 2, 3, 0):
        buddy.alloc(order)
    buddy.free(Frame(29), 0)
    assert not buddy.check()
    array = memoryview(buddy.memory.data)  # type: ignore[attr-defined]
    unnoticed = []
    for offset in (*range(HEADER.size_bytes), *range(buddy.geometry.top_offset, buddy.geometry.size_bytes)):
        for bit in range(8):
            array[AT + offset] ^= 1 << bit
            if not buddy.check():
                unnoticed.append((offset, bit))
            array[AT + offset] ^= 1 << bit
    sentinel = buddy.geometry.top_offset + 8 * (buddy.max_order + 1)
    # The word that ends a search may be anything but 0.
    assert [place for place in unnoticed if not sentinel <= place[0] < sentinel + 8] == []
    assert not buddy.check()


def test_a_lie_in_the_summary_stops_the_search_instead_of_handing_out_nonsense() -> None:
    buddy = zone(end=64)
    buddy.levels[0][6][0] = 0
    with pytest.raises(Corruption, match="promises a free block"):
        buddy.alloc(0)
