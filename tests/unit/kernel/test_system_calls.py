"""System calls with every kind of argument, on a guest without a processor."""

from __future__ import annotations

import pytest
from fake_kernel import FakeKernel, program
from hypothesis import given, settings
from hypothesis import strategies as st

HEAP = 0x08000000
BRK, WRITE, READ, OPEN, CLOSE, OLD_MMAP, MMAP2, MPROTECT, SLEEP = 45, 4, 3, 5, 6, 90, 192, 125, 162
EFAULT, EBADF, ENOENT, EINVAL, EMFILE, ENAMETOOLONG, ENOSYS = -14, -9, -2, -22, -24, -36, -38
HARMLESS = (3, 4, 5, 6, 7, 11, 20, 45, 64, 90, 91, 125, 192)
"""Calls that never end, double or put to sleep the caller; others are tried one by one."""


@pytest.fixture(scope="module")
def booted() -> FakeKernel:
    fake = FakeKernel({"prog": program(), "text": b"0123456789"})
    assert fake.call(BRK, HEAP + 0x4000) == HEAP + 0x4000
    return fake


def put(fake: FakeKernel, data: bytes, at: int = HEAP) -> int:
    assert fake.current.space is not None
    assert fake.current.space.copy_out(at, data)
    return at


def test_write_prints_bytes_as_they_are(booted: FakeKernel) -> None:
    before = len(booted.said)
    assert booted.call(WRITE, 1, put(booted, b"one\ntwo"), 7) == 7
    assert booted.call(WRITE, 2, HEAP, 3) == 3
    assert booted.said[before:] == "one\ntwoone"


def test_write_tells_how_much_it_could_print_before_memory_ends(booted: FakeKernel) -> None:
    end = HEAP + 0x4000
    put(booted, b"x" * 0x1800, end - 0x1800)
    assert booted.call(WRITE, 1, end - 0x1800, 0x2000) == 0x1000
    assert booted.call(WRITE, 1, end, 1) == EFAULT


def test_a_file_is_read_piece_by_piece_to_its_end(booted: FakeKernel) -> None:
    number = booted.call(OPEN, put(booted, b"/modules/text\0"), 0, 0)
    assert number == 3
    pieces = []
    while (count := booted.call(READ, number, HEAP + 64, 4)) != 0:
        assert count is not None
        assert booted.current.space is not None
        pieces.append(booted.current.space.copy_in(HEAP + 64, count))
    assert pieces == [b"0123", b"4567", b"89"]
    assert booted.call(CLOSE, number) == 0
    assert booted.call(CLOSE, number) == EBADF
    assert booted.call(READ, number, HEAP, 1) == EBADF


def test_too_many_files_are_refused(booted: FakeKernel) -> None:
    put(booted, b"text\0")
    opened = []
    while (number := booted.call(OPEN, HEAP, 0, 0)) != EMFILE:
        opened.append(number)
    assert opened == list(range(3, 64))
    assert all(booted.call(CLOSE, number) == 0 for number in opened if number)


def test_names_that_are_too_long_or_lead_nowhere_are_refused(booted: FakeKernel) -> None:
    assert booted.call(OPEN, put(booted, b"nobody\0")) == ENOENT
    assert booted.call(OPEN, put(booted, b"x" * 5000)) == ENAMETOOLONG
    assert booted.call(OPEN, 0x30000000) == EFAULT


def test_the_old_mmap_takes_its_arguments_from_memory(booted: FakeKernel) -> None:
    words = (0, 0x1000, 3, 0x22, 0xFFFFFFFF, 0)
    put(booted, b"".join(word.to_bytes(4, "little") for word in words))
    at = booted.call(OLD_MMAP, HEAP)
    assert at is not None
    assert at > 0
    put(booted, b"mine", at)
    assert booted.call(OLD_MMAP, 0) == EFAULT


def test_flags_zero_map_as_the_seed_s_program_expects(booted: FakeKernel) -> None:
    at = booted.call(MMAP2, 0, 0x1000, 3, 0, 0, 0)
    assert at is not None
    assert at > 0
    put(booted, b"Mmap!", at)


@pytest.mark.parametrize("time", [(-1, 0), (0, -1), (0, 1_000_000_000)])
def test_impossible_times_are_refused(booted: FakeKernel, time: tuple[int, int]) -> None:
    put(booted, b"".join(value.to_bytes(4, "little", signed=True) for value in time))
    assert booted.call(SLEEP, HEAP) == EINVAL


@settings(max_examples=300, deadline=None)
@given(
    number=st.sampled_from(HARMLESS),
    arguments=st.lists(
        st.one_of(
            st.integers(0, 0xFFFFFFFF),
            st.sampled_from([0, 1, 3, HEAP, HEAP + 0x3FFF, 0xBFFFF000, 0xC0000000, 0xFFFFF000, 0xFFFFFFFF, 0x00400000]),
        ),
        min_size=6,
        max_size=6,
    ),
)
def test_no_argument_of_any_call_hurts_the_kernel(booted: FakeKernel, number: int, arguments: list[int]) -> None:
    process = booted.current
    if number == 4:
        arguments[2] &= 0xFFF  # the console is slow
    if number == 11:
        arguments[0] = HEAP  # there is no program of that name, whatever it is
        put(booted, b"nobody\0")
    if number in (91, 125, 90, 192):
        # What the program needs itself stays.
        arguments[0] = arguments[0] | 0x10000000 if arguments[0] < 0x20000000 else arguments[0]
    booted.call(number, *arguments)
    assert booted.kernel.scheduler.current is process
    assert booted.kernel.check() == []
    booted.call(BRK, HEAP + 0x4000)


@given(number=st.integers(253, 0xFFFFFFFF))
@settings(max_examples=20, deadline=None)
def test_calls_that_do_not_exist_are_enosys(booted: FakeKernel, number: int) -> None:
    assert booted.call(number) == ENOSYS
