"""The views ``x/FMT ADDRESS`` and ``xp/FMT ADDRESS``: memory as GDB's command of that name prints it.

FMT is a count, a format and a size in any order of the letters, each with a default: ``1``, ``x``, ``w``::

    x hexadecimal   d signed   u unsigned   o octal   t binary   c character   a address   s string   i instruction
    b 1 byte        h 2        w 4          g 8

>>> Format.parse("8xb")
Format(units=8, letter='x', size_bytes=1)
>>> Format.parse("s")
Format(units=1, letter='s', size_bytes=1)

Instructions are in Intel's syntax, of the size (16 or 32 bits) of the code segment in use.  Not there: GDB's ``f``,
``z`` and ``m`` and negative counts; they are refused.

Source: GDB's manual, "Examining Memory", "Output Formats".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from hillemu.debugging.memory_access import read_physical
from hillemu.debugging.register_access import code_size
from hillemu.emu.errors import UserMistake
from hillemu.inspection.views.addresses import FOUR_GIB, Address
from hillemu.inspection.views.shown import Shown, Text

if TYPE_CHECKING:
    from hillemu.inspection.views.scene import Scene
    from hillemu.machine import Machine

SIZES = {"b": 1, "h": 2, "w": 4, "g": 8}
LETTERS = "xduotcsia"
MOST_UNITS = 65536
MOST_STRING_BYTES = 4096
_LONGEST_INSTRUCTION = 15
_BYTES_PER_LINE = {1: 8, 2: 16, 4: 16, 8: 16}
_ESCAPES = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 27: "\\033"}


class Format(NamedTuple):
    """How many units of what kind."""

    units: int = 1
    letter: str = "x"
    size_bytes: int = 4

    @classmethod
    def parse(cls, text: str) -> Format:
        """The format that `text`, the letters behind the slash, asks for; raises `UserMistake`."""
        match = re.fullmatch(r"([0-9]*)([a-z]*)", text, re.ASCII)
        if match is None:
            raise UserMistake(f"format {text!r}: a count and letters, as in 8xw")
        sizes = [letter for letter in match[2] if letter in SIZES]
        letters = [letter for letter in match[2] if letter in LETTERS]
        wrong = [letter for letter in match[2] if letter not in SIZES and letter not in LETTERS]
        if wrong:
            raise UserMistake(
                f"format {text!r}: there is no {wrong[0]!r}; formats are {' '.join(LETTERS)}, sizes {' '.join(SIZES)}"
            )
        if len(sizes) > 1 or len(letters) > 1:
            raise UserMistake(f"format {text!r}: one format ({' '.join(LETTERS)}) and one size ({' '.join(SIZES)})")
        count = int(match[1]) if match[1] and len(match[1]) < 10 else MOST_UNITS + 1 if match[1] else 1
        if not 0 < count <= MOST_UNITS:
            raise UserMistake(f"format {text!r}: the count is from 1 to {MOST_UNITS:,}")
        letter = letters[0] if letters else "x"
        default = {"c": "b", "s": "b", "i": "b", "a": "w"}.get(letter, "w")
        size = sizes[0] if sizes and letter not in "sia" else default
        return cls(count, letter, SIZES[size])


class Memory:
    """Memory from `address` on."""

    moments: tuple[str, ...] = ()
    is_physical = False

    def __init__(self, suffix: str, address: str) -> None:
        self.format = Format.parse(suffix)
        self.address = Address(address)

    def check(self, machine: Machine) -> None:
        self.address.check(machine, is_physical=self.is_physical)

    def show(self, scene: Scene) -> Shown:
        at = scene.physical(self.address) if self.is_physical else scene.virtual(self.address)
        units = list(self._units(scene, at))
        lines = list(_lines(units, self.format, self._name(scene)))
        hole = self._hole(scene, at, units)
        if hole is not None:
            lines.append(hole)
        return Shown(
            {
                "physical" if self.is_physical else "virtual": at,
                "format": self.format.letter,
                "unit_size": self.format.size_bytes,
                "units": [{"at": unit.at, "bytes": unit.code.hex(), "text": unit.text} for unit in units],
                "error": hole,
            },
            (Text("\n".join(lines)),),
        )

    def _name(self, scene: Scene) -> Any:
        return (lambda at: "") if self.is_physical else scene.named

    def _read(self, scene: Scene, at: int, count: int) -> bytes:
        if self.is_physical:
            return read_physical(scene.machine.memory, at, count)
        return scene.machine.read(at, min(count, FOUR_GIB - at)) if at < FOUR_GIB else b""

    def _units(self, scene: Scene, at: int) -> Iterator[Unit]:
        """As many units as can be read, up to the count."""
        how = self.format
        if how.letter == "i":
            yield from self._instructions(scene, at)
            return
        for _ in range(how.units):
            if how.letter == "s":
                code = self._string(scene, at)
            else:
                code = self._read(scene, at, how.size_bytes)
                if len(code) < how.size_bytes:
                    return
            if not code:
                return
            text = _string_text(code) if how.letter == "s" else _value_text(code, how, scene)
            yield Unit(at, code, text)
            at += len(code)

    def _string(self, scene: Scene, at: int) -> bytes:
        data = self._read(scene, at, MOST_STRING_BYTES)
        end = data.find(b"\0")
        return data if end < 0 else data[: end + 1]

    def _instructions(self, scene: Scene, at: int) -> Iterator[Unit]:
        from hillemu.report.disassembly import decode

        bits = code_size(scene.machine.cpu.processor)
        code = self._read(scene, at, self.format.units * _LONGEST_INSTRUCTION)
        found = decode(code, at, bits)
        for item in found[: self.format.units]:
            mnemonic, _, target = item.text.partition(" ")
            is_jump = mnemonic == "call" or mnemonic.startswith(("j", "loop"))
            name = scene.named(int(target, 16)) if is_jump and target.startswith("0x") else ""
            yield Unit(item.address, item.code, f"{item.text} {name}".rstrip())

    def _hole(self, scene: Scene, at: int, units: list[Unit]) -> str | None:
        """Why there are less units than were asked for."""
        if len(units) == self.format.units:
            return None
        end = units[-1].at + len(units[-1].code) if units else at
        while self._read(scene, end, 1):
            end += 1
        if self.is_physical:
            return f"cannot access physical 0x{end:x}: neither RAM nor ROM answers"
        if end >= FOUR_GIB:
            return "the address space ends here"
        outcome = scene.machine.paging.walk(end)
        where = "" if outcome.phys is None else ", where neither RAM nor ROM answers"
        return f"cannot access 0x{end:x}: {outcome.verdict}{where}"


class Virtual(Memory):
    """Through the page tables in use."""


class Physical(Memory):
    """Past the page tables."""

    is_physical = True


class Unit(NamedTuple):
    """One number, string or instruction: where, its bytes, and how it is printed."""

    at: int
    code: bytes
    text: str


def _lines(units: list[Unit], how: Format, name: Any) -> Iterator[str]:
    """The units as GDB arranges them."""
    per_line = 1 if how.letter in "si" else _BYTES_PER_LINE[how.size_bytes] // how.size_bytes
    for first in range(0, len(units), per_line):
        line = units[first : first + per_line]
        head = f"0x{line[0].at:x} {name(line[0].at)}".rstrip()
        yield f"{head}:\t" + "\t".join(unit.text for unit in line)


def _value_text(code: bytes, how: Format, scene: Scene) -> str:
    value = int.from_bytes(code, "little")
    bits = 8 * len(code)
    signed = value - (1 << bits) if value >> bits - 1 else value
    match how.letter:
        case "x":
            return f"0x{value:0{bits // 4}x}"
        case "d":
            return str(signed)
        case "u":
            return str(value)
        case "o":
            return f"0{value:o}" if value else "0"
        case "t":
            return f"{value:0{bits}b}"
        case "c":
            low = value & 0xFF
            return f"{low - 256 if low > 127 else low} '{_character(low, quote=39)}'"
        case _:
            return f"0x{value:x} {scene.named(value)}".rstrip()


def _string_text(code: bytes) -> str:
    body = code.removesuffix(b"\0")
    text = "".join(_character(byte, quote=34) for byte in body)
    return f'"{text}"' + ("" if code.endswith(b"\0") else "...")


def _character(byte: int, quote: int) -> str:
    """`byte` inside quotes, as C writes it."""
    if byte in _ESCAPES:
        return _ESCAPES[byte]
    if byte in (quote, 92):
        return "\\" + chr(byte)
    return chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}"
