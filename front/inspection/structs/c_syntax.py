"""The grammar of types, declarations apart: specifiers, attributes, declarators, types in parentheses.

Source: ISO/IEC 9899:2011, 6.7.2 "Type specifiers", 6.7.6 "Declarators"; gcc's manual, "Attribute Syntax".
"""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

from hillemu.inspection.structs.c_constants import Constants, Cursor
from hillemu.inspection.structs.c_scope import Scope
from hillemu.inspection.structs.c_tokens import Token, WrongC, tokens_of
from hillemu.inspection.structs.types import (
    BASE_TYPES,
    USUAL_TYPEDEFS,
    Array,
    CType,
    Function,
    IncompleteType,
    Integer,
    Pointer,
)
from hillemu.similar_names import did_you_mean

QUALIFIERS = frozenset(
    (
        *("const", "volatile", "restrict", "inline", "static", "extern", "register", "auto", "typedef", "constexpr"),
        *("_Noreturn", "_Thread_local", "_Atomic", "__thread", "__extension__", "__const", "__const__", "__volatile"),
        *("__volatile__", "__restrict", "__restrict__", "__inline", "__inline__"),
    )
)
_WORDS = frozenset(
    (
        *("void", "char", "short", "int", "long", "float", "double", "signed", "unsigned", "_Bool"),
        *("__signed", "__signed__"),
    )
)
RECORDS = ("struct", "union")
_RESERVED = _WORDS | QUALIFIERS | {*RECORDS, "enum"}
_ATTRIBUTES = ("__attribute__", "__attribute")
_REFUSED = frozenset(["mode", "vector_size", "scalar_storage_order", "ms_struct"])
_LARGEST_ALIGNMENT = 16
ADDRESS_SPACE = 1 << 32
MOST_NESTED = 100


class Attributes(NamedTuple):
    """The attributes that change a layout; `aligned` in bytes, 0 for none."""

    packed: bool = False
    aligned: int = 0

    def __or__(self, other: Attributes) -> Attributes:
        return Attributes(self.packed or other.packed, max(self.aligned, other.aligned))


class Specifiers(NamedTuple):
    type: CType
    is_typedef: bool
    attributes: Attributes
    defines: bool
    """Whether a body in braces or a tag was there, so that no declarator need follow."""


Operation = tuple[str, int | None]  # "*", "[" with a count, "(": applied to the base type in order


class TypeSyntax:
    """Reads the parts of declarations at a cursor in `text`.  Every method raises `WrongC`."""

    def __init__(self, text: str, scope: Scope) -> None:
        self.scope = scope
        self._cursor = Cursor(tokens_of(text, scope.macros))
        self._constants = Constants(self._cursor, scope.constants, self._size_in_parentheses)
        self._depth = 0

    @abstractmethod
    def _record(self) -> CType:
        """A structure or union, from its keyword on."""

    @abstractmethod
    def _enum(self) -> CType:
        """An enumeration, from its keyword on."""

    # ---- specifiers ---------------------------------------------------------------------------------------------

    def _specifiers(self) -> Specifiers:
        cursor, words = self._cursor, list[str]()
        found: CType | None = None
        is_typedef = defines = False
        attributes = Attributes()
        first = cursor.next
        while cursor.next.kind == "name":
            text = cursor.next.text
            if text in _ATTRIBUTES:
                attributes |= self._attributes()
            elif text in ("_Alignas", "alignas"):
                cursor.take()
                attributes |= Attributes(aligned=self._alignas())
            elif text in QUALIFIERS:
                is_typedef |= cursor.take().text == "typedef"
            elif text in _WORDS and found is None:
                words.append(cursor.take().text.strip("_") if text.startswith("__") else cursor.take().text)
            elif found is not None or words:
                break
            elif text in RECORDS:
                found, defines = self._record(), True
            elif text == "enum":
                found, defines = self._enum(), True
            else:
                found = self.scope.typedef(text)
                if found is None:
                    raise self._unknown(cursor.next)
                cursor.take()
        if words:
            found = _base_type(words)
            if found is None:
                raise cursor.wrong(f"{' '.join(words)!r} is no type", first)
        if found is None:
            raise cursor.wrong(f"expected a type, found {first.text!r}", first)
        return Specifiers(found, is_typedef, attributes, defines)

    def _unknown(self, token: Token) -> WrongC:
        known = [*self.scope, *USUAL_TYPEDEFS, *BASE_TYPES]
        tag = next(
            (f"{kind} {token.text}" for kind in (*RECORDS, "enum") if self.scope.tag(f"{kind} {token.text}")), ""
        )
        hint = f"; did you mean {tag!r}?" if tag else did_you_mean(token.text, known)
        return self._cursor.wrong(f"unknown type {token.text!r}{hint}", token)

    def _alignas(self) -> int:
        cursor = self._cursor
        cursor.expect("(", "behind _Alignas")
        if self._is_type(cursor.next):
            value = self._type_in_parentheses().align_bytes
        else:
            value = self._constants.value()
            cursor.expect(")", "at the end of _Alignas")
        return self._checked_alignment(value)

    def _checked_alignment(self, value: int) -> int:
        if value < 0 or value & (value - 1) or value > 1 << 28:
            raise self._cursor.wrong(f"an alignment of {value} bytes: it must be a power of two")
        return value

    def _attributes(self) -> Attributes:
        """All attributes that stand here."""
        cursor, found = self._cursor, Attributes()
        while cursor.accept(*_ATTRIBUTES):
            cursor.expect("(", "behind __attribute__")
            cursor.expect("(", "behind __attribute__(")
            while not cursor.accept(")"):
                token = cursor.take()
                if token.kind == "end":
                    raise cursor.wrong("this __attribute__ has no end", token)
                word = token.text.strip("_")
                if word in _REFUSED:
                    raise cursor.wrong(f"attribute {word} changes the layout in a way that is not understood", token)
                if word == "packed":
                    found |= Attributes(packed=True)
                elif word == "aligned":
                    value = _LARGEST_ALIGNMENT
                    if cursor.accept("("):
                        value = self._constants.value()
                        cursor.expect(")", "at the end of aligned")
                    found |= Attributes(aligned=self._checked_alignment(value))
                elif cursor.next.text == "(":
                    cursor.skip_group()
            cursor.expect(")", "at the end of __attribute__")
        return found

    # ---- declarators --------------------------------------------------------------------------------------------

    def _declarator(self) -> tuple[Token | None, list[Operation]]:
        """The name, if there is one, and what is done to the base type, in order."""
        cursor = self._cursor
        self._depth += 1
        if self._depth > MOST_NESTED:
            raise cursor.wrong("this declarator is nested too deeply")
        pointers: list[Operation] = []
        while True:
            if cursor.accept("*"):
                pointers.append(("*", None))
            elif cursor.next.kind == "name" and cursor.next.text in QUALIFIERS:
                cursor.take()
            elif cursor.next.text in _ATTRIBUTES:
                self._attributes()
            else:
                break
        name, inner = None, list[Operation]()
        if cursor.next.text == "(" and self._is_nested(cursor.peek()):
            cursor.take()
            name, inner = self._declarator()
            cursor.expect(")", "at the end of this declarator")
        elif cursor.next.kind == "name" and cursor.next.text not in _RESERVED:
            name = cursor.take()
        suffixes: list[Operation] = []
        while cursor.next.text in ("[", "("):
            if cursor.next.text == "(":
                cursor.skip_group()
                suffixes.append(("(", None))
            else:
                suffixes.append(("[", self._array_length()))
        self._depth -= 1
        return name, [*pointers, *reversed(suffixes), *inner]

    def _is_nested(self, inside: Token) -> bool:
        """Whether the parenthesis in front of `inside` groups a declarator; otherwise it begins parameters."""
        return inside.text in ("*", "(", "[", *_ATTRIBUTES) or (inside.kind == "name" and not self._is_type(inside))

    def _array_length(self) -> int | None:
        cursor = self._cursor
        opening = cursor.take()
        while cursor.accept("static", "const", "restrict", "volatile"):
            pass
        if cursor.accept("]"):
            return None
        length = self._constants.value()
        cursor.expect("]", "behind the array's length")
        if not 0 <= length < ADDRESS_SPACE:
            raise cursor.wrong(f"an array of {length:,} elements is impossible", opening)
        return length

    def _asm_label(self) -> None:
        if self._cursor.accept("asm", "__asm__", "__asm"):
            self._cursor.skip_group()

    # ---- types in expressions -----------------------------------------------------------------------------------

    def _is_type(self, token: Token) -> bool:
        if token.kind != "name":
            return False
        text = token.text
        return text in _RESERVED or self.scope.typedef(text) is not None

    def _type_in_parentheses(self) -> CType:
        """A type whose opening parenthesis has been taken."""
        base = self._specifiers().type
        _, operations = self._declarator()
        self._cursor.expect(")", "behind the type")
        return apply(base, operations)

    def _size_in_parentheses(self, what: str) -> int | None:
        if what != "cast" and not (self._cursor.next.text == "(" and self._cursor.accept("(")):
            return None
        place = self._cursor.next
        if not self._is_type(place):
            return None
        made = self._type_in_parentheses()
        try:
            size = made.size_bytes
        except IncompleteType as error:
            raise self._cursor.wrong(str(error), place) from None
        if what != "_Alignof":
            return size
        # Alone, numbers of 8 bytes are aligned to 8; only in structures they are not.
        return 8 if isinstance(made.bare, Integer) and size == 8 else made.align_bytes


def apply(base: CType, operations: list[Operation]) -> CType:
    for mark, count in operations:
        base = Pointer(base) if mark == "*" else Function(base) if mark == "(" else Array(base, count)
    return base


def _base_type(words: list[str]) -> CType | None:
    """The type of a heap of keywords in any order, as in ``long unsigned int long``."""
    rest = sorted(word for word in words if word not in ("signed", "unsigned"))
    signs = [word for word in words if word in ("signed", "unsigned")]
    if len(signs) > 1:
        return None
    if rest != ["int"] and rest.count("int") == 1 and {"short", "long"} & set(rest):
        rest.remove("int")
    name = " ".join(rest) or "int"
    if name == "double long":
        name = "long double"
    if signs == ["unsigned"]:
        name = f"unsigned {name}"
    elif signs and name == "char":
        name = "signed char"
    found = BASE_TYPES.get(name)
    return found if not signs or isinstance(found, Integer) else None
