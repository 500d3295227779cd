"""The memory model's fields from the tables are those that the reference has from the manuals."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_format import CR0, CR3, I386, I486, PE, PENTIUM, PG, READ, RECORD, RESULT

from hillemu.emu.cpu._core import MemoryModel
from hillemu.emu.errors import OptionError
from hillemu.emu.timing.geometry import CacheGeometry, Geometry, Penalties, TlbGeometry
from hillemu.emu.timing.memory import memory_geometry
from hillemu.emu.timing.model import PROCESSORS, TimingModel, timing_model

I486_MODEL = timing_model("i486")
OUTSIDE = CacheGeometry(65536, 1, 16, "lru", write_back=False)


def with_geometry(**changes: object) -> TimingModel:
    return I486_MODEL._replace(geometry=I486_MODEL.geometry._replace(places=None, **changes))  # type: ignore[arg-type]


def with_penalties(**changes: int) -> TimingModel:
    return I486_MODEL._replace(penalties=I486_MODEL.penalties._replace(**changes))


@pytest.mark.parametrize(("processor", "reference"), [("i386", I386), ("i486", I486), ("pentium", PENTIUM)])
def test_the_tables_and_the_reference_tell_of_the_same_memory_system(processor: str, reference: dict[str, int]) -> None:
    assert memory_geometry(timing_model(processor))._asdict() == reference


@pytest.mark.parametrize(
    ("changes", "clocks"), [({}, 13), ({"wait_states": 1}, 3 + 2 * 6), ({"multiplier": 2}, 2 * 13)]
)
def test_a_tlb_miss_takes_the_printed_clocks_of_the_bus(changes: dict[str, int], clocks: int) -> None:
    """13 bus clocks for a walk that finds neither entry in the cache, 27302101 rule 10; then the data's first read."""
    memory = bytearray(1 << 16)
    memory[0x1000:0x1004] = (0x2067).to_bytes(4, "little")
    memory[0x2014:0x2018] = (0x5067).to_bytes(4, "little")
    model = timing_model("i486", **changes)  # type: ignore[arg-type]
    fields = memory_geometry(model)
    trace = b"".join(
        RECORD.pack(*record)
        for record in (
            (CR3, 0, 0, 0, 0, 0x1000, 0),
            (CR0, 0, 0, 0, 0, PG | PE, 0),
            (READ, 4, 0, 0, 0x5000, 0, 0),
        )
    )
    waited, _, physical = RESULT.unpack(MemoryModel(fields._asdict(), memory).run(trace)[-RESULT.size :])
    assert (waited - model.core_clocks(fields.read_bus_clocks), physical) == (clocks, 0x5000)


def test_wait_states_lengthen_each_cycle_and_of_a_burst_the_first() -> None:
    slow = memory_geometry(timing_model("i486", wait_states=2))
    assert (slow.read_bus_clocks, slow.burst_bus_clocks, slow.write_bus_clocks) == (4, 1, 4)
    # The clock table goes on to hold two clocks only.
    slow = memory_geometry(timing_model("i386", wait_states=2))
    assert (slow.read_bus_clocks, slow.burst_bus_clocks, slow.write_bus_clocks, slow.table_bus_clocks) == (4, 4, 4, 2)


def test_a_cache_outside_of_an_i386_holds_code_and_data() -> None:
    made = memory_geometry(timing_model("i386", external_cache=OUTSIDE))
    assert (made.data_cache_bytes, made.code_cache_bytes, made.cache_ways, made.line_bytes) == (65536, 0, 1, 16)
    # Its answers are bus cycles: a walk's reads, and the second one of a misaligned operand.
    assert (made.walk_hit_clocks, made.misaligned_clocks) == (2, 2)


def test_a_boards_devices_are_in_no_cache() -> None:
    made = memory_geometry(I486_MODEL, uncached=range(0xF0000, 0x110000), uncached_above=64 << 20)
    assert (made.uncached_from, made.uncached_to, made.uncached_above) == (0xF0000, 0x110000, 64 << 20)


@pytest.mark.parametrize(
    ("model", "fault"),
    [
        (
            timing_model("i486", external_cache=OUTSIDE),
            "the i486 has a cache inside; one outside of it is not modelled",
        ),
        (with_geometry(code_tlb=TlbGeometry(32, 2, "lru"), is_unified=False), "TLBs of 2 and 4 ways"),
        (with_geometry(data_tlb=TlbGeometry(128, 4, "pseudo-lru")), "a TLB of 128 entries; at most 64 are modelled"),
        (with_geometry(data_cache=None), "a code cache needs a data cache beside it"),
        (with_geometry(code_cache=CacheGeometry(8192, 2, 16, "lru", False)), "caches of 2 and 4 ways"),
        (with_geometry(code_cache=CacheGeometry(8192, 4, 32, "lru", False)), "caches of 16 and 32 bytes in a line"),
        (
            timing_model("i386", external_cache=OUTSIDE._replace(size_bytes=2 << 20)),
            "a cache of 2097152 bytes; at most 1048576 are modelled",
        ),
        (
            timing_model("i386", external_cache=OUTSIDE._replace(line_bytes=4)),
            "lines of 4 bytes; 16 to 64 are modelled",
        ),
        (with_geometry(bus_bytes=16), "a bus of 16 bytes; 2, 4 and 8 are modelled"),
        (with_geometry(write_buffers=0), "0 write buffers; 1 to 8 are modelled"),
        (timing_model("i486", multiplier=Fraction(65, 33)), "a core 65/33 times as fast as its bus"),
        (with_penalties(bus_write=0), "0 write bus clocks; 1 to 1000 are modelled"),
        (with_penalties(walk=1001), "1001 walk bus clocks; 0 to 1000 are modelled"),
    ],
)
def test_a_memory_system_that_is_not_modelled_is_one_clear_line(model: TimingModel, fault: str) -> None:
    with pytest.raises(OptionError) as told:
        memory_geometry(model)
    assert str(told.value).startswith(f"--timing: {fault}")
    assert "\n" not in str(told.value)


POWERS = st.integers(2, 22).map(lambda bits: 1 << bits)
WAYS = st.sampled_from([4, 4, 4, 2, 1])
TLBS = st.builds(TlbGeometry, st.integers(2, 7).map(lambda bits: 1 << bits), WAYS, st.just("pseudo-lru"))
RATIOS = st.sampled_from([Fraction(1), Fraction(3, 2), Fraction(5, 2), Fraction(4)]) | st.fractions(1, 8)
CACHES = st.none() | st.builds(
    CacheGeometry, POWERS, WAYS, st.sampled_from([16, 16, 16, 8, 32, 128]), st.just("pseudo-lru"), st.booleans()
)


@given(
    processor=st.sampled_from(PROCESSORS),
    sizes=st.fixed_dictionaries(
        {},
        optional={
            "bus_bytes": st.sampled_from([1, 2, 4, 8, 16]),
            "write_buffers": st.integers(0, 10),
            "data_tlb": TLBS,
            "code_tlb": TLBS,
            "large_tlb": st.none() | TLBS,
            "data_cache": CACHES,
            "code_cache": CACHES,
        },
    ),
    costs=st.dictionaries(st.sampled_from(Penalties._fields), st.integers(0, 9) | st.integers(0, 1100)),
    wait_states=st.integers(0, 255),
    multiplier=RATIOS,
)
def test_what_is_not_refused_is_what_the_native_model_takes(
    processor: str,
    sizes: dict[str, object],
    costs: dict[str, int],
    wait_states: int,
    multiplier: Fraction,
) -> None:
    model = timing_model(processor, wait_states=wait_states, multiplier=multiplier)
    geometry: Geometry = model.geometry._replace(**sizes)  # type: ignore[arg-type]
    try:
        check(geometry)
        made = memory_geometry(model._replace(geometry=geometry, penalties=model.penalties._replace(**costs)))
    except OptionError:
        return
    MemoryModel(made._asdict(), bytearray(64))


def check(geometry: Geometry) -> None:
    """What reading a table refuses."""
    for part in (geometry.data_tlb, geometry.code_tlb, geometry.large_tlb, geometry.data_cache, geometry.code_cache):
        if part and part.fault():
            raise OptionError("--timing", "a part")
