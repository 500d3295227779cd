"""Pools for small blocks: pages cut into objects of one size, without a header for each.

::

    page    | pool_page, 64 bytes | object 0 | object 1 | ...        objects of 16, 32, 48 ... 128 bytes

What counts lies in guest memory: at the start of every page its `pool_page`, whose `used` has a bit for every object.
The lowest free object of the lowest page of its size is given out; which pages have free objects, sorted lists outside
guest memory know.  A page that becomes free is given back, unless it is the only one of its size with free objects:
the next allocation would take it again.  `trim` gives that one back, too.

A free that makes no sense is counted, reported and ignored.  A `pool_page` that contradicts itself was overwritten:
this is reported, counted and put right, where the bits are what is believed: only they know what is in use.

Not modelled: fences and poison; an object that is written beyond its end damages the next one unnoticed.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from enum import IntEnum

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PAGE_SHIFT, PAGE_SIZE, PhysAddr, VirtAddr
from hillemu.emu.reports import Report, unheard
from hillemu.kernel.mm.structure import Structure
from hillemu.kernel.mm.words import Words, words
from hillemu.kernel.profiles.bitmap.page_window import PageWindow

OBJECT_SIZES = tuple(range(16, 129, 16))
LARGEST_OBJECT = OBJECT_SIZES[-1]
HEADER_BYTES = 64
MAGIC = 0x4C4F4F50
"""``POOL`` in memory."""

PAGE = Structure("pool_page", "u32 magic", "u32 object_size", "u32 free_objects", "u8 used[32]")
_MAGIC, _SIZE, _FREE, _USED = range(4)
_FULL = 0xFFFFFFFF


class PoolCount(IntEnum):
    """Members of `pool_statistics`, counted modulo 2**32; those from `UNKNOWN` on are faults."""

    ALLOCATED = 0
    FREED = 1
    UNKNOWN = 2
    INTERIOR = 3
    DOUBLE = 4
    OVERWRITTEN = 5


STATISTICS = Structure("pool_statistics", *(f"u32 {count.name.lower()}" for count in PoolCount))
SIZE_BYTES = STATISTICS.size_bytes


class Pools:
    """The pools in `window`, whose counters lie at `at`; pages that are mapped there already are pools' pages."""

    def __init__(self, memory: GuestMemory, at: PhysAddr, window: PageWindow, report: Report = unheard) -> None:
        self.window, self.report = window, report
        self.counts: Words = words(memory, at, len(PoolCount))
        self._size_of: dict[int, int] = {}
        """By page: the size of its objects."""
        self._open: dict[int, list[int]] = {size: [] for size in OBJECT_SIZES}
        """By size: the pages that have free objects, ascending."""
        self._gaps: list[int] = []
        """Pages that were given back, below `window.top`, ascending."""

    def alloc(self, size: int) -> VirtAddr:
        """An object of at least `size` bytes, 1 to `LARGEST_OBJECT`; 0 if there is no memory."""
        object_size = size + 15 & -16
        pages = self._open[object_size]
        if not pages and not self._new_page(object_size):
            return VirtAddr(0)
        at = pages[0]
        head, bits = self._look(at, object_size)
        number = (~bits & bits + 1).bit_length() - 1
        if number >= _CAPACITY[object_size]:  # somebody else has set bits, and the page is in the list no more
            return self.alloc(size)
        u32 = self.window.u32
        u32[head + _USED + (number >> 5)] |= 1 << (number & 31)
        u32[head + _FREE] = left = u32[head + _FREE] - 1
        if not left:
            del pages[0]
        self.counts[_ALLOCATED] = self.counts[_ALLOCATED] + 1 & _FULL
        return VirtAddr(at + HEADER_BYTES + number * object_size)

    def free(self, content: int) -> bool:
        """Give an object back; whether it was."""
        at = content & -PAGE_SIZE
        size = self._size_of.get(at)
        if size is None:
            return self._refuse(content, PoolCount.UNKNOWN, "which is in no pool")
        number, inside = divmod(content - at - HEADER_BYTES, size)
        if not 0 <= number < _CAPACITY[size] or inside:
            return self._refuse(content, PoolCount.INTERIOR, f"which is not the start of an object of {size} bytes")
        head, bits = self._look(at, size)
        if not bits >> number & 1:
            return self._refuse(content, PoolCount.DOUBLE, "which is free already")
        u32 = self.window.u32
        u32[head + _USED + (number >> 5)] &= ~(1 << (number & 31))
        u32[head + _FREE] = free = u32[head + _FREE] + 1
        self.counts[_FREED] = self.counts[_FREED] + 1 & _FULL
        pages = self._open[size]
        if free == 1:
            insort(pages, at)
        if free == _CAPACITY[size] and len(pages) > 1:
            self._give_back(at, size)
        return True

    def trim(self) -> int:
        """Give back the pages that have no object in use; how many."""
        listed = [(at, size) for size, pages in self._open.items() for at in pages]
        unused = [(at, size) for at, size in listed if self._look(at, size)[1] == _BEYOND[size]]
        for at, size in unused:
            self._give_back(at, size)
        return len(unused)

    def size_of(self, content: int) -> int:
        """The size of the object at `content`; 0 if none is in use there."""
        at = content & -PAGE_SIZE
        size = self._size_of.get(at, 0)
        number, inside = divmod(content - at - HEADER_BYTES, size) if size else (-1, 0)
        if not 0 <= number < _CAPACITY[size] or inside:
            return 0
        return size if self.window.get(at + 4 * (_USED + (number >> 5))) >> (number & 31) & 1 else 0

    @property
    def size_bytes(self) -> int:
        """All pages of the pools."""
        return len(self._size_of) << PAGE_SHIFT

    def used(self) -> dict[int, int]:
        """Objects in use, by size."""
        found = dict.fromkeys(OBJECT_SIZES, 0)
        for at, size in self._size_of.items():
            found[size] += capacity(size) - self.window.get(at + 4 * _FREE)
        return found

    def check(self) -> list[str]:
        """Contradictions in the pages, as sentences; none if all is well."""
        found = []
        for at, size in sorted(self._size_of.items()):
            if fault := self._fault_in(at):
                found.append(f"heap: the pool_page at 0x{at:08X} is wrong: {fault}")
            elif (at in self._open[size]) != (self.window.get(at + 4 * _FREE) > 0):
                found.append(f"heap: the lists of pools are wrong about the page at 0x{at:08X}")
        return found

    # ---- pages ------------------------------------------------------------------------------------------------------

    def _new_page(self, size: int) -> bool:
        window = self.window
        at = self._gaps[0] if self._gaps else window.top
        if at >= window.end or not window.map(VirtAddr(at)):
            return False
        if at == window.top:
            window.top = VirtAddr(at + PAGE_SIZE)
        else:  # not the first gap any more, if another size's page had to be given back for this one
            del self._gaps[bisect_left(self._gaps, at)]
        self._size_of[at] = size
        self._write(at, size, _BEYOND[size])
        insort(self._open[size], at)
        return True

    def _give_back(self, at: int, size: int) -> None:
        pages = self._open[size]
        del pages[bisect_left(pages, at)]
        del self._size_of[at]
        insort(self._gaps, at)
        self.window.unmap(VirtAddr(at))

    def _write(self, at: int, size: int, bits: int) -> None:
        free = _ALL_BITS - bits.bit_count()
        raw = b"".join(word.to_bytes(4, "little") for word in (MAGIC, size, free)) + bits.to_bytes(
            _BITS_BYTES, "little"
        )
        self.window.write(at, raw)

    def _look(self, at: int, size: int) -> tuple[int, int]:
        """Where in `u32` the `pool_page` of a page lies, and its bits; it is right then."""
        window = self.window
        head = (at >> 2) + window.delta[at >> PAGE_SHIFT]
        u32, bits = window.u32, self._bits(head)
        if (
            u32[head] != MAGIC
            or u32[head + _SIZE] != size
            or bits.bit_count() + u32[head + _FREE] != _ALL_BITS
            or bits & _BEYOND[size] != _BEYOND[size]
        ):
            self._count(PoolCount.OVERWRITTEN)
            fault = self._fault_in(at)
            self.report(f"pools: the pool_page at 0x{at:08X} was overwritten: {fault}; it is put right")
            bits |= _BEYOND[size]
            self._write(at, size, bits)
            listed, pages = at in self._open[size], self._open[size]
            if listed and bits == _FULL_PAGE:
                pages.remove(at)
            elif not listed and bits != _FULL_PAGE:
                insort(pages, at)
        return head, bits

    def _bits(self, head: int) -> int:
        at = 4 * (head + _USED)
        return int.from_bytes(self.window.bytes[at : at + _BITS_BYTES], "little")

    def _fault_in(self, at: int) -> str:
        """What is wrong in a `pool_page`, in words; nothing if all is well."""
        window, size = self.window, self._size_of[at]
        magic, object_size, free = (window.get(at + 4 * word) for word in (_MAGIC, _SIZE, _FREE))
        bits = self._bits((at >> 2) + window.delta[at >> PAGE_SHIFT])
        if magic != MAGIC or object_size != size:
            return f"magic={magic:#x} object_size={object_size}, not {MAGIC:#x} and {size}"
        if bits & _BEYOND[size] != _BEYOND[size]:
            return f"objects beyond the {capacity(size)} that there are seem free"
        clear = _ALL_BITS - bits.bit_count()
        return f"free_objects={free}, but {clear} bits are clear" if free != clear else ""

    def _refuse(self, content: int, why: PoolCount, words_: str) -> bool:
        self._count(why)
        self.report(f"kfree: ignored 0x{content & _FULL:08X}, {words_}")
        return False

    def _count(self, what: PoolCount) -> None:
        self.counts[what] = self.counts[what] + 1 & _FULL


def capacity(object_size: int) -> int:
    """How many objects a page has.

    >>> [capacity(size) for size in OBJECT_SIZES]
    [252, 126, 84, 63, 50, 42, 36, 31]
    """
    return (PAGE_SIZE - HEADER_BYTES) // object_size


_CAPACITY = {size: capacity(size) for size in OBJECT_SIZES}
_BITS_BYTES = PAGE.members["used"].size_bytes
_ALL_BITS = 8 * _BITS_BYTES
_FULL_PAGE = (1 << _ALL_BITS) - 1
_BEYOND = {size: _FULL_PAGE >> count << count for size, count in _CAPACITY.items()}
"""By size of objects: the bits that stand for no object; they are set."""
_ALLOCATED, _FREED = int(PoolCount.ALLOCATED), int(PoolCount.FREED)
