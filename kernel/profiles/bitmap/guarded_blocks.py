"""Allocations between guard pages: a read or write behind one is a page fault, and says whose memory it is.

::

    | no page | guarded_block | BB BB BB ... | content | BB | no page | guarded_block | ...
              ^ a page                                      ^ a page

Content ends where its last page ends, but for up to 3 bytes that keep it at a multiple of 4.  What is in front of it,
and those 3 bytes, is looked at when it is freed and by `check`.  Pages that were freed are unmapped, so that a use
after the free is a page fault as well, until the addresses are given out again.

For finding faults: every allocation takes whole pages.  The bytes of the fence are those of `kernel.mm.debug_aids`.
"""

from __future__ import annotations

from bisect import bisect_right, insort

from hillemu.emu.i386.address import PAGE_SHIFT, PAGE_SIZE, VirtAddr, page_up
from hillemu.emu.reports import Report, unheard
from hillemu.kernel.mm.debug_aids import FENCE, difference
from hillemu.kernel.mm.structure import Structure
from hillemu.kernel.profiles.bitmap.page_window import PageWindow

BLOCK = Structure("guarded_block", "u32 magic", "u32 size", "u32 pages")
MAGIC = 0x44524755
"""``UGRD`` in memory."""
_HEADER_BYTES = BLOCK.size_bytes


class GuardedBlocks:
    """The guarded allocations in `window`."""

    def __init__(self, window: PageWindow, report: Report = unheard) -> None:
        self.window, self.report = window, report
        self._size_of: dict[int, int] = {}
        """By first page: how many bytes were asked for."""
        self._starts: list[int] = []
        """The first pages of all allocations, ascending."""
        self._freed: dict[int, tuple[int, int]] = {}
        """By page that has not been given out again: the content's address and size."""

    def alloc(self, size: int) -> VirtAddr:
        """`size` bytes, at a multiple of 4, with a guard page behind them; 0 for none, or if there is no memory."""
        if not 0 < size < self.window.end - self.window.base:
            return VirtAddr(0)
        pages = page_up((size + 3 & -4) + _HEADER_BYTES) >> PAGE_SHIFT
        start = self._gap(pages)
        if not start or not self._map(start, pages):
            self.report(f"kmalloc_guarded: failed to allocate {size} bytes: {pages} pages and a guard page")
            return VirtAddr(0)
        content = start + (pages << PAGE_SHIFT) - (size + 3 & -4)
        window = self.window
        for number, word in enumerate((MAGIC, size, pages)):
            window.set(start + 4 * number, word)
        window.write(start + _HEADER_BYTES, bytes([FENCE]) * (content - start - _HEADER_BYTES))
        window.write(content + size, bytes([FENCE]) * (-size & 3))
        self._size_of[start] = size
        insort(self._starts, start)
        for page in range(pages):
            self._freed.pop(start + (page << PAGE_SHIFT), None)
        return VirtAddr(content)

    def free(self, content: int) -> bool:
        """Give memory back; whether it was.  What makes no sense is reported and ignored."""
        start = self._start_before(content)
        if not start or self._content(start) != content:
            self.report(
                f"kfree: ignored 0x{content & 0xFFFFFFFF:08X}, {self.explain(content) or 'which is no allocation'}"
            )
            return False
        if fault := self._fault_in(start):
            self.report(f"kfree: OVERFLOW - {self._size_of[start]} bytes at 0x{content:08X}, {fault}")
        size = self._size_of.pop(start)
        self._starts.remove(start)
        for page in range(start, self._end(content, size), PAGE_SIZE):
            self.window.unmap(VirtAddr(page))
            self._freed[page] = content, size
        return True

    def size_of(self, content: int) -> int:
        """The size of the allocation at `content`; 0 if nothing is allocated there."""
        start = self._start_before(content)
        return self._size_of[start] if start and self._content(start) == content else 0

    def sizes(self) -> list[int]:
        """How many bytes every allocation has, by address."""
        return [self._size_of[start] for start in self._starts]

    def explain(self, at: int) -> str:
        """Whose memory or guard page the address of a fault is in, in words; nothing if it is no concern of ours."""
        if (page := at & -PAGE_SIZE) in self._freed:
            content, size = self._freed[page]
            return f"in the {size} bytes at 0x{content:08X}, which were freed"
        start = self._start_before(at)
        if start:
            content, size = self._content(start), self._size_of[start]
            end = self._end(content, size)
            if at < end:
                return f"in the {size} bytes at 0x{content:08X}" if at >= content else ""
            if at < end + PAGE_SIZE:
                return f"in the guard page behind the {size} bytes at 0x{content:08X}"
        following = bisect_right(self._starts, at)
        if following < len(self._starts) and at >= self._starts[following] - PAGE_SIZE:
            content = self._content(self._starts[following])
            return (
                f"in the guard page in front of the {self._size_of[self._starts[following]]} bytes at 0x{content:08X}"
            )
        return ""

    def check(self) -> list[str]:
        """Broken fences and headers, as sentences; none if all is well."""
        return [
            f"heap: {self._size_of[start]} guarded bytes at 0x{self._content(start):08X}: {fault}"
            for start in self._starts
            if (fault := self._fault_in(start))
        ]

    # ---- where they lie -----------------------------------------------------------------------------------------

    def _start_before(self, at: int) -> int:
        """The first page of the last allocation that starts at or below `at`; 0 if none does."""
        place = bisect_right(self._starts, at)
        return self._starts[place - 1] if place else 0

    def _content(self, start: int) -> int:
        size = self._size_of[start] + 3 & -4
        return start + page_up(size + _HEADER_BYTES) - size

    @staticmethod
    def _end(content: int, size: int) -> int:
        return content + (size + 3 & -4)

    def _gap(self, pages: int) -> int:
        """The lowest place for so many pages with a page that is unmapped on either side; 0 if there is none."""
        wanted, at = pages + 1 << PAGE_SHIFT, self.window.base + PAGE_SIZE
        for start in self._starts:
            if start - at >= wanted:
                break
            at = self._end(self._content(start), self._size_of[start]) + PAGE_SIZE
        return at if self.window.end - at >= wanted else 0

    def _map(self, start: int, pages: int) -> bool:
        for page in range(pages):
            if not self.window.map(VirtAddr(start + (page << PAGE_SHIFT))):
                for mapped in range(page):
                    self.window.unmap(VirtAddr(start + (mapped << PAGE_SHIFT)))
                return False
        return True

    def _fault_in(self, start: int) -> str:
        window, size, content = self.window, self._size_of[start], self._content(start)
        pages = self._end(content, size) - start >> PAGE_SHIFT
        header = tuple(window.get(start + 4 * number) for number in range(3))
        if header != (MAGIC, size, pages):
            return f"its guarded_block at 0x{start:08X} was overwritten"
        front = start + _HEADER_BYTES
        if found := difference(window.read(front, content - front), FENCE, front):
            return f"written before its bounds: {found}"
        found = difference(window.read(content + size, -size & 3), FENCE, content + size)
        return f"written behind its bounds: {found}" if found else ""
