"""What firmware leaves in memory about drives: parameter tables, the vectors that point to them, BIOS data.

::

    INT 41h  EBDA:003D  parameters of hard disk 80h         INT 46h  EBDA:004D  of hard disk 81h
             EBDA:0100  diskette parameters (14 bytes) by type of drive, for INT 13h AH=08h
             EBDA:0180  device parameter table extensions (16 bytes) by hard disk or CD, for AH=48h

The table that INT 1Eh points to, of the usual floppy, is in the ROM.

::

    0x410  7-6 floppy drives less one, 0 any          0x48F  floppy drives: 7 and 70h for "known"
    0x475  number of hard disks                       0x490  media state of floppies A and B

Source: IBM PS/2 and PC BIOS Interface Technical Reference, "Diskette parameters", "Fixed disk drive parameters", "BIOS
Data Area"; Phoenix, "Enhanced Disk Drive Specification", "Device parameter table extension".
"""

from __future__ import annotations

import struct

from hillemu.boot.bios.call import BiosCall
from hillemu.boot.bios.drives import CdDrive, Drives, FloppyDrive, HardDisk
from hillemu.boot.memory_map import EBDA_BASE
from hillemu.emu.geometry import Geometry
from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PhysAddr

_EBDA_SEGMENT = EBDA_BASE >> 4
_DISK_TABLES, _DISK_TABLE_BYTES = 0x3D, 16
_FLOPPY_TABLES, _FLOPPY_TABLE_BYTES = 0x100, 14
_EXTENSIONS, _EXTENSION_BYTES = 0x180, 16
_FLOPPY_VECTOR, _DISK_VECTORS = 0x1E, (0x41, 0x46)

_EQUIPMENT, _DISK_COUNT, _FLOPPIES_KNOWN, _MEDIA_STATE = 0x410, 0x475, 0x48F, 0x490

# By type of drive: last track, sectors, data rate (0 is 500, 1 is 300, 2 is 250, 3 is 1000 kbit/s), gaps.
_FLOPPY_TYPES = {
    1: (39, 9, 2, 0x2A, 0x50),
    2: (79, 15, 0, 0x1B, 0x54),
    3: (79, 9, 2, 0x2A, 0x50),
    4: (79, 18, 0, 0x1B, 0x6C),
    5: (79, 36, 3, 0x1B, 0x53),
}
_CHANNELS = ((0x1F0, 0x3F6, 14), (0x170, 0x376, 15))
"""Command block, control block and interrupt of each IDE channel."""


def drive_type_of(floppy: Geometry) -> int:
    """The drive that this floppy is made for: 1 is 360 KB, 2 is 1.2 MB, 3 is 720 KB, 4 is 1.44 MB, 5 is 2.88 MB.

    >>> drive_type_of(Geometry(80, 2, 15))
    2
    """
    if floppy.cylinders <= 40:
        return 1
    if floppy.sectors > 21:
        return 5
    return {9: 3, 15: 2}.get(floppy.sectors, 4)


def floppy_table_of(drive_type: int) -> tuple[int, int]:
    """Segment and offset of the diskette parameter table for a type of drive."""
    return _EBDA_SEGMENT, _FLOPPY_TABLES + (drive_type - 1) * _FLOPPY_TABLE_BYTES


def extension_of(slot: int) -> tuple[int, int]:
    """Segment and offset of the device parameter table extension for the drive at IDE place `slot`."""
    return _EBDA_SEGMENT, _EXTENSIONS + slot * _EXTENSION_BYTES


def table_address(call: BiosCall) -> int:
    """Linear address of the diskette parameter table in use, which programs replace."""
    return (call.load(4 * _FLOPPY_VECTOR + 2, 2) << 4) + call.load(4 * _FLOPPY_VECTOR, 2)


def write_disk_tables(memory: GuestMemory, drives: Drives) -> None:
    """Write all of this, after the ROM, the vectors and the rest of the BIOS data are there."""
    for drive_type in _FLOPPY_TYPES:
        _write(memory, floppy_table_of(drive_type), floppy_table(drive_type))
    for number, disk in enumerate(drives.disks[: len(_DISK_VECTORS)]):
        at = (_EBDA_SEGMENT, _DISK_TABLES + number * _DISK_TABLE_BYTES)
        _write(memory, at, disk_table(disk))
        _set_vector(memory, _DISK_VECTORS[number], at)
    on_ide: list[HardDisk | CdDrive] = [*drives.disks, *drives.cds]
    for drive in on_ide:
        _write(memory, extension_of(drive.slot), extension(drive))
    write_drive_counts(memory, drives)
    for number, floppy in enumerate(drives.floppies[:2]):
        memory.write(PhysAddr(_MEDIA_STATE + number), bytes([_media_state(floppy)]))


def write_drive_counts(memory: GuestMemory, drives: Drives) -> None:
    """Write how many drives there are; again when a CD begins or ends to emulate one."""
    count = min(drives.floppy_count, 2)
    equipment = int.from_bytes(memory.read(PhysAddr(_EQUIPMENT), 2), "little") & ~0x00C1
    equipment |= max(count - 1, 0) << 6 | bool(count)
    memory.write(PhysAddr(_EQUIPMENT), struct.pack("<H", equipment))
    memory.write(PhysAddr(_DISK_COUNT), bytes([drives.disk_count]))
    memory.write(PhysAddr(_FLOPPIES_KNOWN), bytes([(0x00, 0x07, 0x77)[count]]))


def floppy_table(drive_type: int) -> bytes:
    """Diskette parameters: the controller's SPECIFY bytes, timing, size code 2 (512), sectors, gaps, fill byte F6h."""
    last_track, sectors, rate, gap, format_gap = _FLOPPY_TYPES[drive_type]
    return struct.pack(
        "<14B", 0xAF, 0x02, 37, 2, sectors, gap, 0xFF, format_gap, 0xF6, 15, 8, last_track, rate << 6, drive_type
    )


def disk_table(disk: HardDisk) -> bytes:
    """Fixed disk parameters; with the signature A0h and the physical geometry too if the disk is translated."""
    logical, physical = disk.logical, disk.physical
    control = 0xC0 | (physical.heads > 8) << 3
    translated = logical != physical
    shown = physical if translated else Geometry(0, 0, 0)
    table = struct.pack(
        "<HBBBHBBHBHB",
        logical.cylinders,
        logical.heads,
        0xA0 if translated else 0,
        shown.sectors,
        0xFFFF,  # no write precompensation
        0,
        control,
        shown.cylinders,
        shown.heads,
        physical.cylinders,  # landing zone
        logical.sectors,
    )
    return table + bytes([-sum(table) & 0xFF if translated else 0])


def extension(drive: HardDisk | CdDrive) -> bytes:
    """Device parameter table extension: where the drive is and how it is addressed."""
    command, control, irq = _CHANNELS[drive.slot // 2]
    options = 1 << 4  # LBA
    if isinstance(drive, CdDrive):
        options |= 1 << 5 | 1 << 6  # removable, ATAPI
    elif drive.translation:
        options |= 1 << 3 | (1 << 9 if drive.translation == 1 else 0)
    device = 0xE0 | (drive.slot & 1) << 4
    table = struct.pack("<HHBBBBBBHHB", command, control, device, 0xCB, irq, 1, 0, 0, options, 0, 0x11)
    return table + bytes([-sum(table) & 0xFF])


def _media_state(floppy: FloppyDrive) -> int:
    """Data rate, "established", and what is in which drive: 3 is 360 KB, 5 is 1.2 MB, 7 is everything else."""
    drive_type = drive_type_of(floppy.logical)
    rate = _FLOPPY_TYPES[drive_type][2]
    return rate << 6 | 0x10 | {1: 3, 2: 5}.get(drive_type, 7)


def _write(memory: GuestMemory, at: tuple[int, int], data: bytes) -> None:
    segment, offset = at
    memory.write(PhysAddr((segment << 4) + offset), data)


def _set_vector(memory: GuestMemory, vector: int, at: tuple[int, int]) -> None:
    segment, offset = at
    memory.write(PhysAddr(4 * vector), struct.pack("<HH", offset, segment))
