"""What a course's grade script asserts about text, and the colours in which it is told."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

COLORS = {"default": "\033[0m", "red": "\033[31m", "green": "\033[32m"}
CONTEXT_LINES = 2
"""Lines shown around one that matched."""
LAST_LINES = 5
"""Lines shown of the end when something is missing."""

SHOWN_CHARACTERS = 200
"""Of a line."""


class Palette:
    """Whether colours are used: ``never``, ``always``, or ``auto`` for a terminal."""

    def __init__(self) -> None:
        self.when = "auto"

    def color(self, name: str, text: str) -> str:
        """`text` in the colour `name` of `COLORS`."""
        if self.when == "always" or (self.when == "auto" and os.isatty(1)):
            return COLORS[name] + text + COLORS["default"]
        return text


PALETTE = Palette()


def assert_equal(got: object, expect: object, msg: str = "") -> None:
    """Raise `AssertionError` that shows both, below `msg`, unless `got` equals `expect`."""
    if got != expect:
        shown = [f"{what}:\n{_indented(str(value))}" for what, value in (("got", got), ("expected", expect))]
        raise AssertionError("\n".join([*([msg] if msg else []), *shown]))


def assert_lines_match(text: str, *regexps: str, no: Sequence[str] = ()) -> None:
    """Each of `regexps` must match the beginning of some line of `text`, in any order, and none of `no` may.

    A line may be matched by several.  Raises `AssertionError` with the lines in question and their surroundings.
    """
    # What a guest prints may be anything, and is shown on a terminal.
    lines = text.splitlines()
    missing = list(regexps)
    good, bad = set(), set()
    for number, line in enumerate(lines):
        left = [regexp for regexp in missing if not re.match(regexp, line)]
        if len(left) < len(missing):
            good.add(number)
        missing = left
        if any(re.match(regexp, line) for regexp in no):
            bad.add(number)
    if not missing and not bad:
        return
    told = _excerpt(lines, good, bad, to_the_end=bool(missing))
    if bad:
        told.append("unexpected lines in output")
    told += [f"{PALETTE.color('red', 'MISSING')} {regexp!r}" for regexp in missing]
    raise AssertionError("\n".join(told))


def printable(text: str) -> str:
    r"""`text` without what a terminal would obey: every control character but the tab becomes an escape.

    >>> printable("\x1b[2JScore: 100/100\r")
    '\\x1b[2JScore: 100/100\\x0d'
    """
    return "".join(c if c.isprintable() or c == "\t" else f"\\x{ord(c):02x}" for c in text)


def shortened(text: str, most: int = SHOWN_CHARACTERS) -> str:
    """At most so many characters of `text`: a kernel may print a line of a million."""
    return text if len(text) <= most else text[:most] + "..."


def _excerpt(lines: list[str], good: set[int], bad: set[int], *, to_the_end: bool) -> list[str]:
    """The `good` and `bad` lines, those around them, and the last ones if wanted; dots where lines are left out."""
    shown = {line + away for line in good | bad for away in range(-CONTEXT_LINES, CONTEXT_LINES + 1)}
    if to_the_end:
        shown |= set(range(len(lines) - LAST_LINES, len(lines)))
    told: list[str] = []
    previous = -1
    for number in sorted(shown & set(range(len(lines)))):
        if number != previous + 1:
            told.append("...")
        previous = number
        mark = "    "
        if number in bad:
            mark = PALETTE.color("red", "BAD ")
        elif number in good:
            mark = PALETTE.color("green", "GOOD")
        told.append(f"{mark} {shortened(printable(lines[number]))}")
    if previous != len(lines) - 1:
        told.append("...")
    return told


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.split("\n"))
