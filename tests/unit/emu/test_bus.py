"""The bus: who answers an address, how wide accesses are split, what open bus does."""

from __future__ import annotations

import pytest

from hillemu.emu.bus import Bus
from hillemu.emu.errors import BusConflict


class Bytes:
    """A device of `count` bytes that notes the sizes of its accesses."""

    def __init__(self, count: int) -> None:
        self.data = bytearray(count)
        self.sizes: list[int] = []

    def read(self, offset: int, size: int) -> int:
        self.sizes.append(size)
        return int.from_bytes(self.data[offset : offset + size], "little")

    def write(self, offset: int, size: int, value: int) -> None:
        self.sizes.append(size)
        self.data[offset : offset + size] = value.to_bytes(size, "little")

    def peek(self, offset: int, size: int) -> int:
        return int.from_bytes(self.data[offset : offset + size], "little")


@pytest.mark.parametrize(("width", "sizes"), [(1, [1, 1, 1, 1]), (2, [2, 2]), (4, [4])])
def test_an_access_is_split_down_to_the_devices_width_low_address_first(width: int, sizes: list[int]) -> None:
    bus, device = Bus("port", 0x10000), Bytes(4)
    bus.attach(0x100, 4, device, width=width)
    bus.write(0x100, 4, 0x44332211)
    assert device.sizes == sizes
    assert device.data == bytes.fromhex("11223344")
    assert bus.read(0x100, 4) == 0x44332211


def test_an_access_over_the_edge_of_two_devices_reaches_both() -> None:
    bus, low, high = Bus("port", 0x10000), Bytes(2), Bytes(2)
    bus.attach(0x10, 2, low, width=4)
    bus.attach(0x12, 2, high, width=4)
    bus.write(0x11, 2, 0xBBAA)
    assert (low.data, high.data) == (b"\0\xaa", b"\xbb\0")


def test_the_part_of_an_access_that_nobody_answers_is_open_bus() -> None:
    bus = Bus("port", 0x10000)
    bus.attach(0x10, 1, Bytes(1))
    assert bus.read(0x10, 2) == 0xFF00
    assert bus.unhandled.reads == {0x11: 1}


@pytest.mark.parametrize("size", [1, 2, 4])
def test_open_bus_reads_all_ones_and_counts(size: int) -> None:
    bus = Bus("memory", 1 << 32, count_unit=4096)
    assert bus.read(0x12345678, size) == (1 << 8 * size) - 1
    bus.write(0x12345FF0, size, 0)
    assert bus.unhandled.reads == {0x12345000: 1}
    assert bus.unhandled.writes == {0x12345000: 1}


@pytest.mark.parametrize(
    ("base", "count", "silent"),
    [(0x4000, 0x1000, True), (0x6000, 0x1000, True), (0x5000, 1, False), (0x5FFF, 1, False), (0x4000, 0x4000, False)],
)
def test_a_unit_of_addresses_is_silent_if_no_device_is_anywhere_in_it(base: int, count: int, silent: bool) -> None:
    bus = Bus("memory", 1 << 32, count_unit=4096)
    bus.attach(base, count, Bytes(count))
    bus.read(0x5800, 4)
    bus.write(0x9800, 4, 0)
    assert bus.silent == ({0x5000, 0x9000} if silent else {0x9000})
    bus.attach(0x10000, 1, Bytes(1))
    assert bus.silent == set()


@pytest.mark.parametrize(("base", "count"), [(0x0F, 2), (0x11, 1), (0x10, 4), (0x13, 8), (0x00, 0x100)])
def test_an_overlap_names_both_owners(base: int, count: int) -> None:
    bus = Bus("port", 0x10000)
    bus.attach(0x10, 4, Bytes(4), name="timer")
    with pytest.raises(BusConflict, match=r"clock.*overlaps.*timer"):
        bus.attach(base, count, Bytes(count), name="clock")


@pytest.mark.parametrize(("base", "count"), [(-1, 2), (0xFFFF, 2), (0x10, 0)])
def test_a_range_outside_the_space_is_refused(base: int, count: int) -> None:
    with pytest.raises(BusConflict, match="does not fit"):
        Bus("port", 0x10000).attach(base, count, Bytes(1))


def test_ranges_are_listed_in_order_of_address() -> None:
    bus = Bus("port", 0x10000)
    for base in (0x30, 0x10, 0x20):
        bus.attach(base, 1, Bytes(1))
    assert [item.base for item in bus.ranges] == [0x10, 0x20, 0x30]


def test_peek_has_no_side_effect_and_is_none_where_nobody_can_be_looked_at() -> None:
    bus, device = Bus("port", 0x10000), Bytes(1)
    bus.attach(0x10, 1, device)
    assert bus.peek(0x10, 1) == 0
    assert bus.peek(0x11, 1) is None
    assert device.sizes == []
    assert not bus.unhandled.reads


def test_a_detached_device_leaves_open_bus_and_its_place_can_be_taken_again() -> None:
    bus = Bus("port", 0x10000)
    first = Bytes(4)
    bus.attach(0x100, 4, first, name="first")
    assert bus.detach(0x100).device is first
    assert bus.read(0x100, 1) == 0xFF
    bus.attach(0x102, 4, Bytes(4), name="second")
    with pytest.raises(KeyError, match="0x104"):
        bus.detach(0x104)


def test_addresses_that_have_been_used_follow_what_is_attached_and_taken_away() -> None:
    bus, first, second = Bus("port", 0x10000), Bytes(0x2000), Bytes(4)
    bus.attach(0x1000, 0x2000, first, width=4)
    for address in range(0x1000, 0x3000):
        bus.write(address, 1, address & 0xFF)
    assert [bus.read(address, 1) for address in range(0x1000, 0x3000)] == list(first.data)
    bus.detach(0x1000)
    assert bus.read(0x1000, 1) == 0xFF
    bus.attach(0x0FFE, 4, second, width=4)
    bus.write(0x1000, 1, 7)
    assert (second.data[2], bus.read(0x1000, 1), bus.read(0x0FFE, 4)) == (7, 7, 0x00070000)
    assert first.sizes == [1] * 0x4000
