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
            console.print(_rich(block))


def _rich(block: Text | Table) -> Any:
    from rich import box
    from rich import table as rich_table
    from rich import text as rich_text

    if isinstance(block, Text):
        return rich_text.Text(block.text.removesuffix("\n"), style=STYLES[block.tone])
    table = rich_table.Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in block.columns:
        # Addresses and sizes are read as a whole; words may be broken where the terminal is narrow.
        is_whole = name in block.numbers or name in ("virtual", "physical", "rights", "selector")
        table.add_column(name, justify="right" if name in block.numbers else "left", no_wrap=is_whole, overflow="fold")
    for row in block.rows:
        table.add_row(*(rich_text.Text(cell) for cell in row.cells), style=STYLES[row.tone])
    return table


def _ended(text: str) -> str:
    return text if text.endswith("\n") or not text else f"{text}\n"
