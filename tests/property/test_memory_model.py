"""The native memory model against the reference, told from the manuals in plain Python: event for event.

``HILLEMU_LONG=1`` compares over ten million events; otherwise a few tens of thousands.
"""

from __future__ import annotations

from array import array
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from memory_format import I386, I486, PENTIUM
from memory_models import GEOMETRIES, IS_LONG, compare
from memory_system import MemorySystem
from memory_traces import make_memory, make_trace

from hillemu.emu.cpu._core import MemoryModel


@pytest.mark.parametrize("name", GEOMETRIES)
def test_random_programs_take_the_same_clocks_event_for_event(name: str) -> None:
    for seed in range(9 if IS_LONG else 1):
        random = Random(f"{name} {seed}")
        compare(GEOMETRIES[name], make_memory(random), make_trace(random, 150_000 if IS_LONG else 6_000))


@settings(max_examples=200 if IS_LONG else 12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 1 << 32),
    base=st.sampled_from([I386, I486, PENTIUM]),
    entries=st.sampled_from([4, 8, 32, 64]),
    tlb_ways=st.sampled_from([1, 2, 4]),
    cache=st.tuples(st.sampled_from([256, 1024, 8192]), st.sampled_from([1, 2, 4]), st.sampled_from([16, 32, 64])),
    split=st.booleans(),
    policy=st.fixed_dictionaries(
        {
            "write_back": st.integers(0, 1),
            "write_buffers": st.integers(1, 8),
            "reads_pass_writes": st.integers(0, 1),
            "walks_in_cache": st.integers(0, 1),
            "bus_bytes": st.sampled_from([2, 4, 8]),
            "multiplier_numerator": st.integers(2, 7),
            "multiplier_denominator": st.sampled_from([1, 2]),
            "read_bus_clocks": st.integers(1, 9),
            "burst_bus_clocks": st.integers(1, 4),
            "write_bus_clocks": st.integers(1, 9),
            "flushes_on_mode_change": st.integers(0, 1),
        }
    ),
)
def test_no_geometry_parts_them(
    seed: int,
    base: dict[str, int],
    entries: int,
    tlb_ways: int,
    cache: tuple[int, int, int],
    split: bool,
    policy: dict[str, int],
) -> None:
    size, ways, line = cache
    geometry = base | policy | {"data_tlb_entries": entries, "tlb_ways": tlb_ways}
    geometry |= {"data_cache_bytes": size, "cache_ways": ways, "line_bytes": line}
    geometry |= {"code_cache_bytes": size * split, "code_tlb_entries": 4 * split}
    random = Random(seed)
    compare(geometry, make_memory(random), make_trace(random, 600))


def test_the_traces_reach_every_outcome_and_every_counter() -> None:
    """Else the comparison says less than it seems to."""
    seen: set[str] = set()
    outcomes = 0
    for geometry in (I486, PENTIUM):
        random = Random(5)
        memory = make_memory(random)
        system = MemorySystem(geometry, memory)
        results = array("I", system.run(make_trace(random, 20_000)))
        for outcome in set(results[1::3]):
            outcomes |= outcome
        seen |= {name for name, count in system.counters.items() if count}
    native = set(MemoryModel(I486, bytearray(64)).counters())
    assert native - seen <= {"unmodelled"}, "PAE is left to a test of its own"
    assert outcomes == (1 << 16) - 1
