"""Instruction operands in Intel syntax, read into values.

::

    eax                          Register
    5, offset label, CONSTANT    Immediate
    dword ptr fs:[ebx + ecx*4 + label]    Memory
    label, label[ebx], [label]   Memory (a bare label is what lies there, as in GNU as and MASM)
    8:label                      Far
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hillemu.boot.assembler.expression import (
    Binary,
    Expression,
    ExpressionError,
    Number,
    Parser,
    Register,
    Symbol,
    Unary,
    Value,
    evaluate,
    tokens,
)

SEGMENTS = frozenset(("cs", "ds", "es", "fs", "gs", "ss"))
GENERAL_32 = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")
GENERAL_16 = ("ax", "cx", "dx", "bx", "sp", "bp", "si", "di")
GENERAL_8 = ("al", "cl", "dl", "bl", "ah", "ch", "dh", "bh")
REGISTERS = frozenset(
    (
        *GENERAL_32,
        *GENERAL_16,
        *GENERAL_8,
        *SEGMENTS,
        *("cr0", "cr2", "cr3", "cr4"),
        *(f"dr{number}" for number in range(8)),
        *(f"mm{number}" for number in range(8)),
        *(f"xmm{number}" for number in range(8)),
        "st",
    )
)
POINTER_SIZES = {"byte": 1, "word": 2, "dword": 4, "fword": 6, "qword": 8, "tbyte": 10, "xmmword": 16}
_ZERO = Number(0)


@dataclass(frozen=True, slots=True)
class Immediate:
    value: Expression
    size: int = 0
    """Bytes, where ``word ptr 5`` says so; 0 leaves it to the instruction."""


@dataclass(frozen=True, slots=True)
class Memory:
    """``size ptr segment:[base + index*scale + displacement]``; absent parts are empty, `size` 0 is not given."""

    size: int
    segment: str
    base: str
    index: str
    scale: int
    displacement: Expression
    far: bool = False
    bracketed: bool = True
    """False for a bare label: ``jmp label`` goes there, ``jmp [label]`` goes where the memory there points."""

    @property
    def address_bits(self) -> int:
        """16 or 32 by the registers used, 0 when there are none."""
        register = self.base or self.index
        return 0 if not register else 32 if register in GENERAL_32 else 16


@dataclass(frozen=True, slots=True)
class Far:
    """A direct far address, ``selector:offset``."""

    selector: Expression
    offset: Expression


Operand = Register | Immediate | Memory | Far
Lookup = Callable[[str], Value]


def parse_operand(
    text: str, bind: Callable[[Expression], Expression], is_label: Callable[[Expression], bool]
) -> Operand:
    """Read one operand.

    `bind` replaces symbols that are already known to be constants, `is_label` tells whether an expression without
    brackets is an address in the program (then it means the memory there).  Raises `ExpressionError`.
    """
    parser = Parser(tokens(text), REGISTERS)
    size, far, saw_pointer = _pointer(parser)
    segment = _segment(parser)
    terms: list[Expression] = []
    in_brackets = False
    if parser.next.text != "[":
        terms.append(_top(parser))
        if parser.take(":"):
            selector, offset = bind(terms[0]), bind(parser.expression())
            parser.end()
            return Far(selector, offset)
        if isinstance(terms[0], Register) and not segment and not saw_pointer and parser.next.kind == "end":
            return terms[0]
    while parser.take("["):
        in_brackets = True
        inner_segment = _segment(parser)
        if inner_segment and segment:
            raise ExpressionError("two segment overrides")
        segment = segment or inner_segment
        terms.append(parser.expression())
        if not parser.take("]"):
            raise ExpressionError("`[` without `]`")
    parser.end()
    whole = terms[0]
    for term in terms[1:]:
        whole = Binary("+", whole, term)
    whole = bind(whole)
    if not in_brackets and not segment and (_has_offset(whole) or not (saw_pointer or is_label(whole))):
        return Immediate(whole)
    if not in_brackets and saw_pointer and not is_label(whole) and not segment:
        return Immediate(whole, size)  # `push dword ptr 5`: a size, but nothing that is an address
    registers: list[tuple[str, int]] = []
    displacement = _linear(whole, registers)
    base, index, scale = _base_and_index(registers)
    if segment == ("ss" if base in ("esp", "ebp", "bp") else "ds"):
        segment = ""  # the default: no prefix, as in GNU as
    return Memory(size, segment, base, index, scale, displacement, far, in_brackets)


def _pointer(parser: Parser) -> tuple[int, bool, bool]:
    word = parser.next.text.lower()
    following = parser.found[parser.at + 1].text.lower() if parser.next.kind != "end" else ""
    if word in ("far", "near") and following == "ptr":
        parser.at += 2
        return 0, word == "far", True
    if word in POINTER_SIZES and following == "ptr":
        parser.at += 2
        return POINTER_SIZES[word], False, True
    if word in POINTER_SIZES:
        raise ExpressionError(f"write `{word} ptr`")
    return 0, False, False


def _segment(parser: Parser) -> str:
    name = parser.next.text.lower()
    if name in SEGMENTS and parser.found[parser.at + 1].text == ":":
        parser.at += 2
        return name
    return ""


def _top(parser: Parser) -> Expression:
    """An operand's part outside brackets; ``st(1)`` is read here."""
    if parser.take("st"):
        if not parser.take("("):
            return Register("st")
        number = parser.expression()
        if not parser.take(")") or not isinstance(number, Number) or not 0 <= number.value < 8:
            raise ExpressionError("write st(0) to st(7)")
        return Register(f"st({number.value})")
    return parser.expression()


def _has_offset(expression: Expression) -> bool:
    if isinstance(expression, Unary):
        return expression.operator == "offset" or _has_offset(expression.operand)
    return isinstance(expression, Binary) and (_has_offset(expression.left) or _has_offset(expression.right))


def _linear(expression: Expression, registers: list[tuple[str, int]]) -> Expression:
    """Move the registers of a sum into `registers`; return the rest."""
    if isinstance(expression, Register):
        registers.append((expression.name, 1))
        return _ZERO
    if isinstance(expression, Binary) and expression.operator == "*":
        for register, scale in ((expression.left, expression.right), (expression.right, expression.left)):
            if isinstance(register, Register):
                factor = evaluate(scale, _no_symbols).number
                registers.append((register.name, factor))
                return _ZERO
    if isinstance(expression, Binary) and expression.operator in ("+", "-"):
        left = _linear(expression.left, registers)
        before = len(registers)
        right = _linear(expression.right, registers)
        if expression.operator == "-" and len(registers) > before:
            raise ExpressionError("a register cannot be subtracted in an address")
        if expression.operator == "+" and _ZERO in (left, right):
            return right if left == _ZERO else left
        return Binary(expression.operator, left, right)
    return expression


def _no_symbols(name: str) -> Value:
    raise ExpressionError(f"`{name}` must be a constant defined above")


def _base_and_index(registers: list[tuple[str, int]]) -> tuple[str, str, int]:
    """Sort at most two registers into base, index and scale."""
    if len(registers) > 2:
        raise ExpressionError("an address has at most two registers")
    plain = [name for name, scale in registers if scale == 1]
    scaled = [(name, scale) for name, scale in registers if scale != 1]
    for name, scale in registers:
        if name not in GENERAL_32 and name not in ("bx", "bp", "si", "di"):
            raise ExpressionError(f"`{name}` cannot address memory")
        if scale not in (1, 2, 4, 8) or (scale > 1 and name not in GENERAL_32):
            raise ExpressionError(f"`{name}*{scale}`: only 32-bit registers times 1, 2, 4 or 8")
    if len(scaled) > 1:
        raise ExpressionError("only one register of an address can be scaled")
    if scaled:
        if scaled[0][0] == "esp":
            raise ExpressionError("`esp` cannot be scaled")
        return (plain[0] if plain else "", *scaled[0])
    if plain[1:] == ["esp"] or (plain[:1] in (["si"], ["di"]) and len(plain) > 1):
        plain.reverse()
    if len(plain) == 2 and plain[0] in GENERAL_16 and (plain[0] not in ("bx", "bp") or plain[1] not in ("si", "di")):
        raise ExpressionError("16-bit addresses are bx or bp, plus si or di")
    if plain[1:] == ["esp"]:
        raise ExpressionError("`esp` cannot be an index")
    return (plain[0] if plain else "", plain[1] if plain[1:] else "", 1)


def has_symbol(expression: Expression) -> bool:
    """Whether the value waits for labels or later definitions."""
    if isinstance(expression, Symbol):
        return True
    if isinstance(expression, Unary):
        return has_symbol(expression.operand)
    return isinstance(expression, Binary) and (has_symbol(expression.left) or has_symbol(expression.right))
