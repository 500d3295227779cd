"""C types, as i386 has them: sizes and alignments are those of the System V ABI.

Types are compared by identity, but for `str(type)`, which is how C writes them.  A `Record` is made empty and completed
later, because structures point to themselves.

Source: System V ABI, Intel386 Architecture Processor Supplement, "Data Representation".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from hillemu.emu.errors import UserMistake
from hillemu.similar_names import alike_or_all

POINTER_BYTES = 4
MEMBER_ALIGN_MOST = 4
"""Members of 8 bytes are aligned to 4 in i386 structures; variables of their own are not."""


class IncompleteType(UserMistake):
    """The type was only declared: nobody knows how large it is."""


class CType:
    """What all types have: `name` as C writes it, size and alignment as a member of a structure, in bytes."""

    def __init__(self, name: str, size_bytes: int, align_bytes: int) -> None:
        self.name = name
        self._size_bytes = size_bytes
        self.align_bytes = align_bytes

    @property
    def size_bytes(self) -> int:
        """What ``sizeof`` gives; raises `IncompleteType` for a type without a known size."""
        return self._size_bytes

    @property
    def bare(self) -> CType:
        """The type behind all typedefs."""
        return self

    def declare(self, what: str) -> str:
        """A declaration of `what` with this type, as C writes it: ``char *what[4]``."""
        return f"{self.name} {what}".rstrip()

    def __str__(self) -> str:
        return self.declare("")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"


class Void(CType):
    """No value; a pointer to it can point to anything."""

    def __init__(self) -> None:
        super().__init__("void", 1, 1)  # As gcc has it, so that arithmetic on void * works.


class Integer(CType):
    """A whole number; `is_char` if C programmers put text into arrays of it."""

    def __init__(
        self, name: str, size_bytes: int, *, signed: bool, is_char: bool = False, is_bool: bool = False
    ) -> None:
        super().__init__(name, size_bytes, min(size_bytes, MEMBER_ALIGN_MOST))
        self.signed = signed
        self.is_char = is_char
        self.is_bool = is_bool


class Float(CType):
    """A number with a fraction: 4, 8, or 12 bytes (the FPU's own format, padded)."""

    def __init__(self, name: str, size_bytes: int) -> None:
        super().__init__(name, size_bytes, min(size_bytes, MEMBER_ALIGN_MOST))


class Enum(CType):
    """Names for numbers."""

    def __init__(
        self, name: str, constants: Mapping[str, int], size_bytes: int = 4, signed: bool | None = None
    ) -> None:
        super().__init__(name, size_bytes, min(size_bytes, MEMBER_ALIGN_MOST))
        self.constants = dict(constants)
        self.signed = any(value < 0 for value in constants.values()) if signed is None else signed

    def name_of(self, value: int) -> str | None:
        """The constant of that value, the first if there are several."""
        return next((name for name, number in self.constants.items() if number == value), None)


class Pointer(CType):
    """The address of a `target`."""

    def __init__(self, target: CType) -> None:
        super().__init__("", POINTER_BYTES, POINTER_BYTES)
        self.target = target

    def declare(self, what: str) -> str:
        inner = f"*{what}"
        return self.target.declare(f"({inner})" if isinstance(self.target, Array | Function) else inner)


class Function(CType):
    """Code; nothing is known of its parameters, because nothing of them is in memory."""

    def __init__(self, result: CType) -> None:
        super().__init__("", 1, 1)
        self.result = result

    def declare(self, what: str) -> str:
        return self.result.declare(f"{what}()")


class Array(CType):
    """`count` elements one after another; `None` for a flexible array, of unknown length and size 0."""

    def __init__(self, element: CType, count: int | None) -> None:
        super().__init__("", 0, element.align_bytes)
        self.element = element
        self.count = count

    @property
    def size_bytes(self) -> int:
        return self.element.size_bytes * (self.count or 0)

    @property
    def is_text(self) -> bool:
        """Whether it is an array of characters."""
        bare = self.element.bare
        return isinstance(bare, Integer) and bare.is_char

    def declare(self, what: str) -> str:
        return self.element.declare(f"{what}[{'' if self.count is None else self.count}]")


class Typedef(CType):
    """Another name for `target`."""

    def __init__(self, name: str, target: CType, align_bytes: int | None = None) -> None:
        super().__init__(name, 0, align_bytes or target.align_bytes)
        self.target = target
        self.own_align_bytes = align_bytes

    @property
    def size_bytes(self) -> int:
        return self.target.size_bytes

    @property
    def bare(self) -> CType:
        return self.target.bare


class Member(NamedTuple):
    """A member of a structure or union.

    `bit_size` is None unless it is a bit-field, which begins `bit_offset` bits behind the start of the byte at
    `offset_bytes`, the lowest bit first.  An anonymous structure has an empty `name`.
    """

    name: str
    type: CType
    offset_bytes: int
    bit_size: int | None = None
    bit_offset: int = 0


class Record(CType):
    """A structure or union; `kind` is ``struct`` or ``union``."""

    def __init__(self, kind: str, tag: str) -> None:
        super().__init__(f"{kind} {tag}" if tag else f"{kind} {{...}}", 0, 1)
        self.kind = kind
        self.tag = tag
        self.members: tuple[Member, ...] = ()
        self.is_complete = False
        self._by_name: dict[str, Member] = {}

    def complete(self, members: tuple[Member, ...], size_bytes: int, align_bytes: int) -> None:
        """Say what is in it."""
        self.members, self._size_bytes, self.align_bytes = members, size_bytes, align_bytes
        self.is_complete = True
        self._by_name = {member.name: member for member in self.reachable()}

    @property
    def size_bytes(self) -> int:
        if not self.is_complete:
            raise IncompleteType(f"{self.name} is only declared: define it, or load an ELF file that does")
        return self._size_bytes

    def reachable(self, base_bytes: int = 0) -> Iterator[Member]:
        """All members that have a name, those of anonymous structures and unions among them, with their own offset."""
        for member in self.members:
            at = base_bytes + member.offset_bytes
            bare = member.type.bare
            if member.name:
                yield member._replace(offset_bytes=at)
            elif isinstance(bare, Record):
                yield from bare.reachable(at)

    def member(self, name: str) -> Member:
        """The member called `name`, also one of an anonymous structure; raises `UnknownMember`."""
        found = self._by_name.get(name)
        if found is None:
            if not self.is_complete:
                raise IncompleteType(f"{self.name} is only declared: nothing is known of its members")
            raise UnknownMember(f"{self.name} has no member {name!r}{alike_or_all(name, self._by_name)}")
        return found

    @property
    def member_names(self) -> tuple[str, ...]:
        """All names that `member` knows."""
        return tuple(self._by_name)

    def offset_of(self, path: str) -> int:
        """Bytes from the start to the member that `path` names, such as ``links.next``; raises `UnknownMember`."""
        at, here = 0, self
        names = path.split(".")
        for number, name in enumerate(names):
            member = here.member(name)
            at += member.offset_bytes
            inner = member.type.bare
            if number + 1 < len(names):
                if not isinstance(inner, Record):
                    raise UnknownMember(f"{path!r}: {name} is {member.type}, which has no members")
                here = inner
        return at


class UnknownMember(UserMistake, AttributeError):
    """A structure has no member of that name; the message proposes similar ones."""


VOID = Void()
CHAR = Integer("char", 1, signed=True, is_char=True)
INT = Integer("int", 4, signed=True)
UNSIGNED = Integer("unsigned int", 4, signed=False)
BASE_TYPES: dict[str, CType] = {
    kind.name: kind
    for kind in (
        VOID,
        CHAR,
        INT,
        UNSIGNED,
        Integer("signed char", 1, signed=True, is_char=True),
        Integer("unsigned char", 1, signed=False, is_char=True),
        Integer("short", 2, signed=True),
        Integer("unsigned short", 2, signed=False),
        Integer("long", 4, signed=True),
        Integer("unsigned long", 4, signed=False),
        Integer("long long", 8, signed=True),
        Integer("unsigned long long", 8, signed=False),
        Integer("_Bool", 1, signed=False, is_bool=True),
        Float("float", 4),
        Float("double", 8),
        Float("long double", 12),
    )
}
"""The types that C has of its own, each under its shortest usual name."""

_ALIASES = {
    "signed char": "int8_t s8 __s8 i8",
    "unsigned char": "uint8_t u8 __u8 u_char uchar u_int8_t",
    "short": "int16_t s16 __s16 i16",
    "unsigned short": "uint16_t u16 __u16 __le16 __be16 u_short ushort u_int16_t",
    "int": "int32_t s32 __s32 i32 ssize_t ptrdiff_t intptr_t pid_t",
    "unsigned int": "uint32_t u32 __u32 __le32 __be32 size_t uintptr_t u_int uint u_int32_t",
    "long": "off_t time_t",
    "unsigned long": "u_long ulong",
    "long long": "int64_t s64 __s64 i64 loff_t",
    "unsigned long long": "uint64_t u64 __u64 __le64 __be64 u_int64_t",
    "_Bool": "bool",
}
USUAL_TYPEDEFS: dict[str, CType] = {
    name: Typedef(name, BASE_TYPES[base]) for base, names in _ALIASES.items() for name in names.split()
}
"""What every kernel has from <stdint.h>, <stddef.h>, or by its own typedefs; a definition of one's own wins."""
