"""INT 10h, AH=11h: fonts for text modes, in plane 2 of the video memory, and for graphics modes, behind INT 43h.

::

    AL  00, 10 the guest's   01, 11 8x14   02, 12 8x8   04, 14 8x16   03 which blocks   (10h and up: new line height)
        20 INT 1Fh   21 the guest's   22 8x14   23 8x8   24 8x16      30 where are they

The ROM's fonts are in `video_rom`.

Source: IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 10h - (AH)=11h"; IBM VGA, "Character Generator".
"""

from __future__ import annotations

from hillemu.boot.bios import bda
from hillemu.boot.bios.call import BiosCall
from hillemu.boot.bios.mode_table import MODES
from hillemu.boot.bios.modes import load_font, restore_window
from hillemu.boot.bios.video_cursor import set_crtc, show_cursor_shape
from hillemu.boot.bios.video_layout import TEXT, current_layout
from hillemu.boot.bios.video_rom import FONTS, SEGMENT

_SEQUENCER, _CHARACTER_MAP = 0x3C4, 3
_MOST_LINES = 32
_BLOCKS = (0x0000, 0x4000, 0x8000, 0xC000, 0x2000, 0x6000, 0xA000, 0xE000)
"""Where the character generator looks for each of eight fonts."""
_FONT_VECTOR, _UPPER_FONT_VECTOR = 0x43 * 4, 0x1F * 4
_MAXIMUM_LINE, _DISPLAY_END, _UNDERLINE = 0x09, 0x12, 0x14
_TEXT_LINES = 400
_ROM_FONTS = {1: 14, 2: 8, 4: 16}
_GRAPHICS_FONTS = {0x22: 14, 0x23: 8, 0x24: 16}
_ROWS = (0, 14, 25, 43)
"""What BL of functions 21h to 24h stands for; 0 is DL."""


def fonts(call: BiosCall) -> None:
    """AH=11h."""
    function = call.al
    if function & ~0x10 in (0x00, *_ROM_FONTS) and function < 0x20:
        _load_font(call, new_height=bool(function & 0x10))
    elif function == 0x03:
        call.guest.write_port(_SEQUENCER, _CHARACTER_MAP)
        call.guest.write_port(_SEQUENCER + 1, call.bl)
    elif function == 0x20:
        call.store(_UPPER_FONT_VECTOR, call.es << 16 | call.bp, 4)
    elif function == 0x21 or function in _GRAPHICS_FONTS:
        _graphics_font(call)
    elif function == 0x30:
        _where(call)
    else:
        call.tell(f"the guest called the BIOS: INT 10h with AX={call.ax:04X}h; this is not modelled")


def _load_font(call: BiosCall, *, new_height: bool) -> None:
    kind = call.al & 0x0F
    if kind:
        lines, first = _ROM_FONTS[kind], 0
        glyphs = call.read_linear(SEGMENT * 16 + FONTS[lines], 256 * lines)
    else:
        lines, first = min(call.bh, _MOST_LINES), call.dx & 0xFF
        glyphs = call.read("es", call.bp, min(call.cx, 256 - first) * lines)
    layout = current_layout(call)
    if not lines or layout is None or layout.kind != TEXT:
        return
    load_font(call.guest, glyphs, lines, at=_BLOCKS[call.bl & 7], first=first)
    restore_window(call.guest, MODES[call.load(bda.VIDEO_MODE)])
    if new_height:
        _set_height(call, lines)


def _set_height(call: BiosCall, lines: int) -> None:
    """Give the CRTC and the data area cells of `lines`; how many rows there are follows."""
    port = call.load(bda.CRTC_PORT, 2)
    call.guest.write_port(port, _MAXIMUM_LINE)
    keep = call.guest.read_port(port + 1) & 0xE0
    set_crtc(call, _MAXIMUM_LINE, keep | lines - 1)
    if call.load(bda.VIDEO_MODE) == 7:
        set_crtc(call, _UNDERLINE, lines - 1)
    rows = _TEXT_LINES // lines
    set_crtc(call, _DISPLAY_END, rows * lines - 1)
    call.store(bda.LAST_ROW, rows - 1)
    call.store(bda.CHARACTER_LINES, lines, 2)
    call.store(bda.PAGE_BYTES, rows * call.load(bda.COLUMNS, 2) * 2 + 0xFF & ~0xFF, 2)
    call.store(bda.CURSOR_SHAPE, lines - 2 << 8 | lines - 1 if lines < 14 else lines - 3 << 8 | lines - 2, 2)
    show_cursor_shape(call)


def _graphics_font(call: BiosCall) -> None:
    if call.al == 0x21:
        lines, pointer = call.cx, call.es << 16 | call.bp
    else:
        lines = _GRAPHICS_FONTS[call.al]
        pointer = SEGMENT << 16 | FONTS[lines]
    rows = _ROWS[call.bl] if 0 < call.bl < len(_ROWS) else call.dl
    call.store(_FONT_VECTOR, pointer, 4)
    call.store(bda.CHARACTER_LINES, lines, 2)
    if rows:
        call.store(bda.LAST_ROW, rows - 1)


def _where(call: BiosCall) -> None:
    """ES:BP points at the font that BH asks for; CX is the height in use, DL the last row."""
    pointers = {
        0: call.load(_UPPER_FONT_VECTOR, 4),
        1: call.load(_FONT_VECTOR, 4),
        2: SEGMENT << 16 | FONTS[14],
        3: SEGMENT << 16 | FONTS[8],
        4: SEGMENT << 16 | FONTS[8] + 128 * 8,
        5: SEGMENT << 16 | FONTS[14],
        6: SEGMENT << 16 | FONTS[16],
        7: SEGMENT << 16 | FONTS[16],
    }
    pointer = pointers.get(call.bh)
    if pointer is None:
        return
    call.es, call.bp = pointer >> 16, pointer & 0xFFFF
    call.cx = call.load(bda.CHARACTER_LINES, 2)
    call.dl = call.load(bda.LAST_ROW)
