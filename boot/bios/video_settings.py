"""INT 10h, AH=12h, 1Ah and 1Bh: what the adapter is, how it is set, and switches for what comes next.

Source: IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 10h - (AH)=12h", "(AH)=1Ah", "(AH)=1Bh".
Not modelled: 200 and 350 lines in text modes (function 12h notes them, modes are set with 400), gray scales.
"""

from __future__ import annotations

import struct

from hillemu.boot.bios import bda
from hillemu.boot.bios.call import BiosCall
from hillemu.boot.bios.rom import AT, SEGMENT
from hillemu.boot.bios.video_layout import TEXT, current_layout

DONE_12, DONE_1A, DONE_1B = 0x12, 0x1A, 0x1B
MEMORY_256K = 3

_GRAY, _NO_PALETTE, _LINES_400, _LINES_200 = 0x02, 0x08, 0x10, 0x80
"""Bits of `bda.MODE_SET_CONTROL`."""
_NO_CURSOR_EMULATION = 0x01
_SWITCHES_CGA, _SWITCHES_EGA = 0x08, 0x09
_MISC_READ, _MISC_WRITE, _MEMORY_ON = 0x3CC, 0x3C2, 0x02
_SEQUENCER, _CLOCKING_MODE, _SCREEN_OFF = 0x3C4, 1, 0x20
_MONO_CRTC = 0x3B4
_SCAN_LINES = {200: 0, 350: 1, 400: 2, 480: 3}
_ALL_MODES, _EMULATES_CURSOR, _BLINKS = 0x01, 0x10, 0x20


def settings(call: BiosCall) -> None:
    """AH=12h; BL says which."""
    which = call.bl
    if which == 0x10:
        call.bh = 1 if call.load(bda.CRTC_PORT, 2) == _MONO_CRTC else 0
        call.bl = MEMORY_256K
        call.cx = call.load(bda.VIDEO_SWITCHES) & 0x0F  # CH: nothing on the feature connector
    elif which in _SWITCHES and call.al <= (2 if which == 0x30 else 1):
        _SWITCHES[which](call)
        call.al = DONE_12
    elif which != 0x20:  # another print screen: there is none anyway
        call.tell(f"the guest called the BIOS: INT 10h with AX={call.ax:04X}h, BL={which:02X}h; this is not modelled")


def _change(call: BiosCall, at: int, bit: int, on: bool) -> None:
    value = call.load(at)
    call.store(at, value | bit if on else value & ~bit)


def _scan_lines(call: BiosCall) -> None:
    """AL=0: 200 lines, 1: 350, 2: 400."""
    control = call.load(bda.MODE_SET_CONTROL) & ~(_LINES_400 | _LINES_200)
    call.store(bda.MODE_SET_CONTROL, control | (_LINES_200, 0, _LINES_400)[call.al])
    switches = _SWITCHES_EGA if call.al else _SWITCHES_CGA
    call.store(bda.VIDEO_SWITCHES, call.load(bda.VIDEO_SWITCHES) & 0xF0 | switches)
    if call.al != 2:
        call.tell("the guest asked for text modes of 200 or 350 lines (INT 10h, AH=12h); they keep their 400")


def _load_palette(call: BiosCall) -> None:
    _change(call, bda.MODE_SET_CONTROL, _NO_PALETTE, bool(call.al))


def _address_memory(call: BiosCall) -> None:
    misc = call.guest.read_port(_MISC_READ)
    call.guest.write_port(_MISC_WRITE, misc & ~_MEMORY_ON | (0 if call.al else _MEMORY_ON))


def _sum_to_gray(call: BiosCall) -> None:
    _change(call, bda.MODE_SET_CONTROL, _GRAY, not call.al)


def _emulate_cursor(call: BiosCall) -> None:
    _change(call, bda.VIDEO_CONTROL, _NO_CURSOR_EMULATION, bool(call.al))


def _refresh(call: BiosCall) -> None:
    guest = call.guest
    guest.write_port(_SEQUENCER, _CLOCKING_MODE)
    mode = guest.read_port(_SEQUENCER + 1)
    guest.write_port(_SEQUENCER + 1, mode | _SCREEN_OFF if call.al else mode & ~_SCREEN_OFF)


_SWITCHES = {
    0x30: _scan_lines,
    0x31: _load_palette,
    0x32: _address_memory,
    0x33: _sum_to_gray,
    0x34: _emulate_cursor,
    0x36: _refresh,
}


def display_code(call: BiosCall) -> None:
    """AH=1Ah: AL=00h reads the display combination code into BX, AL=01h sets it."""
    if call.al == 0x00:
        call.bx = call.load(bda.DISPLAY_CODE)
        call.al = DONE_1A
    elif call.al == 0x01:
        call.store(bda.DISPLAY_CODE, call.bl)
        call.al = DONE_1A


def state(call: BiosCall) -> None:
    """AH=1Bh, BX=0: 64 bytes of state to ES:DI."""
    layout = current_layout(call)
    if call.bx or layout is None:
        return
    lines = (call.load(bda.LAST_ROW) + 1) * call.load(bda.CHARACTER_LINES, 2)
    scan_lines = 2 if layout.kind == TEXT else _SCAN_LINES.get(lines, 0)
    emulates = not call.load(bda.VIDEO_CONTROL) & _NO_CURSOR_EMULATION
    misc = _ALL_MODES | _BLINKS | (_EMULATES_CURSOR if emulates else 0)
    table = struct.pack("<HH", AT["video_functions"], SEGMENT)
    table += call.read_linear(bda.VIDEO_MODE, 30)
    table += call.read_linear(bda.LAST_ROW, 3)
    code = call.load(bda.DISPLAY_CODE)
    table += struct.pack("<BBHBBBBB", code, 0, layout.colors, layout.pages, scan_lines, 0, 0, misc)
    call.write("es", call.di, table.ljust(0x31, b"\0") + bytes([MEMORY_256K]) + bytes(14))
    call.al = DONE_1B
