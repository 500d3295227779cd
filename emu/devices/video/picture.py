"""The picture on the screen, in any mode, as rows of red, green and blue.

A pixel's way in the VGA's own modes, and in the card's::

    16 colors    plane bits --> plane enable --> palette, color select --> pixel mask --> DAC
    256 colors   byte                                                  --> pixel mask --> DAC
    15, 16, 24, 32 bits                                                               --> red, green, blue

Looking changes nothing.  A pixel of the picture is a pixel of the mode: lines that a VGA draws twice, or 320 pixels
that it stretches over the screen, are there once.

Source: IBM VGA XGA Technical Reference, "Attribute Controller Registers", "Video Digital-to-Analog Converter".
Not modelled: the border; blinking (everything is in its visible phase); the 16-color palette's part in 256-color modes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from hillemu.emu.devices.video.vga_modes import ATTRIBUTE_MODE, PLANE_ENABLE, Line, Pixels, lines_of, scan_of

if TYPE_CHECKING:
    from hillemu.emu.devices.video.dispi import Dispi
    from hillemu.emu.devices.video.stdvga import StdVga
    from hillemu.emu.devices.video.vga import Vga

COLOR_SELECT = 0x14
MODE_SELECTS_BITS_5_4 = 0x80


class Picture(NamedTuple):
    """`rgb` holds three bytes a pixel, row after row from the top."""

    width: int
    height: int
    rgb: bytes


def picture_of(card: StdVga) -> Picture:
    """What the screen shows now."""
    vga, dispi = card.vga, card.dispi
    if dispi.enabled:
        if vga.is_palette_off:
            return _dark(dispi.width, dispi.height)
        return _framebuffer(dispi, vga, card.video_ram)
    scan = scan_of(vga)
    if vga.is_blank:
        return _dark(scan.width, scan.lines)
    words = card.window.display_memory()
    lines = lines_of(vga, scan)
    if scan.pixels is Pixels.TEXT:
        from hillemu.emu.devices.video.text_picture import text_pixels

        pixels = text_pixels(vga, scan, lines, words)
    else:
        unpack = _UNPACK[scan.pixels]
        pixels = b"".join([unpack(_fetch(words, line))[line.panning : line.panning + scan.width] for line in lines])
    if scan.pixels is not Pixels.BYTES:
        pixels = pixels.translate(dac_indexes(vga))
    return Picture(scan.width, scan.lines, _through_dac(pixels, vga))


def mode_name(card: StdVga) -> str:
    """The mode in a few words.

    >>> from hillemu.emu.devices.video.stdvga import fake_card
    >>> mode_name(fake_card())
    'text mode 80x25'
    """
    vga, dispi = card.vga, card.dispi
    if dispi.enabled:
        return f"graphics mode {dispi.width}x{dispi.height}x{dispi.depth}"
    if vga.in_text_mode:
        rows, columns = vga.text_size
        return f"text mode {columns}x{rows}"
    scan = scan_of(vga)
    return f"graphics mode {scan.width}x{scan.lines}x{8 if scan.pixels is Pixels.BYTES else 4}"


def _dark(width: int, height: int) -> Picture:
    return Picture(width, height, bytes(3 * width * height))


# -- colors -------------------------------------------------------------------------------------------------------


def dac_indexes(vga: Vga) -> bytes:
    """The DAC's color for each of the 16 that the planes make, as a table of 256 for `bytes.translate`."""
    attribute = vga.attribute
    select, selects = attribute[COLOR_SELECT], attribute[ATTRIBUTE_MODE] & MODE_SELECTS_BITS_5_4
    table = bytearray(256)
    for color in range(256):
        index = attribute[color & 0x0F & attribute[PLANE_ENABLE]]
        if selects:
            index = index & 0x0F | (select & 0x03) << 4
        table[color] = index | (select & 0x0C) << 4
    return bytes(table)


def _through_dac(pixels: bytes, vga: Vga) -> bytes:
    """Red, green and blue of each of the DAC's colors in `pixels`."""
    mask = vga.pixel_mask
    rgb = bytearray(3 * len(pixels))
    for part in range(3):
        values = vga.palette[part::3]
        if vga.dac_bits == 6:
            values = bytearray((value & 0x3F) << 2 | (value & 0x3F) >> 4 for value in values)
        rgb[part::3] = pixels.translate(bytes(values[index & mask] for index in range(256)))
    return bytes(rgb)


# -- pixels from planes -------------------------------------------------------------------------------------------


def _fetch(words: memoryview, line: Line) -> bytes:
    """The four bytes at each of a line's addresses, one after the other."""
    return b"".join([words[4 * at : 4 * at + 4] for at in line.addresses])


@cache
def _spread(bits: int) -> tuple[bytes, ...]:
    """For each byte its 8 // `bits` fields as a byte each, the highest first."""
    mask = (1 << bits) - 1
    return tuple(bytes(byte >> shift & mask for shift in range(8 - bits, -1, -bits)) for byte in range(256))


def planar_pixels(data: bytes) -> bytes:
    """Eight pixels for each four bytes: bit n of a pixel is from plane n.

    >>> planar_pixels(bytes([0b10000001, 0, 0b00000011, 0])).hex(" ")
    '01 00 00 00 00 00 04 05'
    """
    spread = _spread(1)
    merged = 0
    for plane in range(4):
        bits = b"".join([spread[byte] for byte in data[plane::4]])
        merged |= int.from_bytes(bits, "big") << plane
    return merged.to_bytes(2 * len(data), "big")


def _interleaved_pixels(data: bytes) -> bytes:
    """Eight pixels for each four bytes: two bits each from planes 0 and 1, which planes 2 and 3 may add to."""
    spread = _spread(2)
    merged = 0
    for shift, first in ((0, 0), (2, 2)):
        pairs = b"".join([spread[data[at + first]] + spread[data[at + first + 1]] for at in range(0, len(data), 4)])
        merged |= int.from_bytes(pairs, "big") << shift
    return merged.to_bytes(2 * len(data), "big")


_UNPACK: dict[Pixels, Callable[[bytes], bytes]] = {
    Pixels.PLANAR: planar_pixels,
    Pixels.INTERLEAVED: _interleaved_pixels,
    Pixels.BYTES: bytes,
}


# -- the card's own modes -----------------------------------------------------------------------------------------


def _framebuffer(dispi: Dispi, vga: Vga, video_ram: memoryview) -> Picture:
    width, height = dispi.width, dispi.height
    if dispi.planar:
        first, panning = divmod(dispi.x_offset, 8)
        count = 4 * (width // 8 + 1)
        start = dispi.y_offset * dispi.line_bytes + 4 * first
        rows = [
            planar_pixels(bytes(video_ram[at : at + count]).ljust(count, b"\0"))[panning : panning + width]
            for at in range(start, start + height * dispi.line_bytes, dispi.line_bytes)
        ]
        return Picture(width, height, _through_dac(b"".join(rows).translate(dac_indexes(vga)), vga))
    bytes_a_row = width * dispi.pixel_bits // 8
    data = b"".join(
        [
            video_ram[at : at + bytes_a_row]
            for at in range(dispi.start, dispi.start + height * dispi.line_bytes, dispi.line_bytes)
        ]
    )
    if dispi.depth == 8:
        return Picture(width, height, _through_dac(data, vga))
    if dispi.pixel_bits == 16:
        return Picture(width, height, _from_16_bits(data, green_bits=dispi.depth - 10))
    step = dispi.pixel_bits // 8
    rgb = bytearray(3 * width * height)
    for part in range(3):
        rgb[part::3] = data[2 - part :: step]
    return Picture(width, height, bytes(rgb))


def _from_16_bits(data: bytes, green_bits: int) -> bytes:
    """Pixels of two bytes, low first: five bits of blue, five or six of green, five of red."""
    low, high = data[0::2], data[1::2]
    red = bytes(_widen(byte >> green_bits - 3 & 0x1F, 5) for byte in range(256))
    blue = bytes(_widen(byte & 0x1F, 5) for byte in range(256))
    # Green lies in both bytes; widening works on each part alone, because it only repeats bits.
    low_green = bytes(_widen(byte >> 5, green_bits) for byte in range(256))
    high_green = bytes(_widen((byte & (1 << green_bits - 3) - 1) << 3, green_bits) for byte in range(256))
    rgb = bytearray(3 * len(low))
    rgb[0::3] = high.translate(red)
    green = int.from_bytes(low.translate(low_green), "big") | int.from_bytes(high.translate(high_green), "big")
    rgb[1::3] = green.to_bytes(len(low), "big")
    rgb[2::3] = low.translate(blue)
    return bytes(rgb)


def _widen(value: int, bits: int) -> int:
    """`value` of `bits` bits stretched to eight: full stays full.

    >>> _widen(0x1F, 5), _widen(0x20, 6)
    (255, 130)
    """
    return value << 8 - bits | value >> 2 * bits - 8
