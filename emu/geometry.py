"""Cylinders, heads and sectors: how floppies are formatted, and what disks without any pretend to have.

>>> floppy = floppy_geometry(2880)
>>> floppy
Geometry(cylinders=80, heads=2, sectors=18)
>>> floppy.lba_of(1, 0, 1), floppy.chs_of(36)
(36, (1, 0, 1))

A floppy's format follows from the size of its image.  A disk's drive reports a geometry of its own (at most 16383
cylinders, 16 heads and 63 sectors), and the firmware shows programs another one that INT 13h can express (at most
1024, 255 and 63); both are QEMU's, so that a partitioned disk boots here as it does there.

Source: ATA/ATAPI-6 (T13 1410D), "IDENTIFY DEVICE" words 1, 3, 6 and Annex B "Sector translation"; Phoenix, "Enhanced
Disk Drive Specification" 1.1, "Translated geometries".
"""

from __future__ import annotations

from typing import NamedTuple

from hillemu.emu.errors import ImageError
from hillemu.emu.media import SECTOR_BYTES, Medium

MAX_ATA_CYLINDERS = 16383
ATA_HEADS, ATA_SECTORS = 16, 63
MAX_BIOS_CYLINDERS = 1024

_PARTITION_TABLE, _PARTITION_COUNT, _PARTITION_BYTES = 446, 4, 16
_SIGNATURE = b"\x55\xaa"


class Geometry(NamedTuple):
    """Sizes, not highest numbers; sectors count from 1, cylinders and heads from 0."""

    cylinders: int
    heads: int
    sectors: int

    @property
    def sector_count(self) -> int:
        return self.cylinders * self.heads * self.sectors

    def lba_of(self, cylinder: int, head: int, sector: int) -> int | None:
        """The number of a sector, or `None` where this geometry has none."""
        if not (0 <= cylinder < self.cylinders and 0 <= head < self.heads and 1 <= sector <= self.sectors):
            return None
        return (cylinder * self.heads + head) * self.sectors + sector - 1

    def chs_of(self, lba: int) -> tuple[int, int, int]:
        """Cylinder, head and sector of a sector's number, which may lie behind the last cylinder."""
        track, sector = divmod(lba, self.sectors)
        cylinder, head = divmod(track, self.heads)
        return cylinder, head, sector + 1


FLOPPY_FORMATS = (
    Geometry(40, 1, 8),  # 160 KiB, 5 1/4 inch
    Geometry(40, 1, 9),  # 180 KiB
    Geometry(40, 2, 8),  # 320 KiB
    Geometry(40, 2, 9),  # 360 KiB
    Geometry(80, 2, 9),  # 720 KiB, 3 1/2 inch
    Geometry(80, 2, 15),  # 1.2 MiB, 5 1/4 inch, high density
    Geometry(80, 2, 18),  # 1.44 MiB, 3 1/2 inch, high density
    Geometry(80, 2, 21),  # 1.68 MiB, "distribution media format"
    Geometry(80, 2, 36),  # 2.88 MiB, 3 1/2 inch, extra density
)
_UNFORMATTED = (Geometry(80, 2, 18), Geometry(80, 2, 36))
"""What an image of no floppy's size is taken for: the first of these that it fits into."""


def floppy_geometry(sector_count: int) -> Geometry | None:
    """The format of a floppy image of that many sectors, or of the blank floppy that it fits on; `None` if on none."""
    for geometry in FLOPPY_FORMATS:
        if geometry.sector_count == sector_count:
            return geometry
    return next((geometry for geometry in _UNFORMATTED if sector_count <= geometry.sector_count), None)


def format_as_floppy(medium: Medium) -> Geometry:
    """Find a floppy image's format and pad it to that; so a 512-byte boot sector is a 1.44 MiB floppy of zeros.

    Raises `ImageError` for an image that fits on no floppy.
    """
    geometry = floppy_geometry(medium.sector_count) if medium.sector_bytes == SECTOR_BYTES else None
    if geometry is None:
        raise ImageError(medium.path, f"{medium.size_bytes} bytes fit on no floppy (at most 2.88 MiB)")
    medium.pad(geometry.sector_count)
    return geometry


def disk_geometry(medium: Medium) -> Geometry:
    """The geometry that an ATA drive with this medium reports.

    A disk that was partitioned with at most 16 heads has been made for exactly that geometry, which its partition
    table still tells; every other gets 16 heads and 63 sectors.
    """
    told = _geometry_of_the_partitions(medium)
    if told is not None and told.heads <= ATA_HEADS:
        return told
    cylinders = medium.sector_count // (ATA_HEADS * ATA_SECTORS)
    return Geometry(max(2, min(cylinders, MAX_ATA_CYLINDERS)), ATA_HEADS, ATA_SECTORS)


def bios_disk_geometry(medium: Medium) -> Geometry:
    """The geometry that INT 13h AH=08h reports for a disk, with at most 1024 cylinders.

    A small disk keeps its drive's geometry.  A larger one is translated: by doubling the heads while halving the
    cylinders if its partitions were made with more than 16 heads and its drive's geometry is small enough for that
    ("large"), else by its number of sectors ("LBA assisted").
    """
    physical = disk_geometry(medium)
    told = _geometry_of_the_partitions(medium)
    if physical.cylinders <= MAX_BIOS_CYLINDERS and (told is None or told.heads <= ATA_HEADS):
        return physical
    if told is not None and told.heads <= ATA_HEADS:
        return physical._replace(cylinders=MAX_BIOS_CYLINDERS)
    if told is not None and physical.cylinders * physical.heads <= 131072:
        return _large(physical)
    return _lba_assisted(medium.sector_count)


def _large(physical: Geometry) -> Geometry:
    cylinders, heads, sectors = physical
    while cylinders > MAX_BIOS_CYLINDERS and heads <= 127:
        cylinders, heads = cylinders >> 1, heads << 1
    return Geometry(min(cylinders, MAX_BIOS_CYLINDERS), heads, sectors)


def _lba_assisted(sector_count: int) -> Geometry:
    tracks = sector_count // ATA_SECTORS
    for heads in (16, 32, 64, 128):
        if tracks // MAX_BIOS_CYLINDERS <= heads:
            return Geometry(min(tracks // heads, MAX_BIOS_CYLINDERS), heads, ATA_SECTORS)
    return Geometry(min(tracks // 255, MAX_BIOS_CYLINDERS), 255, ATA_SECTORS)


def _geometry_of_the_partitions(medium: Medium) -> Geometry | None:
    """What the end of the first partition says: partitions end with the last head and the last sector of a track."""
    if medium.sector_bytes != SECTOR_BYTES:
        return None
    boot_record = medium.read(0)
    if boot_record[-2:] != _SIGNATURE:
        return None
    for number in range(_PARTITION_COUNT):
        at = _PARTITION_TABLE + number * _PARTITION_BYTES
        last_head, last_sector = boot_record[at + 5], boot_record[at + 6] & 63
        size = int.from_bytes(boot_record[at + 12 : at + 16], "little")
        if not size or not last_head or not last_sector:
            continue
        cylinders = medium.sector_count // ((last_head + 1) * last_sector)
        if 1 <= cylinders <= MAX_ATA_CYLINDERS:
            return Geometry(cylinders, last_head + 1, last_sector)
    return None
