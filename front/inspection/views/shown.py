"""What a view gives back: tables and text for people, data for programs.

>>> table = Table(("virtual", "rights"), (Row(("0xC0000000", "-rwx")), Row(("0x0", "ur--"))))
>>> print(table)
virtual     rights
0xC0000000  -rwx
0x0         ur--
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple


class Tone(StrEnum):
    """How a row is meant; colours are the output's business."""

    PLAIN = "plain"
    GOOD = "good"
    FAINT = "faint"
    WARNING = "warning"
    ERROR = "error"
    USER = "user"


class Row(NamedTuple):
    """The cells of one row, in the order of the columns."""

    cells: tuple[str, ...]
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True)
class Table:
    """Named columns and their rows; the columns whose names are in `numbers` are set to the right."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    numbers: frozenset[str] = frozenset()

    def __str__(self) -> str:
        lines = [self.columns, *(row.cells for row in self.rows)]
        widths = [max(len(line[index]) for line in lines) for index in range(len(self.columns))]
        places = [
            (str.rjust if name in self.numbers else str.ljust, width)
            for name, width in zip(self.columns, widths, strict=True)
        ]
        return "\n".join(
            "  ".join(set_to(cell, width) for cell, (set_to, width) in zip(line, places, strict=True)).rstrip()
            for line in lines
        )


@dataclass(frozen=True)
class Text:
    """Lines to be shown as they are."""

    text: str
    tone: Tone = Tone.PLAIN

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Shown:
    """One view's answer: `blocks` from top to bottom, and the same as data that JSON can hold, made when it is wanted.

    A `content` that is called must not look at the machine, which may have gone on.  `has_errors` makes the command's
    exit status 1.
    """

    content: dict[str, Any] | Callable[[], dict[str, Any]]
    blocks: tuple[Text | Table, ...]
    has_errors: bool = False

    @property
    def data(self) -> dict[str, Any]:
        """All that was seen, for JSON."""
        return self.content() if callable(self.content) else self.content

    def __str__(self) -> str:
        return "\n".join(str(block).removesuffix("\n") for block in self.blocks)
