"""The cursor and the page that is shown: the data area's fields, and the CRTC's registers that follow them.

Source: IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 10h - Video", functions 01h to 05h; IBM VGA,
"CRT Controller".
"""

from __future__ import annotations

from hillemu.boot.bios import bda
from hillemu.boot.bios.call import BiosCall
from hillemu.boot.bios.video_layout import TEXT, current_layout

CURSOR_START, CURSOR_END, START_HIGH, START_LOW, CURSOR_HIGH, CURSOR_LOW = 0x0A, 0x0B, 0x0C, 0x0D, 0x0E, 0x0F
"""Registers of the CRTC."""

_NO_EMULATION = 0x01
_INVISIBLE = 0x20


def cursor_of(call: BiosCall, page: int) -> tuple[int, int]:
    """Row and column of the cursor of `page` (0-7)."""
    at = bda.CURSORS + 2 * page
    return call.load(at + 1), call.load(at)


def set_cursor(call: BiosCall, page: int, row: int, column: int) -> None:
    """Move the cursor of `page`; it is seen if that page is."""
    call.store(bda.CURSORS + 2 * page, (row & 0xFF) << 8 | column & 0xFF, 2)
    if page == call.load(bda.ACTIVE_PAGE):
        cell = call.load(bda.PAGE_START, 2) // 2 + row * call.load(bda.COLUMNS, 2) + column
        set_crtc(call, CURSOR_HIGH, cell >> 8)
        set_crtc(call, CURSOR_LOW, cell)


def show_page(call: BiosCall, page: int) -> None:
    """Show page number `page` and its cursor."""
    start = page * call.load(bda.PAGE_BYTES, 2)
    call.store(bda.PAGE_START, start, 2)
    call.store(bda.ACTIVE_PAGE, page)
    layout = current_layout(call)
    address = start // 2 if layout is None or layout.kind == TEXT else start
    set_crtc(call, START_HIGH, address >> 8)
    set_crtc(call, START_LOW, address)
    set_cursor(call, page, *cursor_of(call, page))


def show_cursor_shape(call: BiosCall) -> None:
    """Give the CRTC the shape of the data area, in lines of a cell of 8 (as programs for the CGA mean it) or more."""
    shape = cursor_shape(call)
    set_crtc(call, CURSOR_START, shape >> 8)
    set_crtc(call, CURSOR_END, shape)


def cursor_shape(call: BiosCall) -> int:
    """First and last line, scaled from cells of 8 lines to the font's unless the guest has switched that off."""
    shape = call.load(bda.CURSOR_SHAPE, 2)
    start, end = shape >> 8 & 0x3F, shape & 0x1F
    lines = call.load(bda.CHARACTER_LINES, 2)
    if call.load(bda.VIDEO_CONTROL) & _NO_EMULATION or lines <= 8 or end >= 8 or start >= _INVISIBLE:
        return shape
    # Two lines stay two lines, at the bottom of what was meant.
    start = (end + 1) * lines // 8 - 2 if end == start + 1 else (start + 1) * lines // 8 - 1
    return start << 8 | (end + 1) * lines // 8 - 1


def set_crtc(call: BiosCall, index: int, value: int) -> None:
    """Set a register of the CRTC."""
    port = call.load(bda.CRTC_PORT, 2)
    call.guest.write_port(port, index)
    call.guest.write_port(port + 1, value & 0xFF)
