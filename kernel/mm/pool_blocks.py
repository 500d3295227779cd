"""Small allocations in the early pool: given out, really taken back, merged again.

A free block is a dead entry of the allocation table.  Blocks of one size wait in a list, the one that was freed last in
front; freeing merges nothing.  A request is served from the list of its size, else from never-used memory, else from
the smallest larger block; when none is left, neighbours are merged once, and then it is tried again.

A block of payload P occupies [virt - pad, virt + P + pad), P a multiple of 8; pad is where fences stand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hillemu.emu.reports import Report
from hillemu.kernel.mm.allocation_table import AllocationTable, Row
from hillemu.kernel.mm.bits import set_bits
from hillemu.kernel.mm.debug_aids import DebugAids
from hillemu.kernel.mm.early_pool import (
    ALIGN,
    BASE,
    BRK,
    END,
    FREED,
    LARGE_CLASS,
    LISTS_AT,
    MAP_AT,
    PERMANENT,
    SMALL_MAX_BYTES,
    EarlyPool,
)

_ENTRIES_FOR_A_SPLIT = 3


class PoolBlocks:
    """Gives out blocks of at most `SMALL_MAX_BYTES`; `make_room` must leave the table room for a few entries."""

    def __init__(
        self,
        pool: EarlyPool,
        table: AllocationTable,
        aids: DebugAids,
        make_room: Callable[[], bool],
        report: Report,
        symbolise: Callable[[int], str],
    ) -> None:
        self.pool, self.table, self.aids = pool, table, aids
        self.pad, self._poisoned = aids.options.pad_bytes, aids.options.poison
        # Merging looks at everything, so it must be worth while.
        self._merge_from = pool.header[END] - pool.header[BASE] >> 6
        self._make_room, self._report, self._symbolise = make_room, report, symbolise

    def alloc(self, size: int, caller: int) -> int:
        """The virtual address of `size` bytes, with a live entry in the table; 0 if the pool has none."""
        words = self.pool.header
        payload = size + 7 & -8
        place = LISTS_AT + (payload >> 3)
        number = words[place]
        if not number:
            return self._alloc_otherwise(size, payload, caller)
        table = self.table
        words[place] = following = table.link[number]
        if not following:
            words[MAP_AT + (payload >> 8)] &= ~(1 << (payload >> 3 & 31))
        virt = table.virt_of[number]
        if self._poisoned and (fault := self.aids.broken_poison(virt, payload)):
            self._tell(fault, number)
        table.size_of[number] = size
        table.in_use[number] = 1
        table.allocated_by[number] = caller
        return virt

    def alloc_aligned(self, size: int, align: int, caller: int) -> int:
        """As `alloc`, at a multiple of `align`, a power of two above 8; what is left in front is a block of its own."""
        payload = size + 7 & -8
        # Enough to find the alignment behind a front part that is large enough to be a block.
        whole = payload + 2 * align + 4 * self.pad
        if not self._has_entries():
            return 0
        at = self._find(whole)
        if not at:
            return 0
        start = at + 8 + 2 * self.pad  # the lowest address with a block in front of it
        virt = start + -start % align
        if at % align == 0:
            virt = at
        else:
            self._add_free(at, virt - at - 2 * self.pad, caller)
        rest = at + whole - virt - payload
        if rest:  # at least a pad, a word and a pad: `whole` has room for them
            self._add_free(virt + payload + 2 * self.pad, rest - 2 * self.pad, caller)
        self.table.add(virt, 0, size, 0, caller)
        return virt

    def free(self, number: int, virt: int, size: int) -> None:
        """Take back the block at `virt` of `size` bytes, whose entry `number` is dead already."""
        payload = size + 7 & -8
        if self._poisoned:
            self.aids.poison(virt, payload)
        header, table = self.pool.header, self.table
        header[FREED] += payload
        if payload > SMALL_MAX_BYTES:
            self._push(number, payload)
            return
        size_class = payload >> 3
        place = LISTS_AT + size_class
        table.link[number] = first = header[place]
        header[place] = number
        if not first:
            header[MAP_AT + (size_class >> 5)] |= 1 << (size_class & 31)

    def merge(self, rows: list[Row]) -> list[Row]:
        """Make one block of free neighbours, in the rows of a table; what touches `brk` has never been given out."""
        header, pad = self.pool.header, self.pad
        kept = [row for row in rows if row.in_use or not self.pool.holds(row.virt)]
        free = sorted(row for row in rows if not row.in_use and self.pool.holds(row.virt))
        merged: list[Row] = []
        for row in free:
            payload = row.size + 7 & -8
            if self._poisoned and (fault := self.aids.broken_poison(row.virt, payload)):
                self._report(f"kmalloc: USE AFTER FREE - {fault}; {self.table.describe(row, self._symbolise)}")
                self.aids.poison(row.virt, payload)
            last = merged[-1] if merged else None
            if last is not None and last.virt + last.size + pad == row.virt - pad:
                merged[-1] = last._replace(size=row.virt + payload - last.virt)
            else:
                merged.append(row._replace(size=payload))
        if merged and merged[-1].virt + merged[-1].size + pad == header[BRK]:
            header[BRK] = merged.pop().virt - pad
        if self._poisoned:
            for row in merged:
                self.aids.poison(row.virt, row.size)
        header[FREED] = 0
        return kept + merged

    def rebuild_lists(self) -> None:
        """Find all free blocks in the table again, after its entries have moved."""
        header = self.pool.header
        for word in range(MAP_AT, LISTS_AT + LARGE_CLASS + 1):
            header[word] = 0
        for number, row in self.table.rows():
            if not row.in_use and self.pool.holds(row.virt):
                self._push(number, row.size + 7 & -8)

    # ---- the slow ways ------------------------------------------------------------------------------------------

    def _alloc_otherwise(self, size: int, payload: int, caller: int) -> int:
        if not self._has_entries():
            return 0
        virt = self._find(payload)
        if virt:
            self.table.add(virt, 0, size, 0, caller)
        return virt

    def _has_entries(self) -> bool:
        return self.table.tracked + _ENTRIES_FOR_A_SPLIT <= self.table.capacity or self._make_room()

    def _find(self, payload: int) -> int:
        """A block of `payload` bytes that is in no list; what is too much of it is a block in a list."""
        at = self.pool.bump(payload + 2 * self.pad)
        if at:
            return at + self.pad
        virt = self._split(payload)
        if not virt and self.pool.header[FREED] >= max(payload, self._merge_from):
            self.table.rebuild(self.merge([row for _, row in self.table.rows()]))
            self.rebuild_lists()
            at = self.pool.bump(payload + 2 * self.pad)
            virt = at + self.pad if at else self._split(payload)
        return virt

    def _split(self, payload: int) -> int:
        least_rest = 2 * self.pad + ALIGN
        for number, room, before in self._candidates(payload):
            rest = room - payload
            if rest and rest < least_rest:
                continue
            self._unlink(number, room, before)
            virt = self.table.virt_of[number]
            if self._poisoned and (fault := self.aids.broken_poison(virt, room)):
                self._tell(fault, number)
                self.aids.poison(virt, room)
            self.table.size_of[number] = payload
            if rest:
                freed_by = self.table.freed_by[number]
                self._add_free(virt + payload + 2 * self.pad, rest - 2 * self.pad, freed_by)
            return virt
        return 0

    def _candidates(self, payload: int) -> Iterator[tuple[int, int, int]]:
        """Free blocks that are large enough, the smallest size first: (entry, payload, its predecessor in its list)."""
        header, table = self.pool.header, self.table
        bits = sum(header[MAP_AT + word] << 32 * word for word in range(LISTS_AT - MAP_AT))
        for size_class in set_bits(bits >> min(payload >> 3, LARGE_CLASS)):
            size_class += min(payload >> 3, LARGE_CLASS)
            if size_class < LARGE_CLASS:
                yield header[LISTS_AT + size_class], size_class << 3, 0
                continue
            number, before = header[LISTS_AT + LARGE_CLASS], 0
            while number:
                room = table.size_of[number] + 7 & -8
                if room >= payload:
                    yield number, room, before
                number, before = table.link[number], number

    def _unlink(self, number: int, room: int, before: int) -> None:
        header = self.pool.header
        size_class = min(room >> 3, LARGE_CLASS)
        if before:
            self.table.link[before] = self.table.link[number]
            return
        header[LISTS_AT + size_class] = following = self.table.link[number]
        if not following:
            header[MAP_AT + (size_class >> 5)] &= ~(1 << (size_class & 31))

    def _push(self, number: int, payload: int) -> None:
        header = self.pool.header
        size_class = payload >> 3 if payload <= SMALL_MAX_BYTES else LARGE_CLASS
        first = header[LISTS_AT + size_class]
        self.table.link[number] = first
        header[LISTS_AT + size_class] = number
        if not first:
            header[MAP_AT + (size_class >> 5)] |= 1 << (size_class & 31)

    def _add_free(self, virt: int, payload: int, caller: int) -> None:
        number = self.table.add(virt, 0, payload, 0, caller)
        self.table.in_use[number] = 0
        self.table.freed_by[number] = caller
        if self._poisoned:
            self.aids.poison(virt, payload)
        self._push(number, payload)

    def _tell(self, fault: str, number: int) -> None:
        row = self.table.row(number)
        self._report(f"kmalloc: USE AFTER FREE - {fault}; {self.table.describe(row, self._symbolise)}")

    def check(self) -> list[str]:
        """Contradictions in the pool, as sentences; none if all is well."""
        found = []
        header, table, pad = self.pool.header, self.table, self.pad
        rows = sorted((row.virt, row.size + 7 & -8, row.in_use) for _, row in table.rows() if self.pool.holds(row.virt))
        end, gaps = header[BASE], 0
        for virt, payload, _ in rows:
            if virt - pad < end:
                found.append(f"early pool: the block at 0x{virt:08X} overlaps the one before it")
            gaps += virt - pad - end
            end = virt + payload + pad
        gaps += header[BRK] - end
        if gaps != header[PERMANENT]:
            found.append(f"early pool: {gaps} bytes belong to nobody, but {header[PERMANENT]} were given out for ever")
        listed = set()
        for size_class in range(LARGE_CLASS + 1):
            number = header[LISTS_AT + size_class]
            if bool(number) != bool(header[MAP_AT + (size_class >> 5)] >> (size_class & 31) & 1):
                found.append(f"early pool: class_map is wrong about list {size_class}")
            while number and number not in listed:
                listed.add(number)
                row = table.row(number)
                actual = min((row.size + 7 & -8) >> 3, LARGE_CLASS)
                if row.in_use or actual != size_class or not self.pool.holds(row.virt):
                    found.append(f"early pool: list {size_class} has 0x{row.virt:08X}, which does not belong there")
                number = table.link[number]
        free = sum(1 for _, _, in_use in rows if not in_use)
        if len(listed) != free:
            found.append(f"early pool: {free} blocks are free, but {len(listed)} are in lists")
        return found
