"""Row K6: slab caches."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from hillemu.emu.i386.address import VirtAddr
from hillemu.kernel.errors import InvalidParameters
from hillemu.kernel.mm.debug_aids import Options
from hillemu.kernel.mm.slab import EMPTY, FULL, PARTIAL, SLABS

PLAIN = Options(red_zones=False, poison=False)


@pytest.fixture(params=[PLAIN, Options()], ids=["plain", "debug"])
def kernel(request: pytest.FixtureRequest, make_kernel: Callable[..., Any]) -> Any:
    return make_kernel(8 << 20, debug=request.param)


@pytest.mark.parametrize("size", [1, 8, 20, 64, 100, 500, 1000, 3000])
@pytest.mark.parametrize("align", [8, 64])
def test_objects_are_aligned_and_apart(kernel: Any, size: int, align: int) -> None:
    cache = kernel.caches.create("thing", size, align=align)
    objects = sorted(cache.alloc() for _ in range(3 * cache.objects_per_slab + 1))
    assert all(at % align == 0 for at in objects)
    assert all(second - first >= size for first, second in pairwise(objects))
    for at in objects:
        kernel.direct.write(at, b"\xcc" * size)
    assert not kernel.check()
    assert cache.header[SLABS] == 4
    assert all(cache.free(at) for at in objects)
    assert not kernel.check()
    assert not kernel.reports


def test_slabs_go_from_partial_to_full_and_back(kernel: Any) -> None:
    cache = kernel.caches.create("thing", 500)
    count = cache.objects_per_slab
    objects = [cache.alloc() for _ in range(count)]
    assert (len(cache.slabs(FULL)), len(cache.slabs(PARTIAL))) == (1, 0)
    cache.free(objects[3])
    assert (len(cache.slabs(FULL)), len(cache.slabs(PARTIAL))) == (0, 1)
    assert cache.alloc() == objects[3]
    for at in objects:
        cache.free(at)
    assert (len(cache.slabs(EMPTY)), cache.active) == (1, 0)
    assert not kernel.check()


def test_one_empty_slab_is_kept_and_the_others_go_back(kernel: Any) -> None:
    """Row K6: really reclaimed."""
    cache = kernel.caches.create("thing", 500)
    before = kernel.pmm.free_frames
    objects = [cache.alloc() for _ in range(5 * cache.objects_per_slab)]
    assert kernel.pmm.free_frames == before - (5 << cache.order)
    for at in objects:
        cache.free(at)
    assert kernel.pmm.free_frames == before - (1 << cache.order)
    assert kernel.caches.shrink() == 1 << cache.order
    assert kernel.pmm.free_frames == before
    assert not kernel.check()


def test_what_is_no_object_is_refused(kernel: Any) -> None:
    cache, other = kernel.caches.create("thing", 100), kernel.caches.create("other", 100)
    at, foreign = cache.alloc(1), other.alloc(1)
    for wrong in (at + 8, at - 1, foreign, 0xC0000000, 0x1000, 0xFFFFF000):
        assert not cache.free(VirtAddr(wrong))
        assert kernel.reports.pop() == f"kmem_cache_free: 0x{wrong:08X} is no object of thing"
    assert not kernel.check()


def test_a_double_free_is_refused_with_both_callers(kernel: Any) -> None:
    cache = kernel.caches.create("thing", 100)
    keep, at = cache.alloc(1), cache.alloc(1)
    assert cache.free(at, 2)
    assert not cache.free(at, 3)
    assert kernel.reports == [f"kmem_cache_free: double free of 0x{at:08X} in thing, freed by site_2, again by site_3"]
    assert cache.active == 1
    assert cache.free(keep)


def test_overflow_and_use_after_free_are_found(make_kernel: Callable[..., Any]) -> None:
    kernel = make_kernel(8 << 20)
    cache = kernel.caches.create("thing", 100)
    keep, at = cache.alloc(1), cache.alloc(1)
    kernel.direct.write(at + 100, b"\0")
    assert len(kernel.check()) == 1
    cache.free(at, 2)
    assert kernel.reports.pop().startswith(f"thing: OVERFLOW - written behind its bounds: 0x{at + 100:08X}")
    kernel.direct.write(at + 50, b"\0")
    assert len(kernel.check()) == 1
    assert cache.alloc(3) == at
    assert kernel.reports.pop().endswith(f"object at 0x{at:08X}, freed by site_2")
    assert not kernel.check()
    assert keep


def test_running_out_gives_null(kernel: Any) -> None:
    cache = kernel.caches.create("thing", 2000)
    objects = []
    while at := cache.alloc():
        objects.append(at)
    assert kernel.reports == ["kmem_cache_alloc: no slab for thing: out of memory"]
    assert not kernel.check()
    assert all(cache.free(at) for at in objects)


@pytest.mark.parametrize(
    ("name", "size", "align"), [("", 8, 8), ("x" * 20, 8, 8), ("ok", 0, 8), ("ok", 8, 12), ("ok", 40_000, 8)]
)
def test_a_cache_that_cannot_be_is_refused(kernel: Any, name: str, size: int, align: int) -> None:
    with pytest.raises(InvalidParameters, match="kmem_cache_create"):
        kernel.caches.create(name, size, align=align)
    kernel.caches.create("taken", 8)
    with pytest.raises(InvalidParameters, match="'taken' is no name for a new cache"):
        kernel.caches.create("taken", 8)


def test_callers_of_what_is_in_use_are_known(kernel: Any) -> None:
    """Row K6: the leak report's data."""
    cache = kernel.caches.create("thing", 100)
    for caller in (1, 2, 2, 3):
        at = cache.alloc(caller)
    cache.free(at)
    assert kernel.caches.callers(cache) == {1: 1, 2: 2}


def test_no_word_of_a_slabs_header_can_change_unnoticed(kernel: Any) -> None:
    cache = kernel.caches.create("thing", 500)
    cache.alloc()
    slab = cache.slabs(PARTIAL)[0]
    array = kernel.direct.u32_array(VirtAddr(slab), 24)
    unnoticed = []
    for word in range(24):
        for bit in range(32):
            array[word] ^= 1 << bit
            try:
                findings = kernel.caches.check()
            except IndexError:
                findings = ["it leads outside memory"]
            if not findings:
                unnoticed.append((word, bit))
            array[word] ^= 1 << bit
    assert not unnoticed
