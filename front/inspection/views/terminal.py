"""Results for people: coloured tables on a terminal, plain text in a pipe or a file.

One view's plain text is printed alone, so that ``hillemu inspect kernel.elf mem`` is what QEMU prints and nothing else;
several have a headline each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

from hillemu.inspection.views.shown import Shown, Table, Text, Tone

if TYPE_CHECKING:
    from rich.console import Console

STYLES = {
    Tone.PLAIN: "",
    Tone.GOOD: "green",
    Tone.FAINT: "dim",
    Tone.WARNING: "yellow",
    Tone.ERROR: "red",
    Tone.USER: "cyan",
}

_WHOLE = ("virtual", "physical", "rights", "selector")
_GAP = 2
"""Spaces between two columns, as in plain text."""
_EDGES = 2
"""Spaces to the left and to the right of a table."""


def show(results: Sequence[tuple[str, Shown]], out: TextIO) -> None:
    """Print titles and results to `out`."""
    if out.isatty():
        from rich.console import Console

        _show_richly(results, Console(file=out, highlight=False, emoji=False, markup=False))
        return
    for number, (title, shown) in enumerate(results):
        if len(results) > 1:
            out.write(("\n" if number else "") + f"== {title} ==\n")
        out.write(_ended(str(shown)))
    out.flush()


def _show_richly(results: Sequence[tuple[str, Shown]], console: Console) -> None:
    from rich.rule import Rule

    for title, shown in results:
        if len(results) > 1:
            console.print(Rule(title, align="left", style="bold"))
        for block in shown.blocks:
            if isinstance(block, Text):
                console.print(_rich_text(block))
            else:
                _show_table(block, console)


def _rich_text(block: Text) -> Any:
    from rich.text import Text as RichText

    return RichText(block.text.removesuffix("\n"), style=STYLES[block.tone])


def _show_table(block: Table, console: Console) -> None:
    """Print a table: if the terminal is narrow, cells are broken between words; if too narrow, it breaks the lines."""
    from rich import box
    from rich import table as rich_table
    from rich.text import Text as RichText

    widths = _widths(block, console.width)
    if widths is None:
        for line, tone in zip(str(block).splitlines(), (Tone.PLAIN, *(row.tone for row in block.rows)), strict=True):
            console.print(RichText(line, style=STYLES[tone]), soft_wrap=True)
        return
    table = rich_table.Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, _GAP - 1, 0, 0))
    for name, width in zip(block.columns, widths, strict=True):
        table.add_column(name, justify="right" if name in block.numbers else "left", width=width, overflow="fold")
    for row in block.rows:
        table.add_row(*(RichText(cell) for cell in row.cells), style=STYLES[row.tone])
    console.print(table)


def _widths(block: Table, room: int) -> list[int] | None:
    """The columns' widths in so many characters; `None` if that breaks words."""
    cells = list(zip(block.columns, *(row.cells for row in block.rows), strict=True))
    natural = [max(map(len, column)) for column in cells]
    least = [
        # Addresses and sizes are read as a whole.
        width if name in block.numbers or name in _WHOLE else max(len(word) for cell in column for word in cell.split())
        for name, width, column in zip(block.columns, natural, cells, strict=True)
    ]
    return share_out(natural, least, room - _EDGES - _GAP * (len(natural) - 1))


def share_out(natural: Sequence[int], least: Sequence[int], room: int) -> list[int] | None:
    """Widths of columns: what each would like, but the widest give way, down to the `least`, until all have `room`.

    >>> share_out([23, 30, 16], [23, 12, 16], 60)
    [23, 21, 16]
    >>> share_out([23, 30, 16], [23, 12, 16], 50)  # None
    """
    widths = list(natural)
    for _ in range(sum(natural) - room):
        yielding = [(width, at) for at, width in enumerate(widths) if width > least[at]]
        if not yielding:
            return None
        widths[max(yielding)[1]] -= 1
    return widths


def _ended(text: str) -> str:
    return text if text.endswith("\n") or not text else f"{text}\n"
