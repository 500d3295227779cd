"""Physical memory: where RAM and ROM answer, what lies outside, and the digest."""

from __future__ import annotations

import ctypes
import hashlib
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hillemu.emu.errors import OptionError
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.memory import FOUR_GIB, GIB, KIB, MIB, PhysicalMemory


@pytest.mark.parametrize("size", [0, 4 * MIB - 4096, 4 * MIB + 1, 64 * GIB + 4096])
def test_impossible_sizes_are_the_users_mistake(size: int) -> None:
    with pytest.raises(OptionError, match="4M to 64G"):
        PhysicalMemory(size)


@pytest.mark.parametrize(
    ("size", "low", "high"),
    [
        (4 * MIB, 4 * MIB, FOUR_GIB),
        (3 * GIB + 511 * MIB, 0xDFF00000, FOUR_GIB),
        (3 * GIB + 512 * MIB, 3 * GIB, FOUR_GIB + 512 * MIB),
        (4 * GIB, 3 * GIB, FOUR_GIB + GIB),
        (64 * GIB, 3 * GIB, FOUR_GIB + 61 * GIB),
    ],
)
def test_ram_leaves_the_hole_below_4_gib(size: int, low: int, high: int) -> None:
    memory = PhysicalMemory(size)
    assert (memory.low_end, memory.high_end) == (low, high)
    assert memory.ram_ranges[-1].end == (high if high > FOUR_GIB else low)


@pytest.mark.parametrize("at", [0, 0x9FFFC, 0xB8000, MIB, 3 * GIB - 4, FOUR_GIB, FOUR_GIB + GIB - 4])
def test_what_is_written_is_read_back(at: int) -> None:
    memory = PhysicalMemory(4 * GIB)
    memory.set_u32(PhysAddr(at), 0x12345678)
    assert memory.u32(PhysAddr(at)) == 0x12345678
    assert memory.read(PhysAddr(at), 4) == b"\x78\x56\x34\x12"


@pytest.mark.parametrize("at", [0, 0x9FFF8, 0xB8000, MIB, 3 * GIB - 8, FOUR_GIB, FOUR_GIB + GIB - 8])
def test_two_words_are_read_as_one(at: int) -> None:
    memory = PhysicalMemory(4 * GIB)
    memory.set_u32(PhysAddr(at), 0x12345678)
    memory.set_u32(PhysAddr(at + 4), 0x9ABCDEF0)
    assert memory.u64(PhysAddr(at)) == 0x9ABCDEF012345678
    with pytest.raises(IndexError, match=r"not in RAM or ROM"):
        memory.u64(PhysAddr(3 * GIB - 4))


@pytest.mark.parametrize("at", [-4, 3 * GIB - 2, 3 * GIB, 0xFEC00000, FOUR_GIB + GIB - 2, FOUR_GIB + GIB, FOUR_GIB - 2])
def test_an_access_that_is_not_wholly_in_memory_is_an_index_error(at: int) -> None:
    memory = PhysicalMemory(4 * GIB)
    with pytest.raises(IndexError, match=r"not in RAM or ROM"):
        memory.u32(PhysAddr(at))
    with pytest.raises(IndexError):
        memory.set_u32(PhysAddr(at), 1)


def test_the_roms_last_64_kib_end_the_32_bit_space() -> None:
    memory = PhysicalMemory(4 * MIB)
    memory.write(PhysAddr(0xFFFF0), b"reset")
    assert memory.read(PhysAddr(0xFFFFFFF0), 5) == b"reset"
    assert bytes(memory.rom[-16:-11]) == b"reset"


def test_a_dump_may_cross_the_rom_area() -> None:
    memory = PhysicalMemory(4 * MIB)
    memory.write(PhysAddr(0xBFFFF), b"a")
    memory.write(PhysAddr(0xC0000), b"b")
    memory.write(PhysAddr(MIB), b"c")
    dump = memory.read(PhysAddr(0xBFFFF), 256 * KIB + 2)
    assert (dump[0:2], dump[-1:]) == (b"ab", b"c")


def test_every_write_is_told_with_its_place() -> None:
    memory, told = PhysicalMemory(4 * MIB), []
    memory.on_write = lambda at, count: told.append((at, count))
    memory.write(PhysAddr(0x100), b"abc")
    memory.set_u32(PhysAddr(0x200), 1)
    memory.fill(PhysAddr(0x300), 5000, 7)
    assert told == [(0x100, 3), (0x200, 4), (0x300, 5000)]
    assert memory.read(PhysAddr(0x300), 5001) == b"\x07" * 5000 + b"\0"


@settings(max_examples=20, deadline=None)
@given(st.dictionaries(st.integers(0, 1023), st.binary(min_size=1, max_size=8), max_size=5))
def test_the_digest_is_that_of_the_frames_that_are_not_zero(frames: dict[int, bytes]) -> None:
    memory = PhysicalMemory(4 * MIB)
    expected = hashlib.sha256()
    for number, data in sorted(frames.items()):
        memory.ram[number * 4096 : number * 4096 + len(data)] = data
        if any(data):
            expected.update((number * 4096).to_bytes(8, "little") + data.ljust(4096, b"\0"))
    assert memory.sha256() == expected.hexdigest()


def test_a_64_gib_machine_costs_nothing_until_it_is_written() -> None:
    memory = PhysicalMemory(64 * GIB)
    memory.set_u32(PhysAddr(FOUR_GIB + 60 * GIB), 1)
    assert memory.u32(PhysAddr(FOUR_GIB + 60 * GIB)) == 1


def _flags_of_mapping(at: int) -> set[str]:
    """The kernel's flags of the mapping that holds host address `at`, from /proc/self/smaps."""
    found = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if match := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            found = int(match[1], 16) <= at < int(match[2], 16)
        elif found and line.startswith("VmFlags:"):
            return set(line.split()[1:])
    raise AssertionError(f"nothing is mapped at {at:#x}")


@pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage").exists(), reason="this host's kernel has no huge pages"
)
def test_only_the_first_512_mib_are_given_in_huge_pages() -> None:
    memory = PhysicalMemory(GIB)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory.ram))
    assert "hg" in _flags_of_mapping(start + 512 * MIB - KIB)
    assert "hg" not in _flags_of_mapping(start + 512 * MIB)
