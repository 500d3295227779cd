"""Rows K1 to K5: kmalloc, kfree and their family."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hillemu.emu.i386.address import PhysAddr, VirtAddr
from hillemu.kernel.layout import KERNEL_BASE
from hillemu.kernel.mm.allocation_table import ENTRY, AllocationTable, array_bytes
from hillemu.kernel.mm.assembly import KernelMemory
from hillemu.kernel.mm.debug_aids import Options
from hillemu.kernel.mm.early_pool import BRK, END, POOL_BYTES
from hillemu.kernel.mm.frame_table import Owner
from hillemu.kernel.mm.frames import order_for
from hillemu.kernel.mm.kmalloc_report import leak_lines, print_stats, statistics_of
from hillemu.kernel.mm.memory_map import MemoryRegion
from hillemu.kernel.mm.memory_use import frames_by_owner

PLAIN = Options(red_zones=False, poison=False)


@pytest.fixture(params=[PLAIN, Options()], ids=["plain", "debug"])
def kernel(request: pytest.FixtureRequest, make_kernel: Callable[..., Any]) -> Any:
    return make_kernel(8 << 20, debug=request.param)


def exhaust_pool(kernel: Any) -> list[VirtAddr]:
    got = []
    while kernel.pool.header[END] - kernel.pool.header[BRK] > 2064:
        got.append(kernel.kmalloc.kmalloc(2048))
    while kernel.pool.holds(at := kernel.kmalloc.kmalloc(8)):
        got.append(at)
    kernel.kmalloc.kfree(at)
    return got


def test_small_memory_comes_from_the_early_pool_and_large_from_pages(kernel: Any) -> None:
    """Row K1: 2,048 bytes are small; virtual is physical + 0xC0000000."""
    small, large = kernel.kmalloc.kmalloc(2048), kernel.kmalloc.kmalloc(2049)
    assert kernel.pool.holds(small)
    assert small % 8 == 0
    assert large % 4096 == 0
    row = kernel.kmalloc.row_of(large)
    assert (row.virt, row.size, row.pages) == (row.phys + KERNEL_BASE, 2049, 1)
    assert kernel.kmalloc.row_of(small).phys == 0
    assert not kernel.check()


def test_zero_bytes_give_null(kernel: Any) -> None:
    """Row K1."""
    assert kernel.kmalloc.kmalloc(0) == 0
    assert kernel.kmalloc.kmalloc(-5) == 0
    assert not kernel.reports
    assert kernel.table.tracked == 0


def test_without_debug_aids_the_pool_is_packed_as_in_the_seed(make_kernel: Callable[..., Any]) -> None:
    """The seed's addresses: 0xC029A2E0, 0x80 further, 0x400 further."""
    kmalloc = make_kernel(debug=PLAIN).kmalloc
    first, second = kmalloc.kmalloc(128), kmalloc.kmalloc(1024)
    assert (second - first, kmalloc.kzalloc(512) - second) == (128, 1024)


def test_the_seeds_six_tests_print_the_seeds_numbers(make_kernel: Callable[..., Any]) -> None:
    """Row K5: 5 tracked, 2 physical allocations, 6 pages, then 2 pages; and the seed's two byte counts."""
    kernel = make_kernel(debug=PLAIN, log_kmalloc=True)
    kernel.lines.clear()
    kmalloc = kernel.kmalloc
    pointers = [kmalloc.kmalloc(size) for size in (128, 1024, 8192, 16384)]
    pointers.append(kmalloc.kzalloc(512))
    print_stats(kernel.table, kernel.lines.append)
    assert kmalloc.kfree(pointers[1])
    assert kmalloc.kfree(pointers[3])
    print_stats(kernel.table, kernel.lines.append)
    large, extra = pointers[2], pointers[3]
    assert kernel.lines == [
        f"kmalloc: allocated 8192 bytes (2 pages) at virt=0x{large:X}, phys=0x{large - KERNEL_BASE:X}",
        f"kmalloc: allocated 16384 bytes (4 pages) at virt=0x{extra:X}, phys=0x{extra - KERNEL_BASE:X}",
        "=== Kernel Allocation Statistics ===",
        "  Total allocations tracked: 5/1024",
        "  Virtual memory (early pool): 26240 bytes",
        "  Physical allocations: 2",
        "  Physical pages used: 6 (0 MB)",
        "=====================================",
        f"kfree: freeing 1024 bytes (0 pages) at virt=0x{pointers[1]:X}, phys=0x0",
        f"kfree: freeing 16384 bytes (4 pages) at virt=0x{extra:X}, phys=0x{extra - KERNEL_BASE:X}",
        "=== Kernel Allocation Statistics ===",
        "  Total allocations tracked: 5/1024",
        "  Virtual memory (early pool): 8832 bytes",
        "  Physical allocations: 1",
        "  Physical pages used: 2 (0 MB)",
        "=====================================",
    ]
    assert not kernel.check()


def test_freed_pages_are_really_given_back(kernel: Any) -> None:
    """Row K3: the seed's kfree had a TO-DO here."""
    before = kernel.pmm.free_frames
    for _ in range(3):
        pointers = [kernel.kmalloc.kmalloc(size) for size in (5000, 4096, 100_000)]
        assert kernel.pmm.free_frames == before - 2 - 1 - 32
        assert all(kernel.kmalloc.kfree(at) for at in pointers)
        assert kernel.pmm.free_frames == before
    assert not kernel.check()


def test_freed_pool_memory_is_handed_out_again(kernel: Any) -> None:
    """Row K3, the other tier: a hundred times the pool's size passes through it."""
    brk = kernel.pool.header[BRK]
    for _ in range(100):
        pointers = [kernel.kmalloc.kmalloc(2000) for _ in range(500)]
        assert all(kernel.pool.holds(at) for at in pointers)
        assert all(kernel.kmalloc.kfree(at) for at in pointers)
    assert kernel.pool.header[BRK] - brk <= POOL_BYTES
    assert not kernel.check()


def test_neighbours_are_merged_when_larger_memory_is_wanted(kernel: Any) -> None:
    """Row K3: a pool that was filled with small blocks serves large ones afterwards."""
    pointers = []
    while kernel.pool.holds(at := kernel.kmalloc.kmalloc(56)):
        pointers.append(at)
    kernel.kmalloc.kfree(at)
    for at in pointers:
        assert kernel.kmalloc.kfree(at)
    large = [kernel.kmalloc.kmalloc(2048) for _ in range(400)]
    assert all(kernel.pool.holds(at) for at in large)
    assert not kernel.check()


def test_when_the_pool_is_exhausted_slabs_serve_and_give_back(kernel: Any) -> None:
    """Rows K1 and K6: the early pool is where small memory comes from first, not a limit."""
    exhaust_pool(kernel)
    kernel.caches.shrink()
    before = kernel.pmm.free_frames
    pointers = [kernel.kmalloc.kmalloc(size) for size in (1, 16, 17, 100, 500, 1000, 1900) * 20]
    assert all(pointers)
    assert not any(kernel.pool.holds(at) for at in pointers)
    assert kernel.pmm.free_frames < before
    assert not kernel.check()
    for at in pointers:
        assert kernel.kmalloc.kfree(at)
    kernel.caches.shrink()
    assert kernel.pmm.free_frames == before
    assert not kernel.check()
    assert not kernel.reports


def test_an_unknown_pointer_is_warned_about(kernel: Any) -> None:
    """Row K3: a pointer into the middle of an allocation is unknown as well."""
    at = kernel.kmalloc.kmalloc(64)
    assert not kernel.kmalloc.kfree(VirtAddr(at + 8), 7)
    assert not kernel.kmalloc.kfree(VirtAddr(0x12345678), 8)
    assert kernel.reports == [
        f"kfree: WARNING - unknown pointer 0x{at + 8:08X}, by site_7",
        "kfree: WARNING - unknown pointer 0x12345678, by site_8",
    ]
    assert not kernel.check()


@pytest.mark.parametrize("size", [100, 5000])
def test_a_double_free_is_told_with_all_three_callers(kernel: Any, size: int) -> None:
    """Row K3."""
    at = kernel.kmalloc.kmalloc(size, 1)
    assert kernel.kmalloc.kfree(at, 2)
    assert not kernel.kmalloc.kfree(at, 3)
    what = f"{size} bytes at 0x{at:08X}, allocated by site_1, freed by site_2"
    assert kernel.reports == [f"kfree: WARNING - double free of {what}, again by site_3"]
    assert not kernel.check()


def test_freeing_null_is_nothing(kernel: Any) -> None:
    assert not kernel.kmalloc.kfree(VirtAddr(0))
    assert not kernel.reports


def test_kzalloc_clears_what_was_there(kernel: Any) -> None:
    """Row K4: no information leaks."""
    for size in (512, 9000):
        at = kernel.kmalloc.kmalloc(size)
        kernel.direct.write(at, b"\xee" * size)
        kernel.kmalloc.kfree(at)
        again = kernel.kmalloc.kzalloc(size)
        assert again == at
        assert kernel.direct.read(again, size) == bytes(size)
    assert kernel.kmalloc.kzalloc(0) == 0


@pytest.mark.parametrize(("old", "new"), [(100, 50), (100, 104), (100, 2000), (100, 5000), (5000, 100), (5000, 9000)])
def test_krealloc_keeps_the_content(kernel: Any, old: int, new: int) -> None:
    """Row K4."""
    at = kernel.kmalloc.kmalloc(old)
    content = bytes(index * 7 & 0xFF for index in range(old))
    kernel.direct.write(at, content)
    other = kernel.kmalloc.krealloc(at, new)
    kept = min(old, new)
    assert kernel.direct.read(other, kept) == content[:kept]
    assert kernel.kmalloc.ksize(other) == new
    assert statistics_of(kernel.table).live == 1
    assert not kernel.check()
    assert not kernel.reports


def test_krealloc_of_null_allocates_and_to_zero_frees(kernel: Any) -> None:
    """Row K4."""
    at = kernel.kmalloc.krealloc(VirtAddr(0), 100)
    assert kernel.kmalloc.ksize(at) == 100
    assert kernel.kmalloc.krealloc(at, 0) == 0
    assert kernel.kmalloc.ksize(at) == 0
    assert kernel.kmalloc.krealloc(at, 10) == 0
    assert "double free" in kernel.reports[-1]


def test_a_krealloc_that_fails_has_changed_nothing(kernel: Any) -> None:
    at = kernel.kmalloc.kmalloc(3000)
    kernel.direct.write(at, b"still here")
    assert kernel.kmalloc.krealloc(at, 1 << 30, 9) == 0
    assert kernel.direct.read(at, 10) == b"still here"
    assert kernel.reports == ["kmalloc: failed to allocate 1073741824 bytes for site_9"]
    assert not kernel.check()


@pytest.mark.parametrize("align", [1, 8, 16, 32, 64, 256, 1024, 4096, 8192, 65536])
@pytest.mark.parametrize("size", [1, 24, 100, 2048, 5000])
def test_kmalloc_aligned_aligns(kernel: Any, size: int, align: int) -> None:
    """Row K4: the seed's missing feature."""
    kernel.kmalloc.kmalloc(24)
    pointers = [kernel.kmalloc.kmalloc_aligned(size, align) for _ in range(5)]
    assert all(at and at % align == 0 for at in pointers)
    assert len(set(pointers)) == 5
    for at in pointers:
        kernel.direct.write(at, b"\xaa" * size)
    assert not kernel.check()
    assert all(kernel.kmalloc.kfree(at) for at in pointers)
    assert not kernel.check()
    assert not kernel.reports


@pytest.mark.parametrize("align", [0, -8, 3, 24, 1 << 23])
def test_an_alignment_that_cannot_be_is_refused(kernel: Any, align: int) -> None:
    assert kernel.kmalloc.kmalloc_aligned(100, align) == 0
    assert f"{align} is no power of two" in kernel.reports[0]


def test_running_out_gives_null_and_leaves_everything_in_order(kernel: Any) -> None:
    pointers = []
    while at := kernel.kmalloc.kmalloc(200_000, 5):
        pointers.append(at)
    assert kernel.reports == ["kmalloc: failed to allocate 200000 bytes for site_5"]
    assert not kernel.check()
    assert all(kernel.kmalloc.kfree(at) for at in pointers)
    assert not kernel.check()


def test_more_than_the_largest_block_is_refused(kernel: Any) -> None:
    assert kernel.kmalloc.kmalloc((4 << 20) + 1) == 0
    assert len(kernel.reports) == 1


def test_the_table_grows_instead_of_failing_at_1024(kernel: Any) -> None:
    """Row K2."""
    pointers = [kernel.kmalloc.kmalloc(8) for _ in range(3000)]
    assert all(pointers)
    assert len(set(pointers)) == 3000
    assert statistics_of(kernel.table).capacity == 4096
    assert statistics_of(kernel.table).live == 3000
    arrays = 1 << order_for(-(-array_bytes(4096) // 4096))
    assert frames_by_owner(kernel.pmm)[Owner.KERNEL] == arrays, "the arrays in between were given back"
    assert not kernel.check()
    assert all(kernel.kmalloc.kfree(at) for at in pointers)
    assert not kernel.check()
    assert not kernel.reports


def test_a_table_full_of_the_dead_is_cleaned_not_grown(make_kernel: Callable[..., Any]) -> None:
    """Row K2: pages at ever new addresses do not fill the table for ever."""
    kernel = make_kernel(16 << 20)
    for _ in range(3):
        pointers = [kernel.kmalloc.kmalloc(4000) for _ in range(600)]
        for at in pointers:
            kernel.kmalloc.kfree(at)
        kernel.pmm.alloc(8)
    assert statistics_of(kernel.table).capacity == 1024
    assert not kernel.check()


def test_cleaning_the_table_forgets_no_free_block(make_kernel: Callable[..., Any]) -> None:
    """Free blocks of the pool are entries of the dead, and must survive when those of pages are dropped."""
    kernel = make_kernel(8 << 20)
    pointers = [kernel.kmalloc.kmalloc(40) for _ in range(1000)]
    freed = pointers[::2]
    for at in freed:
        kernel.kmalloc.kfree(at)
    assert kernel.table.capacity == 1024
    pages = [kernel.kmalloc.kmalloc(5000) for _ in range(30)]
    assert all(pages)
    assert kernel.table.capacity == 2048
    assert not kernel.check()
    assert {kernel.kmalloc.kmalloc(40) for _ in freed} == set(freed)


def test_a_table_that_cannot_grow_fails_the_request_and_nothing_else(make_kernel: Callable[..., Any]) -> None:
    kernel = make_kernel(4 << 20)
    kept = [kernel.kmalloc.kmalloc(8) for _ in range(1000)]
    while kernel.pmm.alloc_page():
        pass
    kernel.reports.clear()
    got = [kernel.kmalloc.kmalloc(8) for _ in range(100)]
    assert 0 in got
    assert "the allocation table cannot grow beyond 1024 entries" in kernel.reports[0]
    assert kernel.kmalloc.check() == []
    assert all(kernel.kmalloc.kfree(at) for at in kept)


def test_the_entries_are_the_seeds(make_kernel: Callable[..., Any]) -> None:
    """Row K2: 20 bytes, in guest memory, as `struct allocation_header` has them."""
    kernel = make_kernel(debug=PLAIN)
    at = kernel.kmalloc.kmalloc(9000)
    entry = ENTRY.read(kernel.memory, PhysAddr(kernel.table.arrays_at - KERNEL_BASE + ENTRY.size_bytes))
    assert entry == {"virt": at, "phys": at - KERNEL_BASE, "size": 9000, "pages": 4, "in_use": 1, "unused": bytes(3)}
    kernel.kmalloc.kfree(at)
    assert AllocationTable(kernel.direct, kernel.table.at).row(1).in_use == 0


def test_what_a_debugger_changes_is_what_counts(make_kernel: Callable[..., Any]) -> None:
    """There is no second truth in Python: an entry that is cleared in guest memory is free."""
    kernel = make_kernel(debug=PLAIN)
    at = kernel.kmalloc.kmalloc(100)
    entry = PhysAddr(kernel.table.arrays_at - KERNEL_BASE + ENTRY.size_bytes)
    ENTRY.write(kernel.memory, entry, in_use=0)
    assert any("blocks are free" in finding for finding in kernel.check())
    assert not kernel.kmalloc.kfree(at)
    ENTRY.write(kernel.memory, entry, in_use=1)
    assert not kernel.check()


def test_check_sees_damage_in_the_table(kernel: Any) -> None:
    at = kernel.kmalloc.kmalloc(9000)
    kernel.kmalloc.kmalloc(50)
    entry = PhysAddr(kernel.table.arrays_at - KERNEL_BASE + kernel.table.find(at) * ENTRY.size_bytes)
    wrongs = [("virt", at + 4096), ("phys", 0), ("size", 40_000), ("pages", 2), ("in_use", 0), ("in_use", 2)]
    for member, wrong in wrongs:
        right = ENTRY.get(kernel.memory, entry, member)
        ENTRY.write(kernel.memory, entry, **{member: wrong})
        assert kernel.check(), f"{member} = {wrong:#x} went unnoticed"
        ENTRY.write(kernel.memory, entry, **{member: right})
    assert not kernel.check()


def test_the_leak_report_names_who_allocated_what_is_left(kernel: Any) -> None:
    """Row K6."""
    kernel.kmalloc.kmalloc(100, 1)
    kernel.kmalloc.kmalloc(5000, 2)
    kernel.kmalloc.kfree(kernel.kmalloc.kmalloc(64, 3))
    kernel.kmalloc.kmalloc(28, 1)
    assert list(leak_lines(kernel.table, lambda at: f"site_{at}")) == [
        "kmalloc: 1 allocation of 5000 bytes by site_2 not freed",
        "kmalloc: 2 allocations of 128 bytes by site_1 not freed",
        "kmalloc: in all 3 allocations of 5128 bytes not freed",
    ]


def test_it_works_on_a_memory_that_shows_no_buffer(closed_memory: Any) -> None:
    memory = closed_memory(4 << 20)
    built = KernelMemory.build(memory, [MemoryRegion(1 << 20, 3 << 20, 1)])
    pointers = [built.kmalloc.kzalloc(size) for size in (10, 2000, 5000)]
    assert all(pointers)
    assert all(built.kmalloc.kfree(at) for at in pointers)
    assert not built.check()
