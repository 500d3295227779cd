"""g G p P: registers, one and all."""

from __future__ import annotations

from struct import Struct

from hillemu.emu.gdb.context import OK, Command, Context, Reply
from hillemu.emu.gdb.fields import Malformed, enhex, number, unhex
from hillemu.emu.gdb.registers import EXPEDITED, G_BYTES, LAYOUT, Register
from hillemu.emu.gdb.target import Target

_EXPEDITED = b"".join(b"%02x:%%08x;" % register.number for register in EXPEDITED)
_EXPEDITED_VALUES = Struct(f">{len(EXPEDITED)}I")


def hex_value(target: Target, register: Register) -> bytes:
    """A register as packets have it; ``x`` for every digit of one that cannot be known."""
    value = target.read_register(register)
    return b"x" * (2 * register.size_bytes) if value is None else enhex(value)


def expedited(target: Target) -> bytes:
    """The registers that a stop reply carries along: ``number:value;``."""
    # Quickly: GDB wants them after each of its steps, which come by the ten thousand.  The digits of a number are those
    # of its bytes, read as one that is big-endian.
    return _EXPEDITED % _EXPEDITED_VALUES.unpack(target.read_expedited())


def _read_all(context: Context, arguments: bytes) -> Reply:
    values = [context.target.read_register(register) for register in LAYOUT]
    if None in values:
        return b"".join(hex_value(context.target, register) for register in LAYOUT)
    return enhex(b"".join(value for value in values if value is not None))


def _write_all(context: Context, arguments: bytes) -> Reply:
    if len(arguments) != 2 * G_BYTES:
        raise Malformed(f"{len(arguments)} digits are not a register file, which has {2 * G_BYTES}")
    values = []
    at = 0
    for register in LAYOUT:
        text = arguments[at : at + 2 * register.size_bytes]
        at += len(text)
        if text.strip(b"x"):
            values.append((register, unhex(text)))
    for register, value in values:
        _write(context.target, register, value)
    return OK


def _read_one(context: Context, arguments: bytes) -> Reply:
    return hex_value(context.target, _register(arguments))


def _write_one(context: Context, arguments: bytes) -> Reply:
    name, equals, value = arguments.partition(b"=")
    register = _register(name)
    data = unhex(value)
    if not equals or len(data) != register.size_bytes:
        raise Malformed(f"{register.name} has {register.size_bytes} bytes")
    _write(context.target, register, data)
    return OK


def _write(target: Target, register: Register, value: bytes) -> None:
    """Only what differs is written.

    Setting a segment register to what it holds would load its descriptor anew; and behind a call of a guest's function
    GDB puts all registers back, those that can only be looked at, too.
    """
    if target.read_register(register) != value:
        target.write_register(register, value)


def _register(text: bytes) -> Register:
    which = number(text)
    if which >= len(LAYOUT):
        raise Malformed(f"there is no register {which}")
    return LAYOUT[which]


COMMANDS: dict[bytes, Command] = {b"g": _read_all, b"G": _write_all, b"p": _read_one, b"P": _write_one}
