"""What a drive sends or takes in one command: a stream of bytes, made from a medium as it is needed.

>>> stream = ByteStream(b"abcdef")
>>> stream.take(4), stream.remaining, stream.take(2)
(b'abcd', 2, b'ef')

PIO moves a stream in blocks of the drive's choice, the bus master in pieces of the driver's.
"""

from __future__ import annotations

from typing import Protocol

from hillemu.emu.media import Medium


class Source(Protocol):
    """Bytes for the host."""

    remaining: int

    def take(self, count: int) -> bytes:
        """The next `count` bytes, of which there are that many."""


class Sink(Protocol):
    """A place for bytes from the host."""

    remaining: int

    def give(self, data: bytes) -> None:
        """The next bytes, no more than there is room for."""


class ByteStream:
    """A source of bytes that are there already."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self.remaining = len(data)

    def take(self, count: int) -> bytes:
        piece = self._data[self._at : self._at + count]
        self._at += len(piece)
        self.remaining -= len(piece)
        return piece


class SectorSource:
    """`count` sectors of a medium from `lba` on; `limit_bytes` cuts the stream short."""

    def __init__(self, medium: Medium, lba: int, count: int, *, limit_bytes: int | None = None) -> None:
        self._medium = medium
        self._lba = lba
        self._read = b""  # read from the medium and not yet taken
        self.remaining = count * medium.sector_bytes
        if limit_bytes is not None:
            self.remaining = min(self.remaining, limit_bytes)

    def take(self, count: int) -> bytes:
        size = self._medium.sector_bytes
        sectors = -(-(count - len(self._read)) // size)
        if sectors > 0:
            self._read += self._medium.read(self._lba, sectors)
            self._lba += sectors
        piece, self._read = self._read[:count], self._read[count:]
        self.remaining -= len(piece)
        return piece


class SectorSink:
    """`count` sectors of a medium from `lba` on, each written when all of it is there."""

    def __init__(self, medium: Medium, lba: int, count: int) -> None:
        self._medium = medium
        self._lba = lba
        self._piece = b""  # of a sector, not yet written
        self.remaining = count * medium.sector_bytes

    def give(self, data: bytes) -> None:
        self.remaining -= len(data)
        data = self._piece + data
        whole = len(data) - len(data) % self._medium.sector_bytes
        self._piece = data[whole:]
        if whole:
            self._medium.write(self._lba, data[:whole])
            self._lba += whole // self._medium.sector_bytes
