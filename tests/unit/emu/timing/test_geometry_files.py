"""A table of penalties or sizes that makes no sense is told in one line, with its file and line."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from hillemu.emu.errors import OptionError
from hillemu.emu.timing.geometry import Geometry, Penalties, data_file, read_geometry, read_penalties
from hillemu.emu.timing.memory import memory_geometry
from hillemu.emu.timing.model import timing_model


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[str, str, str], Path]:
    """`changed("geometry_i486.csv", before, after)` is a copy of that table with one place changed."""

    def change(table: str, before: str, after: str) -> Path:
        text = data_file(table).read_text(encoding="utf-8")
        assert before in text
        (tmp_path / table).write_text(text.replace(before, after, 1), encoding="utf-8")
        return tmp_path / table

    return change


def told(path: Path, after: str, read: Callable[[Path], object]) -> str:
    """What reading the file is refused with, from behind the name and line of what was changed."""
    lines = path.read_text(encoding="utf-8").splitlines()
    line = next(number for number, text in enumerate(lines, 1) if text.startswith(after))
    with pytest.raises(OptionError) as error:
        read(path)
    place, message = f"--timing: {path}:{line}: ", str(error.value)
    assert message.startswith(place)
    assert "\n" not in message
    return message.removeprefix(place)


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("agi,1", "agj,1", "there is no penalty 'agj'"),
        ("agi,1", "agi,many", "agi needs a number of clocks and a source"),
        ("agi,1,clocks,", "agi,-1,clocks,", "agi needs a number of clocks and a source"),
        ("agi,1,clocks,", "agi,1000000000000,clocks,", "agi needs a number of clocks and a source"),
        ("agi,1,clocks,", "agi,1001,clocks,", "agi of 1001 clocks; 0 to 1000 can be"),
        ("agi,1,clocks,", "agi,1,bus clocks,", "agi is in clocks, not 'bus clocks'"),
        ("index_register,1", "agi,1", "agi has an entry already"),
        ("walk,3,bus clocks,", "walk,3,,", "walk is in bus clocks, not ''"),
        ("bus_write,2,", "bus_write,0,", "bus_write of 0 clocks; 1 to 1000 can be"),
    ],
)
def test_a_penalty_that_makes_no_sense_is_told(
    before: str, after: str, fault: str, changed: Callable[[str, str, str], Path]
) -> None:
    path = changed("penalties_i486.csv", before, after)
    if "already" in fault:
        path.write_text(path.read_text().replace("agi,1", "agi,01", 1))  # the first one is not what is told
    assert told(path, after, read_penalties) == fault


@pytest.mark.parametrize("item", Penalties._fields)
def test_a_missing_penalty_is_told(item: str, tmp_path: Path) -> None:
    lines = data_file("penalties_pentium.csv").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith(f"{item},")]
    assert len(kept) == len(lines) - 1
    (tmp_path / "penalties.csv").write_text("\n".join(kept))
    with pytest.raises(OptionError, match=f"penalties.csv: there is no entry for {item}$"):
        read_penalties(tmp_path / "penalties.csv")


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("tlb,entries,32", "tlb,entries,33", "the tlb has 33 entries; a power of two is needed"),
        ("tlb,ways,4", "tlb,ways,64", "the tlb has 32 entries, which are no 64 ways"),
        ("tlb,ways,4", "tlb,ways,8", "the tlb has 8 ways; pseudo-lru is modelled for at most 4"),
        (
            "tlb,replacement,pseudo-lru",
            "tlb,replacement,fifo",
            "the tlb replaces by 'fifo'; there are lru, pseudo-lru",
        ),
        ("cache,bytes,8192", "cache,bytes,8000", "the cache has 8000 bytes; a power of two is needed"),
        ("cache,bytes,8192", "cache,bytes,32", "the cache has 32 bytes, less than one set of 4 lines of 16"),
        ("cache,bytes,8192", "cache,bytes,134217728", "the cache has 134217728 bytes; at most 67108864 can be"),
        ("cache,line_bytes,16", "cache,line_bytes,2", "the cache has lines of 2 bytes; 4 is the least"),
        ("cache,line_bytes,16", "cache,line_bytes,0", "the cache has 0 bytes in a line; a power of two is needed"),
        ("cache,write,through", "cache,write,around", "cache write is 'through' or 'back', not 'around'"),
        ("bus,bytes,4", "bus,bytes,four", "bus bytes is a number, not 'four'"),
        ("bus,bytes,4", "bus,bytes,1000000000000", "bus bytes is a number, not '1000000000000'"),
        ("clock,bus_mhz,33", "clock,bus_mhz,0", "clock bus_mhz is 1 to 1000, not 0"),
        ("clock,bus_mhz,33", "clock,bus_mhz,4000", "clock bus_mhz is 1 to 1000, not 4000"),
        ("clock,multiplier,1", "clock,multiplier,9", "clock multiplier is 1 to 8, not 9"),
        ("clock,multiplier,1", "clock,multiplier,1/2", "clock multiplier is 1 to 8, not 1/2"),
        ("clock,multiplier,1", "clock,multiplier,3/0", "clock multiplier is a number or like 3/2, not '3/0'"),
        ("clock,multiplier,1", "clock,multiplier,1.5", "clock multiplier is a number or like 3/2, not '1.5'"),
        ("prefetch,bytes,32", "turbo,bytes,32,x,\nprefetch,bytes,32", "turbo bytes says nothing that is known"),
        ("prefetch,bytes,32,AP-500", "prefetch,bytes,32,,AP-500", "6 fields where 5 are needed"),
    ],
)
def test_an_impossible_geometry_is_told(
    before: str, after: str, fault: str, changed: Callable[[str, str, str], Path]
) -> None:
    assert told(changed("geometry_i486.csv", before, after), after.split("\n")[0], read_geometry) == fault


def test_a_doubled_size_is_told_with_both_lines(changed: Callable[[str, str, str], Path]) -> None:
    path = changed("geometry_i486.csv", "cache,ways,4,", "tlb,ways,04,")
    assert told(path, "tlb,ways,04,", read_geometry) == "tlb ways has an entry already, in line 12"


def test_a_missing_size_is_told_with_its_file(changed: Callable[[str, str, str], Path]) -> None:
    path = changed("geometry_i486.csv", "bus,bytes,4", "bus,bits,32")
    with pytest.raises(OptionError, match=r"geometry_i486.csv: there is no entry for bus bytes$"):
        read_geometry(path)


@pytest.mark.parametrize(
    ("before", "after"), [("branch_target_buffer,entries,256", "512"), ("branch_target_buffer,ways,4", "2")]
)
def test_another_branch_target_buffer_is_told(
    before: str, after: str, changed: Callable[[str, str, str], Path]
) -> None:
    after = f"{before.rpartition(',')[0]},{after}"
    fault = "a branch_target_buffer is modelled with 256 entries and 4 ways only"
    assert told(changed("geometry_pentium.csv", before, after), after, read_geometry) == fault


def test_a_multiplier_may_be_a_fraction(changed: Callable[[str, str, str], Path]) -> None:
    path = changed("geometry_pentium.csv", "clock,multiplier,1,", "clock,multiplier,3/2,")
    assert read_geometry(path).multiplier == Fraction(3, 2)


@pytest.mark.parametrize(
    ("table", "before", "after", "fault"),
    [
        ("pentium", "code_tlb,ways,4", "code_tlb,ways,2", "TLBs of 2 and 4 ways; all of a processor's have the same"),
        ("pentium", "code_tlb,entries,32", "code_tlb,entries,128", "a TLB of 128 entries; at most 64 are modelled"),
        ("pentium", "code_cache,ways,2", "code_cache,ways,1", "caches of 1 and 2 ways; both have the same"),
        (
            "pentium",
            "code_cache,line_bytes,32",
            "code_cache,line_bytes,16",
            "caches of 16 and 32 bytes in a line; both have the same",
        ),
        (
            "pentium",
            "data_cache,bytes,8192",
            "data_cache,bytes,2097152",
            "a cache of 2097152 bytes; at most 1048576 are modelled",
        ),
        ("pentium", "bus,bytes,8", "bus,bytes,16", "a bus of 16 bytes; 2, 4 and 8 are modelled"),
        ("pentium", "write_buffers,count,2", "write_buffers,count,9", "9 write buffers; 1 to 8 are modelled"),
        ("i486", "tlb,entries,32", "tlb,entries,128", "a TLB of 128 entries; at most 64 are modelled"),
        ("i486", "cache,line_bytes,16", "cache,line_bytes,128", "lines of 128 bytes; 16 to 64 are modelled"),
    ],
)
def test_what_the_memory_model_cannot_be_is_told(
    table: str, before: str, after: str, fault: str, changed: Callable[[str, str, str], Path]
) -> None:
    def read(path: Path) -> object:
        geometry: Geometry = read_geometry(path)
        return memory_geometry(timing_model(table)._replace(geometry=geometry))

    assert told(changed(f"geometry_{table}.csv", before, after), after, read) == fault
