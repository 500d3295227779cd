"""An encoder for ACPI Machine Language: what a DSDT is made of, as functions that return bytes.

Terms nest as they do in ASL:

>>> dsdt = scope("\\\\", name("_S5", package(0, 0, 0, 0)))
>>> dsdt.hex(" ")
'10 0f 5c 00 08 5f 53 35 5f 12 06 04 00 00 00 00'

Where a term takes a value, an `int` is encoded as an integer and `bytes` are an encoded term.  Names are written as in
ASL (``\\_SB.PCI0``, ``PRQ0``); segments are padded with underscores.

Source: ACPI specification 1.0b, "ACPI Machine Language Specification"; resource descriptors: "Resource Data Types for
ACPI".
Not modelled: terms that no table of ours needs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

Term = int | bytes

ZERO, ONE = b"\x00", b"\x01"
ARG0, LOCAL0 = b"\x68", b"\x60"
SYSTEM_IO, PCI_CONFIG = 1, 2
BYTE_ACCESS, PRESERVE = 1, 0


def integer(value: int) -> bytes:
    """An integer in its shortest form."""
    if value in (0, 1):
        return ONE if value else ZERO
    for prefix, kind, limit in ((b"\x0a", "<B", 0x100), (b"\x0b", "<H", 0x10000), (b"\x0c", "<I", 1 << 32)):
        if value < limit:
            return prefix + struct.pack(kind, value)
    raise ValueError(f"{value:#x} does not fit into a dword")


def string(text: str) -> bytes:
    return b"\x0d" + text.encode("ascii") + b"\0"


def path(text: str) -> bytes:
    """A name as ASL writes it: `\\\\` is the root, `.` stands between segments."""
    root = b"\\" if text.startswith("\\") else b""
    segments = [segment.ljust(4, "_").encode("ascii") for segment in text.lstrip("\\").split(".") if segment]
    if any(len(segment) != 4 for segment in segments):
        raise ValueError(f"{text!r} has a segment of more than four characters")
    match len(segments):
        case 0:
            return root + b"\0"
        case 1:
            return root + segments[0]
        case 2:
            return root + b"\x2e" + b"".join(segments)
        case count:
            return root + b"\x2f" + bytes([count]) + b"".join(segments)


def eisa_id(text: str) -> bytes:
    """A compressed EISA identifier: three letters and four hexadecimal digits."""
    letters = [ord(letter) - 0x40 for letter in text[:3]]
    packed = letters[0] << 26 | letters[1] << 21 | letters[2] << 16 | int(text[3:], 16)
    return b"\x0c" + packed.to_bytes(4, "big")


def buffer(data: bytes) -> bytes:
    return b"\x11" + _sized(integer(len(data)) + data)


def package(*elements: Term) -> bytes:
    return b"\x12" + _sized(bytes([len(elements)]) + b"".join(map(_term, elements)))


# ---- named objects ----------------------------------------------------------------------------------------------


def name(text: str, value: Term) -> bytes:
    return b"\x08" + path(text) + _term(value)


def scope(text: str, *body: bytes) -> bytes:
    return b"\x10" + _sized(path(text) + b"".join(body))


def device(text: str, *body: bytes) -> bytes:
    return b"\x5b\x82" + _sized(path(text) + b"".join(body))


def processor(text: str, number: int, *body: bytes) -> bytes:
    """A processor without a P_BLK."""
    return b"\x5b\x83" + _sized(path(text) + struct.pack("<BIB", number, 0, 0) + b"".join(body))


def method(text: str, arguments: int, *body: bytes, serialized: bool = False) -> bytes:
    return b"\x14" + _sized(path(text) + bytes([arguments | serialized << 3]) + b"".join(body))


def operation_region(text: str, space: int, offset: int, size_bytes: int) -> bytes:
    return b"\x5b\x80" + path(text) + bytes([space]) + integer(offset) + integer(size_bytes)


def byte_field(region: str, *names: str) -> bytes:
    """Fields of 8 bits each, from the start of `region`, accessed by bytes."""
    entries = b"".join(path(each) + b"\x08" for each in names)
    return b"\x5b\x81" + _sized(path(region) + bytes([BYTE_ACCESS | PRESERVE << 5]) + entries)


def create_dword_field(source: bytes, byte_index: int, text: str) -> bytes:
    return b"\x8a" + source + integer(byte_index) + path(text)


# ---- statements and expressions ---------------------------------------------------------------------------------


def store(value: Term, target: bytes) -> bytes:
    return b"\x70" + _term(value) + target


def and_(one: Term, other: Term) -> bytes:
    """The value of ``one & other``."""
    return b"\x7b" + _term(one) + _term(other) + ZERO


def or_into(one: Term, other: Term, target: bytes) -> bytes:
    """``target = one | other``."""
    return b"\x7d" + _term(one) + _term(other) + target


def less(one: Term, other: Term) -> bytes:
    return b"\x95" + _term(one) + _term(other)


def if_(condition: bytes, *body: bytes) -> bytes:
    return b"\xa0" + _sized(condition + b"".join(body))


def call(text: str, *arguments: Term) -> bytes:
    return path(text) + b"".join(map(_term, arguments))


def return_(value: Term) -> bytes:
    return b"\xa4" + _term(value)


# ---- resources --------------------------------------------------------------------------------------------------


def resources(*descriptors: bytes) -> bytes:
    """A resource template: a buffer that ends with the end tag."""
    return buffer(b"".join(descriptors) + b"\x79\0")


def io(base: int, count: int) -> bytes:
    """`count` I/O ports at `base`, 16-bit decode."""
    return struct.pack("<BBHHBB", 0x47, 1, base, base, 1, count)


def irq(number: int) -> bytes:
    """An ISA interrupt: edge-triggered, not shared."""
    return struct.pack("<BH", 0x22, 1 << number)


def dma(channel: int) -> bytes:
    """An 8-bit ISA DMA channel."""
    return struct.pack("<BBB", 0x2A, 1 << channel, 0)


def fixed_memory(base: int, size_bytes: int) -> bytes:
    """Read-only memory at a fixed place."""
    return struct.pack("<BHBII", 0x86, 9, 0, base, size_bytes)


def interrupts(numbers: Iterable[int]) -> bytes:
    """One of these interrupts: level-triggered, active high, shared."""
    rows = tuple(numbers)
    return struct.pack(f"<BHBB{len(rows)}I", 0x89, 2 + 4 * len(rows), 0x09, len(rows), *rows)


def bus_numbers(first: int, last: int) -> bytes:
    """The buses behind a bridge."""
    return _word_space(2, 0, first, last)


def io_window(first: int, last: int) -> bytes:
    """I/O ports that a bridge passes on."""
    return _word_space(1, 3, first, last)


def memory_window(first: int, last: int, *, cacheable: bool = False) -> bytes:
    """Memory addresses that a bridge passes on, for reading and writing."""
    flags = 3 if cacheable else 1
    return struct.pack("<BHBBBIIIII", 0x87, 23, 0, _FIXED, flags, 0, first, last, 0, last - first + 1)


_FIXED = 0x0C
"""Minimum and maximum are fixed; produced, and decoded positively."""


def _word_space(kind: int, flags: int, first: int, last: int) -> bytes:
    return struct.pack("<BHBBBHHHHH", 0x88, 13, kind, _FIXED, flags, 0, first, last, 0, last - first + 1)


def _term(value: Term) -> bytes:
    return integer(value) if isinstance(value, int) else value


def _sized(body: bytes) -> bytes:
    """`body` behind its PkgLength, which counts itself."""
    if len(body) + 1 < 1 << 6:
        return bytes([len(body) + 1]) + body
    for more in (1, 2, 3):
        total = len(body) + 1 + more
        if total < 1 << 4 + 8 * more:
            return bytes([more << 6 | total & 0xF]) + (total >> 4).to_bytes(more, "little") + body
    raise ValueError(f"{len(body)} bytes are too many for one term")
