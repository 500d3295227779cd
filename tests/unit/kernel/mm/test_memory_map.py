"""Row H1: the multiboot memory map, read from guest memory and printed as the seed shows."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest

from hillemu.emu.guest import FakeMemory
from hillemu.emu.i386.address import PhysAddr
from hillemu.kernel.errors import InvalidParameters
from hillemu.kernel.mm.memory_map import MemoryRegion, read_memory_map, usable_runs

MIB = 1 << 20


def read(memory: FakeMemory, info: int) -> tuple[tuple[MemoryRegion, ...], list[str], list[str]]:
    lines: list[str] = []
    reports: list[str] = []
    return read_memory_map(memory, PhysAddr(info), lines.append, reports.append), lines, reports


def put_map(memory: FakeMemory, *entries: bytes) -> int:
    raw = b"".join(entries)
    memory.write(PhysAddr(0x3000), raw)
    memory.write(PhysAddr(0x2000), struct.pack("<I40xII", 1 << 6, len(raw), 0x3000))
    return 0x2000


def entry(base: int, length: int, kind: int, size: int = 20) -> bytes:
    return struct.pack("<IQQI", size, base, length, kind).ljust(size + 4, b"\xee")


@pytest.mark.parametrize(
    ("size_bytes", "total"), [(8 * MIB, 7), (512 * MIB, 511), (3 << 30, 3071), (4 << 30, 4095), (64 << 30, 65535)]
)
def test_the_total_is_what_the_seed_prints(
    put_info: Callable[..., int], machine_of: Callable[[int], Any], size_bytes: int, total: int
) -> None:
    """Row H1: `511 MB` for 512M, `4095 MB` for 4G, the part above the hole counted."""
    memory = FakeMemory(MIB)
    _, lines, reports = read(memory, put_info(memory, like=machine_of(size_bytes)))
    assert f"mm_init: total available: {total} MB" in lines
    assert not reports


def test_entries_are_printed_as_in_the_seed(put_info: Callable[..., int], machine_of: Callable[[int], Any]) -> None:
    """Row H1: 16 hexadecimal digits, 64-bit bases."""
    memory = FakeMemory(MIB)
    _, lines, _ = read(memory, put_info(memory, like=machine_of(4 << 30)))
    assert lines[0] == "mm_init: Parsing multiboot memory map..."
    assert lines[1] == "mmap: base=0x0000000000000000, length=0x000000000009FC00, type=1"
    assert "mmap: base=0x0000000100000000, length=0x0000000040000000, type=1" in lines


def test_an_entry_may_be_longer_than_its_fields() -> None:
    """The specification: `size` says where the next entry is, not how long this one has to be."""
    memory = FakeMemory(MIB)
    regions, _, reports = read(memory, put_map(memory, entry(0, 0x9000, 1, size=24), entry(0x100000, 0x200000, 1)))
    assert [region.base for region in regions] == [0, 0x100000]
    assert not reports


def test_a_map_that_ends_in_an_entry_is_reported_and_what_came_before_counts() -> None:
    memory = FakeMemory(MIB)
    regions, _, reports = read(memory, put_map(memory, entry(0x100000, 0x200000, 1), b"\x14\0\0\0"))
    assert len(regions) == 1
    assert "ends in the middle of the entry at 0x3018" in reports[0]


def test_an_entry_that_is_too_short_cannot_be_passed_and_is_reported() -> None:
    memory = FakeMemory(MIB)
    entries = (entry(0x100000, 0x200000, 1), struct.pack("<IQQI", 4, 0, 0, 1), entry(0, 0x1000, 1))
    regions, _, reports = read(memory, put_map(memory, *entries))
    assert len(regions) == 1
    assert "says it has 4 bytes" in reports[0]


def test_an_entry_beyond_64_bits_is_left_out() -> None:
    memory = FakeMemory(MIB)
    regions, _, reports = read(memory, put_map(memory, entry(2**64 - 4096, 8192, 1), entry(0x100000, 0x200000, 1)))
    assert [region.base for region in regions] == [0x100000]
    assert "beyond 2**64" in reports[0]


def test_without_a_map_the_two_sizes_serve() -> None:
    memory = FakeMemory(MIB)
    memory.write(PhysAddr(0x2000), struct.pack("<III", 1, 639, 7 * 1024))
    regions, lines, _ = read(memory, 0x2000)
    assert regions == (MemoryRegion(0, 639 << 10, 1), MemoryRegion(MIB, 7 * MIB, 1))
    assert lines[0] == "mm_init: No memory map available"


def test_a_loader_that_tells_nothing_is_refused() -> None:
    with pytest.raises(InvalidParameters, match="neither a memory map"):
        read(FakeMemory(MIB), 0x2000)


def test_a_map_without_a_whole_usable_page_is_refused() -> None:
    memory = FakeMemory(MIB)
    with pytest.raises(InvalidParameters, match="no usable page"):
        read(memory, put_map(memory, entry(0x800, 0x1000, 1), entry(0x100000, 0x100000, 2)))


def test_what_any_entry_denies_is_not_usable() -> None:
    """Entries in any order, overlapping, touching: a plain set of page numbers is the oracle."""
    regions = [
        MemoryRegion(0x6000, 0x4000, 1),
        MemoryRegion(0x1800, 0x3000, 1),
        MemoryRegion(0x3000, 0x4000, 1),
        MemoryRegion(0x7FFF, 2, 2),
        MemoryRegion(0x4000, 0, 2),
    ]
    usable = {
        page
        for page in range(16)
        if all(
            any(region.type == 1 and region.base <= at < region.end for region in regions)
            and not any(region.type != 1 and region.base <= at < region.end for region in regions)
            for at in range(page << 12, page + 1 << 12, 1)
        )
    }
    assert {frame for run in usable_runs(regions) for frame in run.frames()} == usable == {2, 3, 4, 5, 6, 9}
