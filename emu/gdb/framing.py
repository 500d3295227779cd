"""Packets on the wire: ``$payload#checksum``, acknowledgements, and the interrupt byte.

>>> frame(b"OK")
b'$OK#9a'
>>> framer = Framer()
>>> list(framer.feed(b"+$g#67"))
[<Signal.ACK: '+'>, Packet(payload=b'g', intact=True)]

A sender escapes ``$ # }`` (and a stub also ``*``) as ``}`` and the byte with bit 5 flipped.  A stub may send a run of
one byte as that byte, ``*``, and the number of repeats plus 29.

Source: Debugging with GDB, "Overview" and "Packet Acknowledgment" of the remote serial protocol.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from functools import lru_cache
from typing import NamedTuple
from zlib import adler32

MAX_PACKET_BYTES = 0x20000
"""The longest payload that is accepted, and that the client is told of: 64 KiB of memory as hex digits."""


class Signal(Enum):
    """What may come between packets."""

    ACK = "+"
    NAK = "-"
    INTERRUPT = "\x03"


class Packet(NamedTuple):
    """A packet with its escapes undone; not `intact` if it was too long or its checksum is wrong."""

    payload: bytes
    intact: bool


_START, _ESCAPE = b"$"[0], b"}"[0]
_BETWEEN = {ord(signal.value): signal for signal in Signal}
_TRAILER = re.compile(rb"[0-9a-fA-F]{2}")
_WHOLE = re.compile(rb"\$([^$#]*)#(..)", re.DOTALL)


class Framer:
    """Finds packets in a stream of bytes that comes in pieces.  What is not part of any is ignored."""

    def __init__(self) -> None:
        self._body: bytearray | None = None
        self._trailer: bytearray | None = None
        self._too_long = False

    def only_packet(self, data: bytes) -> Packet | None:
        """The packet that `data` is, where it is one and nothing else; `None` means that `feed` has to look."""
        if self._body is not None:
            return None
        return _usual(data) if len(data) <= _SHORT_BYTES else _only_packet(data)

    def feed(self, data: bytes) -> Iterator[Signal | Packet]:
        """What `data` completes, in order."""
        if packet := self.only_packet(data):
            yield packet
            return
        at = 0
        while at < len(data):
            if self._trailer is not None:
                at += self._take_trailer(data[at : at + 2 - len(self._trailer)])
                if len(self._trailer) == 2:
                    yield self._finish()
            elif self._body is not None:
                at = self._take_body(data, at)
            else:
                byte = data[at]
                at += 1
                if byte == _START:
                    self._body, self._too_long = bytearray(), False
                elif byte in _BETWEEN:
                    yield _BETWEEN[byte]

    def _take_trailer(self, piece: bytes) -> int:
        assert self._trailer is not None
        self._trailer += piece
        return len(piece)

    def _take_body(self, data: bytes, at: int) -> int:
        """Take the body's bytes from `at` on; return where it goes on."""
        assert self._body is not None
        end = data.find(b"#", at)
        stop = len(data) if end < 0 else end
        # A new start means that the end of the packet before was lost.
        restart = data.rfind(b"$", at, stop)
        if restart >= 0:
            self._body, self._too_long, at = bytearray(), False, restart + 1
        if len(self._body) + stop - at > MAX_PACKET_BYTES:
            self._too_long = True
        else:
            self._body += data[at:stop]
        if end < 0:
            return stop
        self._trailer = bytearray()
        return end + 1

    def _finish(self) -> Packet:
        assert self._body is not None
        assert self._trailer is not None
        body, trailer = bytes(self._body), bytes(self._trailer)
        self._body = self._trailer = None
        return Packet(b"", False) if self._too_long else _packet(body, trailer)


def _only_packet(data: bytes) -> Packet | None:
    """The packet that `data` is, if it is one and nothing else: what a client sends that waits for each answer."""
    whole = _WHOLE.fullmatch(data) if len(data) < MAX_PACKET_BYTES else None
    return None if whole is None else _packet(whole[1], whole[2])


_SHORT_BYTES = 64
_usual = lru_cache(maxsize=256)(_only_packet)
"""GDB sends the same few short packets by the ten thousand."""


def _packet(body: bytes, trailer: bytes) -> Packet:
    intact = _TRAILER.fullmatch(trailer) is not None and _checksum(body) == int(trailer, 16)
    return Packet(unescape(body) if intact else b"", intact)


def escape(data: bytes) -> bytes:
    """Make `data` fit for a payload.

    >>> escape(b"a#b")
    b'a}\\x03b'
    """
    return _SPECIAL.sub(lambda found: bytes((_ESCAPE, found[0][0] ^ 0x20)), data)


def unescape(data: bytes) -> bytes:
    """Undo `escape`; an escape character at the very end stands for nothing."""
    if b"}" not in data:
        return data
    return _ESCAPED.sub(lambda found: bytes((found[0][1] ^ 0x20,)) if len(found[0]) == 2 else b"", data)


_SPECIAL = re.compile(rb"[$#}*]")
_ESCAPED = re.compile(rb"}.?", re.DOTALL)


def frame(payload: bytes) -> bytes:
    """`payload` (already escaped where it is binary) as it goes over the wire."""
    body = _shorten(payload)
    return b"$%b#%02x" % (body, _checksum(body))


def _checksum(body: bytes) -> int:
    """The sum of the bytes, modulo 256."""
    if len(body) <= _ADDED_BY_ADLER:
        return adler32(body, 0) & 0xFF
    return sum(body) & 0xFF


_ADDED_BY_ADLER = 65520 // 255
"""Of so many bytes Adler-32's lower half, a sum modulo 65521, is the sum itself, in a tenth of the time."""


_RUNS = [
    (bytes([filler]) * length, bytes([filler]) + b"*" + bytes([length - 1 + 29]))
    for length in (98, 50, 26, 12, 6)
    for filler in b"0fx"
]
"""The longest first; the counts of 7 and 8 would be ``#`` and ``$``.  98 is the longest that is printable."""


_WORTH_SHORTENING = 1000
"""GDB sends and waits for tiny packets by the ten thousand."""


def _shorten(payload: bytes) -> bytes:
    """Shorten runs of zeros and of all ones, which memory is full of (and ``x``, for registers that are not there)."""
    if len(payload) >= _WORTH_SHORTENING:
        for run, short in _RUNS:
            payload = payload.replace(run, short)
    return payload
