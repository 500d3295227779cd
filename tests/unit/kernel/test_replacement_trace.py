"""Row B6: page faults of FIFO, clock and LRU side by side, against textbook figures and plain lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hillemu.emu.errors import ImageError, OptionError
from hillemu.emu.i386.address import Frame
from hillemu.kernel.errors import InvalidParameters
from hillemu.kernel.mm.replacement import Ageing, Clock, Fifo, Lru, Pages
from hillemu.kernel.replacement_trace import (
    LEAST,
    POLICIES,
    SimulatedPages,
    compare_policies,
    fault_count,
    least_faults,
    parse_references,
    read_references,
)
from hillemu.kernel.trace import TraceError

BELADY = (1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5)
SILBERSCHATZ = (7, 0, 1, 2, 0, 3, 0, 4, 2, 3, 0, 3, 2, 1, 2, 0, 1, 7, 0, 1)
"""Silberschatz, "Operating System Concepts", "Page Replacement": 15 faults by FIFO, 12 by LRU, 9 at least."""


def plain_fifo(references: Sequence[int], frames: int) -> int:
    queue: list[int] = []
    faults = 0
    for page in references:
        if page not in queue:
            faults += 1
            queue = [*queue, page][-frames:]
    return faults


def plain_lru(references: Sequence[int], frames: int) -> int:
    return sum(
        page not in sorted(set(references[:at]), key=lambda other: -last_use(references[:at], other))[:frames]
        for at, page in enumerate(references)
    )


def last_use(references: Sequence[int], page: int) -> int:
    return max(at for at, other in enumerate(references) if other == page)


def plain_clock(references: Sequence[int], frames: int) -> int:
    """The textbook's circular list with a hand, in which a new page gets its bit."""
    slots: list[int] = []
    bits: list[bool] = []
    hand = faults = 0
    for page in references:
        if page in slots:
            bits[slots.index(page)] = True
            continue
        faults += 1
        if len(slots) < frames:
            slots.append(page)
            bits.append(True)
            continue
        while bits[hand]:
            bits[hand] = False
            hand = (hand + 1) % frames
        slots[hand], bits[hand] = page, True
        hand = (hand + 1) % frames
    return faults


def plain_least(references: Sequence[int], frames: int) -> int:
    """Every choice of victim is tried: breadth first over the sets of pages that can be in memory."""
    states = {frozenset[int](): 0}
    for page in references:
        following: dict[frozenset[int], int] = {}
        for resident, faults in states.items():
            if page in resident:
                outcomes = [(resident, faults)]
            elif len(resident) < frames:
                outcomes = [(resident | {page}, faults + 1)]
            else:
                outcomes = [(resident - {victim} | {page}, faults + 1) for victim in resident]
            for state, count in outcomes:
                following[state] = min(count, following.get(state, count))
        states = following
    return min(states.values())


def test_more_frames_give_fifo_more_faults_and_never_lru() -> None:
    """Belady's anomaly, with his own string: 9 faults in 3 frames, 10 in 4."""
    found = compare_policies(BELADY, (3, 4))
    assert found.faults == {"fifo": (9, 10), "clock": (9, 10), "lru": (10, 8), LEAST: (7, 6)}
    assert found.anomalies()[0] == "fifo: 10 faults with 4 frames, 9 with 3: Belady's anomaly"
    assert not [line for line in found.anomalies() if line.startswith("lru")]


def test_the_textbooks_string_has_the_textbooks_faults() -> None:
    found = compare_policies(SILBERSCHATZ, (3,)).faults
    assert (found["fifo"], found["lru"], found[LEAST]) == ((15,), (12,), (9,))


@pytest.mark.parametrize(
    ("policy", "plain"), [(Fifo, plain_fifo), (Clock, plain_clock), (Lru, plain_lru)], ids=["fifo", "clock", "lru"]
)
@settings(max_examples=150, deadline=None)
@given(references=st.lists(st.integers(0, 7), max_size=40), frames=st.integers(1, 6))
def test_a_policy_faults_as_often_as_a_plain_list_does(
    policy: type, plain: Callable[[Sequence[int], int], int], references: list[int], frames: int
) -> None:
    assert fault_count(references, frames, policy) == plain(references, frames)


@settings(max_examples=80, deadline=None)
@given(references=st.lists(st.integers(0, 5), max_size=14), frames=st.integers(1, 4))
def test_the_least_is_what_trying_every_victim_finds(references: list[int], frames: int) -> None:
    assert least_faults(references, frames) == plain_least(references, frames)


@settings(max_examples=100, deadline=None)
@given(references=st.lists(st.integers(0, 9), max_size=60), frames=st.integers(1, 9))
def test_lru_never_has_the_anomaly_and_nobody_beats_the_least(references: list[int], frames: int) -> None:
    assert fault_count(references, frames + 1, Lru) <= fault_count(references, frames, Lru)
    for policy in (*POLICIES.values(), Ageing):
        assert fault_count(references, frames, policy) >= least_faults(references, frames)


def test_lru_by_a_bits_gives_up_what_was_not_used_since_the_last_look() -> None:
    """Nobody tells it of uses, as in a kernel: the order is by the look in which a page's A bit was found set."""
    pages = SimulatedPages(4)
    pages.filled = 4
    policy = Lru(pages)
    for frame in range(4):
        policy.added(Frame(frame))
    for used in ((0, 2), (2, 3)):
        for frame in used:
            pages.accessed[frame] = 1
        policy.sample()
    assert not any(pages.accessed), "looking clears the bits"
    assert [policy.victim() for _ in range(4)] == [1, 0, 3, 2]


@pytest.mark.parametrize("policy", [Fifo, Lru])
def test_a_page_that_is_no_program_page_any_more_is_never_named(policy: type) -> None:
    pages = SimulatedPages(3)
    pages.filled = 3
    chosen = policy(pages)
    for frame in (2, 0, 1):
        chosen.added(Frame(frame))
    pages.filled = 1
    assert [chosen.victim(), chosen.victim()] == [0, 0], "and one that was named, and stayed, is named again"
    pages.filled = 0
    assert chosen.victim() is None


def test_a_frame_that_gets_another_page_goes_to_the_end_of_the_queue() -> None:
    pages = SimulatedPages(2)
    pages.filled = 2
    fifo = Fifo(pages)
    for frame in (0, 1, 0):
        fifo.added(Frame(frame))
    assert fifo.victim() == 1


def test_frames_that_nobody_uses_change_nothing() -> None:
    found = compare_policies((1, 2, 1), (2, 100))
    assert all(faults == (2, 2) for faults in found.faults.values())
    assert found.anomalies() == []


def test_one_frame_faults_whenever_the_page_changes() -> None:
    found = compare_policies((1, 1, 2, 1, 1, 1, 3), (1,))
    assert all(faults == (4,) for faults in found.faults.values())


def test_the_table_has_a_column_for_each_policy_and_a_row_for_each_number_of_frames() -> None:
    lines = compare_policies(BELADY, (3, 4)).lines()
    assert lines[0] == "12 references to 5 pages"
    assert lines[1].split() == ["frames", "fifo", "clock", "lru", "least"]
    assert [line.split() for line in lines[2:4]] == [["3", "9", "9", "10", "7"], ["4", "10", "10", "8", "6"]]


@pytest.mark.parametrize("frames", [0, -1, (1 << 20) + 1])
def test_impossible_numbers_of_frames_are_refused(frames: int) -> None:
    with pytest.raises(OptionError, match="is no number of frames"):
        compare_policies(BELADY, (frames,))


def test_a_policy_that_names_no_page_is_told_so() -> None:
    class Idle:
        def __init__(self, pages: Pages) -> None: ...

        def victim(self) -> None: ...

    with pytest.raises(InvalidParameters, match=r"Idle.victim\(\) returned None"):
        fault_count((1, 2), 1, Idle)


def test_a_reference_string_is_decimal_or_hexadecimal_with_comments() -> None:
    assert parse_references("1,2, 3\n0x10 # not 7\n\n 4", "text") == [1, 2, 3, 16, 4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2\n3 x 4", "text:2: word 2, 'x', is no page: pages are numbers, decimal or hexadecimal with 0x"),
        ("1, -2", "text:1: word 2, '-2', is no page: pages are numbers, decimal or hexadecimal with 0x"),
        ("0x10000000000000", "text:1: word 1, '0x10000000000000', is beyond the last page, 0xfffffffffffff"),
        ("9" * 5000, f"text:1: word 1, '{'9' * 5000}', is beyond the last page, 0xfffffffffffff"),
        ("# nothing", "text: there is no page in it"),
    ],
)
def test_a_word_that_makes_no_sense_is_named_with_its_line(text: str, message: str) -> None:
    with pytest.raises(TraceError) as error:
        parse_references(text, "text")
    assert str(error.value) == message


def test_an_argument_is_a_string_of_pages_or_a_file_that_has_one(tmp_path: Path) -> None:
    path = tmp_path / "run.txt"
    path.write_text("# recorded\n0x40000 0x40001\n", encoding="utf-8")
    assert read_references("1,2 0x3") == [1, 2, 3]
    assert read_references(str(path)) == [0x40000, 0x40001]


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "run.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ImageError, match=r"run\.txt: "):
        read_references(str(path))
