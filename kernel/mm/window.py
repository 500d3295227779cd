"""Places in the kernel half for single frames: the high-memory window, and the fixmap.

The direct map ends at 256 MiB.  Code of the kernel that must look at a frame beyond asks for a place in the window
(`kmap`) and gives it back (`kunmap`); frames of the direct map are simply where they are.  A place that nobody uses
keeps its frame until another needs it: asking again for the same frame costs nothing.  In guest memory, a page::

    struct high_window
        next          the place that is looked at first when another is needed
        uses[512]     how many users each place has
        frames[512]   which frame it shows, or showed last; 0 none

Python reaches every frame by its physical address, as a debugger does: it needs no window.

The fixmap has pages at addresses that are known when the kernel is built, for devices' registers.
"""

from __future__ import annotations

from array import array
from enum import IntEnum

from hillemu.emu.i386.address import PAGE_SHIFT, PAGE_SIZE, Frame, PhysAddr, VirtAddr
from hillemu.emu.i386.entries import LeafEntry
from hillemu.emu.reports import Report, unheard
from hillemu.kernel.layout import DIRECT_MAP_END_FRAME, FIXMAP_BASE, HIGH_WINDOW_BASE, KERNEL_BASE
from hillemu.kernel.mm.frame_table import Owner
from hillemu.kernel.mm.frames import OutOfMemory
from hillemu.kernel.mm.kernel_space import KernelSpace
from hillemu.kernel.mm.page_tables import PRESENT, WRITABLE
from hillemu.kernel.mm.structure import Structure
from hillemu.kernel.mm.words import Words, words

PLACES = 512
WINDOW = Structure("high_window", "u32 next", f"u16 uses[{PLACES}]", f"u32 frames[{PLACES}]")
_MOST_USES = 0xFFFF
_UNCACHED = LeafEntry.cache_disabled.mask | LeafEntry.write_through.mask


class HighWindow:
    """512 places from 0xE0000000 on; their structure and page table are taken at the first use."""

    def __init__(self, kernel: KernelSpace, report: Report = unheard) -> None:
        self._kernel, self._report = kernel, report
        self.at = PhysAddr(0)
        """Where struct high_window lies; 0 before the first use."""
        self._first_slot = 0
        self._uses: Words
        self._frames: Words

    def kmap(self, frame: Frame) -> VirtAddr:
        """A virtual address at which the kernel may read and write `frame`; 0, and a report, if there is none."""
        if frame < DIRECT_MAP_END_FRAME:
            return VirtAddr(KERNEL_BASE + (frame << PAGE_SHIFT))
        if not self._first_slot and not self._open():
            return VirtAddr(0)
        try:
            place = self._all_frames().index(frame)
        except ValueError:
            place = self._free_place()
            if place < 0:
                self._report(f"kmap: no place for frame {frame:#x}: all {PLACES} are in use")
                return VirtAddr(0)
            showed = self._frames[place]
            self._frames[place] = frame
            self._kernel.tables.words[self._first_slot + place] = frame << PAGE_SHIFT | PRESENT | WRITABLE
            if showed:
                self._kernel.flush_tlb()
        if self._uses[place] == _MOST_USES:
            self._report(f"kmap: frame {frame:#x} has {_MOST_USES} users, the most there can be")
            return VirtAddr(0)
        self._uses[place] += 1
        return VirtAddr(HIGH_WINDOW_BASE + (place << PAGE_SHIFT))

    def kunmap(self, at: VirtAddr) -> bool:
        """Give back what `kmap` gave; False, and a report, if it did not give that."""
        place = at - HIGH_WINDOW_BASE >> PAGE_SHIFT
        if not 0 <= place < PLACES:
            if KERNEL_BASE <= at < KERNEL_BASE + (DIRECT_MAP_END_FRAME << PAGE_SHIFT):
                return True
        elif self._first_slot and self._uses[place]:
            self._uses[place] -= 1
            return True
        self._report(f"kunmap: nobody uses 0x{at:08X}")
        return False

    def check(self) -> list[str]:
        """Places that show another frame than they should, or one that is free; none if all is well."""
        found = []
        for place in range(PLACES) if self._first_slot else ():
            frame, entry = Frame(self._frames[place]), self._kernel.tables.words[self._first_slot + place]
            at = HIGH_WINDOW_BASE + (place << PAGE_SHIFT)
            if (entry & self._kernel.tables.frame_mask) >> PAGE_SHIFT != frame or bool(entry & PRESENT) != bool(frame):
                found.append(f"window: 0x{at:08X} should show frame {frame:#x}, but its entry is {entry:#x}")
            if self._uses[place] and not self._kernel.pmm.references(frame):
                found.append(f"window: 0x{at:08X} is in use, but its frame {frame:#x} is free")
        return found

    def _open(self) -> bool:
        frame = self._kernel.pmm.alloc(0, Owner.KERNEL)
        slot = frame if isinstance(frame, OutOfMemory) else self._kernel.tables.make(HIGH_WINDOW_BASE)
        if isinstance(frame, OutOfMemory) or isinstance(slot, OutOfMemory):
            self._report(f"kmap: the high-memory window cannot be opened: {slot}")
            if not isinstance(frame, OutOfMemory):
                self._kernel.pmm.free(frame)
            return False
        self._kernel.share(HIGH_WINDOW_BASE)
        memory = self._kernel.direct.memory
        self.at = PhysAddr(frame << PAGE_SHIFT)
        memory.fill(self.at, PAGE_SIZE)
        self._first_slot = slot
        self._uses = words(memory, PhysAddr(self.at + WINDOW.offset("uses")), PLACES, "H")
        self._frames = words(memory, PhysAddr(self.at + WINDOW.offset("frames")), PLACES)
        return True

    def _all_frames(self) -> array[int]:
        start = self.at + WINDOW.offset("frames")
        return array("I", bytes(self._kernel.direct.bytes[start : start + 4 * PLACES]))

    def _free_place(self) -> int:
        memory = self._kernel.direct.memory
        start = WINDOW.get(memory, self.at, "next") % PLACES
        place: int
        for place in (*range(start, PLACES), *range(start)):
            if not self._uses[place]:
                memory.set_u32(self.at, (place + 1) % PLACES)
                return place
        return -1


class Fixed(IntEnum):
    """The pages of the fixmap, by number."""

    LOCAL_APIC = 0
    IO_APIC = 1
    HPET = 2
    TEXT_SCREEN = 3

    @property
    def at(self) -> VirtAddr:
        return VirtAddr(FIXMAP_BASE + (self << PAGE_SHIFT))


def set_fixmap(kernel: KernelSpace, page: Fixed, phys: PhysAddr) -> OutOfMemory | None:
    """Have `page` show the device's registers at `phys`, uncached; what it showed before is gone."""
    at = page.at
    if kernel.tables.entry(at):
        kernel.unmap(at)
    return kernel.map(at, (Frame(phys >> PAGE_SHIFT),), WRITABLE | _UNCACHED)
