"""Cycles of random programs are those of the reference, for every single instruction.

Three kinds of program: those of `random_programs`, under a timer, with faults, interrupts and code that changes itself;
pieces of the micro-benchmarks in any order, which have every kind of instruction beside every other; and random
encodings, with every kind of operand and prefix.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import random_encodings
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from random_programs import FRAME, bodies
from timing_cases import FOLDER, fresh_registers, read_cases
from timing_comparison import difference

PROCESSORS = ("i386", "i486", "pentium")
STEPS = 6000
NEEDY = ("[", "div", "movs", "stos", "lods", "scas", "cmps", "ins", "outs", "xlat")
PROPERTY = settings(
    phases=(Phase.generate,),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
CLASSES = (
    *("moves", "arithmetic", "decimal_and_flags", "shifts", "multiplication", "bits", "strings", "branches", "stack"),
    *("prefixes", "prediction", "interlocks", "pairing", "x87", "input_output"),
)
PIECES = [case.piece for stem in CLASSES for case in read_cases(FOLDER / f"{stem}.cases").cases if case.may_be_repeated]
FRESH = fresh_registers(32)


def program_of(pieces: list[str], refreshed: list[bool]) -> str:
    """The pieces one behind the other; where one uses memory or a divisor, its registers are made what it expects."""
    lines = [FRESH]
    for piece, is_refreshed in zip(pieces, refreshed, strict=False):
        lines += [FRESH] if is_refreshed or any(word in piece for word in NEEDY) else []
        lines.append(piece)
    return "\n".join([*lines, "cli; hlt"])


@pytest.mark.parametrize("processor", PROCESSORS)
@settings(PROPERTY, max_examples=12)
@given(body=bodies(), timer=st.integers(20, 80), rounds=st.integers(1, 4))
def test_a_program_under_a_timer_takes_the_cycles_of_the_reference(
    lab_of: Callable[..., Any], processor: str, body: str, timer: int, rounds: int
) -> None:
    lab = lab_of("native", FRAME.format(body=body, timer=timer, rounds=rounds), timing=f"{processor}-nomem")
    lab.processor.add_breakpoint(lab["round"])
    lab.run()
    lab.processor.remove_breakpoint(lab["round"])
    assert not difference(lab, processor, STEPS)


@pytest.mark.parametrize("processor", PROCESSORS)
@settings(PROPERTY, max_examples=12)
@given(
    pieces=st.lists(st.sampled_from(PIECES), min_size=20, max_size=80),
    refreshed=st.lists(st.booleans(), min_size=80, max_size=80),
)
def test_pieces_of_the_micro_benchmarks_in_any_order_take_the_cycles_of_the_reference(
    lab_of: Callable[..., Any], processor: str, pieces: list[str], refreshed: list[bool]
) -> None:
    lab = lab_of("native", program_of(pieces, refreshed), timing=f"{processor}-nomem")
    assert not difference(lab, processor, STEPS)


@pytest.mark.parametrize("processor", PROCESSORS)
@settings(PROPERTY, max_examples=12)
@given(seed=st.integers(0, 1 << 32))
def test_random_encodings_take_the_cycles_of_the_reference(
    lab_of: Callable[..., Any], processor: str, seed: int
) -> None:
    source = random_encodings.program(Random(seed), has_newer=processor == "pentium")
    lab = lab_of("native", source, timing=f"{processor}-nomem")
    assert not difference(lab, processor, STEPS)
