"""Cylinders, heads and sectors of floppies and disks."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hillemu.emu.errors import ImageError
from hillemu.emu.geometry import (
    FLOPPY_FORMATS,
    Geometry,
    bios_disk_geometry,
    disk_geometry,
    floppy_geometry,
    format_as_floppy,
)
from hillemu.emu.media import Medium


def disk(tmp_path: Path, sector_count: int, *, last_head: int | None = None, last_sector: int = 63) -> Medium:
    """A sparse disk; `last_head` is where its first partition ends."""
    boot_record = bytearray(512)
    if last_head is not None:
        struct.pack_into("<8BII", boot_record, 446, 0x80, 1, 1, 0, 0x83, last_head, last_sector, 0, 63, 1000)
        boot_record[510:] = b"\x55\xaa"
    file = tmp_path / "disk.img"
    with file.open("wb") as out:
        out.write(boot_record)
        out.truncate(sector_count * 512)
    return Medium.open(file)


@pytest.mark.parametrize("geometry", FLOPPY_FORMATS)
def test_sectors_are_numbered_along_the_track_then_the_heads_then_the_cylinders(geometry: Geometry) -> None:
    every = [
        (cylinder, head, sector)
        for cylinder in range(geometry.cylinders)
        for head in range(geometry.heads)
        for sector in range(1, geometry.sectors + 1)
    ]
    assert [geometry.lba_of(*place) for place in every] == list(range(geometry.sector_count))
    assert [geometry.chs_of(lba) for lba in range(geometry.sector_count)] == every


@given(st.tuples(*[st.integers(-1, 100)] * 3))
def test_places_outside_have_no_number(place: tuple[int, int, int]) -> None:
    cylinder, head, sector = place
    inside = 0 <= cylinder < 80 and 0 <= head < 2 and 1 <= sector <= 18
    assert (Geometry(80, 2, 18).lba_of(*place) is not None) == inside


@pytest.mark.parametrize(
    ("kib", "expected"),
    [
        (160, (40, 1, 8)),
        (180, (40, 1, 9)),
        (320, (40, 2, 8)),
        (360, (40, 2, 9)),
        (720, (80, 2, 9)),
        (1200, (80, 2, 15)),
        (1440, (80, 2, 18)),
        (2880, (80, 2, 36)),
        (1, (80, 2, 18)),
        (1500, (80, 2, 36)),
        (2881, None),
    ],
)
def test_a_floppys_format_follows_from_its_size(kib: int, expected: tuple[int, int, int] | None) -> None:
    assert floppy_geometry(kib * 2) == expected


def test_a_boot_sector_becomes_a_whole_floppy() -> None:
    medium = Medium.from_bytes("boot.bin", b"b" * 512)
    assert format_as_floppy(medium) == (80, 2, 18)
    assert medium.sector_count == 2880
    assert medium.read(2879) == bytes(512)
    with pytest.raises(ImageError, match=r"big: 3000320 bytes fit on no floppy"):
        format_as_floppy(Medium.from_bytes("big", bytes(5860 * 512)))


# The expected geometries are those of QEMU 7.2: "info qtree" shows the drive's, and INT 13h AH=08h the other one, less
# the last cylinder, which that firmware keeps for itself.
@pytest.mark.parametrize(
    ("sectors", "last_head", "last_sector", "drive", "bios"),
    [
        (1, None, 63, (2, 16, 63), (2, 16, 63)),
        (10_000, None, 63, (9, 16, 63), (9, 16, 63)),
        (20_160, 15, 63, (20, 16, 63), (20, 16, 63)),
        (20_160, 3, 17, (296, 4, 17), (296, 4, 17)),
        (1_000_000, None, 63, (992, 16, 63), (992, 16, 63)),
        (2_000_000, None, 63, (1984, 16, 63), (992, 32, 63)),
        (2_000_000, 254, 63, (1984, 16, 63), (992, 32, 63)),
        (2_000_000, 15, 63, (1984, 16, 63), (1024, 16, 63)),
        (8_000_000, None, 63, (7936, 16, 63), (992, 128, 63)),
        (16_000_000, 254, 63, (15873, 16, 63), (995, 255, 63)),
        (16_777_216, None, 63, (16383, 16, 63), (1024, 255, 63)),
    ],
)
def test_a_disks_geometry_is_that_of_its_partitions_or_follows_from_its_size(
    tmp_path: Path,
    sectors: int,
    last_head: int | None,
    last_sector: int,
    drive: tuple[int, int, int],
    bios: tuple[int, int, int],
) -> None:
    medium = disk(tmp_path, sectors, last_head=last_head, last_sector=last_sector)
    assert disk_geometry(medium) == drive
    assert bios_disk_geometry(medium) == bios
