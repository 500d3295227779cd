"""Clock expressions against the manuals' own formulas, computed in another way."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hillemu.emu.timing.expressions import Clocks, Function, Operands, parse


@pytest.mark.parametrize(
    ("text", "operands", "clocks"),
    [
        ("0", Operands(), 0),
        ("7", Operands(n=9), 7),
        ("5+4n", Operands(n=0), 5),
        ("5+4n", Operands(n=100), 405),
        ("12+n", Operands(n=3), 15),
        ("94+4n+m", Operands(n=2, components=3), 105),
        ("ts", Operands(task_switch=300), 300),
        ("37+ts", Operands(task_switch=162), 199),
        ("103-3p", Operands(position=31), 10),
        ("28-34", Operands(), 31),
        ("8-20", Operands(), 14),
        ("74-155", Operands(), 114),
        ("precision(19,33,39)", Operands(precision_control=0), 19),
        ("precision(19,33,39)", Operands(precision_control=2), 33),
        ("precision(19,33,39)", Operands(), 39),
    ],
)
def test_an_expression_counts_what_it_says(text: str, operands: Operands, clocks: int) -> None:
    assert parse(text).clocks(operands) == clocks


@given(multiplier=st.integers(-(2**31), 2**32 - 1))
def test_a_multiplication_stops_early_as_the_manuals_print(multiplier: int) -> None:
    magnitude = abs(multiplier)
    logarithm = math.ceil(math.log2(magnitude)) if magnitude else 0
    i386 = 9 if multiplier == 0 else max(logarithm, 3) + 6
    i486 = 13 if multiplier == 0 else 10 + max(logarithm, 3 if multiplier > 0 else 5)

    assert parse("6+bits(3,3)").clocks(Operands(multiplier=multiplier)) == i386
    assert parse("10+bits(3,5)").clocks(Operands(multiplier=multiplier)) == i486


def test_multiplications_stay_in_the_ranges_that_the_manuals_print() -> None:
    for bits, low, high in ((8, 9, 14), (16, 9, 22), (32, 9, 38)):
        figures = [parse("6+bits(3,3)").clocks(Operands(multiplier=value)) for value in (0, 1, 5, 2**bits - 1)]
        assert (min(figures), max(figures)) == (low, high)


@given(source=st.integers(1, 2**32 - 1))
def test_a_bit_scan_skips_bytes_then_nibbles_then_bits(source: int) -> None:
    zeros = len(bin(source)) - len(bin(source).rstrip("0"))
    whole_bytes, rest = divmod(zeros, 8)
    nibbles, bits = divmod(rest, 4)
    printed = 8 + 4 * (whole_bytes + 1) + 3 * (nibbles + 1) + 3 * (bits + 1)

    assert parse("18+scan(4,3,3)").clocks(Operands(source=source)) == printed
    assert printed <= 42


NO_EXPRESSIONS = (
    *("", "x", "5+", "+5", "5++n", "5 + n", "n5", "7-3", "3-5-9", "bits(3)", "scan(1,2)", "bits(1,2)+bits(3,4)"),
    *("-5", "5-9n", "99999", "precision()", "1.5", "absent", "2+ts+"),
)


@pytest.mark.parametrize("text", NO_EXPRESSIONS)
def test_what_is_no_expression_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(ValueError, match=r"clock count|takes|negative|above"):
        parse(text)


TERMS = st.fixed_dictionaries(
    {
        "base": st.integers(0, 3000),
        "per_n": st.integers(0, 40),
        "per_component": st.integers(0, 3),
        "per_task_switch": st.integers(0, 1),
    }
)


@given(terms=TERMS, n=st.integers(0, 1000), components=st.integers(0, 9), switch=st.integers(0, 400))
def test_a_sum_that_is_written_is_read_as_the_same_sum(
    terms: dict[str, int], n: int, components: int, switch: int
) -> None:
    text = f"{terms['base']}+{terms['per_n']}n+{terms['per_component']}m" + "+ts" * terms["per_task_switch"]
    clocks = parse(text)

    assert clocks.clocks(Operands(n=n, components=components, task_switch=switch)) == (
        terms["base"] + terms["per_n"] * n + terms["per_component"] * components + terms["per_task_switch"] * switch
    )
    assert clocks.minimum == terms["base"]


@given(
    text=st.sampled_from(["6+bits(3,3)", "10+bits(3,5)", "18+scan(4,3,3)", "103-3p", "5+4n", "precision(22,36,42)"]),
    multiplier=st.integers(-(2**31), 2**32 - 1),
    source=st.integers(1, 2**32 - 1),
    position=st.integers(0, 31),
    n=st.integers(0, 2**32 - 1),
    precision_control=st.integers(0, 3),
)
def test_nothing_costs_less_than_its_minimum(
    text: str, multiplier: int, source: int, position: int, n: int, precision_control: int
) -> None:
    operands = Operands(
        n=n, multiplier=multiplier, source=source, position=position, precision_control=precision_control
    )
    assert parse(text).clocks(operands) >= parse(text).minimum


def test_a_range_keeps_its_ends() -> None:
    assert parse("60-67") == Clocks(63, low=60, high=67)
    assert parse("60-67").is_static
    assert not parse("bits(1,2)").is_static
    assert parse("scan(1,2,3)").function is Function.SCAN
