"""Slab caches: objects of one size, many to a slab, a slab being a block of frames.

In guest memory::

    struct kmem_cache              in the early pool, linked through `next`
    struct slab                    at the start of each slab, then
    u32 site[objects]              who allocated the object, or freed it last
    object[objects]                `stride` bytes from one to the next; the debug aids' fence is part of the stride

What is free is told by a bitmap in the slab, never by links inside objects: nothing that a kernel writes into memory
that it has freed can damage the allocator.  A slab is aligned to its size, so an object's slab is found by masking.
The lowest object of the first partly used slab is given out first.  One empty slab is kept; the others go back.

Source: Bonwick, "The Slab Allocator: An Object-Caching Kernel Memory Allocator", USENIX 1994.
"""

from __future__ import annotations

from collections.abc import Callable

from hillemu.emu.i386.address import PAGE_SHIFT, PAGE_SIZE, Frame, PhysAddr, VirtAddr
from hillemu.emu.reports import Report
from hillemu.kernel.errors import InvalidParameters
from hillemu.kernel.layout import KERNEL_BASE
from hillemu.kernel.mm.debug_aids import FENCE_BYTES, DebugAids
from hillemu.kernel.mm.direct_map import DirectMap
from hillemu.kernel.mm.frame_table import Owner
from hillemu.kernel.mm.frames import OutOfMemory
from hillemu.kernel.mm.pmm import Pmm
from hillemu.kernel.mm.structure import Structure

CACHE = Structure(
    "kmem_cache",
    "u32 object_bytes",
    "u32 stride",
    "u32 objects_per_slab",
    "u32 order",
    "u32 partial",
    "u32 full",
    "u32 empty",
    "u32 slabs",
    "u32 active",
    "u32 flags",
    "u32 next",
    "u8 name[20]",
)
"""`partial`, `full` and `empty` are the virtual addresses of each list's first slab; `flags` is 1 if objects have
fences, plus 2 if free ones are poisoned."""
OBJECT_BYTES, STRIDE, OBJECTS, ORDER, PARTIAL, FULL, EMPTY, SLABS, ACTIVE, FLAGS, NEXT_CACHE = range(11)
FENCED, POISONED = 1, 2

SLAB = Structure(
    "slab", "u32 magic", "u32 cache", "u32 next", "u32 prev", "u32 objects", "u32 free", "u32 first", "u32 list",
    "u64 free_map[8]",
)  # fmt: skip
"""`first` is the first object's offset; `list` says which of the cache's lists the slab is in."""
MAGIC, CACHE_AT, NEXT, PREV, COUNT, FREE, FIRST, LIST = range(8)
SLAB_MAGIC = 0x42414C53
"""``SLAB`` in memory."""
_MAP_WORDS = 8
_MOST_OBJECTS = 64 * _MAP_WORDS
_FEWEST_OBJECTS = 8
_LARGEST_ORDER = 3
_MOST_ALIGN = 64


class Cache:
    """The cache whose `kmem_cache` is at `at`."""

    def __init__(
        self,
        at: VirtAddr,
        direct: DirectMap,
        pmm: Pmm,
        aids: DebugAids,
        report: Report,
        symbolise: Callable[[int], str],
    ) -> None:
        self.at, self.direct, self.pmm = at, direct, pmm
        self._aids, self._report, self._symbolise = aids, report, symbolise
        self.header = header = direct.u32_array(at, CACHE.size_bytes // 4)
        name_at = VirtAddr(at + CACHE.offset("name"))
        self.name = direct.read(name_at, 20).rstrip(b"\0").decode("ascii", "replace")
        self.object_bytes, self.stride = header[OBJECT_BYTES], header[STRIDE]
        self.objects_per_slab, self.order = header[OBJECTS], header[ORDER]
        self.slab_bytes = PAGE_SIZE << self.order
        self._fenced, self._poisoned = bool(header[FLAGS] & FENCED), bool(header[FLAGS] & POISONED)
        self._payload = self.object_bytes + 7 & -8

    def alloc(self, caller: int = 0) -> VirtAddr:
        """An object's virtual address, or 0: no memory is left, and `report` has heard so."""
        u32, u64 = self.direct.u32, self.direct.u64
        header = self.header
        slab = header[PARTIAL] or self._another_slab()
        if not slab:
            self._report(f"kmem_cache_alloc: no slab for {self.name}: out of memory")
            return VirtAddr(0)
        at = slab - KERNEL_BASE
        word_at = (at >> 3) + SLAB.size_bytes // 8 - _MAP_WORDS
        while not (word := u64[word_at]):
            word_at += 1
        lowest = word & -word
        u64[word_at] = word ^ lowest
        at >>= 2
        number = (word_at << 6) + lowest.bit_length() - 1 - ((at >> 1) + SLAB.size_bytes // 8 - _MAP_WORDS << 6)
        u32[at + FREE] = left = u32[at + FREE] - 1
        if not left:
            self._move(slab, PARTIAL, FULL)
        header[ACTIVE] += 1
        found = slab + u32[at + FIRST] + number * self.stride
        site = at + SLAB.size_bytes // 4 + number
        if self._poisoned and (fault := self._aids.broken_poison(found, self._payload)):
            freed_by = self._symbolise(u32[site])
            self._report(f"{self.name}: USE AFTER FREE - {fault}; object at 0x{found:08X}, freed by {freed_by}")
        if self._fenced:
            self._aids.fence(found, self.object_bytes)
        u32[site] = caller
        return VirtAddr(found)

    def free(self, at: VirtAddr, caller: int = 0) -> bool:
        """Take an object back; False, and a report, for what is no object in use of this cache."""
        slab, number = self._locate(at)
        if number < 0:
            self._report(f"kmem_cache_free: 0x{at:08X} is no object of {self.name}")
            return False
        u32, u64 = self.direct.u32, self.direct.u64
        base = slab - KERNEL_BASE >> 2
        word_at = (base >> 1) + SLAB.size_bytes // 8 - _MAP_WORDS + (number >> 6)
        bit = 1 << (number & 63)
        word = u64[word_at]
        site = base + SLAB.size_bytes // 4 + number
        if word & bit:
            self._report(
                f"kmem_cache_free: double free of 0x{at:08X} in {self.name}, freed by {self._symbolise(u32[site])}, "
                f"again by {self._symbolise(caller)}"
            )
            return False
        if self._fenced and (fault := self._aids.broken_fence(at, self.object_bytes)):
            self._report(
                f"{self.name}: OVERFLOW - {fault}; object at 0x{at:08X}, allocated by {self._symbolise(u32[site])}, "
                f"freed by {self._symbolise(caller)}"
            )
        if self._poisoned:
            self._aids.poison(at, self._payload)
        u64[word_at] = word | bit
        u32[site] = caller
        u32[base + FREE] = free = u32[base + FREE] + 1
        self.header[ACTIVE] -= 1
        if free == self.objects_per_slab:
            self._move(slab, PARTIAL if free > 1 else FULL, EMPTY)
            self.shrink(keep=1)
        elif free == 1:
            self._move(slab, FULL, PARTIAL)
        return True

    def shrink(self, keep: int = 0) -> int:
        """Give back empty slabs but `keep`; how many frames were freed."""
        freed = 0
        for slab in self.slabs(EMPTY)[keep:]:
            self._unlink(slab, EMPTY)
            self.direct.u32[(slab - KERNEL_BASE >> 2) + MAGIC] = 0
            self.pmm.free(Frame(slab - KERNEL_BASE >> PAGE_SHIFT), self.order)
            self.header[SLABS] -= 1
            freed += 1 << self.order
        return freed

    @property
    def first_offset(self) -> int:
        """Where the first object of a slab lies, from the slab's start."""
        first = SLAB.size_bytes + 4 * self.objects_per_slab + (FENCE_BYTES if self._fenced else 0)
        return first + -first % min(self.stride & -self.stride, _MOST_ALIGN)

    @property
    def active(self) -> int:
        """How many objects are in use."""
        return self.header[ACTIVE]

    def slabs(self, which: int) -> list[int]:
        """The virtual addresses of the slabs in a list: `PARTIAL`, `FULL` or `EMPTY`."""
        found: list[int] = []
        slab = self.header[which]
        while slab and len(found) <= self.header[SLABS]:  # a damaged list may go round
            found.append(slab)
            slab = self.direct.u32[(slab - KERNEL_BASE >> 2) + NEXT]
        return found

    def fault_of(self, at: int, is_free: bool) -> str:
        """What the debug aids find wrong with the object at `at`, in words; nothing if all is well."""
        if is_free:
            return self._aids.broken_poison(at, self._payload) if self._poisoned else ""
        return self._aids.broken_fence(at, self.object_bytes) if self._fenced else ""

    # ---- slabs --------------------------------------------------------------------------------------------------

    def _locate(self, at: int) -> tuple[int, int]:
        """The slab and number of the object that starts at `at`; number -1 if none does."""
        slab = at & -self.slab_bytes
        if not self.direct.holds(slab, self.slab_bytes):
            return slab, -1
        base = slab - KERNEL_BASE >> 2
        u32 = self.direct.u32
        if u32[base + MAGIC] != SLAB_MAGIC or u32[base + CACHE_AT] != self.at:
            return slab, -1
        number, rest = divmod(at - slab - u32[base + FIRST], self.stride)
        return slab, number if not rest and 0 <= number < self.objects_per_slab else -1

    def _another_slab(self) -> int:
        """A slab with free objects, in list `PARTIAL`; 0 if there is no memory."""
        if slab := self.header[EMPTY]:
            self._move(slab, EMPTY, PARTIAL)
            return slab
        frame = self.pmm.alloc(self.order, Owner.SLAB, self.at)
        if isinstance(frame, OutOfMemory):
            return 0
        slab = KERNEL_BASE + (frame << PAGE_SHIFT)
        count = self.objects_per_slab
        first = self.first_offset
        self.direct.memory.fill(PhysAddr(slab - KERNEL_BASE), first)
        free_map = ((1 << count) - 1).to_bytes(8 * _MAP_WORDS, "little")
        SLAB.write(
            self.direct.memory, PhysAddr(slab - KERNEL_BASE),
            magic=SLAB_MAGIC, cache=self.at, objects=count, free=count, first=first, free_map=free_map,
        )  # fmt: skip
        if self._poisoned:
            self._aids.poison(slab + first, count * self.stride)
        self._link(slab, PARTIAL)
        self.header[SLABS] += 1
        return slab

    def _move(self, slab: int, old: int, new: int) -> None:
        self._unlink(slab, old)
        self._link(slab, new)

    def _link(self, slab: int, which: int) -> None:
        u32, at = self.direct.u32, slab - KERNEL_BASE >> 2
        first = self.header[which]
        u32[at + NEXT], u32[at + PREV], u32[at + LIST] = first, 0, which
        if first:
            u32[(first - KERNEL_BASE >> 2) + PREV] = slab
        self.header[which] = slab

    def _unlink(self, slab: int, which: int) -> None:
        u32, at = self.direct.u32, slab - KERNEL_BASE >> 2
        following, before = u32[at + NEXT], u32[at + PREV]
        if before:
            u32[(before - KERNEL_BASE >> 2) + NEXT] = following
        else:
            self.header[which] = following
        if following:
            u32[(following - KERNEL_BASE >> 2) + PREV] = before


def slab_geometry(object_bytes: int, align: int, pad_bytes: int) -> tuple[int, int, int]:
    """Bytes from one object to the next, the order of a slab, and how many objects fit into it.

    The smallest order that wastes at most a quarter, or the largest.  Raises `InvalidParameters` for sizes that cannot
    be.
    """
    if object_bytes <= 0 or align < 8 or align & align - 1 or align > _MOST_ALIGN:
        raise InvalidParameters(f"kmem_cache_create: objects of {object_bytes} bytes aligned to {align}")
    stride = (object_bytes + 7 & -8) + 2 * pad_bytes
    stride += -stride % align
    for order in range(_LARGEST_ORDER + 1):
        room = (PAGE_SIZE << order) - SLAB.size_bytes - pad_bytes - _MOST_ALIGN
        count = min(room // (stride + 4), _MOST_OBJECTS)
        used = count * stride
        if count >= _FEWEST_OBJECTS and used * 4 >= (PAGE_SIZE << order) * 3:
            return stride, order, count
    if not count:
        raise InvalidParameters(f"kmem_cache_create: objects of {object_bytes} bytes do not fit into a slab")
    return stride, order, count
