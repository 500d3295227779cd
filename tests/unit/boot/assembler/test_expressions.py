"""Constant expressions, against Python's own arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hillemu.boot.assembler.expression import ExpressionError, Value, evaluate, parse


def number(text: str, **symbols: int) -> int:
    return evaluate(parse(text), lambda name: Value(symbols[name])).number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0x1F", 31),
        ("1Fh", 31),
        ("0b101", 5),
        ("017", 15),
        ("0", 0),
        ("'a'", 97),
        (r"'\n'", 10),
        ("'a", 97),
        ("' '", 32),
        ("1 + 2*3", 7),
        ("(1 + 2)*3", 9),
        ("-7 / 2", -3),
        ("-7 % 2", -1),
        ("1 shl 4", 16),
        ("~0 & 0xFF", 255),
        ("not 0 and 0xF", 15),
        ("!5", 0),
        ("3 == 3", -1),
        ("3 < 2", 0),
        ("1 && 2", 1),
        ("0 || 0", 0),
        ("x - y", 3),
        ("-(0x1BADB002 + 3)", -0x1BADB005),
    ],
)
def test_an_expression_has_the_value_that_gnu_as_gives_it(text: str, value: int) -> None:
    assert number(text, x=5, y=2) == value


@pytest.mark.parametrize("text", ["1 << 4 + 1", "1 | 2 + 4", "a & 3 == 3", "1 + 2 & 3"])
def test_an_order_that_c_and_gnu_as_read_differently_asks_for_parentheses(text: str) -> None:
    with pytest.raises(ExpressionError, match="parentheses"):
        parse(text)


@pytest.mark.parametrize("text", ["", "1 +", "(1", "1)", "0x", "08", "1 2", "@", "12ab"])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(parse(text), lambda name: Value(0))


def test_division_by_zero_is_refused() -> None:
    with pytest.raises(ExpressionError, match="division by zero"):
        number("1 / (2 - 2)")


def test_the_difference_of_two_labels_is_a_plain_number() -> None:
    difference = evaluate(parse("end - start + 1"), lambda name: Value(16 if name == "end" else 4, 1, True))
    assert difference == (13, 0, True)


leaf = st.integers(0, 1 << 32).map(str)
arithmetic = st.recursive(
    leaf,
    lambda inner: st.tuples(inner, st.sampled_from(["+", "-", "*", "&", "|", "^"]), inner).map(
        lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"
    ),
    max_leaves=12,
)


@given(arithmetic)
def test_nested_arithmetic_agrees_with_python(text: str) -> None:
    assert number(text) == eval(text)
