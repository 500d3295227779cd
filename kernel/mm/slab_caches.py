"""The kernel's slab caches by name: made, listed for slabinfo, shrunk, and verified."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

from hillemu.emu.i386.address import PAGE_SHIFT, PhysAddr, VirtAddr
from hillemu.emu.reports import Report, unheard
from hillemu.kernel.errors import InvalidParameters
from hillemu.kernel.layout import KERNEL_BASE
from hillemu.kernel.mm.bits import set_bits
from hillemu.kernel.mm.debug_aids import DebugAids
from hillemu.kernel.mm.direct_map import DirectMap
from hillemu.kernel.mm.early_pool import EarlyPool
from hillemu.kernel.mm.frame_table import Owner
from hillemu.kernel.mm.frames import OutOfMemory
from hillemu.kernel.mm.pmm import Pmm
from hillemu.kernel.mm.slab import (
    ACTIVE,
    CACHE,
    CACHE_AT,
    COUNT,
    EMPTY,
    FENCED,
    FIRST,
    FREE,
    FULL,
    LIST,
    MAGIC,
    NEXT_CACHE,
    PARTIAL,
    POISONED,
    PREV,
    SLAB,
    SLAB_MAGIC,
    SLABS,
    Cache,
    slab_geometry,
)


class SlabCaches:
    """All caches; the list of their `kmem_cache` structures starts at `first`."""

    def __init__(
        self,
        direct: DirectMap,
        pmm: Pmm,
        pool: EarlyPool,
        aids: DebugAids,
        report: Report = unheard,
        symbolise: Callable[[int], str] = hex,
    ) -> None:
        self._direct, self._pmm, self._pool, self._aids = direct, pmm, pool, aids
        self._report, self._symbolise = report, symbolise
        self._caches: dict[str, Cache] = {}
        self.first = VirtAddr(0)

    def __iter__(self) -> Iterator[Cache]:
        return iter(self._caches.values())

    def __getitem__(self, name: str) -> Cache:
        return self._caches[name]

    def create(self, name: str, object_bytes: int, *, align: int = 8, fences: bool = True) -> Cache:
        """`kmem_cache_create`: a cache, with poison if the options say so, and with fences if `fences` and they do.

        Raises `InvalidParameters` for sizes that cannot be, a name in use, and when there is no memory.
        """
        if name in self._caches or not 0 < len(name) < 20:
            raise InvalidParameters(f"kmem_cache_create: {name!r} is no name for a new cache")
        options = self._aids.options
        fences = fences and options.red_zones
        stride, order, count = slab_geometry(object_bytes, align, options.pad_bytes if fences else 0)
        at = self._pool.kmalloc_early(CACHE.size_bytes) or self._room_elsewhere(name)
        phys = PhysAddr(at - KERNEL_BASE)
        self._direct.memory.fill(phys, CACHE.size_bytes)
        CACHE.write(
            self._direct.memory,
            phys,
            object_bytes=object_bytes,
            stride=stride,
            objects_per_slab=count,
            order=order,
            flags=(FENCED if fences else 0) | (POISONED if options.poison else 0),
            next=self.first,
            name=name.encode("ascii", "replace"),
        )
        self.first = at
        cache = self._caches[name] = Cache(at, self._direct, self._pmm, self._aids, self._report, self._symbolise)
        return cache

    def _room_elsewhere(self, name: str) -> VirtAddr:
        frame = self._pmm.alloc(0, Owner.SLAB)
        if isinstance(frame, OutOfMemory):
            raise InvalidParameters(f"kmem_cache_create: no memory for {name}: {frame}")
        return VirtAddr(KERNEL_BASE + (frame << PAGE_SHIFT))

    def shrink(self) -> int:
        """Give back all empty slabs; how many frames were freed."""
        return sum(cache.shrink() for cache in self)

    def check(self) -> list[str]:
        """Contradictions in all caches, as sentences; none if all is well."""
        found = []
        at, expected = self.first, list(reversed(self._caches.values()))
        for cache in expected:
            if at != cache.at:
                found.append(f"slab: the list of caches has 0x{at:08X}, not {cache.name} at 0x{cache.at:08X}")
                break
            at = VirtAddr(cache.header[NEXT_CACHE])
        for cache in self:
            found += [f"slab {cache.name}: {finding}" for finding in self._check_cache(cache)]
        return found

    def _check_cache(self, cache: Cache) -> Iterator[str]:
        active = slabs = 0
        header = CACHE.read(self._direct.memory, PhysAddr(cache.at - KERNEL_BASE))
        remembered = {
            "object_bytes": cache.object_bytes,
            "stride": cache.stride,
            "objects_per_slab": cache.objects_per_slab,
            "order": cache.order,
        }
        for name, value in remembered.items():
            if header[name] != value:
                yield f"kmem_cache.{name} is {header[name]!r}, not {value}"
        for which in (PARTIAL, FULL, EMPTY):
            before = 0
            for slab in cache.slabs(which):
                slabs += 1
                if not self._direct.holds(slab, cache.slab_bytes) or slab % cache.slab_bytes:
                    yield f"the slab at 0x{slab:08X} lies where none can lie"
                    return
                if self._direct.u32[(slab - KERNEL_BASE >> 2) + PREV] != before:
                    yield f"the slab at 0x{slab:08X} does not know the one before it"
                before = slab
                free = yield from self._check_slab(cache, slab, which)
                active += cache.objects_per_slab - free
        if slabs != cache.header[SLABS]:
            yield f"{slabs} slabs are in its lists, but it has {cache.header[SLABS]}"
        if active != cache.header[ACTIVE]:
            yield f"{active} objects are in use in its slabs, but it counts {cache.header[ACTIVE]}"

    def _check_slab(self, cache: Cache, slab: int, which: int) -> Generator[str, None, int]:
        u32, base = self._direct.u32, slab - KERNEL_BASE >> 2
        where = f"the slab at 0x{slab:08X}"
        if u32[base + MAGIC] != SLAB_MAGIC or u32[base + CACHE_AT] != cache.at:
            yield f"{where} has lost its header"
        raw = self._direct.read(VirtAddr(slab + SLAB.offset("free_map")), 64)
        free_map = int.from_bytes(raw, "little")
        free, count = free_map.bit_count(), cache.objects_per_slab
        if free_map >> count or u32[base + COUNT] != count:
            yield f"{where} has free objects that do not exist"
        if free != u32[base + FREE]:
            yield f"{where} counts {u32[base + FREE]} free objects, but {free} bits are set"
        expected = EMPTY if free == count else FULL if not free else PARTIAL
        if which != expected or u32[base + LIST] != which:
            yield f"{where} with {free} of {count} objects free is in the wrong list"
        first = slab + cache.first_offset
        if u32[base + FIRST] != cache.first_offset:
            yield f"{where} has its first object at {u32[base + FIRST]:#x}, not {cache.first_offset:#x}"
        for number in range(count):
            fault = cache.fault_of(first + number * cache.stride, bool(free_map >> number & 1))
            if fault:
                yield f"object at 0x{first + number * cache.stride:08X}: {fault}"
        return free

    def callers(self, cache: Cache) -> dict[int, int]:
        """For a leak report: how many objects in use each caller has allocated."""
        found: dict[int, int] = {}
        u32 = self._direct.u32
        for slab in (*cache.slabs(PARTIAL), *cache.slabs(FULL)):
            base = slab - KERNEL_BASE >> 2
            raw = self._direct.read(VirtAddr(slab + SLAB.offset("free_map")), 64)
            used = ~int.from_bytes(raw, "little") & (1 << cache.objects_per_slab) - 1
            for number in set_bits(used):
                caller = u32[base + SLAB.size_bytes // 4 + number]
                found[caller] = found.get(caller, 0) + 1
        return found
