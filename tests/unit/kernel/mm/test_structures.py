"""Every structure lies in guest memory as a C compiler for i386 would lay it out."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hillemu.emu.guest import FakeMemory
from hillemu.emu.i386.address import PhysAddr
from hillemu.kernel.mm import (
    allocation_table,
    areas,
    bitmap,
    boot_memory,
    buddy_layout,
    early_pool,
    frame_table,
    page_cache,
    slab,
    swap,
    task_memory,
    window,
)
from hillemu.kernel.mm.structure import Structure

STRUCTURES = [
    allocation_table.ENTRY,
    allocation_table.SITE,
    allocation_table.TABLE,
    bitmap.HEADER,
    boot_memory.REGION,
    boot_memory.RESERVED,
    buddy_layout.HEADER,
    early_pool.POOL,
    frame_table.FRAME,
    slab.CACHE,
    slab.SLAB,
    areas.AREA,
    page_cache.CACHED_FILE,
    swap.SWAP,
    task_memory.TASK_MEMORY,
    window.WINDOW,
    Structure("awkward", "u8 a", "u64 b", "u16 c", "u8 d[3]", "u32 e", "u8 f"),
]


def test_offsets_and_sizes_are_those_of_gcc(gcc_m32: str, tmp_path: Path) -> None:
    """Gcc -m32 is the oracle: it compiles the printed declarations, and asserts every offset."""
    source = [
        "typedef unsigned char u8; typedef unsigned short u16; typedef unsigned u32; typedef unsigned long long u64;"
    ]
    for structure in STRUCTURES:
        name = f"struct {structure.name}"
        source.append(structure.declaration())
        source.append(f'_Static_assert(sizeof({name}) == {structure.size_bytes}, "size of {name}");')
        source += [
            f'_Static_assert(__builtin_offsetof({name}, {member.name}) == {member.offset}, "{name}.{member.name}");'
            for member in structure.members.values()
        ]
    file = tmp_path / "structures.c"
    file.write_text("\n".join(source))
    done = subprocess.run(
        [gcc_m32, "-m32", "-fsyntax-only", "-Wall", "-Werror", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_an_allocation_entry_has_the_seeds_20_bytes() -> None:
    """Row K2."""
    assert allocation_table.ENTRY.size_bytes == 20


def test_every_structure_is_in_the_document(root: Path) -> None:
    text = (root / "docs" / "kernel.md").read_text(encoding="utf-8")
    missing = [one.name for one in STRUCTURES[:-1] if one.declaration() not in text]
    assert not missing, f"docs/kernel.md does not show these as they are: {missing}"


def test_a_member_that_does_not_fit_is_refused() -> None:
    structure = Structure("small", "u8 a", "u8 name[4]")
    with pytest.raises(ValueError, match=r"small\.name"):
        structure.write(FakeMemory(16), PhysAddr(0), name=b"12345")
    with pytest.raises(OverflowError):
        structure.write(FakeMemory(16), PhysAddr(0), a=256)


def test_what_is_written_is_read_back() -> None:
    memory = FakeMemory(64)
    structure = Structure("pair", "u16 a", "u64 b", "u8 name[5]")
    structure.write(memory, PhysAddr(8), a=1, b=1 << 40, name=b"abc")
    assert structure.read(memory, PhysAddr(8)) == {"a": 1, "b": 1 << 40, "name": b"abc\0\0"}
    assert structure.get(memory, PhysAddr(8), "b") == 1 << 40
