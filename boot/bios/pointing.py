"""The mouse: INT 15h, AH=C2h, and INT 74h, which gathers its packets.

::

    C200 on, off (BH)      C202 sample rate (BH)   C204 type      C206 status, scaling (BH)
    C201 reset             C203 resolution (BH)    C205 begin, BH bytes a packet
                                                   C207 driver at ES:BX
    EBDA  22 driver, far pointer   26 driver's flags, 2-0 bytes that came   27 7 there is a driver, 2-0 bytes a packet,
          less one                 28 packet

When a packet is complete, the stub of INT 74h calls the driver with four words on the stack: status, X, Y and 0.

Source: IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 15h - (AH)=C2h"; Ralf Brown's Interrupt List.
"""

from __future__ import annotations

from hillemu.boot.bios import bda
from hillemu.boot.bios.call import BiosCall
from hillemu.boot.bios.controller_8042 import (
    ACK,
    DATA,
    FROM_MOUSE,
    OUTPUT_FULL,
    STATUS,
    command_mouse,
    set_mode_bits,
)
from hillemu.boot.bios.rom import AT

INVALID_FUNCTION, INVALID_INPUT, INTERFACE_ERROR, NO_DRIVER = 1, 2, 3, 5

DRIVER, CAME, WANTED, PACKET = 0x22, 0x26, 0x27, 0x28
"""Offsets in the extended BIOS data area."""
HAS_DRIVER = 0x80

_SCALING_1, _SCALING_2, _RESOLUTION, _STATUS, _IDENTIFY = 0xE6, 0xE7, 0xE8, 0xE9, 0xF2
_RATE, _ENABLE, _DISABLE, _RESET = 0xF3, 0xF4, 0xF5, 0xFF
_RATES = (10, 20, 40, 60, 80, 100, 200)
_INTERRUPT, _MOUSE_OFF = 0x02, 0x20
_SLAVE_MASK, _MASTER_MASK, _MOUSE_IRQ_BIT, _CASCADE_BIT = 0xA1, 0x21, 0x10, 0x04
_LONGEST = 8


def pointing_device(call: BiosCall) -> None:
    """INT 15h, AH=C2h; AL is the function."""
    function = _FUNCTIONS.get(call.al)
    if function is None:
        call.refuse(INVALID_FUNCTION)
        return
    status = function(call)
    call.ah = status
    call.carry = status != 0


def mouse_interrupt(call: BiosCall) -> None:
    """The service of vector 74h."""
    guest = call.guest
    if guest.read_port(STATUS) & (OUTPUT_FULL | FROM_MOUSE) != OUTPUT_FULL | FROM_MOUSE:
        return
    byte = guest.read_port(DATA)
    area = _area(call)
    wanted = call.load(area + WANTED)
    if not wanted & HAS_DRIVER:
        return
    came = call.load(area + CAME) & 7
    call.store(area + PACKET + came, byte)
    if came < wanted & 7:
        call.store(area + CAME, came + 1)
        return
    call.store(area + CAME, 0)
    status, x, y = (call.load(area + PACKET + at) for at in range(3))
    for at, word in enumerate((status, x, y, 0)):
        call.store(area + PACKET + 2 * at, word, 2)
    call.go_on_at(AT["mouse_packet"])


def _area(call: BiosCall) -> int:
    return call.load(bda.EBDA_SEGMENT, 2) << 4


def _enable(call: BiosCall) -> int:
    if call.bh > 1:
        return INVALID_INPUT
    if not call.bh:
        return _tell(call, _DISABLE)
    if not call.load(_area(call) + WANTED) & HAS_DRIVER:
        return NO_DRIVER
    return _tell(call, _ENABLE)


def _reset(call: BiosCall) -> int:
    replies = command_mouse(call.guest, _RESET)
    if replies[:1] != [ACK] or len(replies) != 3:
        return INTERFACE_ERROR
    call.bl, call.bh = replies[1:]
    return 0


def _set_rate(call: BiosCall) -> int:
    return _tell(call, _RATE, _RATES[call.bh]) if call.bh < len(_RATES) else INVALID_INPUT


def _set_resolution(call: BiosCall) -> int:
    return _tell(call, _RESOLUTION, call.bh) if call.bh <= 3 else INVALID_INPUT


def _type(call: BiosCall) -> int:
    replies = command_mouse(call.guest, _IDENTIFY)
    if replies[:1] != [ACK] or len(replies) != 2:
        return INTERFACE_ERROR
    call.bh = replies[1]
    return 0


def _begin(call: BiosCall) -> int:
    if not 1 <= call.bh <= _LONGEST:
        return INVALID_INPUT
    area = _area(call)
    call.store(area + CAME, 0)
    call.store(area + WANTED, call.load(area + WANTED) & HAS_DRIVER | call.bh - 1)
    return _reset(call)


def _status_or_scaling(call: BiosCall) -> int:
    if call.bh in (1, 2):
        return _tell(call, _SCALING_1 if call.bh == 1 else _SCALING_2)
    if call.bh:
        return INVALID_INPUT
    replies = command_mouse(call.guest, _STATUS)
    if replies[:1] != [ACK] or len(replies) != 4:
        return INTERFACE_ERROR
    call.bl, call.cl, call.dl = replies[1:]
    return 0


def _set_driver(call: BiosCall) -> int:
    """A null pointer takes the driver away; with one, the mouse may interrupt."""
    area, guest = _area(call), call.guest
    segment, offset = call.es, call.bx
    call.store(area + DRIVER, segment << 16 | offset, 4)
    wanted = call.load(area + WANTED)
    if segment or offset:
        call.store(area + WANTED, wanted | HAS_DRIVER)
        set_mode_bits(guest, clear=_MOUSE_OFF, set_=_INTERRUPT)
        guest.write_port(_SLAVE_MASK, guest.read_port(_SLAVE_MASK) & ~_MOUSE_IRQ_BIT)
        guest.write_port(_MASTER_MASK, guest.read_port(_MASTER_MASK) & ~_CASCADE_BIT)
        return 0
    call.store(area + WANTED, wanted & ~HAS_DRIVER)
    set_mode_bits(guest, clear=_INTERRUPT)
    return _tell(call, _DISABLE)


def _tell(call: BiosCall, *data: int) -> int:
    return 0 if command_mouse(call.guest, *data) == [ACK] * len(data) else INTERFACE_ERROR


_FUNCTIONS = {
    0x00: _enable,
    0x01: _reset,
    0x02: _set_rate,
    0x03: _set_resolution,
    0x04: _type,
    0x05: _begin,
    0x06: _status_or_scaling,
    0x07: _set_driver,
}
