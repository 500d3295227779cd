"""Kernel stacks: a page each, mapped with an unmapped guard page below it.

::

    0xF0400000 +-------+-------+-------+-------+---
               | guard | stack | guard | stack | ...      slot 0, slot 1, ...
               +-------+-------+-------+-------+---
                               ^ ESP when slot 0 is empty

An overflow is a fault instead of a change in somebody else's memory.  The page is a single frame of the direct map,
where Python reads it; `word_index` goes from the one address to the other.  Some stacks are kept for the next process,
because unmapping a page of the kernel makes every processor forget its translations.
"""

from __future__ import annotations

from heapq import heappop, heappush

from hillemu.emu.i386.address import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, Frame
from hillemu.kernel.layout import KERNEL_BASE, STACKS_BASE, STACKS_END
from hillemu.kernel.mm.frame_table import Owner
from hillemu.kernel.mm.frames import OutOfMemory
from hillemu.kernel.mm.kernel_space import KernelSpace

_SLOT_SHIFT = PAGE_SHIFT + 1
SLOT_BYTES = 1 << _SLOT_SHIFT
MAX_STACKS = (STACKS_END - STACKS_BASE) >> _SLOT_SHIFT
_KEPT = 8
_NOWHERE = -(1 << 32)
"""Negative with any offset added."""


class KernelStacks:
    """Gives stacks out and takes them back; a stack's address is that of its guard page."""

    def __init__(self, space: KernelSpace) -> None:
        self._space = space
        self._pages: list[int] = []
        """By slot: the index of the stack's first word among the direct map's; `_NOWHERE` if there is no stack."""
        self._free_slots: list[int] = []
        self._spare: list[int] = []
        self.in_use: set[int] = set()

    def take(self) -> int | OutOfMemory:
        """A stack's address."""
        if self._spare:
            at = self._spare.pop()
            self.in_use.add(at)
            return at
        pmm = self._space.pmm
        frame = pmm.alloc(0, Owner.STACK)
        if isinstance(frame, OutOfMemory):
            return frame
        slot = heappop(self._free_slots) if self._free_slots else len(self._pages)
        if slot == len(self._pages):
            self._pages.append(_NOWHERE)
        at = STACKS_BASE + (slot << _SLOT_SHIFT)
        failed = OutOfMemory(0, 0) if slot >= MAX_STACKS else self._space.map(at + PAGE_SIZE, (frame,))
        if failed is not None:
            heappush(self._free_slots, slot)
            pmm.free(frame)
            return failed
        self._pages[slot] = frame << PAGE_SHIFT - 2
        self.in_use.add(at)
        return at

    def give_back(self, at: int) -> None:
        """The stack is nobody's any more.  The processor may still be on it, until the trap returns."""
        self.in_use.remove(at)
        self._spare.append(at)
        if len(self._spare) > _KEPT:
            self._free(self._spare.pop(0))

    def free_spares(self) -> None:
        """Give what is kept back to the page allocator; nothing may run on it."""
        while self._spare:
            self._free(self._spare.pop())

    def word_index(self, at: int) -> int:
        """Where virtual address `at`, in a stack or in the direct map, lies among the direct map's words."""
        if at >= STACKS_BASE:
            return self._pages[at - STACKS_BASE >> _SLOT_SHIFT] + ((at & PAGE_MASK) >> 2)
        return at - KERNEL_BASE >> 2

    def check(self) -> list[str]:
        """Guard pages that are mapped, stacks that are not, frames that the frame table knows otherwise; or none."""
        found = []
        tables, table = self._space.tables, self._space.pmm.table
        for at in (*self.in_use, *self._spare):
            if tables.entry(at) & 1:
                found.append(f"stack: the guard page at 0x{at:08X} is mapped")
            frame = self.word_index(at + PAGE_SIZE) >> PAGE_SHIFT - 2
            mapped = (tables.entry(at + PAGE_SIZE) & tables.frame_mask) >> PAGE_SHIFT
            if mapped != frame or table.record(frame).owner is not Owner.STACK:
                found.append(f"stack: 0x{at + PAGE_SIZE:08X} leads to frame {mapped:#x}, not {frame:#x}")
        known = len(self.in_use) + len(self._spare)
        blocks = sum(record.owner is Owner.STACK for _, record in table.used())
        if blocks != known:
            found.append(f"stack: {blocks} stacks in the frame table, {known} known")
        return found

    def _free(self, at: int) -> None:
        slot = at - STACKS_BASE >> _SLOT_SHIFT
        frame = Frame(self._pages[slot] >> PAGE_SHIFT - 2)
        # The page's table is there already, so this cannot run out of memory.
        self._space.unmap(at + PAGE_SIZE)
        self._pages[slot] = _NOWHERE
        heappush(self._free_slots, slot)
        self._space.pmm.free(frame)
