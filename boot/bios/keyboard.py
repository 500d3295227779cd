"""INT 09h: from the keyboard's scancodes to the key buffer.

::

    0x417  Ins Caps Num Scroll on | 3 Alt | 2 Ctrl | 1 left, 0 right Shift      0x418  the same keys, held; 3 Pause
    0x496  4 101 keys | 3, 2 right Alt, Ctrl held | 1 E0h, 0 E1h came last      0x497  2-0 lights | 4 acknowledged

The stub has read the byte and offered it to INT 15h, AH=4Fh; AL is what came back.  Special keys make the stub go on
elsewhere: Ctrl-Alt-Del to the reset, Ctrl-Break to INT 1Bh, PrtSc to INT 05h, SysReq to INT 15h, AH=85h, Pause to a
loop that waits for another key.

Source: IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 09h - Keyboard".
Not modelled: the beep when the buffer is full; INT 15h, AX=9102h, which tells of each key.
"""

from __future__ import annotations

from hillemu.boot.bios import bda
from hillemu.boot.bios.call import BiosCall
from hillemu.boot.bios.controller_8042 import ACK, RESEND, command_keyboard
from hillemu.boot.bios.key_codes import KEYPAD, KEYPAD_DIGITS, key_code
from hillemu.boot.bios.rom import AT

RIGHT_SHIFT, LEFT_SHIFT, CTRL, ALT = 0x01, 0x02, 0x04, 0x08
SCROLL_LOCK, NUM_LOCK, CAPS_LOCK, INSERT = 0x10, 0x20, 0x40, 0x80
"""Bits of `bda.SHIFT_FLAGS`."""
LEFT_CTRL, LEFT_ALT, SYSTEM_REQUEST, PAUSED = 0x01, 0x02, 0x04, 0x08
"""Bits of `bda.MORE_SHIFT_FLAGS`; its high half has held keys, in the place of their locks."""
E1_CAME, E0_CAME, RIGHT_CTRL, RIGHT_ALT = 0x01, 0x02, 0x04, 0x08
"""Bits of `bda.KEYBOARD_STATE`."""
LIGHTS, ACKNOWLEDGED, RESEND_ASKED = 0x07, 0x10, 0x20
"""Bits of `bda.KEYBOARD_LIGHTS`."""

WARM_RESET = 0x1234
SET_LIGHTS = 0xED

_BREAK = 0x80
_SHIFTS = {0x2A: LEFT_SHIFT, 0x36: RIGHT_SHIFT}
_LOCKS = {0x46: SCROLL_LOCK, 0x45: NUM_LOCK, 0x3A: CAPS_LOCK, 0x52: INSERT}
_CTRL_KEY, _ALT_KEY, _SYSTEM_REQUEST_KEY, _DELETE, _PRINT, _SCROLL, _NUM = 0x1D, 0x38, 0x54, 0x53, 0x37, 0x46, 0x45


def keyboard_interrupt(call: BiosCall) -> None:
    """The service of vector 09h."""
    if call.resumed:
        _wait_paused(call)
        return
    byte = call.al
    if byte in (ACK, RESEND):
        lights = call.load(bda.KEYBOARD_LIGHTS)
        call.store(bda.KEYBOARD_LIGHTS, lights | (ACKNOWLEDGED if byte == ACK else RESEND_ASKED))
        return
    state = call.load(bda.KEYBOARD_STATE)
    if byte in (0xE0, 0xE1):
        call.store(bda.KEYBOARD_STATE, state | (E0_CAME if byte == 0xE0 else E1_CAME))
        return
    extended = bool(state & E0_CAME)
    if state & E1_CAME and byte & 0x7F == _CTRL_KEY:
        return  # E1 1D 45, E1 9D C5: Pause
    call.store(bda.KEYBOARD_STATE, state & ~(E0_CAME | E1_CAME))
    if state & E1_CAME:
        if byte == _NUM:
            _pause(call)
    elif extended and byte & 0x7F in _SHIFTS:
        pass  # the false shifts that some keys of 101-key keyboards are wrapped in
    elif _modifier(call, byte & 0x7F, extended, down=not byte & _BREAK):
        _show_lights(call)
    elif not byte & _BREAK:
        _key(call, byte, extended)


# ---- keys that change what others mean ----------------------------------------------------------------------


def _modifier(call: BiosCall, key: int, extended: bool, *, down: bool) -> bool:
    """Note a key of the shift flags; whether it was one, and has no code besides."""
    if key in _SHIFTS:
        _hold(call, bda.SHIFT_FLAGS, _SHIFTS[key], down)
    elif key == _CTRL_KEY:
        _hold_left_or_right(call, extended, (LEFT_CTRL, RIGHT_CTRL), CTRL, down)
    elif key == _ALT_KEY:
        _hold_left_or_right(call, extended, (LEFT_ALT, RIGHT_ALT), ALT, down)
        if not down:
            _put_alt_number(call)
    elif key in _LOCKS and not (extended and key in (_SCROLL, _NUM)):
        return _lock(call, key, extended, down)
    elif key == _SYSTEM_REQUEST_KEY:
        if down != bool(call.load(bda.MORE_SHIFT_FLAGS) & SYSTEM_REQUEST):
            _hold(call, bda.MORE_SHIFT_FLAGS, SYSTEM_REQUEST, down)
            call.go_on_at(AT["keyboard_system_make" if down else "keyboard_system_break"])
    else:
        return False
    return True


def _hold(call: BiosCall, at: int, bit: int, down: bool) -> None:
    flags = call.load(at)
    call.store(at, flags | bit if down else flags & ~bit)


def _hold_left_or_right(call: BiosCall, right: bool, bits: tuple[int, int], common: int, down: bool) -> None:
    left_bit, right_bit = bits
    if right:
        _hold(call, bda.KEYBOARD_STATE, right_bit, down)
    else:
        _hold(call, bda.MORE_SHIFT_FLAGS, left_bit, down)
    held = call.load(bda.MORE_SHIFT_FLAGS) & left_bit or call.load(bda.KEYBOARD_STATE) & right_bit
    _hold(call, bda.SHIFT_FLAGS, common, bool(held))


def _lock(call: BiosCall, key: int, extended: bool, down: bool) -> bool:
    """A lock key toggles when it goes down, once; Insert has a code besides, and on the keypad may be a digit."""
    flags, bit = call.load(bda.SHIFT_FLAGS), _LOCKS[key]
    if bit == INSERT:
        shifted = bool(flags & (LEFT_SHIFT | RIGHT_SHIFT)) != bool(flags & NUM_LOCK)
        if flags & (ALT | CTRL) or (not extended and shifted):
            return False
    held = call.load(bda.MORE_SHIFT_FLAGS) & bit
    _hold(call, bda.MORE_SHIFT_FLAGS, bit, down)
    if down and not held:
        call.store(bda.SHIFT_FLAGS, flags ^ bit)
    return bit != INSERT


def _show_lights(call: BiosCall) -> None:
    wanted = call.load(bda.SHIFT_FLAGS) >> 4 & LIGHTS
    shown = call.load(bda.KEYBOARD_LIGHTS)
    if shown & LIGHTS != wanted:
        command_keyboard(call.guest, SET_LIGHTS, wanted)
        call.store(bda.KEYBOARD_LIGHTS, shown & ~LIGHTS | wanted)


# ---- keys with a code ---------------------------------------------------------------------------------------


def _key(call: BiosCall, key: int, extended: bool) -> None:
    flags, more = call.load(bda.SHIFT_FLAGS), call.load(bda.MORE_SHIFT_FLAGS)
    ctrl, alt, shift = bool(flags & CTRL), bool(flags & ALT), bool(flags & (LEFT_SHIFT | RIGHT_SHIFT))
    if key == _DELETE and ctrl and alt:
        call.store(bda.RESET_FLAG, WARM_RESET, 2)
        call.go_on_at(AT["keyboard_reset"])
    elif more & PAUSED:
        call.store(bda.MORE_SHIFT_FLAGS, more & ~PAUSED)
    elif key == _SCROLL and extended:
        _break(call)
    elif key == _PRINT and extended and not ctrl:
        call.go_on_at(AT["keyboard_print"])
    elif alt and key in KEYPAD_DIGITS and not extended:
        number = call.load(bda.ALT_NUMBER) * 10 + KEYPAD_DIGITS[key]
        call.store(bda.ALT_NUMBER, number)
    else:
        if alt:
            call.store(bda.ALT_NUMBER, 0)
        code = key_code(
            key,
            extended=extended and key != _PRINT,
            shift=shift,
            ctrl=ctrl,
            alt=alt,
            caps_lock=bool(flags & CAPS_LOCK),
            num_lock=bool(flags & NUM_LOCK) and key in KEYPAD,
        )
        if code is not None and not put_key(call, code):
            call.tell("the BIOS's key buffer is full: 15 keys wait for a guest that reads none, and others are lost")


def _put_alt_number(call: BiosCall) -> None:
    """A character typed as its number on the keypad, while Alt was down."""
    number = call.load(bda.ALT_NUMBER)
    if number and not call.load(bda.SHIFT_FLAGS) & ALT:
        call.store(bda.ALT_NUMBER, 0)
        put_key(call, number)


def _break(call: BiosCall) -> None:
    start = call.load(bda.KEYS_START, 2)
    call.store(bda.KEY_HEAD, start, 2)
    call.store(bda.KEY_TAIL, start, 2)
    call.store(bda.BREAK_SEEN, 0x80)
    put_key(call, 0)
    call.go_on_at(AT["keyboard_break"])


# ---- Pause --------------------------------------------------------------------------------------------------


def _pause(call: BiosCall) -> None:
    flags = call.load(bda.MORE_SHIFT_FLAGS)
    if not flags & PAUSED:
        call.store(bda.MORE_SHIFT_FLAGS, flags | PAUSED)
        call.go_on_at(AT["keyboard_pause"])


def _wait_paused(call: BiosCall) -> None:
    """The next key ends it, and is lost."""
    if not call.load(bda.MORE_SHIFT_FLAGS) & PAUSED:
        call.go_on_at(AT["keyboard_resumed"])
    elif not call.in_virtual_8086:
        call.go_on_at(AT["keyboard_paused_halted"])


def put_key(call: BiosCall, code: int) -> bool:
    """Put `code` at the end of the key buffer; whether there was room."""
    tail = call.load(bda.KEY_TAIL, 2)
    following = next_place(call, tail)
    if following == call.load(bda.KEY_HEAD, 2):
        return False
    call.store(0x400 + tail, code, 2)
    call.store(bda.KEY_TAIL, following, 2)
    return True


def next_place(call: BiosCall, place: int) -> int:
    """The place in the key buffer behind `place`; both are offsets in segment 40h."""
    following = place + 2
    return call.load(bda.KEYS_START, 2) if following >= call.load(bda.KEYS_END, 2) else following
