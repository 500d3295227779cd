"""Text as a VGA draws it: characters from plane 0, attributes from plane 1, the font from plane 2.

::

    attribute   7 blink or background | 6-4 background | 3 foreground, or which font | 2-0 foreground

A font holds 32 bytes for each character, of which as many are shown as a character has lines.  Characters are 8 or 9
dots wide; the ninth repeats the eighth for codes 0xC0-0xDF, so that lines join, and is background for all others.

Source: IBM VGA XGA Technical Reference, "Alphanumeric Modes", "Character Map Select Register", "Attribute Mode Control
Register".
"""

from __future__ import annotations

from hillemu.emu.devices.video.vga import CHARACTER_MAP, UNDERLINE, Vga
from hillemu.emu.devices.video.vga_modes import ATTRIBUTE_MODE, MODE_BLINK, Line, Scan, cursor_rows

MODE_JOIN_LINES = 0x04
GLYPH_BYTES = 32
UNDERLINED, UNDERLINED_MASK = 0x01, 0x77


def font_offsets(character_map: int) -> tuple[int, int]:
    """Where in plane 2 the fonts are for attributes with bit 3 clear and set.

    >>> [hex(at) for at in font_offsets(0b00_0100)]
    ['0x0', '0x4000']
    """
    clear = character_map & 3 | character_map >> 2 & 4
    chosen = character_map >> 2 & 3 | character_map >> 3 & 4
    return (clear & 3) << 14 | (clear >> 2) << 13, (chosen & 3) << 14 | (chosen >> 2) << 13


def text_pixels(vga: Vga, scan: Scan, lines: list[Line], words: memoryview) -> bytes:
    """The screen's pixels, as colors 0-15; `words` are the planes, interleaved."""
    memory = bytes(words)
    characters, attributes, font = memory[0::4], memory[1::4], memory[2::4]
    fonts = font_offsets(vga.sequencer[CHARACTER_MAP])
    mode = vga.attribute[ATTRIBUTE_MODE]
    background_mask = 0x07 if mode & MODE_BLINK else 0x0F
    nine, joins = scan.dots == 9, bool(mode & MODE_JOIN_LINES)
    underline_row = vga.crtc[UNDERLINE] & 0x1F
    cursor, rows_of_cursor = vga.cursor_cell, cursor_rows(vga)
    drawn: dict[tuple[int, int], bytes] = {}
    screen = []
    for line in lines:
        row, has_cursor, has_underline = line.row, line.row in rows_of_cursor, line.row == underline_row
        pieces = []
        for at, counter in zip(line.addresses, line.counters, strict=True):
            code, attribute = characters[at], attributes[at]
            dots = font[fonts[attribute >> 3 & 1] + code * GLYPH_BYTES + row]
            if (has_cursor and counter == cursor) or (has_underline and attribute & UNDERLINED_MASK == UNDERLINED):
                dots = 0x1FF if nine else 0xFF
            elif nine:
                dots = dots << 1 | (dots & 1 if joins and 0xC0 <= code <= 0xDF else 0)
            piece = drawn.get((dots, attribute))
            if piece is None:
                colors = (attribute >> 4 & background_mask, attribute & 0x0F)
                piece = bytes(colors[dots >> dot & 1] for dot in range(scan.dots - 1, -1, -1))
                drawn[dots, attribute] = piece
            pieces.append(piece)
        screen.append(b"".join(pieces)[line.panning : line.panning + scan.width])
    return b"".join(screen)
