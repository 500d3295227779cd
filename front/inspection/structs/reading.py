"""Bytes of the guest: exactly so many, text up to its end, numbers in formats that Python does not have.

Source: System V ABI, Intel386 Architecture Processor Supplement, "Data Representation"; Intel SDM Vol. 1, "Double
Extended-Precision Floating-Point Format" for `long double`.
"""

from __future__ import annotations

import struct
from typing import Protocol

from hillemu.emu.errors import UserMistake
from hillemu.emu.i386.address import PAGE_MASK, PAGE_SIZE
from hillemu.inspection.structs.types import CType

MOST_TEXT_BYTES = 4096
ADDRESS_MASK = 0xFFFFFFFF
_LONG_DOUBLE_BIAS = 16383


class Unreadable(UserMistake):
    """The value, or a part of it, is not in memory; the message shows the walk."""


class Source(Protocol):
    """Where values come from."""

    def read(self, at: int, count: int) -> bytes:
        """Up to `count` bytes, shorter at the first hole."""

    def why_unreadable(self, at: int) -> str:
        """What is wrong with that address: the walk to it, drawn."""

    def place_name(self, at: int) -> str:
        """``main+4``, or nothing."""

    def completed(self, kind: CType) -> CType:
        """The type itself, or its definition if it was only declared and one is known by now."""


def read_bytes(source: Source, at: int, size: int, what: str) -> bytes:
    """Exactly `size` bytes at `at`; raises `Unreadable`, which names `what`."""
    data = source.read(at, size)
    if len(data) < size:
        hole = at + len(data) & ADDRESS_MASK
        behind = f", {len(data)} bytes behind its start" if data else ""
        raise Unreadable(
            f"{what} at 0x{at:08X} ({size} bytes) cannot be read at 0x{hole:08X}{behind}:\n"
            f"{source.why_unreadable(hole)}"
        )
    return data


def c_string(source: Source, at: int, most: int = MOST_TEXT_BYTES) -> str:
    """Text in memory up to the first zero byte; raises `Unreadable` if a hole comes first."""
    found = bytearray()
    while len(found) < most:
        # To the end of a page at most: the text may be the last thing in front of a hole.
        part = min(most - len(found), PAGE_SIZE - (at + len(found) & PAGE_MASK))
        data = read_bytes(source, at + len(found) & ADDRESS_MASK, part, "text")
        end = data.find(b"\0")
        found += data if end < 0 else data[:end]
        if end >= 0:
            break
    return found.decode("utf-8", "backslashreplace")


def float_of(data: bytes) -> float:
    """A `float` (4 bytes), `double` (8) or `long double` (10 and padding)."""
    if len(data) in (4, 8):
        value: float = struct.unpack("<f" if len(data) == 4 else "<d", data)[0]
        return value
    mantissa = int.from_bytes(data[:8], "little")
    word = int.from_bytes(data[8:10], "little")
    sign, exponent = -1.0 if word >> 15 else 1.0, word & 0x7FFF
    if exponent == 0x7FFF:
        return sign * float("inf") if not mantissa << 1 & (1 << 64) - 1 else float("nan")
    import math

    try:
        return sign * math.ldexp(mantissa, exponent - _LONG_DOUBLE_BIAS - 63)
    except OverflowError:
        return sign * float("inf")
