"""What can be asked of an address space, on memory without a machine."""

from __future__ import annotations

import itertools
import re
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hillemu.emu.errors import UserMistake
from hillemu.emu.guest import FakeGuest
from hillemu.emu.i386.address import PAGE_SIZE, PhysAddr
from hillemu.emu.i386.control import USER_WRITE, PagingMode
from hillemu.emu.i386.outcomes import Denied, Mapped, NotPresent
from hillemu.inspection.differences import ChangeKind
from hillemu.inspection.pictures import MOST_ROWS
from hillemu.inspection.spaces import Capture, Paging

DIRECTORY, TABLE = 0x1000, 0x2000
P, W, U, A, D, PS, G = 1, 2, 4, 0x20, 0x40, 0x80, 0x100


def space(
    entries: dict[int, int], directory: dict[int, int] | None = None, *, cr4: int = 0
) -> tuple[FakeGuest, Paging]:
    """PTEs of the page table at the bottom of the space, and other directory entries, by number."""
    guest = FakeGuest(1 << 20)
    put(guest, DIRECTORY, {0: TABLE | P | W | U} | (directory or {}))
    put(guest, TABLE, entries)
    guest.registers.values.update(cr0=0x80010001, cr3=DIRECTORY, cr4=cr4)
    return guest, Paging(guest.memory, guest.registers)


def put(guest: FakeGuest, table: int, entries: dict[int, int]) -> None:
    for number, entry in entries.items():
        guest.memory.set_u32(PhysAddr(table + 4 * number), entry)


def test_a_space_is_asked_like_a_mapping() -> None:
    _, paging = space({1: 0x5000 | P | W, 2: 0x6000 | P | U})
    assert paging[0x1234].phys == 0x5234
    assert paging[0x3000].phys is None
    assert isinstance(paging[0x3000], NotPresent)
    assert 0x1FFF in paging
    assert 0x0FFF not in paging
    assert isinstance(paging.walk(0x1000, USER_WRITE), Denied)
    assert [region.start for region in paging] == [0x1000, 0x2000]
    assert len(paging) == 2


@pytest.mark.parametrize("at", [-1, 1 << 32])
def test_what_is_no_address_is_refused(at: int) -> None:
    _, paging = space({})
    with pytest.raises(UserMistake, match="not a 32-bit address"):
        paging[at]
    with pytest.raises(UserMistake, match="not a 32-bit address"):
        _ = at in paging


def test_a_symbol_s_name_is_no_address_but_has_one() -> None:
    _, paging = space({})
    with pytest.raises(UserMistake, match=r"'kmain' is no address; a symbol's is machine.symbols\['kmain'\]"):
        paging["kmain"]  # type: ignore[index]


def test_a_walk_is_told_in_one_line() -> None:
    _, paging = space({1: 0x5000 | P | W})
    assert repr(paging[0x1234]) == "<Mapped 0x00001234: physical 0x00005234 (4 KiB page, supervisor, writable)>"


def test_a_space_without_pages_is_empty_but_there() -> None:
    _, paging = space({})
    assert len(paging) == 0
    assert paging
    assert str(paging).endswith("nothing is mapped")
    assert "nothing is mapped" in paging._repr_html_()


def test_a_space_follows_the_registers_between_two_walks() -> None:
    guest, paging = space({1: 0x5000 | P})
    other, elsewhere = 0x3000, paging.at(cr3=DIRECTORY)
    guest.memory.set_u32(PhysAddr(other), 0x400000 | PS | P)
    assert (paging[0x1000].phys, elsewhere[0x1000].phys) == (0x5000, 0x5000)
    guest.registers.set("cr3", other)
    assert (paging[0x1000].phys, elsewhere[0x1000].phys) == (None, 0x5000)
    guest.registers.set("cr4", 0x10)
    assert (paging[0x1000].phys, elsewhere[0x1000].phys) == (0x401000, 0x5000)
    guest.registers.set("cr0", 1)
    assert (paging.control.mode, elsewhere.control.cr0) == (PagingMode.OFF, 0x80010001)


def test_with_paging_off_every_address_is_its_own() -> None:
    guest, paging = space({})
    guest.registers.set("cr0", 1)
    (region,) = paging.regions()
    assert (region.start, region.phys, region.size_bytes, region.letters) == (0, 0, 1 << 32, "urwx")
    walked = paging[0x12345678]
    assert isinstance(walked, Mapped)
    assert (walked.phys, walked.page_size_bytes) == (0x12345678, region.page_size_bytes)
    assert paging.statistics().mapped_bytes == 1 << 32
    assert paging.info_mem() == paging.info_tlb() == "PG disabled\n"


def test_runs_join_pages_and_count_flags_or_split_by_them() -> None:
    _, paging = space({1: 0x5000 | P | A | D, 2: 0x6000 | P | A, 3: 0x7000 | P, 4: 0x9000 | P, 5: 0xA000 | P | W})
    assert [(run.start, run.pages, run.flags) for run in paging.regions()] == [
        (0x1000, 3, {"accessed": 2, "dirty": 1}),
        (0x4000, 1, {}),
        (0x5000, 1, {}),
    ]
    assert [(run.start, run.pages) for run in paging.regions(split_flags=True)] == [
        (0x1000, 1),
        (0x2000, 1),
        (0x3000, 1),
        (0x4000, 1),
        (0x5000, 1),
    ]


def test_global_pages_count_while_the_processor_knows_them() -> None:
    for cr4, count in ((0, 0), (0x80, 1)):
        _, paging = space({1: 0x5000 | P | G}, cr4=cr4)
        assert paging.regions()[0].global_pages == count


def test_regions_are_a_sequence_that_finds_addresses() -> None:
    _, paging = space({1: 0x5000 | P, 2: 0x6000 | P, 7: 0x9000 | P})
    regions = paging.regions()
    assert [region.start for region in regions[1:]] == [0x7000]
    assert regions[-1].start == 0x7000
    assert regions.find(0x2FFF) == regions[0]
    assert regions.find(0x3000) is None
    assert regions.find(0) is None
    assert regions[0].phys_at(0x2010) == 0x6010
    with pytest.raises(ValueError, match="not in the run"):
        regions[0].phys_at(0x3000)


def test_a_frame_knows_all_that_maps_it_in_pages_of_both_sizes() -> None:
    _, paging = space({1: 0x5000 | P | A, 9: 0x5000 | P | W | U}, {3: P | PS | W | D}, cr4=0x10)
    found = paging.who_maps(5)
    assert [(one.start, one.phys, one.size_bytes, one.page_size_bytes, one.letters, one.flags) for one in found] == [
        (0x1000, 0x5000, PAGE_SIZE, PAGE_SIZE, "-r-x", {"accessed": 1}),
        (0x9000, 0x5000, PAGE_SIZE, PAGE_SIZE, "urwx", {}),
        (0xC05000, 0x5000, PAGE_SIZE, 1 << 22, "-rwx", {"dirty": 1}),
    ]
    assert paging.who_maps(0x12345) == []


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.integers(0, 40), st.integers(0, 15), max_size=30))
def test_statistics_and_reverse_maps_count_what_a_list_of_pages_counts(frames: dict[int, int]) -> None:
    rights = {number: (frame % 3 == 0) * W | (number % 2 == 0) * U for number, frame in frames.items()}
    _, paging = space({number: frame << 12 | P | rights[number] for number, frame in frames.items()})
    told = paging.statistics()
    assert told.mapped_bytes == len(frames) * PAGE_SIZE
    assert told.user_bytes == sum(bool(bits & U) for bits in rights.values()) * PAGE_SIZE
    assert told.writable_bytes == sum(bool(bits & W) for bits in rights.values()) * PAGE_SIZE
    assert told.pages == ({PAGE_SIZE: len(frames)} if frames else {})
    assert told.frames == len(set(frames.values()))
    users = [sum(one == frame for one in frames.values()) for frame in set(frames.values())]
    assert told.shared_frames == sum(count > 1 for count in users)
    taken = [-1, *sorted(frames), 1 << 20]
    assert told.largest_gap_bytes == max(b - a - 1 for a, b in itertools.pairwise(taken)) * PAGE_SIZE
    for frame in range(16):
        assert [one.start >> 12 for one in paging.who_maps(frame)] == sorted(n for n, f in frames.items() if f == frame)


def test_statistics_print_in_words() -> None:
    _, paging = space({1: 0x5000 | P | W | A, 2: 0x5000 | P}, {1: P | PS | U}, cr4=0x10)
    assert str(paging.statistics()).splitlines()[:2] == [
        "mapped     4,104 KiB in 3 regions; pages: 2 x 4 KiB, 1 x 4 MiB",
        "user       4,096 KiB",
    ]


def test_a_capture_keeps_the_moment_and_tells_what_changed_since() -> None:
    guest, paging = space({1: 0x5000 | P, 2: 0x6000 | P | W, 3: 0x7000 | P, 4: 0x8000 | P})
    before = paging.capture()
    put(guest, TABLE, {1: 0x5000 | P | A, 2: 0x6000 | P, 3: 0x9000 | P, 4: 0, 5: 0xA000 | P})
    after = paging.capture()
    assert [(change.kind, change.start, change.size_bytes) for change in paging.diff(before)] == [
        (ChangeKind.RIGHTS, 0x2000, PAGE_SIZE),
        (ChangeKind.MOVED, 0x3000, PAGE_SIZE),
        (ChangeKind.UNMAPPED, 0x4000, PAGE_SIZE),
        (ChangeKind.MAPPED, 0x5000, PAGE_SIZE),
    ]
    assert [change.kind for change in after.diff(before, flags=True)][:2] == [ChangeKind.FLAGS, ChangeKind.RIGHTS]
    assert after.diff(after) == []
    assert before != after
    assert after == paging.capture()
    assert before[0x4000].phys == 0x8000
    assert len(before) == 3


def test_a_capture_answers_everything_as_the_machine_did() -> None:
    guest, paging = space({1: 0x5000 | P | A, 2: 0x6000 | P | W | U}, {5: P | PS | W}, cr4=0x10)
    capture = paging.capture()
    questions = (
        str,
        Capture._repr_html_,
        Capture.info_mem,
        Capture.info_tlb,
        Capture.statistics,
        lambda one: list(one.lint()),
        lambda one: one.who_maps(5),
        lambda one: one[0x1400012].explain(),
    )
    expected = [question(paging) for question in questions]  # type: ignore[arg-type]
    guest.memory.fill(PhysAddr(0), 1 << 20)
    assert [question(capture) for question in questions] == expected  # type: ignore[arg-type]


def test_changes_print_both_sides() -> None:
    guest, paging = space({1: 0x5000 | P | W, 2: 0x6000 | P})
    before = paging.capture()
    put(guest, TABLE, {1: 0x5000 | P, 2: 0x6000 | P | A | D})
    assert [str(change) for change in paging.diff(before, flags=True)] == [
        "rights    0x00001000-0x00001FFF  -> 0x000005000 -rwx  becomes  -> 0x000005000 -r-x",
        "flags     0x00002000-0x00002FFF  -> 0x000006000 -r-x  becomes  -> 0x000006000 -r-x accessed dirty",
    ]


def test_another_root_keeps_what_is_not_given() -> None:
    _, paging = space({1: 0x5000 | P}, cr4=0x10)
    other = paging.at(cr3=0x9000)
    assert (other.control.cr3, other.control.cr4, other.control.mode) == (0x9000, 0x10, PagingMode.LEGACY)
    assert other.at(mode="pae").control.mode is PagingMode.PAE
    assert other.at(mode="pae").control.cr3 == 0x9000
    assert paging.at(cr0=0x11).control.mode is PagingMode.OFF
    assert paging.at(cr4=0x20, efer=0x800).control.no_execute


def test_a_root_can_be_given_while_paging_is_off() -> None:
    guest, paging = space({1: 0x5000 | P})
    guest.registers.values.update(cr0=1, cr3=0)
    assert paging.at(cr3=DIRECTORY)[0x1000].phys == 0x5000


@pytest.mark.parametrize("given", [{"mode": "sv39"}, {"cr3": -1}, {"cr3": 1 << 32}, {"cr0": 1 << 40}])
def test_registers_that_make_no_sense_are_refused(given: dict[str, int]) -> None:
    _, paging = space({})
    with pytest.raises(UserMistake):
        paging.at(**given)  # type: ignore[arg-type]


def test_a_long_space_is_cut_in_pictures_and_it_is_said() -> None:
    _, paging = space({number: (number * 2 % 256) << 12 | P for number in range(1024)})
    lines = str(paging).splitlines()
    assert lines[-1] == f"... and {len(paging) - MOST_ROWS:,} more of {len(paging):,} runs"
    assert len(lines) == MOST_ROWS + 2
    assert paging._repr_html_().count("<tr") == MOST_ROWS + 2


def test_the_html_is_whole_and_needs_nothing_from_outside() -> None:
    _, paging = space({1: 0x5000 | P | A, 2: 0x6000 | P})
    html = paging._repr_html_()
    tags = re.findall(r"<(/?)(\w+)", html)
    opened: list[str] = []
    for closing, tag in tags:
        if closing:
            assert opened.pop() == tag
        else:
            opened.append(tag)
    assert opened == []
    assert "0x00001000-0x00002FFF" in html
    assert "accessed 1" in html
    assert not re.search(r"src=|href=|url\(|<script", html)


def test_a_small_space_does_not_load_numpy() -> None:
    import subprocess

    program = (
        "import sys\n"
        "from hillemu.emu.guest import FakeGuest\n"
        "from hillemu.inspection.spaces import Paging\n"
        "guest = FakeGuest(1 << 20)\n"
        "guest.registers.values.update(cr0=0x80010001, cr3=0x1000)\n"
        "guest.memory.write(0x1000, (0x2007).to_bytes(4, 'little'))\n"
        "guest.memory.write(0x2000, (0x3007).to_bytes(4, 'little'))\n"
        "assert len(Paging(guest.memory, guest.registers)) == 1\n"
        "print('numpy' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False\n"


def test_the_monitor_s_texts_look_as_the_documentation_draws_them() -> None:
    guest, paging = space({}, {0x300: P | W | PS | A | D}, cr4=0x10)
    put(guest, DIRECTORY, {0: 0})
    assert paging.info_mem() == "00000000c0000000-00000000c0400000 0000000000400000 -rw\n"
    assert paging.info_tlb() == "00000000c0000000: 0000000000000000 --PDA---W\n"
