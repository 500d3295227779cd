"""What the kernel says at its end: how memory stands, in the formats that people know."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hillemu.kernel.mm.assembly import KernelMemory
from hillemu.kernel.mm.kmalloc_report import leak_lines
from hillemu.kernel.mm.statistics import buddyinfo, meminfo


def summary_lines(memory: KernelMemory, symbolise: Callable[[int], str]) -> Iterator[str]:
    """buddyinfo, meminfo, the events of vmstat that have happened, and what kmalloc was not given back."""
    yield "=== Memory at the end ==="
    yield from buddyinfo(memory.pmm)
    yield from meminfo(memory.pmm)
    events = [f"{name} {count}" for name, count in memory.counters.items() if count]
    if events:
        yield ", ".join(events)
    yield from leak_lines(memory.kmalloc.table, symbolise)
