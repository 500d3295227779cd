"""Allocation traces: what is refused with which words, and what a replay measures."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from hillemu.kernel.mm.debug_aids import Options
from hillemu.kernel.trace import Operation, TraceError, parse, replay
from hillemu.kernel.trace_generator import KINDS, generate

PLAIN = Options(red_zones=False, poison=False)


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (["a 1 10", "x 2"], r"t:2: 'x' is no operation"),
        (["a 1"], "t:1: a needs an identifier and a size, and has 1 values"),
        (["a 1 10", "", "f 1 2"], "t:3: f needs an identifier, and has 2 values"),
        (["a one 10"], "t:1: 'one 10': numbers must be decimal"),
        (["a 1 -5"], "t:1: '1 -5': numbers must be decimal"),
        (["a 1 ²"], "t:1: '1 ²': numbers must be decimal"),
        (["a 1 4294967296"], "t:1: 4294967296 bytes are more than"),
        (["a 1 99999999999"], "at most ten digits"),
        (["# note", "a 1 10", "a 1 10"], "t:3: 1 is allocated already"),
        (["f 7"], "t:1: 7 is not allocated"),
        (["a 1 10", "r 1 0", "f 1"], "t:3: 1 is not allocated"),
    ],
)
def test_a_line_that_makes_no_sense_is_named(lines: list[str], fault: str) -> None:
    with pytest.raises(TraceError, match=fault):
        parse(lines, "t")


def test_comments_and_empty_lines_say_nothing() -> None:
    assert parse(["# all", "", "  a 3 7 # seven", "f 3"], "t") == [Operation(3, "a", 3, 7), Operation(4, "f", 3, 0)]


def test_a_replay_is_measured(make_kernel: Callable[..., Any]) -> None:
    """Peaks by hand: 100 + 5000 asked for; 104 bytes of the pool and two pages held."""
    kernel = make_kernel(debug=PLAIN)
    operations = parse(["a 1 100", "a 2 5000", "f 2", "a 3 60", "f 1"], "t")
    ticks = count()
    result = replay(operations, kernel.kmalloc, lambda: next(ticks))
    assert (result.operations, result.failures) == (5, 0)
    assert result.peak_live_bytes == 5100
    assert result.peak_held_bytes == 104 + 8192
    assert result.utilisation == 5100 / 8296
    assert result.left_bytes == 60
    assert result.seconds == 5  # one tick for each piece
    assert result.per_second == 1.0
    free = kernel.pool.header[1] - kernel.pool.header[2]
    assert result.fragmentation == pytest.approx(1 - free / (free + 104))
    assert result.lines()[0] == "operations:     5"
    assert next(iter(kernel.table.live())).allocated_by == 4, "the caller is the line"


def test_requests_that_fail_are_counted_and_skipped(make_kernel: Callable[..., Any]) -> None:
    kernel = make_kernel(4 << 20)
    operations = parse(["a 1 4000000000", "r 1 10", "f 1", "a 2 10", "r 2 4000000000", "f 2"], "t")
    result = replay(operations, kernel.kmalloc, lambda: 0.0)
    assert (result.failures, result.left_bytes) == (2, 0)
    assert result.lines()[0] == "operations:     6 (2 failed)"
    assert not kernel.check()


@pytest.mark.parametrize("kind", KINDS)
def test_our_own_traces_replay_without_a_failure_and_leave_nothing(make_kernel: Callable[..., Any], kind: str) -> None:
    kernel = make_kernel(64 << 20)
    result = replay(parse(generate(kind, 3000), kind), kernel.kmalloc, lambda: 0.0)
    assert result.operations >= 3000
    assert (result.failures, result.left_bytes) == (0, 0)
    assert 0 < result.utilisation <= 1
    assert 0 <= result.fragmentation < 1
    assert not kernel.check()
    assert not kernel.reports


def test_a_seed_gives_the_same_trace_always_and_another_seed_another() -> None:
    assert list(generate("steady", 500, 1)) == list(generate("steady", 500, 1))
    assert list(generate("steady", 500, 1))[1:] != list(generate("steady", 500, 2))[1:]
