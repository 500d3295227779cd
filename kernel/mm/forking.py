"""`fork`: the same memory twice, copied when somebody writes.

Anonymous pages are shared, read-only in both spaces where the mapping is private; pages in swap are referred to once
more.  Pages of files are not copied: the child finds them in the page cache when it needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hillemu.emu.i386.address import PAGE_SHIFT
from hillemu.kernel.mm.areas import Area
from hillemu.kernel.mm.frame_table import OWNER_SHIFT, Owner
from hillemu.kernel.mm.frames import OutOfMemory
from hillemu.kernel.mm.page_faults import BATCH
from hillemu.kernel.mm.page_tables import PRESENT, WRITABLE
from hillemu.kernel.mm.task_memory import BRK, HEAP_END, ID, MMAP_CURSOR, RESIDENT, SWAPPED

if TYPE_CHECKING:
    from hillemu.kernel.mm.address_space import AddressSpace

_ANONYMOUS = int(Owner.ANONYMOUS)


def fork(parent: AddressSpace) -> AddressSpace | OutOfMemory:
    """A child of `parent`; if memory does not suffice, also after reclaim, there is none and nothing has changed."""
    vm = parent.vm
    while True:
        child = vm.create_space(f"child of {parent.name}")
        failed = child if isinstance(child, OutOfMemory) else _fill(parent, child)
        if failed is None and not isinstance(child, OutOfMemory):
            vm.kernel.flush_tlb()  # the parent's pages have become read-only
            return child
        if not isinstance(child, OutOfMemory):
            child.destroy()
        assert failed is not None
        if not vm.reclaim.shrink(BATCH, direct_map_only=True):
            vm.kernel.flush_tlb()
            return failed


def _fill(parent: AddressSpace, child: AddressSpace) -> OutOfMemory | None:
    for member in (HEAP_END, MMAP_CURSOR, BRK):
        child.record[member] = parent.record[member]
    for area in parent.areas:
        failed = child.areas.reserve(1)
        if failed is not None:
            return failed
        child.areas.add(area)
        failed = _share(parent, child, area)
        if failed is not None:
            return failed
    return None


def _share(parent: AddressSpace, child: AddressSpace, area: Area) -> OutOfMemory | None:
    """Give the child the parent's pages of one private area, or what it must have of a shared one."""
    vm = parent.vm
    frames, mask, swap = vm.pmm.table.entries, parent.tables.frame_mask, vm.swap
    info = child.record[ID]
    for at, slot, entries in parent.tables.tables_of(area.start, area.end):
        if not any(entries):
            continue
        target = child.tables.make(at, info)
        if isinstance(target, OutOfMemory):
            return target
        ours, theirs = parent.tables.words, child.tables.words
        resident = swapped = 0
        for number, entry in enumerate(entries):
            if entry & PRESENT:
                frame = (entry & mask) >> PAGE_SHIFT
                known = frames[frame]
                if known >> OWNER_SHIFT & 0xFF != _ANONYMOUS:
                    continue
                frames[frame] = known + 1  # no frame has as many owners as there can be spaces, so it does not overflow
                shared = entry & ~WRITABLE
                if shared != entry:
                    ours[slot + number] = shared
                theirs[target + number] = shared
                resident += 1
            elif entry and swap is not None:
                swap.hold(entry >> PAGE_SHIFT)
                theirs[target + number] = entry
                swapped += 1
        child.record[RESIDENT] += resident
        child.record[SWAPPED] += swapped
    return None
