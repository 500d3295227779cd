"""The memory map as the loader leaves it: read as it lies, reduced to whole pages that nobody else has."""

from __future__ import annotations

import struct

import pytest

from hillemu.emu.guest import FakeMemory
from hillemu.emu.i386.address import PhysAddr
from hillemu.kernel.errors import InvalidParameters
from hillemu.kernel.profiles.bitmap.boot_map import MapEntry, out_of_reach, read_memory_map, usable_pages

GIB = 1 << 30


def memory_with(*entries: tuple[int, int, int], count: int | None = None) -> FakeMemory:
    memory = FakeMemory(0x10000)
    memory.set_u32(PhysAddr(0x500), len(entries) if count is None else count)
    for number, (base, length, kind) in enumerate(entries):
        memory.write(PhysAddr(0x508 + 24 * number), struct.pack("<QQII", base, length, kind, 1))
    return memory


def pages_of(*entries: tuple[int, int, int]) -> list[tuple[int, int]]:
    return [tuple(run) for run in usable_pages(read_memory_map(memory_with(*entries)))]


def test_entries_are_read_as_the_loader_wrote_them() -> None:
    found = read_memory_map(memory_with((0, 0x9FC00, 1), (0x9FC00, 0x400, 2), (4 * GIB, GIB, 1)))
    assert found[0] == MapEntry(PhysAddr(0), 0x9FC00, 1, 1)
    assert found[2].end == 5 * GIB


@pytest.mark.parametrize("count", [0, 129, 0xFFFFFFFF])
def test_a_count_that_no_loader_leaves_is_refused(count: int) -> None:
    with pytest.raises(InvalidParameters, match=rf"no memory map at 0x500: it would have {count} entries"):
        read_memory_map(memory_with((0, 0x1000, 1), count=count))


def test_only_whole_pages_count() -> None:
    assert pages_of((0x1800, 0x2000, 1), (0x9000, 0xFFF, 1)) == [(2, 3)]


def test_what_another_entry_has_as_well_is_no_ram() -> None:
    assert pages_of((0, 0x10000, 1), (0x3800, 0x1000, 2)) == [(0, 3), (5, 16)]
    assert pages_of((0x4000, 0x1000, 1), (0, 0x10000, 3)) == []


def test_pages_beyond_4_gib_are_left_out_and_counted() -> None:
    entries = read_memory_map(memory_with((0x100000, 3 * GIB, 1), (4 * GIB, GIB, 1), (8 * GIB, GIB, 2)))
    assert [tuple(run) for run in usable_pages(entries)] == [(0x100, 0xC0100)]
    assert out_of_reach(entries) == GIB >> 12
    assert out_of_reach(entries[:1]) == 0


def test_an_entry_across_4_gib_is_cut() -> None:
    entries = read_memory_map(memory_with((3 * GIB, 2 * GIB, 1)))
    assert [tuple(run) for run in usable_pages(entries)] == [(0xC0000, 0x100000)]
    assert out_of_reach(entries) == GIB >> 12
