"""Conditions of breakpoints as GDB sends them: bytecode for a machine with a stack of 64-bit integers.

>>> at_least_5 = Expression(bytes.fromhex("2600012a20" "2205" "15" "0e" "27"))  # ! (ecx < 5)
>>> at_least_5.deepest
2

Code is checked as a whole before it is first evaluated: every instruction is known and complete, jumps lead to
instructions, the stack neither underflows nor grows beyond `MOST_DEEP`, and is as deep on each way to a place.  What
remains to fail then is what depends on values: `CannotEvaluate`.

Integers wrap at 64 bits.  Registers and memory are pushed without sign extension; memory is little-endian, at linear
addresses of 32 bits.  Shifts by 64 and more shift everything out.

Not modelled, and refused: floating point, which the manual leaves undefined; what collects trace data (trace, tracev,
getv, setv and their like) and printf, because a condition only looks.

Source: Debugging with GDB, "General Bytecode Design" and "Bytecode Descriptions".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from hillemu.emu.gdb.fields import ADDRESS_MASK, Malformed
from hillemu.emu.gdb.registers import LAYOUT, Register

MOST_DEEP = 100
MOST_STEPS = 10_000
"""An expression in C takes tens; only a loop, which GDB never makes, takes more."""
_BITS = 64
_MASK = (1 << _BITS) - 1
_SIGN = 1 << _BITS - 1


class CannotEvaluate(Exception):
    """A value is not to be had: memory that is not there, a division by zero, or no end."""


class Values(Protocol):
    """Where an expression looks; as in `hillemu.emu.gdb.target.Target`."""

    def read_register(self, register: Register) -> bytes | None: ...

    def read_memory(self, at: int, count: int, *, physical: bool) -> bytes: ...


class Expression:
    """An expression in `code`; raises `Malformed` if it could not be evaluated whatever the values are."""

    def __init__(self, code: bytes) -> None:
        places = {at: number for number, at in enumerate(_starts(code))}
        self._program = [_decode(code, at, places) for at in places]
        self.deepest = _check_depths(self._program)
        """How many values the stack holds at most."""

    def evaluate(self, values: Values) -> int:
        """The value, as an unsigned number of 64 bits; raises `CannotEvaluate`."""
        program = self._program
        stack: list[int] = []
        at = 0
        for _ in range(MOST_STEPS):
            step = program[at]
            if step.act is None:
                return stack[-1]
            at = step.target if step.act(stack, step.operand, values) else step.following
        raise CannotEvaluate(f"no end after {MOST_STEPS:,} instructions")

    def is_true(self, values: Values) -> bool:
        """Whether a breakpoint with this condition stops: where nobody can tell, it does, and GDB tells why."""
        try:
            return self.evaluate(values) != 0
        except CannotEvaluate:
            return True


Act = Callable[[list[int], int, Values], object]
"""Works on the stack, given its operand; true where it jumps."""


class _Operation(NamedTuple):
    """`act` is `None` for the end.  It needs `pops` values on the stack and leaves `pushes` in their place."""

    name: str
    act: Act | None
    pops: int
    pushes: int
    operand_bytes: int = 0


class _Step(NamedTuple):
    """An instruction; `target` and `following` are numbers of instructions, or -1 where it goes nowhere else."""

    operation: _Operation
    act: Act | None
    operand: int
    following: int
    target: int


# ---- checking -------------------------------------------------------------------------------------------------------


def _starts(code: bytes) -> Iterator[int]:
    """Where the instructions are."""
    at = 0
    while at < len(code):
        operation = _OPERATIONS.get(code[at])
        if operation is None:
            raise Malformed(f"bytecode {code[at]:#04x} is none that a condition may have")
        yield at
        at += 1 + operation.operand_bytes
    if at != len(code) or not code:
        raise Malformed("the bytecode ends within an instruction")


def _decode(code: bytes, at: int, places: dict[int, int]) -> _Step:
    operation = _OPERATIONS[code[at]]
    end = at + 1 + operation.operand_bytes
    operand = int.from_bytes(code[at + 1 : end], "big")
    target = -1
    if operation in _JUMPS:
        if operand not in places:
            raise Malformed(f"a jump to {operand}, where no instruction begins")
        target = places[operand]
    elif operation is _REG and not (operand < len(LAYOUT) and LAYOUT[operand].bits <= _BITS):
        raise Malformed(f"register {operand} is not there, or no integer")
    elif operation is _EXT and not operand:
        raise Malformed("no bits cannot be extended")
    following = -1 if operation in (_END, _GOTO) else places.get(end, len(places))
    return _Step(operation, operation.act, operand, following, target)


def _check_depths(program: list[_Step]) -> int:
    """Go all ways through `program`; return how deep the stack can get."""
    depths = {0: 0}
    ways = [0]
    deepest = 0
    while ways:
        at = ways.pop()
        step, depth = program[at], depths[at]
        needed = step.operand + 1 if step.operation is _PICK else step.operation.pops
        if depth < needed:
            raise Malformed(f"{step.operation.name} needs {needed} values, and the stack has {depth}")
        after = depth - step.operation.pops + step.operation.pushes
        deepest = max(deepest, after)
        if after > MOST_DEEP:
            raise Malformed(f"the stack grows beyond {MOST_DEEP} values")
        for reached in (step.following, step.target):
            if reached == len(program):
                raise Malformed("the bytecode has no end")
            if reached >= 0 and reached not in depths:
                depths[reached] = after
                ways.append(reached)
            elif reached >= 0 and depths[reached] != after:
                raise Malformed("the depth of the stack depends on the way to an instruction")
    return deepest


# ---- operations -----------------------------------------------------------------------------------------------------


def _signed(value: int) -> int:
    return (value ^ _SIGN) - _SIGN


def _quotient(a: int, b: int) -> int:
    """Rounded towards zero, as in C."""
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def _binary(compute: Callable[[int, int], int]) -> Act:
    def act(stack: list[int], operand: int, values: Values) -> None:
        b = stack.pop()
        stack[-1] = compute(stack[-1], b) & _MASK

    return act


def _signed_binary(compute: Callable[[int, int], int]) -> Act:
    return _binary(lambda a, b: compute(_signed(a), _signed(b)))


def _dividing(compute: Callable[[int, int], int]) -> Callable[[int, int], int]:
    def checked(a: int, b: int) -> int:
        if not b:
            raise CannotEvaluate("a division by zero")
        return compute(a, b)

    return checked


def _unary(compute: Callable[[int, int], int]) -> Act:
    """`compute` gets the value and the instruction's operand."""

    def act(stack: list[int], operand: int, values: Values) -> None:
        stack[-1] = compute(stack[-1], operand) & _MASK

    return act


def _extended(value: int, bits: int) -> int:
    sign = 1 << bits - 1
    return ((value & (1 << bits) - 1) ^ sign) - sign if bits < _BITS else value


def _ref(size_bytes: int) -> Act:
    def act(stack: list[int], operand: int, values: Values) -> None:
        at = stack[-1] & ADDRESS_MASK
        data = values.read_memory(at, size_bytes, physical=False)
        if len(data) != size_bytes:
            raise CannotEvaluate(f"{size_bytes} bytes at {at:#x} cannot be read")
        stack[-1] = int.from_bytes(data, "little")

    return act


def _reg(stack: list[int], number: int, values: Values) -> None:
    data = values.read_register(LAYOUT[number])
    if data is None:
        raise CannotEvaluate(f"{LAYOUT[number].name} cannot be known")
    stack.append(int.from_bytes(data, "little"))


def _const(stack: list[int], operand: int, values: Values) -> None:
    stack.append(operand)


def _goto(stack: list[int], operand: int, values: Values) -> bool:
    return True


def _if_goto(stack: list[int], operand: int, values: Values) -> bool:
    return stack.pop() != 0


def _pick(stack: list[int], operand: int, values: Values) -> None:
    stack.append(stack[-1 - operand])


def _pop(stack: list[int], operand: int, values: Values) -> None:
    stack.pop()


def _swap(stack: list[int], operand: int, values: Values) -> None:
    stack[-2:] = stack[-1], stack[-2]


def _rot(stack: list[int], operand: int, values: Values) -> None:
    """From a b c make c a b."""
    stack[-3:] = stack[-1], stack[-3], stack[-2]


_EXT = _Operation("ext", _unary(_extended), 1, 1, 1)
_REG = _Operation("reg", _reg, 0, 1, 2)
_END = _Operation("end", None, 1, 1)
_PICK = _Operation("pick", _pick, 0, 1, 1)
_GOTO = _Operation("goto", _goto, 0, 0, 2)
_IF_GOTO = _Operation("if_goto", _if_goto, 1, 0, 2)
_JUMPS = (_GOTO, _IF_GOTO)
_OPERATIONS = {
    0x02: _Operation("add", _binary(lambda a, b: a + b), 2, 1),
    0x03: _Operation("sub", _binary(lambda a, b: a - b), 2, 1),
    0x04: _Operation("mul", _binary(lambda a, b: a * b), 2, 1),
    0x05: _Operation("div_signed", _signed_binary(_dividing(_quotient)), 2, 1),
    0x06: _Operation("div_unsigned", _binary(_dividing(lambda a, b: a // b)), 2, 1),
    0x07: _Operation("rem_signed", _signed_binary(_dividing(lambda a, b: a - b * _quotient(a, b))), 2, 1),
    0x08: _Operation("rem_unsigned", _binary(_dividing(lambda a, b: a % b)), 2, 1),
    0x09: _Operation("lsh", _binary(lambda a, b: a << min(b, _BITS)), 2, 1),
    0x0A: _Operation("rsh_signed", _binary(lambda a, b: _signed(a) >> min(b, _BITS)), 2, 1),
    0x0B: _Operation("rsh_unsigned", _binary(lambda a, b: a >> min(b, _BITS)), 2, 1),
    0x0E: _Operation("log_not", _unary(lambda a, _: a == 0), 1, 1),
    0x0F: _Operation("bit_and", _binary(lambda a, b: a & b), 2, 1),
    0x10: _Operation("bit_or", _binary(lambda a, b: a | b), 2, 1),
    0x11: _Operation("bit_xor", _binary(lambda a, b: a ^ b), 2, 1),
    0x12: _Operation("bit_not", _unary(lambda a, _: ~a), 1, 1),
    0x13: _Operation("equal", _binary(lambda a, b: a == b), 2, 1),
    0x14: _Operation("less_signed", _signed_binary(lambda a, b: a < b), 2, 1),
    0x15: _Operation("less_unsigned", _binary(lambda a, b: a < b), 2, 1),
    0x16: _EXT,
    0x17: _Operation("ref8", _ref(1), 1, 1),
    0x18: _Operation("ref16", _ref(2), 1, 1),
    0x19: _Operation("ref32", _ref(4), 1, 1),
    0x1A: _Operation("ref64", _ref(8), 1, 1),
    0x20: _IF_GOTO,
    0x21: _GOTO,
    0x22: _Operation("const8", _const, 0, 1, 1),
    0x23: _Operation("const16", _const, 0, 1, 2),
    0x24: _Operation("const32", _const, 0, 1, 4),
    0x25: _Operation("const64", _const, 0, 1, 8),
    0x26: _REG,
    0x27: _END,
    0x28: _Operation("dup", lambda stack, operand, values: stack.append(stack[-1]), 1, 2),
    0x29: _Operation("pop", _pop, 1, 0),
    0x2A: _Operation("zero_ext", _unary(lambda a, bits: a & (1 << bits) - 1), 1, 1, 1),
    0x2B: _Operation("swap", _swap, 2, 2),
    0x32: _PICK,
    0x33: _Operation("rot", _rot, 3, 3),
}
