"""The door to guest memory: one behaviour, whether a memory shows its buffer or not."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from hillemu.emu.guest import FakeMemory
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.memory import PhysicalMemory
from hillemu.kernel.mm.words import Format, SlowWords, window, words


@pytest.fixture(params=["fake", "physical", "closed"])
def memory(request: pytest.FixtureRequest, closed_memory: Any) -> Any:
    kinds = {"fake": FakeMemory, "physical": PhysicalMemory, "closed": closed_memory}
    return kinds[request.param](4 << 20)


@pytest.mark.parametrize("item", ["B", "H", "I", "Q"])
def test_an_element_is_little_endian_at_its_place(memory: Any, item: Format) -> None:
    size = struct.calcsize(item)
    array = words(memory, PhysAddr(0x200000), 4, item)
    value = int.from_bytes(b"\x81\x92\xa3\xb4\xc5\xd6\xe7\xf8"[:size], "little")
    array[2] = value
    assert memory.read(PhysAddr(0x200000 + 2 * size), size) == value.to_bytes(size, "little")
    assert (array[2], len(array)) == (value, 4)


@pytest.mark.parametrize("item", ["H", "I"])
def test_a_member_of_structures_in_a_row_is_an_array(memory: Any, item: Format) -> None:
    size = struct.calcsize(item)
    memory.write(PhysAddr(0x200000), bytes(range(15 * size)))
    plain = words(memory, PhysAddr(0x200000), 15, item)
    member = words(memory, PhysAddr(0x200000 + size), 3, item, every=5)
    assert [member[number] for number in range(3)] == [plain[1], plain[6], plain[11]]
    member[2] = 0xBEEF
    assert plain[11] == 0xBEEF
    with pytest.raises(IndexError):
        member[3]
    assert words(memory, PhysAddr(0x400000 - 6 * size), 2, item, every=5)[1] == 0
    with pytest.raises(IndexError):
        words(memory, PhysAddr(0x400000 - 5 * size), 2, item, every=5)


def test_an_index_outside_raises(memory: Any) -> None:
    array = words(memory, PhysAddr(0x200000), 4)
    with pytest.raises(IndexError):
        array[4]
    with pytest.raises(IndexError):
        array[4] = 1


def test_a_slice_of_bytes_is_read_and_written(memory: Any) -> None:
    view = window(memory, PhysAddr(0x200000), 16)
    view[4:8] = b"abcd"
    view[0] = 7
    assert bytes(view[3:9]) == b"\0abcd\0"
    assert view[0] == 7
    with pytest.raises(ValueError, match=r"structures|slice"):
        view[4:8] = b"too long"


def test_what_is_not_ram_cannot_be_looked_at(memory: Any) -> None:
    with pytest.raises(IndexError, match="0x3ffffc"):
        words(memory, PhysAddr(0x3FFFFC), 2)


def test_a_pcs_video_memory_and_rom_are_no_ram() -> None:
    with pytest.raises(IndexError):
        window(PhysicalMemory(4 << 20), PhysAddr(0x9F000), 0x2000)


def test_ram_above_the_hole_is_found_where_it_is() -> None:
    """There, offsets in the buffer are not physical addresses: the array must go through the memory."""
    memory = PhysicalMemory(0xE0001000)
    array = words(memory, PhysAddr(1 << 32), 2)
    array[1] = 0xCAFE
    assert memory.u32(PhysAddr((1 << 32) + 4)) == 0xCAFE
    assert isinstance(array, SlowWords)
