"""The E820 map, against the answer of SeaBIOS for the same machine."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest

from hillemu.boot.memory_map import (
    ACPI_BYTES,
    MapEntry,
    MemoryKind,
    acpi_range,
    lower_kib,
    memory_map,
    upper_kib,
    without,
)
from hillemu.emu.guest import FakeMemory, RamRange
from hillemu.emu.i386.address import PhysAddr

MIB = 1 << 20
GIB = 1 << 30


class Ram(FakeMemory):
    """RAM of which only the ranges are asked."""

    def __init__(self, *ranges: tuple[int, int]) -> None:
        super().__init__(0)
        self.ranges = tuple(RamRange(PhysAddr(base), PhysAddr(end)) for base, end in ranges)

    @property
    def ram_ranges(self) -> tuple[RamRange, ...]:
        return self.ranges


USABLE, RESERVED = MemoryKind.USABLE, MemoryKind.RESERVED


def rows(ram: FakeMemory) -> list[tuple[int, int, MemoryKind]]:
    return [(entry.base, entry.size_bytes, entry.kind) for entry in memory_map(ram)]


def test_a_512m_machine_has_the_entries_of_a_pc() -> None:
    assert rows(Ram((0, 512 * MIB))) == [
        (0x00000000, 0x9FC00, USABLE),
        (0x0009FC00, 0x400, RESERVED),
        (0x000F0000, 0x10000, RESERVED),
        (0x00100000, 511 * MIB - 0x20000, USABLE),
        (0x1FFE0000, 0x20000, RESERVED),
        (0xFFFC0000, 0x40000, RESERVED),
    ]


def test_ram_above_the_hole_for_devices_is_listed_at_4_gib() -> None:
    ram = Ram((0, 3 * GIB), (4 * GIB, 5 * GIB))
    assert rows(ram)[-1] == (0x1_0000_0000, GIB, USABLE)
    assert (3 * GIB - ACPI_BYTES, ACPI_BYTES, RESERVED) in rows(ram)
    assert sum(size for _, size, kind in rows(ram) if kind is USABLE) == 4 * GIB - (MIB - 0x9FC00) - ACPI_BYTES


@pytest.mark.parametrize(
    "ranges", [((0, 0xA0000), (MIB, 64 * MIB)), ((0, 64 * MIB),), ((0, 0x9FC00), (MIB, 2 * MIB), (2 * MIB, 64 * MIB))]
)
def test_the_map_is_the_same_however_the_machine_slices_its_ram(ranges: tuple[tuple[int, int], ...]) -> None:
    usable = [(base, size) for base, size, kind in rows(Ram(*ranges)) if kind is USABLE]
    assert usable[0] == (0, 0x9FC00)
    assert usable[1][0] == MIB
    assert sum(size for _, size in usable) == 0x9FC00 + 63 * MIB - ACPI_BYTES


def test_mem_lower_ends_at_the_extended_bios_data_area() -> None:
    assert lower_kib(memory_map(Ram((0, 64 * MIB)))) == 639


def test_mem_upper_counts_from_1_mib_to_the_first_hole() -> None:
    assert upper_kib(memory_map(Ram((0, 64 * MIB)))) == 63 * 1024 - 128
    assert upper_kib(memory_map(Ram((0, 3 * GIB), (4 * GIB, 6 * GIB)))) == (3 * GIB - MIB - ACPI_BYTES) >> 10


def test_mem_upper_goes_on_over_a_seam_but_not_over_a_gap() -> None:
    assert upper_kib(memory_map(Ram((0, 0xA0000), (MIB, 2 * MIB), (2 * MIB, 4 * MIB)))) == 3 * 1024 - 128
    assert upper_kib(memory_map(Ram((0, 0xA0000), (MIB, 2 * MIB), (3 * MIB, 4 * MIB)))) == 1024


@pytest.mark.parametrize("end", [0xA0000, MIB, MIB + 0x3FFFF, 4 * GIB - 0x20000])
def test_ram_without_room_for_acpi_tables_sets_none_aside(end: int) -> None:
    assert acpi_range(Ram((0, end))) is None


def test_acpi_tables_get_the_last_128_kib_of_low_ram() -> None:
    assert acpi_range(Ram((0, MIB + 0x40000))) == (MIB + 0x20000, MIB + 0x40000)
    assert acpi_range(Ram((0, 3 * GIB), (4 * GIB, 5 * GIB))) == (3 * GIB - ACPI_BYTES, 3 * GIB)


def test_entries_never_overlap_and_ascend_for_ram_of_any_size() -> None:
    for end in (0x1000, 0x9FC00, 0x9FE00, 0xA0000, 0xF8000, MIB, MIB + 1, 4 * GIB - 0x20000, 4 * GIB, 5 * GIB):
        entries = memory_map(Ram((0, end)))
        for below, above in pairwise(entries):
            assert below.end <= above.base, f"RAM up to {end:#x}: {below} and {above}"
        assert all(entry.size_bytes > 0 for entry in entries)


def test_without_agrees_with_sets_of_addresses() -> None:
    holes = ((3, 5), (8, 9), (20, 30))
    for base in range(12):
        for end in range(base + 1, 32):
            left = without((RamRange(PhysAddr(base), PhysAddr(end)),), holes)
            addresses = {at for run in left for at in range(run.base, run.end)}
            assert addresses == set(range(base, end)) - {at for low, high in holes for at in range(low, high)}


def test_an_entry_packs_into_the_20_bytes_of_e820() -> None:
    entry = MapEntry(PhysAddr(1 << 32), 1 << 40, USABLE)
    assert struct.pack("<QQI", *entry) == bytes.fromhex("0000000001000000 0000000000010000 01000000")
