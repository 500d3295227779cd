"""What the memory model counts in a run depends on the run alone: not on stops, steps, watches or snapshots."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from memory_runs import ComparedRun
from random_programs import FRAME, bodies

from hillemu.emu.cpu.core import CoreStop
from hillemu.emu.cpu.observers import Watch

STEPS = 400_000
PROPERTY = settings(
    max_examples=12,
    phases=(Phase.generate,),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
MODELS = pytest.mark.parametrize("model", ["i386", "i486", "pentium"])


def outcome(lab: Any) -> dict[str, Any]:
    memory = lab.pc.cycles.memory
    return {**lab.outcome(), "counters": memory.counters(), "tlb": memory.tlb(), "lines": memory.lines()}


@MODELS
@PROPERTY
@given(body=bodies(), timer=st.integers(20, 80), rounds=st.integers(1, 6), seed=st.integers(0, 999))
def test_stops_steps_and_watches_change_no_miss(
    lab_of: Callable[..., Any], model: str, body: str, timer: int, rounds: int, seed: int
) -> None:
    source = FRAME.format(body=body, timer=timer, rounds=rounds)
    whole = lab_of("native", source, timing=model)
    assert whole.run(STEPS) is CoreStop.HALT
    watched = lab_of("native", source, timing=model)
    for number, page in enumerate((0x500000, 0x601000, 0x7F000, 0x12000, 0x100000, 0x1000)):
        kind = (Watch.READ, Watch.WRITE, Watch.ACCESS)[(seed + number) % 3]
        watched.processor.observers.add_watch(page, 0x1000, kind, on_hit=lambda _: None)
    assert watched.run(STEPS) is CoreStop.HALT
    assert outcome(whole) == outcome(watched)
    pieces = lab_of("native", source, timing=model)
    chance = random.Random(seed)
    while pieces.processor.run(instructions=chance.randrange(60)) is not CoreStop.HALT:
        pass
    assert outcome(whole) == outcome(pieces)


@MODELS
@PROPERTY
@given(body=bodies(), timer=st.integers(20, 80), rounds=st.integers(1, 3))
def test_random_programs_events_are_answered_as_by_the_reference(
    lab_of: Callable[..., Any], model: str, body: str, timer: int, rounds: int
) -> None:
    lab = lab_of("native", FRAME.format(body=body, timer=timer, rounds=rounds), timing=model)
    run = ComparedRun(lab.processor, lab.pc.cycles.memory, 16 << 20)
    assert lab.run(STEPS) is CoreStop.HALT
    run.check()
    assert run.accesses > 100


@PROPERTY
@given(body=bodies(), timer=st.integers(20, 80), rounds=st.integers(1, 4), model=st.sampled_from(["", "i486"]))
def test_looking_for_stale_translations_changes_no_run(
    lab_of: Callable[..., Any], body: str, timer: int, rounds: int, model: str
) -> None:
    source = FRAME.format(body=body, timer=timer, rounds=rounds)
    plain, linted = (lab_of("native", source, timing=model) for _ in range(2))
    lint = linted.processor.lint_tlb()
    assert plain.run(STEPS) is linted.run(STEPS) is CoreStop.HALT
    assert plain.outcome() == linted.outcome()
    assert lint.findings == []
