"""Numbers of instructions, against exact fractions."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hillemu.counts import parse_count

SCALES = {"": 1, "k": 1000, "K": 1000, "M": 1000_000, "m": 1000_000, "G": 1000_000_000, "g": 1000_000_000}


@given(
    whole=st.integers(0, 10**6), fraction=st.from_regex(r"[0-9]{0,9}", fullmatch=True), scale=st.sampled_from([*SCALES])
)
def test_a_count_is_the_exact_number_or_none(whole: int, fraction: str, scale: str) -> None:
    number = f"{whole}.{fraction}" if fraction else str(whole)
    exact = Fraction(number) * SCALES[scale]
    assert parse_count(number + scale) == (exact if exact.denominator == 1 else None)


@pytest.mark.parametrize(("text", "count"), [("1_000", 1000), ("1_5M", 15_000_000), ("0", 0), ("9" * 18, 10**18 - 1)])
def test_underscores_divide_digits(text: str, count: int) -> None:
    assert parse_count(text) == count


@pytest.mark.parametrize(
    "text", ["", "M", "-1", "+1", "1 M", "1MB", "0x10", "_1", ".5M", "1.M", "1e6", "٣", "9" * 19, "9999999999.5G"]
)
def test_what_is_no_count_is_refused(text: str) -> None:
    assert parse_count(text) is None
