"""Z z: breakpoints and watchpoints.

Both kinds of breakpoint are the machine's own: guest memory never holds an INT3 of ours, DR0-DR7 stay the guest's.
Conditions and commands that follow the fields are refused; GDB evaluates them itself then.
"""

from __future__ import annotations

from hillemu.emu.gdb.context import OK, Command, Context, Reply
from hillemu.emu.gdb.fields import Malformed, address, number
from hillemu.emu.gdb.target import PointKind, Unsupported

_LONGEST_WATCH = 1 << 20


def _fields(arguments: bytes) -> tuple[PointKind, int, int]:
    parts = arguments.split(b",")
    if len(parts) != 3:
        raise Malformed("a point is type,address,kind")
    which, length = number(parts[0]), number(parts[2])
    if which not in set(PointKind):
        raise Unsupported(f"points of type {which}")
    if not 0 < length <= _LONGEST_WATCH:
        raise Malformed(f"a point of {length} bytes")
    return PointKind(which), address(parts[1]), length


def _add(context: Context, arguments: bytes) -> Reply:
    context.target.add_point(*_fields(arguments))
    return OK


def _remove(context: Context, arguments: bytes) -> Reply:
    context.target.remove_point(*_fields(arguments))
    return OK


COMMANDS: dict[bytes, Command] = {b"Z": _add, b"z": _remove}
