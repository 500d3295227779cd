"""The BIOS's fonts: code page 437, 8 wide, and 8, 14 or 16 lines high.

>>> print(*(f"{line:08b}".translate({48: "-", 49: "#"}) for line in font(8)[8 * ord("A"):][:8]), sep="\\n")
---##---
--####--
-##--##-
-##--##-
-######-
-##--##-
-##--##-
--------

Letters and signs are drawn (`font_letters`); accented letters are put together, lines, boxes and blocks calculated::

    single lines are two pixels thick, double ones two of one pixel with two between:
    16 lines: 7-8, or 6 and 9    8 lines: 3-4, or 2 and 5    columns: 3-4, or 2 and 5
"""

from __future__ import annotations

from functools import cache

GLYPHS = 256
HEIGHTS = (8, 14, 16)

CODES = " ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼" + bytes(range(32, 256)).decode("cp437").replace("\x7f", "⌂")
"""The character of each code."""

ACCENTED = {
    "Ç": "C¸", "ü": "u¨", "é": "e´", "â": "a^", "ä": "a¨", "à": "a`", "å": "a°", "ç": "c¸", "ê": "e^", "ë": "e¨",
    "è": "e`", "ï": "ı¨", "î": "ı^", "ì": "ı`", "Ä": "A¨", "Å": "A°", "É": "E´", "ô": "o^", "ö": "o¨", "ò": "o`",
    "û": "u^", "ù": "u`", "ÿ": "y¨", "Ö": "O¨", "á": "a´", "í": "ı´", "ó": "o´", "ú": "u´", "ñ": "n~",
    "Ñ": "N~",
}  # fmt: skip
"""Letter and accent."""

ACCENTS = {
    "¨": ("006666", "66"),
    "´": ("0C1830", "0C18"),
    "`": ("30180C", "3018"),
    "^": ("183C66", "1866"),
    "°": ("182418", "1824"),
    "~": ("003B6E", "76"),
    "¸": ("180C38", "1830"),
}
"""The lines of an accent, for 16 and for 8 lines; the cedilla hangs below, all others stand above."""
ACCENT_TOP, CEDILLA_TOP, SMALL_CEDILLA_TOP = 1, 12, 6
LOW_CAPITAL = (0, 1, 2, 4, 5, 6, 8, 9)
"""Which lines a capital keeps under an accent, of its ten."""
SMALL_LOW_CAPITAL = (0, 1, 2, 3, 5, 6)
"""The same of seven; there is only one line left for the accent."""

# Left, right, up, down: 0 nothing, 1 a single line, 2 a double one.
BOXES = {
    "│": "0011", "┤": "1011", "╡": "2011", "╢": "1022", "╖": "1002", "╕": "2001", "╣": "2022", "║": "0022",
    "╗": "2002", "╝": "2020", "╜": "1020", "╛": "2010", "┐": "1001", "└": "0110", "┴": "1110", "┬": "1101",
    "├": "0111", "─": "1100", "┼": "1111", "╞": "0211", "╟": "0122", "╚": "0220", "╔": "0202", "╩": "2220",
    "╦": "2202", "╠": "0222", "═": "2200", "╬": "2222", "╧": "2210", "╨": "1120", "╤": "2201", "╥": "1102",
    "╙": "0120", "╘": "0210", "╒": "0201", "╓": "0102", "╫": "1122", "╪": "2211", "┘": "1010", "┌": "0101",
}  # fmt: skip
SHADES = {"░": (0x22, 0x88), "▒": (0x55, 0xAA), "▓": (0xDD, 0x77)}
"""Even and odd lines."""


@cache
def font(height: int) -> bytes:
    """The font of `height` lines: for each of 256 codes its lines from the top, the leftmost pixel the highest bit.

    Raises `KeyError` for a height that is not in `HEIGHTS`.
    """
    if height == 14:
        # The text stands in lines 2-13 of 16; lines and boxes reach the edges anyway.
        tall = font(16)
        return b"".join(tall[at + 1 : at + 15] for at in range(0, len(tall), 16))
    drawn = _drawn(height)
    return b"".join(bytes(_glyph(character, height, drawn)) for character in CODES)


def _drawn(height: int) -> dict[str, bytes]:
    """What `font_letters` holds: all lines of each character."""
    from hillemu.boot.bios.font_letters import DRAWN

    column = {16: 1, 8: 2}[height]
    glyphs = {}
    for row in DRAWN.strip().splitlines():
        fields = row.split(" ")
        top, _, lines = fields[column].partition(":")
        glyphs[fields[0]] = (bytes(int(top)) + bytes.fromhex(lines)).ljust(height, b"\0")
    return glyphs


def _glyph(character: str, height: int, drawn: dict[str, bytes]) -> bytes | list[int]:
    if character in drawn:
        return drawn[character]
    if character in ACCENTED:
        letter, accent = tuple(ACCENTED[character])
        return _accented(letter, accent, height, drawn)
    if character in BOXES:
        left, right, up, down = (int(kind) for kind in BOXES[character])
        return _box(left, right, up, down, height)
    if character in SHADES:
        return [SHADES[character][line & 1] for line in range(height)]
    upper, lower, left_half, right_half = {
        "█": (1, 1, 1, 1),
        "▄": (0, 1, 1, 1),
        "▀": (1, 0, 1, 1),
        "▌": (1, 1, 1, 0),
    }.get(character, (1, 1, 0, 1) if character == "▐" else (0, 0, 0, 0))
    pattern = 0xF0 * left_half | 0x0F * right_half
    return [pattern * upper] * (height // 2) + [pattern * lower] * (height // 2)


def _accented(letter: str, accent: str, height: int, drawn: dict[str, bytes]) -> list[int]:
    tall = height == 16
    mark = bytes.fromhex(ACCENTS[accent][0 if tall else 1])
    lines = list(_dotless(drawn["i"], tall) if letter == "ı" else drawn[letter])
    if accent == "¸":
        top = CEDILLA_TOP if tall else SMALL_CEDILLA_TOP
    else:
        top = ACCENT_TOP if tall else 0
        if letter.isupper():
            first, kept = (2, LOW_CAPITAL) if tall else (0, SMALL_LOW_CAPITAL)
            low = [lines[first + line] for line in kept]
            bottom = 12 if tall else 7
            lines = [0] * (bottom - len(low)) + low + [0] * (height - bottom)
            top, mark = 0, mark if tall else mark[:1]
    for line, dots in enumerate(mark, top):
        lines[line] |= dots
    return lines


def _dotless(glyph: bytes, tall: bool) -> bytes:
    dot_lines = 4 if tall else 1
    return bytes(dot_lines) + glyph[dot_lines:]


def _box(left: int, right: int, up: int, down: int, height: int) -> list[int]:
    """Four arms that meet in the middle; each runs from the edge to the line where it ends."""
    lines = [0] * height
    for kind, opposite, sides, direction in (
        (left, right, (up, down), "left"),
        (right, left, (up, down), "right"),
        (up, down, (left, right), "up"),
        (down, up, (left, right), "down"),
    ):
        vertical = direction in ("up", "down")
        length, breadth = (height, 8) if vertical else (8, height)
        for across, last in _strokes(kind, opposite, sides, length // 2, breadth // 2):
            for along in range(last + 1):
                place = along if direction in ("left", "up") else length - 1 - along
                line, column = (place, across) if vertical else (across, place)
                lines[line] |= 0x80 >> column
    return lines


def _strokes(
    kind: int, opposite: int, sides: tuple[int, int], middle: int, across_middle: int
) -> list[tuple[int, int]]:
    """(place across the arm, last place along it) of each line of an arm of `kind`."""
    near, end, far = middle - 2, middle, middle + 1
    if kind == 1:
        ends_between = sides == (2, 2) and not opposite
        last = near if ends_between else far if 2 in sides and sides != (2, 2) else end
        return [(across_middle - 1, last), (across_middle, last)]
    if kind == 2:
        pairs = ((across_middle - 2, *sides), (across_middle + 1, *sides[::-1]))
        return [
            (across, near if this_side == 2 else far if other_side == 2 else end)
            for across, this_side, other_side in pairs
        ]
    return []
