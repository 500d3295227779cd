"""Statistics in the formats that people know."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from hillemu.emu.i386.address import Frame
from hillemu.kernel.mm.counters import Event
from hillemu.kernel.mm.frame_table import Owner
from hillemu.kernel.mm.frames import OutOfMemory, Zone
from hillemu.kernel.mm.statistics import buddyinfo, meminfo, slabinfo, vmstat


def test_buddyinfo_has_linuxs_columns_and_adds_up(make_kernel: Callable[..., Any]) -> None:
    """fs/proc: ``Node %d, zone %8s `` and ``%6lu `` for each order."""
    kernel = make_kernel(8 << 20)
    kernel.pmm.alloc(3)
    (line,) = buddyinfo(kernel.pmm)
    found = re.fullmatch(r"Node 0, zone   Normal ((?: {0,5}\d+ ){11})", line)
    assert found
    assert sum(int(count) << order for order, count in enumerate(found[1].split())) == kernel.pmm.free_frames


def test_an_allocator_without_orders_has_a_line_too(make_kernel: Callable[..., Any]) -> None:
    class Nothing:
        free_frames = 5

        def __init__(self, zone: Zone) -> None:
            self.runs = zone.runs()

        def alloc(self, order: int = 0, /) -> Frame | OutOfMemory:
            return OutOfMemory(order, 5)

        def free(self, frame: Frame, order: int = 0, /) -> None: ...

    kernel = make_kernel(8 << 20, allocator=Nothing)
    assert buddyinfo(kernel.pmm)[0].split()[4:] == ["5"] + ["0"] * 10


def test_slabinfo_is_readable_by_what_reads_linuxs(make_kernel: Callable[..., Any]) -> None:
    """The pattern is that of slabtop (procps, lib/slabinfo.c): name, four numbers, pages, then the slabs."""
    kernel = make_kernel(8 << 20)
    cache = kernel.caches.create("vm_area", 40)
    objects = [cache.alloc() for _ in range(cache.objects_per_slab + 1)]
    cache.free(objects[0])
    lines = slabinfo(kernel.caches)
    assert lines[0] == "slabinfo - version: 2.1"
    row = re.fullmatch(
        r"(\S+) +(\d+) +(\d+) +(\d+) +(\d+) +(\d+) : tunables +0 +0 +0 : slabdata +(\d+) +(\d+) +(\d+)", lines[-1]
    )
    assert row
    count = cache.objects_per_slab
    assert row.groups() == ("vm_area", str(count), str(2 * count), str(cache.stride), str(count), "1", "2", "2", "0")


def test_vmstat_counts_events_and_frames(make_kernel: Callable[..., Any]) -> None:
    kernel = make_kernel(8 << 20)
    kernel.pmm.alloc(2, Owner.ANONYMOUS)
    kernel.counters.count(Event.PGFAULT, 3)
    kernel.counters.words[Event.PGCOW] = 0xFFFFFFFF
    kernel.counters.count(Event.PGCOW, 2)
    values = dict(line.split() for line in vmstat(kernel.pmm, kernel.counters))
    assert values["nr_anon_pages"] == "4"
    assert values["pgfault"] == "3"
    assert values["pgcow"] == "1"
    assert values["nr_free_pages"] == str(kernel.pmm.free_frames)
    assert {"pgmajfault", "pswpin", "pswpout", "oom_kill"} <= values.keys()


def test_meminfo_adds_up(make_kernel: Callable[..., Any]) -> None:
    kernel = make_kernel(8 << 20)
    kernel.pmm.alloc(4, Owner.PAGE_TABLE)
    kernel.kmalloc.kmalloc(5000)
    lines = meminfo(kernel.pmm)
    assert all(re.fullmatch(r"\w+: +\d+ kB", line) for line in lines)
    values = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    assert values["PageTables"] == 64
    assert values["MemTotal"] - values["MemFree"] == 64 + 8
    assert (values["LowTotal"], values["HighTotal"]) == (values["MemTotal"], 0)
