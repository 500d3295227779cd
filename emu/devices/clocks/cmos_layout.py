"""What a PC's firmware finds in the battery-backed memory beside the clock.

::

    0x0F        shutdown status: where a reset resumes
    0x10        floppy drives: A in bits 7-4, B in bits 3-0
    0x12        hard disks: first and second on the primary IDE channel in bits 7-4, 3-0; 15 means: see 0x19, 0x1A
    0x14        equipment: 7-6 floppy drives less one, 5-4 display (0: EGA or VGA), 2 PS/2 mouse, 1 FPU, 0 any floppy
    0x15-0x16   base memory in KiB
    0x17-0x18   memory above 1 MiB in KiB, 64 MiB - 1 KiB at most; again at 0x30-0x31
    0x19, 0x1A  types of these two disks: 47 is the user's own, described at 0x1B-0x23 and 0x24-0x2C
    0x2E-0x2F   checksum: the sum of 0x10-0x2D, high byte first
    0x34-0x35   memory from 16 MiB to 4 GiB in units of 64 KiB
    0x39        how INT 13h translates the geometry of the four IDE drives, two bits each
    0x38        boot order: third device in bits 7-4; bit 0: do not check the floppy's signature
    0x3D        boot order: second device in bits 7-4, first in bits 3-0
    0x5B-0x5D   memory above 4 GiB in units of 64 KiB

Numbers of several bytes have the low byte first, but for the checksum.

Source: IBM PC/AT Technical Reference, "CMOS RAM Address Map"; for 0x30-0x3D and 0x5B-0x5D the bytes that QEMU's
``pc_cmos_init`` writes for SeaBIOS and kernels.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from hillemu.emu.errors import OptionError

SIZE_BYTES = 128
_KIB = 1 << 10
_MIB = 1 << 20
_UNIT = 1 << 16
_BASE_MEMORY_KIB = 640
_USER_TYPE = 47
_BOOT_DEVICES = {"a": 1, "c": 2, "d": 3, "n": 4}


def contents(
    *,
    ram_below_4g_bytes: int,
    ram_above_4g_bytes: int = 0,
    boot_order: str = "cad",
    floppies: Sequence[int] = (),
    fpu: bool = True,
    mouse: bool = True,
) -> bytearray:
    """The 128 bytes that describe a machine; the clock's own are zero.

    `boot_order` is up to three letters as in QEMU (a floppy, c disk, d CD-ROM, n network).  `floppies` has the type of
    drive A and drive B (4 is 1.44 MB, 5 is 2.88 MB).  Raises `OptionError` for a boot order that makes no sense.

    >>> cmos = contents(ram_below_4g_bytes=64 << 20)
    >>> int.from_bytes(cmos[0x34:0x36], "little") * 64 == (64 - 16) * 1024
    True
    """
    cmos = bytearray(SIZE_BYTES)

    def put(index: int, count: int, value: int) -> None:
        cmos[index : index + count] = min(value, (1 << 8 * count) - 1).to_bytes(count, "little")

    put(0x15, 2, min(ram_below_4g_bytes // _KIB, _BASE_MEMORY_KIB))
    extended_kib = max(ram_below_4g_bytes - _MIB, 0) // _KIB
    put(0x17, 2, extended_kib)
    put(0x30, 2, extended_kib)
    put(0x34, 2, max(ram_below_4g_bytes - 16 * _MIB, 0) // _UNIT)
    put(0x5B, 3, ram_above_4g_bytes // _UNIT)

    cmos[0x14] = mouse << 2 | fpu << 1
    put_drives(cmos, boot_order=boot_order, floppies=floppies)
    return cmos


class Disk(NamedTuple):
    """A hard disk as the memory describes it: geometry, and how INT 13h translates it (0 to 3)."""

    cylinders: int
    heads: int
    sectors: int
    translation: int


def put_drives(
    cmos: bytearray, *, boot_order: str = "cad", floppies: Sequence[int] = (), disks: Sequence[Disk | None] = ()
) -> None:
    """Describe the drives in `cmos`: see `contents`; `disks` has the hard disk at each IDE place, if there is one."""
    drive_a, drive_b = (*floppies, 0, 0)[:2]
    cmos[0x10] = drive_a << 4 | drive_b
    drives = bool(drive_a) + bool(drive_b)
    cmos[0x14] = cmos[0x14] & 0x3E | max(drives - 1, 0) << 6 | bool(drives)

    cmos[0x12] = cmos[0x39] = 0
    for place, disk in enumerate(disks):
        if disk is not None:
            cmos[0x39] |= disk.translation << 2 * place
    for place, disk in enumerate((*disks, None, None)[:2]):
        cmos[0x12] |= (0xF0, 0x0F)[place] if disk else 0
        cmos[0x19 + place] = _USER_TYPE if disk else 0
        at = 0x1B + 9 * place
        cmos[at : at + 9] = bytes(9) if disk is None else _user_type(disk)

    first, second, third = _boot_devices(boot_order)
    cmos[0x3D] = second << 4 | first
    cmos[0x38] = third << 4
    cmos[0x2E:0x30] = (sum(cmos[0x10:0x2E]) & 0xFFFF).to_bytes(2, "big")


def _user_type(disk: Disk) -> bytes:
    """Cylinders, heads, no precompensation, control byte (8: more than 8 heads), landing zone, sectors."""
    control = 0xC0 | (disk.heads > 8) << 3
    return struct.pack("<HBHBHB", disk.cylinders, disk.heads, 0xFFFF, control, disk.cylinders, disk.sectors)


def _boot_devices(order: str) -> tuple[int, int, int]:
    if len(order) > 3 or any(letter not in _BOOT_DEVICES for letter in order):
        raise OptionError("boot order", f"{order!r} is not up to three letters of {''.join(_BOOT_DEVICES)!r}")
    first, second, third = (*(_BOOT_DEVICES[letter] for letter in order), 0, 0, 0)[:3]
    return first, second, third
