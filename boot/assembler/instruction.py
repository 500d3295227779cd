"""An instruction as it is written, and as bytes with holes for addresses."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from hillemu.boot.assembler.expression import Expression, ExpressionError
from hillemu.boot.assembler.operands import SEGMENTS, Operand, parse_operand
from hillemu.boot.assembler.source import split_arguments

_REPEATS = {"rep": 0xF3, "repe": 0xF3, "repz": 0xF3, "repne": 0xF2, "repnz": 0xF2, "lock": 0xF0}
SEGMENT_BYTES = {"es": 0x26, "cs": 0x2E, "ss": 0x36, "ds": 0x3E, "fs": 0x64, "gs": 0x65}
_SIZE_PREFIXES = frozenset(("data16", "data32", "addr16", "addr32"))
_MNEMONIC = re.compile(r"[A-Za-z][A-Za-z0-9]*", re.ASCII)
_OPERAND_SIZE, _ADDRESS_SIZE = 0x66, 0x67


class Hole(NamedTuple):
    """Bytes of an encoding that take the value of `value` once all labels have their address."""

    offset: int
    size: int
    value: Expression


class Encoding(NamedTuple):
    """Machine code, and the holes in it."""

    code: bytes
    holes: tuple[Hole, ...] = ()

    def prefixed(self, prefixes: Prefixes) -> Encoding:
        """The same instruction with exactly these prefixes besides the ones that belong to its opcode."""
        return self.behind(prefixes.encode())

    def behind(self, front: bytes) -> Encoding:
        """The same with the bytes `front` before it."""
        moved = tuple(Hole(hole.offset + len(front), hole.size, hole.value) for hole in self.holes)
        return Encoding(front + self.code, moved)


@dataclass(slots=True)
class Prefixes:
    """Legacy prefixes.  Written out in the order of GNU as: segment, address size, operand size, repeat or lock."""

    segment: int = 0
    address_size: bool = False
    operand_size: bool = False
    repeat: int = 0

    def encode(self) -> bytes:
        present = (
            self.segment,
            self.address_size * _ADDRESS_SIZE,
            self.operand_size * _OPERAND_SIZE,
            self.repeat,
        )
        return bytes(byte for byte in present if byte)

    @classmethod
    def split(cls, code: bytes) -> tuple[Prefixes, bytes]:
        """Take the prefixes off the front of `code`."""
        found = cls()
        at = 0
        while at < len(code):
            byte = code[at]
            if byte in SEGMENT_BYTES.values():
                found.segment = byte
            elif byte == _ADDRESS_SIZE:
                found.address_size = True
            elif byte == _OPERAND_SIZE:
                found.operand_size = True
            elif byte in _REPEATS.values():
                found.repeat = byte
            else:
                break
            at += 1
        return found, code[at:]

    def merge(self, other: Prefixes) -> Prefixes:
        """Both together; `ExpressionError` when the same kind is asked for twice."""
        for name in ("segment", "address_size", "operand_size", "repeat"):
            if getattr(self, name) and getattr(other, name):
                raise ExpressionError("the prefix is redundant")
        return Prefixes(
            self.segment or other.segment,
            self.address_size or other.address_size,
            self.operand_size or other.operand_size,
            self.repeat or other.repeat,
        )


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction as written, for a code segment of `bits` bits."""

    bits: int
    prefixes: Prefixes
    mnemonic: str
    operands: tuple[Operand, ...]

    def operand_size_prefix(self, size_bytes: int) -> bool:
        """Whether operands of `size_bytes` (2 or 4) need the operand-size prefix here."""
        return size_bytes * 8 != self.bits


def parse_instruction(
    text: str, bits: int, bind: Callable[[Expression], Expression], is_label: Callable[[Expression], bool]
) -> Instruction:
    """Read prefixes, mnemonic and operands; `ExpressionError` if that is impossible."""
    prefixes = Prefixes()
    rest = text
    while True:
        word, _, tail = rest.partition(" ") if " " in rest else (rest, "", "")
        lower = word.lower()
        if lower in _REPEATS:
            extra = Prefixes(repeat=_REPEATS[lower])
        elif lower in SEGMENTS:
            extra = Prefixes(segment=SEGMENT_BYTES[lower])
        elif lower in _SIZE_PREFIXES:
            if lower.endswith(str(bits)):
                raise ExpressionError(f"the prefix `{lower}` is redundant in {bits}-bit code")
            extra = Prefixes(address_size=lower.startswith("addr"), operand_size=lower.startswith("data"))
        else:
            break
        if not tail.strip():
            raise ExpressionError(f"the prefix `{lower}` needs an instruction on the same line")
        prefixes = prefixes.merge(extra)
        rest = tail.strip()
    match = _MNEMONIC.match(rest)
    if match is None or rest[match.end() : match.end() + 1].strip():
        raise ExpressionError("invalid mnemonic")
    mnemonic = match[0].lower()
    written = rest[match.end() :].strip()
    if written[:6].lower() == "short " and mnemonic.startswith("j"):
        mnemonic, written = f"{mnemonic} short", written[6:]
    operands = tuple(parse_operand(part, bind, is_label) for part in split_arguments(written))
    return Instruction(bits, prefixes, mnemonic, operands)
