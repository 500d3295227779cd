"""GDB's bytecode for conditions, beside a model that computes with C's 64-bit integers, and the manual's words."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from ctypes import c_int64, c_uint64
from fractions import Fraction
from typing import Any

import pytest
from gdb_target import RAM_BYTES, FakeTarget
from hypothesis import given
from hypothesis import strategies as st

from hillemu.emu.gdb.agent_expressions import MOST_DEEP, CannotEvaluate, Expression
from hillemu.emu.gdb.fields import Malformed
from hillemu.emu.gdb.registers import BY_NAME

REGISTERS = ("eax", "ecx", "esi", "eip", "cs")


def target() -> FakeTarget:
    found = FakeTarget()
    for number, name in enumerate(REGISTERS, start=1):
        found.values[name] = (number * 0x9E3779B1 & 0xFFFFFFFF).to_bytes(4, "little")
    return found


def value_of(text: str) -> int:
    return Expression(bytes.fromhex(text)).evaluate(target())


# ---- the manual's descriptions

TWO, SEVEN, MINUS_SEVEN = "2202", "2207", "22f91608"


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("22ff 27", 0xFF),
        ("23 8001 27", 0x8001),
        ("24 80000001 27", 0x80000001),
        ("25 8000000000000001 27", 0x8000000000000001),
        ("22ff 1608 27", (1 << 64) - 1),
        ("23 12ff 1608 27", (1 << 64) - 1),
        ("23 12ff 2a08 27", 0xFF),
        ("22ff 1640 27", 0xFF),
        ("22ff 2aff 27", 0xFF),
        (f"{MINUS_SEVEN} {TWO} 05 27", (1 << 64) - 3),
        (f"{MINUS_SEVEN} {TWO} 07 27", (1 << 64) - 1),
        (f"{SEVEN} {TWO} 03 27", 5),
        (f"{SEVEN} {TWO} 09 27", 28),
        (f"{MINUS_SEVEN} {TWO} 0a 27", (1 << 64) - 2),
        (f"{SEVEN} 2240 09 27", 0),
        (f"{MINUS_SEVEN} 2240 0a 27", (1 << 64) - 1),
        (f"{MINUS_SEVEN} 2240 0b 27", 0),
        (f"{SEVEN} 0e 27", 0),
        (f"{TWO} {SEVEN} 2b 03 27", 5),
        (f"{TWO} {SEVEN} 3201 27", 2),
        (f"{TWO} {SEVEN} 29 27", 2),
        (f"{SEVEN} 28 04 27", 49),
        ("2220 17 27", 0x20),
        ("2220 18 27", 0x2120),
        ("2220 19 27", 0x23222120),
        ("2220 1a 27", 0x2726252423222120),
        ("25 ffffffff00000020 17 27", 0x20),
        ("2200 20000a 2203 21000c 2204 27", 3),
        ("2201 20000a 2203 21000c 2204 27", 4),
    ],
)
def test_each_bytecode_does_what_the_manual_says(code: str, value: int) -> None:
    assert value_of(code) == value


def test_rot_puts_the_top_below_the_two_next() -> None:
    # a b c => c a b; here what is left is 1 - (2 - 3) of 2 3 1.
    assert value_of("2202 2203 2201 33 03 03 27") == 2


def test_a_register_is_pushed_without_sign_extension_by_gdbs_number() -> None:
    assert value_of("260001 27") == 2 * 0x9E3779B1 & 0xFFFFFFFF
    assert BY_NAME["ecx"].number == 1


# ---- random expressions, compiled as GDB does it, beside a model

Tree = tuple[Any, ...]
_BINARY: dict[str, tuple[int, Callable[[int, int], int], bool]] = {
    "+": (0x02, operator.add, False),
    "-": (0x03, operator.sub, False),
    "*": (0x04, operator.mul, False),
    "/s": (0x05, lambda a, b: math.trunc(Fraction(a, b)), True),
    "/u": (0x06, operator.floordiv, False),
    "%s": (0x07, lambda a, b: a - b * math.trunc(Fraction(a, b)), True),
    "%u": (0x08, operator.mod, False),
    "&": (0x0F, operator.and_, False),
    "|": (0x10, operator.or_, False),
    "^": (0x11, operator.xor, False),
    "==": (0x13, operator.eq, False),
    "<s": (0x14, operator.lt, True),
    "<u": (0x15, operator.lt, False),
}
_leaves = st.one_of(
    st.tuples(st.just("const"), st.integers(0, (1 << 64) - 1) | st.sampled_from([0, 1, 1 << 63, (1 << 64) - 1])),
    st.tuples(st.just("reg"), st.sampled_from(REGISTERS)),
    st.tuples(st.just("mem"), st.sampled_from([1, 2, 4, 8]), st.integers(0, RAM_BYTES + 8)),
)
trees = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(sorted(_BINARY)), inner, inner),
        st.tuples(st.sampled_from(["!", "~"]), inner),
        st.tuples(st.just("ext"), st.integers(1, 64), inner),
        st.tuples(st.just("zext"), st.integers(0, 64), inner),
        st.tuples(st.just("?"), inner, inner, inner),
    ),
    max_leaves=20,
)


def compiled(tree: Tree, at: int = 0) -> bytes:
    match tree:
        case ("const", value):
            return b"\x25" + int(value).to_bytes(8, "big")
        case ("reg", name):
            return b"\x26" + BY_NAME[name].number.to_bytes(2, "big")
        case ("mem", size, place):
            return b"\x23" + int(place).to_bytes(2, "big") + bytes([{1: 0x17, 2: 0x18, 4: 0x19, 8: 0x1A}[size]])
        case ("!" | "~" as sign, inner):
            return compiled(inner, at) + (b"\x0e" if sign == "!" else b"\x12")
        case ("ext" | "zext" as name, bits, inner):
            return compiled(inner, at) + bytes([0x16 if name == "ext" else 0x2A, bits])
        case ("?", condition, yes, no):
            code = compiled(condition, at)
            otherwise = compiled(no, at + len(code) + 3)
            then_at = at + len(code) + 3 + len(otherwise) + 3
            then = compiled(yes, then_at)
            code += b"\x20" + then_at.to_bytes(2, "big") + otherwise
            return code + b"\x21" + (then_at + len(then)).to_bytes(2, "big") + then
        case (sign, left, right):
            code = compiled(left, at)
            return code + compiled(right, at + len(code)) + bytes([_BINARY[sign][0]])
    raise AssertionError(tree)


def model(tree: Tree, seen: FakeTarget) -> int:
    """The value, unsigned; `ZeroDivisionError` and `IndexError` where there is none."""
    match tree:
        case ("const", value):
            return int(value)
        case ("reg", name):
            return int.from_bytes(seen.values[name], "little")
        case ("mem", size, place):
            if place + size > RAM_BYTES:
                raise IndexError
            return sum((place + i) % 256 << 8 * i for i in range(size))
        case ("!", inner):
            return int(model(inner, seen) == 0)
        case ("~", inner):
            return c_uint64(-1 - model(inner, seen)).value
        case ("ext", bits, inner):
            low = model(inner, seen) % 2**bits
            return c_uint64(low - 2**bits if low >= 2 ** (bits - 1) else low).value
        case ("zext", bits, inner):
            return model(inner, seen) % (1 << int(bits))
        case ("?", condition, yes, no):
            return model(yes if model(condition, seen) else no, seen)
        case (sign, left, right):
            _, compute, signed = _BINARY[sign]
            a, b = model(left, seen), model(right, seen)
            return c_uint64(compute(c_int64(a).value, c_int64(b).value) if signed else compute(a, b)).value
    raise AssertionError(tree)


@given(trees)
def test_random_expressions_have_the_values_of_c(tree: Tree) -> None:
    seen = target()
    expression = Expression(compiled(tree) + b"\x27")
    try:
        expected = model(tree, seen)
    except (ZeroDivisionError, IndexError):
        with pytest.raises(CannotEvaluate):
            expression.evaluate(seen)
        assert expression.is_true(seen), "GDB is to tell why"
    else:
        assert expression.evaluate(seen) == expected
        assert expression.is_true(seen) == (expected != 0)


# ---- what is refused, and what cannot be evaluated


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("", "ends within"),
        ("2201", "no end"),
        ("22", "ends within"),
        ("2200 2000", "ends within"),
        ("27", "end needs 1"),
        ("2201 02 27", "add needs 2"),
        ("2201 3201 27", "pick needs 2"),
        ("01 27", "0x01"),
        ("1b 27", "0x1b"),
        ("2201 0d04 27", "0x0d"),
        ("2c0001 27", "0x2c"),
        ("34 00 0001 00 27", "0x34"),
        ("ff", "0xff"),
        ("2201 1600 27", "no bits"),
        ("26ffff 27", "register 65535"),
        ("260010 27", "register 16"),
        ("210004 27", "jump to 4"),
        ("210001 2201 27", "jump to 1"),
        ("2201 2201 200009 2205 27", "depends on the way"),
        ("2201" * (MOST_DEEP + 1) + "27", "beyond"),
        ("2201 28 210002", "depends on the way"),
    ],
)
def test_code_that_makes_no_sense_is_refused_as_a_whole(code: str, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        Expression(bytes.fromhex(code))


@pytest.mark.parametrize("code", ["2201 210002", "2201 28 200002 27", "2201 28 29 210002"])
def test_a_loop_is_not_followed_for_ever(code: str) -> None:
    expression = Expression(bytes.fromhex(code))
    with pytest.raises(CannotEvaluate, match="no end after"):
        expression.evaluate(target())


def test_a_register_that_cannot_be_known_makes_the_condition_true() -> None:
    seen = target()
    del seen.values["ecx"]
    assert Expression(bytes.fromhex("260001 29 2200 27")).is_true(seen)


_WITHOUT_OPERAND = st.sampled_from([*range(2, 0x0C), *range(0x0E, 0x16), *range(0x17, 0x1B), 0x28, 0x29, 0x2B, 0x33])
_instructions = st.one_of(
    st.builds(lambda value: bytes([0x22, value]), st.integers(0, 255)),
    st.builds(lambda opcode: bytes([opcode]), _WITHOUT_OPERAND),
    st.builds(lambda opcode, place: bytes([opcode, 0, place]), st.sampled_from([0x20, 0x21]), st.integers(0, 60)),
    st.builds(lambda opcode, count: bytes([opcode, count]), st.sampled_from([0x16, 0x2A, 0x32]), st.integers(0, 70)),
)


@given(st.lists(_instructions, max_size=20))
def test_what_is_accepted_can_be_evaluated_whatever_it_is(code: list[bytes]) -> None:
    """No underflow, no place without an instruction, no failure but the announced one."""
    try:
        expression = Expression(b"\x22\x05\x22\x06" + b"".join(code) + b"\x27")
    except Malformed:
        return
    assert 1 <= expression.deepest <= MOST_DEEP
    assert expression.is_true(target()) in (True, False)
