"""`kmalloc` and its family, in the two tiers of profile hillson; what is freed is really given back in both.

::

    size            from                                     given back to
    0               nowhere: NULL
    up to 2048      the early pool; when it is exhausted,    the pool's lists
                    slab caches kmalloc-16 ... kmalloc-2048  the slab
    above           pages, rounded up to an order            the page allocator

Addresses are virtual, in the direct map: physical + 0xC0000000.  Every allocation has an entry in the
`AllocationTable`.  `caller` is the address of the call, for reports; the lines are the seed's.

What is wrong (an unknown pointer, a double free, a broken fence) is reported with facts and changes nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

from hillemu.emu.i386.address import PAGE_SHIFT, PAGE_SIZE, Frame, VirtAddr
from hillemu.emu.reports import Report, unheard
from hillemu.kernel.layout import KERNEL_BASE
from hillemu.kernel.mm.allocation_table import AllocationTable, Row, array_bytes
from hillemu.kernel.mm.debug_aids import DebugAids
from hillemu.kernel.mm.direct_map import DirectMap
from hillemu.kernel.mm.early_pool import SMALL_MAX_BYTES, EarlyPool
from hillemu.kernel.mm.frame_table import Owner
from hillemu.kernel.mm.frames import MAX_ORDER, OutOfMemory, order_for
from hillemu.kernel.mm.pmm import Pmm
from hillemu.kernel.mm.pool_blocks import PoolBlocks
from hillemu.kernel.mm.slab import Cache
from hillemu.kernel.mm.slab_caches import SlabCaches

_SPARE_ENTRIES = 3
SLAB_SIZES = (16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048)


class Kmalloc:
    """The allocator over `pool`, `caches` and `pmm`, with `table` as its record.

    `log` prints the seed's line for every allocation of pages and for every free; None prints nothing.
    """

    def __init__(
        self,
        direct: DirectMap,
        pool: EarlyPool,
        table: AllocationTable,
        pmm: Pmm,
        caches: SlabCaches,
        aids: DebugAids,
        report: Report = unheard,
        symbolise: Callable[[int], str] = hex,
        log: Callable[[str], None] | None = None,
    ) -> None:
        self.direct, self.pool, self.table, self.pmm, self.caches, self.aids = direct, pool, table, pmm, caches, aids
        self.report, self.symbolise, self.log = report, symbolise, log
        self.blocks = PoolBlocks(pool, table, aids, self._make_room, report, symbolise)
        self._fenced = aids.options.red_zones
        self._pad = aids.options.pad_bytes
        self._boot_arrays = table.arrays_at
        # The caches bring no fences of their own: kmalloc's surround what it gets from anywhere.
        self._slabs = tuple(caches.create(f"kmalloc-{size}", size, fences=False) for size in SLAB_SIZES)

    # ---- the functions ------------------------------------------------------------------------------------------

    def kmalloc(self, size: int, caller: int = 0) -> VirtAddr:
        """`size` bytes, aligned to 8, their content undefined; 0 (NULL) for no bytes, or if there is no memory."""
        if 0 < size <= SMALL_MAX_BYTES:
            at = self.blocks.alloc(size, caller) or self._from_slab(size, caller)
            if self._fenced and at:
                self.aids.fence(at, size)
        elif size > 0:
            at = self._from_pages(size, order_for(size + PAGE_SIZE - 1 >> PAGE_SHIFT), caller)
        else:
            return VirtAddr(0)
        if not at:
            self.report(f"kmalloc: failed to allocate {size} bytes for {self.symbolise(caller)}")
        return at  # type: ignore[return-value]  # calling VirtAddr would take 100 ns

    def kfree(self, at: VirtAddr, caller: int = 0) -> bool:
        """Give memory back; whether it was.  NULL is nothing and is no fault."""
        if not at:
            return False
        table = self.table
        number = table.find(at)
        if not number or table.in_use[number] != 1:
            self._refuse(at, number, caller)
            return False
        size, pages = table.size_of[number], table.pages_of[number]
        if self.log:
            phys = table.phys_of[number]
            self.log(f"kfree: freeing {size} bytes ({pages} pages) at virt=0x{at:X}, phys=0x{phys:X}")
        if self._fenced:
            broken = self.broken(at, size, pages) if pages else self.aids.broken_fence(at, size)
            if broken:
                by, freed_by = self.symbolise(table.allocated_by[number]), self.symbolise(caller)
                self.report(
                    f"kfree: OVERFLOW - {size} bytes at 0x{at:08X}, {broken}; allocated by {by}, freed by {freed_by}"
                )
        table.in_use[number] = 0
        table.freed_by[number] = caller
        if pages:
            self.pmm.free(Frame(at - KERNEL_BASE >> PAGE_SHIFT), order_for(pages))
        elif self.pool.base <= at < self.pool.end:
            self.blocks.free(number, at, size)
        else:
            self._slab_for(size).free(VirtAddr(at - self._pad), caller)
        return True

    def kzalloc(self, size: int, caller: int = 0) -> VirtAddr:
        """As `kmalloc`, filled with zeros."""
        at = self.kmalloc(size, caller)
        if at:
            self.direct.write(at, bytes(size))
        return at

    def krealloc(self, at: VirtAddr, size: int, caller: int = 0) -> VirtAddr:
        """Change an allocation's size, content kept, perhaps elsewhere.

        NULL is allocated, size 0 is freed and gives NULL.  NULL for any other reason has changed nothing.
        """
        if not at:
            return self.kmalloc(size, caller)
        if size <= 0:
            self.kfree(at, caller)
            return VirtAddr(0)
        row = self.row_of(at)
        if row is None or not row.in_use:
            self._refuse(at, self.table.find(at), caller)
            return VirtAddr(0)
        if self._fits_in_place(row, size):
            if self._fenced and (broken := self.broken(at, row.size, row.pages)):
                self.report(f"krealloc: OVERFLOW - {broken}; {self.table.describe(row, self.symbolise)}")
            number = self.table.find(at)
            self.table.size_of[number] = size
            self._fence(at, size, row.pages)
            return at
        other = self.kmalloc(size, caller)
        if other:
            self.direct.write(other, self.direct.read(at, min(size, row.size)))
            self.kfree(at, caller)
        return other

    def kmalloc_aligned(self, size: int, align: int, caller: int = 0) -> VirtAddr:
        """As `kmalloc`, at a multiple of `align`, a power of two up to 4 MiB; NULL for any other alignment."""
        if align <= 0 or align & align - 1 or align > PAGE_SIZE << MAX_ORDER:
            self.report(f"kmalloc_aligned: {align} is no power of two up to {PAGE_SIZE << MAX_ORDER}")
            return VirtAddr(0)
        if align <= 8 or size <= 0:
            return self.kmalloc(size, caller)
        at = self.blocks.alloc_aligned(size, align, caller) if size <= SMALL_MAX_BYTES and align < PAGE_SIZE else 0
        if at:
            if self._fenced:
                self.aids.fence(at, size)
            return VirtAddr(at)
        # A block of pages starts at a multiple of its size.
        at = self._from_pages(size, order_for(max(size, align) + PAGE_SIZE - 1 >> PAGE_SHIFT), caller)
        if not at:
            self.report(f"kmalloc_aligned: failed to allocate {size} bytes for {self.symbolise(caller)}")
        return VirtAddr(at)

    def ksize(self, at: VirtAddr) -> int:
        """The size that was asked for; 0 for what is not allocated."""
        row = self.row_of(at)
        return row.size if row and row.in_use else 0

    def row_of(self, at: int) -> Row | None:
        """What the table knows of the allocation at `at`, alive or freed."""
        number = self.table.find(at)
        return self.table.row(number) if number else None

    # ---- tiers ----------------------------------------------------------------------------------------------------

    def _from_slab(self, size: int, caller: int) -> int:
        if not self._fits_slab(size) or not self._has_entry():
            return 0
        at = self._slab_for(size).alloc(caller)
        if not at:
            return 0
        self.table.add(at + self._pad, 0, size, 0, caller)
        return at + self._pad

    def _from_pages(self, size: int, order: int, caller: int) -> int:
        if order > MAX_ORDER or not self._has_entry():
            return 0
        frame = self.pmm.alloc(order, Owner.KMALLOC)
        if isinstance(frame, OutOfMemory):
            return 0
        phys, pages = frame << PAGE_SHIFT, 1 << order
        at = KERNEL_BASE + phys
        self.table.add(at, phys, size, pages, caller)
        self._fence(at, size, pages)
        if self.log:
            self.log(f"kmalloc: allocated {size} bytes ({pages} pages) at virt=0x{at:X}, phys=0x{phys:X}")
        return at

    def _slab_for(self, size: int) -> Cache:
        whole = (size + 7 & -8) + 2 * self._pad
        return next(cache for cache in self._slabs if cache.object_bytes >= whole)

    def _fits_in_place(self, row: Row, size: int) -> bool:
        """Whether `size` bytes need exactly the block that `row` has."""
        if row.pages:
            return size > SMALL_MAX_BYTES and size <= row.pages * PAGE_SIZE < 2 * max(size, PAGE_SIZE)
        if self.pool.holds(row.virt):
            return size + 7 >> 3 == row.size + 7 >> 3
        return size <= SMALL_MAX_BYTES and self._fits_slab(size) and self._slab_for(size) is self._slab_for(row.size)

    def _fits_slab(self, size: int) -> bool:
        return (size + 7 & -8) + 2 * self._pad <= SLAB_SIZES[-1]

    def _fence(self, at: int, size: int, pages: int) -> None:
        if not self._fenced:
            return
        if pages:
            self.aids.fence_slack(at + size, at + pages * PAGE_SIZE)
        else:
            self.aids.fence(at, size)

    def broken(self, at: int, size: int, pages: int) -> str:
        """Where the fences of an allocation are broken, in words; nothing if they stand."""
        if pages:
            return self.aids.broken_slack(at + size, at + pages * PAGE_SIZE)
        return self.aids.broken_fence(at, size)

    def _refuse(self, at: int, number: int, caller: int) -> None:
        by = self.symbolise(caller)
        if not number:
            self.report(f"kfree: WARNING - unknown pointer 0x{at:08X}, by {by}")
            return
        row = self.table.row(number)
        self.report(f"kfree: WARNING - double free of {self.table.describe(row, self.symbolise)}, again by {by}")

    # ---- the table's room -----------------------------------------------------------------------------------------

    def _has_entry(self) -> bool:
        return not self.table.is_full or self._make_room()

    def _make_room(self) -> bool:
        """Drop what is dead from the table, and double it if most is alive; whether there is room now."""
        table = self.table
        rows = self.blocks.merge([row for _, row in table.rows()])
        rows = [row for row in rows if row.in_use or self.pool.holds(row.virt)]
        if len(rows) > table.capacity * 3 // 4:
            self._grow(rows)
        else:
            table.rebuild(rows)
        self.blocks.rebuild_lists()
        return table.tracked + _SPARE_ENTRIES <= table.capacity

    def _grow(self, rows: list[Row]) -> None:
        table = self.table
        capacity = 2 * table.capacity
        order = order_for(array_bytes(capacity) + PAGE_SIZE - 1 >> PAGE_SHIFT)
        frame = self.pmm.alloc(order, Owner.KERNEL) if order <= MAX_ORDER else OutOfMemory(order, 0)
        if isinstance(frame, OutOfMemory):
            self.report(f"kmalloc: the allocation table cannot grow beyond {table.capacity} entries: {frame}")
            table.rebuild(rows)
            return
        old, old_bytes = table.arrays_at, array_bytes(table.capacity)
        table.move(VirtAddr(KERNEL_BASE + (frame << PAGE_SHIFT)), capacity, rows)
        if old != self._boot_arrays:
            self.pmm.free(Frame(old - KERNEL_BASE >> PAGE_SHIFT), order_for(old_bytes + PAGE_SIZE - 1 >> PAGE_SHIFT))

    # ---- what there is --------------------------------------------------------------------------------------------

    def held_bytes(self) -> int:
        """What it has taken from memory: the used part of the pool, the caches' slabs, and pages."""
        from hillemu.kernel.mm.kmalloc_report import held_bytes

        return held_bytes(self)

    def fragmentation(self) -> float:
        """Of the pool's free bytes, the part outside the largest free run; 0 if nothing is free."""
        from hillemu.kernel.mm.kmalloc_report import pool_fragmentation

        return pool_fragmentation(self)

    def check(self) -> list[str]:
        """Contradictions and broken fences and poison, as sentences; none if all is well."""
        from hillemu.kernel.mm.kmalloc_check import check

        return check(self)
