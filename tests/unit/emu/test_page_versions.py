"""Page versions against a plain model, a list of whole copies; and what the host says against what was written."""

from __future__ import annotations

import gc
import mmap
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hillemu.emu import host_pages
from hillemu.emu.host_pages import PAGE_SIZE, HostPages
from hillemu.emu.page_versions import CopiedVersions, SharedVersions, Version, versions_of

PAGES = 64
BOTH = pytest.mark.parametrize("kind", [SharedVersions, CopiedVersions])
Kind = Callable[[mmap.mmap], SharedVersions | CopiedVersions]


def mapping(pages: int = PAGES) -> mmap.mmap:
    return mmap.mmap(-1, pages * PAGE_SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, PAGES * PAGE_SIZE - 9), st.integers(0, 3)),
        st.tuples(st.just("fill"), st.integers(0, PAGES - 9), st.integers(0, 3)),
        st.tuples(st.just("keep"), st.just(0), st.just(0)),
        st.tuples(st.just("go"), st.integers(0, 99), st.just(0)),
        st.tuples(st.just("drop"), st.integers(0, 99), st.just(0)),
    ),
    max_size=40,
)


@BOTH
@settings(max_examples=120, deadline=None)
@given(steps=STEPS)
def test_every_version_comes_back_in_any_order(kind: Kind, steps: list[tuple[str, int, int]]) -> None:
    memory = mapping()
    versions = kind(memory)
    kept: list[tuple[Version, bytes]] = []
    for step, at, value in steps:
        if step == "write":
            memory[at : at + 9] = bytes([value]) * 9
        elif step == "fill":
            memory[at * PAGE_SIZE : (at + 9) * PAGE_SIZE] = bytes([value]) * (9 * PAGE_SIZE)
        elif step == "keep":
            kept.append((versions.keep(), memory[:]))
        elif step == "drop" and kept:
            del kept[at % len(kept)]
        elif step == "go" and kept:
            version, content = kept[at % len(kept)]
            before = memory[:]
            told = versions.go_to(version)
            assert memory[:] == content
            assert told == sorted(told)
            for page in range(0, len(memory), PAGE_SIZE):
                if before[page : page + PAGE_SIZE] != content[page : page + PAGE_SIZE]:
                    assert any(start <= page < end for start, end in told), "a change that nobody was told of"
    now = memory[:]
    for start in range(0, len(memory), PAGE_SIZE):
        if any(now[start : start + PAGE_SIZE]):
            assert any(a <= start < b for a, b in versions.touched()), "sha256 would leave this page out"


@BOTH
def test_versions_share_what_they_have_in_common(kind: Kind) -> None:
    memory = mapping()
    memory[:] = b"a" * len(memory)
    versions = kind(memory)
    kept = []
    for page in range(10):
        memory[page * PAGE_SIZE] = page + 1
        kept.append(versions.keep())
    assert versions.held_bytes <= 10 * PAGE_SIZE


def test_dropping_versions_gives_their_memory_back() -> None:
    memory = mapping()
    versions = SharedVersions(memory)
    first = versions.keep()
    memory[:] = b"b" * len(memory)
    second = versions.keep()
    memory[:] = b"c" * len(memory)
    third = versions.keep()
    assert versions.held_bytes == 2 * len(memory)
    del second
    assert versions.held_bytes == len(memory), "the first version needs one copy only"
    versions.go_to(first)
    assert memory[0] == 0
    del first
    assert versions.held_bytes == 0
    versions.go_to(third)
    assert memory[:2] == b"cc"


def test_going_back_where_nobody_wants_the_newer_versions_holds_nothing() -> None:
    memory = mapping()
    versions = SharedVersions(memory)
    first = versions.keep()
    memory[:] = b"b" * len(memory)
    second = versions.keep()
    del second
    versions.go_to(first)
    assert versions.held_bytes == 0
    assert HostPages(memory).changed() == []


def test_versions_end_with_their_mapping(tmp_path: Path) -> None:
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("only Linux lists open files there")
    gc.collect()
    before = len(list(descriptors.iterdir()))
    for _ in range(5):
        memory = mapping()
        versions = versions_of(memory)
        kept = versions.keep()
        del memory, versions, kept
    gc.collect()
    assert len(list(descriptors.iterdir())) <= before


WRITES = st.sets(st.integers(0, PAGES - 1))


@settings(max_examples=50, deadline=None)
@given(written=WRITES)
def test_reading_pagemap_and_scanning_it_tell_the_same(written: set[int]) -> None:
    if not host_pages._can_scan():
        pytest.skip("this kernel has no PAGEMAP_SCAN (Linux 6.7)")
    memory = mapping()
    memory[::PAGE_SIZE] = b"x" * PAGES
    versions = SharedVersions(memory)
    kept = versions.keep()
    for page in written:
        memory[page * PAGE_SIZE + 5] = 1
    pages = HostPages(memory)
    assert sorted(page for start, end in pages.changed() for page in range(start >> 12, end >> 12)) == sorted(written)
    assert list(pages._read(host_pages._IS_ITS_OWN)) == pages.changed()
    del kept


def test_many_regions_are_told_in_several_calls() -> None:
    memory = mapping(8192)
    versions = SharedVersions(memory)
    kept = versions.keep()
    for page in range(0, 8192, 2):
        memory[page * PAGE_SIZE] = 1
    assert HostPages(memory).changed() == [(page * PAGE_SIZE, (page + 1) * PAGE_SIZE) for page in range(0, 8192, 2)]
    del kept


def test_without_pagemap_every_page_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_pages, "PAGEMAP", "/proc/self/no-such-file")
    host_pages._can_scan.cache_clear()
    try:
        memory = mapping()
        versions = versions_of(memory)
        assert isinstance(versions, CopiedVersions)
        memory[77] = 1
        first = versions.keep()
        memory[77] = 2
        memory[40 * PAGE_SIZE] = 3
        versions.go_to(first)
        assert (memory[77], memory[40 * PAGE_SIZE]) == (1, 0)
    finally:
        host_pages._can_scan.cache_clear()
