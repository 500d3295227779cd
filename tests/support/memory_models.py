"""Compares the native memory model with the reference, told from the manuals in plain Python: event for event."""

from __future__ import annotations

import os
from array import array

from memory_format import I386, I486, PENTIUM, RECORD, RESULT
from memory_system import MemorySystem

from hillemu.emu.cpu._core import MemoryModel

IS_LONG = os.environ.get("HILLEMU_LONG") == "1"
"""Compare over ten million events; otherwise, over what a test run has time for."""

GEOMETRIES = {
    "i386 with a wait state": I386 | {"read_bus_clocks": 3, "write_bus_clocks": 3},
    "i386 with 64 KiB beside it": I386 | {"data_cache_bytes": 65536, "read_bus_clocks": 4, "write_bus_clocks": 3},
    "i386SX": I386 | {"bus_bytes": 2},
    "i486": I486,
    "i486DX4, slow memory": I486
    | {"data_cache_bytes": 16384, "multiplier_numerator": 3, "read_bus_clocks": 4, "burst_bus_clocks": 2},
    "Pentium": PENTIUM,
    "Pentium 100": PENTIUM | {"multiplier_numerator": 3, "multiplier_denominator": 2, "read_bus_clocks": 3},
    "direct-mapped": I486 | {"cache_ways": 1, "tlb_ways": 1, "uncached_above": 0x80000},
}


def compare(geometry: dict[str, int], memory: bytes, trace: bytes) -> MemorySystem:
    """Run both over a trace, the native model with and without its filter; fail at the first event that differs."""
    reference = MemorySystem(geometry, bytearray(memory))
    wanted = reference.run(trace)
    for filters in (False, True):
        tables = bytearray(memory)
        native = MemoryModel(geometry, tables, filters)
        found = native.run(trace)
        words, others = array("I", wanted), array("I", found)
        # Of an access that is all hits, the filter knows no physical address.
        fields = 2 if filters else 3
        if any(words[field::3] != others[field::3] for field in range(fields)):
            _assert_same_events(trace, wanted, found, fields)
        counters = {name: count for name, count in native.counters().items() if count}
        assert counters == {name: count for name, count in reference.counters.items() if count}
        assert native.tlb() == reference.tlb()
        assert native.lines() == reference.lines()
        assert tables == reference.memory
    return reference


def _assert_same_events(trace: bytes, wanted: bytes, found: bytes, fields: int) -> None:
    for number, record in enumerate(RECORD.iter_unpack(trace)):
        expected = RESULT.unpack_from(wanted, number * RESULT.size)[:fields]
        actual = RESULT.unpack_from(found, number * RESULT.size)[:fields]
        assert actual == expected, f"event {number}: {record}"
