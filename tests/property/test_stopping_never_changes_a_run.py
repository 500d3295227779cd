"""Stopping never changes a run: cut at random, stepped, with breakpoints, with the other core, it is the same run."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from random_programs import FRAME, bodies

from hillemu.emu.cpu.core import CoreStop


def finish(lab: Any, limit: int = 400_000) -> None:
    assert lab.run(limit) is CoreStop.HALT


def finish_in_pieces(lab: Any, chance: random.Random) -> None:
    longest = chance.choice([3, 40, 700])
    for _ in range(200_000):
        if lab.run(chance.randrange(longest)) is CoreStop.HALT:
            return
    raise AssertionError("never ends")


def finish_with_breakpoints(lab: Any, chance: random.Random) -> None:
    """Breakpoints at random bytes of the code, put and taken away as it goes."""
    span = (lab["start"], lab["vector_128"] + 2)
    active: set[int] = set()
    for _ in range(200_000):
        for _ in range(chance.randrange(3)):
            at = chance.randrange(*span)
            (lab.processor.remove_breakpoint if at in active else lab.processor.add_breakpoint)(at)
            active ^= {at}
        if lab.run(chance.choice([50, 5000, 400_000])) is CoreStop.HALT:
            return
    raise AssertionError("never ends")


PROPERTY = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    for key, value in one.items():
        assert other[key] == value, key


CHANGES_ITS_OWN_BLOCK = """
    .rept 23; add edi, dword ptr [UNMAPPED + 137]; .endr
patched1: mov eax, 0
    add dword ptr [patched6 + 1], 0x3cf
    add dword ptr [patched1 + 1], 0x162
    sti
    .rept 3; or eax, eax; .endr
patched6: mov eax, 0xef4
"""
CHANGES_ITSELF_TWICE = """
    out dx, eax
patched8: mov eax, 0x2bc
    add dword ptr [DATA + 244], edi
patched11: mov eax, 0xc63e
    add dword ptr [patched11 + 1], 0x44c2e827
    mov edx, 0x50C; mov edi, DATA + 0x200; mov ecx, 3; rep insd
    add dword ptr [patched8 + 1], 0x800001
    xor dword ptr [UNMAPPED + 12665], edx
"""


@PROPERTY
@example(body=CHANGES_ITS_OWN_BLOCK, timer=5, rounds=3, seed=593)
@example(body=CHANGES_ITSELF_TWICE, timer=10, rounds=9, seed=873)
@given(body=bodies(), timer=st.integers(3, 20), rounds=st.integers(1, 12), seed=st.integers(0, 999))
def test_a_run_is_the_same_however_it_is_cut(
    lab_of: Callable[..., Any], body: str, timer: int, rounds: int, seed: int
) -> None:
    source = FRAME.format(body=body, timer=timer, rounds=rounds)
    whole = lab_of("native", source)
    finish(whole)
    for core in ("portable", "native"):
        same = lab_of(core, source)
        if core == "portable":
            finish(same)
            assert_same(whole.outcome(), same.outcome())
        pieces = lab_of(core, source)
        finish_in_pieces(pieces, random.Random(seed))
        assert_same(whole.outcome(), pieces.outcome())
        broken = lab_of(core, source)
        finish_with_breakpoints(broken, random.Random(seed))
        assert_same(whole.outcome(), broken.outcome())
    stepped = lab_of("native", source)
    stepped.step_to_end()
    assert_same(whole.outcome(), stepped.outcome())
