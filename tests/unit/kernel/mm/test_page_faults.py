"""Row H10: demand paging, copy on write, growing stacks, files, and the kernel's looks at a program's memory."""

from __future__ import annotations

from typing import Any

import pytest
from kernel_spaces import MODULE_BASE, make_vm

from hillemu.emu.i386.address import Frame, PhysAddr, VirtAddr
from hillemu.emu.i386.control import USER_READ, USER_WRITE, Access
from hillemu.emu.i386.outcomes import Mapped, PageFault
from hillemu.emu.i386.paging import translate
from hillemu.kernel.layout import HEAP_BASE, STACK_END
from hillemu.kernel.mm.counters import Event
from hillemu.kernel.mm.files import BytesFile
from hillemu.kernel.mm.frame_table import Owner
from hillemu.kernel.mm.frames import OutOfMemory
from hillemu.kernel.mm.outcomes import COW, FILE, SIGBUS, SIGSEGV, SPURIOUS, ZERO, Fault, Killed
from hillemu.kernel.mm.page_faults import STACK_GAP_BYTES, STACK_MAX_BYTES
from hillemu.kernel.mm.protection import (
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_PRIVATE,
    MAP_SHARED,
    PROT_EXEC,
    PROT_READ,
    PROT_WRITE,
)

READ_WRITE = PROT_READ | PROT_WRITE
ANONYMOUS = MAP_PRIVATE | MAP_ANONYMOUS
USER_FETCH = Access(user=True, fetch=True)


@pytest.fixture(params=[False, True], ids=["32-bit", "PAE"])
def made(request: pytest.FixtureRequest) -> Any:
    return make_vm(pae=request.param, no_execute=request.param)


@pytest.fixture
def space(made: Any) -> Any:
    return made.vm.create_space("program")


def touch(made: Any, space: Any, at: int, access: Access = USER_READ) -> list[Any]:
    """Access memory as a processor does; how each fault on the way was settled."""
    outcomes: list[Any] = []
    while True:
        outcome = translate(made.memory, VirtAddr(at), made.control(space), access)
        if isinstance(outcome, Mapped):
            return outcomes
        assert isinstance(outcome, PageFault)
        outcomes.append(space.fault(at, int(outcome.error_code)))
        if isinstance(outcomes[-1], Killed):
            return outcomes
        assert len(outcomes) < 4, "the same fault again and again"


def frame_at(space: Any, at: int) -> Frame:
    return Frame((space.tables.entry(at) & space.tables.frame_mask) >> 12)


class TestDemandPaging:
    def test_memory_costs_nothing_until_it_is_used(self, made: Any, space: Any) -> None:
        before = made.pmm.free_frames
        at = space.mmap(0, 64 << 20, READ_WRITE, ANONYMOUS)
        assert made.pmm.free_frames == before, "64 MiB in a machine with 8"
        assert touch(made, space, at + 12345) == [ZERO]
        assert made.pmm.free_frames == before - 2, "a page and its table"
        assert touch(made, space, at + 12345, USER_WRITE) == []
        assert made.kernel_memory.counters[Event.PGZERO_FAULT] == 1

    def test_a_frame_that_somebody_had_comes_back_empty(self, made: Any, space: Any) -> None:
        while not isinstance(frame := made.pmm.alloc(), OutOfMemory):
            made.memory.fill(PhysAddr(frame << 12), 4096, 0xEE)
            last = frame
        made.pmm.free(last)
        made.pmm.free(Frame(last - 1))
        at = space.mmap(0, 4096, READ_WRITE, ANONYMOUS)
        assert touch(made, space, at) == [ZERO]
        assert made.memory.read(PhysAddr(frame_at(space, at) << 12), 4096) == bytes(4096)

    @pytest.mark.parametrize(
        ("prot", "access", "is_allowed"),
        [
            (0, USER_READ, False),
            (PROT_READ, USER_READ, True),
            (PROT_READ, USER_WRITE, False),
            (READ_WRITE, USER_WRITE, True),
            (PROT_WRITE, USER_READ, True),
            (PROT_READ | PROT_EXEC, USER_FETCH, True),
            (PROT_READ | PROT_EXEC, USER_WRITE, False),
        ],
    )
    def test_an_area_gives_its_rights_and_no_other(
        self, made: Any, space: Any, prot: int, access: Access, is_allowed: bool
    ) -> None:
        at = space.mmap(0, 4096, prot, ANONYMOUS)
        last = touch(made, space, at, access)[-1]
        assert isinstance(last, Killed) == (not is_allowed)
        again = touch(made, space, at, access)
        assert not again if is_allowed else again[-1].signal == SIGSEGV
        assert made.check() == []

    def test_data_is_no_code_where_the_processor_can_tell(self, made: Any, space: Any) -> None:
        at = space.mmap(0, 4096, READ_WRITE, ANONYMOUS)
        touch(made, space, at)
        outcomes = touch(made, space, at, USER_FETCH)
        if made.no_execute:
            assert outcomes == [Killed(f"program: fetch from 0x{at:08X}: its area is rw-")]
        else:
            assert outcomes == []

    @pytest.mark.parametrize("at", [0, 0x10, 0x00400000, 0xBFFFFFFF, 0xC0000000, 0xC0100000, 0xFFFFFFFF])
    def test_a_wild_pointer_kills_with_facts(self, made: Any, space: Any, at: int) -> None:
        outcome = touch(made, space, at, USER_WRITE)[-1]
        assert outcome == Killed(f"program: write to 0x{at:08X}: nothing is mapped there", SIGSEGV)
        assert made.kernel_memory.counters[Event.SEGV] == 1
        assert made.check() == []

    def test_a_fault_that_is_no_more_is_spurious(self, space: Any) -> None:
        at = space.mmap(0, 4096, READ_WRITE, ANONYMOUS)
        space.fault(at, 6)
        assert space.fault(at, 6) == SPURIOUS

    def test_a_damaged_entry_is_told(self, space: Any) -> None:
        at = space.mmap(0, 4096, READ_WRITE, ANONYMOUS)
        assert "damaged" in space.fault(at, 0xD).reason


class TestStacks:
    def test_a_stack_grows_page_by_page_and_further(self, made: Any, space: Any) -> None:
        assert space.add_stack() == STACK_END
        for depth in (100, 20_000, 24_576, 400_000, STACK_MAX_BYTES):
            assert touch(made, space, STACK_END - depth, USER_WRITE) == [ZERO]
            assert made.check() == []
        assert len(space.areas) == 1
        assert space.statistics()["resident"] == 5

    def test_8_mib_are_enough(self, made: Any, space: Any) -> None:
        space.add_stack()
        assert "8 MiB" in touch(made, space, STACK_END - STACK_MAX_BYTES - 1, USER_WRITE)[-1].reason
        assert "nothing is mapped" in touch(made, space, STACK_END - 3 * STACK_MAX_BYTES, USER_WRITE)[-1].reason

    def test_it_keeps_away_from_what_lies_below(self, made: Any, space: Any) -> None:
        space.add_stack()
        end = STACK_END - (4 << 20)
        space.mmap(end - 4096, 4096, READ_WRITE, ANONYMOUS | MAP_FIXED)
        assert touch(made, space, end + STACK_GAP_BYTES, USER_WRITE) == [ZERO]
        assert "run into" in touch(made, space, end + STACK_GAP_BYTES - 1, USER_WRITE)[-1].reason

    def test_other_areas_do_not_grow(self, made: Any, space: Any) -> None:
        at = space.mmap(0x20000000, 4096, READ_WRITE, ANONYMOUS)
        assert isinstance(touch(made, space, at - 1, USER_WRITE)[-1], Killed)


class TestCopyOnWrite:
    def test_a_child_has_the_same_memory_until_somebody_writes(self, made: Any, space: Any) -> None:
        at = space.mmap(0, 8192, READ_WRITE, ANONYMOUS)
        space.copy_out(at, b"both")
        before, flushes = made.pmm.free_frames, made.flushes
        child = space.fork()
        assert made.flushes > flushes, "the parent may not write any more, and the processor must know"
        assert frame_at(child, at) == frame_at(space, at)
        assert made.pmm.references(frame_at(space, at)) == 2
        assert touch(made, child, at, USER_READ) == []
        flushes = made.flushes
        assert touch(made, child, at, USER_WRITE) == [COW]
        assert made.flushes > flushes, "the processor may remember the frame that the child had"
        assert frame_at(child, at) != frame_at(space, at)
        child.copy_out(at, b"mine")
        assert (space.copy_in(at, 4), child.copy_in(at, 4)) == (b"both", b"mine")
        assert made.kernel_memory.counters[Event.PGCOW] == 1
        assert made.check() == []
        child.destroy()
        made.kernel_memory.caches.shrink()
        assert made.pmm.free_frames >= before

    def test_the_last_owner_writes_without_a_copy(self, made: Any, space: Any) -> None:
        at = space.mmap(0, 4096, READ_WRITE, ANONYMOUS)
        space.copy_out(at, b"x")
        frame = frame_at(space, at)
        space.fork().destroy()
        assert touch(made, space, at, USER_WRITE) == [COW]
        assert frame_at(space, at) == frame
        assert made.kernel_memory.counters[Event.PGCOW] == 0

    def test_grandchildren_share_too(self, made: Any, space: Any) -> None:
        at = space.mmap(0, 4096, READ_WRITE, ANONYMOUS)
        space.copy_out(at, b"0")
        family = [space]
        for _ in range(5):
            family.append(family[-1].fork())
        assert made.pmm.references(frame_at(space, at)) == 6
        for number, one in enumerate(family):
            one.copy_out(at, bytes([number]))
        assert [one.copy_in(at, 1) for one in family] == [bytes([number]) for number in range(6)]
        assert made.check() == []

    def test_the_heap_and_the_stack_go_with_the_child(self, made: Any, space: Any) -> None:
        space.brk(HEAP_BASE + 5000)
        space.add_stack()
        space.copy_out(STACK_END - 4, b"end!")
        child = space.fork()
        assert child.brk(0) == HEAP_BASE + 5000
        assert child.copy_in(STACK_END - 4, 4) == b"end!"
        assert child.brk(HEAP_BASE + 50_000) == HEAP_BASE + 50_000
        assert space.brk(0) == HEAP_BASE + 5000
        assert touch(made, child, STACK_END - 100_000, USER_WRITE) == [ZERO]
        assert touch(made, child, child.mmap(0, 4096, 3, 0)) == [ZERO]

    def test_shared_memory_stays_shared(self, made: Any, space: Any) -> None:
        at = space.mmap(0, 4096, READ_WRITE, MAP_SHARED | MAP_ANONYMOUS)
        child = space.fork()
        child.copy_out(at, b"from the child")
        assert space.copy_in(at, 14) == b"from the child"
        space.copy_out(at, b"from the other")
        assert child.copy_in(at, 14) == b"from the other"
        space.munmap(at, 4096)
        assert child.copy_in(at, 14) == b"from the other"
        assert made.check() == []

    def test_a_fork_that_fails_leaves_nothing(self, made: Any, space: Any) -> None:
        for number in range(6):
            space.mmap(0x10000000 + (number << 24), 4096, READ_WRITE, ANONYMOUS | MAP_FIXED)
            space.copy_out(0x10000000 + (number << 24), bytes([number]))
        hog = []
        while made.pmm.free_frames > 5:
            hog.append(made.pmm.alloc())
        made.kernel_memory.caches.shrink()
        before = made.pmm.free_frames
        assert isinstance(space.fork(), OutOfMemory)
        made.kernel_memory.caches.shrink()
        assert made.pmm.free_frames == before
        assert made.check() == []
        for number in range(6):
            assert space.copy_out(0x10000000 + (number << 24), b"!"), "the parent goes on"


class TestFiles:
    @pytest.fixture
    def file(self, made: Any) -> Any:
        made.memory.write(PhysAddr(MODULE_BASE), b"0123456789" * 500)
        return made.vm.add_module("data", MODULE_BASE, 5000)

    def test_a_private_mapping_shows_the_file_and_zeros_behind_it(self, made: Any, space: Any, file: Any) -> None:
        at = space.mmap(0, 8192, PROT_READ, MAP_PRIVATE, file)
        assert touch(made, space, at) == [FILE]
        assert space.copy_in(at, 8192) == (b"0123456789" * 500).ljust(8192, b"\0")
        assert made.kernel_memory.counters[Event.PAGE_CACHE_MISS] == 2

    def test_two_programs_share_the_cached_page(self, made: Any, space: Any, file: Any) -> None:
        other = made.vm.create_space()
        places = [one.mmap(0, 4096, READ_WRITE, MAP_PRIVATE, file) for one in (space, other)]
        assert [one.copy_in(at, 3) for one, at in zip((space, other), places, strict=True)] == [b"012", b"012"]
        assert frame_at(space, places[0]) == frame_at(other, places[1])
        assert made.kernel_memory.counters[Event.PAGE_CACHE_HIT] == 1

    def test_writing_to_a_private_mapping_changes_no_file(self, made: Any, space: Any, file: Any) -> None:
        at = space.mmap(0, 4096, READ_WRITE, MAP_PRIVATE, file)
        assert touch(made, space, at, USER_WRITE) == [FILE]
        space.copy_out(at, b"mine")
        assert space.mmap(0, 4096, PROT_READ, MAP_PRIVATE, file) != at
        assert space.copy_in(at, 6) == b"mine45"
        assert file.read(0, 6) == b"012345"
        at = space.mmap(0, 4096, READ_WRITE, MAP_PRIVATE, file)
        assert touch(made, space, at, USER_READ) == [FILE]
        assert touch(made, space, at, USER_WRITE) == [COW]
        assert made.check() == []

    def test_a_shared_mapping_changes_the_file(self, made: Any, space: Any, file: Any) -> None:
        at = space.mmap(0, 8192, READ_WRITE, MAP_SHARED, file)
        space.copy_out(at + 4998, b"!!!!!")
        space.munmap(at, 8192)
        made.vm.free_up(10)
        assert file.read(4990, 10) == b"01234567!!"
        assert space.copy_in(space.mmap(0, 8192, PROT_READ, MAP_PRIVATE, file) + 4998, 5) == b"!!\0\0\0"

    def test_what_the_kernel_writes_for_a_program_changes_the_file_too(self, made: Any, space: Any, file: Any) -> None:
        at = space.mmap(0, 4096, READ_WRITE, MAP_SHARED, file)
        touch(made, space, at, USER_READ)
        space.copy_out(at, b"!")
        assert made.vm.free_up(10) == 1
        assert file.read(0, 3) == b"!12"

    def test_pages_that_do_not_follow_each_other_in_the_file_are_two_areas(
        self, made: Any, space: Any, file: Any
    ) -> None:
        at = space.mmap(0, 4096, PROT_READ, MAP_PRIVATE, file)
        space.mmap(at + 4096, 4096, PROT_READ, MAP_PRIVATE | MAP_FIXED, file)
        assert len(space.areas) == 2
        space.mmap(at + 4096, 4096, PROT_READ, MAP_PRIVATE | MAP_FIXED, file, 4096)
        assert len(space.areas) == 1
        assert space.copy_in(at + 4096, 4) == file.read(4096, 4)
        assert made.check() == []

    def test_a_mapping_may_start_in_the_middle(self, made: Any, space: Any, file: Any) -> None:
        at = space.mmap(0, 4096, PROT_READ, MAP_PRIVATE, file, 4096)
        assert space.copy_in(at, 4) == file.read(4096, 4)

    def test_behind_the_end_is_a_bus_error(self, made: Any, space: Any, file: Any) -> None:
        at = space.mmap(0, 3 * 4096, PROT_READ, MAP_PRIVATE, file)
        outcome = touch(made, space, at + 8192)[-1]
        assert outcome.signal == SIGBUS
        assert "behind the end of data" in outcome.reason

    def test_a_file_that_cannot_be_written_is_not_shared_for_writing(self, made: Any, space: Any) -> None:
        file = BytesFile("hello", b"\x90" * 100)
        assert space.mmap(0, 4096, READ_WRITE, MAP_SHARED, file) == -13
        at = space.mmap(0, 4096, PROT_READ, MAP_SHARED, file)
        assert space.mprotect(at, 4096, READ_WRITE) == -13
        assert space.copy_in(at, 100) == b"\x90" * 100

    @pytest.mark.parametrize(("offset", "error"), [(1, -22), (-4096, -22), (0xFFFFF000, 0xFFFFF), (0x1_0000_0000, -75)])
    def test_offsets_are_checked(self, made: Any, space: Any, file: Any, offset: int, error: int) -> None:
        got = space.mmap(0, 4096, PROT_READ, MAP_PRIVATE, file, offset)
        if error < 0:
            assert got == error
        else:
            assert space.areas.find(got).page == error

    def test_an_empty_file_cannot_be_mapped(self, made: Any, space: Any) -> None:
        assert space.mmap(0, 4096, PROT_READ, MAP_PRIVATE, BytesFile("empty", b"")) == -22
        assert made.reports


class TestUserPointers:
    @pytest.mark.parametrize("at", [-1, 0, 0xBFFFFFFF, 0xC0000000, 0xC0100000, 0xFFFFFFFF, 1 << 40])
    def test_a_bad_pointer_is_a_value(self, made: Any, space: Any, at: int) -> None:
        assert isinstance(space.copy_in(at, 4), Fault)
        assert isinstance(space.copy_in_string(at, 4), Fault)
        assert not space.copy_out(at, b"evil")
        assert made.check() == []

    def test_a_range_that_wraps_is_refused_whole(self, space: Any) -> None:
        space.add_stack()
        assert space.copy_in(STACK_END - 4, 8) == Fault(STACK_END)
        assert not space.copy_out(STACK_END - 4, b"12345678")
        assert space.copy_in(STACK_END - 4, 4) == bytes(4), "nothing was written"
        assert isinstance(space.copy_in(STACK_END - 4, 1 << 32), Fault)
        assert isinstance(space.copy_in(STACK_END - 4, -1), Fault)

    def test_pages_are_brought_in_and_marked_as_the_processor_does(self, made: Any, space: Any) -> None:
        at = space.mmap(0, 8192, READ_WRITE, ANONYMOUS)
        assert space.copy_in(at, 8192) == bytes(8192)
        entry = translate(made.memory, VirtAddr(at), made.control(space), USER_READ)
        assert isinstance(entry, Mapped)
        assert entry.accessed
        assert not entry.dirty
        assert space.copy_out(at, b"x")
        entry = translate(made.memory, VirtAddr(at), made.control(space), USER_READ)
        assert isinstance(entry, Mapped)
        assert entry.dirty

    def test_a_string_ends_at_its_zero_at_the_limit_or_at_the_page_that_is_missing(self, space: Any) -> None:
        at = space.mmap(0, 8192, READ_WRITE, ANONYMOUS)
        space.copy_out(at + 4090, b"across a page\0rest")
        assert space.copy_in_string(at + 4090, 100) == b"across a page"
        assert space.copy_in_string(at + 4090, 8) == b"across a"
        space.copy_out(at + 8190, b"no")
        assert space.copy_in_string(at + 8190, 100) == Fault(at + 8192)
        assert space.copy_in_string(at + 8190, 2) == b"no"

    def test_writing_for_a_program_breaks_no_sharing(self, made: Any, space: Any) -> None:
        at = space.mmap(0, 4096, READ_WRITE, ANONYMOUS)
        space.copy_out(at, b"old")
        child = space.fork()
        assert child.copy_out(at, b"new")
        assert space.copy_in(at, 3) == b"old"

    def test_nothing_at_all_can_be_copied_from_anywhere(self, space: Any) -> None:
        assert space.copy_in(0x1234, 0) == b""
        assert space.copy_out(0x1234, b"")


def test_running_out_while_the_kernel_copies_kills_nobody(made: Any, space: Any) -> None:
    at = space.mmap(0, 1 << 20, READ_WRITE, ANONYMOUS)
    while not isinstance(made.pmm.alloc(0, Owner.KERNEL), OutOfMemory):
        pass
    assert not space.copy_out(at, b"x" * 100_000)
    assert made.kernel_memory.counters[Event.OOM_KILL] == 0
    assert made.check() == []
