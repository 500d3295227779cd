"""Memory in the formats that people know from Linux: buddyinfo, slabinfo, vmstat and meminfo.

Source: Linux 6.1, mm/vmstat.c (frag_show_print, vmstat_text), mm/slab_common.c (print_slabinfo_header, cache_show),
fs/proc/meminfo.c and arch/x86/mm/pat/set_memory.c (arch_report_meminfo); proc(5) for what the rows mean.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hillemu.emu.i386.address import PAGE_SHIFT, PAGE_SIZE
from hillemu.kernel.layout import STACKS_BASE, STACKS_END
from hillemu.kernel.mm.frames import MAX_ORDER
from hillemu.kernel.mm.memory_use import memory_use
from hillemu.kernel.mm.pmm import Pmm
from hillemu.kernel.mm.slab import ACTIVE, EMPTY, SLABS, Cache

if TYPE_CHECKING:
    from hillemu.kernel.mm.assembly import KernelMemory
    from hillemu.kernel.mm.virtual_memory import VirtualMemory

_KIB_PER_PAGE = PAGE_SIZE >> 10


def buddyinfo(pmm: Pmm) -> list[str]:
    """Free blocks of each order, a line a zone; an allocator without orders has all its frames in order 0."""
    lines = []
    for zone in pmm.zones:
        count = getattr(zone.allocator, "free_blocks", None)
        blocks = count() if count is not None else [zone.allocator.free_frames] + [0] * MAX_ORDER
        lines.append(f"Node 0, zone {zone.name:>8} " + "".join(f"{number:6d} " for number in blocks))
    return lines


def slabinfo(caches: Iterable[Cache]) -> list[str]:
    """The caches, in format 2.1; there are no tunables and no queues for other processors, so those columns are 0."""
    lines = [
        "slabinfo - version: 2.1",
        "# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables <limit> "
        "<batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> <sharedavail>",
    ]
    for cache in caches:
        slabs = cache.header[SLABS]
        active_slabs = slabs - len(cache.slabs(EMPTY))
        lines.append(
            f"{cache.name:<17} {cache.header[ACTIVE]:6d} {slabs * cache.objects_per_slab:6d} {cache.stride:6d} "
            f"{cache.objects_per_slab:4d} {1 << cache.order:4d} : tunables {0:4d} {0:4d} {0:4d} : "
            f"slabdata {active_slabs:6d} {slabs:6d} {0:6d}"
        )
    return lines


def vmstat(memory: KernelMemory, vm: VirtualMemory | None = None) -> list[str]:
    """Gauges first, then events since the start; Linux's names for what Linux has, then our own."""
    use = memory_use(memory, vm)
    gauges = (
        ("nr_free_pages", use.free),
        ("nr_anon_pages", use.anonymous),
        ("nr_mapped", use.mapped),
        ("nr_file_pages", use.cached),
        ("nr_dirty", use.changed),
        ("nr_shmem", use.shared),
        ("nr_slab_reclaimable", 0),
        ("nr_slab_unreclaimable", use.slab),
        ("nr_kernel_stack", use.kernel_stacks * _KIB_PER_PAGE),
        ("nr_page_table_pages", use.page_tables),
        ("nr_kmalloc", use.kmalloc),
    )
    return [f"{name} {value}" for name, value in (*gauges, *memory.counters.items())]


def meminfo(memory: KernelMemory, vm: VirtualMemory | None = None) -> list[str]:
    """All rows that Linux has for an i386 with high memory, in its order, in kB of 1024 bytes.

    `MemTotal` is what the allocators manage.  "Active" pages have their A bit set: there are no lists, and reclaim
    clears the bit when it comes by.  `MemAvailable` is what is free or could be read again; there are no watermarks.
    `CommitLimit` is computed as Linux does by default, and not enforced.  `Vmalloc` is the range of kernel stacks.
    Rows of 0 are of what this kernel does not have: buffers, a swap cache, locked pages, writes under way.
    """
    use = memory_use(memory, vm)
    file = use.cached - use.shared
    inactive_anonymous = use.anonymous + use.shared - use.active_anonymous
    inactive_file = file - use.active_file
    rows = [
        ("MemTotal", use.total),
        ("MemFree", use.free),
        ("MemAvailable", use.free + file),
        ("Buffers", 0),
        ("Cached", use.cached),
        ("SwapCached", 0),
        ("Active", use.active_anonymous + use.active_file),
        ("Inactive", inactive_anonymous + inactive_file),
        ("Active(anon)", use.active_anonymous),
        ("Inactive(anon)", inactive_anonymous),
        ("Active(file)", use.active_file),
        ("Inactive(file)", inactive_file),
        ("Unevictable", 0),
        ("Mlocked", 0),
        ("HighTotal", use.high_total),
        ("HighFree", use.high_free),
        ("LowTotal", use.total - use.high_total),
        ("LowFree", use.free - use.high_free),
        ("SwapTotal", use.swap_total),
        ("SwapFree", use.swap_free),
        ("Dirty", use.changed),
        ("Writeback", 0),
        ("AnonPages", use.anonymous),
        ("Mapped", use.mapped),
        ("Shmem", use.shared),
        ("KReclaimable", 0),
        ("Slab", use.slab),
        ("SReclaimable", 0),
        ("SUnreclaim", use.slab),
        ("KernelStack", use.kernel_stacks),
        ("PageTables", use.page_tables),
        ("SecPageTables", 0),
        ("NFS_Unstable", 0),
        ("Bounce", 0),
        ("WritebackTmp", 0),
        ("CommitLimit", use.total // 2 + use.swap_total),
        ("Committed_AS", use.committed),
        ("VmallocTotal", STACKS_END - STACKS_BASE >> PAGE_SHIFT),
        ("VmallocUsed", use.kernel_stacks),
        ("VmallocChunk", 0),
        ("Percpu", 0),
        ("DirectMap4k", use.direct_small),
    ]
    if use.large_kib:
        rows.append((f"DirectMap{use.large_kib >> 10}M", use.direct_large))
    return [f"{name + ':':<16}{frames * _KIB_PER_PAGE:8d} kB" for name, frames in rows]
