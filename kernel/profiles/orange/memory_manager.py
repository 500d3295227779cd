"""MM, the document's memory management: `init_mm`, `vm_alloc` and `vm_free` on `pf_list` and the kernel's page tables.

It manages the memory range that the page tables lie in.  Its own variables lie in guest memory::

    struct mm {
        u32 base, end;               the frames of pf_list, as physical addresses; `end` is the first behind
        u32 pf_list;                 linear address of the first entry
        u32 frames, free_frames;
        u32 counts[6];               what has happened, see MmCount; modulo 2**32
    };                               44 bytes

An address range is whole pages: it begins at a page, and a part of its last page counts as the page.  `vm_alloc` gives
NULL, and `vm_free` does nothing, where they cannot do all that was asked for.  Both count this.  That an address range
is in use, or that memory is too fragmented or used up, `log` hears; of what makes no sense, `report`.

`vm_alloc` leaves the content of frames as it is, as the document's does.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from enum import IntEnum

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PAGE_MASK, PAGE_SHIFT, PhysAddr, VirtAddr, page_up
from hillemu.emu.reports import Report, unheard
from hillemu.kernel.errors import InvalidParameters
from hillemu.kernel.mm.structure import Structure
from hillemu.kernel.mm.words import words
from hillemu.kernel.profiles.orange.layout import RESERVED_END
from hillemu.kernel.profiles.orange.memory_info import range_with_page_tables, read_memory_info
from hillemu.kernel.profiles.orange.page_tables import PRESENT, PageTables, frame_in
from hillemu.kernel.profiles.orange.pf_list import PfList, Protection, size_for


class MmCount(IntEnum):
    """Members of ``mm.counts``."""

    ALLOCATED = 0
    """Calls of `vm_alloc` that gave memory."""
    FREED = 1
    """Calls of `vm_free` that took it back."""
    OVERLAPPING = 2
    """Refused: some of the addresses are in use."""
    EXHAUSTED = 3
    """Refused: there are not so many free frames in a row."""
    INVALID_ALLOC = 4
    """Refused: no pages, or not at a page's start, or beyond 4 GiB."""
    INVALID_FREE = 5
    """Ignored, and likewise for `vm_protect`: as INVALID_ALLOC, or not handed out by `vm_alloc`."""


MM = Structure(
    "mm", "u32 base", "u32 end", "u32 pf_list", "u32 frames", "u32 free_frames", f"u32 counts[{len(MmCount)}]"
)
BASE, END, PF_LIST, FRAMES, FREE_FRAMES, COUNTS = range(6)
NULL = VirtAddr(0)
_FOUR_GIB = 1 << 32


def _nothing() -> None:
    """There is no processor."""


class MemoryManager:
    """MM, whose variables lie at physical `at`; `flush_tlb` has the processor forget translations."""

    def __init__(
        self,
        memory: GuestMemory,
        at: PhysAddr,
        *,
        flush_tlb: Callable[[], None] = _nothing,
        log: Report = unheard,
        report: Report = unheard,
    ) -> None:
        self.memory, self.at = memory, at
        self.variables = words(memory, at, MM.size_bytes // 4)
        self.tables = PageTables(memory)
        base, end = self.variables[BASE], self.variables[END]
        entries = PhysAddr(self.variables[PF_LIST])
        self.pf_list = PfList(memory, entries, PhysAddr(base), end - base >> PAGE_SHIFT)
        self._flush_tlb, self._log, self._report = flush_tlb, log, report

    @classmethod
    def init_mm(
        cls,
        memory: GuestMemory,
        at: PhysAddr,
        *,
        flush_tlb: Callable[[], None] = _nothing,
        log: Report = unheard,
        report: Report = unheard,
    ) -> MemoryManager:
        """Read what the loader has left, write `pf_list`, and take the mappings of frames that are free away.

        Raises `InvalidParameters` if memory is too small, or the loader has left something else.
        """
        managed = range_with_page_tables(read_memory_info(memory))
        frames = managed.length >> PAGE_SHIFT
        reserved_end = page_up(RESERVED_END + size_for(frames))
        if reserved_end >= managed.end:
            raise InvalidParameters(
                f"init_mm: behind pf_list, at 0x{reserved_end:X}, no memory is left of {managed}: "
                "give the machine 8 MB or more"
            )
        reserved = reserved_end - managed.base >> PAGE_SHIFT
        PfList.create(memory, RESERVED_END, managed.base, frames, reserved)
        memory.fill(at, MM.size_bytes)
        MM.write(
            memory, at, base=managed.base, end=managed.end, pf_list=RESERVED_END, frames=frames,
            free_frames=frames - reserved,
        )  # fmt: skip
        made = cls(memory, at, flush_tlb=flush_tlb, log=log, report=report)
        made.tables.unmap(reserved_end, frames - reserved)
        flush_tlb()
        return made

    # ---- the document's functions -----------------------------------------------------------------------------------

    def vm_alloc(self, linear: int, size: int, protection: Protection = Protection.READ_WRITE) -> VirtAddr:
        """Map `size` bytes at `linear` to frames in a row, the lowest that are free; `linear`, or NULL if refused."""
        pages = page_up(size) >> PAGE_SHIFT
        if (fault := _fault_of(linear, size)) is not None:
            return self._refuse(MmCount.INVALID_ALLOC, "vm_alloc", linear, size, fault, self._report)
        if (used := self.tables.first_mapped(linear, pages)) is not None:
            fault = f"0x{used:08X} is mapped already"
            return self._refuse(MmCount.OVERLAPPING, "vm_alloc", linear, size, fault, self._log)
        first = self.pf_list.find_free(pages)
        if first is None:
            free = self.variables[FREE_FRAMES]
            fault = f"there are no {pages} free frames in a row, and {free} altogether"
            return self._refuse(MmCount.EXHAUSTED, "vm_alloc", linear, size, fault, self._log)
        self.pf_list.take(first, pages, protection)
        frame, writable = self.pf_list.physical(first), protection is Protection.READ_WRITE
        self.tables.map(linear, frame, pages, writable=writable)
        self._add_free(-pages)
        self._count(MmCount.ALLOCATED)
        return VirtAddr(linear)

    def vm_free(self, linear: int, size: int) -> bool:
        """Clear the entries that map `size` bytes at `linear`, and give back the frames that nothing else maps.

        Whether it was done: all of it must be mapped by `vm_alloc`.
        """
        pages = page_up(size) >> PAGE_SHIFT
        runs = self._runs_of("vm_free", linear, size)
        if runs is None:
            return False
        self.tables.unmap(linear, pages)
        self._flush_tlb()
        for first, count in runs:
            self.release(first, count)
        self._count(MmCount.FREED)
        return True

    def vm_protect(self, linear: int, size: int, protection: Protection) -> bool:
        """Change what may be done with what `vm_alloc` has mapped at `linear`; whether it was done."""
        runs = self._runs_of("vm_protect", linear, size)
        if runs is None:
            return False
        pages = page_up(size) >> PAGE_SHIFT
        self.tables.protect(linear, pages, writable=protection is Protection.READ_WRITE)
        self._flush_tlb()
        for first, count in runs:
            self.pf_list.protect(first, count, protection)
        return True

    # ---- for those who have page tables of their own ----------------------------------------------------------------

    def hold(self, first: int, pages: int) -> None:
        """Somebody else's page tables map frames that `vm_alloc` has handed out, too: `pages` from `first` on."""
        self.pf_list.hold(first, pages)

    def release(self, first: int, pages: int) -> None:
        """They do not any more; frames that nothing maps are FREE.  The TLB must have been flushed."""
        self._add_free(self.pf_list.release(first, pages))

    def physical(self, linear: int) -> PhysAddr | None:
        """Where `linear` lies by the kernel's page tables; None if nothing is mapped there."""
        entry = self.tables.entry(linear)
        return PhysAddr(frame_in(entry) + (linear & PAGE_MASK)) if entry & PRESENT else None

    # ---- how things stand -------------------------------------------------------------------------------------------

    @property
    def free_frames(self) -> int:
        return self.variables[FREE_FRAMES]

    def count(self, what: MmCount) -> int:
        """How often that has happened."""
        return self.variables[COUNTS + what]

    def _runs_of(self, who: str, linear: int, size: int) -> list[tuple[int, int]] | None:
        """The frames behind an address range, (number of the first, how many in a row); None if it is refused."""
        fault = _fault_of(linear, size)
        runs: list[tuple[int, int]] = []
        at = linear
        for entry, count in _in_a_row(self.tables.entries(linear, page_up(size) >> PAGE_SHIFT)) if not fault else ():
            first = self.pf_list.number(frame_in(entry)) if entry & PRESENT else None
            good = 0 if first is None else self.pf_list.mapped_from(first, count)
            if first is None or good < count:
                fault = f"0x{at + (good << PAGE_SHIFT):08X} is not from vm_alloc"
                break
            runs.append((first, count))
            at += count << PAGE_SHIFT
        if fault is None:
            return runs
        self._refuse(MmCount.INVALID_FREE, who, linear, size, fault, self._report)
        return None

    def _refuse(self, what: MmCount, who: str, linear: int, size: int, fault: str, tell: Report) -> VirtAddr:
        self._count(what)
        tell(f"{who}(0x{linear:08X}, {size:#x}) refused: {fault}")
        return NULL

    def _add_free(self, frames: int) -> None:
        self.variables[FREE_FRAMES] = self.variables[FREE_FRAMES] + frames & 0xFFFFFFFF

    def _count(self, what: MmCount) -> None:
        self.variables[COUNTS + what] = self.variables[COUNTS + what] + 1 & 0xFFFFFFFF


def _fault_of(linear: int, size: int) -> str | None:
    """Why no memory can lie there; None if it could."""
    if linear & PAGE_MASK:
        return "the address is not the start of a page"
    if size <= 0:
        return "there are no bytes to map"
    if linear < 0 or linear + size > _FOUR_GIB:
        return "the addresses go beyond 4 GiB"
    return None


def _in_a_row(entries: array[int]) -> Iterator[tuple[int, int]]:
    """Runs of entries that lead to frames in a row: the first entry of each, and how many they are."""
    keys = [entry & (~PAGE_MASK | PRESENT) for entry in entries]
    start = 0
    for number in range(1, len(keys) + 1):
        if number == len(keys) or keys[number] != keys[start] + (number - start << PAGE_SHIFT):
            yield keys[start], number - start
            start = number
