"""What the native memory model is made of, from a processor's tables and its board.

>>> from hillemu.emu.timing.model import timing_model
>>> i486 = memory_geometry(timing_model("i486", wait_states=1))
>>> i486.data_tlb_entries, i486.data_cache_bytes, i486.read_bus_clocks, i486.burst_bus_clocks
(32, 8192, 3, 1)
>>> i486.walk_bus_clocks, i486.walks_in_cache
(3, 1)

Wait states lengthen every bus cycle, and of a burst the first transfer: the memory of these boards answers the others
from the row that is open.  A processor without bursts waits in each transfer.

Not modelled, and refused by name: a cache outside of a processor that has one inside, TLBs of different ways, caches
of different ways or lines.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from hillemu.emu.errors import OptionError
from hillemu.emu.timing.geometry import MAX_CLOCKS, CacheGeometry, Geometry
from hillemu.emu.timing.model import TimingModel

ADAPTER_MEMORY = range(0xA0000, 0x100000)
"""Physical addresses of a PC's video memory and ROMs, which its chip set keeps out of every cache."""
LEAST_LINE_BYTES, MOST_LINE_BYTES = 16, 64
MOST_TLB_ENTRIES, MOST_CACHE_BYTES, MOST_WRITE_BUFFERS = 64, 1 << 20, 8
MOST_NUMERATOR = 64


class MemoryGeometry(NamedTuple):
    """The fields of `emu/cpu/native/memory_model.h`, by their names; `_asdict()` is what its `MemoryModel` takes.

    `*_bytes` are bytes, `*_bus_clocks` clocks of the bus, other `*_clocks` the processor's; what is told by yes and no
    is 1 and 0.  The header says what each is.
    """

    data_tlb_entries: int
    code_tlb_entries: int
    large_tlb_entries: int
    tlb_ways: int
    data_cache_bytes: int
    code_cache_bytes: int
    cache_ways: int
    line_bytes: int
    write_back: int
    bus_bytes: int
    write_buffers: int
    reads_pass_writes: int
    multiplier_numerator: int
    multiplier_denominator: int
    read_bus_clocks: int
    burst_bus_clocks: int
    write_bus_clocks: int
    table_bus_clocks: int
    miss_clocks: int
    misaligned_clocks: int
    walk_bus_clocks: int
    walks_in_cache: int
    walk_hit_clocks: int
    first_update_bus_clocks: int
    second_update_bus_clocks: int
    has_write_protect: int
    flushes_on_mode_change: int
    uncached_from: int
    uncached_to: int
    uncached_above: int


def memory_geometry(model: TimingModel, uncached: range = ADAPTER_MEMORY, uncached_above: int = 0) -> MemoryGeometry:
    """The memory system of `model`.

    Physical addresses in `uncached`, and from `uncached_above` on if it is not 0, are in no cache: a board's devices.
    Raises `OptionError` for tables or a board of which no such memory system can be made.
    """
    geometry, penalties = model.geometry, model.penalties
    data, code = _caches(model)
    made = MemoryGeometry(
        data_tlb_entries=geometry.data_tlb.entries,
        code_tlb_entries=0 if geometry.is_unified else geometry.code_tlb.entries,
        large_tlb_entries=geometry.large_tlb.entries if geometry.large_tlb else 0,
        tlb_ways=_tlb_ways(geometry),
        data_cache_bytes=data.size_bytes if data else 0,
        code_cache_bytes=code.size_bytes if code else 0,
        cache_ways=data.ways if data else 1,
        # Without a cache it is only where a long access is divided.
        line_bytes=data.line_bytes if data else LEAST_LINE_BYTES,
        write_back=int(data is not None and data.write_back),
        bus_bytes=geometry.bus_bytes,
        write_buffers=geometry.write_buffers,
        reads_pass_writes=int(geometry.reads_pass_writes),
        multiplier_numerator=model.multiplier.numerator,
        multiplier_denominator=model.multiplier.denominator,
        read_bus_clocks=penalties.bus_first + model.wait_states,
        burst_bus_clocks=penalties.bus_next + (0 if penalties.bus_next < penalties.bus_first else model.wait_states),
        write_bus_clocks=penalties.bus_write + model.wait_states,
        table_bus_clocks=penalties.bus_in_table,
        miss_clocks=penalties.cache_miss,
        # Without a cache the second bus cycle of a misaligned operand is itself charged.
        misaligned_clocks=penalties.misaligned if data else 0,
        walk_bus_clocks=penalties.walk,
        walks_in_cache=int(geometry.walks_read_cache),
        walk_hit_clocks=penalties.walk_hit,
        first_update_bus_clocks=penalties.walk_first_update,
        second_update_bus_clocks=penalties.walk_second_update,
        has_write_protect=int(geometry.has_write_protect),
        flushes_on_mode_change=int(geometry.mode_change_flushes),
        uncached_from=uncached.start,
        uncached_to=uncached.stop,
        uncached_above=uncached_above,
    )
    _check(made, geometry)
    return made


def _tlb_ways(geometry: Geometry) -> int:
    tlbs = {"data_tlb": geometry.data_tlb, "code_tlb": geometry.code_tlb, "large_tlb": geometry.large_tlb}
    ways = {tlb.ways for tlb in tlbs.values() if tlb}
    for name, tlb in tlbs.items():
        if tlb and tlb.ways != geometry.data_tlb.ways:
            raise geometry.refusal(name, "ways", f"TLBs of {_listed(ways)} ways; all of a processor's have the same")
        if tlb and tlb.entries > MOST_TLB_ENTRIES:
            fault = f"a TLB of {tlb.entries} entries; at most {MOST_TLB_ENTRIES} are modelled"
            raise geometry.refusal(name, "entries", fault)
    return geometry.data_tlb.ways


def _caches(model: TimingModel) -> tuple[CacheGeometry | None, CacheGeometry | None]:
    """Of data, or of everything, and of code."""
    geometry = model.geometry
    data, code = geometry.data_cache, geometry.code_cache
    if model.external_cache:
        if data or code:
            raise OptionError("--timing", f"the {model.name} has a cache inside; one outside of it is not modelled")
        _check_cache(model.external_cache, lambda name, fault: OptionError("--timing", fault))
        return model.external_cache, None
    if code is data:
        code = None
    if code and not data:
        raise geometry.refusal("code_cache", "bytes", "a code cache needs a data cache beside it")
    if code and data:
        for name, what, values in (
            ("ways", "ways", {data.ways, code.ways}),
            ("line_bytes", "bytes in a line", {data.line_bytes, code.line_bytes}),
        ):
            if len(values) > 1:
                fault = f"caches of {_listed(values)} {what}; both have the same"
                raise geometry.refusal("code_cache", name, fault)
    for structure, cache in (("data_cache", data), ("code_cache", code)):
        if cache:
            _check_cache(cache, partial(geometry.refusal, structure))
    return data, code


def _check_cache(cache: CacheGeometry, refusal: Callable[[str, str], OptionError]) -> None:
    if cache.size_bytes > MOST_CACHE_BYTES:
        raise refusal("bytes", f"a cache of {cache.size_bytes} bytes; at most {MOST_CACHE_BYTES} are modelled")
    if not LEAST_LINE_BYTES <= cache.line_bytes <= MOST_LINE_BYTES:
        fault = f"lines of {cache.line_bytes} bytes; {LEAST_LINE_BYTES} to {MOST_LINE_BYTES} are modelled"
        raise refusal("line_bytes", fault)


def _check(made: MemoryGeometry, geometry: Geometry) -> None:
    if made.bus_bytes not in (2, 4, 8):
        raise geometry.refusal("bus", "bytes", f"a bus of {made.bus_bytes} bytes; 2, 4 and 8 are modelled")
    if not 1 <= made.write_buffers <= MOST_WRITE_BUFFERS:
        fault = f"{made.write_buffers} write buffers; 1 to {MOST_WRITE_BUFFERS} are modelled"
        raise geometry.refusal("write_buffers", "count", fault)
    if made.multiplier_numerator > MOST_NUMERATOR:
        ratio = f"{made.multiplier_numerator}/{made.multiplier_denominator}"
        raise OptionError("--timing", f"a core {ratio} times as fast as its bus; use a fraction like 5/2")
    for name, clocks in made._asdict().items():
        least = 1 if name in ("read_bus_clocks", "burst_bus_clocks", "write_bus_clocks") else 0
        # The tables' are checked where they are read; only a board's wait states can make more of them.
        if name.endswith("_clocks") and not least <= clocks <= MAX_CLOCKS:
            raise OptionError("--timing", f"{clocks} {name.replace('_', ' ')}; {least} to {MAX_CLOCKS} are modelled")


def _listed(numbers: set[int]) -> str:
    return " and ".join(map(str, sorted(numbers)))
