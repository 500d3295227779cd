"""Words with named bits read, change and print like the manual's drawings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hillemu.emu.word import Bit, Bits, Word


class Sample(Word):
    """high field, two flags, low field"""

    high = Bits(31, 28)
    ready = Bit(9)
    busy = Bit(8)
    low = Bits(3, 0)


@given(st.integers(0, 0xFFFFFFFF))
def test_fields_are_the_bits_that_they_name(value: int) -> None:
    word = Sample(value)
    assert (word.high, word.low) == (value >> 28, value & 15)
    assert (word.ready, word.busy) == (bool(value & 0x200), bool(value & 0x100))


@given(st.integers(0, 0xFFFFFFFF), st.integers(0, 15))
def test_replacing_a_field_leaves_all_other_bits(value: int, low: int) -> None:
    assert Sample(value).replace(low=low) == value & ~0xF | low


@pytest.mark.parametrize("value", [16, -1])
def test_a_value_that_does_not_fit_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="low"):
        Sample.of(low=value)


def test_a_name_that_is_no_field_is_refused() -> None:
    with pytest.raises(AttributeError):
        Sample.of(missing=1)
    with pytest.raises(AttributeError, match="no field"):
        Sample.of(as_integer_ratio=1)


def test_a_field_without_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="no bits"):
        Bits(3, 4)


def test_the_text_names_what_is_set_from_the_highest_bit_down() -> None:
    assert repr(Sample.of(high=2, busy=True, ready=True)) == "Sample(0x20000300 high=0x2 ready busy)"
