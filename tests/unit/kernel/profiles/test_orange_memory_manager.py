"""Profile orange's MM on memory without a processor: the document's numbers, rule by rule."""

from __future__ import annotations

from array import array

import pytest
from orange_memory import FIRMWARE_BYTES, MIB, VARIABLES, CountedFlushes, loaded_memory, make_mm, save_ranges

from hillemu.emu.guest import FakeMemory
from hillemu.emu.i386.address import PAGE_SIZE, PhysAddr, VirtAddr
from hillemu.emu.i386.control import ControlState
from hillemu.emu.i386.outcomes import Mapped, NotPresent
from hillemu.emu.i386.paging import translate
from hillemu.kernel.errors import Corruption, InvalidParameters
from hillemu.kernel.profiles.orange.check import check
from hillemu.kernel.profiles.orange.memory_manager import MM, MemoryManager, MmCount
from hillemu.kernel.profiles.orange.pf_list import GROUP_FRAMES, PF, PageType, PfList, Protection

KB = 1 << 10
PF_LIST = 0x501000
CONTROL = ControlState(cr0=0x80010011, cr3=0x100000)


def leads_to(mm: MemoryManager, linear: int) -> int | None:
    """Where a processor finds `linear`: the walk that the machine is tested with."""
    found = translate(mm.memory, VirtAddr(linear), CONTROL)
    return found.phys if isinstance(found, Mapped) else None


def step(mm: MemoryManager, start: int, end: int) -> int | None:
    """Allocate from `start` to `end`; where it is, or None if it was refused."""
    return leads_to(mm, start) if mm.vm_alloc(start, end - start) else None


# ---- row O3: the document's test


def test_the_documents_six_steps_give_its_physical_addresses() -> None:
    mm = make_mm(32)
    assert step(mm, 11 * MIB, 13 * MIB) == 0x530000
    assert step(mm, 8 * MIB, 12 * MIB) is None
    assert step(mm, 28 * MIB, 28 * MIB + 7 * KB) == 0x730000
    assert step(mm, 9 * MIB, 12 * MIB) is None
    assert mm.vm_free(11 * MIB, 2 * MIB)
    assert step(mm, 8 * MIB, 12 * MIB) == 0x732000
    assert step(mm, 9 * MIB, 12 * MIB) is None
    assert mm.vm_free(8 * MIB, 4 * MIB)
    assert step(mm, 9 * MIB, 12 * MIB) == 0x732000
    assert step(mm, 15 * MIB, 17 * MIB) == 0x530000
    assert [leads_to(mm, at) for at in (0xF00000, 0x1C00000, 0x900000)] == [0x530000, 0x730000, 0x732000]
    assert check(mm) == []
    assert [mm.count(what) for what in MmCount] == [5, 2, 3, 0, 0, 0]


def test_the_entry_of_11_mib_lies_at_0x103c00_and_is_the_first_of_512_in_two_tables() -> None:
    mm = make_mm(32)
    mm.vm_alloc(11 * MIB, 2 * MIB)
    entries = array("I", mm.memory.read(PhysAddr(0x103C00), 4 * 512))
    assert list(entries) == [0x530003 + PAGE_SIZE * number for number in range(512)]
    assert mm.memory.u32(PhysAddr(0x103BFC)) == mm.memory.u32(PhysAddr(0x103C00 + 4 * 512)) == 0
    assert mm.memory.read(PhysAddr(0x100008), 8) == array("I", [0x103003, 0x104003]).tobytes()


# ---- rows O1, O2: what init_mm finds and leaves


def test_the_list_begins_behind_the_room_for_page_tables_that_map_4_gib() -> None:
    mm = make_mm(32)
    frames = (31 * MIB - FIRMWARE_BYTES) // PAGE_SIZE
    assert mm.pf_list.at == PF_LIST == 0x100000 + 4 * MIB + 4 * KB
    assert (PF.size_bytes, mm.pf_list.count) == (24, frames)
    variables = MM.read(mm.memory, VARIABLES)
    assert variables["pf_list"] == PF_LIST
    assert variables["frames"] == frames
    assert variables["free_frames"] == frames - (0x530000 - 0x100000) // PAGE_SIZE


def test_the_list_is_a_circle_both_ways_with_one_entry_for_each_frame() -> None:
    mm = make_mm(8)
    for member in ("next", "prev"):
        at, seen = PF_LIST, []
        for _ in range(mm.pf_list.count):
            seen.append(PF.get(mm.memory, PhysAddr(at), "frame"))
            at = PF.get(mm.memory, PhysAddr(at), member)
        assert at == PF_LIST, "it does not come back to where it began"
        assert sorted(seen) == list(range(0x100000, 8 * MIB - FIRMWARE_BYTES, PAGE_SIZE))


def test_page_tables_and_the_list_are_reserved_and_mapped_one_to_one_and_free_frames_are_unmapped() -> None:
    mm = make_mm(32)
    for number in range(mm.pf_list.count):
        entry, frame = mm.pf_list[number], 0x100000 + PAGE_SIZE * number
        if frame < 0x530000:
            assert entry[2:] == (1, PageType.RESERVED, Protection.READ_WRITE, frame)
            assert leads_to(mm, frame) == frame
        else:
            assert entry[2:] == (0, PageType.FREE, Protection.NONE, frame)
            assert leads_to(mm, frame) is None


def test_what_mm_does_not_manage_stays_as_the_loader_has_mapped_it() -> None:
    mm = make_mm(32)
    for at in (0, 0x8000, 0x9FFFF, 0xB8000, 0xFFFFF, 32 * MIB - FIRMWARE_BYTES, 32 * MIB - 1):
        assert leads_to(mm, at) == at
    assert mm.vm_alloc(0xB8000, PAGE_SIZE) == 0


def test_directory_entries_of_tables_that_are_empty_are_cleared() -> None:
    mm = make_mm(32)
    assert mm.tables.in_use() == [0, 1, 7]  # 7: the firmware's tables at the end of RAM
    mm.vm_alloc(8 * MIB, 8 * MIB)
    assert mm.tables.in_use() == [0, 1, 2, 3, 7]
    mm.vm_free(8 * MIB, 3 * MIB)
    assert mm.tables.in_use() == [0, 1, 2, 3, 7]
    mm.vm_free(11 * MIB, 1 * MIB)
    assert mm.tables.in_use() == [0, 1, 3, 7]


def test_the_processor_forgets_the_loaders_mappings_and_freed_ones() -> None:
    flush = CountedFlushes()
    mm = make_mm(32, flush=flush)
    assert flush.count == 1
    mm.vm_alloc(11 * MIB, 2 * MIB)
    assert flush.count == 1, "what was not present, no TLB holds"
    mm.vm_free(11 * MIB, 2 * MIB)
    assert flush.count == 2
    mm.vm_alloc(11 * MIB, 2 * MIB)
    mm.vm_protect(11 * MIB, 2 * MIB, Protection.READ_ONLY)
    assert flush.count == 3


@pytest.mark.parametrize("mib", [8, 16, 64, 512])
def test_machines_of_other_sizes_have_a_list_of_their_size(mib: int) -> None:
    mm = make_mm(mib)
    frames = ((mib - 1) * MIB - FIRMWARE_BYTES) // PAGE_SIZE
    first_free = -(-(PF_LIST + 24 * frames + 8 * -(-frames // 1024)) // PAGE_SIZE) * PAGE_SIZE
    assert mm.vm_alloc(0x50000000, PAGE_SIZE) == 0x50000000
    assert mm.physical(0x50000123) == first_free + 0x123
    assert mm.free_frames == (mib * MIB - FIRMWARE_BYTES - first_free) // PAGE_SIZE - 1
    assert check(mm) == []


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ([(0, 0x9FC00), (MIB, 3 * MIB)], "4100 KB at 0x100000, where there are 3072 KB"),
        ([(0, 0x9FC00)], "where there are 0 KB"),
        ([(MIB, 4 * MIB + 4 * KB)], "behind pf_list, at 0x508000, no memory is left"),
        ([(MIB, 0)], "does not exist"),
        ([(MIB, 0xFFF00001)], "does not exist"),
        ([], "0 memory ranges at 0x8000"),
        ([(MIB, MIB)] * 33, "33 memory ranges"),
    ],
)
def test_a_machine_without_room_is_told_what_is_missing(ranges: list[tuple[int, int]], message: str) -> None:
    memory = FakeMemory(16 * MIB)
    save_ranges(memory, *ranges)
    with pytest.raises(InvalidParameters, match=message):
        MemoryManager.init_mm(memory, VARIABLES)


def test_memory_that_shows_no_buffer_is_as_good(closed_memory: type) -> None:
    memory = loaded_memory(8, closed_memory(8 * MIB))
    mm = MemoryManager.init_mm(memory, VARIABLES)
    assert mm.vm_alloc(16 * MIB, 7 * KB)
    assert check(mm) == []


def test_a_part_of_a_page_at_the_end_of_memory_is_no_frame() -> None:
    memory = loaded_memory(8)
    save_ranges(memory, (MIB, 6 * MIB + 0xFFF))
    mm = MemoryManager.init_mm(memory, VARIABLES)
    assert mm.pf_list.count == 6 * 256
    assert MM.read(memory, VARIABLES)["end"] == 7 * MIB


def test_a_search_finds_frames_in_a_row_wherever_they_lie() -> None:
    """It knows of them by groups of 1024; no place may fall between two of them."""
    count = 4 * GROUP_FRAMES + 100
    pf_list = PfList.create(FakeMemory(MIB), PhysAddr(0), PhysAddr(0x100000), count, 0)
    pf_list.take(0, count, Protection.READ_WRITE)
    for first, pages in (
        (1020, 10), (1023, 2), (1024, 1), (1023, 1026), (1000, 2100), (0, 1), (0, 3072), (5, count - 5), (count - 5, 5),
        (2048, 1024), (count - 100, 100), (count - 101, 101),
    ):  # fmt: skip
        pf_list.release(first, pages)
        assert pf_list.find_free(pages) == first
        assert pf_list.find_free(pages + 1) is None
        assert pf_list.longest_free() == pages
        pf_list.take(first, pages, Protection.READ_WRITE)
    pf_list.release(1022, 4)
    pf_list.release(1030, 3)
    pf_list.release(3000, 5)
    assert [pf_list.find_free(pages) for pages in range(1, 7)] == [1022, 1022, 1022, 1022, 3000, None]


# ---- vm_alloc, vm_free, vm_protect


def test_7_kb_are_two_pages() -> None:
    mm = make_mm(32)
    free = mm.free_frames
    mm.vm_alloc(28 * MIB, 7 * KB)
    assert free - mm.free_frames == 2
    assert leads_to(mm, 28 * MIB + 0x1FFF) is not None
    assert leads_to(mm, 28 * MIB + 0x2000) is None


def test_first_fit_takes_the_lowest_gap_that_is_large_enough() -> None:
    mm = make_mm(32)
    for number in range(6):
        mm.vm_alloc(64 * MIB + number * 0x10000, 0x10000)
    mm.vm_free(64 * MIB + 1 * 0x10000, 0x2000)
    mm.vm_free(64 * MIB + 3 * 0x10000, 0x4000)
    mm.vm_free(64 * MIB + 4 * 0x10000, 0x10000)
    assert step(mm, 80 * MIB, 80 * MIB + 0x4000) == 0x560000
    assert step(mm, 81 * MIB, 81 * MIB + 0x2000) == 0x540000
    assert step(mm, 82 * MIB, 82 * MIB + 0x11000) == 0x590000
    assert step(mm, 83 * MIB, 83 * MIB + 0x10000) == 0x570000
    assert check(mm) == []


def test_a_gap_is_found_behind_any_number_of_frames_in_use() -> None:
    mm = make_mm(128)
    mm.vm_alloc(0x50000000, 40 * MIB)
    for at in range(0x50000000, 0x50000000 + 40 * MIB, 2 * PAGE_SIZE):
        mm.vm_free(at, PAGE_SIZE)
    free = mm.free_frames
    assert step(mm, 0x60000000, 0x60002000) == mm.pf_list.end + -mm.pf_list.end % PAGE_SIZE + 40 * MIB
    assert step(mm, 0x61000000, 0x61001000) == mm.pf_list.end + -mm.pf_list.end % PAGE_SIZE
    assert mm.free_frames == free - 3


def test_all_frames_can_be_had_and_not_one_more() -> None:
    said: list[str] = []
    mm = make_mm(8, log=said.append)
    whole = mm.free_frames * PAGE_SIZE
    assert mm.vm_alloc(0x50000000, whole + 1) == 0
    assert said == [f"vm_alloc(0x50000000, {whole + 1:#x}) refused: there are no {mm.free_frames + 1} free frames "
                    f"in a row, and {mm.free_frames} altogether"]  # fmt: skip
    assert mm.vm_alloc(0x50000000, whole) == 0x50000000
    assert mm.free_frames == 0
    assert mm.vm_alloc(0x60000000, 1) == 0
    assert mm.count(MmCount.EXHAUSTED) == 2
    assert check(mm) == []
    assert mm.vm_free(0x50000000, whole)
    assert mm.vm_alloc(0x60000000, whole)
    assert check(mm) == []


def test_an_overlap_is_refused_by_its_first_page_and_changes_nothing() -> None:
    said: list[str] = []
    mm = make_mm(32, log=said.append)
    mm.vm_alloc(11 * MIB, 2 * MIB)
    before = mm.memory.read(PhysAddr(0x100000), 0x430000)
    for start, end in ((11, 13), (10, 12), (12, 14), (8, 20)):
        assert mm.vm_alloc(start * MIB, (end - start) * MIB) == 0
    assert mm.vm_alloc(13 * MIB - PAGE_SIZE, 1) == 0
    assert mm.memory.read(PhysAddr(0x100000), 0x430000) == before
    assert [line.split(": ")[1] for line in said] == [
        "0x00B00000 is mapped already",
        "0x00B00000 is mapped already",
        "0x00C00000 is mapped already",
        "0x00B00000 is mapped already",
        "0x00CFF000 is mapped already",
    ]
    assert mm.vm_alloc(10 * MIB, MIB) == 10 * MIB, "up to where the other begins"
    assert mm.vm_alloc(13 * MIB, MIB) == 13 * MIB, "from where the other ends"


@pytest.mark.parametrize(
    ("linear", "size", "why"),
    [
        (0x50000800, 4096, "not the start of a page"),
        (0x50000000, 0, "no bytes"),
        (0xFFFFF000, 4097, "beyond 4 GiB"),
        (0x1_0000_0000, 4096, "beyond 4 GiB"),
    ],
)
def test_operations_that_make_no_sense_are_ignored_counted_and_reported(linear: int, size: int, why: str) -> None:
    reports: list[str] = []
    mm = make_mm(8, report=reports.append)
    assert mm.vm_alloc(linear, size) == 0
    assert not mm.vm_free(linear, size)
    assert not mm.vm_protect(linear, size, Protection.READ_ONLY)
    assert [mm.count(MmCount.INVALID_ALLOC), mm.count(MmCount.INVALID_FREE)] == [1, 2]
    assert len(reports) == 3
    assert all(why in report for report in reports), reports
    assert check(mm) == []


def test_the_last_page_below_4_gib_can_be_had() -> None:
    mm = make_mm(8)
    assert mm.vm_alloc(0xFFFFF000, 4096) == 0xFFFFF000
    assert leads_to(mm, 0xFFFFFFFF) == mm.physical(0xFFFFFFFF)
    assert check(mm) == []
    assert mm.vm_free(0xFFFFF000, 4096)
    assert check(mm) == []


@pytest.mark.parametrize(
    ("linear", "size", "first"),
    [
        (0x100000, 4096, 0x100000),
        (0xB8000, 4096, 0xB8000),
        (0x50004000, 4096, 0x50004000),
        (0x50000000, 0x5000, 0x50004000),
        (0x4FFFF000, 0x2000, 0x4FFFF000),
    ],
)
def test_only_what_vm_alloc_has_mapped_is_freed_and_all_of_it_or_nothing(linear: int, size: int, first: int) -> None:
    reports: list[str] = []
    mm = make_mm(8, report=reports.append)
    mm.vm_alloc(0x50000000, 0x4000)
    assert not mm.vm_free(linear, size)
    assert reports == [f"vm_free(0x{linear:08X}, {size:#x}) refused: 0x{first:08X} is not from vm_alloc"]
    assert mm.count(MmCount.INVALID_FREE) == 1
    assert [leads_to(mm, 0x50000000 + page * 0x1000) is None for page in range(5)] == [False] * 4 + [True]
    assert check(mm) == []


def test_a_second_free_is_ignored() -> None:
    mm = make_mm(8)
    mm.vm_alloc(0x50000000, 0x4000)
    assert mm.vm_free(0x50000000, 0x4000)
    assert not mm.vm_free(0x50000000, 0x4000)
    assert mm.count(MmCount.INVALID_FREE) == 1
    assert check(mm) == []


def test_a_range_of_several_allocations_is_freed_at_once() -> None:
    mm = make_mm(32)
    free = mm.free_frames
    mm.vm_alloc(0x50004000, 0x4000)
    mm.vm_alloc(0x50000000, 0x4000)
    mm.vm_alloc(0x50008000, 0x4000)
    assert mm.vm_free(0x50001000, 0xA000)
    assert check(mm) == []
    assert mm.free_frames == free - 2
    assert leads_to(mm, 0x50000000) == 0x534000
    assert leads_to(mm, 0x5000B000) == 0x53B000


def test_read_only_frames_are_read_only_for_everybody() -> None:
    mm = make_mm(32)
    mm.vm_alloc(0x50000000, 0x3000, Protection.READ_ONLY)
    number = mm.pf_list.number(0x530000)
    assert number is not None
    assert [mm.pf_list[number + page].protection for page in range(3)] == [Protection.READ_ONLY] * 3
    found = translate(mm.memory, VirtAddr(0x50000000), CONTROL)
    assert isinstance(found, Mapped)
    assert not found.rights.writable
    assert mm.vm_protect(0x50001000, 0x1000, Protection.READ_WRITE)
    assert [mm.tables.entry(0x50000000 + page * 0x1000) & 7 for page in range(3)] == [1, 3, 1]
    assert [mm.pf_list[number + page].protection for page in range(3)] == [1, 2, 1]
    assert check(mm) == []


def test_a_frame_is_free_when_the_last_page_table_entry_is_gone() -> None:
    mm = make_mm(32)
    free = mm.free_frames
    mm.vm_alloc(0x50000000, 0x2000)
    first = mm.pf_list.number(0x530000)
    assert first is not None
    mm.hold(first, 1)
    mm.vm_free(0x50000000, 0x2000)
    assert [tuple(mm.pf_list[first + page])[2:5] for page in (0, 1)] == [(1, PageType.MAPPED, 2), (0, PageType.FREE, 0)]
    assert mm.free_frames == free - 1
    mm.release(first, 1)
    assert mm.free_frames == free
    assert check(mm) == []
    with pytest.raises(
        Corruption, match="of 1 frames from 0x00530000 on, which were mapped, one has reference count 0"
    ):
        mm.release(first, 1)


@pytest.mark.parametrize(("member", "value"), [("type", 0x100), ("ref_count", 1)])
def test_a_list_that_says_free_and_not_free_is_never_used(member: str, value: int) -> None:
    mm = make_mm(32)
    number = mm.pf_list.number(0x531000)
    assert number is not None
    PF.write(mm.memory, PhysAddr(PF_LIST + 24 * number), **{member: value})
    before = mm.memory.read(PhysAddr(0x100000), 0x430000)
    with pytest.raises(Corruption, match="of 4 frames from 0x00530000 on, which should be FREE, one is not"):
        mm.vm_alloc(0x50000000, 0x4000)
    assert mm.memory.read(PhysAddr(0x100000), 0x430000) == before


def test_nothing_is_mapped_where_a_table_is_not_in_use_whatever_lies_in_its_room() -> None:
    mm = make_mm(8)
    mm.memory.fill(PhysAddr(0x101000 + 0x1000 * 0x140), PAGE_SIZE, 0xFF)
    assert isinstance(translate(mm.memory, VirtAddr(0x50000000), CONTROL), NotPresent)
    assert mm.vm_alloc(0x50000000, 0x1000) == 0x50000000
    assert leads_to(mm, 0x50001000) is None
    assert check(mm) == []
