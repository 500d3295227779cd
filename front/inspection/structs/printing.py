"""Values and types as text: values as GDB prints them with ``set print pretty``, types as C with offsets.

    {
      pid = 1,
      name = "init", '\\000' <repeats 11 times>,
      parent = 0xc0101000 <first_task>
    }

Source: GDB's manual, "Print Settings"; where it is silent, what GDB 13 prints.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

from hillemu.inspection.structs.reading import Source
from hillemu.inspection.structs.types import Array, CType, Enum, Float, Integer, Member, Record
from hillemu.inspection.structs.values import EnumValue, PointerValue, member_value, value_of

if TYPE_CHECKING:
    from hillemu.inspection.structs.values import StructValue

MOST_ELEMENTS = 200
"""GDB's ``print elements``."""
REPEATS_FROM = 10
"""More equal elements than this in a row are told once: GDB's ``print repeats``."""
_MOST_STRING_BYTES = 200
_NAMED = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 27: "\\033", 92: "\\\\"}


def text_of(source: Source, kind: CType, at: int, data: bytes, depth: int = 0) -> str:
    """The value whose bytes at `at` are `data`."""
    bare = kind.bare
    if isinstance(bare, Record):
        return _record_text(source, bare, at, data, depth)
    if isinstance(bare, Array):
        return _array_text(source, bare, at, data, depth)
    return scalar_text(source, kind, value_of(source, kind, at, data))


def scalar_text(source: Source, kind: CType, value: object) -> str:
    """A number of type `kind`."""
    bare = kind.bare
    if isinstance(value, PointerValue):
        return pointer_text(source, value.target, int(value))
    if isinstance(value, EnumValue):
        return enum_text(value.type, int(value))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(bare, Integer) and bare.is_char and isinstance(value, int):
        return f"{value} {_char_text(value & 0xFF)}"
    if isinstance(bare, Float) and isinstance(value, float):
        return _float_text(value, bare.size_bytes)
    return str(value)


def enum_text(kind: Enum, number: int) -> str:
    """An enumerator's name; for enumerations of flags, those that are set; the number if there is no name."""
    name = kind.name_of(number)
    if name is not None:
        return name
    flags = kind.constants
    used = 0
    for value in flags.values():
        if value < 0 or value & used or not _is_one_run(value):
            return str(number)
        used |= value
    if not number or not flags:
        return str(number)
    parts = [flag for flag, value in flags.items() if value and number & value == value]
    rest = number & ~sum(flags[flag] for flag in parts)
    if rest:
        parts.append(f"unknown: {rest:#x}")
    return f"({' | '.join(parts)})"


def pointer_text(source: Source, target: CType, number: int) -> str:
    """An address, with the symbol there, or the text that it points to."""
    bare = target.bare
    text = f"{number:#x}"
    if name := source.place_name(number) if number else "":
        text += f" <{name}>"
    if number and isinstance(bare, Integer) and bare.is_char:
        data = source.read(number, _MOST_STRING_BYTES)
        if not data:
            return f"{text} <error: not mapped>"
        body, _, _ = data.partition(b"\0")
        return f"{text} {_quoted(body, is_cut=len(body) == len(data))}"
    return text


def type_text(kind: CType) -> str:
    """The definition of a type, with each member's offset and size in bytes (bits behind a colon)."""
    bare = kind.bare
    head = f"typedef {_definition_name(bare)} {kind.name};\n" if kind is not bare else ""
    if isinstance(bare, Record) and bare.is_complete:
        return head + "\n".join(_record_lines(bare, 0, 0)) + f"  /* {bare.size_bytes} bytes */"
    if isinstance(bare, Enum):
        constants = ", ".join(f"{name} = {value}" for name, value in bare.constants.items())
        return f"{head}{bare.name} {{ {constants} }}  /* {bare.size_bytes} bytes */"
    return head or f"{kind};"


def html_of(value: StructValue) -> str:
    """A table of members for a notebook."""
    rows = []
    record = value._record
    for member in record.reachable():
        text = _member_text(value._source, member, value.address_, value.data_, 0)
        bits = f":{member.bit_offset}" if member.bit_size is not None else ""
        rows.append(
            f"<tr><td>{member.offset_bytes:#x}{bits}</td><td>{escape(_declared(member))}</td>"
            f"<td><pre style='margin:0'>{escape(text)}</pre></td></tr>"
        )
    head = f"{escape(str(value.type_))} at 0x{value.address_:08X}"
    return f'<table style="text-align:left"><caption>{head}</caption><tbody>{"".join(rows)}</tbody></table>'


# ---- structures and arrays ------------------------------------------------------------------------------------------


def _record_text(source: Source, record: Record, at: int, data: bytes, depth: int) -> str:
    indent = "  " * (depth + 1)
    lines = []
    for member in record.members:
        name = f"{member.name} = " if member.name else ""
        lines.append(f"{indent}{name}{_member_text(source, member, at, data, depth + 1)}")
    if not lines:
        return "{<No data fields>}"
    return "{\n" + ",\n".join(lines) + "\n" + "  " * depth + "}"


def _member_text(source: Source, member: Member, at: int, data: bytes, depth: int) -> str:
    if member.bit_size is not None:
        return scalar_text(source, member.type, member_value(source, member, at, data))
    start = member.offset_bytes
    return text_of(source, member.type, at + start, data[start : start + member.type.size_bytes], depth)


def _array_text(source: Source, array: Array, at: int, data: bytes, depth: int) -> str:
    if array.is_text:
        return _characters(data)
    if not array.count:
        return "{}" if array.count is not None or not array.element.size_bytes else f"0x{at:x}"
    step = array.element.size_bytes
    parts = []
    shown = 0
    pieces = (data[start : start + step] for start in range(0, array.count * step, step)) if step else iter(())
    start = at
    for piece, run in groupby(pieces):
        count = sum(1 for _ in run)
        if shown >= MOST_ELEMENTS:
            parts.append("...")
            break
        text = text_of(source, array.element, start, piece, depth + 1)
        start += count * step
        if count > REPEATS_FROM:
            parts.append(f"{text} <repeats {count} times>")
            shown += REPEATS_FROM
        else:
            fits = min(count, MOST_ELEMENTS - shown)
            parts += [text] * fits
            shown += fits
            if fits < count:
                parts.append("...")
                break
    joined = ", ".join(parts)
    return "{" + re.sub(r", \.\.\.$", "...", joined) + "}"


def _characters(data: bytes) -> str:
    """GDB's way with character arrays: quoted pieces, long runs told once, the last of the closing zeros left out."""
    is_cut = len(data) > MOST_ELEMENTS
    body = data[:MOST_ELEMENTS]
    if not is_cut and body.endswith(b"\0"):
        body = body[:-1]
    return _quoted(body, is_cut=is_cut)


def _quoted(body: bytes, *, is_cut: bool) -> str:
    parts: list[str] = []
    plain = bytearray()

    def flush() -> None:
        if plain:
            parts.append(f'"{_escaped(plain, 34)}"')
            plain.clear()

    for byte, run in groupby(body):
        count = sum(1 for _ in run)
        if count > REPEATS_FROM:
            flush()
            parts.append(f"{_char_text(byte)} <repeats {count} times>")
        else:
            plain += bytes([byte]) * count
    flush()
    return (", ".join(parts) or '""') + ("..." if is_cut else "")


def _escaped(data: bytes | bytearray, quote: int) -> str:
    out = []
    for byte in data:
        if byte == quote:
            out.append("\\" + chr(quote))
        elif byte in _NAMED:
            out.append(_NAMED[byte])
        else:
            out.append(chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}")
    return "".join(out)


def _char_text(byte: int) -> str:
    return f"'{_escaped(bytes([byte]), 39)}'"


def _float_text(value: float, size_bytes: int) -> str:
    if value != value:
        return "nan"
    if value in (float("inf"), float("-inf")):
        return "inf" if value > 0 else "-inf"
    return f"{value:.{9 if size_bytes == 4 else 17 if size_bytes == 8 else 18}g}"


def _is_one_run(value: int) -> bool:
    """Whether the bits set are next to each other."""
    return not value or not (value // (value & -value) + 1) & value // (value & -value)


# ---- types ----------------------------------------------------------------------------------------------------------


def _definition_name(bare: CType) -> str:
    return bare.name or str(bare)


def _declared(member: Member) -> str:
    bits = f" : {member.bit_size}" if member.bit_size is not None else ""
    return member.type.declare(member.name) + bits


def _record_lines(record: Record, base: int, depth: int) -> Iterator[str]:
    indent = "    " * depth
    name = record.name if record.tag else record.kind
    yield f"{indent}{name} {{"
    for member in record.members:
        at = base + member.offset_bytes
        bare = member.type.bare
        if isinstance(bare, Record) and not bare.tag and member.type is bare:
            *body, last = _record_lines(bare, at, depth + 1)
            yield from body
            yield f"{last[:-1]}{' ' if member.name else ''}{member.name};"
            continue
        text = f"{indent}    {_declared(member)};"
        bits = f":{member.bit_offset}" if member.bit_size is not None else ""
        size = "" if member.bit_size is not None else f" {member.type.size_bytes:>5}"
        yield f"{text:<44}/* {at:>5}{bits}{size} */"
    yield f"{indent}}};"
