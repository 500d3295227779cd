"""The bitmap allocator: next fit, blocks by order, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from hillemu.emu.guest import FakeMemory
from hillemu.emu.i386.address import Frame, PhysAddr
from hillemu.kernel.errors import BadFree, Corruption, DoubleFree, InvalidParameters, Misaligned, Unowned, WrongSize
from hillemu.kernel.mm.bitmap import HEADER, Bitmap, metadata_bytes
from hillemu.kernel.mm.frames import FrameRun, OutOfMemory

AT = PhysAddr(0x1000)


def zone(*runs: tuple[int, int], end: int = 256, memory: Any = None) -> Bitmap:
    found = tuple(FrameRun(Frame(first), Frame(last)) for first, last in runs or ((0, end),))
    return Bitmap.create(memory or FakeMemory(0x40000), AT, found, base=0, end=end)


def take_all(bitmap: Bitmap) -> list[int]:
    got = []
    while not isinstance(frame := bitmap.alloc(), OutOfMemory):
        got.append(frame)
    return got


def test_every_page_is_handed_out_once_and_no_other() -> None:
    bitmap = zone((3, 70), (130, 131), (200, 256))
    assert sorted(take_all(bitmap)) == [*range(3, 70), 130, *range(200, 256)]
    assert bitmap.alloc() == OutOfMemory(0, 0)
    assert not bitmap.check()


def test_a_search_goes_on_where_the_last_one_ended_and_comes_round() -> None:
    """Next fit: the page that was freed in front waits until the search comes round."""
    bitmap = zone((0, 256))
    for _ in range(200):
        bitmap.alloc()
    bitmap.free(Frame(5))
    assert bitmap.alloc() == 200
    assert take_all(bitmap)[-1] == 5


@pytest.mark.parametrize("order", range(11))
def test_a_block_starts_at_a_multiple_of_its_size(order: int) -> None:
    bitmap = zone((1, 8192), end=8192)
    blocks = [bitmap.alloc(order) for _ in range(3)]
    for frame in blocks:
        assert isinstance(frame, int)
        assert frame % (1 << order) == 0
        assert all(not bitmap.is_free(one) for one in range(frame, frame + (1 << order)))
    assert len(set(blocks)) == 3
    assert bitmap.free_frames == 8191 - 3 * (1 << order)
    assert not bitmap.check()
    for frame in blocks:
        assert isinstance(frame, int)
        bitmap.free(frame, order)
    assert bitmap.free_frames == 8191
    assert not bitmap.check()


def test_no_block_is_found_where_only_scattered_pages_are_free() -> None:
    bitmap = zone((0, 128), end=128)
    take_all(bitmap)
    for frame in range(0, 128, 2):
        bitmap.free(Frame(frame))
    assert bitmap.alloc(1) == OutOfMemory(1, 64)


@pytest.mark.parametrize(
    ("frame", "order", "fault", "words"),
    [
        (9, 0, DoubleFree, "0x9 is already free"),
        (0, 3, DoubleFree, "0x4 is already free"),
        (1, 1, Misaligned, "not at a multiple of 2"),
        (250, 0, Unowned, "0xfa is not managed"),
        (300, 0, Unowned, "is not managed"),
        (0, 11, WrongSize, "orders are 0 to 10"),
    ],
)
def test_a_bad_free_is_refused_and_changes_nothing(frame: int, order: int, fault: type[BadFree], words: str) -> None:
    """Row H3, for the bitmap."""
    bitmap = zone((0, 250))
    assert bitmap.alloc(2) == 0
    before = bitmap.memory.read(PhysAddr(0), 0x4000)
    with pytest.raises(fault, match=words):
        bitmap.free(Frame(frame), order)
    assert bitmap.memory.read(PhysAddr(0), 0x4000) == before


def test_parameters_that_cannot_be_are_refused() -> None:
    with pytest.raises(InvalidParameters, match="bitmap_init: invalid parameters"):
        Bitmap.create(FakeMemory(0x40000), AT, (), base=64, end=128)
    with pytest.raises(InvalidParameters, match="invalid order 11"):
        zone().alloc(11)
    with pytest.raises(Corruption):
        Bitmap(FakeMemory(0x40000), AT)


def test_it_works_on_a_memory_that_shows_no_buffer(closed_memory: Any) -> None:
    bitmap = zone((2, 100), memory=closed_memory(0x40000))
    assert [bitmap.alloc(), bitmap.alloc(2)] == [2, 4]
    bitmap.free(Frame(4), 2)
    assert not bitmap.check()


def test_no_bit_of_its_structures_can_change_unnoticed() -> None:
    """`check` sees every flipped bit but those of `hint` that still name a word."""
    bitmap = zone((3, 70), (130, 131), (200, 250))
    for _ in range(20):
        bitmap.alloc()
    bitmap.free(Frame(8))
    assert not bitmap.check()
    array = memoryview(bitmap.memory.data)  # type: ignore[attr-defined]
    unnoticed = set()
    for offset in (*range(HEADER.size_bytes), *range(64, metadata_bytes(256))):
        for bit in range(8):
            array[AT + offset] ^= 1 << bit
            if not bitmap.check():
                unnoticed.add(offset)
            array[AT + offset] ^= 1 << bit
    assert unnoticed == {HEADER.offset("hint")}
