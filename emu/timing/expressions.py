"""Clock counts as the tables write them.

===================  ====================================================================================
``7``                clocks
``60-66``            a range that depends on the operands' values: its middle, rounded down, is charged
``5+4n``             n: iterations of REP, level of ENTER, parameters copied, zero bits scanned (the row's
                     case tells which)
``7+m``              m: components of the instruction at a branch's target (386 only)
``37+ts``            ts: a task switch, which has rows of its own
``6+bits(3,3)``      significant bits of the multiplier, ceil(log2(|multiplier|)), at least the first number,
                     or the second if the multiplier is negative; the first for zero
``18+scan(4,3,3)``   BSF: so many clocks for each zero byte, then zero nibble, then zero bit before the first one
``precision(19,33,39)``  by the x87's precision control: 24, 53 or 64 bits
``103-3p``           p: the number of the bit that BSR finds
``absent``           the processor does not have the instruction, or only raises an exception
===================  ====================================================================================

>>> parse("7+4n").clocks(Operands(n=10))
47
>>> parse("10+bits(3,5)").clocks(Operands(multiplier=-2))
15
>>> parse("28-34").clocks(Operands())
31
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import NamedTuple

_TERM = re.compile(r"([+-]?)(?:(\d+)-(\d+)|(\d*)(ts|[nmp])|(bits|scan|precision)\(([\d,]+)\)|(\d+))(?=[+-]|$)")
_ARGUMENTS = {"bits": 2, "scan": 3, "precision": 3}
_SIZES = {"n": "per_n", "m": "per_component", "ts": "per_task_switch", "p": "per_position"}
MAX_CLOCKS = 0x7FFF
"""The flat arrays hold 16-bit numbers."""


class Function(IntEnum):
    """What is added beside the linear terms; the order is known to the native core."""

    NONE = 0
    BITS = 1
    SCAN = 2
    PRECISION = 3


class Operands(NamedTuple):
    """What a dynamic cost depends on; each field is used by the term of its name only.

    `source` is BSF's operand (not 0), `precision_control` the x87 control word's field (0: 24, 2: 53, 3: 64 bits).
    """

    n: int = 0
    components: int = 0
    task_switch: int = 0
    position: int = 0
    multiplier: int = 0
    source: int = 1
    precision_control: int = 3


class Clocks(NamedTuple):
    """A parsed expression: a sum of multiples and at most one function of the operands.

    `low` and `high` are what the text printed as a range (both `base` without one).
    """

    base: int
    per_n: int = 0
    per_component: int = 0
    per_task_switch: int = 0
    per_position: int = 0
    function: Function = Function.NONE
    arguments: tuple[int, int, int] = (0, 0, 0)
    low: int = 0
    high: int = 0

    def clocks(self, operands: Operands) -> int:
        """The cost for these operand values."""
        return (
            self.base
            + self.per_n * operands.n
            + self.per_component * operands.components
            + self.per_task_switch * operands.task_switch
            + self.per_position * operands.position
            + self._function_of(operands)
        )

    @property
    def minimum(self) -> int:
        """Clocks that this costs whatever the operands are: what can be charged before they are known."""
        least = {
            Function.NONE: 0,
            Function.BITS: min(self.arguments[:2]),
            Function.SCAN: 0,
            Function.PRECISION: min(self.arguments),
        }[self.function]
        return self.base + least + min(0, self.per_position * 31)

    @property
    def is_static(self) -> bool:
        """Whether no operand changes it."""
        return not (self.per_n or self.per_component or self.per_task_switch or self.per_position or self.function)

    def _function_of(self, operands: Operands) -> int:
        first, second, third = self.arguments
        match self.function:
            case Function.BITS:
                least = second if operands.multiplier < 0 else first
                # ceil(log2(x)) is the length of x - 1 in bits.
                return max(least, (abs(operands.multiplier) - 1).bit_length()) if operands.multiplier else first
            case Function.SCAN:
                zeros = (operands.source & -operands.source).bit_length() - 1
                return first * (zeros // 8) + second * (zeros % 8 // 4) + third * (zeros % 4)
            case Function.PRECISION:
                return (first, first, second, third)[operands.precision_control]
            case Function.NONE:
                return 0


def parse(text: str) -> Clocks:
    """Read an expression; `ValueError` says which part is not one."""
    numbers = dict.fromkeys(("base", "low", "high", *_SIZES.values()), 0)
    function, arguments = Function.NONE, (0, 0, 0)
    at = 0
    while at < len(text) or not text:
        term = _TERM.match(text, at)
        if term is None or (at > 0 and not term[1]) or (at == 0 and term[1]):
            raise ValueError(f"{text!r} is not a clock count: {text[at:] or 'it is empty'!r} cannot be read")
        sign = -1 if term[1] == "-" else 1
        if term[2]:
            low, high = int(term[2]), int(term[3])
            if sign < 0 or low > high or numbers["high"] != numbers["base"]:
                raise ValueError(f"{text!r} is not a clock count: the range {low}-{high} makes no sense there")
            numbers["base"] += (low + high) // 2
            numbers["low"] += low
            numbers["high"] += high
        elif term[5]:
            numbers[_SIZES[term[5]]] += sign * int(term[4] or 1)
        elif term[6]:
            given = [int(number) for number in term[7].split(",") if number]
            if len(given) != _ARGUMENTS[term[6]] or function or sign < 0:
                raise ValueError(f"{text!r}: {term[6]} takes {_ARGUMENTS[term[6]]} numbers, and stands once in a sum")
            function, arguments = Function[term[6].upper()], (given[0], given[1], given[2] if len(given) > 2 else 0)
        else:
            for name in ("base", "low", "high"):
                numbers[name] += sign * int(term[8])
        at = term.end()
    clocks = Clocks(**numbers, function=function, arguments=arguments)
    if max(abs(number) for number in (*clocks[:5], *arguments, clocks.high)) > MAX_CLOCKS:
        raise ValueError(f"{text!r}: no number may be above {MAX_CLOCKS}")
    if clocks.minimum < 0 or min(clocks.per_n, clocks.per_component, clocks.per_task_switch) < 0:
        raise ValueError(f"{text!r} can become negative")
    return clocks
