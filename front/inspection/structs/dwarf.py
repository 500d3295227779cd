"""Types from the debugging information (DWARF 2 to 5) of an ELF file, which ``gcc -g`` writes.

Units are read until the name asked for turns up, and remembered: a small kernel's are read at once, a large one's take
seconds.  Offsets and sizes are what the compiler wrote, whatever it did to get them.

Not read: type units of their own (``-fdebug-types-section``), C++ beyond plain structures, Fortran's dynamic arrays.

Source: DWARF Debugging Information Format, Version 5, chapter 5, "Type Entries"; Version 3 for DW_AT_bit_offset.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hillemu.boot.elf import begins_as_elf
from hillemu.emu.errors import UserMistake
from hillemu.inspection.structs.types import (
    VOID,
    Array,
    CType,
    Enum,
    Float,
    Function,
    Integer,
    Member,
    Pointer,
    Record,
    Typedef,
)

_KINDS = {
    "DW_TAG_structure_type": "struct",
    "DW_TAG_class_type": "struct",
    "DW_TAG_union_type": "union",
    "DW_TAG_enumeration_type": "enum",
}
_TRANSPARENT = frozenset(
    f"DW_TAG_{name}_type" for name in ("const", "volatile", "restrict", "atomic", "packed", "immutable")
)
_BOOLEAN, _FLOAT, _SIGNED, _SIGNED_CHAR, _UNSIGNED, _UNSIGNED_CHAR, _UTF = 0x02, 0x04, 0x05, 0x06, 0x07, 0x08, 0x10
_PLUS_UCONST = 0x23
_MOST_NESTED = 200


class BadDwarf(UserMistake):
    """The debugging information contradicts itself, or has what is not understood; the message names the file."""


class DwarfTypes:
    """The types of the ELF file whose bytes are `elf`; `path` is for messages.

    All methods raise `BadDwarf`; a file without debugging information has no types.
    """

    def __init__(self, elf: bytes, path: str) -> None:
        self.path = path
        self._elf = elf
        self._units: Iterator[Any] | None = None
        self._dies: dict[str, Any] = {}
        self._variables: dict[str, Any] = {}
        self._made: dict[int, CType] = {}
        self._depth = 0

    def find(self, name: str) -> CType | None:
        """The type called ``struct task`` or ``task_t``; None if the file has none."""
        die = self._look_for(self._dies, name)
        return None if die is None else self._guarded(lambda: self._type_of(die), name)

    def variable(self, name: str) -> CType | None:
        """The type of the global variable `name`; None if the file has none."""
        die = self._look_for(self._variables, name)
        return None if die is None else self._guarded(lambda: self._referred(die), name)

    @property
    def names(self) -> list[str]:
        """The names of all types; reads the whole file."""
        while self._read_unit():
            pass
        return list(self._dies)

    @property
    def has_types(self) -> bool:
        """Whether the file has any debugging information."""
        if not self._dies:
            self._read_unit()
        return bool(self._dies)

    def _look_for(self, where: dict[str, Any], name: str) -> Any:
        while name not in where and self._read_unit():
            pass
        return where.get(name)

    def _guarded(self, make: Any, what: str) -> Any:
        try:
            return make()
        except UserMistake:
            raise
        except RecursionError:
            raise BadDwarf(f"{self.path}: the debugging information of {what} refers to itself without end") from None
        except Exception as error:
            # pyelftools raises whatever a mangled file provokes: KeyError, AssertionError, struct.error, its own.
            text = f"{type(error).__name__}: {error}"[:200]
            raise BadDwarf(f"{self.path}: the debugging information is damaged at {what} ({text})") from None

    # ---- finding ------------------------------------------------------------------------------------------------

    def _read_unit(self) -> bool:
        """Note the names of one more unit; False if there is none."""
        if self._units is None:
            self._units = self._guarded(self._open, "its start")
        unit = self._guarded(lambda: next(self._units or iter(()), None), "a unit's header")
        if unit is None:
            return False
        self._guarded(lambda: self._note_names(unit), f"the unit at {unit.cu_offset:#x}")
        return True

    def _open(self) -> Iterator[Any]:
        if not begins_as_elf(self._elf):
            return iter(())
        from io import BytesIO

        from elftools.elf.elffile import ELFFile

        file = ELFFile(BytesIO(self._elf))
        if not file.has_dwarf_info():
            return iter(())
        units: Iterator[Any] = file.get_dwarf_info().iter_CUs()
        return units

    def _note_names(self, unit: Any) -> None:
        for die in unit.get_top_DIE().iter_children():
            name = _name(die)
            if not name:
                continue
            if die.tag in _KINDS:
                # Where it is only declared the size is missing; the definition may be in another unit.
                if "DW_AT_declaration" not in die.attributes:
                    self._dies.setdefault(f"{_KINDS[die.tag]} {name}", die)
            elif die.tag in ("DW_TAG_typedef", "DW_TAG_base_type"):
                self._dies.setdefault(name, die)
            elif die.tag == "DW_TAG_variable":
                self._variables.setdefault(name, die)

    # ---- making -------------------------------------------------------------------------------------------------

    def _referred(self, die: Any) -> CType:
        """What DW_AT_type of `die` names; nothing is C's void."""
        if "DW_AT_type" not in die.attributes:
            return VOID
        return self._type_of(die.get_DIE_from_attribute("DW_AT_type"))

    def _type_of(self, die: Any) -> CType:
        known = self._made.get(die.offset)
        if known is not None:
            return known
        self._depth += 1
        if self._depth > _MOST_NESTED:
            raise RecursionError
        try:
            made = self._make(die)
        finally:
            self._depth -= 1
        return self._made.setdefault(die.offset, made)

    def _make(self, die: Any) -> CType:
        tag = die.tag
        if tag in _TRANSPARENT:
            return self._referred(die)
        if tag == "DW_TAG_base_type":
            return _base_type(die, self.path)
        if tag in ("DW_TAG_pointer_type", "DW_TAG_reference_type"):
            return self._pointer(die)
        if tag == "DW_TAG_typedef":
            return Typedef(_name(die), self._referred(die), _number(die, "DW_AT_alignment") or None)
        if tag == "DW_TAG_array_type":
            return self._array(die)
        if tag == "DW_TAG_subroutine_type":
            return Function(self._referred(die))
        if tag == "DW_TAG_enumeration_type":
            return _enum(die)
        if tag in _KINDS:
            return self._record(die)
        if tag == "DW_TAG_unspecified_type":
            return VOID
        raise BadDwarf(f"{self.path}: {tag} at {die.offset:#x} is a kind of type that is not understood")

    def _pointer(self, die: Any) -> CType:
        # The target may lead back here, as a structure's pointer to itself does; that ends at the structure.
        return Pointer(self._referred(die))

    def _array(self, die: Any) -> CType:
        counts: list[int | None] = []
        for child in die.iter_children():
            if child.tag == "DW_TAG_subrange_type":
                if (count := _number(child, "DW_AT_count")) is not None:
                    counts.append(count)
                else:
                    upper = _number(child, "DW_AT_upper_bound")
                    # gcc writes an upper bound of -1 for [0], and none for [].
                    counts.append(None if upper is None else (upper + 1) & 0xFFFFFFFF)
        made = self._referred(die)
        for count in reversed(counts or [None]):
            made = Array(made, count)
        return made

    def _record(self, die: Any) -> CType:
        name = _name(die)
        kind = _KINDS[die.tag]
        if "DW_AT_declaration" in die.attributes:
            definition = self._look_for(self._dies, f"{kind} {name}")
            if definition is not None:
                return self._type_of(definition)
            return Record(kind, name)
        record = Record(kind, name)
        self._made[die.offset] = record  # before its members, which may point to it
        members = tuple(
            self._member(child) for child in die.iter_children() if child.tag in ("DW_TAG_member", "DW_TAG_inheritance")
        )
        members = tuple(member for member in members if member.name or isinstance(member.type.bare, Record))
        alignment = _number(die, "DW_AT_alignment") or 0
        natural = max((member.type.align_bytes for member in members), default=1)
        record.complete(members, _number(die, "DW_AT_byte_size") or 0, max(alignment, natural))
        return record

    def _member(self, die: Any) -> Member:
        kind = self._referred(die)
        name = _name(die)
        at = _location(die, self.path)
        bits = _number(die, "DW_AT_bit_size")
        if bits is None:
            return Member(name, kind, at)
        start = _number(die, "DW_AT_data_bit_offset")
        if start is None:
            # DWARF 3 counts from the highest bit of a unit of DW_AT_byte_size bytes.
            unit = _number(die, "DW_AT_byte_size") or kind.size_bytes
            start = at * 8 + unit * 8 - (_number(die, "DW_AT_bit_offset") or 0) - bits
        else:
            start += at * 8
        return Member(name, kind, start // 8, bits, start % 8)


def _name(die: Any) -> str:
    attribute = die.attributes.get("DW_AT_name")
    if attribute is None:
        return ""
    value = attribute.value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _number(die: Any, attribute: str) -> int | None:
    found = die.attributes.get(attribute)
    return found.value if found is not None and isinstance(found.value, int) else None


def _location(die: Any, path: str) -> int:
    found = die.attributes.get("DW_AT_data_member_location")
    if found is None:
        return 0
    if isinstance(found.value, int):
        return found.value
    expression = list(found.value)
    if not expression or expression[0] != _PLUS_UCONST:
        raise BadDwarf(f"{path}: member {_name(die)!r} lies where only a calculation knows")
    at = 0
    for number, byte in enumerate(expression[1:]):
        at |= (byte & 0x7F) << 7 * number
    return at


def _base_type(die: Any, path: str) -> CType:
    name, size = _name(die) or "int", _number(die, "DW_AT_byte_size") or 0
    encoding = _number(die, "DW_AT_encoding")
    if encoding == _FLOAT:
        return Float(name, size)
    if encoding == _BOOLEAN:
        return Integer(name, size, signed=False, is_bool=True)
    if encoding in (_SIGNED, _UNSIGNED, _SIGNED_CHAR, _UNSIGNED_CHAR, _UTF):
        signed = encoding in (_SIGNED, _SIGNED_CHAR)
        return Integer(name, size, signed=signed, is_char=encoding in (_SIGNED_CHAR, _UNSIGNED_CHAR))
    raise BadDwarf(f"{path}: base type {name!r} has encoding {encoding}, which is not understood")


def _enum(die: Any) -> CType:
    constants = {
        _name(child): _number(child, "DW_AT_const_value") or 0
        for child in die.iter_children()
        if child.tag == "DW_TAG_enumerator"
    }
    name = _name(die)
    return Enum(f"enum {name}" if name else "enum {...}", constants, _number(die, "DW_AT_byte_size") or 4)
