"""The BIOS data area, asked as kernels ask it."""

from __future__ import annotations

from hillemu.boot.bios.data import BDA, BDA_BYTES, EBDA, FIELDS, write_bios_data
from hillemu.boot.memory_map import lower_kib, memory_map
from hillemu.emu.guest import FakeGuest
from hillemu.emu.i386.address import PhysAddr


def word(guest: FakeGuest, at: int) -> int:
    return int.from_bytes(guest.memory.read(PhysAddr(at), 2), "little")


def filled() -> FakeGuest:
    guest = FakeGuest(1 << 20)
    guest.memory.fill(PhysAddr(0x3F0), 0x200, 0xEE)
    write_bios_data(guest.memory)
    return guest


def test_a_search_for_tables_from_the_ebda_segment_ends_up_in_the_ebda() -> None:
    guest = filled()
    assert word(guest, 0x40E) << 4 == EBDA
    assert guest.memory.read(EBDA, 1) == b"\x01"


def test_base_memory_ends_where_the_multiboot_memory_map_says() -> None:
    guest = filled()
    assert word(guest, 0x413) == lower_kib(memory_map(guest.memory)) == EBDA >> 10


def test_the_screen_is_80_by_25_in_colour() -> None:
    guest = filled()
    assert word(guest, 0x410) >> 4 & 3 == 2
    assert (word(guest, 0x463), word(guest, 0x44A), guest.memory.read(PhysAddr(0x484), 1)[0] + 1) == (0x3D4, 80, 25)


def test_nothing_outside_the_areas_is_touched_and_no_two_fields_overlap() -> None:
    guest = filled()
    assert guest.memory.read(PhysAddr(0x3F0), 0x10) == b"\xee" * 0x10
    assert guest.memory.read(PhysAddr(BDA + BDA_BYTES), 0x10) == b"\xee" * 0x10
    ends = [address + {"B": 1, "H": 2, "I": 4}[kind] for address, kind, _ in FIELDS]
    assert all(end <= begin for end, (begin, *_) in zip(ends, FIELDS[1:], strict=False))


def test_the_time_of_day_begins_at_what_the_clock_chip_says() -> None:
    guest = filled()
    write_bios_data(guest.memory, ticks=0x123456)
    assert guest.memory.u32(PhysAddr(0x46C)) == 0x123456


def test_the_whole_ebda_is_cleared_but_for_its_size() -> None:
    guest = FakeGuest(1 << 20)
    guest.memory.fill(EBDA, 1024, 0xEE)
    write_bios_data(guest.memory)
    assert guest.memory.read(EBDA, 1024) == b"\x01" + bytes(1023)
