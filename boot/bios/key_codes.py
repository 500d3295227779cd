"""What a key puts into the key buffer: scan code in the high byte, character in the low one.

A row is a make code of set 1 and what the key gives alone, with Shift, with Ctrl and with Alt; ``-`` is nothing.
The character F0h marks what the functions for 84 keys must not see, E0h what only 101 keys have:

>>> f"{key_code(0x1E, shift=True):04X}", f"{key_code(0x48, extended=True):04X}"
('1E41', '48E0')
>>> key_code(0x1D) is None
True

Source: IBM PS/2 and PC BIOS Interface Technical Reference, "Keyboard Scan Codes/ASCII Values"; Ralf Brown's Interrupt
List, table 00006.
"""

from __future__ import annotations

_KEYS = """
    01 011B 011B 011B 01F0   02 0231 0221 -    7800   03 0332 0340 0300 7900   04 0433 0423 -    7A00
    05 0534 0524 -    7B00   06 0635 0625 -    7C00   07 0736 075E 071E 7D00   08 0837 0826 -    7E00
    09 0938 092A -    7F00   0A 0A39 0A28 -    8000   0B 0B30 0B29 -    8100   0C 0C2D 0C5F 0C1F 8200
    0D 0D3D 0D2B -    8300   0E 0E08 0E08 0E7F 0EF0   0F 0F09 0F00 9400 A500
    10 1071 1051 1011 1000   11 1177 1157 1117 1100   12 1265 1245 1205 1200   13 1372 1352 1312 1300
    14 1474 1454 1414 1400   15 1579 1559 1519 1500   16 1675 1655 1615 1600   17 1769 1749 1709 1700
    18 186F 184F 180F 1800   19 1970 1950 1910 1900   1A 1A5B 1A7B 1A1B 1AF0   1B 1B5D 1B7D 1B1D 1BF0
    1C 1C0D 1C0D 1C0A 1CF0
    1E 1E61 1E41 1E01 1E00   1F 1F73 1F53 1F13 1F00   20 2064 2044 2004 2000   21 2166 2146 2106 2100
    22 2267 2247 2207 2200   23 2368 2348 2308 2300   24 246A 244A 240A 2400   25 256B 254B 250B 2500
    26 266C 264C 260C 2600   27 273B 273A -    27F0   28 2827 2822 -    28F0   29 2960 297E -    29F0
    2B 2B5C 2B7C 2B1C 2BF0
    2C 2C7A 2C5A 2C1A 2C00   2D 2D78 2D58 2D18 2D00   2E 2E63 2E43 2E03 2E00   2F 2F76 2F56 2F16 2F00
    30 3062 3042 3002 3000   31 316E 314E 310E 3100   32 326D 324D 320D 3200   33 332C 333C -    33F0
    34 342E 343E -    34F0   35 352F 353F -    35F0   37 372A 372A 9600 37F0   39 3920 3920 3920 3920
    3B 3B00 5400 5E00 6800   3C 3C00 5500 5F00 6900   3D 3D00 5600 6000 6A00   3E 3E00 5700 6100 6B00
    3F 3F00 5800 6200 6C00   40 4000 5900 6300 6D00   41 4100 5A00 6400 6E00   42 4200 5B00 6500 6F00
    43 4300 5C00 6600 7000   44 4400 5D00 6700 7100   57 8500 8700 8900 8B00   58 8600 8800 8A00 8C00
    47 4700 4737 7700 -      48 4800 4838 8D00 -      49 4900 4939 8400 -      4A 4A2D 4A2D 8E00 4AF0
    4B 4B00 4B34 7300 -      4C 4CF0 4C35 8F00 -      4D 4D00 4D36 7400 -      4E 4E2B 4E2B 9000 4EF0
    4F 4F00 4F31 7500 -      50 5000 5032 9100 -      51 5100 5133 7600 -      52 5200 5230 9200 -
    53 5300 532E 9300 -      56 565C 567C -    -
"""
_EXTENDED_KEYS = """
    1C E00D E00D E00A A600   35 E02F E02F 9500 A400
    47 47E0 47E0 77E0 9700   48 48E0 48E0 8DE0 9800   49 49E0 49E0 84E0 9900   4B 4BE0 4BE0 73E0 9B00
    4D 4DE0 4DE0 74E0 9D00   4F 4FE0 4FE0 75E0 9F00   50 50E0 50E0 91E0 A000   51 51E0 51E0 76E0 A100
    52 52E0 52E0 92E0 A200   53 53E0 53E0 93E0 A300
"""
"""The same for keys that send E0h first."""

Row = tuple[int | None, ...]


def _rows(text: str) -> dict[int, Row]:
    fields = text.split()
    return {
        int(fields[at], 16): tuple(None if code == "-" else int(code, 16) for code in fields[at + 1 : at + 5])
        for at in range(0, len(fields), 5)
    }


_PLAIN, _EXTENDED = _rows(_KEYS), _rows(_EXTENDED_KEYS)

KEYPAD = frozenset(range(0x47, 0x54)) - {0x4A, 0x4E}
"""Keys that Num Lock turns into digits."""
KEYPAD_DIGITS = {0x52: 0, 0x4F: 1, 0x50: 2, 0x51: 3, 0x4B: 4, 0x4C: 5, 0x4D: 6, 0x47: 7, 0x48: 8, 0x49: 9}
_LETTERS = frozenset((*range(0x10, 0x1A), *range(0x1E, 0x27), *range(0x2C, 0x33)))


def key_code(
    scancode: int,
    *,
    extended: bool = False,
    shift: bool = False,
    ctrl: bool = False,
    alt: bool = False,
    caps_lock: bool = False,
    num_lock: bool = False,
) -> int | None:
    """The code of a key that goes down, `None` if it has none; Alt goes before Ctrl, and Ctrl before Shift."""
    row = (_EXTENDED if extended else _PLAIN).get(scancode)
    if row is None:
        return None
    if not extended and ((caps_lock and scancode in _LETTERS) or (num_lock and scancode in KEYPAD)):
        shift = not shift
    return row[3 if alt else 2 if ctrl else 1 if shift else 0]


def for_84_keys(code: int) -> int | None:
    """What INT 16h's functions for 84 keys make of `code`; `None` if they must not see it.

    >>> f"{for_84_keys(0x48E0):04X}", f"{for_84_keys(0xE00D):04X}", for_84_keys(0x8500)
    ('4800', '1C0D', None)
    """
    scancode, character = code >> 8, code & 0xFF
    if scancode == 0xE0:
        return (0x1C00 if character in (0x0D, 0x0A) else 0x3500) | character
    if scancode > 0x84 or (character == 0xF0 and scancode):
        return None
    return scancode << 8 if character == 0xE0 and scancode else code


def for_101_keys(code: int) -> int:
    """What INT 16h's functions for 101 keys make of `code`: all is seen, and F0h is no character."""
    return code & 0xFF00 if code & 0xFF == 0xF0 and code >> 8 else code
