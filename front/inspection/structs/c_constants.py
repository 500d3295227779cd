"""Constant expressions: array lengths, values of enumerators, widths of bit-fields.

Numbers are Python's, without C's wrap-around: nobody's array length needs it.

Source: ISO/IEC 9899:2011, 6.6 "Constant expressions".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hillemu.inspection.structs.c_tokens import Token, WrongC

_ESCAPES = {"n": 10, "t": 9, "r": 13, "0": 0, "a": 7, "b": 8, "f": 12, "v": 11, "e": 27}
_LEVELS: tuple[dict[str, Callable[[int, int], int]], ...] = (
    {"||": lambda a, b: int(bool(a or b))},
    {"&&": lambda a, b: int(bool(a and b))},
    {"|": lambda a, b: a | b},
    {"^": lambda a, b: a ^ b},
    {"&": lambda a, b: a & b},
    {"==": lambda a, b: int(a == b), "!=": lambda a, b: int(a != b)},
    {
        "<": lambda a, b: int(a < b),
        ">": lambda a, b: int(a > b),
        "<=": lambda a, b: int(a <= b),
        ">=": lambda a, b: int(a >= b),
    },
    {"<<": lambda a, b: a << b, ">>": lambda a, b: a >> b},
    {"+": lambda a, b: a + b, "-": lambda a, b: a - b},
    {"*": lambda a, b: a * b, "/": lambda a, b: _divide(a, b), "%": lambda a, b: a - b * _divide(a, b)},
)
_MOST_BITS = 128
_MOST_NESTED = 200


class Cursor:
    """A place in a list of tokens."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.at = 0

    @property
    def next(self) -> Token:
        return self.tokens[self.at]

    def peek(self, ahead: int = 1) -> Token:
        return self.tokens[min(self.at + ahead, len(self.tokens) - 1)]

    def take(self) -> Token:
        token = self.next
        if token.kind != "end":
            self.at += 1
        return token

    def accept(self, *texts: str) -> Token | None:
        """Take the next token if it is one of these."""
        return self.take() if self.next.text in texts and self.next.kind in ("mark", "name") else None

    def expect(self, text: str, where: str) -> Token:
        token = self.accept(text)
        if token is None:
            raise self.wrong(f"expected {text!r} {where}, found {self.next.text!r}")
        return token

    def wrong(self, what: str, token: Token | None = None) -> WrongC:
        return WrongC(f"line {(token or self.next).line}: {what}")

    def skip_group(self) -> None:
        """Pass over what is between the bracket here and its partner; `WrongC` if one of the two is not there."""
        closing = {"(": ")", "[": "]", "{": "}"}
        first = self.next
        if first.kind != "mark" or first.text not in closing:
            raise self.wrong(f"expected '(', found {first.text!r}")
        self.take()
        open_marks = [first.text]
        while open_marks:
            token = self.take()
            if token.kind == "end":
                raise self.wrong(f"this {first.text!r} has no {closing[first.text]!r}", first)
            if token.kind == "mark" and token.text in closing:
                open_marks.append(token.text)
            elif token.kind == "mark" and token.text == closing[open_marks[-1]]:
                open_marks.pop()


class Constants:
    """Evaluates what stands at a cursor.

    `names` are enumerators; `size_of` reads a type in parentheses behind ``sizeof`` or ``_Alignof`` (or, for the name
    ``cast``, a type at a parenthesis that is a cast), and gives its size, or None if no type is there.
    """

    def __init__(self, cursor: Cursor, names: Mapping[str, int], size_of: Callable[[str], int | None]) -> None:
        self._cursor = cursor
        self._names = names
        self._size_of = size_of
        self._depth = 0

    def value(self) -> int:
        """The value of the expression, a conditional one at most; raises `WrongC`."""
        self._depth += 1
        if self._depth > _MOST_NESTED:
            raise self._cursor.wrong("this expression is nested too deeply")
        condition = self._binary(0)
        if self._cursor.accept("?"):
            yes = self.value()
            self._cursor.expect(":", "in a conditional expression")
            no = self.value()
            condition = yes if condition else no
        self._depth -= 1
        return condition

    def _binary(self, level: int) -> int:
        if level == len(_LEVELS):
            return self._unary()
        left = self._binary(level + 1)
        while self._cursor.next.kind == "mark" and self._cursor.next.text in _LEVELS[level]:
            mark = self._cursor.take()
            right = self._binary(level + 1)
            if mark.text in ("<<", ">>") and not 0 <= right < _MOST_BITS:
                raise self._cursor.wrong(f"a shift by {right}", mark)
            try:
                left = _LEVELS[level][mark.text](left, right)
            except ZeroDivisionError:
                raise self._cursor.wrong("a division by zero", mark) from None
            if left.bit_length() > _MOST_BITS:
                raise self._cursor.wrong(f"a number of more than {_MOST_BITS} bits", mark)
        return left

    def _unary(self) -> int:
        self._depth += 1
        if self._depth > _MOST_NESTED:
            raise self._cursor.wrong("this expression is nested too deeply")
        value = self._unary_inside()
        self._depth -= 1
        return value

    def _unary_inside(self) -> int:
        cursor = self._cursor
        token = cursor.next
        if token.text in ("-", "+", "~", "!") and token.kind == "mark":
            cursor.take()
            value = self._unary()
            return {"-": -value, "+": value, "~": ~value, "!": int(not value)}[token.text]
        if token.text in ("sizeof", "_Alignof", "__alignof__", "alignof") and token.kind == "name":
            cursor.take()
            size = self._size_of("sizeof" if token.text == "sizeof" else "_Alignof")
            if size is None:
                raise cursor.wrong(f"{token.text} of what is no type in parentheses", token)
            return size
        if cursor.accept("("):
            if self._size_of("cast") is not None:
                return self._unary()  # The casts of headers, (size_t)1, change no value that is a length.
            value = self.value()
            cursor.expect(")", "at the end of this expression")
            return value
        cursor.take()
        if token.kind == "number":
            return _number(token)
        if token.kind == "char":
            return _character(token)
        if token.kind == "name" and token.text in self._names:
            return self._names[token.text]
        what = (
            f"{token.text!r} is not a known constant"
            if token.kind == "name"
            else f"a number cannot begin with {token.text!r}"
        )
        raise cursor.wrong(what, token)


def _number(token: Token) -> int:
    digits = token.text.rstrip("uUlL")
    octal = len(digits) > 1 and digits[0] == "0" and digits.isdigit()
    try:
        return int(digits, 8 if octal else 0)
    except ValueError:
        raise WrongC(f"line {token.line}: {token.text!r} is not a number") from None


def _character(token: Token) -> int:
    body = token.text[1:-1]
    if not body.startswith("\\"):
        return ord(body)
    if body[1] == "x":
        return int(body[2:], 16)
    if body[1] in "01234567":
        return int(body[1:], 8)
    return _ESCAPES.get(body[1], ord(body[1]))


def _divide(a: int, b: int) -> int:
    """C's division, which cuts towards zero."""
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient
