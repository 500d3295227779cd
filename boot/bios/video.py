"""INT 10h: the screen.

::

    AH  00 set mode         05 active page      0A write characters   0F current mode   1A display code
        01 cursor shape     06, 07 scroll       0B border, palette    10 palette        1B state of it all
        02 cursor position  08 read character   0C, 0D pixel          11 fonts          4F VBE (vbe.py)
        03 where is it      09 write with       0E teletype           12 settings
        04 light pen           attribute                              13 write string

Palettes are in `video_palette`, fonts in `video_fonts`, what tells about the adapter in `video_settings`.

Teletype output goes to the page that is shown, whatever BH says, as on QEMU.

Source: IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 10h - Video"; Ralf Brown's Interrupt List.
Not modelled: the bell, light pens, saving the state (AH=1Ch), 256-character sets of one's own on MDA or CGA.
"""

from __future__ import annotations

from hillemu.boot.bios import bda
from hillemu.boot.bios.call import BiosCall
from hillemu.boot.bios.modes import KEEP_MEMORY, set_mode
from hillemu.boot.bios.video_cells import Window, cells_of
from hillemu.boot.bios.video_cursor import cursor_of, set_cursor, show_cursor_shape, show_page
from hillemu.boot.bios.video_fonts import fonts
from hillemu.boot.bios.video_layout import PLANAR, TEXT, current_layout
from hillemu.boot.bios.video_palette import palette, set_border_or_palette
from hillemu.boot.bios.video_settings import display_code, settings, state

BELL, BACKSPACE, LINE_FEED, CARRIAGE_RETURN = 0x07, 0x08, 0x0A, 0x0D
MOVE_CURSOR, WITH_ATTRIBUTES = 0x01, 0x02
"""Bits of AL of function 13h."""

_NEW_MODE, _MODE_6, _OLD_MODE = 0x20, 0x3F, 0x30
"""What function 00h leaves in AL, after SeaBIOS's video BIOS; IBM's leaves something else in each."""


def video(call: BiosCall) -> None:
    """The service of INT 10h."""
    function = _FUNCTIONS.get(call.ah)
    if function is None:
        call.tell(f"the guest called the BIOS: INT 10h with AX={call.ax:04X}h; this is not modelled")
    else:
        function(call)


def write_text(call: BiosCall, text: str) -> None:
    """Write `text` to the screen from the cursor on, as teletype output does."""
    page = call.load(bda.ACTIVE_PAGE)
    row, column = cursor_of(call, page)
    for character in text.encode("cp437", "replace"):
        row, column = _put(call, page, row, column, character, None)
    set_cursor(call, page, row, column)


def _set_mode(call: BiosCall) -> None:
    if not set_mode(call.guest, call.al):
        call.tell(f"the guest asked the BIOS for video mode {call.al:02X}h, which this adapter has not")
        return
    number = call.al & ~KEEP_MEMORY
    call.al = _MODE_6 if number == 6 else _OLD_MODE if number < 8 else _NEW_MODE


def _cursor_shape(call: BiosCall) -> None:
    call.store(bda.CURSOR_SHAPE, call.cx, 2)
    show_cursor_shape(call)


def _set_position(call: BiosCall) -> None:
    if call.bh < 8:
        set_cursor(call, call.bh, call.dh, call.dl)


def _read_position(call: BiosCall) -> None:
    call.ax = 0
    call.cx = call.load(bda.CURSOR_SHAPE, 2)
    call.dh, call.dl = cursor_of(call, call.bh & 7)


def _light_pen(call: BiosCall) -> None:
    call.ah = 0


def _set_page(call: BiosCall) -> None:
    if call.al < 8:
        show_page(call, call.al)


def _scroll(call: BiosCall) -> None:
    cells = cells_of(call)
    if cells is None:
        return
    bottom, right = min(call.dh, cells.rows - 1), min(call.dl, cells.columns - 1)
    window = Window(call.ch, call.cl, bottom, right)
    if window.width <= 0 or window.height <= 0:
        return
    lines = call.al if 0 < call.al < window.height else window.height
    cells.scroll(call.load(bda.ACTIVE_PAGE), window, lines if call.ah == 0x06 else -lines, call.bh)


def _read_character(call: BiosCall) -> None:
    cells = cells_of(call)
    page = call.bh & 7
    if cells is not None:
        call.al, call.ah = cells.read(page, *cursor_of(call, page))


def _write_characters(call: BiosCall) -> None:
    """Functions 09h and 0Ah: CX times, from the cursor, which stays; a row's end leads to the next row."""
    layout, cells = current_layout(call), cells_of(call)
    if layout is None or cells is None:
        return
    page = call.bh & 7 if layout.pages > 1 else 0
    row, column = cursor_of(call, call.bh & 7)
    attribute = call.bl if call.ah == 0x09 or layout.kind != TEXT else None
    for _ in range(call.cx):
        if row >= cells.rows:
            break
        cells.write(page, row, column, call.al, attribute)
        column += 1
        if column >= cells.columns:
            row, column = row + 1, 0


def _write_pixel(call: BiosCall) -> None:
    layout = current_layout(call)
    if layout is not None and layout.kind != TEXT:
        from hillemu.boot.bios.video_graphics import graphics_cells

        graphics_cells(call, layout).write_pixel(_page_of_pixels(call), call.cx, call.dx, call.al)


def _read_pixel(call: BiosCall) -> None:
    layout = current_layout(call)
    if layout is not None and layout.kind != TEXT:
        from hillemu.boot.bios.video_graphics import graphics_cells

        call.al = graphics_cells(call, layout).read_pixel(_page_of_pixels(call), call.cx, call.dx)


def _page_of_pixels(call: BiosCall) -> int:
    layout = current_layout(call)
    return call.bh if layout is not None and layout.kind == PLANAR and call.bh < layout.pages else 0


def _teletype(call: BiosCall) -> None:
    page = call.load(bda.ACTIVE_PAGE)
    layout = current_layout(call)
    attribute = call.bl if layout is not None and layout.kind != TEXT else None
    row, column = cursor_of(call, page)
    set_cursor(call, page, *_put(call, page, row, column, call.al, attribute))


def _put(call: BiosCall, page: int, row: int, column: int, character: int, attribute: int | None) -> tuple[int, int]:
    """Write a character or do what a control character says; returns where the cursor is then."""
    cells = cells_of(call)
    if cells is None or character == BELL:
        return row, column
    if character == BACKSPACE:
        return row, max(column - 1, 0)
    if character == CARRIAGE_RETURN:
        return row, 0
    if character == LINE_FEED:
        row += 1
    else:
        cells.write(page, row, column, character, attribute)
        column += 1
        if column >= cells.columns:
            row, column = row + 1, 0
    if row >= cells.rows:
        row = cells.rows - 1
        layout = current_layout(call)
        is_text = layout is not None and layout.kind == TEXT
        blank = cells.read(page, row, min(column, cells.columns - 1))[1] if is_text else 0
        cells.scroll(page, Window(0, 0, row, cells.columns - 1), 1, blank)
    return row, column


def _write_string(call: BiosCall) -> None:
    page = call.bh if call.bh < 8 else call.load(bda.ACTIVE_PAGE)
    row, column = (call.dh, call.dl) if call.dh != 0xFF else cursor_of(call, page)
    step = 2 if call.al & WITH_ATTRIBUTES else 1
    text = call.read("es", call.bp, call.cx * step)
    for at in range(0, len(text), step):
        attribute = text[at + 1] if step == 2 else call.bl
        row, column = _put(call, page, row, column, text[at], attribute)
    if call.al & MOVE_CURSOR:
        set_cursor(call, page, row, column)


def _current_mode(call: BiosCall) -> None:
    call.bh = call.load(bda.ACTIVE_PAGE)
    call.al = call.load(bda.VIDEO_MODE) | call.load(bda.VIDEO_CONTROL) & KEEP_MEMORY
    call.ah = call.load(bda.COLUMNS)


_FUNCTIONS = {
    0x00: _set_mode,
    0x01: _cursor_shape,
    0x02: _set_position,
    0x03: _read_position,
    0x04: _light_pen,
    0x05: _set_page,
    0x06: _scroll,
    0x07: _scroll,
    0x08: _read_character,
    0x09: _write_characters,
    0x0A: _write_characters,
    0x0B: set_border_or_palette,
    0x0C: _write_pixel,
    0x0D: _read_pixel,
    0x0E: _teletype,
    0x0F: _current_mode,
    0x10: palette,
    0x11: fonts,
    0x12: settings,
    0x13: _write_string,
    0x1A: display_code,
    0x1B: state,
}
