"""Row H9 and the tables below it: both formats, judged by the page walk of `emu.i386`: it shares no code with them."""

from __future__ import annotations

from typing import Any

import pytest
from kernel_spaces import BOOT_CR3, control_of, make_vm, put_boot_tables

from hillemu.emu.guest import FakeMemory
from hillemu.emu.i386.address import Frame, PhysAddr, VirtAddr
from hillemu.emu.i386.control import USER_READ, USER_WRITE
from hillemu.emu.i386.outcomes import Mapped, NotPresent
from hillemu.emu.i386.paging import translate
from hillemu.kernel.errors import InvalidParameters
from hillemu.kernel.layout import KERNEL_BASE
from hillemu.kernel.mm.frames import OutOfMemory
from hillemu.kernel.mm.kernel_space import KernelSpace
from hillemu.kernel.mm.page_tables import GLOBAL, PRESENT, USER, WRITABLE
from hillemu.kernel.mm.window import PLACES, Fixed, set_fixmap

RIGHTS = USER | WRITABLE


@pytest.fixture(params=[False, True], ids=["32-bit", "PAE"])
def made(request: pytest.FixtureRequest) -> Any:
    return make_vm(pae=request.param)


def walk(made: Any, space: Any, at: int, access: Any = USER_READ) -> Any:
    return translate(made.memory, VirtAddr(at), made.control(space), access)


def test_what_is_mapped_is_what_a_processor_finds(made: Any) -> None:
    space = made.vm.create_space()
    frames = [Frame(0x300 + 7 * number % 512) for number in range(1500)]
    at = 0x003FE000  # across three page tables and more
    assert space.tables.map(at, frames, RIGHTS) is None
    for number, frame in enumerate(frames):
        outcome = walk(made, space, at + number * 4096 + 5, USER_WRITE)
        assert isinstance(outcome, Mapped)
        assert outcome.phys == (frame << 12) + 5
    assert isinstance(walk(made, space, at - 1), NotPresent)
    assert isinstance(walk(made, space, at + 1500 * 4096), NotPresent)
    assert [page for page, _ in space.tables.walk()] == [at + number * 4096 for number in range(1500)]


def test_taking_pages_away_frees_tables_that_are_empty(made: Any) -> None:
    space = made.vm.create_space()
    before = made.pmm.free_frames
    space.tables.map(0x10000000, [Frame(0x300)] * 1100, RIGHTS)
    assert made.pmm.free_frames < before
    taken = space.tables.unmap(0x10000000, 0x10000000 + 1099 * 4096)
    assert len(taken) == 1099
    assert isinstance(walk(made, space, 0x10000000 + 1099 * 4096), Mapped)
    space.tables.unmap(0, KERNEL_BASE)
    assert made.pmm.free_frames == before


def test_mapping_stops_without_a_trace_when_tables_run_out(made: Any) -> None:
    space = made.vm.create_space()
    hog = []
    while not isinstance(frame := made.pmm.alloc(), OutOfMemory):
        hog.append(frame)
    for frame in hog[:2]:
        made.pmm.free(frame)
    span = 1 << space.tables.format.shift
    assert isinstance(space.tables.map(span * 8 - 4096, [Frame(1)] * (span // 4096 * 2 + 2), RIGHTS), OutOfMemory)
    assert made.pmm.free_frames == 2
    assert not list(space.tables.walk())


def test_nothing_is_mapped_over(made: Any) -> None:
    space = made.vm.create_space()
    space.tables.map(0x00400000, [Frame(0x300)], RIGHTS)
    before = made.pmm.free_frames
    with pytest.raises(InvalidParameters, match="mapped already"):
        space.tables.map(0x003FF000, [Frame(0x301)] * 2, RIGHTS)
    assert isinstance(walk(made, space, 0x003FF000), NotPresent)
    assert made.pmm.free_frames == before


def test_rights_are_changed_where_pages_are_present(made: Any) -> None:
    space = made.vm.create_space()
    space.tables.map(0x00400000, [Frame(0x300)] * 3, RIGHTS)
    assert space.tables.rewrite(0x00401000, 0x00409000, ~WRITABLE, 0) == 2
    found = [isinstance(walk(made, space, 0x00400000 + 4096 * page, USER_WRITE), Mapped) for page in range(4)]
    assert found == [True, False, False, False]


def test_a_large_page_is_cut_into_small_ones_that_map_the_same(made: Any) -> None:
    space = made.vm.create_space()
    pages = range(KERNEL_BASE, KERNEL_BASE + (4 << 20), 0x3000)
    before = {at: translate(made.memory, VirtAddr(at), made.control(space)) for at in pages}
    guard = VirtAddr(KERNEL_BASE + 0x00204000)
    assert made.kernel.unmap(guard) is None
    for at, old in before.items():
        new = translate(made.memory, VirtAddr(at), made.control(space))
        if at == guard:
            assert isinstance(new, NotPresent)
        else:
            assert isinstance(new, Mapped)
            assert isinstance(old, Mapped)
            assert (new.phys, new.rights) == (old.phys, old.rights)
    assert guard in before
    assert made.flushes
    assert made.check() == []


def test_a_mapping_of_the_kernel_is_seen_by_every_program(made: Any) -> None:
    old = made.vm.create_space()
    assert made.kernel.map(0xD0000000, [Frame(0xB8)], WRITABLE) is None
    young = made.vm.create_space()
    for space in (old, young):
        outcome = translate(made.memory, VirtAddr(0xD0000123), made.control(space))
        assert isinstance(outcome, Mapped)
        assert outcome.phys == 0xB8123
        assert not outcome.user
    assert made.check() == []
    made.kernel.unmap(0xD0000000)
    assert isinstance(translate(made.memory, VirtAddr(0xD0000123), made.control(old)), NotPresent)


def test_a_guard_page_across_two_tables_is_made_whole_or_not(made: Any) -> None:
    """The second large page cannot be cut for want of memory: all is mapped as before, for everybody."""
    made.kernel.extend_direct_map()
    space = made.vm.create_space()
    hog = []
    while not isinstance(frame := made.pmm.alloc(), OutOfMemory):
        hog.append(frame)
    made.pmm.free(hog[0])
    border = KERNEL_BASE + (4 << 20)
    assert isinstance(made.kernel.unmap(border - 4096, 2), OutOfMemory)
    for at in (border - 4096, border):
        for cr3 in (made.kernel.cr3, space.cr3):
            assert isinstance(translate(made.memory, VirtAddr(at), control_of(cr3, made.pae)), Mapped)
    assert made.check() == []


def test_programs_may_not_be_given_pages_of_the_kernel(made: Any) -> None:
    with pytest.raises(InvalidParameters, match="no pages of the kernel"):
        made.kernel.map(0xBFFFF000, [Frame(1)])


@pytest.mark.parametrize("large_pages", [True, False])
def test_the_direct_map_is_completed(made: Any, large_pages: bool) -> None:
    space = made.vm.create_space()
    made.kernel.extend_direct_map(large_pages=large_pages)
    for phys in range(0, 8 << 20, 0x5000):
        for cr3 in (made.kernel.cr3, space.cr3):
            outcome = translate(made.memory, VirtAddr(KERNEL_BASE + phys), control_of(cr3, made.pae))
            assert isinstance(outcome, Mapped)
            assert outcome.phys == phys
            assert outcome.writable
    assert isinstance(translate(made.memory, VirtAddr(KERNEL_BASE + (8 << 20)), made.control(space)), NotPresent)


def test_the_boot_codes_identity_map_goes_and_the_kernel_stays(made: Any) -> None:
    control = control_of(made.kernel.cr3, made.pae)
    assert isinstance(translate(made.memory, VirtAddr(0x1000), control), Mapped)
    made.kernel.drop_user_half()
    assert isinstance(translate(made.memory, VirtAddr(0x1000), control), NotPresent)
    assert isinstance(translate(made.memory, VirtAddr(KERNEL_BASE + 0x1000), control), Mapped)


@pytest.mark.parametrize("cr3", [0, 0x10000000, 0x130000])
def test_tables_that_do_not_map_the_kernel_are_refused(made: Any, cr3: int) -> None:
    with pytest.raises(InvalidParameters, match="paging"):
        KernelSpace.adopt(made.memory, cr3, made.pmm, pae=made.pae)


def test_no_execute_needs_pae() -> None:
    made = make_vm()
    with pytest.raises(InvalidParameters, match="no-execute"):
        KernelSpace.adopt(made.memory, BOOT_CR3, made.pmm, no_execute=True)


def test_pse_36_pages_beyond_4_gib_cannot_be_cut() -> None:
    made = make_vm()
    slot = made.kernel.tables.directory_slot(0xD0000000)
    made.kernel.tables.words[slot] = PRESENT | 0x80 | 1 << 13
    with pytest.raises(InvalidParameters, match="beyond the reach"):
        made.kernel.tables.entry(0xD0000000)


def test_cutting_keeps_the_global_bit_and_the_memory_type() -> None:
    memory = FakeMemory(8 << 20)
    made = make_vm(memory=memory)
    tables = made.kernel.tables
    slot = tables.directory_slot(0xD0000000)
    tables.words[slot] = 0xFEC00000 | PRESENT | 0x80 | GLOBAL | 0x18 | 0x1000
    assert tables.entry(0xD0001000) == 0xFEC01000 | PRESENT | 0x80 | GLOBAL | 0x18


def test_a_fixed_page_shows_a_device(made: Any) -> None:
    space = made.vm.create_space()
    set_fixmap(made.kernel, Fixed.LOCAL_APIC, PhysAddr(0xFEC00000))
    set_fixmap(made.kernel, Fixed.LOCAL_APIC, PhysAddr(0xFEE00000))
    outcome = translate(made.memory, VirtAddr(Fixed.LOCAL_APIC.at + 0x20), made.control(space))
    assert isinstance(outcome, Mapped)
    assert outcome.phys == 0xFEE00020
    assert outcome.leaf is not None
    assert outcome.leaf.cache_disabled
    assert Fixed.LOCAL_APIC.at == 0xF0000000


class TestTheHighMemoryWindow:
    """RAM from 256 MiB on, of a machine of which only that much is there as needed."""

    @pytest.fixture(params=[False, True], ids=["32-bit", "PAE"])
    def high(self, request: pytest.FixtureRequest) -> Any:
        from hillemu.emu.memory import PhysicalMemory

        memory = PhysicalMemory(264 << 20)
        put_boot_tables(memory, request.param)
        return make_vm(264 << 20, memory=memory, pae=request.param)

    def take(self, made: Any) -> Frame:
        frame = made.pmm.alloc(0, high=True)
        assert isinstance(frame, int)
        assert frame >= 0x10000
        return Frame(frame)

    def test_a_frame_beyond_the_direct_map_is_shown(self, high: Any) -> None:
        frame, window = self.take(high), high.vm.window
        at = window.kmap(frame)
        assert 0xE0000000 <= at < 0xF0000000
        outcome = translate(high.memory, at, control_of(high.kernel.cr3, high.pae))
        assert isinstance(outcome, Mapped)
        assert outcome.phys == frame << 12
        assert high.check() == []
        assert window.kunmap(at)
        assert not window.kunmap(at)
        assert high.reports == [f"kunmap: nobody uses 0x{at:08X}"]

    def test_a_frame_of_the_direct_map_is_where_it_is(self, high: Any) -> None:
        assert high.vm.window.kmap(Frame(0x300)) == 0xC0300000
        assert high.vm.window.kunmap(0xC0300000)

    def test_the_same_frame_is_shown_once(self, high: Any) -> None:
        frame, window = self.take(high), high.vm.window
        first, second = window.kmap(frame), window.kmap(frame)
        assert first == second
        window.kunmap(first)
        assert window.kmap(self.take(high)) != first, "one user is left"

    def test_places_are_used_again_when_nobody_uses_them(self, high: Any) -> None:
        window = high.vm.window
        frames = [self.take(high) for _ in range(PLACES + 1)]
        places = [window.kmap(frame) for frame in frames[:PLACES]]
        assert len(set(places)) == PLACES
        assert window.kmap(frames[PLACES]) == 0
        assert "no place" in high.reports[-1]
        window.kunmap(places[7])
        before = high.flushes
        assert window.kmap(frames[PLACES]) == places[7]
        assert high.flushes > before, "the processor may remember the old frame"
        assert high.check() == []

    @pytest.mark.parametrize("left", [0, 1])
    def test_without_memory_it_stays_closed_and_opens_later(self, high: Any, left: int) -> None:
        space = high.vm.create_space()
        frame = self.take(high)
        low = []
        while not isinstance(one := high.pmm.alloc(), OutOfMemory):
            low.append(one)
        for one in low[:left]:
            high.pmm.free(one)
        assert high.vm.window.kmap(frame) == 0
        assert "cannot be opened" in high.reports[-1]
        assert high.check() == []
        for one in low[left:]:
            high.pmm.free(one)
        at = high.vm.window.kmap(frame)
        assert isinstance(translate(high.memory, at, high.control(space)), Mapped), "programs see it too"
        assert high.check() == []

    def test_programs_get_frames_beyond_the_direct_map_first(self, high: Any) -> None:
        space = high.vm.create_space()
        at = space.mmap(0, 4096, 3, 0)
        assert space.copy_out(at, b"high")
        assert space.tables.entry(at) >> 12 & 0xFFFFF >= 0x10000
        assert space.copy_in(at, 4) == b"high"


def test_frames_above_4_gib_are_used_with_pae() -> None:
    """Row H9: a machine of 5 GiB, 2 of them above the hole; all else is taken."""
    from hillemu.emu.memory import PhysicalMemory
    from hillemu.kernel.mm.memory_map import MemoryRegion

    memory = PhysicalMemory(5 << 30)
    regions = [MemoryRegion(1 << 20, 31 << 20, 1), MemoryRegion(1 << 32, 1 << 20, 1)]
    made = make_vm(5 << 30, memory=memory, regions=regions, pae=True)
    space = made.vm.create_space()
    at = space.mmap(0, 100 * 4096, 3, 0)
    assert space.copy_out(at, b"0123456789" * 4096)
    outcomes = [walk(made, space, at + 4096 * number) for number in range(10)]
    assert all(isinstance(outcome, Mapped) and outcome.phys >= 1 << 32 for outcome in outcomes)
    child = space.fork()
    assert child.copy_out(at, b"X")
    assert space.copy_in(at, 40960) == b"0123456789" * 4096
    window_at = made.vm.window.kmap(Frame(outcomes[0].phys >> 12))
    outcome = translate(memory, window_at, control_of(made.kernel.cr3, True))
    assert isinstance(outcome, Mapped)
    assert memory.read(outcome.phys, 4) == b"0123"
    assert made.check() == []
