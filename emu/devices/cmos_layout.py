"""What a PC's firmware finds in the battery-backed memory beside the clock.

::

    0x0F        shutdown status: where a reset resumes
    0x10        floppy drives: A in bits 7-4, B in bits 3-0
    0x14        equipment: 7-6 floppy drives less one, 5-4 display (0: EGA or VGA), 2 PS/2 mouse, 1 FPU, 0 any floppy
    0x15-0x16   base memory in KiB
    0x17-0x18   memory above 1 MiB in KiB, 64 MiB - 1 KiB at most; again at 0x30-0x31
    0x2E-0x2F   checksum: the sum of 0x10-0x2D, high byte first
    0x34-0x35   memory from 16 MiB to 4 GiB in units of 64 KiB
    0x38        boot order: third device in bits 7-4; bit 0: do not check the floppy's signature
    0x3D        boot order: second device in bits 7-4, first in bits 3-0
    0x5B-0x5D   memory above 4 GiB in units of 64 KiB

Numbers of several bytes have the low byte first, but for the checksum.

Source: IBM PC/AT Technical Reference, "CMOS RAM Address Map"; for 0x30-0x3D and 0x5B-0x5D the bytes that QEMU's
``pc_cmos_init`` writes for SeaBIOS and kernels.
"""

from __future__ import annotations

from collections.abc import Sequence

from hillemu.emu.errors import OptionError

SIZE_BYTES = 128
_KIB = 1 << 10
_MIB = 1 << 20
_UNIT = 1 << 16
_BASE_MEMORY_KIB = 640
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

    drive_a, drive_b = (*floppies, 0, 0)[:2]
    cmos[0x10] = drive_a << 4 | drive_b
    drives = bool(drive_a) + bool(drive_b)
    cmos[0x14] = max(drives - 1, 0) << 6 | mouse << 2 | fpu << 1 | bool(drives)

    first, second, third = _boot_devices(boot_order)
    cmos[0x3D] = second << 4 | first
    cmos[0x38] = third << 4
    cmos[0x2E:0x30] = sum(cmos[0x10:0x2E]).to_bytes(2, "big")
    return cmos


def _boot_devices(order: str) -> tuple[int, int, int]:
    if len(order) > 3 or any(letter not in _BOOT_DEVICES for letter in order):
        raise OptionError("boot order", f"{order!r} is not up to three letters of {''.join(_BOOT_DEVICES)!r}")
    first, second, third = (*(_BOOT_DEVICES[letter] for letter in order), 0, 0, 0)[:3]
    return first, second, third
