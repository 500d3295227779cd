"""Under a memory model, a profile of REP MOVS and REP STOS has each iteration where and when it was.

Without a profile the core makes many of them at once, between two looks at the clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hillemu.emu.cpu.core import CoreStop
from hillemu.emu.cpu.profile import Profile

STRINGS = """
        mov esi, 0x208004; mov edi, 0x30A000; mov ecx, 1000
first:  rep movsd
        mov edi, 0x308010; mov ecx, 3000
second: rep stosb
        hlt
"""
LONGEST_ITERATION = 100
"""Cycles, with all misses and write buffers that are full."""


@pytest.mark.parametrize("model", ["i386", "i486", "pentium"])
def test_iterations_are_where_and_when_they_were(lab_of: Callable[..., Any], model: str) -> None:
    profiles = list[Profile]()
    for is_recorded in (False, True):
        lab = lab_of("native", STRINGS, timing=model)
        lab.pc.cycles.memory.record(is_recorded)  # each access is told by a call of translated code
        profiler = lab.processor.take_profile()
        assert lab.run() is CoreStop.HALT
        profiles.append(profiler.profile())
    assert profiles[0] == profiles[1]
    ticks = [each.ticks for each in profiles[0].slices]
    assert len(ticks) > 8
    assert all(abs(each - profiles[0].slice_ticks) < LONGEST_ITERATION for each in ticks[:-1])
    costs = {site.pc: site.costs for site in profiles[0].sites}
    # Each, and the one that finds the count 0
    assert [costs[lab[name]].instructions for name in ("first", "second")] == [1000 + 1, 3000 + 1]
