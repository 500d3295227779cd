"""`map_page`, kernel space that all directories share, when the TLB is flushed; the walk of `emu.i386` is the judge."""

from __future__ import annotations

import pytest

from hillemu.emu.guest import FakeGuest
from hillemu.emu.i386.address import PAGE_SIZE, PhysAddr, VirtAddr
from hillemu.emu.i386.control import ControlState
from hillemu.emu.i386.outcomes import Mapped
from hillemu.emu.i386.paging import translate
from hillemu.kernel.mm.frames import FrameRun
from hillemu.kernel.mm.words import words_from_zero
from hillemu.kernel.profiles.bitmap.page_bitmap import PageBitmap
from hillemu.kernel.profiles.bitmap.paging import FAILED, PageDirectory, Paging

RAM_PAGES = 1024
CR3 = PhysAddr(0x110000)
PRESENT, WRITABLE, USER = 1, 2, 4
PAGING_ON = 0x80010001


class Space:
    """A kernel directory that maps nothing, and a bitmap with pages behind it."""

    def __init__(self, pages: int = RAM_PAGES) -> None:
        self.guest = FakeGuest(RAM_PAGES * PAGE_SIZE)
        self.reports: list[str] = []
        memory = self.guest.memory
        run = FrameRun(0x120, 0x120 + pages) if pages < RAM_PAGES - 0x120 else FrameRun(0x120, RAM_PAGES)  # type: ignore[arg-type]
        self.pages = PageBitmap.create(memory, PhysAddr(0x1000), [run], report=self.reports.append)
        words = words_from_zero(memory, RAM_PAGES * PAGE_SIZE, "I")
        self.paging = Paging(memory, words, self.pages, CR3, self.guest.flush_tlb, self.reports.append)

    def walk(self, at: int, directory: PageDirectory | None = None) -> tuple[int, bool, bool] | None:
        """Where the processor would go, whether it might write there, and whether a program might."""
        cr3 = (directory or self.paging.kernel).cr3
        found = translate(self.guest.memory, VirtAddr(at), ControlState(PAGING_ON, cr3, 0))
        return (found.phys, found.rights.writable, found.rights.user) if isinstance(found, Mapped) else None


@pytest.fixture
def space() -> Space:
    return Space()


def test_a_page_leads_where_map_page_said(space: Space) -> None:
    assert space.paging.map_page(VirtAddr(0x30001000), PhysAddr(0x123000), PRESENT | WRITABLE) == 0
    assert space.walk(0x30001234) == (0x123234, True, False)
    assert space.walk(0x30002000) is None
    assert space.paging.map_page(VirtAddr(0x30002000), PhysAddr(0x124000), PRESENT) == 0
    assert space.walk(0x30002000) == (0x124000, False, False)


def test_tables_are_taken_when_they_are_needed_and_only_then(space: Space) -> None:
    free = space.pages.free_pages
    for number in range(1024):
        space.paging.map_page(VirtAddr(0x30000000 + number * PAGE_SIZE), PhysAddr(0x123000), PRESENT)
    assert space.pages.free_pages == free - 1
    space.paging.map_page(VirtAddr(0x30400000), PhysAddr(0x123000), PRESENT)
    assert space.pages.free_pages == free - 2


def test_a_table_maps_nothing_but_what_was_asked_for_whatever_its_page_had(space: Space) -> None:
    space.guest.memory.fill(PhysAddr(0x120000), 16 * PAGE_SIZE, 0xFF)  # of all pages that are given out next
    space.paging.map_page(VirtAddr(0x30001000), PhysAddr(0x133000), PRESENT)
    assert dict(space.paging.kernel.entries(0x30000000, 0x30400000)) == {0x30001000: 0x133000 | PRESENT}
    directory = space.paging.new_directory()
    assert directory is not None
    assert list(directory.entries(0x40000000, 1 << 32)) == []


def test_directory_entries_let_programs_through_only_above_kernel_space(space: Space) -> None:
    space.paging.current = directory = space.paging.new_directory()
    assert directory is not None
    space.paging.map_page(VirtAddr(0x30000000), PhysAddr(0x123000), PRESENT)
    space.paging.map_page(VirtAddr(0x40000000), PhysAddr(0x123000), PRESENT | USER)
    flags = [space.guest.memory.u32(PhysAddr(directory.directory_slot(at) * 4)) & 7 for at in (0x30000000, 0x40000000)]
    assert flags == [PRESENT | WRITABLE, PRESENT | WRITABLE | USER]


def test_only_a_change_of_what_was_present_flushes_the_tlb(space: Space) -> None:
    at, guest = VirtAddr(0x30001000), space.guest
    space.paging.map_page(at, PhysAddr(0x123000), PRESENT)
    assert guest.tlb_flushes == 0
    space.paging.map_page(at, PhysAddr(0x124000), PRESENT | WRITABLE)
    assert guest.tlb_flushes == 1
    assert space.walk(at) == (0x124000, True, False)
    assert space.paging.unmap_page(at) == 0
    assert guest.tlb_flushes == 2
    assert space.walk(at) is None
    space.paging.map_page(at, PhysAddr(0x125000), PRESENT)
    assert guest.tlb_flushes == 2


def test_without_pte_p_the_mapping_goes(space: Space) -> None:
    at = VirtAddr(0x30001000)
    space.paging.map_page(at, PhysAddr(0x123000), PRESENT)
    assert space.paging.map_page(at, PhysAddr(0), 0) == 0
    assert space.walk(at) is None
    assert space.paging.map_page(at, PhysAddr(0), 0) == FAILED


@pytest.mark.parametrize(
    ("virt", "phys", "flags", "why"),
    [
        (0x30000001, 0x123000, PRESENT, "not the start of a page"),
        (0x30000000, 0x123800, PRESENT, "not the start of a page"),
        (1 << 32, 0x123000, PRESENT, "not an address of 32 bits"),
        (0x30000000, 1 << 32, PRESENT, "not an address of 32 bits"),
        (0x30000000, 0x123000, PRESENT | 0x80, r"flags are PTE_P (1), PTE_W (2) and PTE_U (4)"),
        (0x30000000, 0x123000, PRESENT | USER, "kernel space is not for programs"),
        (0, 0x123000, PRESENT, "page 0 stays unmapped"),
        (0x40000000, 0x123000, PRESENT | USER, "no program runs"),
    ],
)
def test_what_cannot_be_is_refused_counted_and_reported(
    virt: int, phys: int, flags: int, why: str, space: Space
) -> None:
    before = bytes(space.guest.memory.data)
    assert space.paging.map_page(VirtAddr(virt), PhysAddr(phys), flags) == FAILED
    assert space.paging.refused == 1
    assert why in space.reports[-1]
    assert space.reports[-1].startswith(f"map_page(0x{virt:08X}, 0x{phys:08X}, {flags:#x}): ")
    assert bytes(space.guest.memory.data) == before, "nothing has changed"


def test_unmapping_what_is_not_mapped_is_refused(space: Space) -> None:
    assert space.paging.unmap_page(VirtAddr(0x30000000)) == FAILED
    assert space.reports == ["unmap_page(0x30000000): nothing is mapped there"]


def test_minus_1_when_no_page_is_free_for_a_table() -> None:
    space = Space(pages=1)
    assert space.paging.map_page(VirtAddr(0x30000000), PhysAddr(0x123000), PRESENT) == 0
    assert space.paging.map_page(VirtAddr(0x30400000), PhysAddr(0x123000), PRESENT) == FAILED
    assert "no page is free for its table" in space.reports[-1]


def test_kernel_space_is_the_same_in_every_directory_whenever_it_was_mapped(space: Space) -> None:
    paging = space.paging
    paging.map_page(VirtAddr(0x30000000), PhysAddr(0x123000), PRESENT)
    first = paging.new_directory()
    paging.map_page(VirtAddr(0x3E000000), PhysAddr(0x124000), PRESENT)
    second = paging.new_directory()
    assert first is not None
    assert second is not None
    for directory in (first, second):
        assert space.walk(0x30000000, directory) == (0x123000, False, False)
        assert space.walk(0x3E000000, directory) == (0x124000, False, False)


def test_what_a_program_has_is_its_own(space: Space) -> None:
    paging = space.paging
    first, second = paging.new_directory(), paging.new_directory()
    assert first is not None
    paging.current = first
    assert paging.map_page(VirtAddr(0x40000000), PhysAddr(0x123000), PRESENT | USER) == 0
    assert space.walk(0x40000000, first) == (0x123000, False, True)
    assert space.walk(0x40000000, second) is None
    assert space.walk(0x40000000) is None


def test_a_directory_that_is_dropped_gives_its_tables_back_but_not_the_kernel_s(space: Space) -> None:
    paging = space.paging
    paging.map_page(VirtAddr(0x30000000), PhysAddr(0x123000), PRESENT)
    free = space.pages.free_pages
    directory = paging.new_directory()
    assert directory is not None
    paging.current = directory
    for at in (0x40000000, 0x80000000, 0xFFFFE000):
        paging.map_page(VirtAddr(at), PhysAddr(0x123000), PRESENT | USER)
    paging.drop_directory(directory)
    assert space.pages.free_pages == free
    assert space.walk(0x30000000) == (0x123000, False, False)
    assert paging.current is None
    assert paging.programs == []
    assert space.reports == []


def test_there_is_no_directory_without_a_page_for_it() -> None:
    space = Space(pages=1)
    assert space.paging.new_directory() is not None
    assert space.paging.new_directory() is None
