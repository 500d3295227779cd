"""INT 13h AH=4Ah-4Dh: floppies and hard disks that a CD emulates, and what was booted from it.

The specification packet at DS:SI::

    00 size, 13h       02 drive number          04 first sector of the image    0A segment of a user's buffer, 0
    01 media type      03 IDE channel           08 0 master, 1 slave            0C load segment   0E sectors loaded
                                                10 geometry: 7-0 of the last cylinder, sectors with 9-8, last head

AH=4Bh answers for the CD that was booted, as boot loaders ask with the drive number they were given.

Source: Phoenix and IBM, "El Torito Bootable CD-ROM Format Specification" 1.0, "INT 13 Functions"; where it and SeaBIOS
differ in the answer without any bootable CD: the specification (carry set).
Not modelled: booting by AH=4Ch, which fails; INT 19h boots.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

from hillemu.boot.bios.call import BiosCall
from hillemu.boot.bios.disk_status import BAD_PARAMETER, CROSSES_64_KIB, SUCCESS
from hillemu.boot.bios.disk_tables import write_drive_counts
from hillemu.boot.bios.drives import CdDrive, Drives, EmulatedDrive
from hillemu.boot.el_torito import NO_EMULATION, BootEntry, emulated_geometry, read_boot_entry
from hillemu.emu.errors import ImageError

_PACKET_BYTES, _CATALOG_PACKET_BYTES = 0x13, 8
_STOP = 0
_MOST_SECTORS = 32


def begin(drives: Drives, cd: CdDrive, entry: BootEntry) -> int:
    """Note that `entry` of `cd` is booted, with the emulation that it asks for; returns the drive number for DL."""
    assert cd.medium is not None, "an entry was read from it"
    drives.booted_cd = (cd, entry)
    if entry.media_type == NO_EMULATION:
        return cd.number
    emulated = EmulatedDrive(cd, entry.start, entry.media_type, emulated_geometry(cd.medium, entry))
    drives.emulate(emulated)
    return emulated.number


def _initiate(call: BiosCall, drives: Drives) -> int:
    """AH=4Ah: emulate what the packet describes.  The CD is the one at the packet's channel and place."""
    packet = call.read("ds", call.si, _PACKET_BYTES)
    media, _, channel, start, place, _, segment, sectors = struct.unpack_from("<BBBIHHHH", packet, 1)
    slot = 2 * channel + (place & 1)
    cd = next((cd for cd in drives.cds if cd.slot == slot and cd.medium), None)
    entry = BootEntry(media & 0x0F, segment, sectors, start, 0)
    if cd is None or not 1 <= entry.media_type <= 4 or start >= cd.sector_count:
        return BAD_PARAMETER
    try:
        begin(drives, cd, entry)
    except ImageError:
        return BAD_PARAMETER
    write_drive_counts(call.guest.memory, drives)
    return SUCCESS


def _terminate_or_tell(call: BiosCall, drives: Drives) -> int:
    """AH=4Bh: AL=0 ends the emulation, AL=1 only tells; DL is the drive, or 7Fh for all."""
    booted = drives.booted_cd
    if booted is None:
        return BAD_PARAMETER
    cd, entry = booted
    emulated = drives.emulated
    number = emulated.number if emulated else cd.number
    if call.dl not in (number, cd.number, 0x7F):
        return BAD_PARAMETER
    call.write("ds", call.si, _specification(number, cd, entry, emulated))
    if call.al == _STOP and emulated is not None:
        drives.emulated = None
        write_drive_counts(call.guest.memory, drives)
    return SUCCESS


def _specification(number: int, cd: CdDrive, entry: BootEntry, emulated: EmulatedDrive | None) -> bytes:
    packet = struct.pack(
        "<BBBBIHHHH",
        _PACKET_BYTES,
        entry.media_type if emulated else NO_EMULATION,
        number,
        cd.slot // 2,
        entry.start,
        cd.slot & 1,
        0,
        entry.load_segment,
        entry.load_sectors,
    )
    if emulated is None:
        return packet.ljust(_PACKET_BYTES, b"\0")
    cylinders, heads, sectors = emulated.logical
    last = cylinders - 1
    return packet + bytes((last & 0xFF, last >> 2 & 0xC0 | sectors, heads - 1))


def _read_catalog(call: BiosCall, drives: Drives) -> int:
    """AH=4Dh: sectors of the boot catalog; the packet at DS:SI has size, count, linear buffer and first sector."""
    size, count, buffer, first = struct.unpack("<BBIH", call.read("ds", call.si, _CATALOG_PACKET_BYTES))
    cd = drives.booted_cd[0] if drives.booted_cd else drives.find(call.dl)
    if size < _CATALOG_PACKET_BYTES or not isinstance(cd, CdDrive) or cd.medium is None:
        return BAD_PARAMETER
    if count > _MOST_SECTORS:
        return CROSSES_64_KIB
    try:
        at = read_boot_entry(cd.medium).catalog + first
    except ImageError:
        return BAD_PARAMETER
    if at + count > cd.sector_count:
        return BAD_PARAMETER
    call.write_linear(buffer, cd.read(at, count))
    return SUCCESS


def _not_modelled(call: BiosCall, drives: Drives) -> int:
    call.refuse(what="boot from an emulated drive")
    return BAD_PARAMETER


FUNCTIONS: Mapping[int, Callable[[BiosCall, Drives], int]] = {
    0x4A: _initiate,
    0x4B: _terminate_or_tell,
    0x4C: _not_modelled,
    0x4D: _read_catalog,
}
