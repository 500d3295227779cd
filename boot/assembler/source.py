"""Source text: where a statement stands, and how lines fall apart into statements.

Raises `AssemblyError`, the only exception that a faulty source causes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hillemu.emu.errors import UserMistake


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file, and the chain of includes and expansions that led there."""

    file: str
    line: int
    outer: Place | None = None
    how: str = ""
    """What joins this place to `outer`, e.g. ``in macro `outb`, used at``."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def chain(self) -> str:
        """The way here, innermost first: ``in macro `outb`, used at demo.s:12; included from all.s:3``."""
        parts = []
        place = self
        while place.outer is not None:
            parts.append(f"{place.how} {place.outer}")
            place = place.outer
        return "; ".join(parts)

    @property
    def depth(self) -> int:
        return 0 if self.outer is None else 1 + self.outer.depth


class AssemblyError(UserMistake):
    """The source is wrong: ``file:line: fault (in macro ..., used at file:line)``."""

    def __init__(self, place: Place, fault: str) -> None:
        chain = place.chain
        super().__init__(f"{place}: {fault} ({chain})" if chain else f"{place}: {fault}")
        self.place = place
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, without comments and outer white space; labels are still in front of it."""

    text: str
    place: Place


def statements(text: str, file: str, outer: Place | None = None, how: str = "") -> Iterator[Statement]:
    """Split `text` at line ends and at ``;``, dropping ``#``, ``//`` and ``/* */`` comments.

    >>> [s.text for s in statements("start: nop  # idle\\n .ascii \\"a;b\\" ; hlt", "x.s")]
    ['start: nop', '.ascii "a;b"', 'hlt']
    """
    line = 1
    start = line
    piece: list[str] = []
    at = 0
    while at <= len(text):
        here = text[at : at + 1]
        if here in ("", "\n", ";"):
            if statement := "".join(piece).strip():
                yield Statement(statement, Place(file, start, outer, how))
            piece.clear()
            at += 1
            line += here == "\n"
            start = line
        elif here == "#" or text.startswith("//", at):
            end = text.find("\n", at)
            at = len(text) if end < 0 else end
        elif text.startswith("/*", at):
            end = text.find("*/", at + 2)
            if end < 0:
                raise AssemblyError(Place(file, line, outer, how), "`/*` without `*/`")
            line += text.count("\n", at, end)
            piece.append(" ")
            at = end + 2
        elif here == '"':
            end = string_end(text, at)
            if end < 0:
                raise AssemblyError(Place(file, line, outer, how), 'a string without its closing `"`')
            piece.append(text[at:end])
            at = end
        elif here == "'":
            end = character_end(text, at)
            piece.append(text[at:end])
            at = end
        else:
            piece.append(here)
            at += 1


def string_end(text: str, at: int) -> int:
    """Index behind the string literal that starts at `at`, or -1 when it does not end on its line."""
    end = at + 1
    while end < len(text) and text[end] not in '"\n':
        end += 2 if text[end] == "\\" else 1
    return end + 1 if text[end : end + 1] == '"' else -1


def character_end(text: str, at: int) -> int:
    """Index behind the character constant ``'x'``, ``'\\n'`` or (as GNU as has it) ``'x`` that starts at `at`."""
    end = at + (3 if text[at + 1 : at + 2] == "\\" else 2)
    return end + 1 if text[end : end + 1] == "'" else min(end, len(text))


def outside_quotes(text: str, at: int = 0) -> Iterator[tuple[int, str, int]]:
    """Walk `text` from `at` over what is outside strings and character constants.

    Yields (index, character, how many brackets are open behind it).

    >>> "".join(character for _, character, _ in outside_quotes('[a, "b,c"] + d'))
    '[a, ] + d'
    """
    depth = 0
    while at < len(text):
        here = text[at]
        if here == '"' and (end := string_end(text, at)) > 0:
            at = end
        elif here == "'":
            at = character_end(text, at)
        else:
            depth += (here in "([") - (here in ")]")
            yield at, here, depth
            at += 1


def split_arguments(text: str) -> list[str]:
    """Split at commas that are outside strings, character constants and brackets.

    >>> split_arguments("eax, dword ptr [ebx + 4], 'a', \\"x,y\\"")
    ['eax', 'dword ptr [ebx + 4]', "'a'", '"x,y"']
    """
    if not text.strip():
        return []
    parts: list[str] = []
    start = 0
    for at, here, depth in outside_quotes(text):
        if here == "," and depth == 0:
            parts.append(text[start:at].strip())
            start = at + 1
    parts.append(text[start:].strip())
    return parts


_ESCAPES = {"n": 10, "t": 9, "r": 13, "b": 8, "f": 12, "\\": 92, '"': 34, "'": 39}


def unescape(body: str) -> bytes:
    """The bytes that a literal's `body` stands for: C's escapes, ``\\x41`` and octal ``\\101``; text is UTF-8.

    Raises `ValueError` for an escape that does not exist.
    """
    out = bytearray()
    at = 0
    while at < len(body):
        here = body[at]
        at += 1
        if here != "\\":
            out += here.encode("utf-8")
            continue
        code = body[at : at + 1]
        if code in _ESCAPES:
            out.append(_ESCAPES[code])
            at += 1
            continue
        digits, limit, base = ("01234567", 3, 8)
        if code == "x":
            digits, limit, base = ("0123456789abcdefABCDEF", 2, 16)
            at += 1
        end = at
        while end < len(body) and end - at < limit and body[end] in digits:
            end += 1
        if end == at:
            raise ValueError(f"unknown escape `\\{code}`")
        out.append(int(body[at:end], base) & 0xFF)
        at = end
    return bytes(out)
