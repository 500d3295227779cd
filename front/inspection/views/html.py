"""Pieces of a page in HTML that is XML, too: tables, legends, text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from hillemu.inspection.views.shown import Table, Text, Tone


def block_html(block: Text | Table) -> str:
    """A text or a table of a view, in the colours of its tones."""
    if isinstance(block, Text):
        tone = "" if block.tone is Tone.PLAIN else f' class="{block.tone}"'
        return f"<pre{tone}>{text_html(block.text)}</pre>"
    numbers = [name in block.numbers for name in block.columns]
    rows = "".join(row_html(row.cells, f'class="{row.tone}"', numbers) for row in block.rows)
    return f'<div class="scrolls"><table>{head_html(block.columns, numbers)}<tbody>{rows}</tbody></table></div>'


def head_html(names: Sequence[str], numbers: Sequence[bool] = ()) -> str:
    """A table's head; `numbers` tells which columns are set to the right."""
    right = [*numbers, *[False] * (len(names) - len(numbers))]
    columns = "".join(
        f'<th class="number">{text_html(name)}</th>' if is_number else f"<th>{text_html(name)}</th>"
        for name, is_number in zip(names, right, strict=True)
    )
    return f"<thead><tr>{columns}</tr></thead>"


def row_html(cells: Sequence[str], attributes: str = "", numbers: Sequence[bool] = ()) -> str:
    """A row with such `attributes` of its own."""
    right = [*numbers, *[False] * (len(cells) - len(numbers))]
    columns = "".join(
        f'<td class="number">{text_html(cell)}</td>' if is_number else f"<td>{text_html(cell)}</td>"
        for cell, is_number in zip(cells, right, strict=True)
    )
    return f"<tr {attributes}>{columns}</tr>"


def legend_html(items: Iterable[tuple[str, str]]) -> str:
    """What the colours mean: (CSS class, words)."""
    entries = "".join(
        f'<li><svg viewBox="0 0 12 12"><rect class="{kind}" width="12" height="12"/></svg>{text_html(words)}</li>'
        for kind, words in items
    )
    return f'<ul class="legend">{entries}</ul>'


def text_html(text: str) -> str:
    """`text` for HTML and XML both: control characters, which neither allows, as escapes.

    So are the bytes of a file's name that are no UTF-8, which are surrogates in Python:

    >>> text_html("k\\udcff<1>")
    'k\\\\xff&lt;1&gt;'
    """
    return escape("".join(one if _is_plain(one) else f"\\x{ord(one) & 0xFF:02x}" for one in text))


def _is_plain(one: str) -> bool:
    return (one >= " " or one in "\n\t") and not "\ud800" <= one <= "\udfff"
