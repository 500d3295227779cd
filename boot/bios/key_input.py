"""INT 16h: the key buffer, the shift flags, the repeat rate.

::

    AH  00, 10 read key     02, 12 shift flags    05 put a code into the buffer    0A keyboard's identity
        01, 11 is there one 03 repeat rate        09 what there is

10h to 12h are for keyboards with 101 keys.  Reading waits: the stub halts until an interrupt has come.  Shift flags,
and that there is no key, are told by the ROM itself (boot/asm/bios_polls.inc).

Source: IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 16h"; Ralf Brown's Interrupt List, INT 16h.
Not modelled: key click (AH=04h), INT 15h AX=9002h, which would tell that the BIOS waits.
"""

from __future__ import annotations

from hillemu.boot.bios import bda
from hillemu.boot.bios.call import BiosCall
from hillemu.boot.bios.controller_8042 import ACK, command_keyboard
from hillemu.boot.bios.key_codes import for_84_keys, for_101_keys
from hillemu.boot.bios.keyboard import next_place, put_key

SET_RATE, IDENTIFY = 0xF3, 0xF2
FUNCTIONS = 0x30
"""Function 09h: 10h to 12h and 0Ah are there."""

_BUFFER_FULL = 1


def key_input(call: BiosCall) -> None:
    """The service of INT 16h."""
    function = call.ah
    if function in (0x00, 0x10):
        _read(call, enhanced=function == 0x10)
    elif function in (0x01, 0x11):
        _look(call, enhanced=function == 0x11)
    elif function == 0x12:
        call.ax = _enhanced_shift_flags(call)
    elif function == 0x03:
        _set_rate(call)
    elif function == 0x05:
        call.al = 0 if put_key(call, call.cx) else _BUFFER_FULL
    elif function == 0x09:
        call.al = FUNCTIONS
    elif function == 0x0A:
        replies = command_keyboard(call.guest, IDENTIFY)
        call.bx = replies[2] << 8 | replies[1] if len(replies) == 3 else 0
    elif function == 0x92:
        call.ah = 0x80  # KEYB.COM of DOS 5 asks: 10h to 12h are there
    elif function != 0xA2:  # likewise, for 122 keys: unchanged, they are not
        call.tell(f"the guest called the BIOS: INT 16h with AX={call.ax:04X}h; this is not modelled")


def _read(call: BiosCall, *, enhanced: bool) -> None:
    code = _next_key(call, enhanced=enhanced)
    if code is None:
        call.wait()
    else:
        call.store(bda.KEY_HEAD, next_place(call, call.load(bda.KEY_HEAD, 2)), 2)
        call.ax = code


def _look(call: BiosCall, *, enhanced: bool) -> None:
    code = _next_key(call, enhanced=enhanced)
    call.zero = code is None
    if code is not None:
        call.ax = code


def _next_key(call: BiosCall, *, enhanced: bool) -> int | None:
    """The oldest key in the buffer that this kind of function may see; those before it are dropped."""
    while (head := call.load(bda.KEY_HEAD, 2)) != call.load(bda.KEY_TAIL, 2):
        raw = call.load(0x400 + head, 2)
        code = for_101_keys(raw) if enhanced else for_84_keys(raw)
        if code is not None:
            return code
        call.store(bda.KEY_HEAD, next_place(call, head), 2)
    return None


def _enhanced_shift_flags(call: BiosCall) -> int:
    """AL as function 02h; AH: SysReq, Caps, Num, Scroll held, right Alt, right Ctrl, left Alt, left Ctrl."""
    more, state = call.load(bda.MORE_SHIFT_FLAGS), call.load(bda.KEYBOARD_STATE)
    held = more & 0x73 | (more & 0x04) << 5 | state & 0x0C
    return held << 8 | call.load(bda.SHIFT_FLAGS)


def _set_rate(call: BiosCall) -> None:
    """AL=05h: BH is the delay (250 ms each, less one), BL the rate, as the keyboard numbers them."""
    if call.al != 0x05 or call.bh > 3 or call.bl > 0x1F:
        call.tell(f"the guest called the BIOS: INT 16h with AX={call.ax:04X}h, BX={call.bx:04X}h; this is not modelled")
        return
    replies = command_keyboard(call.guest, SET_RATE, call.bh << 5 | call.bl)
    if replies != [ACK, ACK]:
        call.tell("the keyboard does not take the repeat rate that the guest sets with INT 16h, AH=03h")
