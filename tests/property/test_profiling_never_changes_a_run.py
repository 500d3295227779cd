"""A run with a profile is the run without, and the profile's sums are what the run's clock has counted."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from random_programs import FRAME, bodies

from hillemu.emu.cpu.core import CoreStop
from hillemu.emu.cpu.profile import Costs

STEPS = 400_000


@pytest.mark.parametrize("timing", ["", "i386-nomem", "i486", "pentium"])
@settings(
    max_examples=12,
    phases=(Phase.generate,),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(body=bodies(), timer=st.integers(20, 80), rounds=st.integers(1, 6), seed=st.integers(0, 999))
def test_a_profile_changes_nothing_and_misses_nothing(
    lab_of: Callable[..., Any], timing: str, body: str, timer: int, rounds: int, seed: int
) -> None:
    source = FRAME.format(body=body, timer=timer, rounds=rounds)
    alone = lab_of("native", source, timing=timing)
    assert alone.run(STEPS) is CoreStop.HALT
    watched, chance = lab_of("native", source, timing=timing), random.Random(seed)
    began = watched.processor.ticks()
    profiler = watched.processor.take_profile()
    while watched.processor.run(instructions=chance.choice([1, 30, 5000, STEPS])) is not CoreStop.HALT:
        pass
    assert watched.outcome() == alone.outcome()

    profile = profiler.profile()
    total = profile.total
    assert total.instructions == watched.processor.instructions
    assert total.ticks == watched.processor.ticks() - began
    of_sites, of_nodes = profile.deliveries, Costs()
    for site in profile.sites:
        of_sites = of_sites.plus(site.costs)
    for node in profile.nodes:
        of_nodes = of_nodes.plus(node.costs)
    assert of_sites == of_nodes == total
    assert 0 <= total.idle <= total.ticks
