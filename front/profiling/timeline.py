"""What was counted over time, as pictures: one strip for each count, all with the same time from left to right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from hillemu.emu.cpu.profile import Costs
from hillemu.inspection.views.html import text_html

if TYPE_CHECKING:
    from hillemu.profiling.run_profile import RunProfile

WIDTH, HEIGHT = 1200, 64
_MOST_COLUMNS = 300


class _Strip(NamedTuple):
    title: str
    height_of: Callable[[Costs], float]
    """In the strip's own unit."""
    unit: str
    kind: str
    """A CSS class: the colour."""


def _per_instruction(part: Costs) -> float:
    return (part.ticks - part.idle) / part.instructions if part.instructions else 0.0


def _per_thousand(count: Callable[[Costs], int]) -> Callable[[Costs], float]:
    return lambda part: 1000 * count(part) / part.instructions if part.instructions else 0.0


_BUSY = _Strip("busy", lambda part: 100 * (part.ticks - part.idle) / part.ticks if part.ticks else 0.0, "%", "busy")
_CYCLES = _Strip("cycles an instruction", _per_instruction, "", "cpi")
_MEMORY = (
    _Strip("TLB misses", _per_thousand(lambda part: part.tlb_misses), "in 1000 instructions", "tlb"),
    _Strip("cache misses", _per_thousand(lambda part: part.cache_misses), "in 1000 instructions", "cache"),
)


def timeline(profile: RunProfile) -> str:
    """The strips that the machine's timing has counts for, as HTML with an ``<svg>`` each."""
    measured = profile.measured
    per_column = max(1, -(-len(measured.slices) // _MOST_COLUMNS))
    columns = _joined(measured.slices, per_column)
    strips = [_BUSY, *([_CYCLES] if profile.has_cycles else []), *(_MEMORY if profile.has_memory else ())]
    unit = "cycles" if profile.has_cycles else "ticks"
    span = f"{measured.began:,} to {measured.began + sum(part.ticks for part in measured.slices):,} {unit}"
    drawn = "".join(_drawn(strip, columns, measured.began, measured.slice_ticks * per_column, unit) for strip in strips)
    return f'<p class="hint">{span}, {measured.slice_ticks * per_column:,} a column</p>{drawn}'


def _joined(slices: Sequence[Costs], count: int) -> list[Costs]:
    columns = []
    for first in range(0, len(slices), count):
        total = Costs()
        for part in slices[first : first + count]:
            total = total.plus(part)
        columns.append(total)
    return columns


def _drawn(strip: _Strip, columns: Sequence[Costs], began: int, column_ticks: int, unit: str) -> str:
    heights = [strip.height_of(part) for part in columns]
    highest = max(heights, default=0.0)
    width = WIDTH / max(len(columns), 1)
    bars = "".join(
        f'<rect class="{strip.kind}" x="{number * width:.2f}" y="{HEIGHT * (1 - height / highest):.2f}" '
        f'width="{width:.2f}" height="{HEIGHT * height / highest:.2f}"><title>'
        f"{text_html(f'from {began + number * column_ticks:,} {unit}: {height:.2f} {strip.unit}'.rstrip())}"
        f"</title></rect>"
        for number, height in enumerate(heights)
        if height
    )
    unit_text = f" {strip.unit}" if strip.unit else ""
    return (
        f"<h3>{strip.title}{unit_text}, at most {highest:.2f}</h3>\n"
        f'<svg class="timeline" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'preserveAspectRatio="none" role="img" xmlns="http://www.w3.org/2000/svg" aria-label="{strip.title}">'
        f"{bars}</svg>\n"
    )
