"""The document's heap: blocks behind `block_header_t`, found by best fit, split, and merged with both neighbours.

::

    base                                                          end of the mapped pages
     | header | content | header | content      | header | content |
        next ------------> next -------------------> next = 0

In guest memory lie the headers, and a `heap` structure with the list's head and counters.  Sizes are multiples of 4.
`kmalloc` takes the smallest block that is large enough, of equal ones the lowest, as a walk over the list would; which
one it is, a `BlockIndex` outside guest memory knows.  What is left of a block becomes a block if it has room for a
header and 4 bytes.  Where no block is large enough, the heap grows by the pages that are missing.

Every header that is used is compared with the index first.  One that something else has written to is reported, counted
and put right: the heap goes on.  A `kfree` of what was not allocated is counted, reported and ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import IntEnum

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PAGE_SHIFT, PAGE_SIZE, PhysAddr, VirtAddr
from hillemu.emu.reports import Report, unheard
from hillemu.kernel.errors import Corruption
from hillemu.kernel.mm.debug_aids import Options
from hillemu.kernel.mm.structure import Structure
from hillemu.kernel.mm.words import words
from hillemu.kernel.profiles.bitmap.best_fit import ALIGN, LEAST_REST, BestFit, best_fit
from hillemu.kernel.profiles.bitmap.block_index import (
    HEADER_BYTES,
    Block,
    describe,
    differences,
    read_header,
    read_list,
    write_header,
)
from hillemu.kernel.profiles.bitmap.fences import Fences
from hillemu.kernel.profiles.bitmap.page_window import PageWindow


class HeapWord(IntEnum):
    """Members of the `heap` structure: the list, then what has happened, counted modulo 2**32."""

    HEAD = 0
    """The first header; 0 while there is no page."""
    END = 1
    """Where the mapped pages end."""
    ALLOCATED = 2
    FREED = 3
    FAILED = 4
    """Requests that got NULL, those for no bytes not counted."""
    UNKNOWN = 5
    """Frees of addresses outside the heap."""
    INTERIOR = 6
    """Frees of addresses inside an allocation."""
    DOUBLE = 7
    """Frees of what is free already."""
    OVERWRITTEN = 8
    """Headers that were not as the heap had left them."""


HEAP = Structure("heap", *(f"u32 {word.name.lower()}" for word in HeapWord))
SIZE_BYTES = HEAP.size_bytes


class BlockHeap:
    """The heap in `window`, with its structure at `at`: zeroed memory for a new one.

    Raises `Corruption` if there is a heap whose list cannot be followed.
    """

    kmalloc: Callable[[int], VirtAddr]
    """`size` bytes, at a multiple of 4, their content undefined; 0 (NULL) for no bytes, or if there is no memory."""
    kfree: Callable[[int], bool]
    """Give memory back; whether it was.  NULL is nothing and is no fault."""

    def __init__(
        self,
        memory: GuestMemory,
        at: PhysAddr,
        window: PageWindow,
        report: Report = unheard,
        aids: Options = Options(red_zones=False, poison=False),  # noqa: B008  it is a constant
    ) -> None:
        self.window, self.report = window, report
        self.words = words(memory, at, len(HeapWord))
        self.fences = Fences(window, aids)
        end = self.words[HeapWord.END] = self.words[HeapWord.END] or window.base
        if end != window.top:
            raise Corruption(f"heap: it ends at 0x{end:08X}, but its pages at 0x{window.top:08X}")
        try:
            self.index = read_list(window, self.words[HeapWord.HEAD])
        except ValueError as fault:
            raise Corruption(f"heap: {fault}") from fault
        self.make_room: Callable[[], bool] = lambda: False
        """Called when no block is large enough and no pages are free: whether it is worth to look again."""
        self._grows = False
        self._lists = best_fit(self.index, window, self.verify)
        self.kmalloc, self.kfree = _functions(self, self._lists)

    # ---- what there is ------------------------------------------------------------------------------------------

    def blocks(self) -> Iterator[Block]:
        """All blocks, by address."""
        return self.index.blocks()

    def block_of(self, content: int) -> Block | None:
        """The allocation at `content`; None if nothing is allocated there."""
        block = self.index.by_address.get(content - HEADER_BYTES)
        return None if block is None or block.is_free else block

    @property
    def size_bytes(self) -> int:
        """All that is mapped, headers included."""
        return self.window.top - self.window.base

    @property
    def free_bytes(self) -> int:
        """The content of free blocks."""
        return sum(key >> 32 for key in self.index.by_size)

    @property
    def largest_free(self) -> int:
        """The content of the largest free block; 0 if nothing is free."""
        return self.index.by_size[-1] >> 32 if self.index.by_size else 0

    @property
    def fragmentation(self) -> float:
        """Of the free bytes, the part outside the largest free block; 0 if nothing is free."""
        free = self.free_bytes
        return 1 - self.largest_free / free if free else 0.0

    def check(self) -> list[str]:
        """Contradictions between list, index and pages, broken fences and poison, as sentences; none if all is well."""
        found = []
        for word, value in ((HeapWord.HEAD, self.index.edge.after.at), (HeapWord.END, self.window.top)):
            if self.words[word] != value:
                found.append(f"heap: heap.{word.name.lower()} is 0x{self.words[word]:08X}, not 0x{value:08X}")
        found += differences(self.index, self.window)
        for block in self.blocks():
            if fault := self.fences.fault_in(block.content, block.size, is_free=bool(block.is_free)):
                found.append(f"heap: {block.size} bytes at 0x{block.content:08X}: {fault}")
        return found

    # ---- for those who work on blocks -----------------------------------------------------------------------------

    def verify(self, block: Block) -> None:
        """Compare a header with the index; report and put right what is not the same."""
        header = read_header(self.window, block.at)
        if header != block.header:
            self.count(HeapWord.OVERWRITTEN)
            self.report(
                f"heap: the header at 0x{block.at:08X} was overwritten: {describe(header)}, "
                f"was {describe(block.header)}; it is put right"
            )
            write_header(self.window, block)

    def count(self, what: HeapWord) -> None:
        self.words[what] = self.words[what] + 1 & 0xFFFFFFFF

    def refuse(self, content: int) -> bool:
        """Count and report a free of what is not allocated."""
        around = self.index.block_around(content)
        if around is None:
            kind, why = HeapWord.UNKNOWN, "which is not in the heap"
        elif around.is_free:
            kind, why = HeapWord.DOUBLE, "which is free already"
        else:
            kind, why = HeapWord.INTERIOR, f"inside the {around.size} bytes at 0x{around.content:08X}"
        self.count(kind)
        self.report(f"kfree: ignored 0x{content & 0xFFFFFFFF:08X}, {why}")
        return False

    def swap_with_next(self, free: Block) -> Block:
        """Exchange a free block with the used one behind it; the free one, merged with what is free behind it.

        What was used keeps its content, at a lower address: its header is where that of `free` was.
        """
        index, window = self.index, self.window
        used = free.after
        self.verify(free)
        self.verify(used)
        content = window.read(used.content, used.size)
        index.set_used(free)
        index.remove(used)
        room, free.size = free.size, used.size
        rest = index.insert(free.content + free.size, room, free)
        write_header(window, free)
        window.write(free.content, content)
        write_header(window, rest)
        return self.release(rest)

    def release(self, block: Block) -> Block:
        """Make a used block a free one, merged with its neighbours; the merged block."""
        stale = block.at if block.before.is_free else block.content
        end = block.content + block.size + (HEADER_BYTES if block.after.is_free else 0)
        merged = self._lists.release(block)
        self.fences.poison(stale, end)  # what was in use, and the headers that are none any more
        return merged

    def has_or_grows(self, need: int) -> bool:
        """Whether there is a free block of `need` bytes, now or after the heap has grown."""
        return self.largest_free >= need or self.grow(need)

    def grow(self, need: int) -> bool:
        """Map pages at the end, so that the last block is free and has `need` bytes; False if there are not enough."""
        index, window = self.index, self.window
        old, last = window.top, index.last
        missing = need - last.size if last.is_free else need + HEADER_BYTES
        self._grows = True
        grown = window.grow(missing + PAGE_SIZE - 1 >> PAGE_SHIFT)
        self._grows = False
        if not grown:
            return False
        if last.at:
            self.verify(last)
        if last.is_free:
            index.set_used(last)
            last.size = window.top - last.content
        else:
            last = index.insert(old, window.top - old - HEADER_BYTES, last)
            if last.before.at:
                write_header(window, last.before)
        index.set_free(last)
        self._end_moved()
        self.fences.poison(max(old, last.content), window.top)
        return True

    def trim(self) -> int:
        """Give back the whole pages at the end that only a free block has; how many.

        None while the heap grows: that they are wanted may be for its own sake.
        """
        index, window = self.index, self.window
        last = index.last
        if not last.is_free or self._grows:
            return 0
        # The block stays, with at least 4 bytes, unless it is all there is.
        keep = window.base if last.at == window.base else last.at + LEAST_REST
        count = window.top - keep >> PAGE_SHIFT
        if count:
            self.verify(last)
            index.set_used(last)
            window.shrink(count)
            if window.top == window.base:
                index.remove(last)
            else:
                last.size = window.top - last.content
                index.set_free(last)
            self._end_moved()
        return count

    def _end_moved(self) -> None:
        self.words[HeapWord.HEAD], self.words[HeapWord.END] = self.index.edge.after.at, self.window.top
        if self.index.last.at:
            write_header(self.window, self.index.last)


def _functions(heap: BlockHeap, lists: BestFit) -> tuple[Callable[[int], VirtAddr], Callable[[int], bool]]:
    """`kmalloc` and `kfree`."""
    fences, report, take, counts = heap.fences, heap.report, lists.take, heap.words
    by_address = heap.index.by_address
    largest, pad = heap.window.end - heap.window.base, fences.pad
    fenced, poisoned = fences.options.red_zones, fences.options.poison
    release = heap.release if poisoned else lists.release
    allocated, freed = int(HeapWord.ALLOCATED), int(HeapWord.FREED)

    def kmalloc(size: int) -> VirtAddr:
        if not 0 < size <= largest:
            return _refuse_size(heap, size, largest)
        need = (size + ALIGN - 1 & -ALIGN) + pad
        block = take(need)
        if block is None:
            if heap.grow(need) or (heap.make_room() and heap.has_or_grows(need)):
                block = take(need)
            if block is None:
                heap.count(HeapWord.FAILED)
                report(f"kmalloc: failed to allocate {size} bytes: no block is large enough, and no pages are free")
                return VirtAddr(0)
        content = block.at + HEADER_BYTES
        if poisoned and (fault := fences.broken_poison(content, block.size)):
            report(f"kmalloc: USE AFTER FREE - {fault}")
        if fenced:
            fences.fence(content, block.size)
        counts[allocated] = counts[allocated] + 1 & 0xFFFFFFFF
        return VirtAddr(content)

    def kfree(content: int) -> bool:
        block = by_address.get(content - HEADER_BYTES)
        if block is None or block.is_free:
            return heap.refuse(content) if content else False
        if fenced and (fault := fences.broken_fence(content, block.size)):
            report(f"kfree: OVERFLOW - {block.size} bytes at 0x{content:08X}, {fault}")
        release(block)
        counts[freed] = counts[freed] + 1 & 0xFFFFFFFF
        return True

    return kmalloc, kfree


def _refuse_size(heap: BlockHeap, size: int, largest: int) -> VirtAddr:
    if size:
        heap.count(HeapWord.FAILED)
        heap.report(f"kmalloc: failed to allocate {size} bytes: at most {largest} are possible")
    return VirtAddr(0)
