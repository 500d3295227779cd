"""Memory in the formats that people know from Linux: buddyinfo, slabinfo, vmstat and meminfo.

Source: Linux, Documentation/filesystems/proc.rst; mm/vmstat.c and mm/slab_common.c for the columns.
"""

from __future__ import annotations

from collections.abc import Iterable

from hillemu.emu.i386.address import PAGE_SIZE
from hillemu.kernel.mm.counters import Counters
from hillemu.kernel.mm.frame_table import Owner
from hillemu.kernel.mm.frames import MAX_ORDER
from hillemu.kernel.mm.pmm import Pmm
from hillemu.kernel.mm.slab import ACTIVE, EMPTY, SLABS, Cache

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


def vmstat(pmm: Pmm, counters: Counters) -> list[str]:
    """Gauges first, then events since the start."""
    used = frames_by_owner(pmm)
    gauges = [
        ("nr_free_pages", pmm.free_frames),
        ("nr_anon_pages", used.get(Owner.ANONYMOUS, 0)),
        ("nr_file_pages", used.get(Owner.PAGE_CACHE, 0)),
        ("nr_slab", used.get(Owner.SLAB, 0)),
        ("nr_kmalloc", used.get(Owner.KMALLOC, 0)),
        ("nr_page_table_pages", used.get(Owner.PAGE_TABLE, 0)),
        ("nr_kernel_stack", used.get(Owner.STACK, 0)),
    ]
    return [f"{name} {value}" for name, value in (*gauges, *counters.items())]


def meminfo(pmm: Pmm) -> list[str]:
    """Sizes in kB of 1024 bytes; `MemTotal` is what the allocators manage, as Linux has it."""
    used = frames_by_owner(pmm)
    high = [zone for zone in pmm.zones if zone.name == "HighMem"]
    high_total = sum(zone.managed_frames for zone in high)
    high_free = sum(zone.allocator.free_frames for zone in high)
    rows = [
        ("MemTotal", pmm.managed_frames),
        ("MemFree", pmm.free_frames),
        ("Cached", used.get(Owner.PAGE_CACHE, 0)),
        ("HighTotal", high_total),
        ("HighFree", high_free),
        ("LowTotal", pmm.managed_frames - high_total),
        ("LowFree", pmm.free_frames - high_free),
        ("AnonPages", used.get(Owner.ANONYMOUS, 0)),
        ("Slab", used.get(Owner.SLAB, 0)),
        ("KernelStack", used.get(Owner.STACK, 0)),
        ("PageTables", used.get(Owner.PAGE_TABLE, 0)),
    ]
    return [f"{name + ':':<16}{frames * _KIB_PER_PAGE:8d} kB" for name, frames in rows]


def frames_by_owner(pmm: Pmm) -> dict[Owner | int, int]:
    """How many frames each owner has, of those that allocators have given out."""
    found: dict[Owner | int, int] = {}
    for _, record in pmm.table.used():
        found[record.owner] = found.get(record.owner, 0) + 1
    return found
