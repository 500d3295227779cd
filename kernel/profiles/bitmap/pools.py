"""Pools for small blocks: pages cut into objects of one size, without a header for each.

::

    page    | pool_page, 64 bytes | object 0 | object 1 | ...        objects of 16, 32, 64 or 128 bytes

What counts lies in guest memory: at the start of every page its `pool_page`, whose `used` has a bit for every object.
The lowest free object of the lowest page of its size is given out; which pages have free objects, sorted lists outside
guest memory know.  A page that becomes free is given back, unless it is the only one of its size with free objects:
the next allocation would take it again.

A free that makes no sense is counted, reported and ignored.  A `pool_page` that was overwritten is reported, counted
and put right, as far as its bits are not concerned: only they know what is in use.

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

OBJECT_SIZES = (16, 32, 64, 128)
LARGEST_OBJECT = OBJECT_SIZES[-1]
HEADER_BYTES = 64
MAGIC = 0x4C4F4F50
"""``POOL`` in memory."""

PAGE = Structure("pool_page", "u32 magic", "u32 object_size", "u32 free_objects", "u8 used[32]")
_MAGIC, _SIZE, _FREE, _USED = range(4)
_USED_WORDS = 8
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
        object_size = max(16, 1 << (size - 1).bit_length())
        pages, u32 = self._open[object_size], self.window.u32
        if not pages and not self._new_page(object_size):
            return VirtAddr(0)
        at = pages[0]
        head = self._head(at)
        index = next((index for index in range(_USED_WORDS) if u32[head + _USED + index] != _FULL), _USED_WORDS)
        used = u32[head + _USED + index] if index < _USED_WORDS else 0
        number = index << 5 | (~used & used + 1).bit_length() - 1
        if number >= capacity(object_size):  # somebody else has changed the bits
            self._mend(at)
            return self.alloc(size)
        u32[head + _USED + index] = used | used + 1
        u32[head + _FREE] -= 1
        if not u32[head + _FREE]:
            del pages[0]
        self._count(PoolCount.ALLOCATED)
        return VirtAddr(at + HEADER_BYTES + number * object_size)

    def free(self, content: int) -> bool:
        """Give an object back; whether it was."""
        at = content & -PAGE_SIZE
        size = self._size_of.get(at)
        if size is None:
            return self._refuse(content, PoolCount.UNKNOWN, "which is in no pool")
        number, inside = divmod(content - at - HEADER_BYTES, size)
        if not 0 <= number < capacity(size) or inside:
            return self._refuse(content, PoolCount.INTERIOR, f"which is not the start of an object of {size} bytes")
        head, u32 = self._head(at), self.window.u32
        word, bit = head + _USED + (number >> 5), 1 << (number & 31)
        if not u32[word] & bit:
            return self._refuse(content, PoolCount.DOUBLE, "which is free already")
        u32[word] &= ~bit
        u32[head + _FREE] += 1
        self._count(PoolCount.FREED)
        pages = self._open[size]
        if u32[head + _FREE] == 1:
            insort(pages, at)
        if u32[head + _FREE] == capacity(size) and len(pages) > 1:
            del pages[bisect_left(pages, at)]
            del self._size_of[at]
            insort(self._gaps, at)
            self.window.unmap(VirtAddr(at))
        return True

    def size_of(self, content: int) -> int:
        """The size of the object at `content`; 0 if none is in use there."""
        at = content & -PAGE_SIZE
        size = self._size_of.get(at, 0)
        number, inside = divmod(content - at - HEADER_BYTES, size) if size else (-1, 0)
        if not 0 <= number < capacity(size) or inside:
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
        if self._gaps:
            del self._gaps[0]
        else:
            window.top = VirtAddr(at + PAGE_SIZE)
        self._size_of[at] = size
        for word, value in enumerate((MAGIC, size, capacity(size), *_unusable(size))):
            window.set(at + 4 * word, value)
        insort(self._open[size], at)
        return True

    def _head(self, at: int) -> int:
        """Where in `u32` the `pool_page` of a page lies, which is right then."""
        head, size, u32 = (at >> 2) + self.window.delta[at >> PAGE_SHIFT], self._size_of[at], self.window.u32
        # Where the count is at an end, pages enter and leave lists: there it must be right.
        if u32[head] != MAGIC or u32[head + _SIZE] != size or not 0 < u32[head + _FREE] < capacity(size):
            self._mend(at)
        return head

    def _mend(self, at: int) -> None:
        """Report what is wrong in a `pool_page`, if anything is, and put it right."""
        fault = self._fault_in(at)
        if not fault:
            return
        window, size = self.window, self._size_of[at]
        self._count(PoolCount.OVERWRITTEN)
        self.report(f"pools: the pool_page at 0x{at:08X} was overwritten: {fault}; it is put right")
        bits = [window.get(at + 4 * (_USED + word)) | unusable for word, unusable in enumerate(_unusable(size))]
        free = sum(32 - word.bit_count() for word in bits)
        for word, value in enumerate((MAGIC, size, free, *bits)):
            window.set(at + 4 * word, value)
        listed, pages = at in self._open[size], self._open[size]
        if free and not listed:
            insort(pages, at)
        elif listed and not free:
            pages.remove(at)

    def _fault_in(self, at: int) -> str:
        """What is wrong in a `pool_page`, in words; nothing if all is well."""
        window, size = self.window, self._size_of[at]
        magic, object_size, free = (window.get(at + 4 * word) for word in (_MAGIC, _SIZE, _FREE))
        if magic != MAGIC or object_size != size:
            return f"magic={magic:#x} object_size={object_size}, not {MAGIC:#x} and {size}"
        if any(window.get(at + 4 * (_USED + word)) & bits != bits for word, bits in enumerate(_unusable(size))):
            return f"objects beyond the {capacity(size)} that there are seem free"
        clear = self._clear_bits(at)
        return f"free_objects={free}, but {clear} bits are clear" if free != clear else ""

    def _clear_bits(self, at: int) -> int:
        used = (self.window.get(at + 4 * (_USED + word)) for word in range(_USED_WORDS))
        return sum(32 - word.bit_count() for word in used)

    def _refuse(self, content: int, why: PoolCount, words_: str) -> bool:
        self._count(why)
        self.report(f"kfree: ignored 0x{content & _FULL:08X}, {words_}")
        return False

    def _count(self, what: PoolCount) -> None:
        self.counts[what] = self.counts[what] + 1 & _FULL


def capacity(object_size: int) -> int:
    """How many objects a page has.

    >>> [capacity(size) for size in OBJECT_SIZES]
    [252, 126, 63, 31]
    """
    return (PAGE_SIZE - HEADER_BYTES) // object_size


def _unusable(size: int) -> tuple[int, ...]:
    """The bits of `used` that stand for no object."""
    count = capacity(size)
    return tuple(_FULL << min(max(count - 32 * word, 0), 32) & _FULL for word in range(_USED_WORDS))
