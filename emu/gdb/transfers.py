"""qXfer: documents that are read in pieces."""

from __future__ import annotations

from collections.abc import Callable

from hillemu.emu.gdb.context import Command, Context, Reply
from hillemu.emu.gdb.description import memory_map_xml, target_xml
from hillemu.emu.gdb.fields import Malformed, number
from hillemu.emu.gdb.framing import MAX_PACKET_BYTES, escape
from hillemu.emu.gdb.resume_commands import THREAD
from hillemu.emu.gdb.target import ErrorNumber, TargetError, Unsupported

_MOST = MAX_PACKET_BYTES // 2 - 1
"""In the worst case every byte is escaped."""


def _features(context: Context, annex: bytes) -> bytes:
    if annex != b"target.xml":
        raise TargetError(ErrorNumber.NO_SUCH, f"there is no description {annex[:40]!r}")
    context.knows_description = True
    return target_xml(context.target.machine_name)


def _memory_map(context: Context, annex: bytes) -> bytes:
    _refuse(annex)
    return memory_map_xml(context.target.memory_map())


def _threads(context: Context, annex: bytes) -> bytes:
    _refuse(annex)
    return b'<?xml version="1.0"?><threads><thread id="%b" core="0" name="cpu"/></threads>' % THREAD


def _refuse(annex: bytes) -> None:
    if annex:
        raise TargetError(ErrorNumber.NO_SUCH, f"this document has no part {annex[:40]!r}")


_DOCUMENTS: dict[bytes, Callable[[Context, bytes], bytes]] = {
    b"features": _features,
    b"memory-map": _memory_map,
    b"threads": _threads,
}
SUPPORTED = tuple(b"qXfer:%b:read+" % name for name in _DOCUMENTS)


def _transfer(context: Context, arguments: bytes) -> Reply:
    """``:object:read:annex:offset,length``; the answer starts with ``l`` if it holds the end, else with ``m``."""
    parts = arguments.split(b":")
    if len(parts) < 3:
        raise Malformed("qXfer without an object")
    document = _DOCUMENTS.get(parts[1])
    if document is None or parts[2] != b"read":
        raise Unsupported("such a transfer")
    if len(parts) != 5:
        raise Malformed("qXfer wants object:read:annex:offset,length")
    offset, comma, length = parts[4].partition(b",")
    if not comma:
        raise Malformed("qXfer wants offset,length")
    text = document(context, parts[3])
    start = number(offset)
    end = start + min(number(length), _MOST)
    return (b"m" if end < len(text) else b"l") + escape(text[start:end])


NAMED: dict[bytes, Command] = {b"qXfer": _transfer}
