"""`vm_alloc` of profile `orange` as `kernel.trace.replay` wants an allocator: without a processor.

A trace asks for bytes and gets whole pages, at linear addresses from 0x40000000 on: where as many pages were freed
last, or else behind all others.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PAGE_SHIFT, PAGE_SIZE, PhysAddr, VirtAddr, page_up
from hillemu.emu.reports import Report, unheard
from hillemu.kernel.profiles.orange.check import check
from hillemu.kernel.profiles.orange.layout import ENTRIES, MEMORY_INFO, PAGE_DIRECTORY, PAGE_TABLES, TABLE_BYTES
from hillemu.kernel.profiles.orange.memory_info import MAX_RANGES
from hillemu.kernel.profiles.orange.memory_manager import NULL, MemoryManager
from hillemu.kernel.profiles.orange.page_tables import KERNEL, table_at, tables_for

_MM_AT = PhysAddr(0x20000)
"""In the kernel's image, if there were one."""
_BASE = 0x40000000
_FOUR_GIB = 1 << 32


class ReplayedVmAlloc:
    """`Replayed` on `memory`, whose ranges of type 1 are `available`, as (base, length); `caller` says nothing here.

    Raises `InvalidParameters` if memory is too small.
    """

    def __init__(self, memory: GuestMemory, available: Iterable[tuple[int, int]], report: Report = unheard) -> None:
        leave_what_the_loader_leaves(memory, available)
        self.mm = MemoryManager.init_mm(memory, _MM_AT, report=report)
        self._pages: dict[VirtAddr, int] = {}
        self._places: dict[int, list[VirtAddr]] = {}
        """By number of pages: where an allocation of so many was freed."""
        self._end = _BASE

    def kmalloc(self, size: int, caller: int = 0) -> VirtAddr:
        pages = page_up(size) >> PAGE_SHIFT
        places = self._places.get(pages)
        at = places[-1] if places else VirtAddr(self._end)
        if not size or not self.mm.vm_alloc(at, size):
            return NULL
        if places:
            places.pop()
        else:
            self._end += pages << PAGE_SHIFT
        self._pages[at] = pages
        return at

    def kfree(self, at: VirtAddr, caller: int = 0) -> bool:
        pages = self._pages.pop(at, 0)
        if not pages or not self.mm.vm_free(at, pages << PAGE_SHIFT):
            return False
        self._places.setdefault(pages, []).append(at)
        return True

    def krealloc(self, at: VirtAddr, size: int, caller: int = 0) -> VirtAddr:
        if not at:
            return self.kmalloc(size)
        if page_up(size) == self.ksize(at):
            return at
        new = self.kmalloc(size)
        if new or not size:
            self._copy(at, new, min(size, self.ksize(at)))
            self.kfree(at)
        return new

    def ksize(self, at: VirtAddr) -> int:
        return self._pages.get(at, 0) << PAGE_SHIFT

    def held_bytes(self) -> int:
        return sum(self._pages.values()) << PAGE_SHIFT

    def fragmentation(self) -> float:
        free = self.mm.free_frames
        return 1 - self.mm.pf_list.longest_free() / free if free else 0.0

    def check(self) -> list[str]:
        """Contradictions, as sentences; none if all is well."""
        return check(self.mm)

    def _copy(self, source: VirtAddr, target: VirtAddr, count: int) -> None:
        """Frames are in a row, so what is in a row by linear address is by physical address."""
        from_, to = self.mm.physical(source), self.mm.physical(target)
        if count:
            assert from_ is not None
            assert to is not None
            self.mm.memory.write(to, self.mm.memory.read(from_, count))


def leave_what_the_loader_leaves(memory: GuestMemory, available: Iterable[tuple[int, int]]) -> None:
    """What `SaveMemInfo` and `SetupPaging` of boot/asm do, for a memory with the ranges (base, length)."""
    ranges = [(base, min(length, _FOUR_GIB - PAGE_SIZE - base)) for base, length in available if base < _FOUR_GIB]
    ranges = ranges[:MAX_RANGES]
    memory.set_u32(MEMORY_INFO, len(ranges))
    for number, pair in enumerate(ranges):
        memory.write(PhysAddr(MEMORY_INFO + 4 + 8 * number), array("I", pair).tobytes())
    tables = tables_for(max(base + length for base, length in ranges))
    directory = array("I", (table_at(number) | KERNEL if number < tables else 0 for number in range(ENTRIES)))
    memory.write(PAGE_DIRECTORY, directory.tobytes())
    memory.write(PAGE_TABLES, array("I", range(KERNEL, tables * TABLE_BYTES, PAGE_SIZE)).tobytes())
