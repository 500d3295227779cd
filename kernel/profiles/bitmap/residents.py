"""Which pages of programs are in memory, at most so many, and how one leaves for another.

A page that leaves goes to the swap store if its content is nowhere else; then its entry has P=0 and the number of its
place where the frame's was.  A page that can be made again, from the program's file or as zeros, leaves no trace.

::

    bit  31 ............. 12   9   6  5  2  1  0
         frame               | C | D  A  U  W  P=1      C: changed before it was in swap the last time
         place in swap (or 0)| 0                 0

Which one leaves, a replacement policy says (`hillemu.kernel.mm.replacement`); it sees frames through `Residents`.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from enum import IntEnum
from heapq import heappop, heappush
from itertools import chain
from typing import NamedTuple

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PAGE_SHIFT, PAGE_SIZE, Frame, PhysAddr, VirtAddr
from hillemu.kernel.mm.page_tables import ACCESSED, DIRTY, PRESENT
from hillemu.kernel.mm.replacement import PolicyFactory
from hillemu.kernel.mm.structure import Structure
from hillemu.kernel.mm.swap import SwapStore
from hillemu.kernel.mm.words import Words, words
from hillemu.kernel.profiles.bitmap.paging import PageDirectory, Paging

CHANGED = 1 << 9
"""One of the bits that the processor leaves to the kernel."""


class Count(IntEnum):
    """Members of `paging_statistics`, counted modulo 2**32."""

    FAULTS = 0
    """Page faults that were resolved."""
    ZEROED = 1
    FROM_FILE = 2
    FROM_SWAP = 3
    EVICTED = 4
    TO_SWAP = 5
    KILLED = 6
    """Faults that ended a program."""


STATISTICS = Structure("paging_statistics", *(f"u32 {count.name.lower()}" for count in Count))


class Place(NamedTuple):
    """A page of a program."""

    directory: PageDirectory
    at: VirtAddr


class Residents:
    """Gives frames to programs, at most `limit` at a time (0: as many as there are).

    `statistics_at` is where the counters lie.  Satisfies `hillemu.kernel.mm.replacement.Pages`.
    """

    def __init__(
        self,
        memory: GuestMemory,
        paging: Paging,
        store: SwapStore,
        make_policy: PolicyFactory,
        *,
        limit: int = 0,
        statistics_at: PhysAddr,
    ) -> None:
        self.memory, self.paging, self.store, self.limit = memory, paging, store, limit
        self.counts = words(memory, statistics_at, len(Count))
        self.places: dict[Frame, Place] = {}
        """Every page of a program that is in memory, by its frame."""
        self._frames: list[Frame] = []
        """The same frames, ascending."""
        self.policy_pages: list[PhysAddr] = []
        """What the policy keeps its notes in."""
        self._next_slot = 1
        self._free_slots: list[int] = []
        self._words = paging.kernel.words
        self.policy = make_policy(self)
        self._tell_added = getattr(self.policy, "added", None)

    def count(self, what: Count) -> None:
        self.counts[what] = self.counts[what] + 1 & 0xFFFFFFFF

    # ---- frames in and out --------------------------------------------------------------------------------------

    def take(self) -> PhysAddr:
        """A frame, for `add` to map; another page may have to leave.  0 if none can."""
        while self.limit and len(self.places) >= self.limit:
            if not self._evict():
                return PhysAddr(0)
        pages = self.paging.pages
        while not pages.free_pages:
            if not pages.reclaim() and not self._evict():
                return PhysAddr(0)
        return pages.alloc_page()

    def add(self, phys: PhysAddr, directory: PageDirectory, at: VirtAddr, flags: int) -> bool:
        """Map the frame that `take` gave; False, and the frame is free again, if there is no memory for a table."""
        if not self.paging.set_entry(directory, at, phys | flags):
            self.paging.pages.free_page(phys)
            return False
        frame = Frame(phys >> PAGE_SHIFT)
        self.places[frame] = Place(directory, at)
        insort(self._frames, frame)
        if self._tell_added is not None:
            self._tell_added(frame)
        return True

    def fetch(self, slot: int) -> bytes:
        """The page at place `slot` of the swap store, which is free then."""
        page = self.store.read(slot)
        self.discard(slot)
        return page

    def discard(self, slot: int) -> None:
        """Nobody wants the page at place `slot` any more."""
        self.store.discard(slot)
        heappush(self._free_slots, slot)

    def release(self, directory: PageDirectory, at: VirtAddr) -> None:
        """The page at `at` is nobody's any more, in memory or in swap.

        One that `map_page` has mapped there stays whose it is.
        """
        entry = directory.entry(at)
        if not entry:
            return
        self.paging.set_entry(directory, at, 0)
        frame = Frame(entry >> PAGE_SHIFT)
        if not entry & PRESENT:
            self.discard(frame)
        elif self.places.get(frame) == Place(directory, at):
            self._forget(frame)
            self.paging.pages.free_page(frame << PAGE_SHIFT)

    @property
    def swapped(self) -> int:
        """How many places of the swap store are in use."""
        return self._next_slot - 1 - len(self._free_slots)

    def _evict(self) -> bool:
        """Have one page leave; False if none can."""
        for _ in range(len(self.places) + 1):
            frame = self.policy.victim()
            if frame is None:
                break
            if frame in self.places and self._can_leave(frame):
                self._send_away(frame)
                return True
        self.paging.flush_tlb()  # the policy may have cleared A bits
        return False

    def _send_away(self, frame: Frame) -> None:
        directory, at = self._forget(frame)
        entry = directory.entry(at)
        left = 0
        if entry & (DIRTY | CHANGED):
            slot = self._free_slot()
            self.store.write(slot, self.memory.read(PhysAddr(frame << PAGE_SHIFT), PAGE_SIZE))
            self.count(Count.TO_SWAP)
            left = slot << PAGE_SHIFT
        self.paging.set_entry(directory, at, left)
        self.paging.pages.free_page(frame << PAGE_SHIFT)
        self.count(Count.EVICTED)

    def _forget(self, frame: Frame) -> Place:
        del self._frames[bisect_left(self._frames, frame)]
        return self.places.pop(frame)

    def _free_slot(self) -> int:
        if self._free_slots:
            return heappop(self._free_slots)
        self._next_slot += 1
        return self._next_slot - 1

    def _can_leave(self, frame: Frame) -> bool:
        return self.swapped < self.store.slots or not self.is_dirty(frame)

    # ---- what a policy sees -------------------------------------------------------------------------------------

    @property
    def end(self) -> int:
        return self.paging.pages.total_pages

    def is_program_page(self, frame: int) -> bool:
        return frame in self.places

    def was_accessed(self, frame: Frame) -> bool:
        directory, at = self.places[frame]
        slot = directory.slot(at)
        entry = self._words[slot]
        self._words[slot] = entry & ~ACCESSED  # a page leaves next, and that flushes the TLB
        return bool(entry & ACCESSED)

    def is_dirty(self, frame: Frame) -> bool:
        directory, at = self.places[frame]
        return bool(directory.entry(at) & (DIRTY | CHANGED))

    def program_pages(self, first: int = 0) -> Iterator[Frame]:
        frames = self._frames
        start = bisect_left(frames, first)
        for number in chain(range(start, len(frames)), range(start)):
            if self._can_leave(frames[number]):
                yield frames[number]

    def words(self, count: int) -> Words:
        """Of one page; a policy that wants more is told so by `IndexError`."""
        page = self.paging.pages.alloc_page()
        if not page or 4 * count > PAGE_SIZE:
            raise IndexError(f"a replacement policy wants {count} words of guest memory; there are {PAGE_SIZE // 4}")
        self.memory.fill(page, PAGE_SIZE)
        self.policy_pages.append(page)
        return words(self.memory, page, count)
