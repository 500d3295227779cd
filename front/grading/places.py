"""Where in a TOML file a key stands.  `tomllib` tells that only of syntax errors.

>>> lines = ["title = 'Lab'", "[[check]]", "name = 'a'", "[[check]]", "serial = [", "'name = 0',", "]", "points = 5"]
>>> places = Places("\\n".join(lines))
>>> places.line("check", 1, "points"), places.line("check", 1), places.line("check", 0, "nothing")
(8, 4, 2)
"""

from __future__ import annotations

import re

_HEADER = re.compile(r"\s*(\[\[?)([^\[\]]+)\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")
_TOKEN = re.compile(r'"""|\'\'\'|"(?:\\.|[^"\\])*"|\'[^\']*\'|#.*|[\[\]{}]', re.DOTALL)

Step = str | int


class Places:
    """The lines of the keys and tables of `text`, which is valid TOML."""

    def __init__(self, text: str) -> None:
        self._lines: dict[tuple[Step, ...], int] = {}
        table: tuple[Step, ...] = ()
        counts: dict[tuple[Step, ...], int] = {}
        depth, quote = 0, ""
        for number, line in enumerate(text.split("\n"), 1):
            if not depth and not quote:
                if header := _HEADER.match(line):
                    table = self._table(_parts(header[2]), counts, is_array=header[1] == "[[")
                    self._lines.setdefault(table, number)
                    continue
                if key := _KEY.match(line):
                    for length in range(len(table) + 1, len(table) + 1 + len(_parts(key[1]))):
                        self._lines.setdefault((*table, *_parts(key[1]))[:length], number)
            depth, quote = _inside(line, depth, quote)

    def line(self, *path: Step) -> int:
        """The line of what is at `path` (keys, and positions in arrays of tables), or of the nearest that holds it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._lines:
                return self._lines[path[:length]]
        return 1

    @staticmethod
    def _table(names: tuple[str, ...], counts: dict[tuple[Step, ...], int], *, is_array: bool) -> tuple[Step, ...]:
        path: tuple[Step, ...] = ()
        for place, name in enumerate(names, 1):
            path = (*path, name)
            if is_array and place == len(names):
                counts[path] = counts.get(path, -1) + 1
            if path in counts:
                path = (*path, counts[path])
        return path


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


def _inside(line: str, depth: int, quote: str) -> tuple[int, str]:
    """How many brackets are open after `line`, and the quote of a string of several lines, if one is."""
    at = 0
    while at < len(line):
        if quote:
            end = line.find(quote, at)
            if end < 0:
                return depth, quote
            at, quote = end + 3, ""
            continue
        token = _TOKEN.search(line, at)
        if token is None:
            return depth, ""
        at = token.end()
        if token[0] in ('"""', "'''"):
            quote = token[0]
        elif token[0] in "[{":
            depth += 1
        elif token[0] in "]}":
            depth -= 1
    return depth, quote
