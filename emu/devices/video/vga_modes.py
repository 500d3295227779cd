"""What the VGA's registers show: which addresses of display memory, in which order, as which kind of pixels.

The CRTC counts characters along a line, and lines down the screen.  From the counter it makes an address::

    byte          n                                 64 KiB of plane memory
    word          2n, bit 0 = bit 15 or 13 of n     the text modes: characters at even addresses
    doubleword    4n, bits 1-0 = bits 13-12 of n    320 x 200 x 256
    and bit 13, bit 14 from the row within the character: CGA's and Hercules' interleaved lines

Source: IBM VGA XGA Technical Reference, "CRT Controller Registers", "Attribute Controller Registers"; FreeVGA, "CRTC
Registers".
Not modelled: pixels of two nibbles (256 colors without the sequencer's shift of bytes), odd line compare values within
doubled lines.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from hillemu.emu.devices.video.vga import (
    CLOCKING,
    CLOCKING_9_DOTS_OFF,
    CURSOR_END,
    CURSOR_START,
    GRAPHICS_MODE_REGISTER,
    HORIZONTAL_DISPLAY_END,
    LINE_COMPARE,
    MAXIMUM_SCAN_LINE,
    MODE_CONTROL,
    OFFSET,
    OVERFLOW,
    PRESET_ROW_SCAN,
    UNDERLINE,
    Vga,
)

DOUBLE_SCAN, CHARACTER_HEIGHT = 0x80, 0x1F
SHIFT_256, SHIFT_INTERLEAVED = 0x40, 0x20
DOUBLEWORD, COUNT_BY_4 = 0x40, 0x20
BYTE_MODE, WRAP_64K, COUNT_BY_2, ROW_SCAN_14_OFF, ROW_SCAN_13_OFF = 0x40, 0x20, 0x08, 0x02, 0x01
MODE_BLINK, MODE_PAN_TOP_ONLY, MODE_256 = 0x08, 0x20, 0x40
ATTRIBUTE_MODE, PLANE_ENABLE, PANNING = 0x10, 0x12, 0x13


class Pixels(Enum):
    """How four bytes of display memory become dots."""

    TEXT = "text"
    PLANAR = "planar"
    """Eight pixels; each plane gives one bit of four."""
    INTERLEAVED = "interleaved"
    """CGA's: eight pixels; pairs of bits, planes 0 and 1 one after the other."""
    BYTES = "bytes"
    """Four pixels of a byte each."""


class Line(NamedTuple):
    """One line of the picture."""

    addresses: list[int]
    """Where in the planes its characters lie."""
    row: int
    """The line within the character, from 0."""
    panning: int
    """Dots that are pushed out to the left."""
    counters: list[int]
    """The CRTC's count for each of `addresses`; the cursor is where it equals the cursor's location."""


class Scan(NamedTuple):
    """The screen that the registers describe."""

    pixels: Pixels
    columns: int
    """Characters in a line."""
    dots: int
    """Pixels of a character's width."""
    lines: int
    """Lines of the picture; lines that the beam only repeats are counted once."""
    repeat: int

    @property
    def width(self) -> int:
        return self.columns * self.dots


def scan_of(vga: Vga) -> Scan:
    """Decode the registers.

    >>> from hillemu.emu.clock import Clock
    >>> scan = scan_of(Vga(clock=Clock()))
    >>> scan.pixels.value, scan.width, scan.lines
    ('text', 720, 400)
    """
    columns = vga.crtc[HORIZONTAL_DISPLAY_END] + 1
    scan_line = vga.crtc[MAXIMUM_SCAN_LINE]
    repeat = 2 if scan_line & DOUBLE_SCAN else 1
    if vga.in_text_mode:
        dots = 8 if vga.sequencer[CLOCKING] & CLOCKING_9_DOTS_OFF else 9
        return Scan(Pixels.TEXT, columns, dots, vga.displayed_lines, 1)
    # Without interleaved lines all lines of a character are alike.
    all_rows_alike = vga.crtc[MODE_CONTROL] & (ROW_SCAN_13_OFF | ROW_SCAN_14_OFF) == ROW_SCAN_13_OFF | ROW_SCAN_14_OFF
    if all_rows_alike:
        repeat *= (scan_line & CHARACTER_HEIGHT) + 1
    lines = max(vga.displayed_lines // repeat, 1)
    shift = vga.graphics[GRAPHICS_MODE_REGISTER]
    if shift & SHIFT_256 or vga.attribute[ATTRIBUTE_MODE] & MODE_256:
        return Scan(Pixels.BYTES, columns, 4, lines, repeat)
    return Scan(Pixels.INTERLEAVED if shift & SHIFT_INTERLEAVED else Pixels.PLANAR, columns, 8, lines, repeat)


def lines_of(vga: Vga, scan: Scan) -> list[Line]:
    """The lines of the picture from top to bottom; each has one character more than the screen, for panning."""
    crtc = vga.crtc
    scan_line, preset = crtc[MAXIMUM_SCAN_LINE], crtc[PRESET_ROW_SCAN]
    height = (scan_line & CHARACTER_HEIGHT) + 1
    double = 1 if scan_line & DOUBLE_SCAN else 0
    stride = crtc[OFFSET] * 2
    compare = crtc[LINE_COMPARE] | (crtc[OVERFLOW] & 0x10) << 4 | (scan_line & 0x40) << 3
    start = vga.start_cell + (preset >> 5 & 3)
    first_row = preset & CHARACTER_HEIGHT
    panning = _panning(vga, scan)
    panning_below = 0 if vga.attribute[ATTRIBUTE_MODE] & MODE_PAN_TOP_ONLY else panning
    steps = _counter_steps(vga, scan.columns + 1)
    lines = []
    for number in range(scan.lines):
        beam = number * scan.repeat
        if beam <= compare:
            character_row, row = divmod((beam >> double) + first_row, height)
            first, pan = start + character_row * stride, panning
        else:
            character_row, row = divmod((beam - compare - 1) >> double, height)
            first, pan = character_row * stride, panning_below
        counters = [first + step & 0xFFFF for step in steps]
        lines.append(Line(_addresses(vga, counters, row), row, pan, counters))
    return lines


def _counter_steps(vga: Vga, count: int) -> list[int]:
    """What the counter has added at each character of a line."""
    if vga.crtc[UNDERLINE] & COUNT_BY_4:
        return [place >> 2 for place in range(count)]
    if vga.crtc[MODE_CONTROL] & COUNT_BY_2:
        return [place >> 1 for place in range(count)]
    return list(range(count))


def _addresses(vga: Vga, counters: list[int], row: int) -> list[int]:
    control = vga.crtc[MODE_CONTROL]
    if vga.crtc[UNDERLINE] & DOUBLEWORD:
        addresses = [count << 2 & 0xFFFC | count >> 12 & 3 for count in counters]
    elif not control & BYTE_MODE:
        high = 15 if control & WRAP_64K else 13
        addresses = [count << 1 & 0xFFFE | count >> high & 1 for count in counters]
    else:
        addresses = counters
    if not control & ROW_SCAN_13_OFF:
        addresses = [at & ~0x2000 | (row & 1) << 13 for at in addresses]
    if not control & ROW_SCAN_14_OFF:
        addresses = [at & ~0x4000 | (row >> 1 & 1) << 14 for at in addresses]
    return addresses


def _panning(vga: Vga, scan: Scan) -> int:
    value = vga.attribute[PANNING] & 0x0F
    if scan.dots == 9:
        return 0 if value >= 8 else value + 1
    if scan.pixels is Pixels.BYTES:
        return (value & 7) >> 1
    return value & 7


def cursor_rows(vga: Vga) -> range:
    """The lines of a character that the cursor covers; none when it is off."""
    if not vga.cursor_enabled:
        return range(0)
    return range(vga.crtc[CURSOR_START] & 0x1F, (vga.crtc[CURSOR_END] & 0x1F) + 1)
