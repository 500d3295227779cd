"""Traces of a memory system, and what was there to be bought: geometries and costs as the manuals give them."""

from __future__ import annotations

import struct

READ, WRITE, FETCH, STORE, CR0, CR3, CR4, TASK_SWITCH, INVLPG, FLUSH_CACHE, SNOOP, DRAIN = range(12)
"""Operations of a trace.  `STORE` puts 4 bytes into memory, at no cost: what a write to a page table wrote."""

USER, LOCKED = 1, 2
RECORD = struct.Struct("<BBBBIIi")
"""Operation, size, flags, zero, address, value, clocks since the event before.

The clock goes back where the delivery of an INT faults: it gives back what it took."""
RESULT = struct.Struct("<III")
"""Clocks waited, outcome, physical address."""

(
    TLB_MISS,
    TLB_EVICTION,
    TLB_DROPPED,
    FAULT,
    PDE_UPDATE,
    PTE_UPDATE,
    CACHE_MISS,
    CACHE_EVICTION,
    WRITE_BACK,
    UNCACHED,
    WALK_MISS,
    BUFFERS_FULL,
    READ_AHEAD,
    MISALIGNED,
    SPLIT,
    CODE_DROPPED,
    UNMODELLED,
) = (1 << bit for bit in range(17))
"""What happened besides hits, one bit each."""

P, RW, US, PWT, PCD, A, D, PS = (1 << bit for bit in range(8))
PE, WP, NW, CD, PG = 1, 1 << 16, 1 << 29, 1 << 30, 1 << 31
PSE, PAE = 1 << 4, 1 << 5

I386: dict[str, int] = {
    "data_tlb_entries": 32,
    "code_tlb_entries": 0,
    "large_tlb_entries": 0,
    "tlb_ways": 4,
    "data_cache_bytes": 0,
    "code_cache_bytes": 0,
    "cache_ways": 1,
    "line_bytes": 16,
    "write_back": 0,
    "bus_bytes": 4,
    "write_buffers": 1,
    "reads_pass_writes": 0,
    "multiplier_numerator": 1,
    "multiplier_denominator": 1,
    "read_bus_clocks": 2,
    "burst_bus_clocks": 2,
    "write_bus_clocks": 2,
    "table_bus_clocks": 2,
    "miss_clocks": 0,
    "misaligned_clocks": 0,
    "walk_bus_clocks": 0,
    "walks_in_cache": 1,
    "walk_hit_clocks": 2,
    "first_update_bus_clocks": 0,
    "second_update_bus_clocks": 0,
    "has_write_protect": 0,
    "flushes_on_mode_change": 0,
    "uncached_from": 0xA0000,
    "uncached_to": 0x100000,
    "uncached_above": 0,
}
"""80386DX without wait states or cache.  Source: data sheet 4.5.4 (TLB); Intel386 DX HRM, ch. 4 (2-clock cycles)."""

I486: dict[str, int] = I386 | {
    "data_cache_bytes": 8192,
    "cache_ways": 4,
    "write_buffers": 4,
    "reads_pass_writes": 1,
    "burst_bus_clocks": 1,
    "table_bus_clocks": 0,
    "misaligned_clocks": 3,
    "walk_bus_clocks": 3,
    "walk_hit_clocks": 1,
    "first_update_bus_clocks": 4,
    "second_update_bus_clocks": 3,
    "has_write_protect": 1,
}
"""Source: HRM486, figures 3-7 (TLB) and 9-4 (cache), p. 9-1 (bus: 2-1-1-1); 273021-001 s12.3.1 (walks)."""

PENTIUM: dict[str, int] = I486 | {
    "data_tlb_entries": 64,
    "code_tlb_entries": 32,
    "large_tlb_entries": 8,
    "data_cache_bytes": 8192,
    "code_cache_bytes": 8192,
    "cache_ways": 2,
    "line_bytes": 32,
    "write_back": 1,
    "bus_bytes": 8,
    "write_buffers": 2,
    "reads_pass_writes": 0,
    "miss_clocks": 1,
    "walk_bus_clocks": 0,
    "walks_in_cache": 0,
    "first_update_bus_clocks": 0,
    "second_update_bus_clocks": 0,
    "flushes_on_mode_change": 1,
}
"""Source: P5 s2.5.1 (caches), s2.5.2 (TLBs), s2.6 (write buffers), s6.4.2 (bursts)."""
