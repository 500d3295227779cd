"""What a PS/2 keyboard sends for each key, in scan code sets 1 and 2, and the table that turns one into the other.

A key's *make* code is one byte, or 0xE0 and one byte.  Its *break* code is, in set 1, the same with bit 7 of the last
byte set; in set 2, the same with 0xF0 before the last byte:

>>> make_code("a", 2).hex(" "), break_code("a", 2).hex(" ")
('1c', 'f0 1c')
>>> make_code("up", 1).hex(" "), break_code("up", 1).hex(" ")
('e0 48', 'e0 c8')

Print Screen and Pause are different; see `PRINT_SCREEN` and `PAUSE`.

Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboards (101- and 102-Key)", "Scan Codes"; Microsoft
Keyboard Scan Code Specification, "Scan Code Table" (Windows keys).
"""

from __future__ import annotations

_TABLE = r"""
    esc 01 76   f1 3b 05   f2 3c 06   f3 3d 04   f4 3e 0c   f5 3f 03   f6 40 0b   f7 41 83   f8 42 0a
    f9 43 01   f10 44 09   f11 57 78   f12 58 07   scrolllock 46 7e
    ` 29 0e   1 02 16   2 03 1e   3 04 26   4 05 25   5 06 2e   6 07 36   7 08 3d   8 09 3e   9 0a 46   0 0b 45
    - 0c 4e   = 0d 55   backspace 0e 66
    tab 0f 0d   q 10 15   w 11 1d   e 12 24   r 13 2d   t 14 2c   y 15 35   u 16 3c   i 17 43   o 18 44
    p 19 4d   [ 1a 54   ] 1b 5b   \ 2b 5d
    capslock 3a 58   a 1e 1c   s 1f 1b   d 20 23   f 21 2b   g 22 34   h 23 33   j 24 3b   k 25 42   l 26 4b
    ; 27 4c   ' 28 52   enter 1c 5a
    lshift 2a 12   z 2c 1a   x 2d 22   c 2e 21   v 2f 2a   b 30 32   n 31 31   m 32 3a   , 33 41   . 34 49
    / 35 4a   rshift 36 59   102nd 56 61
    lctrl 1d 14   lalt 38 11   space 39 29   ralt e038 e011   rctrl e01d e014   lwin e05b e01f   rwin e05c e027
    menu e05d e02f
    insert e052 e070   home e047 e06c   pageup e049 e07d   delete e053 e071   end e04f e069
    pagedown e051 e07a
    up e048 e075   left e04b e06b   down e050 e072   right e04d e074
    numlock 45 77   kp/ e035 e04a   kp* 37 7c   kp- 4a 7b   kp7 47 6c   kp8 48 75   kp9 49 7d   kpplus 4e 79
    kp4 4b 6b   kp5 4c 73   kp6 4d 74   kp1 4f 69   kp2 50 72   kp3 51 7a   kpenter e01c e05a   kp0 52 70
    kp. 53 71
"""
"""Key, make code in set 1, make code in set 2, row by row as on the keyboard."""

_FIELDS = _TABLE.split()
_MAKE = {
    key: (bytes.fromhex(first), bytes.fromhex(second))
    for key, first, second in zip(_FIELDS[::3], _FIELDS[1::3], _FIELDS[2::3], strict=True)
}

KEYS = frozenset(_MAKE) | {"printscreen", "pause"}
"""The names of all keys."""

BREAK_PREFIX = 0xF0
"""Comes before the last byte of a break code in set 2."""

_FROM_HEX = bytes.fromhex
PRINT_SCREEN = {
    1: (_FROM_HEX("e02ae037"), _FROM_HEX("e0b7e0aa")),
    2: (_FROM_HEX("e012e07c"), _FROM_HEX("e0f07ce0f012")),
}
"""Print Screen alone, (make, break) by set: the keyboard wraps it into a shift key."""
PRINT_SCREEN_SHIFTED = {1: (_FROM_HEX("e037"), _FROM_HEX("e0b7")), 2: (_FROM_HEX("e07c"), _FROM_HEX("e0f07c"))}
"""Print Screen while Shift or Ctrl is down."""
SYSTEM_REQUEST = {1: (b"\x54", b"\xd4"), 2: (b"\x84", b"\xf0\x84")}
"""Print Screen while Alt is down."""
PAUSE = {1: _FROM_HEX("e11d45e19dc5"), 2: _FROM_HEX("e11477e1f014f077")}
"""Pause: all of it comes at the press, nothing at the release."""
BREAK = {1: _FROM_HEX("e046e0c6"), 2: _FROM_HEX("e07ee0f07e")}
"""Pause while Ctrl is down, likewise."""

TRANSLATION = bytes.fromhex(
    "ff 43 41 3f 3d 3b 3c 58 64 44 42 40 3e 0f 29 59 65 38 2a 70 1d 10 02 5a 66 71 2c 1f 1e 11 03 5b "
    "67 2e 2d 20 12 05 04 5c 68 39 2f 21 14 13 06 5d 69 31 30 23 22 15 07 5e 6a 72 32 24 16 08 09 5f "
    "6b 33 25 17 18 0b 0a 60 6c 34 35 26 27 19 0c 61 6d 73 28 74 1a 0d 62 6e 3a 36 1c 1b 75 2b 63 76 "
    "55 56 77 78 79 7a 0e 7b 7c 4f 7d 4b 47 7e 7f 6f 52 53 50 4c 4d 48 01 45 57 4e 51 4a 37 49 46 54 "
) + bytes([0x80, 0x81, 0x82, 0x41, 0x54, *range(0x85, 0x100)])
"""What the keyboard controller makes of each byte of set 2.  Source: "Scan Code Translation"."""


def make_code(key: str, scancode_set: int) -> bytes:
    """The bytes that pressing `key` sends; `scancode_set` is 1 or 2.  `KeyError` for a name that is no key."""
    return _MAKE[key][scancode_set - 1]


def break_code(key: str, scancode_set: int) -> bytes:
    """The bytes that releasing `key` sends."""
    *prefix, last = make_code(key, scancode_set)
    return bytes([*prefix, last | 0x80] if scancode_set == 1 else [*prefix, BREAK_PREFIX, last])
