"""What the guest must have said: a matcher for `machine.serial.text`, and any other text.

>>> "paging on\\nheap on\\n" == prints("paging on", r"heap o.")
True
>>> print(*prints("heap", "paging on").explain("paging on\\nheap on\\n"), sep="\\n")
'paging on' does not come behind 'heap' in line 2
the nearest is line 1: 'paging on'
the end of the text:
  | paging on
  | heap on
"""

from __future__ import annotations

import re
from typing import NamedTuple

from hillemu.emu.errors import OptionError
from hillemu.testing.sections import printable, text_lines
from hillemu.watch import text_pattern

SHOWN_LINES = 3
LOOKED_AT_LINES = 1000
SHOWN_CHARACTERS = 80


class _Search(NamedTuple):
    """How far the patterns were found: their ends; the first that was not."""

    ends: list[int]
    missing: str | None


class prints:  # noqa: N801 - it reads as a word of the assertion
    """Equals every text in which all `patterns` come in this order.

    They are regular expressions; ``^`` and ``$`` match at lines.  Raises `OptionError` for a
    pattern that is none.
    """

    def __init__(self, *patterns: str | re.Pattern[str]) -> None:
        if not patterns:
            raise OptionError("prints", "say what: prints('init done')")
        self.patterns = [text_pattern(pattern, "prints") for pattern in patterns]

    def __eq__(self, other: object) -> bool:
        return self._search(other).missing is None if isinstance(other, str) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def explain(self, text: str) -> list[str]:
        """Why `text` does not match; empty if it does."""
        found = self._search(text)
        if found.missing is None:
            return []
        place = ""
        if found.ends:
            line = text.count("\n", 0, found.ends[-1]) + 1
            place = f" behind {self.patterns[len(found.ends) - 1].pattern!r} in line {line}"
        lines = [f"{found.missing!r} does not come{place}", *_nearest(found.missing, text)]
        if not text:
            lines.append("the text is empty")
        else:
            lines += ["the end of the text:", *(f"  | {_shortened(line)}" for line in text_lines(text)[-SHOWN_LINES:])]
        return lines

    def _search(self, text: str) -> _Search:
        ends: list[int] = []
        for pattern in self.patterns:
            match = pattern.search(text, ends[-1] if ends else 0)
            if match is None:
                return _Search(ends, pattern.pattern)
            ends.append(match.end())
        return _Search(ends, None)

    def __repr__(self) -> str:
        return f"prints({', '.join(repr(pattern.pattern) for pattern in self.patterns)})"


def _nearest(pattern: str, text: str) -> list[str]:
    """Which line looks most like `pattern`, if any does."""
    import difflib

    lines = text.split("\n")
    near = difflib.get_close_matches(pattern, lines[-LOOKED_AT_LINES:], n=1, cutoff=0.5)
    return [f"the nearest is line {lines.index(near[0]) + 1}: {_shortened(near[0])!r}"] if near else []


def _shortened(line: str) -> str:
    line = printable(line)
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]}..."
