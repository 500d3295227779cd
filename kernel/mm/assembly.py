"""Puts the memory management together: from the memory map to kmalloc, in the order in which a kernel has to.

>>> from hillemu.emu.guest import FakeMemory
>>> memory = KernelMemory.build(FakeMemory(8 << 20), [MemoryRegion(0x100000, 7 << 20, 1)])
>>> at = memory.kmalloc.kmalloc(100)
>>> memory.kmalloc.kfree(at), memory.check()
(True, [])
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.reports import Report, unheard
from hillemu.kernel.layout import REACH_FRAMES_32BIT
from hillemu.kernel.mm.allocation_table import FIRST_CAPACITY, TABLE, AllocationTable, array_bytes
from hillemu.kernel.mm.boot_memory import BootMemory, Reserved
from hillemu.kernel.mm.buddy import Buddy
from hillemu.kernel.mm.counters import Counters
from hillemu.kernel.mm.debug_aids import DebugAids, Options
from hillemu.kernel.mm.direct_map import DirectMap
from hillemu.kernel.mm.early_pool import POOL_BYTES, EarlyPool
from hillemu.kernel.mm.frames import AllocatorFactory
from hillemu.kernel.mm.kmalloc import Kmalloc
from hillemu.kernel.mm.memory_map import MemoryRegion
from hillemu.kernel.mm.pmm import Pmm
from hillemu.kernel.mm.slab_caches import SlabCaches
from hillemu.kernel.mm.zones import build_pmm


class KernelMemory(NamedTuple):
    """Everything that manages memory without knowing of processes."""

    boot: BootMemory
    direct: DirectMap
    pool: EarlyPool
    table: AllocationTable
    counters: Counters
    pmm: Pmm
    caches: SlabCaches
    kmalloc: Kmalloc

    @classmethod
    def build(
        cls,
        memory: GuestMemory,
        regions: Iterable[MemoryRegion],
        reserved: Iterable[Reserved] = (),
        *,
        allocator: AllocatorFactory = Buddy.for_zone,
        reach_frames: int = REACH_FRAMES_32BIT,
        debug: Options = Options(),  # noqa: B008 - a tuple
        report: Report = unheard,
        log: Callable[[str], None] = unheard,
        symbolise: Callable[[int], str] = hex,
        log_kmalloc: bool = False,
    ) -> KernelMemory:
        """Take over all memory that `regions` offer and `reserved` does not deny.

        `report` hears faults, `log` the lines of a booting kernel; `log_kmalloc` adds one for each allocation of pages
        and each free.  Raises `InvalidParameters` if memory does not suffice for the structures.
        """
        boot = BootMemory(memory, regions)
        for one in reserved:
            boot.reserve(one.base, one.end - one.base, one.name)
        direct = DirectMap(memory)
        pool = EarlyPool.create(direct, direct.virt(boot.take(POOL_BYTES, "early pool")))
        arrays: PhysAddr = boot.take(array_bytes(FIRST_CAPACITY), "allocation table")
        table = AllocationTable.create(direct, pool.kmalloc_early(TABLE.size_bytes), direct.virt(arrays))
        counters = Counters(direct, pool.kmalloc_early(Counters.SIZE_BYTES))
        pmm = build_pmm(boot, allocator, reach_frames=reach_frames, report=report, log=log)
        aids = DebugAids(direct, debug)
        caches = SlabCaches(direct, pmm, pool, aids, report, symbolise)
        kmalloc = Kmalloc(direct, pool, table, pmm, caches, aids, report, symbolise, log if log_kmalloc else None)
        return cls(boot, direct, pool, table, counters, pmm, caches, kmalloc)

    def check(self) -> list[str]:
        """Contradictions anywhere, as sentences; none if all is well."""
        return self.pmm.check() + self.kmalloc.check()
