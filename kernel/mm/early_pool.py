"""The early pool: 1 MiB from which the kernel takes small memory before, and after, there is anything else.

In guest memory::

    struct early_pool
        base, end           virtual addresses of the pool
        brk                 nothing above it has been given out yet
        permanent_bytes     given out by `kmalloc_early`, for ever
        freed_bytes         by `kfree`, since free blocks were last merged
        class_map[9]        bit c: lists[c] is not empty
        lists[258]          free blocks of 8 * c bytes, as entries of the allocation table; lists[257]: all larger ones

Everything is aligned to 8 bytes.  No block has a header: what the kernel overwrites by mistake is another's content,
never the pool's own structure.
"""

from __future__ import annotations

from hillemu.emu.i386.address import VirtAddr
from hillemu.kernel.mm.direct_map import DirectMap
from hillemu.kernel.mm.structure import Structure

POOL_BYTES = 1 << 20
ALIGN = 8
SMALL_MAX_BYTES = 2048
"""What kmalloc takes from the pool; larger requests get pages."""
LARGE_CLASS = SMALL_MAX_BYTES // ALIGN + 1

POOL = Structure(
    "early_pool",
    "u32 base",
    "u32 end",
    "u32 brk",
    "u32 permanent_bytes",
    "u32 freed_bytes",
    f"u32 class_map[{LARGE_CLASS // 32 + 1}]",
    f"u32 lists[{LARGE_CLASS + 1}]",
)
BASE, END, BRK, PERMANENT, FREED = range(5)
MAP_AT = POOL.offset("class_map") // 4
LISTS_AT = POOL.offset("lists") // 4


class EarlyPool:
    """The pool whose header is at `at`; `header` has its words, and it lies from `base` up to `end`."""

    def __init__(self, direct: DirectMap, at: VirtAddr) -> None:
        self.direct, self.at = direct, at
        self.header = direct.u32_array(at, POOL.size_bytes // 4)
        self.base, self.end = self.header[BASE], self.header[END]

    @classmethod
    def create(cls, direct: DirectMap, at: VirtAddr, size_bytes: int = POOL_BYTES) -> EarlyPool:
        """Make a pool in `size_bytes` of zeroed memory at `at`; its header lies at its start."""
        header = direct.u32_array(at, POOL.size_bytes // 4)
        base = at + POOL.size_bytes + -POOL.size_bytes % ALIGN
        for number, value in ((BASE, base), (END, at + size_bytes), (BRK, base)):
            header[number] = value
        return cls(direct, at)

    def kmalloc_early(self, size_bytes: int) -> VirtAddr:
        """Memory that is never freed, or 0: there is no more, or `size_bytes` is 0."""
        at = self.bump(size_bytes)
        if at:
            self.header[PERMANENT] += size_bytes + -size_bytes % ALIGN
        return VirtAddr(at)

    def bump(self, size_bytes: int) -> int:
        """Memory that has never been given out, or 0."""
        header = self.header
        at = header[BRK]
        after = at + (size_bytes + 7 & -8)
        if after > header[END] or size_bytes <= 0:
            return 0
        header[BRK] = after
        return at

    def holds(self, at: int) -> bool:
        """Whether `at` lies in the part that has been given out."""
        return self.base <= at < self.header[BRK]
