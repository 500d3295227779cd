"""The video BIOS's modes: what the VGA's registers hold in each, and what programs are told.

==  =====================  ==  =====================  ===  =====================
0   text 40x25 (gray)      5   320x200, 4 colors      0Fh  640x350, mono
1   text 40x25             6   640x200, 2 colors      10h  640x350, 16 colors
2   text 80x25 (gray)      7   text 80x25, mono       11h  640x480, 2 colors
3   text 80x25             0D  320x200, 16 colors     12h  640x480, 16 colors
4   320x200, 4 colors      0E  640x200, 16 colors     13h  320x200, 256 colors
==  =====================  ==  =====================  ===  =====================

Text modes have 400 lines.

Source: IBM VGA XGA Technical Reference, "BIOS modes"; IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt
10h".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from hillemu.boot.bios.video_palettes import cga_colors, ega_colors, mono_colors, vga_colors

COLOR_CRTC, MONO_CRTC = 0x3D4, 0x3B4

_TEXT_COLORS = "00 01 02 03 04 05 14 07 38 39 3a 3b 3c 3d 3e 3f"
_CGA_COLORS = "00 01 02 03 04 05 06 07 10 11 12 13 14 15 16 17"
_CGA_4_COLORS = "00 13 15 17 02 04 06 07 10 11 12 13 14 15 16 17"
_CGA_2_COLORS = "00" + " 17" * 15
_MONO_COLORS = "00 08 08 08 08 08 08 08 10 18 18 18 18 18 18 18"
_MONO_4_COLORS = "00 08 00 00 18 18 00 00 00 08 00 00 00 18 00 00"
_TWO_COLORS = "00 3f " * 8
_PLAIN_COLORS = "00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f"

_NARROW = "2d 27 28 90 2b"
_WIDE = "5f 4f 50 82 54"
_TEXT_40 = _NARROW + "a0 bf 1f 00 4f 0d 0e 00 00 00 00 9c 8e 8f 14 1f 96 b9 a3 ff"
_TEXT_80 = "5f 4f 50 82 55 81 bf 1f 00 4f 0d 0e 00 00 00 00 9c 8e 8f 28 1f 96 b9 a3 ff"
_TEXT_MONO = "5f 4f 50 82 55 81 bf 1f 00 4f 0d 0e 00 00 00 00 9c 8e 8f 28 0d 96 b9 a3 ff"
_CGA_4 = _NARROW + "80 bf 1f 00 c1 00 00 00 00 00 00 9c 8e 8f 14 00 96 b9 a2 ff"
_CGA_2 = _WIDE + "80 bf 1f 00 c1 00 00 00 00 00 00 9c 8e 8f 28 00 96 b9 c2 ff"
_320_200 = _NARROW + "80 bf 1f 00 c0 00 00 00 00 00 00 9c 8e 8f 14 00 96 b9 e3 ff"
_640_200 = _WIDE + "80 bf 1f 00 c0 00 00 00 00 00 00 9c 8e 8f 28 00 96 b9 e3 ff"
_640_350 = _WIDE + "80 bf 1f 00 40 00 00 00 00 00 00 83 85 5d 28 0f 63 ba e3 ff"
_640_480 = _WIDE + "80 0b 3e 00 40 00 00 00 00 00 00 ea 8c df 28 00 e7 04 e3 ff"
_256 = _WIDE + "80 bf 1f 00 41 00 00 00 00 00 00 9c 8e 8f 28 40 96 b9 a3 ff"


class Mode(NamedTuple):
    """A mode; registers are in hexadecimal, from the lowest index up."""

    number: int
    columns: int
    rows: int
    character_lines: int
    page_bytes: int
    window: int
    """Physical address of display memory."""
    misc: int
    sequencer: str
    """Registers 1 to 4."""
    crtc: str
    graphics: str
    """Registers 5 to 7."""
    palette: str
    attribute: str
    """Registers 10h, 12h and 13h."""
    dac: Callable[[], bytes]

    @property
    def is_text(self) -> bool:
        return not int(self.graphics.split()[1], 16) & 1

    @property
    def crtc_port(self) -> int:
        return COLOR_CRTC if self.misc & 1 else MONO_CRTC


MODES = {
    mode.number: mode
    for mode in (
        Mode(0x00, 40, 25, 16, 0x0800, 0xB8000, 0x67, "08 03 00 02", _TEXT_40, "10 0e 00",
             _TEXT_COLORS, "0c 0f 08", ega_colors),
        Mode(0x01, 40, 25, 16, 0x0800, 0xB8000, 0x67, "08 03 00 02", _TEXT_40, "10 0e 00",
             _TEXT_COLORS, "0c 0f 08", ega_colors),
        Mode(0x02, 80, 25, 16, 0x1000, 0xB8000, 0x67, "00 03 00 02", _TEXT_80, "10 0e 00",
             _TEXT_COLORS, "0c 0f 08", ega_colors),
        Mode(0x03, 80, 25, 16, 0x1000, 0xB8000, 0x67, "00 03 00 02", _TEXT_80, "10 0e 00",
             _TEXT_COLORS, "0c 0f 08", ega_colors),
        Mode(0x04, 40, 25, 8, 0x4000, 0xB8000, 0x63, "09 03 00 02", _CGA_4, "30 0f 00",
             _CGA_4_COLORS, "01 03 00", cga_colors),
        Mode(0x05, 40, 25, 8, 0x4000, 0xB8000, 0x63, "09 03 00 02", _CGA_4, "30 0f 00",
             _CGA_4_COLORS, "01 03 00", cga_colors),
        Mode(0x06, 80, 25, 8, 0x4000, 0xB8000, 0x63, "01 01 00 06", _CGA_2, "00 0d 00",
             _CGA_2_COLORS, "01 01 00", cga_colors),
        Mode(0x07, 80, 25, 16, 0x1000, 0xB0000, 0x66, "00 03 00 02", _TEXT_MONO, "10 0a 00",
             _MONO_COLORS, "0e 0f 08", mono_colors),
        Mode(0x0D, 40, 25, 8, 0x2000, 0xA0000, 0x63, "09 0f 00 06", _320_200, "00 05 0f",
             _CGA_COLORS, "01 0f 00", cga_colors),
        Mode(0x0E, 80, 25, 8, 0x4000, 0xA0000, 0x63, "01 0f 00 06", _640_200, "00 05 0f",
             _CGA_COLORS, "01 0f 00", cga_colors),
        Mode(0x0F, 80, 25, 14, 0x8000, 0xA0000, 0xA2, "01 0f 00 06", _640_350, "00 05 05",
             _MONO_4_COLORS, "0b 05 00", mono_colors),
        Mode(0x10, 80, 25, 14, 0x8000, 0xA0000, 0xA3, "01 0f 00 06", _640_350, "00 05 0f",
             _TEXT_COLORS, "01 0f 00", ega_colors),
        Mode(0x11, 80, 30, 16, 0xA000, 0xA0000, 0xE3, "01 0f 00 06", _640_480, "00 05 01",
             _TWO_COLORS, "01 0f 00", ega_colors),
        Mode(0x12, 80, 30, 16, 0xA000, 0xA0000, 0xE3, "01 0f 00 06", _640_480, "00 05 0f",
             _TEXT_COLORS, "01 0f 00", ega_colors),
        Mode(0x13, 40, 25, 8, 0x2000, 0xA0000, 0x63, "01 0f 00 0e", _256, "40 05 0f",
             _PLAIN_COLORS, "41 0f 00", vga_colors),
    )
}  # fmt: skip
