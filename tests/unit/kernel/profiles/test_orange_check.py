"""Every kind of contradiction in profile orange's structures is found."""

from __future__ import annotations

import pytest
from orange_memory import VARIABLES, make_mm

from hillemu.emu.i386.address import PhysAddr
from hillemu.kernel.errors import Corruption
from hillemu.kernel.profiles.orange.check import check
from hillemu.kernel.profiles.orange.memory_manager import MM, MemoryManager
from hillemu.kernel.profiles.orange.pf_list import GROUP, PF, PageType, Protection

PF_LIST = 0x501000


@pytest.fixture
def used() -> MemoryManager:
    mm = make_mm(8)
    mm.vm_alloc(0x50000000, 0x4000)
    mm.vm_alloc(0x60000000, 0x4000, Protection.READ_ONLY)
    assert check(mm) == []
    return mm


@pytest.mark.parametrize(
    ("member", "value", "told"),
    [
        ("next", 0x501000, "`next` of frame"),
        ("prev", 0, "`prev` of frame"),
        ("frame", 0x700000, "`frame` of frame"),
        ("type", PageType.FREE, "has type FREE, reference count 1, protection READ_WRITE"),
        ("type", PageType.RESERVED, "has type RESERVED"),
        ("type", 7, "has type 7"),
        ("ref_count", 2, "has reference count 2, and 1 page-table entries map it"),
        ("ref_count", 0, "has type MAPPED, reference count 0"),
        ("protection", Protection.READ_ONLY, "0x50000000 can be written"),
        ("protection", Protection.NONE, "protection NONE"),
    ],
)
def test_check_finds_a_wrong_entry(used: MemoryManager, member: str, value: int, told: str) -> None:
    frame = used.physical(0x50000000)
    assert frame is not None
    number = used.pf_list.number(frame)
    assert number is not None
    PF.write(used.memory, PhysAddr(PF_LIST + 24 * number), **{member: int(value)})
    found = check(used)
    assert any(told in sentence and f"{frame:08X}" in sentence for sentence in found), found


def test_check_finds_page_tables_that_the_list_does_not_know_of(used: MemoryManager) -> None:
    used.memory.set_u32(PhysAddr(0x101000 + (0x50004000 >> 10)), 0x600003)
    assert "frame 0x00600000 has reference count 0, and 1 page-table entries map it" in " ".join(check(used))


def test_check_finds_a_table_in_the_wrong_place_and_one_that_is_empty(used: MemoryManager) -> None:
    used.memory.set_u32(PhysAddr(0x100000 + 4 * 5), 0x106003)
    assert check(used) == ["page tables: table 5 is in use, and empty"]
    used.memory.set_u32(PhysAddr(0x100000 + 4 * 5), 0x107003)
    assert "directory entry 5 is 0x00107003; its table lies at 0x00106000" in check(used)[0]


def test_check_finds_a_reserved_frame_that_is_not_where_it_should_be(used: MemoryManager) -> None:
    used.memory.set_u32(PhysAddr(0x101000 + (0x102000 >> 10)), 0x103003)
    assert any("reserved frame 0x00102000 is not mapped one to one" in sentence for sentence in check(used))


@pytest.mark.parametrize("member", ["free_frames", "frames"])
def test_check_finds_wrong_variables(used: MemoryManager, member: str) -> None:
    MM.write(used.memory, VARIABLES, **{member: MM.get(used.memory, VARIABLES, member) + 3})
    assert any(sentence.startswith("mm: ") for sentence in check(used))


@pytest.mark.parametrize("member", ["first", "longest", "last"])
def test_check_finds_a_group_that_is_wrong(used: MemoryManager, member: str) -> None:
    at = PhysAddr(used.pf_list.groups_at + GROUP.size_bytes)
    GROUP.write(used.memory, at, **{member: GROUP.get(used.memory, at, member) + 1})
    (sentence,) = check(used)
    assert sentence.startswith("pf_list: the group from 0x00500000 on says (first, longest, last)")


def test_a_group_that_promises_too_much_is_found_by_a_search(used: MemoryManager) -> None:
    GROUP.write(used.memory, used.pf_list.groups_at, longest=7)
    with pytest.raises(Corruption, match="the group from 0x00100000 on has no 7 FREE frames in a row"):
        used.vm_alloc(0x70000000, 0x7000)


def test_check_counts_what_others_map(used: MemoryManager) -> None:
    first = used.pf_list.number(used.physical(0x50000000) or 0)
    assert first is not None
    used.hold(first, 1)
    assert "has reference count 2, and 1 page-table entries" in check(used)[0]
    assert check(used, [(0x40000000, (used.physical(0x50000000) or 0) | 7)]) == []
