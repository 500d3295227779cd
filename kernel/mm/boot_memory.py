"""Memory before there is an allocator: what the map offers, less what is taken already.

The kernel's image, modules and boot information are reserved first; then every structure of fixed size takes its
place, lowest address first; the rest goes to the zones' allocators.  What was decided is left in guest memory for
debuggers and dumps, in the page named "boot memory":

    struct memory_region    one for each entry of the map, linked as in the map's order
    struct reserved_range   one for each range that no allocator manages, by address
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PAGE_SHIFT, PAGE_SIZE, Frame, PhysAddr, page_down, page_up
from hillemu.kernel.errors import InvalidParameters
from hillemu.kernel.layout import DIRECT_MAP_BYTES, phys_to_virt
from hillemu.kernel.mm.frames import FrameRun
from hillemu.kernel.mm.memory_map import MemoryRegion, merged, subtract, usable_runs
from hillemu.kernel.mm.structure import Structure

REGION = Structure("memory_region", "u64 base", "u64 length", "u32 type", "u32 next")
"""`next` is the virtual address of the next region, or 0."""
RESERVED = Structure("reserved_range", "u64 base", "u64 length", "u8 name[16]")

_RESERVATIONS_TO_COME = 16


class Reserved(NamedTuple):
    """A range of whole pages that belongs to `name`."""

    base: PhysAddr
    end: PhysAddr
    name: str


class BootMemory:
    """Hands out physical memory that is never given back; page 0 is reserved from the start.

    Raises `InvalidParameters` for a reservation that overlaps another, and when memory runs out.
    """

    def __init__(self, memory: GuestMemory, regions: Iterable[MemoryRegion]) -> None:
        self.memory = memory
        self.regions = tuple(regions)
        self.usable = usable_runs(self.regions)
        self.reserved: list[Reserved] = [Reserved(PhysAddr(0), PhysAddr(PAGE_SIZE), "null page")]
        self._sealed = False

    def reserve(self, base: PhysAddr, size_bytes: int, name: str) -> None:
        """Keep allocators away from a range, rounded outwards to whole pages.

        Ranges may share a page at their ends (small tables do) or lie outside RAM.
        """
        self._must_be_open(name)
        self.reserved.append(Reserved(PhysAddr(page_down(base)), PhysAddr(page_up(base + size_bytes)), name))
        self.reserved.sort()

    def take(self, size_bytes: int, name: str, align: int = PAGE_SIZE, end: int = DIRECT_MAP_BYTES) -> PhysAddr:
        """The lowest `size_bytes` of usable memory above 1 MiB, below `end`, at a multiple of `align`; zeroed."""
        self._must_be_open(name)
        size_bytes = max(page_up(size_bytes), PAGE_SIZE)
        for first, last in self._left():
            base = max(first << PAGE_SHIFT, 1 << 20)
            base += -base % align
            if base + size_bytes <= min(last << PAGE_SHIFT, end):
                self.reserve(PhysAddr(base), size_bytes, name)
                self.memory.fill(PhysAddr(base), size_bytes)
                return PhysAddr(base)
        raise InvalidParameters(
            f"mm_init: no room for {name}: {size_bytes} bytes below {end:#x}; give the machine more"
        )

    def runs(self, first: Frame, end: Frame) -> tuple[FrameRun, ...]:
        """Usable frames from `first` up to `end` that nobody has reserved."""
        inside = ((max(low, first), min(high, end)) for low, high in self._left())
        return tuple(FrameRun(Frame(low), Frame(high)) for low, high in inside if low < high)

    def owner(self, frame: int) -> str | None:
        """Who has reserved `frame`, for reports; None if nobody has."""
        at = frame << PAGE_SHIFT
        return next((one.name for one in self.reserved if one.base <= at < one.end), None)

    def take_record(self) -> PhysAddr:
        """A place for `seal` to write to, with room for some more reservations."""
        ranges = len(self.reserved) + _RESERVATIONS_TO_COME
        return self.take(len(self.regions) * REGION.size_bytes + ranges * RESERVED.size_bytes, "boot memory")

    def seal(self, at: PhysAddr) -> None:
        """Leave the decisions in guest memory at `at`, which is from `take_record`, and take no more."""
        regions_bytes = len(self.regions) * REGION.size_bytes
        room = next(one.end - one.base for one in self.reserved if one.base == at)
        if regions_bytes + len(self.reserved) * RESERVED.size_bytes > room:
            raise InvalidParameters(f"mm_init: {len(self.reserved)} reserved ranges are more than were expected")
        for number, region in enumerate(self.regions):
            here = PhysAddr(at + number * REGION.size_bytes)
            last = number == len(self.regions) - 1
            following = 0 if last else phys_to_virt(PhysAddr(here + REGION.size_bytes))
            REGION.write(
                self.memory, here, base=region.base, length=region.size_bytes, type=region.type, next=following
            )
        for number, one in enumerate(self.reserved):
            here = PhysAddr(at + regions_bytes + number * RESERVED.size_bytes)
            name = one.name.encode("ascii", "replace")[:15]
            RESERVED.write(self.memory, here, base=one.base, length=one.end - one.base, name=name)
        self._sealed = True

    def describe(self, log: Callable[[str], None]) -> None:
        """Print what is reserved."""
        for one in self.reserved:
            log(f"mm_init: reserved 0x{one.base:08X}-0x{one.end - 1:08X} {one.name}")

    def _left(self) -> list[tuple[int, int]]:
        taken = merged([(one.base >> PAGE_SHIFT, one.end >> PAGE_SHIFT) for one in self.reserved])
        return subtract(self.usable, taken)

    def _must_be_open(self, name: str) -> None:
        if self._sealed:
            raise InvalidParameters(f"mm_init: {name} comes too late: memory belongs to the allocators already")
