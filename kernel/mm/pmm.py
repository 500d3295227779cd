"""The physical memory manager: pages for the kernel and for programs, from the zones' allocators.

It stands between everybody and the allocators, and keeps the `FrameTable`: an allocator may be twenty lines long and
trusting, and still no frame has two owners, and every bad free is refused with facts.

Zones: ``Normal`` is what the direct map reaches, for the kernel's own structures; ``HighMem`` the rest, which programs
get first.  Blocks never cross the border between them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from hillemu.emu.i386.address import PAGE_MASK, PAGE_SHIFT, Frame, PhysAddr
from hillemu.emu.reports import Report, unheard
from hillemu.kernel.errors import (
    BadFree,
    Corruption,
    DoubleFree,
    FreeOfZero,
    InvalidParameters,
    Misaligned,
    StillShared,
    Unowned,
    WrongSize,
)
from hillemu.kernel.mm.frame_table import (
    HEAD,
    INFO_SHIFT,
    INSIDE,
    ORDER_SHIFT,
    OWNER_SHIFT,
    REFERENCES_MASK,
    FrameTable,
    Owner,
)
from hillemu.kernel.mm.frames import MAX_ORDER, FrameAllocator, FrameRun, OutOfMemory, order_for


class PmmZone(NamedTuple):
    """Frames `first` up to `end`, of which `runs` were given to `allocator`."""

    name: str
    first: Frame
    end: Frame
    runs: tuple[FrameRun, ...]
    allocator: FrameAllocator

    @property
    def managed_frames(self) -> int:
        return sum(map(len, self.runs))


class Pmm:
    """Frames by `alloc`, `free`, `hold` and `release`; the seed's functions by the names that it gave them.

    `zones` are ascending, the first is the direct map's.  `report` hears what was refused, `log` what is printed.
    """

    def __init__(
        self,
        table: FrameTable,
        zones: tuple[PmmZone, ...],
        report: Report = unheard,
        log: Callable[[str], None] = unheard,
    ) -> None:
        self.table, self.zones = table, zones
        self.report, self.log = report, log
        self._entries = table.entries
        allocators = tuple((zone.allocator.alloc, zone.first, zone.end) for zone in zones)
        self._high_first, self._direct = allocators[::-1], allocators[:1]
        self._frees = tuple(zone.allocator.free for zone in zones)
        self._border = zones[0].end

    # ---- frames -------------------------------------------------------------------------------------------------

    def alloc(
        self, order: int = 0, owner: Owner = Owner.KERNEL, info: int = 0, *, high: bool = False
    ) -> Frame | OutOfMemory:
        """A block of `2**order` frames with one reference, its content undefined.

        It lies in the direct map unless `high` is true; then it lies beyond if possible.  Raises `InvalidParameters`
        for an order above 10, and `Corruption` if an allocator gives what it does not have.
        """
        if not 0 <= order <= MAX_ORDER:
            raise InvalidParameters(f"pmm_alloc: invalid order {order}: orders are 0 to {MAX_ORDER}")
        for found in self._high_first if high else self._direct:
            got = found[0](order)
            if type(got) is not OutOfMemory:  # isinstance() would take 70 ns to say no
                break
        else:
            assert isinstance(got, OutOfMemory), "there is a zone"
            return got._replace(free_frames=self.free_frames) if high else got
        _, first, zone_end = found
        entries = self._entries
        entry = owner << OWNER_SHIFT | info << INFO_SHIFT
        try:
            if not first <= got < zone_end or entries[got]:
                raise self._two_owners(first, got, order)
        except TypeError:
            raise self._two_owners(first, got, order) from None
        if order:
            end = got + (1 << order)
            if got & (1 << order) - 1 or end > zone_end:
                raise self._two_owners(first, got, order)
            for frame in range(got + 1, end):
                if entries[frame]:
                    raise self._two_owners(first, got, order)
            inside = entry | INSIDE << ORDER_SHIFT
            for frame in range(got + 1, end):
                entries[frame] = inside
        entries[got] = entry | (HEAD | order) << ORDER_SHIFT | 1
        return got

    def free(self, frame: Frame, order: int = 0) -> None:
        """Give back what `alloc(order)` returned.  Raises `BadFree`, and then nothing has changed."""
        entries = self._entries
        try:
            if frame <= 0 or entries[frame] & 0xFFFFFF != (HEAD | order) << ORDER_SHIFT | 1:
                raise self.refusal(frame, order)
        except IndexError:
            raise self.refusal(frame, order) from None
        self._frees[frame >= self._border](frame, order)
        entries[frame] = 0
        for one in range(frame + 1, frame + (1 << order)):
            entries[one] = 0

    def hold(self, frame: Frame) -> int:
        """Add a reference to a block in use; how many there are now.  Raises `Unowned` if the frame is free."""
        entry = self._used_entry(frame, "pmm_hold")
        if entry & REFERENCES_MASK == REFERENCES_MASK:
            raise InvalidParameters(
                f"pmm_hold: frame {frame:#x} has {REFERENCES_MASK} references, the most there can be"
            )
        self._entries[frame] = entry + 1
        return (entry & REFERENCES_MASK) + 1

    def release(self, frame: Frame) -> int:
        """Take a reference away, and free the block with the last; how many are left."""
        entry = self._used_entry(frame, "pmm_release")
        left = (entry & REFERENCES_MASK) - 1
        if left > 0:
            self._entries[frame] = entry - 1
        else:
            self.free(frame, (entry >> ORDER_SHIFT & 0xFF) - HEAD)
        return left

    def references(self, frame: Frame) -> int:
        """How many hold `frame`; 0 if it is free."""
        return self.table.record(frame).references

    def _used_entry(self, frame: int, who: str) -> int:
        entry = self._entries[frame] if 0 <= frame < self.table.end else 0
        if not entry >> ORDER_SHIFT & HEAD or not entry & REFERENCES_MASK:
            raise Unowned(f"{who}: frame {frame:#x} is not the first of a block in use")
        return entry

    def refusal(self, frame: int, order: int) -> BadFree:
        """Why `frame` cannot be freed as a block of `order`."""
        what = f"frame {frame:#x} (order {order})"
        if frame == 0:
            return FreeOfZero(f"pmm_free: {what}: frame 0 is never handed out")
        record = self.table.record(frame)
        if record.owner is Owner.RESERVED:
            return Unowned(f"pmm_free: {what} is reserved, or no RAM")
        if record.owner is Owner.NOBODY:
            return DoubleFree(f"pmm_free: {what} is already free")
        if record.order is None:
            block = self.table.block_of(frame)
            where = f" of the block at {block[0]:#x} (order {block[1]})" if block else ""
            return Misaligned(f"pmm_free: {what} lies in the middle{where}")
        if record.order != order:
            return WrongSize(f"pmm_free: {what} was allocated with order {record.order}")
        return StillShared(f"pmm_free: {what} is still held {record.references} times")

    def _two_owners(self, zone_first: int, frame: object, order: int) -> Corruption:
        zone = next(zone for zone in self.zones if zone.first == zone_first)
        who = f"pmm_alloc: {type(zone.allocator).__name__} of zone {zone.name}"
        if not isinstance(frame, int):
            return Corruption(f"{who} returned {frame!r}: alloc(order) returns a frame's number or OutOfMemory")
        size = 1 << order
        if not zone.first <= frame <= zone.end - size:
            which = "which is" if size == 1 else f"which with its {size - 1} next ones is"
            why = f"{which} not inside the zone, {zone.first:#x} to {zone.end - 1:#x}"
        elif frame & size - 1:
            why = f"which is not at a multiple of {size} frames"
        else:
            taken = next(one for one in range(frame, frame + size) if self.table.record(one).owner)
            which = "which" if taken == frame else f"of which {taken:#x}"
            why = f"{which} belongs to {self.table.record(taken).owner_name}"
        return Corruption(f"{who} handed out frame {frame:#x} (order {order}), {why}")

    # ---- the seed's functions -------------------------------------------------------------------------------------

    def alloc_page(self, owner: Owner = Owner.KERNEL) -> PhysAddr:
        """`pmm_alloc_page`: a page's physical address, or 0."""
        got = self.alloc(0, owner)
        if isinstance(got, OutOfMemory):
            self.report(f"pmm_alloc_page: failed to allocate page: {got}")
            return PhysAddr(0)
        return PhysAddr(got << PAGE_SHIFT)

    def alloc_pages(self, count: int, owner: Owner = Owner.KERNEL) -> PhysAddr:
        """`pmm_alloc_pages`: contiguous pages, `count` rounded up to an order; 0 if there are none or `count` is 0."""
        if count <= 0:
            return PhysAddr(0)
        order = order_for(count)
        got = self.alloc(order, owner) if order <= MAX_ORDER else None
        if got is None or isinstance(got, OutOfMemory):
            why = got or f"a block has at most {1 << MAX_ORDER} pages"
            self.report(f"pmm_alloc_pages: failed to allocate {count} pages: {why}")
            return PhysAddr(0)
        return PhysAddr(got << PAGE_SHIFT)

    def free_page(self, at: PhysAddr) -> bool:
        """`pmm_free_page`: whether the page was freed; if not, nothing has changed and `report` has heard why."""
        if at == 0 or at & PAGE_MASK:
            self.report(f"pmm_free_page: invalid address {at:#x}")
            return False
        if not self._free_reported("pmm_free_page", at, 0):
            return False
        self.log(f"pmm_free_page: freed page at {at:#x}")
        return True

    def free_pages(self, at: PhysAddr, count: int) -> bool:
        """`pmm_free_pages`: as `free_page`, for what `alloc_pages(count)` returned."""
        if at == 0 or count <= 0 or at & PAGE_MASK:
            self.report(f"pmm_free_pages: invalid address {at:#x} or count {count}")
            return False
        return self._free_reported("pmm_free_pages", at, order_for(count))

    def _free_reported(self, who: str, at: PhysAddr, order: int) -> bool:
        try:
            self.free(Frame(at >> PAGE_SHIFT), order)
        except BadFree as fault:
            self.report(f"{who}: refused {at:#x}: {fault}")
            return False
        return True

    # ---- what there is ----------------------------------------------------------------------------------------------

    @property
    def free_frames(self) -> int:
        return sum(zone.allocator.free_frames for zone in self.zones)

    @property
    def managed_frames(self) -> int:
        return sum(zone.managed_frames for zone in self.zones)

    def check(self) -> list[str]:
        """Contradictions in the allocators, in the frame table, and between them; none if all is well."""
        from hillemu.kernel.mm.pmm_check import check

        return check(self)
