"""Traces of allocations through profile bitmap's heap, judged as those of the default kernel are."""

from __future__ import annotations

import pytest

from hillemu.emu.guest import FakeMemory
from hillemu.emu.i386.address import PAGE_SIZE, Frame
from hillemu.kernel.mm.debug_aids import Options
from hillemu.kernel.mm.frames import FrameRun
from hillemu.kernel.profiles.bitmap.replayed import ReplayedHeap
from hillemu.kernel.trace import parse, replay
from hillemu.kernel.trace_generator import KINDS, generate

PLAIN = Options(red_zones=False, poison=False)


def heap(size_bytes: int = 0x800000, aids: Options = PLAIN) -> ReplayedHeap:
    return ReplayedHeap(FakeMemory(size_bytes), [FrameRun(Frame(0x100), Frame(size_bytes // PAGE_SIZE))], aids)


def test_a_replay_is_measured() -> None:
    """By hand: 1000 in a page of blocks, 5000 with what is missing in two more, 60 in a page of a pool."""
    made = heap()
    result = replay(parse(["a 1 1000", "a 2 5000", "f 2", "a 3 60", "f 1"], "t"), made, lambda: 0.0)
    assert (result.operations, result.failures) == (5, 0)
    assert result.peak_live_bytes == 6000
    assert result.peak_held_bytes == 3 * PAGE_SIZE
    assert result.left_bytes == 64, "an object of 64 bytes"
    assert result.fragmentation == 0, "what is free is always one block"
    assert not made.check()


def test_requests_that_fail_are_counted_and_skipped() -> None:
    made = heap(0x200000)
    operations = parse(["a 1 4000000000", "r 1 10", "f 1", "a 2 10", "r 2 4000000000", "f 2"], "t")
    result = replay(operations, made, lambda: 0.0)
    assert (result.failures, result.left_bytes) == (2, 0)
    assert not made.check()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("aids", [PLAIN, Options()], ids=["plain", "aided"])
def test_our_own_traces_replay_without_a_failure_and_leave_nothing(kind: str, aids: Options) -> None:
    made = heap(aids=aids)
    result = replay(parse(generate(kind, 2000), kind), made, lambda: 0.0)
    assert result.operations >= 2000
    assert (result.failures, result.left_bytes) == (0, 0)
    assert 0 < result.utilisation <= 1
    assert 0 <= result.fragmentation < 1
    assert not made.check()
