"""The memory of a process: what `vm_alloc` gives for it in one piece, and its own page tables inside.

The kernel sees all of it through a window, 16 MiB of addresses for each process, in its own page directory only::

    window   +----------------+
             | page directory |   tables 0 to 255 are the kernel's
             | page tables    |   as many as the program's pages need
             +----------------+
             | pages of the   |   each area behind the one before;
             | program        |   mapped twice: here, and where the program has them
             +----------------+

As frames and addresses of a window are in a row, a place in it is as far from its first frame as from its address.

Source: Intel SDM Vol. 3A, "32-Bit Paging".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, PhysAddr, VirtAddr
from hillemu.kernel.mm.words import words
from hillemu.kernel.profiles.orange.layout import ENTRIES, USER_BASE, USER_END, WINDOW_BYTES, WINDOWS
from hillemu.kernel.profiles.orange.memory_manager import MemoryManager
from hillemu.kernel.profiles.orange.page_tables import PRESENT, TABLE_SHIFT, USER, WRITABLE, frame_in
from hillemu.kernel.profiles.orange.pf_list import Protection


class Area(NamedTuple):
    """`pages` pages of a program from `start` on."""

    start: VirtAddr
    pages: int
    writable: bool

    @property
    def end(self) -> VirtAddr:
        return VirtAddr(self.start + (self.pages << PAGE_SHIFT))


class ProcessMemory:
    """The window number `slot`, whose frames begin at physical `base`."""

    def __init__(self, mm: MemoryManager, slot: int, areas: Sequence[Area], base: PhysAddr) -> None:
        self._mm, self.slot, self.areas, self.base = mm, slot, tuple(areas), base
        self._tables = _tables_of(areas)
        self.pages = bytes_for(areas) >> PAGE_SHIFT
        self._memory: GuestMemory = mm.memory
        self.directory = words(mm.memory, base, ENTRIES)

    @classmethod
    def create(
        cls, mm: MemoryManager, slot: int, areas: Sequence[Area], fill: Callable[[ProcessMemory], None]
    ) -> ProcessMemory | None:
        """Memory for `areas`, which do not overlap; `fill` puts there what is not zero.

        None if there is not so much memory in a row, or the window is too small for it.
        """
        at, size = window_of(slot), bytes_for(areas)
        if size > WINDOW_BYTES or not mm.vm_alloc(at, size):
            return None
        base = mm.physical(at)
        assert base is not None, "vm_alloc has mapped it"
        made = cls(mm, slot, areas, base)
        mm.memory.fill(base, size)
        mm.tables.share_with(made.cr3, made.directory)
        fill(made)
        made._map()
        return made

    @property
    def window(self) -> VirtAddr:
        """Where the kernel sees it."""
        return window_of(self.slot)

    @property
    def cr3(self) -> int:
        return self.base

    @property
    def size_bytes(self) -> int:
        return self.pages << PAGE_SHIFT

    @property
    def _image(self) -> int:
        """Where the pages of the program begin, counted from the window's."""
        return 1 + len(self._tables) << PAGE_SHIFT

    def fork(self, slot: int) -> ProcessMemory | None:
        """A copy of everything in another window; None if there is no memory for it."""
        return ProcessMemory.create(self._mm, slot, self.areas, self._copy_to)

    def destroy(self) -> None:
        """Give all of it back.  The processor must not use its page tables any more."""
        mm = self._mm
        first = mm.pf_list.number(self.base + self._image)
        assert first is not None
        del mm.tables.copies[self.cr3]
        mm.release(first, self.pages - (self._image >> PAGE_SHIFT))
        mm.vm_free(self.window, self.size_bytes)

    def copy_in(self, at: int, count: int) -> bytes | None:
        """What the program has at `at`; None if it may not read all of that."""
        pieces = []
        for place, length in self._pieces(at, count, PRESENT | USER):
            if place is None:
                return None
            pieces.append(self._memory.read(place, length))
        return b"".join(pieces)

    def copy_out(self, at: int, data: bytes) -> bool:
        """Write to the program's memory; False, and nothing is written, if it may not write to all of that."""
        done, pieces = 0, []
        for place, length in self._pieces(at, len(data), PRESENT | USER | WRITABLE):
            if place is None:
                return False
            pieces.append((place, data[done : done + length]))
            done += length
        for place, piece in pieces:
            self._memory.write(place, piece)
        return True

    def load(self, at: int, data: bytes) -> None:
        """Put `data` into the program's memory, read-only or not; all of it must be in areas."""
        offset, left = self._image, len(data)
        for area in self.areas:
            start, end = max(at, area.start), min(at + len(data), area.end)
            if start < end:
                self._memory.write(PhysAddr(self.base + offset + start - area.start), data[start - at : end - at])
                left -= end - start
            offset += area.pages << PAGE_SHIFT
        assert not left, f"no area has all of {len(data)} bytes at 0x{at:08X}"

    def mappings(self) -> Iterator[tuple[VirtAddr, int]]:
        """Every page-table entry that is present, with the address that it maps."""
        for number in range(USER_BASE >> TABLE_SHIFT, USER_END >> TABLE_SHIFT):
            entry = self.directory[number]
            if not entry & PRESENT or not self._is_ram(frame_in(entry)):
                continue
            table = words(self._memory, frame_in(entry), ENTRIES)
            for page in range(ENTRIES):
                if table[page] & PRESENT:
                    yield VirtAddr(number << TABLE_SHIFT | page << PAGE_SHIFT), table[page]

    def check(self) -> Iterator[str]:
        """Directory entries of the program's part that are not what they should be, as sentences."""
        places = {number: self.base + (1 + place << PAGE_SHIFT) for place, number in enumerate(self._tables)}
        for number in range(USER_BASE >> TABLE_SHIFT, USER_END >> TABLE_SHIFT):
            entry, wanted = self.directory[number], places.get(number, 0)
            if frame_in(entry) != wanted or bool(entry & PRESENT) != bool(wanted):
                should = f"its table lies at 0x{wanted:08X}" if wanted else "there is no table for it"
                yield f"directory entry {number} is 0x{entry:08X}, and {should}"

    def _pieces(self, at: int, count: int, needed: int) -> Iterator[tuple[PhysAddr | None, int]]:
        """(physical address, length) of each piece in a page; None for the first that lacks the bits `needed`."""
        end = at + count
        while at < end:
            length = min(end - at, PAGE_SIZE - (at & PAGE_MASK))
            entry = self._entry(at)
            if entry & needed != needed or not self._is_ram(frame_in(entry)):
                yield None, length
                return
            yield PhysAddr(frame_in(entry) + (at & PAGE_MASK)), length
            at += length

    def _entry(self, at: int) -> int:
        """The page-table entry for `at`; 0 if the program has nothing there."""
        if not USER_BASE <= at < USER_END:
            return 0
        directory = self.directory[at >> TABLE_SHIFT]
        if not directory & PRESENT or not self._is_ram(frame_in(directory)):
            return 0
        return self._memory.u32(PhysAddr(frame_in(directory) + (at >> PAGE_SHIFT & ENTRIES - 1) * 4))

    def _is_ram(self, frame: PhysAddr) -> bool:
        """Whether memory answers there; somebody else may have changed page tables."""
        return any(run.base <= frame and frame + PAGE_SIZE <= run.end for run in self._memory.ram_ranges)

    def _map(self) -> None:
        """Fill in the page tables, and have the list of frames know of them."""
        mm, directory, offset = self._mm, self.directory, self._image
        tables = {}
        for place, number in enumerate(self._tables):
            at = self.base + (1 + place << PAGE_SHIFT)
            directory[number] = at | PRESENT | WRITABLE | USER
            tables[number] = words(self._memory, PhysAddr(at), ENTRIES)
        for area in self.areas:
            rights = PRESENT | USER | (WRITABLE if area.writable else 0)
            for page in range(area.pages):
                linear = area.start + (page << PAGE_SHIFT)
                entry = self.base + offset + (page << PAGE_SHIFT) | rights
                tables[linear >> TABLE_SHIFT][linear >> PAGE_SHIFT & ENTRIES - 1] = entry
            first = mm.pf_list.number(self.base + offset)
            assert first is not None
            mm.hold(first, area.pages)
            if not area.writable:
                mm.vm_protect(self.window + offset, area.pages << PAGE_SHIFT, Protection.READ_ONLY)
            offset += area.pages << PAGE_SHIFT

    def _copy_to(self, child: ProcessMemory) -> None:
        count = self.size_bytes - self._image
        image = self._memory.read(PhysAddr(self.base + self._image), count)
        self._memory.write(PhysAddr(child.base + child._image), image)


def bytes_for(areas: Sequence[Area]) -> int:
    """What a process with these areas takes: its page directory, page tables and pages."""
    return 1 + len(_tables_of(areas)) + sum(area.pages for area in areas) << PAGE_SHIFT


def window_of(slot: int) -> VirtAddr:
    """Where the kernel sees the memory of the process in place `slot` of the table.

    >>> hex(window_of(1))
    '0xe1000000'
    """
    return VirtAddr(WINDOWS + slot * WINDOW_BYTES)


def _tables_of(areas: Sequence[Area]) -> tuple[int, ...]:
    """The numbers of the page tables that these areas need."""
    numbers: set[int] = set()
    for area in areas:
        numbers.update(range(area.start >> TABLE_SHIFT, (area.end - 1 >> TABLE_SHIFT) + 1))
    return tuple(sorted(numbers))
