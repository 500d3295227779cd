"""Guest memory read as a C type.

A value is what memory held when it was read.  Pointers go on reading when they are followed, in the same space.
Numbers are plain Python ones; pointers and enumerators are numbers too, with more to them.

A structure's members are its attributes.  What a structure value has of its own ends in an underscore (``address_``),
for guests have members of any name; without it (``address``) it is found if no member is called so.

Source: System V ABI, Intel386 Architecture Processor Supplement, "Data Representation".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

from hillemu.emu.errors import UserMistake
from hillemu.inspection.structs.reading import (
    ADDRESS_MASK,
    MOST_TEXT_BYTES,
    Source,
    c_string,
    float_of,
    read_bytes,
)
from hillemu.inspection.structs.types import (
    Array,
    CType,
    Enum,
    Float,
    Function,
    Integer,
    Member,
    Pointer,
    Record,
    Void,
)

MOST_BYTES = 64 << 20
"""Larger values are refused: they are mistakes, or should be read in parts."""


def read_value(source: Source, kind: CType, at: int) -> Any:
    """Read a `kind` at address `at` of `source`.

    Raises `Unreadable`, `IncompleteType`, or `UserMistake` for a type that has no value or too many bytes.
    """
    kind = source.completed(kind)
    bare = kind.bare
    if isinstance(bare, Void | Function):
        raise UserMistake(f"a {kind} has no value: name the type of what lies at {at:#x}")
    size = kind.size_bytes
    if size > MOST_BYTES:
        raise UserMistake(f"{kind} has {size:,} bytes; at most {MOST_BYTES:,} are read at once: read a part of it")
    at &= ADDRESS_MASK
    return value_of(source, kind, at, read_bytes(source, at, size, str(kind)))


def value_of(source: Source, kind: CType, at: int, data: bytes) -> Any:
    """What `data`, the bytes at `at`, is as a `kind`."""
    bare = kind.bare
    match bare:
        case Record():
            return StructValue(source, kind, at, data)
        case Array():
            return ArrayValue(source, kind, at, data)
        case Float():
            return float_of(data)
    return _scalar(source, kind, at, int.from_bytes(data, "little", signed=getattr(bare, "signed", False)))


def member_value(source: Source, member: Member, at: int, data: bytes) -> Any:
    """Member `member` of the structure whose bytes at `at` are `data`."""
    if member.bit_size is None:
        start = member.offset_bytes
        return value_of(source, member.type, at + start, data[start : start + member.type.size_bytes])
    last = member.offset_bytes + (member.bit_offset + member.bit_size + 7) // 8
    word = int.from_bytes(data[member.offset_bytes : last], "little") >> member.bit_offset
    word &= (1 << member.bit_size) - 1
    if getattr(member.type.bare, "signed", False) and word >> member.bit_size - 1:
        word -= 1 << member.bit_size
    return _scalar(source, member.type, at + member.offset_bytes, word)


def plain(value: Any) -> Any:
    """`value` for JSON: structures as dictionaries, text and enumerators as strings, pointers as numbers."""
    match value:
        case StructValue():
            return value.as_dict_()
        case ArrayValue():
            return value.text if value.is_text else [plain(one) for one in value]
        case EnumValue():
            return value.name or int(value)
        case PointerValue():
            return int(value)
    return value


class EnumValue(int):
    """A number with a name, if its enumeration has one for it; equal to the number and to the name."""

    type: Enum
    name: str | None

    def __new__(cls, number: int, kind: Enum) -> EnumValue:
        self = super().__new__(cls, number)
        self.type = kind
        self.name = kind.name_of(number)
        return self

    def __eq__(self, other: object) -> bool:
        return self.name == other if isinstance(other, str) else int(self) == other

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = int.__hash__

    def __str__(self) -> str:
        from hillemu.inspection.structs.printing import enum_text

        return enum_text(self.type, int(self))

    __repr__ = __str__


class PointerValue(int):
    """An address that is somewhere in the guest; `type` is the pointer's, `target` what it points to.

    ``pointer.deref()`` reads that, ``pointer[3]`` the fourth in a row, ``pointer.name`` a member of it,
    ``pointer.string()`` the text of a ``char *``.
    """

    type: CType
    target: CType
    _source: Source

    def __new__(cls, number: int, kind: CType, source: Source) -> PointerValue:
        self = super().__new__(cls, number)
        pointer = kind.bare
        assert isinstance(pointer, Pointer)
        self.type = kind
        self.target = pointer.target
        self._source = source
        return self

    def deref(self) -> Any:
        """What it points to; raises `Unreadable`, and `UserMistake` for a null pointer or one to `void`."""
        return self[0]

    def __getitem__(self, index: int | str) -> Any:
        if isinstance(index, str):
            return self.deref()[index]
        if not int(self):
            raise UserMistake(f"this {self.type} is null: there is nothing to read")
        target = self._source.completed(self.target)
        return read_value(self._source, target, int(self) + index * target.size_bytes)

    def string(self, most: int = MOST_TEXT_BYTES) -> str:
        """The text up to the first zero byte, or `most` bytes of it; raises as `deref`."""
        return c_string(self._source, int(self), most)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not isinstance(self._source.completed(self.target).bare, Record):
            raise AttributeError(f"a {self.type} has no {name!r}")
        return getattr(self.deref(), name)

    def __str__(self) -> str:
        from hillemu.inspection.structs.printing import pointer_text

        return pointer_text(self._source, self.target, int(self))

    def __repr__(self) -> str:
        return f"({self.type}) {self}"

    def __format__(self, form: str) -> str:
        return format(int(self), form) if form else str(self)


class ArrayValue(Sequence[Any]):
    """Elements in a row; `text` if they are characters.  Equal to lists, tuples, and to text or bytes."""

    def __init__(self, source: Source, kind: CType, at: int, data: bytes) -> None:
        array = kind.bare
        assert isinstance(array, Array)
        self._source = source
        self.type = kind
        self.address = at
        self.data = data
        self.element = array.element
        self.is_text = array.is_text
        self._is_flexible = array.count is None
        self._step = array.element.size_bytes
        self._count = array.count or 0

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if self._is_flexible and index >= 0:
            return read_value(self._source, self.element, self.element_address(index))
        number = index + len(self) if index < 0 else index
        if not 0 <= number < len(self):
            raise IndexError(f"{self.type} has no element {index}")
        at = number * self._step
        return value_of(self._source, self.element, self.address + at, self.data[at : at + self._step])

    def __iter__(self) -> Iterator[Any]:
        return (self[number] for number in range(len(self)))

    def element_address(self, index: int) -> int:
        """Where element `index` lies."""
        return self.address + index * self._step & ADDRESS_MASK

    def first(self, count: int) -> ArrayValue:
        """The first `count` elements, read now: what a flexible array needs, whose length is in another member."""
        value: ArrayValue = read_value(self._source, Array(self.element, count), self.address)
        return value

    @property
    def text(self) -> str:
        """The characters up to the first zero."""
        return self.data.split(b"\0")[0].decode("utf-8", "backslashreplace")

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return self.is_text and self.text == other
        if isinstance(other, bytes | bytearray):
            return self.data == bytes(other)
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        from hillemu.inspection.structs.printing import text_of

        return text_of(self._source, self.type, self.address, self.data)

    def __repr__(self) -> str:
        return f"<{self.type} at 0x{self.address:08X}>"


class StructValue:
    """A structure or union: members are attributes, and items for names that Python has taken (``value["class"]``)."""

    def __init__(self, source: Source, kind: CType, at: int, data: bytes) -> None:
        record = kind.bare
        assert isinstance(record, Record)
        own = self.__dict__
        own["_source"] = source
        own["_record"] = record
        own["type_"] = kind
        own["address_"] = at
        own["data_"] = data

    type_: CType
    address_: int
    data_: bytes
    _source: Source
    _record: Record

    def __getitem__(self, name: str) -> Any:
        return member_value(self._source, self._record.member(name), self.address_, self.data_)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in self._record.member_names and f"{name}_" in _OWN:
            return getattr(self, f"{name}_")
        return self[name]

    def __setattr__(self, name: str, value: object) -> None:
        raise UserMistake(f"{self.type_} at 0x{self.address_:08X}: guest structures are only looked at, not changed")

    def __dir__(self) -> list[str]:
        return [*self._record.member_names, *_OWN]

    def __iter__(self) -> Iterator[str]:
        return iter(self._record.member_names)

    def field_address_(self, path: str) -> int:
        """The address of a member, such as ``links.next``; a bit-field's is that of its first byte."""
        return self.address_ + self._record.offset_of(path) & ADDRESS_MASK

    def as_dict_(self) -> dict[str, Any]:
        """All members for JSON."""
        return {name: plain(self[name]) for name in self._record.member_names}

    def __eq__(self, other: object) -> bool:
        if isinstance(other, StructValue):
            return str(self.type_.bare) == str(other.type_.bare) and self.as_dict_() == other.as_dict_()
        return isinstance(other, Mapping) and self.as_dict_() == dict(other)

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        from hillemu.inspection.structs.printing import text_of

        return text_of(self._source, self.type_, self.address_, self.data_)

    def __repr__(self) -> str:
        return f"<{self.type_} at 0x{self.address_:08X}>"

    def _repr_html_(self) -> str:
        from hillemu.inspection.structs.printing import html_of

        return html_of(self)


_OWN = ("type_", "address_", "data_", "field_address_", "as_dict_")


def _scalar(source: Source, kind: CType, at: int, number: int) -> Any:
    bare = kind.bare
    match bare:
        case Pointer():
            return PointerValue(number, kind, source)
        case Enum():
            return EnumValue(number, bare)
        case Integer() if bare.is_bool and number in (0, 1):
            return bool(number)
        case Integer():
            return number
    raise UserMistake(f"a {kind} at 0x{at:08X} has no value")
