"""g G p P: registers, one and all."""

from __future__ import annotations

from struct import Struct

from hillemu.emu.gdb.context import OK, Command, Context, Reply
from hillemu.emu.gdb.fields import Malformed, enhex, number, unhex
from hillemu.emu.gdb.registers import EXPEDITED, GDBS_OWN, LAYOUT, ORIG_EAX, Register
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
    registers = _known(context)
    values = [context.target.read_register(register) for register in registers]
    if None in values:
        return b"".join(hex_value(context.target, register) for register in registers)
    return enhex(b"".join(value for value in values if value is not None))


def _write_all(context: Context, arguments: bytes) -> Reply:
    registers = _known(context)
    digits = 2 * sum(register.size_bytes for register in registers)
    if len(arguments) != digits:
        raise Malformed(f"{len(arguments)} digits are not a register file, which has {digits}")
    values = []
    at = 0
    for register in registers:
        text = arguments[at : at + 2 * register.size_bytes]
        at += len(text)
        if text.strip(b"x"):
            values.append((register, unhex(text)))
    for register, value in values:
        _write(context.target, register, value)
    return OK


def _read_one(context: Context, arguments: bytes) -> Reply:
    register = _register(context, arguments)
    return b"x" * 8 if register is None else hex_value(context.target, register)


def _write_one(context: Context, arguments: bytes) -> Reply:
    name, equals, value = arguments.partition(b"=")
    register = _register(context, name)
    data = unhex(value)
    size_bytes = 4 if register is None else register.size_bytes
    if not equals or len(data) != size_bytes:
        raise Malformed(f"register {name!r} has {size_bytes} bytes")
    if register is not None:
        _write(context.target, register, data)
    return OK


def _write(target: Target, register: Register, value: bytes) -> None:
    """Only what differs is written.

    Setting a segment register to what it holds would load its descriptor anew; and behind a call of a guest's function
    GDB puts all registers back, those that can only be looked at, too.
    """
    if target.read_register(register) != value:
        target.write_register(register, value)


def _known(context: Context) -> tuple[Register, ...]:
    """The registers that the client knows of."""
    return LAYOUT if context.knows_description else GDBS_OWN


def _register(context: Context, text: bytes) -> Register | None:
    """The register of that number; `None` for ORIG_EAX, which nobody has, but a GDB on Linux sets with every EIP."""
    which, registers = number(text), _known(context)
    if which < len(registers):
        return registers[which]
    if which == ORIG_EAX:
        return None
    raise Malformed(f"there is no register {which}")


COMMANDS: dict[bytes, Command] = {b"g": _read_all, b"G": _write_all, b"p": _read_one, b"P": _write_one}
