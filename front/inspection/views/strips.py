"""An address space as a strip of rectangles in SVG, which a little script (`page.js`) zooms.

::

    0        1 GiB      2 GiB      3 GiB      4 GiB
    |----------|----------|----------|----------|
    [###]                            [####][#]         one rectangle a run, at least 1.5 units wide
    ^ the whole picture is WIDTH x HEIGHT units; every rectangle has data-a and data-b, its bytes

Without the script the picture is whole and right, only not zoomable.  A kernel that maps little shows as slivers there,
so `folded` draws the same runs side by side::

    [ 4 KiB ]|[   1 MiB    ]|[       60 MiB       ]    a gap is a thin line, a run grows with the logarithm of its size
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from math import log2
from typing import NamedTuple

from hillemu.emu.i386.address import PAGE_SIZE

WIDTH, HEIGHT = 1200, 110
_TOP, _BAR_HEIGHT = 8, 62
_LEAST_WIDTH = 1.5
_TICKS = 8
_LABEL_WIDTH = 80
_GAP_WEIGHT = 0.4
MOST_FOLDED = 150
"""More runs than that would be too thin, side by side."""
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


def folded(name: str, bars: Sequence[Bar]) -> str:
    """The picture called `name` of `bars`, in ascending order, without the gaps; nothing if they are too many."""
    if not 0 < len(bars) <= MOST_FOLDED:
        return ""
    pieces = list(_side_by_side(bars))
    scale = WIDTH / sum(weight for weight, _ in pieces)
    x, label_end = 0.0, 0.0
    rectangles, labels = [], []
    for weight, bar in pieces:
        width = weight * scale
        if bar is not None:
            rectangles.append(_rectangle(bar, x, width))
            if x >= label_end and x + _LABEL_WIDTH <= WIDTH:
                labels.append(f'<text x="{x:.1f}" y="{HEIGHT - 14}">0x{bar.start:08X}</text>')
                labels.append(_tick(x))
                label_end = x + _LABEL_WIDTH
        x += width
    return (
        f'<svg class="folded" data-strip="{escape(name)}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'xmlns="http://www.w3.org/2000/svg" aria-label="{escape(name)}, without the gaps">'
        f'<g>{"".join(rectangles)}</g><g class="ticks">{"".join(labels)}</g></svg>'
    )


def _side_by_side(bars: Iterable[Bar]) -> Iterator[tuple[float, Bar | None]]:
    """How wide each bar is beside the others, and the gaps (`None`) between them."""
    end = None
    for bar in bars:
        if end is not None and bar.start > end:
            yield _GAP_WEIGHT, None
        yield 1 + log2(max(bar.end - bar.start, PAGE_SIZE) / PAGE_SIZE), bar
        end = bar.end


def _rectangles(bars: Iterable[Bar], end: int) -> Iterable[str]:
    for bar in bars:
        x = bar.start / end * WIDTH
        width = max((bar.end - bar.start) / end * WIDTH, _LEAST_WIDTH)
        yield _rectangle(bar, x, width)


def _rectangle(bar: Bar, x: float, width: float) -> str:
    return (
        f'<rect class="{bar.kind}" data-a="{bar.start}" data-b="{bar.end}" data-p="{bar.phys}" '
        f'x="{x:.2f}" y="{_TOP}" width="{width:.2f}" height="{_BAR_HEIGHT}">'
        f"<title>{escape(bar.title)}</title></rect>"
    )


def _tick(x: float) -> str:
    return f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP + _BAR_HEIGHT}" y2="{_TOP + _BAR_HEIGHT + 8}"/>'


def _ticks(end: int) -> Iterable[str]:
    for number in range(_TICKS + 1):
        x = WIDTH * number / _TICKS
        anchor = "start" if not number else "end" if number == _TICKS else "middle"
        at = end * number // _TICKS
        yield _tick(x)
        yield f'<text x="{x:.1f}" y="{HEIGHT - 14}" text-anchor="{anchor}">0x{at:08X}</text>'
