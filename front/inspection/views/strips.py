"""An address space as a strip of rectangles in SVG, which a little script (`page.js`) zooms.

::

    0        1 GiB      2 GiB      3 GiB      4 GiB
    |----------|----------|----------|----------|
    [###]                            [####][#]         one rectangle a run, at least 1.5 units wide
    ^ the whole picture is WIDTH x HEIGHT units; every rectangle has data-a and data-b, its bytes

Without the script the picture is whole and right, only not zoomable.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 1200, 110
_TOP, _BAR_HEIGHT = 8, 62
_LEAST_WIDTH = 1.5
_TICKS = 8
MOST_BARS = 5000
"""A garbage space may have a million runs; a browser draws so many at once. The smallest of more are left out."""


class Bar(NamedTuple):
    """Bytes `start` up to `end`, drawn in the colours of class `kind`; `title` shows under the pointer.

    They begin at physical `phys`: what shares physical memory with them lights up with them, in all strips.
    """

    start: int
    end: int
    kind: str
    title: str
    phys: int


def strip(name: str, end: int, bars: Sequence[Bar]) -> str:
    """The picture called `name` of addresses from 0 to `end`, as an ``<svg>`` element."""
    shown = bars
    if len(bars) > MOST_BARS:
        kept = sorted(range(len(bars)), key=lambda index: bars[index].start - bars[index].end)[:MOST_BARS]
        shown = [bars[index] for index in sorted(kept)]
    return (
        f'<svg class="strip" id="{escape(name)}" data-end="{end}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'xmlns="http://www.w3.org/2000/svg" aria-label="{escape(name)}">'
        f'<rect class="nothing" x="0" y="{_TOP}" width="{WIDTH}" height="{_BAR_HEIGHT}"/>'
        f"<g>{''.join(_rectangles(shown, end))}</g>"
        f'<g class="ticks">{"".join(_ticks(end))}</g></svg>'
    )


def _rectangles(bars: Iterable[Bar], end: int) -> Iterable[str]:
    for bar in bars:
        x = bar.start / end * WIDTH
        width = max((bar.end - bar.start) / end * WIDTH, _LEAST_WIDTH)
        yield (
            f'<rect class="{bar.kind}" data-a="{bar.start}" data-b="{bar.end}" data-p="{bar.phys}" '
            f'x="{x:.2f}" y="{_TOP}" width="{width:.2f}" height="{_BAR_HEIGHT}">'
            f"<title>{escape(bar.title)}</title></rect>"
        )


def _ticks(end: int) -> Iterable[str]:
    for number in range(_TICKS + 1):
        x = WIDTH * number / _TICKS
        anchor = "start" if not number else "end" if number == _TICKS else "middle"
        at = end * number // _TICKS
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP + _BAR_HEIGHT}" y2="{_TOP + _BAR_HEIGHT + 8}"/>'
        yield f'<text x="{x:.1f}" y="{HEIGHT - 14}" text-anchor="{anchor}">0x{at:08X}</text>'
