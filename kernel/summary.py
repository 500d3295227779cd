"""What the kernel says at its end: how memory stands, in the formats that people know."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hillemu.kernel.mm.assembly import KernelMemory
from hillemu.kernel.mm.kmalloc_report import leak_lines
from hillemu.kernel.mm.statistics import buddyinfo, meminfo
from hillemu.kernel.mm.virtual_memory import VirtualMemory


def summary_lines(memory: KernelMemory, vm: VirtualMemory, symbolise: Callable[[int], str]) -> Iterator[str]:
    """buddyinfo, rows of meminfo and events of vmstat that are not 0, and what kmalloc was not given back."""
    yield "=== Memory at the end ==="
    yield from buddyinfo(memory.pmm)
    yield from (row for row in meminfo(memory, vm) if row.split()[1] != "0")
    events = [f"{name} {count}" for name, count in memory.counters.items() if count]
    if events:
        yield ", ".join(events)
    yield from leak_lines(memory.kmalloc.table, symbolise)
