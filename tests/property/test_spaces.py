"""Whole spaces: the two engines agree with each other, and both with the walk of every page, on whatever lies in RAM.

Memory is a handful of frames, and entries lead to any of them or outside: tables are shared, recursive and used on two
levels at once.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hillemu.emu.guest import FakeGuest, FakeMemory, Segment
from hillemu.emu.i386.address import PAGE_SIZE, PhysAddr, VirtAddr
from hillemu.emu.i386.control import PEEK, ControlState, PagingMode
from hillemu.emu.i386.outcomes import Mapped, Translation
from hillemu.emu.i386.paging import translate
from hillemu.emu.i386.registers import Cr0, Cr4, Efer
from hillemu.emu.i386.spaces import FLAGS, RIGHTS, Columns, Region, Regions, capture_tables
from hillemu.emu.i386.spaces_numpy import runs_by_numpy
from hillemu.emu.i386.spaces_plain import runs_by_plain_python
from hillemu.inspection.differences import ChangeKind, differences
from hillemu.inspection.spaces import Paging

FRAMES = 8
PLAIN_FLAGS = (0x01, 0x03, 0x07, 0x07, 0x25, 0x67, 0x83, 0x87, 0xE7, 0x103, 0x167, 0x11)
HIGH_BITS = (0,) * 12 + (1 << 63, 1 << 63, 1 << 63, 1 << 39, 1 << 40, 1 << 52, 1 << 62)


@st.composite
def spaces(draw: st.DrawFn) -> tuple[FakeMemory, ControlState]:
    """A few frames full of entries, most of which lead to another of the frames; runs follow each other or repeat."""
    pae = draw(st.booleans())
    control = ControlState(
        cr0=Cr0.of(PG=1, PE=1, WP=draw(st.integers(0, 1))),
        cr3=draw(st.sampled_from((0, 0, 0, 0, 1, FRAMES))) * PAGE_SIZE + draw(st.sampled_from((0, 32))),
        cr4=Cr4.of(PAE=int(pae), PSE=draw(st.integers(0, 1)), PGE=draw(st.integers(0, 1))),
        efer=Efer.of(NXE=draw(st.integers(0, 1))),
    )
    dice = Random(draw(st.integers(0, 1 << 32)))
    memory = FakeMemory(FRAMES * PAGE_SIZE)
    for frame in range(FRAMES):
        memory.write(PhysAddr(frame * PAGE_SIZE), entries(dice, pae))
    if pae:
        for number in range(8):  # PDPTEs, wherever CR3 leads; most have no other bit than P
            pointer = (
                dice.randrange(FRAMES) << 12 | dice.choice((0, 1, 1, 1, 1, 3)) | dice.choice((0,) * 9 + (1 << 63,))
            )
            memory.write(PhysAddr(8 * number), struct.pack("<Q", pointer))
    return memory, control


def entries(dice: Random, pae: bool) -> bytes:
    """A table: runs of 1 to 60 entries, nine of ten of them not present."""
    words: list[int] = []
    count = 512 if pae else 1024
    while len(words) < count:
        length = dice.choice((1, 1, 2, 3, 9, 60))
        if dice.random() < 0.9:
            words += [0] * length
            continue
        base = dice.randrange(FRAMES) if dice.random() < 0.8 else dice.randrange(1 << 20)
        step = dice.choice((0, 1, 1, 1, 512, 1024))
        flags = dice.choice(PLAIN_FLAGS) if dice.random() < 0.8 else dice.randrange(1 << 12)
        high = dice.choice(HIGH_BITS) if pae else 0
        words += [(base + number * step & 0xFFFFF) << 12 | flags | high for number in range(length)]
    return struct.pack("<512Q" if pae else "<1024I", *words[:count])


def probes(columns: Columns) -> Iterator[int]:
    """Addresses at and around the borders of runs."""
    rows = list(zip(columns.start, columns.size_bytes, strict=True))
    for start, size in rows[:: len(rows) // 60 + 1]:
        for at in (start - 1, start, start + size // 2, start + size - 1, start + size):
            if 0 <= at <= 0xFFFFFFFF:
                yield at


@settings(max_examples=50, deadline=None)
@given(spaces(), st.lists(st.integers(0, 0xFFFFFFFF), max_size=30))
def test_both_engines_say_what_the_walk_says(space: tuple[FakeMemory, ControlState], more: list[int]) -> None:
    memory, control = space
    tables = capture_tables(memory, control)
    for key_mask in (RIGHTS, RIGHTS | FLAGS):
        columns = runs_by_plain_python(tables, key_mask)
        assert runs_by_numpy(tables, key_mask) == columns
        regions = Regions(columns)
        for at in (*probes(columns), *more):
            walked = translate(memory, VirtAddr(at), control, PEEK)
            assert translate(tables, VirtAddr(at), control, PEEK) == walked
            check(regions.find(at), at, walked, exact=bool(key_mask & FLAGS))
        for one, other in pairwise(regions[:200]):
            assert one.end <= other.start
            assert not joins(one, other, exact=bool(key_mask & FLAGS))


def check(region: Region | None, at: int, walked: Translation, exact: bool) -> None:
    if region is None:
        assert not isinstance(walked, Mapped), walked.explain()
        return
    assert isinstance(walked, Mapped), walked.explain()
    found = (region.phys_at(at), region.page_size_bytes, region.rights)
    assert found == (walked.phys, walked.page_size_bytes, walked.rights), walked.explain()
    if exact:
        flags = (walked.accessed, walked.dirty, walked.global_page)
        counts = (region.accessed_pages, region.dirty_pages, region.global_pages)
        assert counts == tuple(region.pages * flag for flag in flags), walked.explain()


def joins(one: Region, other: Region, exact: bool) -> bool:
    """Whether two neighbours should have been one run."""
    follows = one.end == other.start and one.phys_end == other.phys
    alike = (one.rights, one.page_size_bytes) == (other.rights, other.page_size_bytes)
    same_flags = set(one.flags) == set(other.flags)
    return follows and alike and (same_flags or not exact)


@settings(max_examples=20, deadline=None)
@given(spaces(), spaces(), st.lists(st.integers(0, 0xFFFFFFFF), max_size=30))
def test_differences_say_of_every_address_what_changed(
    before: tuple[FakeMemory, ControlState], after: tuple[FakeMemory, ControlState], more: list[int]
) -> None:
    olds, news = (Regions(runs_by_plain_python(capture_tables(*space), RIGHTS)) for space in (before, after))
    changes = differences(olds, news)
    assert all(one.end <= other.start for one, other in pairwise(changes))
    for at in (*probes(olds.columns), *probes(news.columns), *more):
        found = [change.kind for change in changes[:5000] if change.start <= at < change.end]
        if len(changes) <= 5000:
            assert found == expected_change(olds.find(at), news.find(at), at)
    assert differences(olds, olds) == []


def expected_change(old: Region | None, new: Region | None, at: int) -> list[ChangeKind]:
    if old is None or new is None:
        return [] if old is new else [ChangeKind.MAPPED if old is None else ChangeKind.UNMAPPED]
    if old.phys_at(at) != new.phys_at(at):
        return [ChangeKind.MOVED]
    if old.rights != new.rights:
        return [ChangeKind.RIGHTS]
    return [ChangeKind.PAGE_SIZE] if old.page_size_bytes != new.page_size_bytes else []


@pytest.mark.parametrize("cr4", [0, Cr4.PAE.mask], ids=["32-bit", "PAE"])
def test_one_frame_that_is_every_table_is_a_whole_space(cr4: int) -> None:
    """The worst that garbage can do: every entry leads to the frame that it lies in."""
    memory = FakeMemory(PAGE_SIZE)
    word = struct.pack("<Q", 1) if cr4 else struct.pack("<I", 7)
    memory.write(PhysAddr(0), word * (PAGE_SIZE // len(word)))
    control = ControlState(Cr0.of(PG=1, PE=1), 0, cr4)
    tables = capture_tables(memory, control)
    assert list(tables.frames) == [0]
    columns = runs_by_numpy(tables, RIGHTS)
    assert len(columns.start) == 1 << 20
    assert sum(columns.size_bytes) == 1 << 32
    assert control.mode is (PagingMode.PAE if cr4 else PagingMode.LEGACY)


@settings(max_examples=15, deadline=None)
@given(spaces(), st.integers(0, 0xFFFFFFFF), st.binary(min_size=64, max_size=64))
def test_every_view_answers_whatever_lies_in_memory(
    space: tuple[FakeMemory, ControlState], anywhere: int, descriptors: bytes
) -> None:
    memory, control = space
    guest = FakeGuest(PAGE_SIZE)
    memory.write(PhysAddr(PAGE_SIZE - len(descriptors)), descriptors)
    guest.registers.values.update(cr0=control.cr0, cr3=control.cr3, cr4=control.cr4, efer=control.efer, eip=anywhere)
    for name in ("gdtr", "idtr", "tr", "ldtr", "cs", "ss"):
        guest.registers.segments[name] = Segment(anywhere & 0xFFF8, anywhere, 0xFFFF, 0x8B00)
    paging = Paging(memory, guest.registers)
    capture = paging.capture()
    findings = list(capture.lint())
    assert findings == list(paging.lint())
    for finding in findings:
        assert 0 <= finding.start < finding.end <= 1 << 32, finding
    told = capture.statistics()
    assert told.mapped_bytes == sum(region.size_bytes for region in capture)
    assert told.regions == len(capture)
    assert capture.info_mem() == paging.info_mem()
    assert str(capture) == str(paging)
    assert capture._repr_html_() == paging._repr_html_()
    assert sum(one.size_bytes for one in capture.who_maps(1)) == PAGE_SIZE * len(paging.who_maps(1))


@pytest.mark.parametrize("runs_of", [runs_by_plain_python, runs_by_numpy])
def test_a_large_page_does_not_join_the_small_ones_that_lead_up_to_it(runs_of: Callable[..., Columns]) -> None:
    memory = FakeMemory(3 * PAGE_SIZE)
    for at, entry in ((0x0, 0x1003), (0x1FFC, 0x3FF003), (0x4, 0x400083), (0x8, 0x2003), (0x2000, 0x800003)):
        memory.set_u32(PhysAddr(at), entry)
    tables = capture_tables(memory, ControlState(Cr0.of(PG=1, PE=1), 0, Cr4.PSE.mask))
    found = [(region.start, region.page_size_bytes, region.pages) for region in Regions(runs_of(tables, RIGHTS))]
    assert found == [(0x3FF000, 0x1000, 1), (0x400000, 0x400000, 1), (0x800000, 0x1000, 1)]
