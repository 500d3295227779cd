"""INT 10h, AH=0Bh and 10h: the attribute controller's palette and the DAC's colours.

Source: IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 10h - (AH)=10h"; IBM VGA, "Attribute
Controller", "Video Digital-to-Analog Converter".
"""

from __future__ import annotations

from hillemu.boot.bios import bda
from hillemu.boot.bios.call import BiosCall
from hillemu.emu.guest import Guest

_ATTRIBUTE, _ATTRIBUTE_READ, _STATUS_1 = 0x3C0, 0x3C1, 0x3DA
_SHOW = 0x20
_MODE_CONTROL, _OVERSCAN, _COLOR_SELECT = 0x10, 0x11, 0x14
_BLINK, _PAGES_OF_16 = 0x08, 0x80
_DAC_MASK, _DAC_READ, _DAC_WRITE, _DAC_DATA = 0x3C6, 0x3C7, 0x3C8, 0x3C9
_PALETTE_BYTES = 17
_INTENSITY = 0x10


def set_border_or_palette(call: BiosCall) -> None:
    """AH=0Bh, as the CGA had it: BH=0 border and background BL, BH=1 one of two palettes."""
    guest = call.guest
    chosen = call.load(bda.CGA_PALETTE)
    if call.bh == 0:
        call.store(bda.CGA_PALETTE, chosen & 0xE0 | call.bl & 0x1F)
        border = call.bl & 0x0F
        _set(guest, 0, border | (_INTENSITY if border & 0x08 else 0))
        for index in (1, 2, 3):
            _set(guest, index, _get(guest, index) & ~_INTENSITY | call.bl & _INTENSITY)
    elif call.bh == 1:
        call.store(bda.CGA_PALETTE, chosen & 0xDF | (0x20 if call.bl & 1 else 0))
        for index in (1, 2, 3):
            _set(guest, index, _get(guest, index) & ~1 | call.bl & 1)


def palette(call: BiosCall) -> None:
    """AH=10h."""
    function = _FUNCTIONS.get(call.al)
    if function is None:
        call.tell(f"the guest called the BIOS: INT 10h with AX={call.ax:04X}h; this is not modelled")
    else:
        function(call)


def _get(guest: Guest, index: int) -> int:
    guest.read_port(_STATUS_1)  # the next write is an index
    guest.write_port(_ATTRIBUTE, index & 0x1F | _SHOW)
    value = guest.read_port(_ATTRIBUTE_READ)
    guest.read_port(_STATUS_1)
    return value


def _set(guest: Guest, index: int, value: int) -> None:
    guest.read_port(_STATUS_1)
    guest.write_port(_ATTRIBUTE, index & 0x1F)
    guest.write_port(_ATTRIBUTE, value)
    guest.write_port(_ATTRIBUTE, _SHOW)  # palette addresses below 10h have switched the screen off
    guest.read_port(_STATUS_1)


def _set_one(call: BiosCall) -> None:
    if call.bl <= _COLOR_SELECT:
        _set(call.guest, call.bl, call.bh)


def _set_overscan(call: BiosCall) -> None:
    _set(call.guest, _OVERSCAN, call.bh)


def _set_all(call: BiosCall) -> None:
    colors = call.read("es", call.dx, _PALETTE_BYTES)
    for index, color in enumerate(colors[:16]):
        _set(call.guest, index, color)
    _set(call.guest, _OVERSCAN, colors[16])


def _blink_or_intensity(call: BiosCall) -> None:
    mode = _get(call.guest, _MODE_CONTROL)
    _set(call.guest, _MODE_CONTROL, mode | _BLINK if call.bl & 1 else mode & ~_BLINK)


def _read_one(call: BiosCall) -> None:
    if call.bl <= _COLOR_SELECT:
        call.bh = _get(call.guest, call.bl)


def _read_overscan(call: BiosCall) -> None:
    call.bh = _get(call.guest, _OVERSCAN)


def _read_all(call: BiosCall) -> None:
    colors = [_get(call.guest, index) for index in (*range(16), _OVERSCAN)]
    call.write("es", call.dx, bytes(colors))


def _set_color(call: BiosCall) -> None:
    _write_dac(call.guest, call.bx & 0xFF, bytes((call.dh, call.ch, call.cl)))


def _set_colors(call: BiosCall) -> None:
    _write_dac(call.guest, call.bx & 0xFF, call.read("es", call.dx, 3 * call.cx))


def _read_color(call: BiosCall) -> None:
    call.dh, call.ch, call.cl = _read_dac(call.guest, call.bx & 0xFF, 1)


def _read_colors(call: BiosCall) -> None:
    call.write("es", call.dx, _read_dac(call.guest, call.bx & 0xFF, call.cx))


def _select_page(call: BiosCall) -> None:
    """BL=0: pages of 64 colours (BH=0) or 16 (BH=1); BL=1: page BH."""
    guest = call.guest
    mode = _get(guest, _MODE_CONTROL)
    if call.bl & 1:
        _set(guest, _COLOR_SELECT, call.bh & 0x0F if mode & _PAGES_OF_16 else (call.bh & 0x03) << 2)
    else:
        _set(guest, _MODE_CONTROL, mode & ~_PAGES_OF_16 | (_PAGES_OF_16 if call.bh & 1 else 0))


def _read_page(call: BiosCall) -> None:
    by_16 = _get(call.guest, _MODE_CONTROL) >> 7
    selected = _get(call.guest, _COLOR_SELECT) & 0x0F
    call.bl = by_16
    call.bh = selected if by_16 else selected >> 2


def _set_mask(call: BiosCall) -> None:
    call.guest.write_port(_DAC_MASK, call.bl)


def _read_mask(call: BiosCall) -> None:
    call.bl = call.guest.read_port(_DAC_MASK)


def _make_gray(call: BiosCall) -> None:
    """Every colour by its brightness: 30 % red, 59 % green, 11 % blue."""
    first, guest = call.bx & 0xFF, call.guest
    colors = _read_dac(guest, first, min(call.cx, 256 - first))
    gray = bytearray()
    for red, green, blue in zip(colors[0::3], colors[1::3], colors[2::3], strict=True):
        gray += bytes([min((77 * red + 151 * green + 28 * blue + 0x80) >> 8, 0x3F)] * 3)
    _write_dac(guest, first, bytes(gray))


def _write_dac(guest: Guest, first: int, data: bytes) -> None:
    guest.write_port(_DAC_WRITE, first)
    for value in data:
        guest.write_port(_DAC_DATA, value)


def _read_dac(guest: Guest, first: int, count: int) -> bytes:
    guest.write_port(_DAC_READ, first)
    return bytes(guest.read_port(_DAC_DATA) for _ in range(3 * count))


_FUNCTIONS = {
    0x00: _set_one,
    0x01: _set_overscan,
    0x02: _set_all,
    0x03: _blink_or_intensity,
    0x07: _read_one,
    0x08: _read_overscan,
    0x09: _read_all,
    0x10: _set_color,
    0x12: _set_colors,
    0x13: _select_page,
    0x15: _read_color,
    0x17: _read_colors,
    0x18: _set_mask,
    0x19: _read_mask,
    0x1A: _read_page,
    0x1B: _make_gray,
}
