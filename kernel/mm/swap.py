"""Where pages go that do not fit into memory, and how often each place is referred to.

In guest memory, in a block of frames::

    struct swap_area
        slots, used            how many places there are, and how many are in use
        next                   where the search for a free one starts
        references[slots + 1]  u16: page-table entries that lead to the place; place 0 is none

The page-table entry of a page that was swapped out is its place's number in the bits of the frame, with P=0.

The content is in a `SwapStore`.  `HostSwap` is a disk that takes no time and never fails, outside guest memory;
`RamSwap` is a reserved part of RAM, where a debugger sees it: slower machines are taught with, and dumps are complete.
"""

from __future__ import annotations

from array import array
from typing import Protocol

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PAGE_SHIFT, PAGE_SIZE, PhysAddr
from hillemu.kernel.errors import Corruption, InvalidParameters
from hillemu.kernel.mm.direct_map import DirectMap
from hillemu.kernel.mm.frame_table import Owner
from hillemu.kernel.mm.frames import OutOfMemory, order_for
from hillemu.kernel.mm.pmm import Pmm
from hillemu.kernel.mm.structure import Structure
from hillemu.kernel.mm.words import words

SWAP = Structure("swap_area", "u32 slots", "u32 used", "u32 next", "u16 references[2]")
"""`references` goes on behind the structure."""
_REFERENCES_AT = SWAP.offset("references")
SLOTS, USED, NEXT = range(3)
MOST_SLOTS = (1 << 20) - 1
"""A page-table entry of 32-bit paging has 20 bits for a place."""


class SwapStore(Protocol):
    """Keeps pages by number, from 1 to `slots`."""

    @property
    def slots(self) -> int: ...

    def read(self, slot: int) -> bytes: ...

    def write(self, slot: int, page: bytes) -> None: ...

    def discard(self, slot: int) -> None:
        """Nobody will read it any more."""


class HostSwap:
    """Pages in the host's memory."""

    def __init__(self, size_bytes: int) -> None:
        self.slots = size_bytes >> PAGE_SHIFT
        self.pages: dict[int, bytes] = {}

    def read(self, slot: int) -> bytes:
        return self.pages[slot]

    def write(self, slot: int, page: bytes) -> None:
        self.pages[slot] = page

    def discard(self, slot: int) -> None:
        self.pages.pop(slot, None)


class RamSwap:
    """Pages in a part of guest RAM that `BootMemory` keeps from the allocators."""

    def __init__(self, memory: GuestMemory, base: PhysAddr, size_bytes: int) -> None:
        self._memory, self._base = memory, base
        self.slots = size_bytes >> PAGE_SHIFT

    def _at(self, slot: int) -> PhysAddr:
        return PhysAddr(self._base + (slot - 1 << PAGE_SHIFT))

    def read(self, slot: int) -> bytes:
        return self._memory.read(self._at(slot), PAGE_SIZE)

    def write(self, slot: int, page: bytes) -> None:
        self._memory.write(self._at(slot), page)

    def discard(self, slot: int) -> None:
        """Old content may stay: nobody is led to it."""


class Swap:
    """The places of `store`.  Raises `InvalidParameters` if there is no memory for their references."""

    def __init__(self, direct: DirectMap, pmm: Pmm, store: SwapStore) -> None:
        self.store, self._direct = store, direct
        slots = min(store.slots, MOST_SLOTS)
        size = _REFERENCES_AT + 2 * (slots + 1)
        order = order_for(-(-size // PAGE_SIZE))
        frame = pmm.alloc(order, Owner.KERNEL)
        if isinstance(frame, OutOfMemory):
            raise InvalidParameters(f"swap: no memory for {slots} places: {frame}")
        self.at = PhysAddr(frame << PAGE_SHIFT)
        direct.memory.fill(self.at, PAGE_SIZE << order)
        self._header = words(direct.memory, self.at, 3)
        self._references = words(direct.memory, PhysAddr(self.at + _REFERENCES_AT), slots + 1, "H")
        self._header[SLOTS] = slots
        self._header[NEXT] = 1
        self._references[0] = 1

    @property
    def slots(self) -> int:
        return self._header[SLOTS]

    @property
    def used(self) -> int:
        return self._header[USED]

    @property
    def is_full(self) -> bool:
        return self._header[USED] >= self._header[SLOTS]

    def put(self, page: bytes, references: int) -> int:
        """Keep a page for so many entries; its place, or 0: swap is full."""
        if self.is_full:
            return 0
        start = min(self._header[NEXT], self.slots)
        counts = self._counts()
        try:
            slot = counts.index(0, start)
        except ValueError:
            slot = counts.index(0)
        self.store.write(slot, page)
        self._references[slot] = references
        self._header[USED] += 1
        self._header[NEXT] = slot + 1
        return slot

    def get(self, slot: int) -> bytes:
        """The page that is kept at `slot`."""
        self._must_be_used(slot)
        return self.store.read(slot)

    def hold(self, slot: int) -> None:
        """One entry more leads to `slot`."""
        self._must_be_used(slot)
        self._references[slot] += 1

    def release(self, slot: int) -> None:
        """One entry less leads to `slot`; with the last the page is forgotten."""
        self._must_be_used(slot)
        self._references[slot] = left = self._references[slot] - 1
        if not left:
            self._header[USED] -= 1
            self.store.discard(slot)

    def check(self, expected: dict[int, int]) -> list[str]:
        """Places whose references are not those that page tables have (`expected`), as sentences."""
        counts = self._counts()
        counts[0] = 0
        found = [
            f"swap: place {slot} has {counts[slot] if slot < len(counts) else 'no'} references, "
            f"but {expected.get(slot, 0)} entries lead to it"
            for slot in sorted(expected.keys() | {slot for slot, count in enumerate(counts) if count})
            if slot >= len(counts) or counts[slot] != expected.get(slot, 0)
        ]
        in_use = len(counts) - counts.count(0)
        if in_use != self.used:
            found.append(f"swap: {in_use} places are referred to, but {self.used} are counted")
        return found

    def _counts(self) -> array[int]:
        start = self.at + _REFERENCES_AT
        return array("H", bytes(self._direct.bytes[start : start + 2 * (self.slots + 1)]))

    def _must_be_used(self, slot: int) -> None:
        if not 0 < slot <= self.slots or not self._references[slot]:
            raise Corruption(f"swap: a page-table entry leads to place {slot}, which nobody uses")
