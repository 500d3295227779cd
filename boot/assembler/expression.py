"""Constant expressions: parsing, and evaluation with the addresses of labels.

Operators, loosest first: ``||``, ``&&``, comparisons (true is -1, as in GNU as), ``|``, ``^``, ``&``, ``<< >>``,
``+ -``, ``* / %``, then unary ``- + ~ !``.  The words of Intel syntax (``shl shr and or xor not mod``) work too.
GNU as binds ``| ^ &`` tighter than ``+ -`` and the shifts as tight as ``*``; C does not.  Where the two would
disagree, the expression is refused and asks for parentheses.

Numbers: ``10``, ``0x1F``, ``1Fh`` (starting with a digit), ``0b101``, ``017`` (octal), ``'a'``.  A symbol followed by
nothing else is itself; ``1f`` and ``1b`` are the next and the previous ``1:``; ``.`` is the statement's address.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from hillemu.boot.assembler.source import character_end, unescape


class ExpressionError(ValueError):
    """An expression is wrong; the caller adds the place."""


class Value(NamedTuple):
    """What an expression is worth.

    `weight` counts label addresses: 1 for a label, 0 for a number or the difference of two labels.  `moves` tells
    that a label took part, so that the value is known only once all code has its place.
    """

    number: int
    weight: int = 0
    moves: bool = False


@dataclass(frozen=True, slots=True)
class Number:
    value: int


@dataclass(frozen=True, slots=True)
class Symbol:
    name: str


@dataclass(frozen=True, slots=True)
class Register:
    name: str


@dataclass(frozen=True, slots=True)
class Unary:
    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary:
    operator: str
    left: Expression
    right: Expression


Expression = Number | Symbol | Register | Unary | Binary

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>[0-9][0-9a-zA-Z]*)
    | (?P<char>')
    | (?P<name>[A-Za-z_.$][\w.$\#]*)
    | (?P<operator>\|\||&&|==|!=|<>|<=|>=|<<|>>|[-+*/%&|^~!<>()\[\]:])
    )""",
    re.VERBOSE | re.ASCII,
)
_WORDS = {"shl": "<<", "shr": ">>", "and": "&", "or": "|", "xor": "^", "mod": "%"}
_RANKS_C = {
    **dict.fromkeys(("||",), 1),
    **dict.fromkeys(("&&",), 2),
    **dict.fromkeys(("|",), 3),
    **dict.fromkeys(("^",), 4),
    **dict.fromkeys(("&",), 5),
    **dict.fromkeys(("==", "!=", "<>"), 6),
    **dict.fromkeys(("<", ">", "<=", ">="), 7),
    **dict.fromkeys(("<<", ">>"), 8),
    **dict.fromkeys(("+", "-"), 9),
    **dict.fromkeys(("*", "/", "%"), 10),
}
# GNU as, gas/expr.c, op_rank[].
_RANKS_GNU = {
    **dict.fromkeys(("||",), 1),
    **dict.fromkeys(("&&",), 2),
    **dict.fromkeys(("==", "!=", "<>", "<", ">", "<=", ">="), 3),
    **dict.fromkeys(("+", "-"), 4),
    **dict.fromkeys(("|", "^", "&"), 5),
    **dict.fromkeys(("<<", ">>", "*", "/", "%"), 6),
}


class Token(NamedTuple):
    kind: str
    """``number``, ``name``, ``operator``, or ``end``."""
    text: str
    value: int = 0


def tokens(text: str) -> list[Token]:
    """Split an expression or operand; the last token is of kind ``end``."""
    found = []
    at = 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise ExpressionError(f"unexpected `{text[at:].strip()[0]}`")
        kind = match.lastgroup or ""
        at = match.end()
        body = match[kind]
        if kind == "char":
            end = character_end(text, at - 1)
            found.append(Token("number", text[at - 1 : end], _character(text[at:end].removesuffix("'"))))
            at = end
        elif kind == "number":
            found.append(_number(body))
        elif kind == "name" and body.lower() in _WORDS:
            found.append(Token("operator", _WORDS[body.lower()]))
        elif kind == "name" and body.lower() == "not":
            found.append(Token("operator", "~"))
        else:
            found.append(Token(kind, body))
    found.append(Token("end", ""))
    return found


def _character(body: str) -> int:
    try:
        return int.from_bytes(unescape(body), "little")
    except ValueError as error:
        raise ExpressionError(str(error)) from None


def _number(body: str) -> Token:
    if re.fullmatch("[0-9]+[bf]", body, re.IGNORECASE) and not re.fullmatch("0b[01]+", body, re.IGNORECASE):
        return Token("name", body.lower())
    for pattern, base, strip in (
        ("0x[0-9a-f]+", 16, slice(2, None)),
        ("0b[01]+", 2, slice(2, None)),
        ("[0-9][0-9a-f]*h", 16, slice(0, -1)),
        ("0[0-7]+", 8, slice(1, None)),
        ("0|[1-9][0-9]*", 10, slice(0, None)),
    ):
        if re.fullmatch(pattern, body, re.IGNORECASE):
            return Token("number", body, int(body[strip], base))
    raise ExpressionError(f"`{body}` is not a number")


class Parser:
    """Operator-precedence parser over a token list; operands share it for what stands in brackets."""

    def __init__(self, found: list[Token], registers: frozenset[str] = frozenset()) -> None:
        self.found = found
        self.at = 0
        self._registers = registers
        self._ranks = _RANKS_C

    @property
    def next(self) -> Token:
        return self.found[self.at]

    def take(self, text: str) -> bool:
        """Step over `text` if it comes next."""
        if self.next.text.lower() == text and self.next.kind != "end":
            self.at += 1
            return True
        return False

    def expression(self) -> Expression:
        """Parse as much as belongs together, and insist that C and GNU as read it alike."""
        start = self.at
        self._ranks = _RANKS_GNU
        gnu = self._binary(1)
        self.at = start
        self._ranks = _RANKS_C
        result = self._binary(1)
        if result != gnu:
            raise ExpressionError("write parentheses: C and GNU as read this order of operators differently")
        return result

    def end(self) -> None:
        """Insist that nothing is left."""
        if self.next.kind != "end":
            raise ExpressionError(f"unexpected `{self.next.text}`")

    def _binary(self, rank: int) -> Expression:
        left = self._unary()
        while self.next.kind == "operator" and (own := self._ranks.get(self.next.text, 0)) >= rank:
            operator = self.next.text
            self.at += 1
            left = Binary(operator, left, self._binary(own + 1))
        return left

    def _unary(self) -> Expression:
        token = self.next
        self.at += 1
        if token.kind == "number":
            return Number(token.value)
        if token.kind == "name":
            lower = token.text.lower()
            if lower == "offset":
                # Binds loosely in Intel syntax; being only a mark, it may bind tightly here.
                return Unary("offset", self._unary())
            return Register(lower) if lower in self._registers else Symbol(token.text)
        if token.text in ("-", "+", "~", "!"):
            return Unary(token.text, self._unary())
        if token.text == "(":
            inner = self._binary(1)
            if not self.take(")"):
                raise ExpressionError("`(` without `)`")
            return inner
        self.at -= 1
        raise ExpressionError("a value is missing" if token.kind == "end" else f"unexpected `{token.text}`")


def parse(text: str) -> Expression:
    """Parse all of `text`; `ExpressionError` if it is no expression."""
    parser = Parser(tokens(text))
    result = parser.expression()
    parser.end()
    return result


def rename(expression: Expression, replace: Callable[[str], Expression]) -> Expression:
    """The expression with every symbol replaced by what `replace` gives for its name."""
    if isinstance(expression, Symbol):
        return replace(expression.name)
    if isinstance(expression, Unary):
        return Unary(expression.operator, rename(expression.operand, replace))
    if isinstance(expression, Binary):
        return Binary(expression.operator, rename(expression.left, replace), rename(expression.right, replace))
    return expression


def symbols(expression: Expression) -> Iterator[str]:
    """Names of all symbols in the expression."""
    if isinstance(expression, Symbol):
        yield expression.name
    elif isinstance(expression, Unary):
        yield from symbols(expression.operand)
    elif isinstance(expression, Binary):
        yield from symbols(expression.left)
        yield from symbols(expression.right)


def evaluate(expression: Expression, lookup: Callable[[str], Value]) -> Value:
    """Work out the value; `lookup` gives each symbol's, and raises `ExpressionError` for one it does not know."""
    if isinstance(expression, Number):
        return Value(expression.value)
    if isinstance(expression, Symbol):
        return lookup(expression.name)
    if isinstance(expression, Register):
        raise ExpressionError(f"register `{expression.name}` where a number belongs")
    if isinstance(expression, Unary):
        number, weight, moves = evaluate(expression.operand, lookup)
        if expression.operator in ("offset", "+"):
            return Value(number, weight, moves)
        if expression.operator == "-":
            return Value(-number, -weight, moves)
        return Value(~number if expression.operator == "~" else int(not number), 0, moves)
    left = evaluate(expression.left, lookup)
    right = evaluate(expression.right, lookup)
    moves = left.moves or right.moves
    if expression.operator == "+":
        return Value(left.number + right.number, left.weight + right.weight, moves)
    if expression.operator == "-":
        return Value(left.number - right.number, left.weight - right.weight, moves)
    return Value(_apply(expression.operator, left.number, right.number), 0, moves)


def _apply(operator: str, left: int, right: int) -> int:
    if operator in ("/", "%"):
        if right == 0:
            raise ExpressionError("division by zero")
        quotient = abs(left) // abs(right)
        if (left < 0) != (right < 0):
            quotient = -quotient
        return quotient if operator == "/" else left - right * quotient
    if operator in ("<<", ">>"):
        if not 0 <= right < 64:
            raise ExpressionError(f"cannot shift by {right}")
        return left << right if operator == "<<" else left >> right
    if operator in ("&&", "||"):
        return int((left and right) != 0 if operator == "&&" else (left or right) != 0)
    arithmetic = {"*": left * right, "&": left & right, "|": left | right, "^": left ^ right}
    if operator in arithmetic:
        return arithmetic[operator]
    outcome = {
        "==": left == right,
        "!=": left != right,
        "<>": left != right,
        "<": left < right,
        ">": left > right,
        "<=": left <= right,
        ">=": left >= right,
    }[operator]
    return -1 if outcome else 0
