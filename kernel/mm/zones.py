"""Builds the physical memory manager: zones over the memory map, an allocator in each, and the frame table."""

from __future__ import annotations

from collections.abc import Callable

from hillemu.emu.errors import UserMistake
from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PAGE_SIZE, Frame, PhysAddr
from hillemu.emu.reports import Report, unheard
from hillemu.kernel.layout import DIRECT_MAP_END_FRAME, REACH_FRAMES_32BIT
from hillemu.kernel.mm.boot_memory import BootMemory
from hillemu.kernel.mm.buddy import Buddy
from hillemu.kernel.mm.frame_table import FRAME, FrameTable
from hillemu.kernel.mm.frames import AllocatorFactory, FrameAllocator, FrameRun
from hillemu.kernel.mm.parts import ALLOCATOR, must_have
from hillemu.kernel.mm.pmm import Pmm, PmmZone


class BootZone:
    """A `Zone` while its allocator is being born."""

    def __init__(self, name: str, first: Frame, end: Frame, boot: BootMemory, log: Callable[[str], None]) -> None:
        self.name, self.first, self.end, self.log = name, first, end, log
        self.memory: GuestMemory = boot.memory
        self._boot = boot
        self._told: tuple[FrameRun, ...] | None = None

    def take(self, size_bytes: int, what: str) -> PhysAddr:
        """Zeroed, page-aligned guest memory in the direct map for structures, for ever."""
        return self._boot.take(size_bytes, what)

    def runs(self) -> tuple[FrameRun, ...]:
        """The free frames, ascending and disjoint, never adjacent."""
        self._told = self._boot.runs(self.first, self.end)
        return self._told

    def require_true_runs(self, allocator: FrameAllocator) -> None:
        """Raise `UserMistake` if the runs that `allocator` has been told hold frames that were taken later."""
        told = self._told
        if told is not None and told != self.runs():
            raise UserMistake(
                f"frame_allocator: {type(allocator).__name__} has asked for zone.runs() of zone {self.name} before the "
                f"last zone.take(): take first, or ask again"
            )


def build_pmm(
    boot: BootMemory,
    allocator: AllocatorFactory = Buddy.for_zone,
    *,
    reach_frames: int = REACH_FRAMES_32BIT,
    report: Report = unheard,
    log: Callable[[str], None] = unheard,
) -> Pmm:
    """Give all memory that is left to allocators; `boot` is sealed.

    Frames from `reach_frames` on cannot be mapped and are reported, not managed.  Raises `UserMistake` if what
    `allocator` makes is none.
    """
    end = boot.usable[-1].end
    if end > reach_frames:
        lost = sum(map(len, boot.runs(Frame(reach_frames), end)))
        if lost:
            log(
                f"mm_init: {lost * PAGE_SIZE >> 20} MB above 0x{reach_frames * PAGE_SIZE:X} are out of reach"
                f"{'' if reach_frames > REACH_FRAMES_32BIT else ' without PAE'}"
            )
        end = max(run.end for run in boot.usable if run.first < reach_frames)
        end = Frame(min(end, reach_frames))
    table_at = boot.take(FRAME.size_bytes * end, "frame table")
    births = [BootZone("Normal", Frame(0), Frame(min(end, DIRECT_MAP_END_FRAME)), boot, log)]
    if end > DIRECT_MAP_END_FRAME:
        births.append(BootZone("HighMem", DIRECT_MAP_END_FRAME, end, boot, log))
    # Structures of all zones lie in the first, so its allocator is born last, when its frames are known.
    record_at = boot.take_record()
    allocators = [allocator(birth) for birth in reversed(births)]
    for one in allocators:
        must_have(one, "frame_allocator", ALLOCATOR)
    for birth, one in zip(reversed(births), allocators, strict=True):
        birth.require_true_runs(one)
    boot.seal(record_at)
    table = FrameTable(boot.memory, table_at, end)
    table.reserve_all_but(tuple(run for birth in births for run in birth.runs()))
    zones = tuple(
        PmmZone(birth.name, birth.first, birth.end, birth.runs(), made)
        for birth, made in zip(births, reversed(allocators), strict=True)
    )
    return Pmm(table, zones, report, log)
