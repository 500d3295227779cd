"""m M X x: memory, as hexadecimal digits and as it is; physical on demand.

A read gives what can be read: less than was asked for where memory ends, an error where not even the first byte is
there.  A write changes all or nothing.
"""

from __future__ import annotations

from hillemu.emu.gdb.context import OK, Command, Context, Reply
from hillemu.emu.gdb.fields import Malformed, enhex, span, unhex
from hillemu.emu.gdb.framing import MAX_PACKET_BYTES, escape
from hillemu.emu.gdb.target import ErrorNumber, TargetError

_MOST_HEX = MAX_PACKET_BYTES // 2
_MOST_BINARY = MAX_PACKET_BYTES // 2 - 1
"""In the worst case every byte is escaped; one letter comes first."""


def _read(context: Context, arguments: bytes, most: int) -> bytes:
    at, count = span(arguments)
    data = context.target.read_memory(at, min(count, most), physical=context.physical)
    if count and not data:
        raise TargetError(ErrorNumber.MEMORY, f"nothing can be read at {at:#x}")
    return data


def _read_hex(context: Context, arguments: bytes) -> Reply:
    return enhex(_read(context, arguments, _MOST_HEX))


def _read_binary(context: Context, arguments: bytes) -> Reply:
    return b"b" + escape(_read(context, arguments, _MOST_BINARY))


def _write_hex(context: Context, arguments: bytes) -> Reply:
    where, data = _where_and_data(arguments)
    return _write(context, where, unhex(data))


def _write_binary(context: Context, arguments: bytes) -> Reply:
    return _write(context, *_where_and_data(arguments))


def _where_and_data(arguments: bytes) -> tuple[tuple[int, int], bytes]:
    where, colon, data = arguments.partition(b":")
    if not colon:
        raise Malformed("a write without data")
    return span(where), data


def _write(context: Context, where: tuple[int, int], data: bytes) -> Reply:
    at, count = where
    if count != len(data):
        raise Malformed(f"{len(data)} bytes came, {count} were announced")
    if data:
        context.target.write_memory(at, data, physical=context.physical)
    return OK


def _set_physical(context: Context, arguments: bytes) -> Reply:
    if arguments not in (b":0", b":1"):
        raise Malformed("the mode is 0 or 1")
    context.physical = arguments == b":1"
    return OK


def _tell_physical(context: Context, arguments: bytes) -> Reply:
    return b"1" if context.physical else b"0"


COMMANDS: dict[bytes, Command] = {b"m": _read_hex, b"x": _read_binary, b"M": _write_hex, b"X": _write_binary}
NAMED: dict[bytes, Command] = {b"Qqemu.PhyMemMode": _set_physical, b"qqemu.PhyMemMode": _tell_physical}
