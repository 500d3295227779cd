"""Bootable CDs: what an El Torito boot catalog offers to a PC.

::

    sector 17  boot record      00 "CD001\\1EL TORITO SPECIFICATION"    47h sector of the catalog
    catalog    validation       00 1, platform, 1Ch checksum over the entry's words (0), 1Eh 55h AAh
               default entry    00 88h if bootable, media type, load segment, 6 sectors to load, 8 first sector
               section headers  00 90h, or 91h for the last one; platform, number of entries
               entries          as the default entry; 44h continues the one before

Sectors of the CD have 2048 bytes; the number of sectors to load is in units of 512.

Source: Phoenix and IBM, "El Torito Bootable CD-ROM Format Specification" 1.0.
Not modelled: selection criteria of section entries, which BIOSes ignore too; other platforms' entries are skipped.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from hillemu.emu.errors import ImageError
from hillemu.emu.geometry import Geometry
from hillemu.emu.media import CD_SECTOR_BYTES, Medium

NO_EMULATION, FLOPPY_1200K, FLOPPY_1440K, FLOPPY_2880K, HARD_DISK = range(5)
"""Media types."""

_BOOT_RECORD = 17
_IDENTIFIER = b"\0CD001\x01EL TORITO SPECIFICATION"
_CATALOG_POINTER = 0x47
_ENTRY_BYTES = 32
_X86 = 0
_BOOTABLE, _HEADER, _LAST_HEADER = 0x88, 0x90, 0x91
_CONTINUATION, _CONTINUATION_FOLLOWS = 0x44, 0x20
_DEFAULT_SEGMENT = 0x07C0
_PER_CD_SECTOR = CD_SECTOR_BYTES // 512
_LOAD_LIMIT = 0xA0000
_PARTITION_END = 0x1BE + 5
"""Where a disk's first sector has the last head, sector and cylinder of its first partition."""
_FLOPPIES = {FLOPPY_1200K: 15, FLOPPY_1440K: 18, FLOPPY_2880K: 36}
"""Sectors per track by media type."""


class BootEntry(NamedTuple):
    """A boot image on a CD."""

    media_type: int
    """One of the five at the top of this file."""
    load_segment: int
    load_sectors: int
    """How many sectors of 512 bytes the firmware loads; never 0."""
    start: int
    """The image's first sector on the CD."""
    catalog: int
    """The sector of the catalog that tells of it."""


def read_boot_entry(cd: Medium) -> BootEntry:
    """The entry that a PC boots: the default one, or the first bootable one for x86 if that is for something else.

    Raises `ImageError` for a CD that is not bootable, and for one whose catalog is damaged.
    """
    catalog_at = _find_catalog(cd)
    catalog = cd.read(catalog_at)
    _check_validation_entry(cd, catalog)
    platform = catalog[1]
    if platform == _X86 and catalog[_ENTRY_BYTES] == _BOOTABLE:
        return _read_entry(cd, catalog, _ENTRY_BYTES, catalog_at)
    at = _find_in_sections(catalog)
    if at is None:
        raise ImageError(cd.path, "its boot catalog has nothing for a PC with a BIOS (only for other platforms)")
    return _read_entry(cd, catalog, at, catalog_at)


def boot_image(cd: Medium, entry: BootEntry) -> bytes:
    """What the firmware loads: `entry.load_sectors` sectors of 512 bytes, rounded up to whole sectors of the CD."""
    return cd.read(entry.start, -(-entry.load_sectors // _PER_CD_SECTOR))


def emulated_geometry(cd: Medium, entry: BootEntry) -> Geometry:
    """The geometry of the floppy or hard disk that `entry` emulates; a hard disk's stands in its partition table."""
    if entry.media_type in _FLOPPIES:
        return Geometry(80, 2, _FLOPPIES[entry.media_type])
    head, low, cylinder = cd.read(entry.start)[_PARTITION_END : _PARTITION_END + 3]
    sectors = low & 0x3F
    if not sectors:
        raise ImageError(cd.path, "the hard disk image to boot has no partition, so its geometry is unknown")
    return Geometry(((low & 0xC0) << 2 | cylinder) + 1, head + 1, sectors)


def _find_catalog(cd: Medium) -> int:
    if cd.sector_count <= _BOOT_RECORD:
        raise ImageError(cd.path, f"is too small for a CD image: it has {cd.size_bytes} bytes")
    record = cd.read(_BOOT_RECORD)
    if not record.startswith(_IDENTIFIER):
        raise ImageError(cd.path, "is not a bootable CD (it has no El Torito boot record)")
    at: int = struct.unpack_from("<I", record, _CATALOG_POINTER)[0]
    if at >= cd.sector_count:
        raise ImageError(
            cd.path, f"the CD's boot catalog is at sector {at}, behind its end ({cd.sector_count} sectors)"
        )
    return at


def _check_validation_entry(cd: Medium, catalog: bytes) -> None:
    if catalog[0] != 1 or catalog[0x1E:0x20] != b"\x55\xaa":
        raise ImageError(cd.path, "the CD's boot catalog is damaged: it has no validation entry")
    total = sum(struct.unpack_from("<16H", catalog)) & 0xFFFF
    if total:
        raise ImageError(cd.path, f"the CD's boot catalog is damaged: its checksum gives {total:#06x} instead of 0")


def _find_in_sections(catalog: bytes) -> int | None:
    """Where in `catalog` the first bootable x86 entry of a section is."""
    at = 2 * _ENTRY_BYTES
    while at + _ENTRY_BYTES <= len(catalog) and catalog[at] in (_HEADER, _LAST_HEADER):
        header, platform = catalog[at], catalog[at + 1]
        count: int = struct.unpack_from("<H", catalog, at + 2)[0]
        at += _ENTRY_BYTES
        for _ in range(count):
            if at + _ENTRY_BYTES > len(catalog):
                return None
            if platform == _X86 and catalog[at] == _BOOTABLE:
                return at
            has_more = catalog[at + 1] & _CONTINUATION_FOLLOWS
            at += _ENTRY_BYTES
            while has_more and at + _ENTRY_BYTES <= len(catalog) and catalog[at] == _CONTINUATION:
                has_more = catalog[at + 1] & _CONTINUATION_FOLLOWS
                at += _ENTRY_BYTES
        if header == _LAST_HEADER:
            return None
    return None


def _read_entry(cd: Medium, catalog: bytes, at: int, catalog_at: int) -> BootEntry:
    media, segment, _, _, sectors, start = struct.unpack_from("<BHBBHI", catalog, at + 1)
    media_type = media & 0x0F
    if media_type > HARD_DISK:
        raise ImageError(cd.path, f"the CD's boot catalog asks for media type {media_type}, which does not exist")
    entry = BootEntry(media_type, segment or _DEFAULT_SEGMENT, sectors or 1, start, catalog_at)
    count = -(-entry.load_sectors // _PER_CD_SECTOR)
    if not 0 < start <= start + count <= cd.sector_count:
        raise ImageError(
            cd.path,
            f"the CD's boot image is at sectors {start} to {start + count - 1}, outside the CD's {cd.sector_count}",
        )
    if (entry.load_segment << 4) + count * CD_SECTOR_BYTES > _LOAD_LIMIT:
        raise ImageError(cd.path, f"the CD's boot image is too large to be loaded at segment {entry.load_segment:#06x}")
    return entry
