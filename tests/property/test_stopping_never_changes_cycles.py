"""With a timing model, too, a run is the same however it is cut and watched: cycles, interrupts, what the guest read.

Debuggers: test_debugging_never_changes_a_run.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from random_programs import FRAME, bodies

from hillemu.emu.cpu.core import CoreStop
from hillemu.emu.cpu.observers import Watch

STEPS = 400_000
PROPERTY = settings(
    max_examples=15,
    phases=(Phase.generate,),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


DATA, STACK = 0x500000, 0x7F000


def finish_in_pieces(lab: Any, chance: random.Random) -> None:
    longest = chance.choice([3, 40, 700])
    for _ in range(STEPS):
        by_time = chance.random() < 0.3
        limit = {"ticks": chance.randrange(longest * 3)} if by_time else {"instructions": chance.randrange(longest)}
        if lab.processor.run(**limit) is CoreStop.HALT:
            return
    raise AssertionError("never ends")


@pytest.mark.parametrize("model", ["i386-nomem", "i486-nomem", "pentium-nomem", "i386", "i486", "pentium"])
@PROPERTY
@given(body=bodies(), timer=st.integers(20, 80), rounds=st.integers(1, 8), seed=st.integers(0, 999))
def test_a_run_takes_the_same_cycles_however_it_is_cut(
    lab_of: Callable[..., Any], model: str, body: str, timer: int, rounds: int, seed: int
) -> None:
    source = FRAME.format(body=body, timer=timer, rounds=rounds)
    whole = lab_of("native", source, timing=model)
    assert whole.run(STEPS) is CoreStop.HALT
    pieces = lab_of("native", source, timing=model)
    finish_in_pieces(pieces, random.Random(seed))
    assert whole.outcome() == pieces.outcome()
    stepped = lab_of("native", source, timing=model)
    stepped.step_to_end()
    assert whole.outcome() == stepped.outcome()


@pytest.mark.parametrize("model", ["i486-nomem", "pentium-nomem"])
@PROPERTY
@given(body=bodies(), timer=st.integers(20, 80), rounds=st.integers(1, 8), stops=st.booleans())
def test_a_run_takes_the_same_cycles_when_it_is_watched(
    lab_of: Callable[..., Any], model: str, body: str, timer: int, rounds: int, stops: bool
) -> None:
    source = FRAME.format(body=body, timer=timer, rounds=rounds)
    plain, watched = (lab_of("native", source, timing=model) for _ in range(2))
    assert plain.run(STEPS) is CoreStop.HALT
    told: list[Any] = []
    for at in (DATA, STACK):
        watched.processor.observers.add_watch(at, 0x80, Watch.ACCESS, on_hit=None if stops else told.append)
    watched.processor.observers.on_page_fault(told.append)
    watched.processor.observers.on_arrival(watched["vector_32"], told.append)
    while (stop := watched.run(STEPS)) is CoreStop.WATCHPOINT:
        pass
    assert stop is CoreStop.HALT
    assert plain.outcome() == watched.outcome()
