"""The allocation table: what `kmalloc` has given out, in the seed's 20-byte entries; it grows instead of failing.

In guest memory::

    struct allocation_table         its numbers, and the virtual addresses of the arrays
    struct allocation_entry[n + 1]  entry 0 is never used
    struct allocation_site[n + 1]   who allocated, and who freed, each entry
    u32 chain[n + 1]                the next entry in the same bucket, or 0
    u32 link[n + 1]                 the next free block in a list of the early pool, or 0
    u32 buckets[n]                  n is a power of two; the first entry of a bucket, or 0

An entry stays bound to its address when it is freed: that is how a double free is recognised, and who freed first is
known.  When the table is full, entries of the dead are dropped, and if most are alive it doubles.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from hillemu.emu.i386.address import VirtAddr
from hillemu.kernel.errors import InvalidParameters
from hillemu.kernel.mm.direct_map import DirectMap
from hillemu.kernel.mm.structure import Structure

TABLE = Structure(
    "allocation_table",
    "u32 capacity",
    "u32 tracked",
    "u32 entries",
    "u32 sites",
    "u32 chain",
    "u32 link",
    "u32 buckets",
)
ENTRY = Structure("allocation_entry", "u32 virt", "u32 phys", "u32 size", "u32 pages", "u8 in_use", "u8 unused[3]")
SITE = Structure("allocation_site", "u32 allocated_by", "u32 freed_by")

ENTRY_WORDS, SITE_WORDS = ENTRY.size_bytes // 4, SITE.size_bytes // 4
FIRST_CAPACITY = 1024


class Row(NamedTuple):
    """One entry with its sites, taken out of the table."""

    virt: int
    phys: int
    size: int
    pages: int
    in_use: int
    allocated_by: int
    freed_by: int


def array_bytes(capacity: int) -> int:
    """How much the arrays of a table for `capacity` entries need."""
    return (capacity + 1) * (ENTRY.size_bytes + SITE.size_bytes + 8) + 4 * capacity


class AllocationTable:
    """The table whose header is at `at`.

    Entries are known by their numbers, which `rebuild` changes.  Their members are arrays: `virt_of`, `phys_of`,
    `size_of`, `pages_of`, `in_use`, `allocated_by`, `freed_by`; `chain`, `link` and `buckets` are those in memory.
    """

    def __init__(self, direct: DirectMap, at: VirtAddr) -> None:
        self.direct, self.at = direct, at
        self.header = direct.u32_array(at, TABLE.size_bytes // 4)
        self.attach()

    @classmethod
    def create(
        cls, direct: DirectMap, at: VirtAddr, arrays: VirtAddr, capacity: int = FIRST_CAPACITY
    ) -> AllocationTable:
        """Make an empty table with zeroed room for its arrays at `arrays`."""
        header = direct.u32_array(at, TABLE.size_bytes // 4)
        for number, value in enumerate(_header_words(capacity, 0, arrays)):
            header[number] = value
        return cls(direct, at)

    def attach(self) -> None:
        """Find the arrays where the header says."""
        self.capacity, _, entries, sites, chain, link, buckets = (self.header[number] for number in range(7))
        if self.capacity & self.capacity - 1 or not self.capacity:
            raise InvalidParameters(f"allocation table: {self.capacity} entries are no power of two")
        rows = self.capacity + 1
        self.virt_of, self.phys_of, self.size_of, self.pages_of, self.in_use = (
            self.direct.u32_array(VirtAddr(entries + 4 * word), rows, every=ENTRY_WORDS) for word in range(ENTRY_WORDS)
        )
        self.allocated_by, self.freed_by = (
            self.direct.u32_array(VirtAddr(sites + 4 * word), rows, every=SITE_WORDS) for word in range(SITE_WORDS)
        )
        self.chain = self.direct.u32_array(VirtAddr(chain), rows)
        self.link = self.direct.u32_array(VirtAddr(link), rows)
        self.buckets = self.direct.u32_array(VirtAddr(buckets), self.capacity)
        self._mask = self.capacity - 1

    @property
    def tracked(self) -> int:
        """How many entries there are, of the living and of the dead."""
        return self.header[1]

    @property
    def arrays_at(self) -> VirtAddr:
        return VirtAddr(self.header[2])

    @property
    def is_full(self) -> bool:
        return self.header[1] >= self.capacity

    def find(self, virt: int) -> int:
        """The number of the entry for `virt`, alive or dead; 0 if there is none."""
        number = self.buckets[(virt >> 3 ^ virt >> 12) & self._mask]
        virt_of = self.virt_of
        while number and virt_of[number] != virt:
            number = self.chain[number]
        return number

    def add(self, virt: int, phys: int, size: int, pages: int, caller: int) -> int:
        """A live entry for `virt`, which has none, or a dead one; the table must not be full.  Returns its number."""
        number = self.find(virt)
        if not number:
            self.header[1] = number = self.header[1] + 1
            bucket = (virt >> 3 ^ virt >> 12) & self._mask
            self.chain[number] = self.buckets[bucket]
            self.buckets[bucket] = number
        self.virt_of[number] = virt
        self.phys_of[number] = phys
        self.size_of[number] = size
        self.pages_of[number] = pages
        self.in_use[number] = 1
        self.allocated_by[number] = caller
        return number

    def rows(self) -> Iterator[tuple[int, Row]]:
        """Every entry with its number, in the order in which they came."""
        tracked = self.tracked
        entries = self.direct.read(VirtAddr(self.header[2] + ENTRY.size_bytes), tracked * ENTRY.size_bytes)
        sites = self.direct.read(VirtAddr(self.header[3] + SITE.size_bytes), tracked * SITE.size_bytes)
        both = zip(struct.iter_unpack("<5I", entries), struct.iter_unpack("<2I", sites), strict=True)
        for number, (entry, site) in enumerate(both, 1):
            allocated_by, freed_by = site
            virt, phys, size, pages, in_use = entry
            yield number, Row(virt, phys, size, pages, in_use, allocated_by, freed_by)

    def row(self, number: int) -> Row:
        """One entry with its sites."""
        return Row(
            self.virt_of[number], self.phys_of[number], self.size_of[number], self.pages_of[number],
            self.in_use[number], self.allocated_by[number], self.freed_by[number],
        )  # fmt: skip

    def live(self) -> Iterator[Row]:
        """Every allocation that has not been freed."""
        return (row for _, row in self.rows() if row.in_use)

    def rebuild(self, rows: list[Row]) -> None:
        """Let these be all entries, in this order; lists through `link` are gone.  They must fit."""
        if len(rows) > self.capacity:
            raise InvalidParameters(f"allocation table: {len(rows)} entries do not fit into {self.capacity}")
        chain, buckets = [0] * (self.capacity + 1), [0] * self.capacity
        for number, row in enumerate(rows, 1):
            bucket = (row.virt >> 3 ^ row.virt >> 12) & self._mask
            chain[number] = buckets[bucket]
            buckets[bucket] = number
        _, _, entries, sites, chain_at, link, buckets_at = (VirtAddr(self.header[number]) for number in range(7))
        count = self.capacity + 1
        packed = b"".join(struct.pack("<5I", *row[:5]) for row in rows)
        self.direct.write(VirtAddr(entries + ENTRY.size_bytes), packed.ljust(self.capacity * ENTRY.size_bytes, b"\0"))
        packed = b"".join(struct.pack("<2I", *row[5:]) for row in rows)
        self.direct.write(VirtAddr(sites + SITE.size_bytes), packed.ljust(self.capacity * SITE.size_bytes, b"\0"))
        self.direct.write(chain_at, struct.pack(f"<{count}I", *chain))
        self.direct.write(link, bytes(4 * count))
        self.direct.write(buckets_at, struct.pack(f"<{self.capacity}I", *buckets))
        self.header[1] = len(rows)

    def move(self, arrays: VirtAddr, capacity: int, rows: list[Row]) -> None:
        """Go on with zeroed arrays at `arrays`, which have room for `capacity` entries."""
        for number, value in enumerate(_header_words(capacity, 0, arrays)):
            self.header[number] = value
        self.attach()
        self.rebuild(rows)

    def describe(self, row: Row, symbolise: Callable[[int], str]) -> str:
        """Who allocated an entry, and who freed it, for reports."""
        text = f"{row.size} bytes at 0x{row.virt:08X}, allocated by {symbolise(row.allocated_by)}"
        return text if row.in_use else f"{text}, freed by {symbolise(row.freed_by)}"

    def check(self) -> list[str]:
        """Contradictions in the table, as sentences; none if all is well."""
        found = []
        header = [self.header[number] for number in range(7)]
        if header != _header_words(self.capacity, header[1], VirtAddr(header[2])):
            found.append(f"allocation table: its header at 0x{self.at:08X} contradicts itself: {header}")
            return found
        if header[1] > self.capacity:
            found.append(f"allocation table: {header[1]} entries are tracked, but there is room for {self.capacity}")
            return found
        seen = set()
        for number, row in self.rows():
            if row.in_use not in (0, 1):
                found.append(f"allocation table: entry {number} for 0x{row.virt:08X} has in_use {row.in_use:#x}")
            if row.virt in seen:
                found.append(f"allocation table: 0x{row.virt:08X} has two entries")
            seen.add(row.virt)
            if self.find(row.virt) != number:
                found.append(f"allocation table: entry {number} for 0x{row.virt:08X} is not found in its bucket")
        return found


def _header_words(capacity: int, tracked: int, arrays: VirtAddr) -> list[int]:
    rows = capacity + 1
    sites = arrays + rows * ENTRY.size_bytes
    chain = sites + rows * SITE.size_bytes
    link = chain + 4 * rows
    return [capacity, tracked, arrays, sites, chain, link, link + 4 * rows]
