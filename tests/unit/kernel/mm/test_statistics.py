"""Statistics in the formats that people know."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kernel_spaces import MODULE_BASE, make_vm

from hillemu.emu.i386.address import PAGE_SIZE, Frame
from hillemu.kernel.mm.counters import Event
from hillemu.kernel.mm.frame_table import Owner
from hillemu.kernel.mm.frames import OutOfMemory, Zone
from hillemu.kernel.mm.statistics import buddyinfo, meminfo, slabinfo, vmstat
from hillemu.kernel.mm.swap import HostSwap


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


def test_the_headers_of_slabinfo_are_linuxs(make_kernel: Callable[..., Any]) -> None:
    """mm/slab_common.c, print_slabinfo_header."""
    assert slabinfo(make_kernel(8 << 20).caches)[:2] == [
        "slabinfo - version: 2.1",
        "# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>"
        " : tunables <limit> <batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> <sharedavail>",
    ]


def test_vmstat_counts_events_and_frames(make_kernel: Callable[..., Any]) -> None:
    kernel = make_kernel(8 << 20)
    kernel.pmm.alloc(2, Owner.ANONYMOUS)
    kernel.pmm.alloc(1, Owner.STACK)
    kernel.counters.count(Event.PGFAULT, 3)
    kernel.counters.words[Event.PGCOW] = 0xFFFFFFFF
    kernel.counters.count(Event.PGCOW, 2)
    lines = vmstat(kernel)
    assert all(re.fullmatch(r"[a-z_]+ \d+", line) for line in lines)
    values = dict(line.split() for line in lines)
    assert len(values) == len(lines)
    assert values["nr_anon_pages"] == "4"
    assert values["nr_kernel_stack"] == "8", "Linux counts these in kB"
    assert values["pgfault"] == "3"
    assert values["pgcow"] == "1"
    assert values["nr_free_pages"] == str(kernel.pmm.free_frames)


VMSTAT_OF_LINUX = {
    "nr_free_pages", "nr_anon_pages", "nr_mapped", "nr_file_pages", "nr_dirty", "nr_shmem", "nr_slab_reclaimable",
    "nr_slab_unreclaimable", "nr_kernel_stack", "nr_page_table_pages", "pgfault", "pgmajfault", "pswpin", "pswpout",
    "pgscan_direct", "pgsteal_direct", "oom_kill",
}  # fmt: skip
OURS = {"nr_kmalloc", "pgzero_fault", "pgcow", "page_cache_hit", "page_cache_miss", "segv"}


def test_vmstat_has_linuxs_names_for_what_linux_counts(make_kernel: Callable[..., Any]) -> None:
    names = {line.split()[0] for line in vmstat(make_kernel(8 << 20))}
    assert names == VMSTAT_OF_LINUX | OURS


def test_the_names_that_vmstat_has_from_linux_are_in_the_host_s() -> None:
    host = Path("/proc/vmstat")
    if not host.exists():
        pytest.skip("this host has no /proc/vmstat")
    assert {line.split()[0] for line in host.read_text().splitlines()} >= VMSTAT_OF_LINUX


# ---- meminfo ---------------------------------------------------------------------------------------------------------

ROW = re.compile(r"(?=.{24} kB$|.{25,} kB$)([A-Za-z0-9_()]+): +(\d+) kB")
"""fs/proc/meminfo.c: names that fill 16 columns with blanks behind the colon, then 8 or more for the number."""
PROC_5 = re.findall(
    r"\S+",
    """
    MemTotal MemFree MemAvailable Buffers Cached SwapCached Active Inactive Active(anon) Inactive(anon) Active(file)
    Inactive(file) Unevictable Mlocked HighTotal HighFree LowTotal LowFree SwapTotal SwapFree Dirty Writeback
    AnonPages Mapped Shmem KReclaimable Slab SReclaimable SUnreclaim KernelStack PageTables SecPageTables
    NFS_Unstable Bounce WritebackTmp CommitLimit Committed_AS VmallocTotal VmallocUsed VmallocChunk Percpu
    DirectMap4k DirectMap4M
    """,
)


def kib_of(lines: list[str]) -> dict[str, int]:
    found = [ROW.fullmatch(line) for line in lines]
    assert all(found), [line for line, match in zip(lines, found, strict=True) if not match]
    return {match[1]: int(match[2]) for match in found if match}


def test_meminfo_has_all_rows_in_linuxs_order() -> None:
    bench = make_vm(16 << 20)
    assert list(kib_of(meminfo(bench.kernel_memory, bench.vm))) == PROC_5
    pae = make_vm(16 << 20, pae=True)
    assert list(kib_of(meminfo(pae.kernel_memory, pae.vm)))[-1] == "DirectMap2M"


def test_the_host_s_meminfo_has_the_same_layout_and_order() -> None:
    host = Path("/proc/meminfo")
    if not host.exists():
        pytest.skip("this host has no /proc/meminfo")
    lines = [line for line in host.read_text().splitlines() if line.endswith(" kB")]
    names = list(kib_of(lines))
    common = [name for name in names if name in PROC_5]
    assert len(common) > 25
    assert common == [name for name in PROC_5 if name in names]


def test_meminfo_adds_up(make_kernel: Callable[..., Any]) -> None:
    kernel = make_kernel(8 << 20)
    kernel.pmm.alloc(4, Owner.PAGE_TABLE)
    kernel.kmalloc.kmalloc(5000)
    values = kib_of(meminfo(kernel))
    assert values["PageTables"] == 64
    assert values["MemTotal"] - values["MemFree"] == 64 + 8
    assert (values["LowTotal"], values["HighTotal"]) == (values["MemTotal"], 0)


def test_meminfo_knows_what_programs_have() -> None:
    """Ten pages written, five of a file read, three shared; then reclaim has looked, and one page is used again."""
    bench = make_vm(16 << 20, swap=HostSwap(1 << 20))
    data = bench.vm.add_module("data", MODULE_BASE, 5 * PAGE_SIZE)
    space = bench.vm.create_space("prog")
    before = kib_of(meminfo(bench.kernel_memory, bench.vm))
    anonymous = space.mmap(0, 10 * PAGE_SIZE, 3, 0x22)
    file = space.mmap(0, 5 * PAGE_SIZE, 1, 0x02, data)
    shared = space.mmap(0, 3 * PAGE_SIZE, 3, 0x21)
    for start, count, code in ((anonymous, 10, 6), (file, 5, 4), (shared, 3, 6)):
        for page in range(count):
            space.fault(start + page * PAGE_SIZE, code)
    after = kib_of(meminfo(bench.kernel_memory, bench.vm))
    for name, pages in {
        "AnonPages": 10, "Cached": 8, "Shmem": 3, "Mapped": 8, "Active(anon)": 13, "Active(file)": 5, "Active": 18,
        "Inactive": 0, "Committed_AS": 13, "Dirty": 0, "SwapTotal": 0, "SwapFree": 0,
    }.items():  # fmt: skip
        assert after[name] - before[name] == 4 * pages, name
    assert after["SwapTotal"] == after["SwapFree"] == 1024
    assert before["MemFree"] - after["MemFree"] >= 4 * 18
    assert after["MemAvailable"] == after["MemFree"] + 4 * 5
    frame = (space.tables.entry(anonymous) & space.tables.frame_mask) >> 12
    assert bench.vm.reverse_map.was_accessed(Frame(frame))
    assert kib_of(meminfo(bench.kernel_memory, bench.vm))["Inactive(anon)"] == 4
    assert bench.vm.reclaim.evict(Frame(frame))
    assert kib_of(meminfo(bench.kernel_memory, bench.vm))["SwapFree"] == 1020
    assert bench.vm.check() == []


def test_the_direct_map_s_rows_add_up_to_what_is_mapped() -> None:
    for pae in (False, True):
        bench = make_vm(16 << 20, pae=pae)
        assert bench.vm.kernel.extend_direct_map() is None
        values = kib_of(meminfo(bench.kernel_memory, bench.vm))
        large = values["DirectMap2M" if pae else "DirectMap4M"]
        assert values["DirectMap4k"] + large == 16 << 10
        assert large >= 12 << 10
