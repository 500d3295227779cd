"""Rows H4 to H7: `brk`, `mmap`, `munmap`, `mprotect`, the seed's functions, and the record in guest memory."""

from __future__ import annotations

from typing import Any

import pytest
from kernel_spaces import MODULE_BASE, make_vm

from hillemu.emu.i386.address import PhysAddr
from hillemu.kernel.errno import Errno
from hillemu.kernel.layout import HEAP_BASE, HEAP_MAX_BYTES, KERNEL_BASE, MMAP_BASE, MMAP_END
from hillemu.kernel.mm.frame_table import Owner
from hillemu.kernel.mm.frames import OutOfMemory
from hillemu.kernel.mm.outcomes import Fault
from hillemu.kernel.mm.page_tables import PRESENT, WRITABLE
from hillemu.kernel.mm.protection import (
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MAP_POPULATE,
    MAP_PRIVATE,
    MAP_SHARED,
    PROT_READ,
    PROT_WRITE,
)
from hillemu.kernel.mm.task_memory import TASK_MEMORY
from hillemu.kernel.mm.vm_map import vm_alloc_map, vm_free_unmap

READ_WRITE = PROT_READ | PROT_WRITE
ANONYMOUS = MAP_PRIVATE | MAP_ANONYMOUS


@pytest.fixture(params=[False, True], ids=["32-bit", "PAE"])
def made(request: pytest.FixtureRequest) -> Any:
    return make_vm(pae=request.param)


@pytest.fixture
def space(made: Any) -> Any:
    return made.vm.create_space("program")


def exhaust(made: Any, left: int) -> list[Any]:
    """Take frames until so many are left."""
    taken = []
    while made.pmm.free_frames > left:
        taken.append(made.pmm.alloc(0, Owner.KERNEL))
    return taken


def used_by_programs(made: Any) -> dict[Any, int]:
    from hillemu.kernel.mm.memory_use import frames_by_owner

    found = frames_by_owner(made.pmm)
    return {owner: found.get(owner, 0) for owner in (Owner.ANONYMOUS, Owner.PAGE_TABLE, Owner.PAGE_CACHE)}


class TestBrk:
    """Row H5."""

    def test_it_starts_at_the_seeds_address_and_gives_zeros(self, made: Any, space: Any) -> None:
        assert space.brk(0) == 0x08000000
        assert space.brk(0x08001000) == 0x08001000
        assert space.copy_in(0x08000000, 4096) == bytes(4096)
        assert space.copy_out(0x08000000, b"Hello\0")
        assert space.copy_in_string(0x08000000, 80) == b"Hello"

    def test_64_mib_are_the_most(self, space: Any) -> None:
        end = HEAP_BASE + HEAP_MAX_BYTES
        assert space.brk(end) == end
        assert space.brk(end + 1) == end
        assert space.brk(HEAP_BASE - 1) == end
        assert space.copy_out(end - 1, b"x")

    def test_shrinking_keeps_the_page_that_is_still_in_use(self, made: Any, space: Any) -> None:
        """The seed frees it: it rounds the new break down."""
        space.brk(HEAP_BASE + 3 * 4096)
        space.copy_out(HEAP_BASE, b"a" * 3 * 4096)
        free = made.pmm.free_frames
        assert space.brk(HEAP_BASE + 4097) == HEAP_BASE + 4097
        assert made.pmm.free_frames == free + 1
        assert space.copy_in(HEAP_BASE + 4096, 4096) == b"a" * 4096
        assert space.copy_in(HEAP_BASE + 8192, 1) == Fault(HEAP_BASE + 8192)
        assert made.check() == []

    def test_shrinking_from_the_middle_of_a_page_frees_that_page(self, made: Any, space: Any) -> None:
        """The seed leaks it: it rounds the old break down."""
        space.brk(HEAP_BASE + 5000)
        space.copy_out(HEAP_BASE, b"a" * 5000)
        free = made.pmm.free_frames
        space.brk(HEAP_BASE)
        assert made.pmm.free_frames == free + 3, "two pages, and their table"
        assert made.check() == []

    def test_it_does_not_grow_over_another_mapping(self, space: Any) -> None:
        space.mmap(HEAP_BASE + 0x2000, 4096, READ_WRITE, ANONYMOUS | MAP_FIXED)
        assert space.brk(HEAP_BASE + 0x2000) == HEAP_BASE + 0x2000
        assert space.brk(HEAP_BASE + 0x2001) == HEAP_BASE + 0x2000

    def test_the_record_in_guest_memory_follows(self, made: Any, space: Any) -> None:
        """Row H7."""
        space.brk(HEAP_BASE + 5000)
        at = space.mmap(0, 8192, READ_WRITE, ANONYMOUS)
        space.copy_out(at, b"x")
        record = TASK_MEMORY.read(made.memory, PhysAddr(space.at - KERNEL_BASE))
        expected = {
            "heap_start": HEAP_BASE,
            "heap_end": HEAP_BASE + 8192,
            "heap_max": HEAP_BASE + HEAP_MAX_BYTES,
            "mmap_cursor": MMAP_BASE + 8192,
            "brk": HEAP_BASE + 5000,
            "page_directory": space.cr3,
            "resident": 1,
            "area_count": 2,
        }
        assert {name: record[name] for name in expected} == expected


class TestMmap:
    """Row H6."""

    def test_the_seeds_call_works(self, space: Any) -> None:
        at = space.mmap(0, 0x1000, 3, 0)
        assert at == MMAP_BASE
        assert space.copy_out(at, b"Mmap!\0")
        assert space.copy_in(at, 5) == b"Mmap!"

    def test_a_free_hint_is_taken_and_one_in_use_is_not(self, space: Any) -> None:
        assert space.mmap(0x20000123, 4096, READ_WRITE, ANONYMOUS) == 0x20001000
        assert space.mmap(0x20001000, 4096, READ_WRITE, ANONYMOUS) == MMAP_BASE
        assert space.mmap(0xBFFFF800, 4096, READ_WRITE, ANONYMOUS) == MMAP_BASE + 4096, "it would end in the kernel"

    def test_fixed_replaces_what_is_there(self, made: Any, space: Any) -> None:
        at = space.mmap(0, 3 * 4096, READ_WRITE, ANONYMOUS)
        space.copy_out(at, b"a" * 3 * 4096)
        assert space.mmap(at + 4096, 4096, PROT_READ, ANONYMOUS | MAP_FIXED) == at + 4096
        assert space.copy_in(at + 4095, 4098) == b"a" + bytes(4096) + b"a"
        assert [area.start for area in space.areas] == [at, at + 4096, at + 8192]
        assert made.check() == []

    def test_fixed_noreplace_does_not(self, space: Any) -> None:
        at = space.mmap(0, 4096, READ_WRITE, ANONYMOUS)
        assert space.mmap(at, 4096, READ_WRITE, ANONYMOUS | MAP_FIXED_NOREPLACE) == Errno.EEXIST

    def test_neighbours_become_one_area(self, made: Any, space: Any) -> None:
        first = space.mmap(0, 4096, READ_WRITE, ANONYMOUS)
        third = space.mmap(first + 8192, 4096, READ_WRITE, ANONYMOUS)
        assert len(list(space.areas)) == 2
        space.mmap(first + 4096, 4096, READ_WRITE, ANONYMOUS | MAP_FIXED)
        assert [(area.start, area.end) for area in space.areas] == [(first, third + 4096)]
        assert made.check() == []

    def test_the_space_is_searched_again_from_its_start(self, space: Any) -> None:
        whole = space.mmap(0, MMAP_END - MMAP_BASE, READ_WRITE, ANONYMOUS)
        assert whole == MMAP_BASE
        assert space.mmap(0, 4096, READ_WRITE, ANONYMOUS) == Errno.ENOMEM
        space.munmap(whole + 0x5000, 4096)
        assert space.mmap(0, 4096, READ_WRITE, ANONYMOUS) == whole + 0x5000

    @pytest.mark.parametrize(
        ("hint", "length", "prot", "flags", "error"),
        [
            (0, 0, 3, ANONYMOUS, Errno.EINVAL),
            (0, -1, 3, ANONYMOUS, Errno.EINVAL),
            (0, 4096, 8, ANONYMOUS, Errno.EINVAL),
            (0, 4096, 3, MAP_ANONYMOUS, Errno.EINVAL),
            (0, 4096, 3, ANONYMOUS | MAP_SHARED, Errno.EINVAL),
            (0, 4096, 3, ANONYMOUS | 0x40000000, Errno.EINVAL),
            (0, 4096, 3, MAP_PRIVATE, Errno.EBADF),
            (0, 0xC0000000, 3, ANONYMOUS, Errno.ENOMEM),
            (0, 0xFFFFFFFF, 3, ANONYMOUS, Errno.ENOMEM),
            (0x123, 4096, 3, ANONYMOUS | MAP_FIXED, Errno.EINVAL),
            (0, 4096, 3, ANONYMOUS | MAP_FIXED, Errno.EPERM),
            (0xBFFFF000, 8192, 3, ANONYMOUS | MAP_FIXED, Errno.ENOMEM),
            (0xC0000000, 4096, 3, ANONYMOUS | MAP_FIXED, Errno.ENOMEM),
        ],
    )
    def test_what_cannot_be_is_refused(
        self, made: Any, space: Any, hint: int, length: int, prot: int, flags: int, error: Errno
    ) -> None:
        assert space.mmap(hint, length, prot, flags) == error
        assert not list(space.areas)
        assert made.check() == []

    def test_a_failing_1000_page_mapping_leaks_nothing(self, made: Any, space: Any) -> None:
        space.mmap(0x00400000, 4096, READ_WRITE, ANONYMOUS | MAP_FIXED)
        space.copy_out(0x00400000, b"x")
        taken = exhaust(made, 700)
        before = used_by_programs(made)
        assert space.mmap(0, 1000 * 4096, READ_WRITE, ANONYMOUS | MAP_POPULATE) == Errno.ENOMEM
        assert used_by_programs(made) == before
        assert len(list(space.areas)) == 1
        assert made.check() == []
        for frame in taken:
            made.pmm.free(frame)
        at = space.mmap(0, 1000 * 4096, READ_WRITE, ANONYMOUS | MAP_POPULATE)
        assert at > 0
        assert space.statistics()["resident"] == 1001

    def test_any_number_of_areas_fits_until_memory_ends(self, made: Any, space: Any) -> None:
        """The arrays grow twice on the way to 2,000; every second page is an area of its own."""
        for number in range(2000):
            at = 0x10000000 + number * 8192
            assert space.mmap(at, 4096, READ_WRITE, ANONYMOUS | MAP_FIXED) == at
        assert len(space.areas) == 2000
        assert space.areas.find(0x10000000 + 1999 * 8192).end == 0x10000000 + 1999 * 8192 + 4096
        assert space.areas.find(0x10000000 + 999 * 8192 + 4096) is None
        assert made.check() == []
        assert space.munmap(0x10000000, 4000 * 4096) == 0
        assert not list(space.areas)
        made.kernel_memory.caches.shrink()
        assert made.check() == []


class TestMunmapAndMprotect:
    def test_a_hole_splits_an_area(self, made: Any, space: Any) -> None:
        at = space.mmap(0, 5 * 4096, READ_WRITE, ANONYMOUS)
        space.copy_out(at, b"a" * 5 * 4096)
        assert space.munmap(at + 4096, 4097) == 0
        assert [(area.start, area.end) for area in space.areas] == [(at, at + 4096), (at + 3 * 4096, at + 5 * 4096)]
        assert space.copy_in(at, 4097) == Fault(at + 4096)
        assert space.statistics()["resident"] == 3
        assert made.check() == []

    def test_what_is_not_mapped_may_be_unmapped(self, space: Any) -> None:
        assert space.munmap(0x30000000, 4096) == 0
        assert space.munmap(0x30000001, 4096) == Errno.EINVAL
        assert space.munmap(0x30000000, 0) == Errno.EINVAL
        assert space.munmap(0xBFFFF000, 8192) == Errno.EINVAL

    def test_rights_split_and_merge_areas(self, made: Any, space: Any) -> None:
        at = space.mmap(0, 3 * 4096, READ_WRITE, ANONYMOUS)
        space.copy_out(at, b"a" * 3 * 4096)
        assert space.mprotect(at + 4096, 4096, PROT_READ) == 0
        assert len(space.areas) == 3
        assert not space.copy_out(at + 4090, b"b" * 12)
        assert space.copy_in(at + 4090, 12) == b"b" * 6 + b"a" * 6, "what could be written was"
        assert made.flushes
        assert space.mprotect(at, 3 * 4096, READ_WRITE) == 0
        assert len(space.areas) == 1
        assert space.copy_out(at + 4090, b"c" * 12)
        assert made.check() == []

    def test_no_rights_hide_pages_and_keep_them(self, made: Any, space: Any) -> None:
        at = space.mmap(0, 4096, READ_WRITE, ANONYMOUS)
        space.copy_out(at, b"secret")
        space.mprotect(at, 4096, 0)
        assert space.copy_in(at, 6) == Fault(at)
        assert made.check() == []
        space.mprotect(at, 4096, PROT_READ)
        assert space.copy_in(at, 6) == b"secret"

    def test_a_hole_refuses_all_of_it(self, space: Any) -> None:
        at = space.mmap(0, 3 * 4096, READ_WRITE, ANONYMOUS)
        space.munmap(at + 4096, 4096)
        assert space.mprotect(at, 3 * 4096, PROT_READ) == Errno.ENOMEM
        assert space.copy_out(at, b"still")
        assert space.mprotect(at + 1, 4096, PROT_READ) == Errno.EINVAL

    def test_maps_reads_as_people_know_it(self, made: Any, space: Any) -> None:
        made.memory.write(PhysAddr(MODULE_BASE), b"text")
        file = made.vm.add_module("init", MODULE_BASE, 8192)
        space.mmap(0x00400000, 4096, PROT_READ, MAP_PRIVATE | MAP_FIXED, file, 4096)
        space.brk(HEAP_BASE + 1)
        space.add_stack()
        assert list(space.maps()) == [
            "00400000-00401000 r--p 00001000 init",
            "08000000-08001000 rw-p 00000000 [heap]",
            "bfffc000-c0000000 rw-p 00000000 [stack]",
        ]


class TestTheSeedsFunctions:
    """Row H4."""

    def test_pages_are_there_at_once_zeroed_with_the_flags(self, made: Any, space: Any) -> None:
        lines: list[str] = []
        for frame in (frames := exhaust(made, 20)):
            made.memory.fill(PhysAddr(frame << 12), 4096, 0xEE)
        for frame in frames:
            made.pmm.free(frame)
        assert vm_alloc_map(space, 0x08048123, 8192, WRITABLE, lines.append) == 0
        assert lines == ["vm_alloc_map: virt=0x8048000, size=8192, pages=3"]
        for page in range(3):
            entry = space.tables.entry(0x08048000 + 4096 * page)
            assert entry & (PRESENT | WRITABLE) == PRESENT | WRITABLE
            assert made.memory.read(PhysAddr(entry & space.tables.frame_mask), 4096) == bytes(4096)
        assert vm_alloc_map(space, 0x00400000, 1, 0) == 0
        assert not space.tables.entry(0x00400000) & WRITABLE
        assert made.check() == []

    def test_running_out_in_the_middle_undoes_all(self, made: Any, space: Any) -> None:
        exhaust(made, 40)
        before = used_by_programs(made)
        assert vm_alloc_map(space, 0x00400000, 100 * 4096, WRITABLE) == -1
        assert used_by_programs(made) == before
        assert not list(space.tables.walk())
        assert made.check() == []

    def test_what_is_mapped_is_not_mapped_over(self, space: Any) -> None:
        assert vm_alloc_map(space, 0x00400000, 4096, WRITABLE) == 0
        space.copy_out(0x00400000, b"kept")
        assert vm_alloc_map(space, 0x003FF000, 8192, WRITABLE) == -1
        assert space.copy_in(0x00400000, 4) == b"kept"

    @pytest.mark.parametrize(("virt", "size"), [(0x00400000, 0), (0, 4096), (0xBFFFF000, 8192), (-4096, 4096)])
    def test_what_cannot_be_is_refused(self, space: Any, virt: int, size: int) -> None:
        assert vm_alloc_map(space, virt, size, WRITABLE) == -1

    def test_freeing_gives_every_frame_back(self, made: Any, space: Any) -> None:
        before = used_by_programs(made)
        vm_alloc_map(space, 0x00400000, 50 * 4096, WRITABLE)
        vm_free_unmap(space, 0x00400800, 49 * 4096)
        assert used_by_programs(made) == before
        assert made.check() == []


def test_a_program_that_ends_gives_everything_back(made: Any) -> None:
    made.kernel_memory.caches.shrink()
    before = made.pmm.free_frames
    space = made.vm.create_space()
    space.brk(HEAP_BASE + 100_000)
    space.copy_out(HEAP_BASE, b"x" * 100_000)
    space.add_stack()
    assert space.copy_out(0xBFFFFFF0, b"stack")
    space.mmap(0, 1 << 20, READ_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE)
    space.destroy()
    made.kernel_memory.caches.shrink()
    assert made.pmm.free_frames == before
    assert made.check() == []


def test_a_space_needs_memory_and_says_so(made: Any) -> None:
    exhaust(made, 0)
    assert isinstance(made.vm.create_space(), OutOfMemory)
    assert made.check() == []


def test_a_memory_that_shows_nobody_its_buffer_serves_as_well(closed_memory: Any) -> None:
    made = make_vm(memory=closed_memory(8 << 20))
    space = made.vm.create_space()
    at = space.mmap(0, 3 * 4096, READ_WRITE, ANONYMOUS)
    space.copy_out(at, b"abc" * 4096)
    child = space.fork()
    assert child.copy_out(at + 4096, b"X")
    assert child.munmap(at, 4096) == 0
    assert space.copy_in(at, 3 * 4096) == b"abc" * 4096
    assert made.check() == []
