"""Z z: breakpoints and watchpoints.

Both kinds of breakpoint are the machine's own: guest memory never holds an INT3 of ours, DR0-DR7 stay the guest's.
Breakpoints may have conditions::

    Z0,addr,kind;X4,26000127X6,...      expressions in bytecode, each with its length in bytes

One that is true is enough to stop.  A packet for a breakpoint that is there already replaces its conditions; a
breakpoint without any stops always.  Commands (``cmds:``) are refused: they are not announced to GDB, which carries
them out itself then.

Source: Debugging with GDB, "Packets", insert breakpoint or watchpoint.
"""

from __future__ import annotations

import re
from functools import lru_cache

from hillemu.emu.gdb.agent_expressions import Expression
from hillemu.emu.gdb.context import OK, Command, Context, Reply
from hillemu.emu.gdb.fields import ADDRESS_MASK, Malformed, address, number, unhex
from hillemu.emu.gdb.target import BREAKPOINTS, PointKind, Unsupported

_KINDS = frozenset(PointKind)
# GDB writes one condition behind the other, the manual separates them.
_CONDITION = re.compile(rb";?X([0-9a-fA-F]{1,8}),([0-9a-fA-F]*)")


@lru_cache(maxsize=64)  # GDB takes its breakpoints out and puts them back at every stop
def _fields(arguments: bytes) -> tuple[PointKind, int, int]:
    parts = arguments.split(b",")
    if len(parts) != 3:
        raise Malformed("a point is type,address,kind")
    which, length = number(parts[0]), number(parts[2])
    if which not in _KINDS:
        raise Unsupported(f"points of type {which}")
    if not 0 < length <= ADDRESS_MASK + 1:
        raise Malformed(f"a point of {length} bytes")
    return PointKind(which), address(parts[1]), length


def _conditions(text: bytes) -> tuple[Expression, ...]:
    found = []
    at = 0
    while at < len(text):
        item = _CONDITION.match(text, at)
        if item is None:
            raise Malformed(f"{text[at : at + 40]!r} is not a condition")
        code = unhex(item[2])
        if len(code) != number(item[1]):
            raise Malformed(f"{len(code)} bytes of bytecode came, {number(item[1])} were announced")
        found.append(Expression(code))
        at = item.end()
    return tuple(found)


def _add(context: Context, arguments: bytes) -> Reply:
    fields, _, behind = arguments.partition(b";")
    kind, at, length = _fields(fields)
    conditions = _conditions(behind)
    if conditions and kind not in BREAKPOINTS:
        raise Malformed("a watchpoint has no conditions")
    context.target.add_point(kind, at, length, conditions)
    return OK


def _remove(context: Context, arguments: bytes) -> Reply:
    context.target.remove_point(*_fields(arguments))
    return OK


COMMANDS: dict[bytes, Command] = {b"Z": _add, b"z": _remove}
