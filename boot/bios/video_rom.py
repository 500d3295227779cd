"""The video BIOS's ROM at 0xC0000: the fonts, the names that VBE gives out, its mode list and its window function.

::

    0xC0000  55 AA, size in units of 512 bytes, RETF: an expansion ROM that needs no start
    0xC0010  the window function: AX=4F05h, INT 10h, RETF
    0xC0040  VBE's names          0xC0200  VBE's mode list
    0xC0400  8x16 font            0xC1400  8x14 font            0xC2200  8x8 font

INT 10h itself is in the system's ROM (`rom`); INT 43h and INT 1Fh point to the fonts here.

Source: Plug and Play BIOS Specification, "Option ROM Header"; VESA BIOS Extension 3.0, "Function 00h".
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from hillemu.boot.shipped import shipped_image
from hillemu.emu.guest import Guest
from hillemu.emu.i386.address import PhysAddr

IMAGE = "video.bin"
BASE = PhysAddr(0xC0000)
SEGMENT = 0xC000
ROM_BYTES = 0x3000

WINDOW_FUNCTION, NAMES, MODE_LIST = 0x0010, 0x0040, 0x0200
FONT_8X16, FONT_8X14, FONT_8X8 = 0x0400, 0x1400, 0x2200
"""Offsets in `SEGMENT`."""
FONTS = {8: FONT_8X8, 14: FONT_8X14, 16: FONT_8X16}

OEM, VENDOR, PRODUCT, REVISION = "hillemu VBE", "hillemu", "hillemu standard VGA", "1.0"

_MOV_AX_WINDOW_INT_10_RETF = bytes.fromhex("b8054f cd10 cb")
_RETF = 0xCB
_END_OF_LIST = 0xFFFF
_UPPER_HALF, _FONT = 0x1F, 0x43
"""Vectors that are no interrupts: characters 80h-FFh in the 8x8 font, and the font of graphics modes."""


def name_offsets() -> dict[str, int]:
    """Where each of VBE's names is in `SEGMENT`."""
    offsets, at = {}, NAMES
    for name in (OEM, VENDOR, PRODUCT, REVISION):
        offsets[name] = at
        at += len(name) + 1
    return offsets


def built_rom() -> bytes:
    """The image as it ships, made by ``make images``: drawing the fonts takes too long for every start."""
    from hillemu.boot.bios.vbe_modes import MODES

    return video_rom([mode.number for mode in MODES])


def video_rom(mode_numbers: Sequence[int]) -> bytes:
    """The image, with these modes in VBE's list."""
    from hillemu.boot.bios.font import font

    image = bytearray(ROM_BYTES)
    image[0:4] = bytes([0x55, 0xAA, ROM_BYTES // 512, _RETF])
    image[WINDOW_FUNCTION : WINDOW_FUNCTION + 6] = _MOV_AX_WINDOW_INT_10_RETF
    for name, offset in name_offsets().items():
        image[offset : offset + len(name)] = name.encode("ascii")
    modes = struct.pack(f"<{len(mode_numbers) + 1}H", *mode_numbers, _END_OF_LIST)
    image[MODE_LIST : MODE_LIST + len(modes)] = modes
    for height, offset in FONTS.items():
        image[offset : offset + 256 * height] = font(height)
    image[-1] = -sum(image) & 0xFF
    return bytes(image)


def install_video_rom(guest: Guest) -> None:
    """Write the ROM, and the vectors that point to its fonts."""
    guest.memory.write(BASE, shipped_image(IMAGE))
    point_to_font(guest, 16)
    guest.memory.write(PhysAddr(4 * _UPPER_HALF), struct.pack("<HH", FONT_8X8 + 128 * 8, SEGMENT))


def font_in_rom(height: int) -> bytes:
    """The 256 characters of `height` (8, 14 or 16) lines, as the ROM has them."""
    at = FONTS[height]
    return shipped_image(IMAGE)[at : at + 256 * height]


def point_to_font(guest: Guest, height: int) -> None:
    """Have INT 43h point to the font that graphics modes with characters of `height` lines use."""
    guest.memory.write(PhysAddr(4 * _FONT), struct.pack("<HH", FONTS[height], SEGMENT))
