"""Kernel stacks, each with a guard page below it.

::

    base           +0x1000                 +0x2000
      | not mapped   | the stack  <-- ESP    |

Both pages are one block of the page allocator; the lower one is taken out of the direct map, so that an overflow is a
fault instead of a change in somebody else's memory.  Some stacks are kept for the next process, because mapping and
unmapping a page of the kernel has every processor forget its translations.
"""

from __future__ import annotations

from hillemu.emu.i386.address import PAGE_SHIFT, PAGE_SIZE, Frame
from hillemu.kernel.layout import KERNEL_BASE
from hillemu.kernel.mm.frame_table import Owner
from hillemu.kernel.mm.frames import OutOfMemory
from hillemu.kernel.mm.kernel_space import KernelSpace

ORDER = 1
STACK_BYTES = PAGE_SIZE << ORDER
_KEPT = 8


class KernelStacks:
    """Gives stacks out and takes them back; an address is that of the guard page."""

    def __init__(self, space: KernelSpace) -> None:
        self._space = space
        self._spare: list[int] = []
        self.in_use: set[int] = set()

    def take(self) -> int | OutOfMemory:
        """A stack's base."""
        if self._spare:
            base = self._spare.pop()
        else:
            frame = self._space.pmm.alloc(ORDER, Owner.STACK)
            if isinstance(frame, OutOfMemory):
                return frame
            base = KERNEL_BASE + (frame << PAGE_SHIFT)
            failed = self._space.unmap(base)
            if failed is not None:
                self._space.pmm.free(frame, ORDER)
                return failed
        self.in_use.add(base)
        return base

    def give_back(self, base: int) -> None:
        """The stack at `base` is nobody's any more; nothing may run on it."""
        self.in_use.remove(base)
        if len(self._spare) < _KEPT:
            self._spare.append(base)
        else:
            self._free(base)

    def free_spares(self) -> None:
        """Give what is kept back to the page allocator."""
        while self._spare:
            self._free(self._spare.pop())

    def guards(self, at: int) -> bool:
        """Whether virtual address `at` lies in the guard page of a stack in use."""
        return at & -PAGE_SIZE in self.in_use

    def check(self) -> list[str]:
        """Guard pages that are mapped, and stacks that the frame table does not know; none if all is well."""
        found = []
        for base in (*self.in_use, *self._spare):
            if self._space.tables.entry(base) & 1:
                found.append(f"stack: the guard page at 0x{base:08X} is mapped")
            record = self._space.pmm.table.record(base - KERNEL_BASE >> PAGE_SHIFT)
            if record.owner is not Owner.STACK or record.order != ORDER:
                found.append(f"stack: the stack at 0x{base:08X} belongs to {record.owner_name}")
        known = len(self.in_use) + len(self._spare)
        blocks = sum(
            1 for _, record in self._space.pmm.table.used() if record.owner is Owner.STACK and record.order is not None
        )
        if blocks != known:
            found.append(f"stack: {blocks} stacks in the frame table, {known} known")
        return found

    def _free(self, base: int) -> None:
        # The table of small pages that `unmap` has made stays, so this cannot run out of memory.
        frame = base - KERNEL_BASE >> PAGE_SHIFT
        self._space.map(base, (frame,))
        self._space.pmm.free(Frame(frame), ORDER)
