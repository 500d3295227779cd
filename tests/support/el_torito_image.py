"""CD images with an El Torito boot catalog, built by hand: as small as a PC's firmware accepts."""

from __future__ import annotations

import struct

CD_SECTOR = 2048
CATALOG, IMAGE = 19, 20
"""Sectors of the boot catalog and of the boot image."""


def validation_entry(platform: int = 0) -> bytes:
    entry = bytearray(struct.pack("<BBH24sHBB", 1, platform, 0, b"hillemu", 0, 0x55, 0xAA))
    struct.pack_into("<H", entry, 0x1C, -sum(struct.unpack("<16H", entry)) & 0xFFFF)
    return bytes(entry)


def boot_entry(
    *, bootable: int = 0x88, media_type: int = 0, segment: int = 0, sectors: int = 4, start: int = IMAGE
) -> bytes:
    return struct.pack("<BBHBBHI20x", bootable, media_type, segment, 0, 0, sectors, start)


def section_header(platform: int, count: int, *, is_last: bool) -> bytes:
    return struct.pack("<BBH28x", 0x91 if is_last else 0x90, platform, count)


def cd_image(boot_image: bytes, *entries: bytes, catalog_at: int = CATALOG) -> bytes:
    """A CD with these catalog `entries` (a valid one for no emulation without any) and `boot_image` at `IMAGE`."""
    catalog = b"".join(entries) or validation_entry() + boot_entry()
    volume = b"\x01CD001\x01".ljust(40, b"\0") + b"HILLEMU".ljust(32)
    record = (b"\0CD001\x01" + b"EL TORITO SPECIFICATION").ljust(0x47, b"\0") + struct.pack("<I", catalog_at)
    sectors = [*[b""] * 16, volume, record, b"\xffCD001\x01", catalog, boot_image]
    data = b"".join(sector.ljust(CD_SECTOR, b"\0") for sector in sectors)
    return data + bytes(-len(data) % CD_SECTOR)
