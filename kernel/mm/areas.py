"""The areas of an address space: runs of pages with the same rights and the same origin.

In guest memory each is a ``struct vm_area`` from a slab cache; two arrays, in a block of frames that grows, have their
starts and their addresses in ascending order::

    struct task_memory . areas -> u32 starts[capacity]               0x08000000  0x0C000000  0xBFFFC000 ...
                                  struct vm_area *area[capacity]     |           |           |

so that the area of an address is found by halving, without touching any other.  Neighbours that could be one are one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from hillemu.emu.i386.address import PAGE_SHIFT, PAGE_SIZE, Frame, PhysAddr, VirtAddr
from hillemu.kernel.layout import KERNEL_BASE
from hillemu.kernel.mm.direct_map import DirectMap
from hillemu.kernel.mm.frame_table import Owner
from hillemu.kernel.mm.frames import MAX_ORDER, OutOfMemory
from hillemu.kernel.mm.pmm import Pmm
from hillemu.kernel.mm.protection import MAP_GROWSDOWN
from hillemu.kernel.mm.slab import Cache
from hillemu.kernel.mm.structure import Structure
from hillemu.kernel.mm.task_memory import AREA_CAPACITY, AREA_COUNT, AREAS, ID
from hillemu.kernel.mm.words import Words

AREA = Structure("vm_area", "u32 start", "u32 end", "u32 prot", "u32 flags", "u32 file", "u32 page")
"""`prot` and `flags` are those of `mmap`; `file` is the file's number, 0 for none; `page` is the page of the file that
is mapped at `start`."""
START, END, PROT, FLAGS, FILE, PAGE = range(6)


class Area(NamedTuple):
    """A ``struct vm_area``, read."""

    start: int
    end: int
    prot: int
    flags: int
    file: int = 0
    page: int = 0

    def cut(self, start: int, end: int) -> Area:
        """The part from `start` up to `end`, both inside."""
        page = self.page + (start - self.start >> PAGE_SHIFT) if self.file else 0
        return self._replace(start=start, end=end, page=page)

    def continues(self, before: Area) -> bool:
        """Whether `before` and this are one area."""
        return (
            before.end == self.start
            and before[PROT:PAGE] == self[PROT:PAGE]
            and not self.flags & MAP_GROWSDOWN
            and (not self.file or before.page + (before.end - before.start >> PAGE_SHIFT) == self.page)
        )


class AreaMap:
    """The areas of the address space whose ``struct task_memory`` is `record`."""

    def __init__(self, record: Words, direct: DirectMap, pmm: Pmm, cache: Cache) -> None:
        self._record, self._direct, self._pmm, self._cache = record, direct, pmm, cache
        self.u32 = direct.u32
        self.starts: Words
        self._pointers: Words
        if record[AREA_CAPACITY]:
            self._look()

    def __len__(self) -> int:
        return self._record[AREA_COUNT]

    def __iter__(self) -> Iterator[Area]:
        return (self._read(number) for number in range(len(self)))

    # ---- finding ------------------------------------------------------------------------------------------------

    def locate(self, at: int) -> int:
        """Where in `u32` the ``struct vm_area`` that holds `at` starts; 0 if none does."""
        number = bisect_right(self.starts, at, 0, self._record[AREA_COUNT]) - 1
        if number < 0:
            return 0
        found = self._pointers[number] - KERNEL_BASE >> 2
        return found if at < self.u32[found + END] else 0

    def find(self, at: int) -> Area | None:
        """The area that holds `at`."""
        number = self._number(at)
        area = self._read(number) if number >= 0 else None
        return area if area is not None and at < area.end else None

    def between(self, first: int, end: int) -> list[Area]:
        """Every area with a page from `first` up to `end`, ascending."""
        number, found = max(self._number(first), 0), []
        while number < len(self) and self.starts[number] < end:
            area = self._read(number)
            if area.end > first:
                found.append(area)
            number += 1
        return found

    def following(self, at: int) -> Area | None:
        """The first area that starts above `at`."""
        number = self._number(at) + 1
        return self._read(number) if number < len(self) else None

    def preceding(self, at: int) -> Area | None:
        """The last area that starts below `at`."""
        number = self._number(at - 1)
        return self._read(number) if number >= 0 else None

    def gap(self, size_bytes: int, first: int, end: int) -> int:
        """The lowest address from `first` on with that much free up to `end`; -1 if there is none."""
        for area in self.between(first, end):
            if area.start - first >= size_bytes:
                return first
            first = max(first, area.end)
        return first if end - first >= size_bytes else -1

    # ---- changing -----------------------------------------------------------------------------------------------

    def reserve(self, count: int) -> OutOfMemory | None:
        """See that `count` areas more than now will find room, whatever the next calls are."""
        if len(self) + count > self._record[AREA_CAPACITY] and (failed := self._grow()) is not None:
            return failed
        # A slab that has room, or the one empty slab that a cache keeps, serves the next calls.
        objects = [self._cache.alloc() for _ in range(count)]
        for one in objects:
            if one:
                self._cache.free(one)
        return None if all(objects) else OutOfMemory(self._cache.order, self._pmm.free_frames)

    def add(self, area: Area) -> None:
        """Put in an area where there is none, `reserve` having said that there is room."""
        number = self._number(area.start) + 1
        if number < len(self) and (following := self._read(number)).continues(area):
            area = area._replace(end=following.end)
            self._drop(number)
        if number and area.continues(before := self._read(number - 1)):
            self._write(number - 1, before._replace(end=area.end))
            return
        at = self._cache.alloc()
        assert at, "there is room: reserve() has said so"
        self._move(number, number + 1)
        self._record[AREA_COUNT] += 1
        self._pointers[number] = at
        self._write(number, area)

    def remove(self, first: int, end: int) -> list[Area]:
        """Take out all pages from `first` up to `end`; the parts that were taken.

        If that leaves two parts of one area, there must be room for one more: `reserve`.
        """
        taken = []
        for area in self.between(first, end):
            part = area.cut(max(area.start, first), min(area.end, end))
            taken.append(part)
            number = self._number(area.start)
            if part.start > area.start:
                self._write(number, area.cut(area.start, part.start))
                if part.end < area.end:
                    self._insert_behind(number, area.cut(part.end, area.end))
            elif part.end < area.end:
                self._write(number, area.cut(part.end, area.end))
            else:
                self._drop(number)
        return taken

    def grow_down(self, area: Area, start: int) -> None:
        """Let `area` start at `start`, which is lower."""
        self._write(self._number(area.start), area._replace(start=start))

    def destroy(self) -> None:
        """Free everything."""
        for number in reversed(range(len(self))):
            self._drop(number)
        if self._record[AREA_CAPACITY]:
            self._free_arrays(self._record[AREAS], self._record[AREA_CAPACITY])
            self._record[AREA_CAPACITY] = self._record[AREAS] = 0

    def check(self) -> list[str]:
        """Areas that overlap, could be one, or are out of order; none if all is well."""
        found = []
        before: Area | None = None
        for number, area in enumerate(self):
            what = f"areas: 0x{area.start:08X}-0x{area.end:08X}"
            if area.start != self.starts[number]:
                found.append(f"{what} is listed as 0x{self.starts[number]:08X}")
            if not 0 < area.start < area.end <= KERNEL_BASE or (area.start | area.end) & PAGE_SIZE - 1:
                found.append(f"{what} cannot be")
            if before is not None and area.start < before.end:
                found.append(f"{what} overlaps the one at 0x{before.start:08X}")
            if before is not None and area.continues(before):
                found.append(f"{what} should be one with the one at 0x{before.start:08X}")
            before = area
        return found

    # ---- the arrays ---------------------------------------------------------------------------------------------

    def _number(self, at: int) -> int:
        """The number of the last area that starts at or below `at`; -1 if all start above."""
        count = self._record[AREA_COUNT]
        return bisect_right(self.starts, at, 0, count) - 1 if count else -1

    def _read(self, number: int) -> Area:
        at = self._pointers[number] - KERNEL_BASE >> 2
        return Area(*(self.u32[at + member] for member in range(6)))

    def _write(self, number: int, area: Area) -> None:
        at = self._pointers[number] - KERNEL_BASE >> 2
        for member, value in enumerate(area):
            self.u32[at + member] = value
        self.starts[number] = area.start

    def _insert_behind(self, number: int, area: Area) -> None:
        at = self._cache.alloc()
        assert at, "there is room: reserve() has said so"
        self._move(number + 1, number + 2)
        self._record[AREA_COUNT] += 1
        self._pointers[number + 1] = at
        self._write(number + 1, area)

    def _drop(self, number: int) -> None:
        self._cache.free(VirtAddr(self._pointers[number]))
        self._move(number + 1, number)
        self._record[AREA_COUNT] -= 1

    def _move(self, source: int, target: int) -> None:
        """Move both arrays' elements from `source` on to `target`."""
        data, count = self._direct.bytes, 4 * (len(self) - source)
        for array in (self._record[AREAS], self._record[AREAS] + 4 * self._record[AREA_CAPACITY]):
            base = array - KERNEL_BASE
            moved = bytes(data[base + 4 * source : base + 4 * source + count])
            data[base + 4 * target : base + 4 * target + count] = moved

    def _look(self) -> None:
        at, capacity = self._record[AREAS], self._record[AREA_CAPACITY]
        self.starts = self._direct.u32_array(VirtAddr(at), capacity)
        self._pointers = self._direct.u32_array(VirtAddr(at + 4 * capacity), capacity)

    def _grow(self) -> OutOfMemory | None:
        old, capacity, count = self._record[AREAS], self._record[AREA_CAPACITY], len(self)
        order = (capacity * 8 // PAGE_SIZE).bit_length()
        if order > MAX_ORDER:
            return OutOfMemory(order, self._pmm.free_frames)
        frame = self._pmm.alloc(order, Owner.KERNEL, self._record[ID])
        if isinstance(frame, OutOfMemory):
            return frame
        base = PhysAddr(frame << PAGE_SHIFT)
        self._direct.memory.fill(base, PAGE_SIZE << order)
        larger = (PAGE_SIZE << order) // 8
        for number in range(2 if capacity else 0):
            start = old - KERNEL_BASE + 4 * capacity * number
            self._direct.memory.write(
                PhysAddr(base + 4 * larger * number), bytes(self._direct.bytes[start : start + 4 * count])
            )
        self._record[AREAS], self._record[AREA_CAPACITY] = KERNEL_BASE + base, larger
        self._look()
        if capacity:
            self._free_arrays(old, capacity)
        return None

    def _free_arrays(self, at: int, capacity: int) -> None:
        self._pmm.free(Frame(at - KERNEL_BASE >> PAGE_SHIFT), (capacity * 8 // PAGE_SIZE).bit_length() - 1)
