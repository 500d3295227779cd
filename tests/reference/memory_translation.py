"""TLBs and page walks by the manuals; `memory_system` tells the abbreviations."""

from __future__ import annotations

from dataclasses import dataclass

from memory_bus import Ways
from memory_caches import Caches
from memory_format import (
    CR0,
    CR3,
    FAULT,
    FETCH,
    PAE,
    PCD,
    PDE_UPDATE,
    PE,
    PG,
    PS,
    PSE,
    PTE_UPDATE,
    PWT,
    RW,
    TASK_SWITCH,
    TLB_DROPPED,
    TLB_EVICTION,
    TLB_MISS,
    UNMODELLED,
    US,
    WALK_MISS,
    WP,
    WRITE,
    A,
    D,
    P,
)


@dataclass(slots=True)
class Translation:
    """One entry of a TLB: what it translates, and the bits of the page-table entry that it keeps."""

    page: int
    frame: int
    bits: int


class Translating(Caches):
    """Caches behind TLBs and page walks."""

    def __init__(self, geometry: dict[str, int], memory: bytearray) -> None:
        super().__init__(geometry, memory)
        ways = geometry["tlb_ways"]
        self.tlbs = {name: [Ways(ways) for _ in range(geometry[f"{name}_tlb_entries"] // ways)]
                     for name in ("data", "code", "large")}  # fmt: skip

    def translate(self, linear: int, kind: int, user: bool, now: int) -> tuple[int, tuple[int, int] | None]:
        """The clock behind it; the physical address and caching bits, or `None` for a page fault."""
        if not self.cr0 & PG:
            return now, (linear, 0)  # P5 s2.5.4.1: without paging PCD and PWT are low
        if self.cr4 & PAE:
            self.note(UNMODELLED, "unmodelled")
            return now, (linear, 0)
        name = "code" if kind == FETCH and self.tlbs["code"] else "data"
        for tlb, shift in ((name, 12), ("large", 22)):
            if tlb == "large" and (name == "code" or not self.tlbs["large"]):
                continue
            entry = self.look_up(tlb, linear >> shift, kind == WRITE, user)
            if entry:
                offset = linear & (1 << shift) - 1
                return now, (entry.frame << shift | offset, entry.bits)
        self.note(TLB_MISS, f"{name}_tlb_misses")
        ends, walked = self.walk(linear, kind, user, name, now)
        self.counters["walk_clocks"] += ends - now
        if walked is None:
            self.note(FAULT, "faults")
        return ends, walked

    def allows(self, bits: int, writes: bool, user: bool) -> bool:
        """Source: SDM, "Access Rights"; supervisor code writes everywhere, unless CR0.WP (i486 and later)."""
        if user:
            return bool(bits & US) and (not writes or bool(bits & RW))
        protects = bool(self.cr0 & WP) and bool(self.geometry["has_write_protect"])
        return not (writes and protects and not bits & RW)

    def look_up(self, tlb: str, page: int, writes: bool, user: bool) -> Translation | None:
        """A usable entry.  The TLB keeps D, so the first write to a page walks; source: data sheet, TR6."""
        ways = self.tlbs[tlb][page % len(self.tlbs[tlb])]
        for way, entry in enumerate(ways.ways):
            if entry is not None and entry.page == page:
                if self.allows(entry.bits, writes, user) and (entry.bits & D or not writes):
                    ways.used(way)
                    return entry  # type: ignore[no-any-return]
                ways.ways[way] = None
                self.note(TLB_DROPPED, "tlb_dropped")
        return None

    def walk(self, linear: int, kind: int, user: bool, tlb: str, now: int) -> tuple[int, tuple[int, int] | None]:
        """Two reads, and a locked read and write for each entry that lacks A or D.

        Source: SDM, "32-Bit Paging"; P5 table 2-2: CR3 says how the directory is cached, the PDE how the table is.
        """
        caching = PCD | PWT if self.geometry["has_write_protect"] else 0
        pde_at = (self.cr3 & ~0xFFF) + 4 * (linear >> 22)
        now = self.walk_read(pde_at, self.cr3 & caching, now + self.core(self.geometry["walk_bus_clocks"]))
        pde = self.load(pde_at)
        if not pde & P:
            return now, None
        large = bool(pde & PS and self.cr4 & PSE)
        wanted = A | D if kind == WRITE else A
        if large:
            bits = pde
            physical = (pde & 0xFFC00000) | (linear & 0x3FFFFF)
            entries = [(pde_at, pde, wanted, PDE_UPDATE)]
        else:
            pte_at = (pde & ~0xFFF) + 4 * (linear >> 12 & 0x3FF)
            now = self.walk_read(pte_at, pde & caching, now)
            pte = self.load(pte_at)
            if not pte & P:
                return now, None
            bits = pte & (pde | ~(RW | US))
            physical = (pte & ~0xFFF) | (linear & 0xFFF)
            entries = [(pde_at, pde, A, PDE_UPDATE), (pte_at, pte, wanted, PTE_UPDATE)]
        if not self.allows(bits, kind == WRITE, user):
            return now, None
        which = "first"
        for at, entry, needs, outcome in entries:
            if entry & needs != needs:
                now = self.walk_update(at, which, now)
                which = "second"
                self.note(outcome, "updates")
                self.store(at, self.load(at) | needs)
        bits = (bits | (wanted & D)) & (P | RW | US | D | caching)
        if large and tlb == "data" and self.tlbs["large"]:
            self.fill_tlb("large", Translation(linear >> 22, physical >> 22, bits))
        else:  # P5 s2.5.2: the code TLB keeps large pages in 4 KiB pieces
            self.fill_tlb(tlb, Translation(linear >> 12, physical >> 12, bits))
        return now, (physical, bits)

    def fill_tlb(self, tlb: str, entry: Translation) -> None:
        ways = self.tlbs[tlb][entry.page % len(self.tlbs[tlb])]
        way = ways.room()
        if ways.ways[way] is not None:
            self.note(TLB_EVICTION, "tlb_evictions")
        ways.ways[way] = entry
        ways.used(way)

    def walk_read(self, at: int, attributes: int, now: int) -> int:
        """HRM486 p. 3-17: the cache can supply entries.  P5 s6.4.3.2.1, CACHE#: the Pentium reads them from the bus."""
        line = at // self.geometry["line_bytes"]
        found = self.find("data", line)
        if self.geometry["walks_in_cache"] and self.caches["data"]:
            if found:
                found[0].used(found[1])
                return self.when_whole(line, now) + self.geometry["walk_hit_clocks"]
            self.note(WALK_MISS, "walk_misses")
            if self.is_cacheable(at, attributes):
                self.fill("data", line, attributes, now)
                return self.filling[1]
        else:
            self.note(WALK_MISS, "walk_misses")
            if found and found[2].state == "M":
                self.drop_data(line, now)
        return self.read_from_bus(now, self.read_clocks) + self.read_clocks

    def walk_update(self, at: int, which: str, now: int) -> int:
        """A locked read and write of an entry.  Source: P5 s6.4.3.2, s6.5.3 case 3."""
        line = at // self.geometry["line_bytes"]
        if self.geometry["write_back"]:
            self.drop_data(line, now)
        self.drop_code(line)
        cycle = self.geometry["read_bus_clocks"] + self.geometry["write_bus_clocks"]
        return self.bus.in_order(now, self.core(cycle + self.geometry[f"{which}_update_bus_clocks"]))

    # ---- flushes ------------------------------------------------------------------------------------------------

    def control(self, op: int, value: int) -> None:
        """Source: PRM386 s5.2.5 (CR3, task switch with another CR3); SDM, "Invalidating TLBs" (CR0.PG, PE; CR4.PSE)."""
        why = ""
        if op in (CR3, TASK_SWITCH):
            if op == CR3 or value != self.cr3:
                why = "flushes_cr3" if op == CR3 else "flushes_task"
            self.cr3 = value
        elif op == CR0:
            if (self.cr0 ^ value) & (PG | PE) and self.geometry["flushes_on_mode_change"]:
                why = "flushes_mode"
            self.cr0 = value
        else:
            if (self.cr4 ^ value) & (PSE | PAE) and self.geometry["flushes_on_mode_change"]:
                why = "flushes_mode"
            self.cr4 = value
        if why:
            self.counters[why] += 1
            for tlb in self.tlbs.values():
                for ways in tlb:
                    ways.ways = [None] * len(ways.ways)

    def invlpg(self, linear: int) -> None:
        self.counters["invlpgs"] += 1
        for name, tlb in self.tlbs.items():
            page = linear >> (22 if name == "large" else 12)
            if tlb:
                ways = tlb[page % len(tlb)]
                ways.ways = [None if entry is not None and entry.page == page else entry for entry in ways.ways]

    def tlb(self) -> list[tuple[str, int, int, int, int, int]]:
        """What is in the TLBs: (TLB, set, way, page, frame, bits)."""
        return [(name, number, way, entry.page, entry.frame, entry.bits)
                for name, tlb in self.tlbs.items() for number, ways in enumerate(tlb)
                for way, entry in enumerate(ways.ways) if entry is not None]  # fmt: skip
