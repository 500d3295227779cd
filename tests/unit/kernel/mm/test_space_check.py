"""`check()` finds what it is for: each test damages one thing in guest memory, and reads what is said about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from kernel_spaces import MODULE_BASE, make_vm

from hillemu.emu.i386.address import PAGE_SHIFT, Frame
from hillemu.kernel.layout import HEAP_BASE, KERNEL_BASE
from hillemu.kernel.mm.areas import END, PROT, START
from hillemu.kernel.mm.frame_table import Owner
from hillemu.kernel.mm.page_cache import CACHED
from hillemu.kernel.mm.page_tables import NO_EXECUTE, PRESENT, USER, WRITABLE
from hillemu.kernel.mm.protection import MAP_PRIVATE, PROT_READ
from hillemu.kernel.mm.swap import HostSwap
from hillemu.kernel.mm.task_memory import AREAS, BRK, HEAP_MAX, PAGE_DIRECTORY, RESIDENT


@pytest.fixture
def made() -> Any:
    """Two programs that share pages, a file that is mapped, a page in swap; all is well."""
    made = make_vm(pae=True, no_execute=True, swap=HostSwap(1 << 20))
    space = made.space = made.vm.create_space("program")
    space.brk(HEAP_BASE + 0x5000)
    space.copy_out(HEAP_BASE, b"heap" * 0x1000)
    file = made.vm.add_module("file", MODULE_BASE, 4096)
    made.file_at = space.mmap(0, 4096, PROT_READ, MAP_PRIVATE, file)
    space.copy_in(made.file_at, 1)
    made.child = space.fork()
    made.vm.reclaim.evict(Frame((space.tables.entry(HEAP_BASE) & space.tables.frame_mask) >> PAGE_SHIFT))
    assert made.check() == []
    return made


def slot(made: Any, at: int) -> int:
    return int(made.space.tables.find(at))


def flip(made: Any, at: int, bits: int) -> None:
    made.space.tables.words[slot(made, at)] ^= bits


def area_word(made: Any, member: int, value: int) -> None:
    made.vm.direct.u32[made.space.areas.locate(HEAP_BASE) + member] = value


HEAP_PAGE = HEAP_BASE + 0x1000


def add_stray_page(made: Any) -> None:
    made.space.tables.map(0x00400000, [made.pmm.alloc(0, Owner.ANONYMOUS, 1 << 20 | 0x400)], USER)


def take_reference(made: Any) -> None:
    made.pmm.hold(Frame((made.space.tables.entry(HEAP_PAGE) & made.space.tables.frame_mask) >> PAGE_SHIFT))


def point_elsewhere(made: Any) -> None:
    made.space.tables.words[slot(made, HEAP_PAGE)] = 0x7FF000 | PRESENT | USER | NO_EXECUTE


def change_cached(made: Any) -> None:
    number = made.space.areas.find(made.file_at).file
    made.vm.files._open[number].header[CACHED] += 1


def set_record(member: int, value: int) -> Callable[[Any], None]:
    def change(made: Any) -> None:
        made.space.record[member] = value

    return change


DAMAGE: dict[str, tuple[Callable[[Any], None], str]] = {
    "a page outside all areas": (add_stray_page, "is in no area"),
    "a reference too many": (take_reference, "(anonymous) has 3 references, but 2"),
    "a frame that is free": (point_elsewhere, "maps a frame of nobody"),
    "a right to write that is shared": (lambda made: flip(made, HEAP_PAGE, WRITABLE), "2 programs share it"),
    "a file that can be written": (lambda made: flip(made, made.file_at, WRITABLE), "can be written, its area not"),
    "a page taken from the program": (lambda made: flip(made, HEAP_PAGE, USER), "belongs to the kernel"),
    "data that are code": (lambda made: flip(made, HEAP_PAGE, NO_EXECUTE), "wrong no-execute bit"),
    "a page lost": (lambda made: flip(made, HEAP_PAGE, made.space.tables.entry(HEAP_PAGE)), "but it counts 4 and 1"),
    "a page in swap lost": (lambda made: flip(made, HEAP_BASE, made.space.tables.entry(HEAP_BASE)), "swap: place 1"),
    "a page that moved": (
        lambda made: made.space.tables.words.__setitem__(
            slot(made, HEAP_PAGE + 0x3000), made.space.tables.entry(HEAP_PAGE)
        ),
        "maps the frame of page 0x8001",
    ),
    "an area that ends before it starts": (lambda made: area_word(made, END, HEAP_BASE - 0x1000), "cannot be"),
    "an area that overlaps": (lambda made: area_word(made, END, made.file_at + 0x1000), "overlaps"),
    "an area that is listed elsewhere": (lambda made: area_word(made, START, HEAP_BASE - 0x1000), "is listed as"),
    "an area without rights": (lambda made: area_word(made, PROT, 0), "belongs to the program, but"),
    "an area that could be one with its neighbour": (
        lambda made: made.space.areas._insert_behind(
            0, made.space.areas.find(HEAP_BASE)._replace(start=HEAP_BASE + 0x5000, end=HEAP_BASE + 0x6000)
        ),
        "should be one with",
    ),
    "another CR3": (set_record(PAGE_DIRECTORY, 0x1000), "its record has page_directory 0x1000"),
    "another heap": (set_record(HEAP_MAX, 0), "its heap would be"),
    "a break in the wrong place": (set_record(BRK, HEAP_BASE), "do not go together"),
    "a wrong count of pages": (set_record(RESIDENT, 99), "but it counts 99 and 1"),
    "a wrong count of cached pages": (change_cached, "file has 1 pages, but counts 2"),
    "a page table that nobody has": (
        lambda made: made.pmm.alloc(0, Owner.PAGE_TABLE),
        "1 page tables belong to no program; the kernel half has 0",
    ),
    "a kernel page for programs": (
        lambda made: (
            made.kernel.map(0xD0000000, [Frame(0xB8)], USER),
            made.kernel.tables.words.__setitem__(
                made.kernel.tables.directory_slot(0xD0000000),
                made.kernel.tables.words[made.kernel.tables.directory_slot(0xD0000000)] | USER,
            ),
        ),
        "programs may touch the kernel's page at 0xD0000000",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_told(made: Any, name: str) -> None:
    damage, expected = DAMAGE[name]
    damage(made)
    found = made.check()
    assert any(expected in finding for finding in found), found


def test_a_program_with_another_kernel_half_is_told() -> None:
    made = make_vm()
    space = made.vm.create_space()
    space.tables.words[space.tables.directory_slot(0xE0000000)] = 0x123003
    assert made.check() == ["paging: CR3 " + f"{space.cr3:#x} has 0x123003 at 0xE0000000, the kernel 0x0"]


def test_the_arrays_of_areas_are_the_kernels(made: Any) -> None:
    at = made.space.record[AREAS]
    record = made.pmm.table.record(at - KERNEL_BASE >> PAGE_SHIFT)
    assert (record.owner, record.info) == (Owner.KERNEL, 1)
