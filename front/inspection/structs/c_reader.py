"""Reads C declarations: structures, unions, enumerations, typedefs, with gcc's packed and aligned.

Function prototypes, bodies and variables' initialisers, which headers and preprocessed text have too, are passed over;
a variable's type is kept.  Not understood, and refused: typeof, __int128, vector types, attributes that change a layout
in other ways (mode, scalar_storage_order, ms_struct).

Source: ISO/IEC 9899:2011, 6.7 "Declarations"; gcc's manual, "Attribute Syntax", "Unnamed Structure and Union Fields".
"""

from __future__ import annotations

from hillemu.inspection.structs.c_scope import Scope
from hillemu.inspection.structs.c_syntax import ADDRESS_SPACE, MOST_NESTED, Specifiers, TypeSyntax, apply
from hillemu.inspection.structs.c_tokens import Token
from hillemu.inspection.structs.layout import Wish, lay_out
from hillemu.inspection.structs.types import CType, Enum, Function, IncompleteType, Integer, Record, Typedef, Void


class CReader(TypeSyntax):
    """Reads `text` into `scope`.  Every method raises `WrongC`."""

    def __init__(self, text: str, scope: Scope) -> None:
        super().__init__(text, scope)
        self._pack_stack: list[int] = []
        self._pack = 0
        self._defined: dict[str, None] = {}  # a set in order
        self.completed: list[Record] = []
        """Structures that were only declared before this text."""

    def read_all(self) -> list[str]:
        """Read all declarations; return the names of the types they define, in order."""
        names: list[str] = []
        while self._cursor.next.kind != "end":
            names += self._declaration()
        return names

    def read_type_name(self) -> CType:
        """Read one type without a name, such as ``struct task *`` or ``char [16]``."""
        base = self._specifiers().type
        name, operations = self._declarator()
        if name is not None:
            raise self._cursor.wrong(f"{name.text!r} is too much: a type alone is expected", name)
        if self._cursor.next.kind != "end":
            raise self._cursor.wrong(f"{self._cursor.next.text!r} is too much behind the type")
        return apply(base, operations)

    # ---- declarations -------------------------------------------------------------------------------------------

    def _declaration(self) -> list[str]:
        cursor = self._cursor
        if self._passed_over():
            return []
        known = len(self._defined)
        specifiers = self._specifiers()
        names = list(self._defined)[known:]
        if cursor.accept(";"):
            if not specifiers.defines:
                raise cursor.wrong("this declares nothing")
            return names
        while True:
            name, operations = self._declarator()
            if name is None:
                if cursor.peek(-1).text == "}":
                    self._semicolon("after this '}'")
                raise cursor.wrong(f"expected a name, found {cursor.next.text!r}")
            self._asm_label()
            attributes = self._attributes()
            made = apply(specifiers.type, operations)
            if specifiers.is_typedef:
                aligned = (attributes | specifiers.attributes).aligned
                self.scope.typedefs[name.text] = Typedef(name.text, made, aligned or None)
                names.append(name.text)
            elif isinstance(made, Function):
                if cursor.next.text == "{":
                    cursor.skip_group()
                    return names
            else:
                self.scope.variables[name.text] = made
                if cursor.accept("="):
                    self._skip_initialiser()
            if not cursor.accept(","):
                break
        self._semicolon(f"after {name.text!r}")
        return names

    def _passed_over(self) -> bool:
        """Whether something was here that is no declaration, which has been done."""
        cursor = self._cursor
        if cursor.next.kind == "pack":
            self._pragma_pack(cursor.take())
        elif cursor.accept("_Static_assert", "static_assert"):
            self._static_assertion()
        elif cursor.accept("asm", "__asm__", "__asm"):
            while cursor.next.text != "(" and cursor.next.kind != "end":
                cursor.take()
            cursor.skip_group()
            cursor.accept(";")
        elif not cursor.accept(";"):
            return False
        return True

    def _static_assertion(self) -> None:
        cursor = self._cursor
        cursor.expect("(", "behind _Static_assert")
        start = cursor.next
        value = self._constants.value()
        text = ""
        if cursor.accept(","):
            while cursor.next.kind == "string":
                text += cursor.take().text[1:-1]
        cursor.expect(")", "at the end of _Static_assert")
        self._semicolon("behind _Static_assert")
        if not value:
            raise cursor.wrong(f"this _Static_assert fails{': ' + text if text else ''}", start)

    def _skip_initialiser(self) -> None:
        cursor = self._cursor
        while cursor.next.text not in (",", ";") and cursor.next.kind != "end":
            if cursor.next.text in ("(", "{", "["):
                cursor.skip_group()
            else:
                cursor.take()

    def _semicolon(self, where: str) -> None:
        if not self._cursor.accept(";"):
            # The place to mend is where the text before ends, not where the next line begins.
            before = self._cursor.tokens[max(self._cursor.at - 1, 0)]
            raise self._cursor.wrong(f"expected ';' {where}, found {self._cursor.next.text!r}", before)

    def _pragma_pack(self, token: Token) -> None:
        words = [word for word in token.text.replace("(", " ").replace(")", " ").replace(",", " ").split() if word]
        if "push" in words:
            self._pack_stack.append(self._pack)
        elif "pop" in words:
            if not self._pack_stack:
                raise self._cursor.wrong("#pragma pack(pop) without a push", token)
            self._pack = self._pack_stack.pop()
        numbers = [int(word) for word in words if word.isdigit()]
        if numbers:
            if numbers[0] not in (0, 1, 2, 4, 8, 16):
                raise self._cursor.wrong(f"#pragma pack({numbers[0]}): 1, 2, 4, 8 and 16 are possible", token)
            self._pack = numbers[0]
        elif not words:
            self._pack = 0

    # ---- structures ---------------------------------------------------------------------------------------------

    def _record(self) -> CType:
        cursor = self._cursor
        kind = cursor.take().text
        attributes = self._attributes()
        tag_token = cursor.take() if cursor.next.kind == "name" else None
        tag = tag_token.text if tag_token else ""
        full = f"{kind} {tag}"
        if cursor.next.text != "{":
            if tag_token is None:
                raise cursor.wrong(f"{kind} needs a tag or a body, found {cursor.next.text!r}")
            known = self.scope.tag(full)
            if known is None:
                known = self.scope.tags[full] = Record(kind, tag)
            return known
        record = self._begin_record(kind, tag, full, tag_token)
        self._depth += 1
        if self._depth > MOST_NESTED:
            raise cursor.wrong("structures are nested too deeply")
        wishes = self._members(record)
        self._depth -= 1
        attributes |= self._attributes()
        members, size, align = lay_out(
            kind, wishes, packed=attributes.packed, aligned=attributes.aligned, pack_most=self._pack
        )
        if size >= ADDRESS_SPACE:
            raise cursor.wrong(f"{record.name} has {size:,} bytes: more than there are addresses")
        record.complete(members, size, align)
        self.completed.append(record)
        return record

    def _begin_record(self, kind: str, tag: str, full: str, token: Token | None) -> Record:
        if token is None:
            return Record(kind, "")
        if full in self._defined:
            raise self._cursor.wrong(f"{full} is defined twice in this text", token)
        self._defined[full] = None
        known = self.scope.tags.get(full)
        if isinstance(known, Record) and not known.is_complete:
            return known
        record = self.scope.tags[full] = Record(kind, tag)
        return record

    def _members(self, record: Record) -> list[Wish]:
        cursor = self._cursor
        opening = cursor.take()
        wishes: list[Wish] = []
        names: set[str] = set()
        while not cursor.accept("}"):
            if cursor.next.kind == "end":
                raise cursor.wrong(f"the body of {record.name} has no '}}'", opening)
            if self._passed_over():
                continue
            specifiers = self._specifiers()
            if cursor.accept(";"):
                inner = specifiers.type
                if isinstance(inner, Record) and not inner.tag:
                    wishes.append(Wish("", inner, None, specifiers.attributes.aligned, specifiers.attributes.packed))
                    names |= self._checked_names(names, inner.member_names, record)
                continue
            while True:
                wish = self._member(specifiers, record)
                wishes.append(wish)
                if wish.name:
                    names |= self._checked_names(names, (wish.name,), record)
                if not cursor.accept(","):
                    break
            self._semicolon(f"after member {wish.name!r} of {record.name}")
        return wishes

    def _checked_names(self, names: set[str], new: tuple[str, ...], record: Record) -> set[str]:
        for name in new:
            if name in names:
                raise self._cursor.wrong(f"{record.name} has two members {name!r}")
        return set(new)

    def _member(self, specifiers: Specifiers, record: Record) -> Wish:
        cursor = self._cursor
        place = cursor.next
        token, operations = self._declarator()
        name = token.text if token else ""
        made = apply(specifiers.type, operations)
        bits = None
        if cursor.accept(":"):
            bits = self._constants.value()
            self._check_bit_field(name, made, bits, place)
        elif token is None:
            raise cursor.wrong(f"expected a member's name, found {cursor.next.text!r}")
        attributes = specifiers.attributes | self._attributes()
        if isinstance(made.bare, Function | Void):
            raise cursor.wrong(f"member {name!r} of {record.name} is {made.declare(name)!r}, which has no size", place)
        try:
            size = made.size_bytes
        except IncompleteType as error:
            raise cursor.wrong(f"member {name!r} of {record.name}: {error}", place) from None
        if size >= ADDRESS_SPACE:
            raise cursor.wrong(f"member {name!r} has {size:,} bytes: more than there are addresses", place)
        return Wish(name, made, bits, attributes.aligned, attributes.packed)

    def _check_bit_field(self, name: str, made: CType, bits: int, place: Token) -> None:
        bare = made.bare
        label = repr(name) if name else "without a name"
        if not isinstance(bare, Integer | Enum):
            raise self._cursor.wrong(f"bit-field {label} is of type {made}; whole numbers can be bit-fields", place)
        most = 1 if isinstance(bare, Integer) and bare.is_bool else bare.size_bytes * 8
        if not 0 <= bits <= most:
            raise self._cursor.wrong(f"bit-field {label} has {bits} bits; {made} has room for {most}", place)
        if bits == 0 and name:
            raise self._cursor.wrong(f"bit-field {label} has 0 bits; only one without a name may", place)

    def _enum(self) -> CType:
        cursor = self._cursor
        cursor.take()
        attributes = self._attributes()
        token = cursor.take() if cursor.next.kind == "name" else None
        full = f"enum {token.text}" if token else "enum {...}"
        fixed = self._specifiers().type if cursor.next.text == ":" and cursor.accept(":") else None
        if not cursor.accept("{"):
            if token is None:
                raise cursor.wrong(f"enum needs a tag or a body, found {cursor.next.text!r}")
            return self.scope.tag(full) or self.scope.tags.setdefault(full, Enum(full, {}))
        constants: dict[str, int] = {}
        value = 0
        while not cursor.accept("}"):
            name = cursor.take()
            if name.kind != "name":
                raise cursor.wrong(f"expected an enumerator's name, found {name.text!r}", name)
            self._attributes()
            if cursor.accept("="):
                value = self._constants.value()
            constants[name.text] = self.scope.constants[name.text] = value
            value += 1
            if not cursor.accept(",") and cursor.next.text != "}":
                raise cursor.wrong(f"expected ',' or '}}' after enumerator {name.text!r}, found {cursor.next.text!r}")
        attributes |= self._attributes()
        made = _sized_enum(full, constants, fixed, attributes.packed)
        if token is not None:
            self._defined[full] = None
            self.scope.tags[full] = made
        return made


def _sized_enum(name: str, constants: dict[str, int], fixed: CType | None, packed: bool) -> Enum:
    if fixed is not None and isinstance(fixed.bare, Integer):
        return Enum(name, constants, fixed.size_bytes, fixed.bare.signed)
    low, high = min(constants.values(), default=0), max(constants.values(), default=0)
    bits = max((~low).bit_length() + 1 if low < 0 else 0, high.bit_length() + (low < 0))
    for size in (1, 2, 4) if packed else (4,):
        if bits <= size * 8:
            return Enum(name, constants, size)
    return Enum(name, constants, 8)
