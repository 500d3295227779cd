"""Row K6: fences, poison, and who is to blame."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def kernel(make_kernel: Callable[..., Any]) -> Any:
    return make_kernel(8 << 20)


@pytest.mark.parametrize("size", [1, 7, 8, 100, 2048])
@pytest.mark.parametrize("offset", [-8, -1, 0, 7])
def test_one_byte_out_of_bounds_is_found_and_blamed(kernel: Any, size: int, offset: int) -> None:
    """`offset` counts from the start if it is negative, else from the end: byte-exact on both sides."""
    at = kernel.kmalloc.kmalloc(size, 1)
    where = at + offset + (size if offset >= 0 else 0)
    kernel.direct.write(where, b"\x41")
    side = "behind" if offset >= 0 else "before"
    fault = f"written {side} its bounds: 0x{where:08X}-0x{where:08X} is 41"
    assert kernel.check() == [f"kmalloc: {fault}; {size} bytes at 0x{at:08X}, allocated by site_1"]
    assert kernel.kmalloc.kfree(at, 2)
    assert kernel.reports == [
        f"kfree: OVERFLOW - {size} bytes at 0x{at:08X}, {fault}; allocated by site_1, freed by site_2"
    ]
    assert not kernel.check(), "the damage is told once, and mended"


def test_writing_within_bounds_is_no_fault(kernel: Any) -> None:
    for size in (1, 9, 500, 2048, 2049, 4096, 5000):
        at = kernel.kmalloc.kmalloc(size)
        kernel.direct.write(at, b"\x41" * size)
        assert not kernel.check()
        kernel.kmalloc.kfree(at)
    assert not kernel.reports


def test_the_rest_of_a_page_is_fenced_too(kernel: Any) -> None:
    at = kernel.kmalloc.kmalloc(5000, 1)
    kernel.direct.write(at + 8191, b"\0")
    kernel.kmalloc.kfree(at, 2)
    assert "written behind its bounds" in kernel.reports[0]


def test_a_write_after_free_is_found_when_the_memory_is_handed_out_again(kernel: Any) -> None:
    at = kernel.kmalloc.kmalloc(64, 1)
    kernel.kmalloc.kfree(at, 2)
    kernel.direct.write(at + 10, b"evil")
    fault = f"written after it was freed: 0x{at + 10:08X}-0x{at + 13:08X} is 65 76 69 6c"
    what = f"64 bytes at 0x{at:08X}, allocated by site_1, freed by site_2"
    assert kernel.check() == [f"kmalloc: {fault}; {what}"]
    assert kernel.kmalloc.kmalloc(64, 3) == at
    assert kernel.reports == [f"kmalloc: USE AFTER FREE - {fault}; {what}"]
    assert not kernel.check()


def test_freed_memory_is_poisoned(kernel: Any) -> None:
    at = kernel.kmalloc.kmalloc(64)
    kernel.direct.write(at, b"secret")
    kernel.kmalloc.kfree(at)
    assert kernel.direct.read(at, 64) == b"\x6b" * 64


def test_a_write_after_free_is_found_when_neighbours_are_merged(kernel: Any) -> None:
    pointers = []
    while kernel.pool.holds(at := kernel.kmalloc.kmalloc(56, 1)):
        pointers.append(at)
    for at in pointers:
        kernel.kmalloc.kfree(at, 2)
    kernel.direct.write(pointers[3], b"\0")
    while kernel.pool.holds(kernel.kmalloc.kmalloc(2048)):
        pass
    found = [report for report in kernel.reports if f"0x{pointers[3]:08X}-" in report]
    assert len(found) == 1
    assert "USE AFTER FREE" in found[0]
    assert found[0].endswith("allocated by site_1, freed by site_2")
    assert not kernel.check()


def test_a_wild_write_cannot_break_the_allocator(kernel: Any) -> None:
    """No list runs through the memory itself: all of it may be overwritten, and the structures still agree."""
    pointers = [kernel.kmalloc.kmalloc(40) for _ in range(50)]
    for at in pointers[::2]:
        kernel.kmalloc.kfree(at)
    first, last = min(pointers) - 8, max(pointers) + 48
    kernel.direct.write(first, b"\xff" * (last - first))
    for at in pointers[1::2]:
        assert kernel.kmalloc.kfree(at)
    assert len({kernel.kmalloc.kmalloc(40) for _ in range(50)}) == 50
    assert not kernel.check()
    assert len(kernel.reports) == 50


def test_a_long_damage_is_cut_short_in_its_report(kernel: Any) -> None:
    at = kernel.kmalloc.kmalloc(16, 1)
    kernel.direct.write(at + 16, bytes(8))
    kernel.kmalloc.kfree(at)
    assert "is 00 00 00 00 00 00 00 00;" in kernel.reports[0]
    at = kernel.kmalloc.kmalloc(3000, 1)
    kernel.direct.write(at + 3000, bytes(100))
    kernel.kmalloc.kfree(at)
    assert "is 00 00 00 00 00 00 00 00 ...;" in kernel.reports[1]
