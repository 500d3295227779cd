"""Multiboot information read back: what our loaders build, and structures with one deliberate mistake each."""

from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hillemu.boot import multiboot1_info, multiboot2_info
from hillemu.boot.memory_map import MapEntry, MemoryKind
from hillemu.boot.multiboot1_info import ModuleFacts, SectionFacts
from hillemu.emu.guest import FakeMemory
from hillemu.emu.i386.address import PhysAddr
from hillemu.inspection.multiboot.information import read_multiboot
from hillemu.inspection.multiboot.values import MultibootInfo

BASE = 0x9000
MAP = (
    MapEntry(PhysAddr(0), 0x9FC00, MemoryKind.USABLE),
    MapEntry(PhysAddr(0x9FC00), 0x400, MemoryKind.RESERVED),
    MapEntry(PhysAddr(0x100000), 0x100000, MemoryKind.USABLE),
)
MODULES = (ModuleFacts(0x20000, 0x20800, b"init arg"), ModuleFacts(0x30000, 0x30001, b"fs"))
SECTIONS = SectionFacts(bytes(80), 2, 40, 1)


def block(version: int) -> tuple[FakeMemory, int]:
    """Memory with a good structure, and its address."""
    memory = FakeMemory(0x40000)
    if version == 1:
        built = multiboot1_info.build_block(
            BASE, multiboot1_info.Facts(b"kernel -v", MAP, MODULES, SECTIONS, text_screen=True)
        )
    else:
        built = multiboot2_info.build_block(BASE, multiboot2_info.Facts(b"kernel -v", MAP, 0x100000, MODULES, SECTIONS))
    memory.write(PhysAddr(BASE), built.data)
    return memory, built.info_address


def read(version: int, memory: FakeMemory, at: int, kernel: tuple[tuple[int, int], ...] = ()) -> MultibootInfo:
    info = read_multiboot(memory, at, version, kernel)
    told = json.loads(json.dumps(info.as_dict()))["memory_map"]
    assert [(int(area["base"], 16), int(area["size_bytes"], 16), area["kind"]) for area in told] == info.memory_map
    assert info._repr_html_().startswith("<table")
    return info


@pytest.mark.parametrize("version", [1, 2])
def test_what_a_loader_builds_is_read_back(version: int) -> None:
    info = read(version, *block(version))
    assert info.problems == []
    assert (info.cmdline, info.boot_loader_name) == ("kernel -v", "hillemu")
    assert [tuple(area) for area in info.memory_map] == [tuple(entry) for entry in MAP]
    assert [(one.start, one.end, one.string.encode()) for one in info.modules] == [tuple(one) for one in MODULES]
    assert (info.mem_lower_kib, info.mem_upper_kib) == (639, 1024)
    assert info.elf_sections is not None
    assert (info.elf_sections.entries, info.elf_sections.entry_bytes, info.elf_sections.names_index) == (2, 40, 1)
    assert info.framebuffer is not None
    assert str(info.framebuffer) == "80 x 25, 16 bits, text, at 0x0000B8000"
    assert "0x00009FC00-0x00009FFFF reserved" in str(info)


@pytest.mark.parametrize(
    ("offset", "value", "expected"),
    [
        (0, 0x80000001, "has bits set that mean nothing"),
        (0, 0x0000007F, "both a.out symbols and ELF sections"),
        (16, 0x90000000, "the command line: 1 bytes at 0x90000000 are not in RAM"),
        (20, 5000, "mods_count says 5,000 modules"),
        (24, 0x7FFFFFFF, "the entry of module 0: 16 bytes at 0x7FFFFFFF are not in RAM"),
        (36, 0x50000000, "the ELF section headers: 80 bytes at 0x50000000 are not in RAM"),
        (44, 71, "the memory map's entries do not end at mmap_length, but 1 bytes away"),
        (48, 0x40000000, "an entry of the memory map: 24 bytes at 0x40000000 are not in RAM"),
    ],
)
def test_a_wrong_field_of_version_1_is_told(offset: int, value: int, expected: str) -> None:
    memory, at = block(1)
    memory.set_u32(PhysAddr(at + offset), value)
    (problem,) = read(1, memory, at).problems
    assert expected in problem


def test_a_map_entry_that_is_too_small_is_told() -> None:
    memory, at = block(1)
    memory.set_u32(PhysAddr(memory.u32(PhysAddr(at + 48))), 4)
    (problem,) = read(1, memory, at).problems
    assert "says that it has 4 bytes; 20 is the least" in problem


def tag_at(memory: FakeMemory, at: int, kind: int) -> int:
    """Where the first tag of `kind` lies: a plain walk."""
    here = at + 8
    while memory.u32(PhysAddr(here)) != kind:
        here += memory.u32(PhysAddr(here + 4)) + 7 & ~7
    return here


@pytest.mark.parametrize(
    ("kind", "offset", "value", "expected"),
    [
        (1, 4, 4, "(command line) says that it has 4 bytes: that is garbage"),
        (1, 4, 0x100000, "(command line) says that it has 1048576 bytes: that is garbage"),
        (4, 4, 12, "(memory) is too short: 12 bytes"),
        (6, 8, 20, "entry_size is 20: a multiple of 8 from 24 up is right"),
        (9, 8, 200, "the ELF sections' 200 headers of 40 bytes do not fit into their tag"),
        (0, 0, 99, "without a tag of type 0"),
        (3, 12, 0x10000, "module 0 ends at 0x00010000, in front of its start 0x00020000"),
        (3, 12, 0x30001, "overlaps module 0"),
    ],
)
def test_a_wrong_tag_of_version_2_is_told(kind: int, offset: int, value: int, expected: str) -> None:
    memory, at = block(2)
    memory.set_u32(PhysAddr(tag_at(memory, at, kind) + offset), value)
    problems = read(2, memory, at).problems
    assert expected in problems[0]


def test_a_place_that_is_no_structure_is_told() -> None:
    memory = FakeMemory(0x1000)
    memory.write(PhysAddr(0x104), struct.pack("<III", 64, 7, 0))
    problems = read(2, memory, 0x104).problems
    assert "0x00000104 is not a multiple of 8" in problems[0]
    assert "the reserved word at offset 4 is 0x7" in problems[1]
    (problem,) = read(1, memory, 0xFFF).problems
    assert problem == "the structure: 72 bytes at 0x00000FFF are not in RAM"


def test_areas_and_modules_that_overlap_are_told() -> None:
    memory = FakeMemory(0x40000)
    overlapping = (MAP[0], MapEntry(PhysAddr(0x9F000), 0x1000, MemoryKind.RESERVED))
    built = multiboot1_info.build_block(BASE, multiboot1_info.Facts(b"", overlapping, MODULES))
    memory.write(PhysAddr(BASE), built.data)
    areas, kernel = read(1, memory, built.info_address, ((0x20400, 0x21000),)).problems
    assert "the memory map's areas overlap: 0x000000000-0x00009FBFF usable and 0x00009F000-" in areas
    assert "module 0 (0x00020000-0x000207FF 'init arg') overlaps the kernel at 0x00020400-0x00020FFF" in kernel


def test_a_module_outside_ram_is_told() -> None:
    memory = FakeMemory(0x40000)
    built = multiboot1_info.build_block(BASE, multiboot1_info.Facts(b"", MAP, (ModuleFacts(0x3F000, 0x50000, b""),)))
    memory.write(PhysAddr(BASE), built.data)
    (problem,) = read(1, memory, built.info_address).problems
    assert "the end of module 0: 1 bytes at 0x0004FFFF are not in RAM" in problem


@given(st.binary(min_size=200, max_size=400), st.sampled_from([1, 2]))
def test_garbage_is_told_and_never_an_error(garbage: bytes, version: int) -> None:
    memory = FakeMemory(0x1000)
    memory.write(PhysAddr(0x100), garbage)
    read(version, memory, 0x100)
