"""The tree of calls as a picture: a flame graph, drawn from the top down.

::

    [ everything                                       ]
    [ kernel_main                  ][ [interrupt 20h]  ]      as wide as what it took, with all that it called
    [ kmalloc      ][ printk ]      [ timer ]                 what a function has called stands below it

A click on a function makes it as wide as the picture (`profile.js`); without the script the picture is whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from zlib import crc32

from hillemu.inspection.views.html import text_html

if TYPE_CHECKING:
    from hillemu.profiling.run_profile import Branch

WIDTH, ROW_HEIGHT = 1200, 18
LEAST_SHARE = 0.0005
"""Of the whole: thinner ones are left out, with all that they have called."""
_LETTER_WIDTH = 6.6
_HUES = 5


def flame_graph(tree: Branch, unit: str) -> str:
    """The picture as an ``<svg>`` element; `unit` is what its widths are, as ``cycles``."""
    whole = tree.total.ticks
    if not whole:
        return '<p class="hint">nothing was executed</p>'
    boxes = list(_boxes(tree, 0, 0.0, 1.0, whole))
    rows = 1 + max(depth for depth, *_ in boxes)
    drawn = "".join(_drawn(depth, start, share, branch, whole, unit) for depth, start, share, branch in boxes)
    return (
        f'<svg class="flame" viewBox="0 0 {WIDTH} {rows * ROW_HEIGHT}" role="img" '
        f'xmlns="http://www.w3.org/2000/svg" aria-label="flame graph">{drawn}</svg>'
    )


def _boxes(
    branch: Branch, depth: int, start: float, share: float, whole: int
) -> Iterator[tuple[int, float, float, Branch]]:
    """(row, left edge, width, function) of all that is wide enough; edges and widths as parts of the whole."""
    waiting = [(branch, depth, start, share)]
    while waiting:
        branch, depth, start, share = waiting.pop()
        yield depth, start, share, branch
        for called in branch.branches:
            its_share = called.total.ticks / whole
            if its_share >= LEAST_SHARE:
                waiting.append((called, depth + 1, start, its_share))
            start += its_share


def _drawn(depth: int, start: float, share: float, branch: Branch, whole: int, unit: str) -> str:
    x, width, y = start * WIDTH, share * WIDTH, depth * ROW_HEIGHT
    letters = int((width - 6) / _LETTER_WIDTH)
    label = branch.name if len(branch.name) <= letters else f"{branch.name[: letters - 1]}…" if letters > 3 else ""
    title = (
        f"{branch.name}: {branch.total.ticks:,} {unit}, {100 * branch.total.ticks / whole:.2f}%; "
        f"its own {branch.own.ticks:,}; {branch.calls:,} calls"
    )
    return (
        f'<g data-x="{x:.3f}" data-w="{width:.3f}" data-d="{depth}"><title>{text_html(title)}</title>'
        f'<rect class="hue{crc32(branch.name.encode()) % _HUES}" x="{x:.3f}" y="{y}" width="{width:.3f}" '
        f'height="{ROW_HEIGHT - 1}"/><text x="{x + 3:.3f}" y="{y + 12}" data-name="{text_html(branch.name)}">'
        f"{text_html(label)}</text></g>"
    )
