"""Row B5: usage patterns over time."""

from __future__ import annotations

from itertools import pairwise

import pytest

from hillemu.kernel.profiles.bitmap.usage import FIRST_INTERVAL_NS, MOST, Sample, Usage

QUIET = Sample(0, 500, 8192, 4000, 10, 3000, 0.25)


class Made(Usage):
    """`allocations` is a list of what the samples find, the last one again and again."""

    def __init__(self, *allocations: int) -> None:
        self.planned = list(allocations) or [10]
        super().__init__(self.sample)

    def sample(self, now_ns: int) -> Sample:
        count = self.planned.pop(0) if len(self.planned) > 1 else self.planned[0]
        return QUIET._replace(now_ns=now_ns, allocations=count)


def test_a_sample_is_kept_once_in_an_interval() -> None:
    usage = Made()
    for now in range(0, 4 * FIRST_INTERVAL_NS, FIRST_INTERVAL_NS // 10):
        usage.look(now)
    assert [sample.now_ns for sample in usage.samples] == [number * FIRST_INTERVAL_NS for number in range(4)]


def test_the_last_one_is_kept_in_any_case() -> None:
    usage = Made()
    usage.look(0)
    usage.look(5)
    usage.keep(7)
    assert [sample.now_ns for sample in usage.samples] == [0, 7]


@pytest.mark.parametrize("milliseconds", [50, 64, 200, 5000])
def test_a_run_of_any_length_has_a_limited_number_of_samples_all_over_it(milliseconds: int) -> None:
    usage = Made()
    for number in range(milliseconds):
        usage.look(number * FIRST_INTERVAL_NS)
    times = [sample.now_ns for sample in usage.samples]
    assert min(MOST // 2, milliseconds) <= len(times) <= MOST
    assert times[0] == 0
    assert times == sorted(set(times))
    assert milliseconds * FIRST_INTERVAL_NS - times[-1] <= 2 * usage.interval_ns
    assert max(later - earlier for earlier, later in pairwise(times)) <= 2 * usage.interval_ns


def test_the_table_has_a_line_for_each_sample() -> None:
    usage = Made()
    usage.keep(1_500_000)
    head, line = usage.table()
    assert len(head) == len(line)
    assert line.split() == ["1.500", "500", "8192", "4000", "10", "3000", "25.0%"]


def test_allocations_that_only_grow_are_suspicious() -> None:
    usage = Made(50, 3, 4, 5, 6, 7, 8, 9, 10)
    for number in range(9):
        usage.keep(number * 1_000_000)
    sentence = "usage: allocations have only grown since 1.000 ms, from 3 to 10 in 8 samples: is something not freed?"
    assert usage.suspicions() == [sentence]
    assert list(usage.table())[-1] == sentence


@pytest.mark.parametrize(
    "allocations",
    [
        (),
        (1, 2, 3, 4, 5, 6, 7),
        (1, 2, 3, 4, 5, 6, 7, 8, 8),
        (9, 8, 7, 6, 5, 4, 3, 2, 1),
        (*range(20, 8, -1), *range(9, 17)),
    ],
)
def test_what_stands_still_or_falls_is_not(allocations: tuple[int, ...]) -> None:
    usage = Made(*allocations)
    for number in range(len(allocations)):
        usage.keep(number)
    assert usage.suspicions() == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"now_ns": 5}, "usage: at 0.000 ms: the sample before it is of 1.000 ms"),
        ({"free_pages": 513}, "usage: at 2.000 ms: 513 pages were free, but there are 512"),
        (
            {"used_bytes": 5193},
            "usage: at 2.000 ms: 5193 bytes in use and a free block of 3000 do not fit into a heap of 8192",
        ),
    ],
)
def test_samples_that_cannot_be_are_found(wrong: dict[str, int], words: str) -> None:
    usage = Made()
    usage.keep(1_000_000)
    usage.keep(2_000_000)
    assert usage.check(512) == []
    usage.samples[-1] = usage.samples[-1]._replace(**wrong)
    assert usage.check(512) == [words]
