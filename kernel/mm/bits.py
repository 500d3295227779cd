"""Integers as sets of bits, of any length."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache


def set_bits(word: int) -> Iterator[int]:
    """The numbers of the bits that are set, ascending.

    >>> list(set_bits(0b1010))
    [1, 3]
    """
    while word:
        yield (word & -word).bit_length() - 1
        word &= word - 1


def lowest_aligned_run(bits: int, order: int, length: int) -> int:
    """The first multiple of `2**order` at which `2**order` bits are set, of the lowest `length`; -1 if there is none.

    >>> lowest_aligned_run(0b1111_0110, 1, 8), lowest_aligned_run(0b1111_0110, 2, 8), lowest_aligned_run(6, 1, 4)
    (4, 4, -1)
    """
    # After step k, a bit is set if the 2**k bits from it on were set.
    for step in range(order):
        bits &= bits >> (1 << step)
    bits &= _starts(order, length)
    return (bits & -bits).bit_length() - 1


@cache
def _starts(order: int, length: int) -> int:
    """All multiples of `2**order` below `length`, as bits."""
    return sum(1 << at for at in range(0, length, 1 << order))
