"""The memory model's figures, worked out by hand from the manuals; each test says how."""

from __future__ import annotations

import pytest
from memory_format import (
    CACHE_MISS,
    CD,
    CODE_DROPPED,
    CR0,
    CR3,
    CR4,
    DRAIN,
    FAULT,
    FETCH,
    FLUSH_CACHE,
    I386,
    I486,
    INVLPG,
    LOCKED,
    NW,
    PAE,
    PE,
    PENTIUM,
    PG,
    PSE,
    READ,
    READ_AHEAD,
    RECORD,
    RESULT,
    SNOOP,
    STORE,
    TASK_SWITCH,
    TLB_MISS,
    UNMODELLED,
    USER,
    WRITE,
)  # fmt: skip

from hillemu.emu.cpu._core import MemoryModel

DIRECTORY, TABLE = 0x1000, 0x2000
READY, CLEAN, UNTOUCHED = 0x67, 0x27, 0x07  # present, writable, user; A and D, A, or neither set


class Driver:
    """A model over 4 MiB, mapped onto itself; each method is an event and returns the clocks waited."""

    def __init__(self, geometry: dict[str, int], *, pde: int = READY, pte: int = READY, paging: bool = True) -> None:
        self.memory = bytearray(1 << 20)
        self.put(DIRECTORY, TABLE | pde)
        for page in range(1024):
            self.put(TABLE + 4 * page, page << 12 | pte)
        self.model = MemoryModel(geometry, self.memory)
        self.outcome = 0
        if paging:
            self.event(CR3, value=DIRECTORY)
            self.event(CR0, value=PG | PE)

    def put(self, at: int, entry: int) -> None:
        self.memory[at : at + 4] = entry.to_bytes(4, "little")

    def event(
        self, operation: int, at: int = 0, size: int = 0, flags: int = 0, value: int = 0, after: int = 100
    ) -> int:
        """`after` so many clocks; 100 let every buffer run empty."""
        result = self.model.run(RECORD.pack(operation, size, flags, 0, at, value, after))
        clocks, self.outcome, _ = RESULT.unpack(result)
        return clocks

    def read(self, at: int, size: int = 4, *, flags: int = 0, after: int = 100) -> int:
        return self.event(READ, at, size, flags, after=after)

    def write(self, at: int, size: int = 4, *, flags: int = 0, after: int = 100) -> int:
        return self.event(WRITE, at, size, flags, after=after)

    def misses(self, counter: str, addresses: range) -> int:
        """Of reads of all these, in order."""
        before = self.model.counters()[counter]
        for at in addresses:
            self.read(at)
        return self.model.counters()[counter] - before


# ---- page walks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pde", "pte", "clocks"),
    [(READY, READY, 13), (READY, UNTOUCHED, 21), (UNTOUCHED, READY, 21), (UNTOUCHED, UNTOUCHED, 28)],
)
def test_a_tlb_miss_of_the_i486_takes_13_21_or_28_clocks(pde: int, pte: int, clocks: int) -> None:
    """273021-001, section 12.3.1, rule 10: for A updates in neither, one or both entries; then 2 for the data."""
    driver = Driver(I486, pde=pde, pte=pte)
    assert driver.read(0x5000) == clocks + 2


def test_entries_in_the_cache_make_a_walk_of_the_i486_cheaper() -> None:
    """3 of the walk's own and 1 for each entry, instead of 5 for each line."""
    driver = Driver(I486)
    driver.read(0x4000)
    assert driver.read(0x5000) == 3 + 1 + 1 + 2


def test_a_first_write_walks_again_to_set_d() -> None:
    """An entry with D clear does not serve a write: 3 + 1 + 1, and a locked read and write of 2 + 2 + 4."""
    driver = Driver(I486, pte=CLEAN)
    driver.read(0x5000)
    assert driver.write(0x5000) == 3 + 1 + 1 + 8
    assert driver.memory[TABLE + 20] == READY
    assert driver.write(0x5000) == 0


def test_the_i386_reads_both_entries_from_the_bus() -> None:
    """Two reads of 2 clocks; the tables hold the data's own 2.  A updates: a read and a write of 2 each."""
    assert Driver(I386).read(0x5000) == 4
    assert Driver(I386, pde=UNTOUCHED, pte=UNTOUCHED).read(0x5000) == 4 + 4 + 4


def test_the_pentium_reads_entries_from_the_bus_always() -> None:
    """P5 DevMan, CACHE#: inactive for TLB replacements.  2 + 2, and 3 for the data's miss."""
    driver = Driver(PENTIUM)
    assert driver.read(0x5000) == 4 + 3
    assert driver.read(0x6000) == 4 + 3
    assert all(at >> 12 in (5, 6) for _, _, _, at, _ in driver.model.lines())


def test_a_page_fault_waits_for_the_walk_only_and_fills_nothing() -> None:
    driver = Driver(I486, pte=0x63)
    assert driver.read(0x5000, flags=USER) == 13
    assert driver.outcome & FAULT
    assert driver.model.tlb() == []
    assert not driver.outcome & CACHE_MISS


def test_pae_is_reported_as_not_modelled() -> None:
    driver = Driver(PENTIUM)
    driver.event(CR4, value=PAE)
    driver.read(0x5000)
    assert driver.outcome & UNMODELLED
    assert driver.model.counters()["unmodelled"] == 1


# ---- TLB reach and flushes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("geometry", "pages"), [(I386, 32), (I486, 32), (PENTIUM, 64)])
def test_a_chase_over_as_many_pages_as_the_tlb_has_misses_once_each(geometry: dict[str, int], pages: int) -> None:
    driver = Driver(geometry)
    chase = range(0, pages << 12, 4096)
    assert driver.misses("data_tlb_misses", chase) == pages
    assert driver.misses("data_tlb_misses", chase) == 0


def test_a_chase_over_twice_the_tlb_misses_always() -> None:
    """8 pages in each set of 4 ways, in turn: the tree always gives up the one that is due next, or later."""
    driver = Driver(I486)
    chase = range(0, 64 << 12, 4096)
    driver.misses("data_tlb_misses", chase)
    assert driver.misses("data_tlb_misses", chase) == 64


def test_the_33rd_page_costs_four_misses_a_round() -> None:
    """Five pages share a set of four ways, the other 28 hit.

    A B C D fill ways 0 to 3, and E takes A's.  In the second round A takes C's way 2, B hits, C takes D's way 3,
    D takes E's way 0, and E takes A's way 2.
    """
    driver = Driver(I486)
    chase = range(0, 33 << 12, 4096)
    assert driver.misses("data_tlb_misses", chase) == 33
    assert driver.misses("data_tlb_misses", chase) == 4


@pytest.mark.parametrize(
    ("event", "left"),
    [
        ({"operation": CR3, "value": DIRECTORY}, 0),
        ({"operation": TASK_SWITCH, "value": DIRECTORY}, 2),
        ({"operation": TASK_SWITCH, "value": DIRECTORY + 8}, 0),
        ({"operation": INVLPG, "at": 0x5FFF}, 1),
        ({"operation": CR4, "value": PSE}, 2),
        ({"operation": CR0, "value": PE}, 2),
    ],
)
def test_the_i486_drops_translations_when_its_manual_says(event: dict[str, int], left: int) -> None:
    driver = Driver(I486)
    driver.read(0x5000)
    driver.read(0x6000)
    driver.event(**event)
    assert len(driver.model.tlb()) == left


@pytest.mark.parametrize("event", [{"operation": CR4, "value": PSE}, {"operation": CR0, "value": PE}])
def test_the_pentium_drops_translations_with_changes_of_the_paging_mode(event: dict[str, int]) -> None:
    driver = Driver(PENTIUM)
    driver.read(0x5000)
    driver.event(**event)
    assert driver.model.tlb() == []


def test_a_changed_entry_without_invlpg_leaves_the_old_translation() -> None:
    driver = Driver(I486)
    driver.read(0x5000)
    driver.event(STORE, TABLE + 20, value=0x9000 | READY)
    driver.read(0x5000)
    assert driver.model.tlb()[0][3:5] == (5, 5)
    driver.event(INVLPG, 0x5000)
    driver.read(0x5000)
    assert driver.outcome & TLB_MISS
    assert driver.model.tlb()[0][3:5] == (5, 9)


def test_an_evicted_page_that_comes_back_elsewhere_misses_the_cache() -> None:
    """What the filter knows of its lines went with the translation: no INVLPG, four other pages pushed it out."""
    driver = Driver(I486)
    for at in (0x5300, 0x5300, 0x5300):
        driver.read(at)
    driver.event(STORE, TABLE + 20, value=0x9000 | READY)
    for page in (13, 21, 29, 37, 45):
        driver.read(page << 12 | 0x400)
    driver.read(0x5600)
    assert driver.outcome & TLB_MISS
    driver.read(0x5300)
    assert driver.outcome & CACHE_MISS


def test_large_pages_have_a_tlb_of_their_own_for_data_and_pieces_for_code() -> None:
    driver = Driver(PENTIUM, pde=0xE7)
    driver.put(DIRECTORY, 0xE7)
    driver.event(CR4, value=PSE)
    for at in range(0, 0x8000, 4096):
        driver.read(at)
        driver.event(FETCH, at, 4)
    names = [name for name, *_ in driver.model.tlb()]
    assert (names.count("large"), names.count("data"), names.count("code")) == (1, 0, 8)


# ---- caches ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("geometry", "line"), [(I486, 16), (PENTIUM, 32)])
def test_8_kib_stay_and_16_kib_do_not(geometry: dict[str, int], line: int) -> None:
    driver = Driver(geometry, paging=False)
    fits, twice = range(0x10000, 0x12000, line), range(0x10000, 0x14000, line)
    assert driver.misses("data_cache_misses", fits) == len(fits)
    assert driver.misses("data_cache_misses", fits) == 0
    driver.misses("data_cache_misses", twice)
    assert driver.misses("data_cache_misses", twice) == len(twice)


def test_the_i486_replaces_by_its_tree() -> None:
    """A to D fill ways 0 to 3; A is used again; the tree points at the other pair's way that was used first: C."""
    driver = Driver(I486, paging=False)
    a, b, c, d, e = range(0x10000, 0x10000 + 5 * 2048, 2048)
    for at in (a, b, c, d, a, e):
        driver.read(at)
    assert [at for *_, at, _ in driver.model.lines()] == [a, b, e, d]


def test_a_read_miss_waits_for_the_first_transfer_and_the_next_access_to_the_line_for_all() -> None:
    """2 bus clocks; the burst of 2-1-1-1 ends at clock 5, so one clock later 2 are left."""
    driver = Driver(I486, paging=False)
    assert driver.read(0x10000) == 2
    assert driver.read(0x10004, after=1) == 2
    assert driver.read(0x10008, after=0) == 0


def test_wait_states_and_the_multiplier_scale_a_miss() -> None:
    """A 66 MHz i486DX2 with one wait state for first transfers: 3 bus clocks are 6."""
    assert Driver(I486 | {"multiplier_numerator": 2, "read_bus_clocks": 3}, paging=False).read(0x10000) == 6


def test_writes_of_the_i486_wait_only_when_four_are_buffered() -> None:
    """Each takes the bus 2 clocks.  Five at once: the fifth waits for the first; then each for one more."""
    driver = Driver(I486, paging=False)
    assert [driver.write(0x10000 + 4 * i, after=100 if i == 0 else 0) for i in range(6)] == [0, 0, 0, 0, 2, 2]
    assert driver.event(DRAIN, after=0) == 8


def test_a_read_of_the_i486_passes_buffered_writes_that_hit_once() -> None:
    """The write under way ends (2), the read's first transfer comes (2).  The second read waits for the rest of that
    fill (3), two writes (2 each) and its own first transfer (2)."""
    driver = Driver(I486, paging=False)
    driver.read(0x10000)
    for i in range(3):
        driver.write(0x10000, after=100 if i == 0 else 0)
    assert driver.read(0x20000, after=0) == 4
    assert driver.outcome & READ_AHEAD
    assert driver.read(0x30000, after=0) == 3 + 4 + 2
    assert not driver.outcome & READ_AHEAD


def test_a_line_of_the_pentium_goes_from_exclusive_to_modified_and_back_to_memory() -> None:
    driver = Driver(PENTIUM, paging=False)
    driver.read(0x10000)
    assert driver.model.lines()[0][4] == "E"
    assert driver.write(0x10000) == 0
    assert driver.model.lines()[0][4] == "M"
    driver.event(SNOOP, 0x10000, flags=0, value=4)
    assert driver.model.lines()[0][4] == "S"
    driver.write(0x10000)
    assert driver.model.lines()[0][4] == "E"
    driver.write(0x10000)
    assert driver.event(FLUSH_CACHE, flags=1) == 5
    assert driver.model.lines() == []


def test_code_and_data_of_the_pentium_are_never_in_both_caches() -> None:
    """P5 DevMan, section 6.5.3."""
    driver = Driver(PENTIUM, paging=False)
    driver.read(0x10000)
    driver.event(FETCH, 0x10000, 16)
    assert [name for name, *_ in driver.model.lines()] == ["code"]
    driver.write(0x10000)
    assert driver.outcome & CODE_DROPPED
    assert driver.model.lines() == []


def test_a_disabled_cache_serves_hits_and_fills_nothing() -> None:
    """P5 DevMan, table 2-1: CD and NW; writes that hit stay inside."""
    driver = Driver(I486, paging=False)
    driver.read(0x10000)
    driver.event(CR0, value=PE | CD | NW)
    assert driver.read(0x10000) == 0
    assert driver.write(0x10000) == 0
    assert driver.model.counters()["bus_writes"] == 0
    assert driver.read(0x20000) == 2
    assert len(driver.model.lines()) == 1


# ---- alignment and the i386's bus -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "size", "clocks"), [(0, 4, 0), (1, 2, 0), (3, 2, 3), (2, 4, 3), (4, 8, 0), (1, 8, 3), (14, 4, 3), (4, 10, 0)]
)
def test_misaligned_operands_of_the_i486_take_3_clocks(at: int, size: int, clocks: int) -> None:
    driver = Driver(I486, paging=False)
    for line in (0x10000, 0x10010, 0x10020):
        driver.read(line)
    assert driver.read(0x10000 + at, size) == clocks


@pytest.mark.parametrize(("at", "size", "clocks"), [(4, 8, 3), (8, 8, 0), (3, 2, 3), (4, 4, 0), (30, 4, 3)])
def test_misaligned_operands_of_the_pentium_take_3_clocks(at: int, size: int, clocks: int) -> None:
    driver = Driver(PENTIUM, paging=False)
    for line in (0x10000, 0x10020):
        driver.read(line)
    assert driver.read(0x10000 + at, size) == clocks


@pytest.mark.parametrize(("wait_states", "aligned", "misaligned"), [(0, 0, 2), (1, 1, 4), (3, 3, 8)])
def test_the_i386_pays_wait_states_and_a_whole_cycle_for_a_second_dword(
    wait_states: int, aligned: int, misaligned: int
) -> None:
    driver = Driver(I386 | {"read_bus_clocks": 2 + wait_states}, paging=False)
    assert driver.read(0x10000) == aligned
    assert driver.read(0x10002) == misaligned


def test_locked_accesses_of_the_i486_go_to_the_bus() -> None:
    """XCHG m,r takes 4 clocks more than printed where it was measured (Graphics Programming Black Book, ch. 19)."""
    driver = Driver(I486, paging=False)
    driver.read(0x10000)
    assert driver.read(0x10000, flags=LOCKED) + driver.write(0x10000, flags=LOCKED) == 4


# ---- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tlb_ways": 3}, "ways must be"),
        ({"data_tlb_entries": 48}, "power of two of entries"),
        ({"data_tlb_entries": 0}, "power of two of entries"),
        ({"data_cache_bytes": 8000}, "power of two of sets"),
        ({"line_bytes": 8}, "a line must have"),
        ({"bus_bytes": 3}, "the bus must have"),
        ({"write_buffers": 0}, "write buffers"),
        ({"multiplier_denominator": 0}, "as fast as its bus"),
        ({"read_bus_clocks": 0}, "at least one clock"),
        ({"walk_bus_clocks": 1001}, "at most 1000 clocks"),
        ({"code_cache_bytes": 8192, "data_cache_bytes": 0}, "a data cache beside it"),
        ({"data_cache_bytes": 1 << 21}, "at most 1 MiB"),
    ],
)
def test_impossible_geometries_are_refused(change: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MemoryModel(I486 | change, bytearray(64))


def test_a_geometry_without_a_field_is_refused() -> None:
    with pytest.raises(KeyError, match="no line_bytes"):
        MemoryModel({name: value for name, value in I486.items() if name != "line_bytes"}, bytearray(64))


@pytest.mark.parametrize("record", [b"short", RECORD.pack(99, 0, 0, 0, 0, 0, 0), RECORD.pack(READ, 17, 0, 0, 0, 0, 0)])
def test_bad_traces_are_refused(record: bytes) -> None:
    with pytest.raises(ValueError, match="record"):
        MemoryModel(I486, bytearray(64)).run(record)
