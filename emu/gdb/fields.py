"""The fields of a packet: hexadecimal numbers, hexadecimal bytes, ``address,length``.

>>> hex(number(b"c0100000"))
'0xc0100000'
>>> span(b"1000,20")
(4096, 32)
"""

from __future__ import annotations

import re

_DIGITS = re.compile(rb"[0-9a-fA-F]{1,16}")
ADDRESS_MASK = 0xFFFFFFFF
"""Addresses are 32 bits wide; GDB sign-extends some to 64."""


class Malformed(Exception):
    """A packet that makes no sense; the client is answered with an error."""


def number(text: bytes) -> int:
    """An unsigned hexadecimal number of at most 64 bits."""
    if not _DIGITS.fullmatch(text):
        raise Malformed(f"{text[:40]!r} is not a hexadecimal number")
    return int(text, 16)


def address(text: bytes) -> int:
    """A 32-bit address."""
    return number(text) & ADDRESS_MASK


def span(text: bytes) -> tuple[int, int]:
    """``address,length``."""
    at, comma, count = text.partition(b",")
    if not comma:
        raise Malformed(f"{text[:40]!r} is not address,length")
    return address(at), number(count)


def unhex(text: bytes) -> bytes:
    """Bytes, each as two hexadecimal digits."""
    if len(text) % 2 or not re.fullmatch(rb"[0-9a-fA-F]*", text):
        raise Malformed(f"{text[:40]!r} is not pairs of hexadecimal digits")
    return bytes.fromhex(text.decode("ascii"))


def enhex(data: bytes) -> bytes:
    """The reverse of `unhex`."""
    return data.hex().encode("ascii")
