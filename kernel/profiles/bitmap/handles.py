"""Movable blocks behind handles, and compaction: what a best-fit heap of fixed addresses cannot do about fragments.

::

    handle 3 -> handle_t[3] { at ----------> content of a block in the heap
                              locks }        the block stays where it is while this is not 0

    compact():   | fixed | free | A | free | B | locked | free |
                 | fixed | A | B | free        | locked | free |

The table lies in guest memory, in a block of the heap, and doubles when it is full.  Handles are its indexes, from 1.
`compact` slides every block that may move towards lower addresses, up to the next that may not; contents are copied in
guest memory.  An allocation that fails for fragments compacts, and tries again.  So the address of a handle that is not
locked is good until the next allocation or `compact`.

What makes no sense (a handle that is none, one that is free, unlocking what is not locked, freeing what is locked) is
counted, reported and ignored.
"""

from __future__ import annotations

from enum import IntEnum
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PhysAddr, VirtAddr
from hillemu.emu.reports import Report, unheard
from hillemu.kernel.errors import Corruption
from hillemu.kernel.mm.structure import Structure
from hillemu.kernel.mm.words import words
from hillemu.kernel.profiles.bitmap.block_heap import BlockHeap

HANDLE = Structure("handle", "u32 at", "u32 locks")
"""`at` is 0 in a handle that is free."""
_HANDLE_BYTES = HANDLE.size_bytes
_FIRST_CAPACITY = 32


class TableWord(IntEnum):
    """Members of the `handle_table` structure; the last three are counted modulo 2**32."""

    ENTRIES = 0
    """Where the handles lie; 0 while there are none."""
    CAPACITY = 1
    REFUSED = 2
    """Calls that made no sense."""
    COMPACTIONS = 3
    MOVED = 4
    """Blocks that were moved."""


TABLE = Structure("handle_table", *(f"u32 {word.name.lower()}" for word in TableWord))
SIZE_BYTES = TABLE.size_bytes


class Compaction(NamedTuple):
    """What `compact` did; sizes are contents in bytes."""

    blocks: int
    """Those that were moved."""
    moved_bytes: int
    largest_before: int
    """The largest free block."""
    largest_after: int

    def __str__(self) -> str:
        return (
            f"compaction: {self.blocks} blocks moved ({self.moved_bytes} bytes), "
            f"largest free block {self.largest_before} -> {self.largest_after} bytes"
        )


class Handles:
    """The handles on `heap`, with their structure at `at`: zeroed memory for a new one.

    Raises `Corruption` if there is a structure whose table is no allocation.
    """

    def __init__(self, memory: GuestMemory, at: PhysAddr, heap: BlockHeap, report: Report = unheard) -> None:
        self.heap, self.report = heap, report
        self.words = words(memory, at, len(TableWord))
        self._entries, self._capacity = self.words[TableWord.ENTRIES], self.words[TableWord.CAPACITY]
        if self._entries and not heap.block_of(self._entries):
            raise Corruption(f"handles: the table is at 0x{self._entries:08X}, where nothing is allocated")
        heap.make_room = lambda: self.compact().blocks > 0
        self._free = [number for number in range(1, self._capacity) if not self._at(number)]
        """The handles that are free, a heap in the sense of `heapq`."""
        heapify(self._free)

    # ---- the functions --------------------------------------------------------------------------------------------

    def halloc(self, size: int) -> int:
        """The handle of `size` bytes that may be moved; 0 if there is no memory."""
        if not self._free and not self._grow():
            return 0
        content = self.heap.kmalloc(size)
        if not content:
            return 0
        number = heappop(self._free)
        self._set(number, content, 0)
        return number

    def hfree(self, handle: int) -> bool:
        """Give a handle and its memory back; whether it was."""
        if not self._is_right("hfree", handle):
            return False
        if locks := self._locks(handle):
            return self._refuse(f"hfree: ignored handle {handle}, which is locked {locks} times")
        content = self._at(handle)
        self._set(handle, 0, 0)
        heappush(self._free, handle)
        return self.heap.kfree(content)

    def lock(self, handle: int) -> VirtAddr:
        """Where the memory is, and stays until it was unlocked as often as it was locked; 0 for what is no handle."""
        if not self._is_right("lock", handle):
            return VirtAddr(0)
        self._set(handle, self._at(handle), self._locks(handle) + 1)
        return VirtAddr(self._at(handle))

    def unlock(self, handle: int) -> bool:
        """Take one lock away; whether there was one."""
        if not self._is_right("unlock", handle):
            return False
        if not self._locks(handle):
            return self._refuse(f"unlock: ignored handle {handle}, which is not locked")
        self._set(handle, self._at(handle), self._locks(handle) - 1)
        return True

    def address(self, handle: int) -> VirtAddr:
        """Where the memory is until the next allocation or `compact`; 0 for what is no handle."""
        return VirtAddr(self._at(handle) if self._is_right("address", handle) else 0)

    def compact(self) -> Compaction:
        """Slide the blocks of handles that are not locked together."""
        heap = self.heap
        movable = {self._at(number): number for number in self.live() if not self._locks(number)}
        before, blocks, moved = heap.largest_free, 0, 0
        block, edge = heap.index.edge.after, heap.index.edge
        while block is not edge:
            number = movable.get(block.after.content) if block.is_free and block.after is not edge else None
            if number is None:
                block = block.after
                continue
            blocks += 1
            moved += block.after.size
            to = block.content
            block = heap.swap_with_next(block)
            self._set(number, to, 0)
        self.words[TableWord.COMPACTIONS] = self.words[TableWord.COMPACTIONS] + 1 & 0xFFFFFFFF
        self.words[TableWord.MOVED] = self.words[TableWord.MOVED] + blocks & 0xFFFFFFFF
        return Compaction(blocks, moved, before, heap.largest_free)

    # ---- what there is ----------------------------------------------------------------------------------------------

    def live(self) -> list[int]:
        """The handles that are in use and lead to an allocation, ascending."""
        numbers = range(1, self._capacity)
        return [number for number in numbers if self._at(number) and self.heap.block_of(self._at(number))]

    def check(self) -> list[str]:
        """Handles that lead nowhere or to one block, as sentences; none if all is well."""
        found = []
        for word, value in ((TableWord.ENTRIES, self._entries), (TableWord.CAPACITY, self._capacity)):
            if self.words[word] != value:
                found.append(f"heap: handle_table.{word.name.lower()} is {self.words[word]:#x}, not {value:#x}")
        seen: dict[int, int] = {}
        for number in range(1, self._capacity):
            at = self._at(number)
            if at and self.heap.block_of(at) is None:
                found.append(f"heap: handle {number} leads to 0x{at:08X}, where nothing is allocated")
            elif at and at in seen:
                found.append(f"heap: handles {seen[at]} and {number} both lead to 0x{at:08X}")
            elif not at and self._locks(number):
                found.append(f"heap: handle {number} is free, but locked")
            seen.setdefault(at, number)
        return found

    def _is_right(self, what: str, handle: int) -> bool:
        if not 0 < handle < self._capacity:
            return self._refuse(f"{what}: ignored handle {handle}, which is none")
        at = self._at(handle)
        if not at:
            return self._refuse(f"{what}: ignored handle {handle}, which is free")
        if self.heap.block_of(at) is None:
            return self._refuse(
                f"{what}: ignored handle {handle}, which leads to 0x{at:08X}, where nothing is allocated"
            )
        return True

    def _refuse(self, why: str) -> bool:
        self.words[TableWord.REFUSED] = self.words[TableWord.REFUSED] + 1 & 0xFFFFFFFF
        self.report(why)
        return False

    # ---- the table --------------------------------------------------------------------------------------------------

    def _grow(self) -> bool:
        old, capacity = self._entries, self._capacity
        larger = 2 * capacity or _FIRST_CAPACITY
        entries = self.heap.kmalloc(larger * _HANDLE_BYTES)
        if not entries:
            return False
        window = self.heap.window
        kept = window.read(old, capacity * _HANDLE_BYTES) if old else b""
        window.write(entries, kept.ljust(larger * _HANDLE_BYTES, b"\0"))
        self._entries, self._capacity = entries, larger
        self.words[TableWord.ENTRIES], self.words[TableWord.CAPACITY] = entries, larger
        if old:
            self.heap.kfree(old)
        self._free = list(range(capacity or 1, larger))
        return True

    def _entry(self, number: int) -> int:
        return self._entries + number * _HANDLE_BYTES

    def _at(self, number: int) -> int:
        return self.heap.window.get(self._entry(number))

    def _locks(self, number: int) -> int:
        return self.heap.window.get(self._entry(number) + 4)

    def _set(self, number: int, at: int, locks: int) -> None:
        self.heap.window.set(self._entry(number), at)
        self.heap.window.set(self._entry(number) + 4, locks)
