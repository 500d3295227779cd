"""Turns statements into sections of items: symbols, directives and instructions."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hillemu.boot.assembler.encode import encode
from hillemu.boot.assembler.exact import NEAR, near_target
from hillemu.boot.assembler.expression import (
    Expression,
    ExpressionError,
    Number,
    Register,
    Symbol,
    Unary,
    Value,
    evaluate,
    parse,
    rename,
    symbols,
)
from hillemu.boot.assembler.instruction import Instruction, parse_instruction
from hillemu.boot.assembler.items import Align, Code, Constant, Data, Fill, Item, Jump, Label, Origin, Section
from hillemu.boot.assembler.layout import Layout, parse_layout
from hillemu.boot.assembler.operands import REGISTERS, Memory
from hillemu.boot.assembler.reader import Reader
from hillemu.boot.assembler.source import AssemblyError, Place, Statement, split_arguments, string_end, unescape

_WIDTHS = {".byte": 1, ".word": 2, ".short": 2, ".hword": 2, ".long": 4, ".int": 4, ".quad": 8}
_SECTION_FLAGS = {
    ".text": "ax",
    ".init": "ax",
    ".boot": "ax",
    ".rodata": "a",
    ".multiboot": "a",
    ".data": "aw",
    ".bss": "aw",
}
_LABEL = re.compile(r"\s*([A-Za-z_.$][\w.$]*|[0-9]+)\s*:", re.ASCII)
_ASSIGNMENT = re.compile(r"\s*([A-Za-z_.$][\w.$]*)\s*==?(?!=)(.*)", re.ASCII | re.DOTALL)
_NAME = re.compile(r"[A-Za-z_.$][\w.$]*", re.ASCII)
_KEPT_OUT = frozenset((".att_syntax", ".code64"))
_IGNORED = frozenset((".intel_syntax", ".file", ".ident", ".arch"))


@dataclass(slots=True)
class SymbolFacts:
    """What directives say about a symbol."""

    is_global: bool = False
    kind: str = ""
    """``function`` or ``object``; empty lets the section decide."""
    size: Expression | None = None


class Program:
    """A source that is read completely, before its layout."""

    def __init__(self, include_paths: Sequence[Path] = (), defines: Mapping[str, int] | None = None) -> None:
        self.sections: dict[str, Section] = {}
        self.labels: dict[str, Section] = {}
        self.equates: dict[str, Expression] = {name: Number(value) for name, value in (defines or {}).items()}
        self.facts: dict[str, SymbolFacts] = {}
        self.layout: Layout | None = None
        self._places: dict[str, Place] = {}
        self._numeric: dict[str, int] = {}
        self._anonymous = 0
        self._bits = 32
        self._section = self._enter(".text", Place("", 0))
        self._previous = self._section
        self._reader = Reader(include_paths, self._constant)
        self._reader.is_defined = lambda name: name in self.labels or name in self.equates
        self._directives: dict[str, Callable[[str, Place], None]] = {
            **dict.fromkeys(_WIDTHS, self._data),
            **dict.fromkeys((".text", ".data", ".bss", ".rodata", ".section"), self._enter_directive),
            ".previous": self._back,
            ".ascii": self._string,
            ".asciz": self._string,
            ".string": self._string,
            ".space": self._space,
            ".skip": self._space,
            ".zero": self._space,
            ".fill": self._fill,
            ".org": self._org,
            ".align": self._align,
            ".balign": self._align,
            ".p2align": self._align,
            ".equ": self._equate,
            ".set": self._equate,
            ".global": self._global,
            ".globl": self._global,
            ".type": self._type,
            ".size": self._size,
            ".incbin": self._incbin,
            ".layout": self._layout,
            ".error": self._error,
        }
        self._directive = ""

    def read(self, text: str, file: str) -> None:
        """Take in a whole source file; raises `AssemblyError`."""
        for statement in self._reader.read(text, file):
            try:
                self._statement(statement)
            except ExpressionError as error:
                raise AssemblyError(statement.place, self.blame(statement.text, str(error))) from None

    @staticmethod
    def blame(text: str, fault: str) -> str:
        return f"cannot assemble `{' '.join(text.split())}`: {fault}"

    # -------------------------------------------------------------------------------------------- statements

    def _statement(self, statement: Statement) -> None:
        text = statement.text
        while (match := _LABEL.match(text)) is not None:
            self._label(match[1], statement.place)
            text = text[match.end() :]
        text = text.strip()
        if not text:
            return
        if (match := _ASSIGNMENT.match(text)) is not None:
            self._assign(match[1], match[2], statement.place)
            return
        word, _, rest = text.replace("\t", " ", 1).partition(" ") if text[0] == "." else ("", "", "")
        if word:
            self._directive = word.lower()
            if self._directive in _IGNORED:
                return
            if self._directive in (".code16", ".code32"):
                self._bits = int(self._directive[5:])
                return
            if self._directive in _KEPT_OUT or self._directive not in self._directives:
                near = difflib.get_close_matches(self._directive, self._directives, 1)
                hint = f"; did you mean `{near[0]}`?" if near else ""
                raise AssemblyError(statement.place, f"no directive `{word}`{hint}")
            self._directives[self._directive](rest.strip(), statement.place)
            return
        self._instruction(text, statement.place)

    def _instruction(self, text: str, place: Place) -> None:
        instruction = parse_instruction(text, self._bits, self.bind, self._is_label)
        target = near_target(instruction)
        if target is None:
            bare = tuple(
                operand.displacement
                for operand in instruction.operands
                if isinstance(operand, Memory) and not operand.bracketed and not operand.segment
            )
            self._add(Code(place, text, encode(instruction), bare))
        else:
            self._add(self._jump(instruction, target, text, place))

    def _jump(self, instruction: Instruction, target: Expression, text: str, place: Place) -> Jump:
        prefixes = replace(instruction.prefixes)
        if instruction.mnemonic in ("jcxz", "jecxz"):
            wanted = (instruction.mnemonic == "jcxz") != (instruction.bits == 16)
            prefixes.address_size = prefixes.address_size or wanted
        if instruction.mnemonic.endswith(" short") and not NEAR[instruction.mnemonic[:-6]][0]:
            raise ExpressionError("there is no short form")
        width = 4 if (instruction.bits == 32) != prefixes.operand_size else 2
        return Jump(place, text, instruction.mnemonic, prefixes.encode(), width, target)

    def _add(self, item: Item) -> None:
        section = self._section
        if not section.holds_data and not isinstance(item, (Label, Fill, Align, Origin)):
            raise ExpressionError(f"section {section.name} holds no data, only room")
        section.items.append(item)

    # -------------------------------------------------------------------------------------------- symbols

    def _label(self, name: str, place: Place) -> None:
        if name.isdigit():
            count = self._numeric[name] = self._numeric.get(name, 0) + 1
            name = f"{name}#{count}"
        elif name.lower() in REGISTERS:
            raise AssemblyError(place, f"`{name}` is a register and cannot be a label")
        elif name in self.labels or name in self.equates:
            before = self._places.get(name)
            raise AssemblyError(place, f"`{name}` is defined twice{f', before at {before}' if before else ''}")
        self._places[name] = place
        self.labels[name] = self._section
        self._section.items.append(Label(place, name, name))

    def _assign(self, name: str, text: str, place: Place) -> None:
        if name == ".":
            self._org(text, place)
            return
        if name in self.labels:
            raise AssemblyError(place, f"`{name}` is defined twice, before at {self._places[name]}")
        if name.lower() in REGISTERS:
            raise AssemblyError(place, f"`{name}` is a register and cannot be a symbol")
        self._places[name] = place
        self.equates[name] = self._fixed(self.bind(parse(text)), place)

    def _fixed(self, expression: Expression, place: Place) -> Expression:
        """The expression with ``.`` meaning here, wherever it is used later."""
        if "." not in symbols(expression):
            return expression
        self._anonymous += 1
        name = f".here#{self._anonymous}"
        self._label(name, place)
        return rename(expression, lambda symbol: Symbol(name) if symbol == "." else Symbol(symbol))

    def bind(self, expression: Expression) -> Expression:
        """Replace what is known now: symbols by their value of this moment, ``1b`` and ``1f`` by their label."""
        return rename(expression, self._bound)

    def _bound(self, name: str) -> Expression:
        if name[0].isdigit():
            count = self._numeric.get(name[:-1], 0) + (name[-1] == "f")
            if count == 0:
                raise ExpressionError(f"no label `{name[:-1]}:` above")
            return Symbol(f"{name[:-1]}#{count}")
        return self.equates.get(name, Symbol(name))

    def _is_label(self, expression: Expression) -> bool:
        """Whether the value is an address, as far as can be told now: an unknown symbol is taken for a label."""
        return evaluate(expression, lambda name: Value(0, 1)).weight != 0 if not _has_registers(expression) else True

    def _constant(self, text: str, place: Place) -> int:
        """A value that the reader needs at once."""

        def unknown(name: str) -> Value:
            raise ExpressionError(f"`{name}` must be a constant defined above")

        try:
            return evaluate(self.bind(parse(text)), unknown).number
        except ExpressionError as error:
            raise AssemblyError(place, f"cannot work out `{text}`: {error}") from None

    # -------------------------------------------------------------------------------------------- directives

    def _enter(self, name: str, place: Place, flags: str | None = None, holds_data: bool | None = None) -> Section:
        known = self.sections.get(name)
        if known is not None:
            if flags is not None and set(flags) != set(known.flags):
                raise AssemblyError(place, f'section {name} has the flags "{known.flags}" already')
            return known
        kind = "." + name.split(".")[1] if name.startswith(".") else name
        if flags is None:
            flags = _SECTION_FLAGS.get(kind)
            if flags is None:
                raise AssemblyError(place, f'section {name} needs flags, for example `.section {name}, "aw"`')
        if set(flags) - set("awx") or "a" not in flags:
            raise AssemblyError(place, f'flags "{flags}" of section {name}: "a", with "w" and "x" as needed')
        section = Section(name, flags, kind != ".bss" if holds_data is None else holds_data)
        self.sections[name] = section
        return section

    def _enter_directive(self, rest: str, place: Place) -> None:
        parts = split_arguments(rest) if self._directive == ".section" else [self._directive]
        if not parts:
            raise ExpressionError("a section needs a name")
        flags = parts[1].strip('"') if len(parts) > 1 else None
        holds_data = parts[2] != "@nobits" if len(parts) > 2 else None
        self._previous = self._section
        self._section = self._enter(parts[0].strip('"'), place, flags, holds_data)

    def _back(self, rest: str, place: Place) -> None:
        self._section, self._previous = self._previous, self._section

    def _expressions(self, rest: str, place: Place, least: int, most: int) -> list[Expression]:
        parts = split_arguments(rest)
        if not least <= len(parts) <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            raise ExpressionError(f"{wanted} values are wanted, not {len(parts)}")
        return [self._fixed(self.bind(parse(part)), place) for part in parts]

    def _data(self, rest: str, place: Place) -> None:
        values = self._expressions(rest, place, 1, 1_000_000)
        self._add(Data(place, f"{self._directive} {rest}", _WIDTHS[self._directive], values))

    def _string(self, rest: str, place: Place) -> None:
        data = bytearray()
        for part in split_arguments(rest):
            if part[:1] != '"' or string_end(part, 0) != len(part):
                raise ExpressionError("a string in double quotes is missing")
            try:
                data += unescape(part[1:-1])
            except ValueError as error:
                raise ExpressionError(str(error)) from None
            data += b"" if self._directive == ".ascii" else b"\0"
        self._add(Constant(place, rest, bytes(data)))

    def _space(self, rest: str, place: Place) -> None:
        count, *fill = self._expressions(rest, place, 1, 2)
        self._add(Fill(place, f"{self._directive} {rest}", count, 1, self._room(fill)))

    def _fill(self, rest: str, place: Place) -> None:
        count, *others = self._expressions(rest, place, 1, 3)
        width = evaluate(others[0], self._not_yet).number if others else 1
        if not 1 <= width <= 8:
            raise ExpressionError("a unit has 1 to 8 bytes")
        self._add(Fill(place, f".fill {rest}", count, width, self._room(others[1:])))

    def _org(self, rest: str, place: Place) -> None:
        target, *fill = self._expressions(rest, place, 1, 2)
        self._add(Origin(place, f".org {rest}", target, self._byte(self._room(fill))))

    def _room(self, fill: list[Expression]) -> Expression:
        """What empty room is filled with; only zeros in a section without data."""
        value = fill[0] if fill else Number(0)
        if not self._section.holds_data and value != Number(0):
            raise ExpressionError(f"section {self._section.name} holds no data, only room")
        return value

    def _byte(self, value: Expression) -> int:
        return evaluate(value, self._not_yet).number & 0xFF

    @staticmethod
    def _not_yet(name: str) -> Value:
        raise ExpressionError(f"`{name}` must be a constant defined above")

    def _align(self, rest: str, place: Place) -> None:
        parts = split_arguments(rest)
        numbers = [evaluate(self.bind(parse(part)), self._not_yet).number if part else None for part in parts]
        if not 1 <= len(numbers) <= 3 or numbers[0] is None:
            raise ExpressionError("1 to 3 values are wanted")
        if self._directive == ".p2align" and not 0 <= numbers[0] <= 24:
            raise ExpressionError(f"the power of two {numbers[0]} is out of range")
        alignment = 1 << numbers[0] if self._directive == ".p2align" else numbers[0]
        if alignment < 1 or alignment & alignment - 1:
            raise ExpressionError(f"{alignment} is not a power of two")
        fill, most = [*numbers[1:], None, None][:2]
        # NOPs of one byte each: the longer ones are unknown to a 386.
        default = 0x90 if "x" in self._section.flags else 0
        if fill is not None:
            self._room([Number(fill)])
        self._section.alignment = max(self._section.alignment, alignment)
        item = Align(
            place, rest, alignment, (default if fill is None else fill) & 0xFF, alignment if most is None else most
        )
        self._add(item)

    def _equate(self, rest: str, place: Place) -> None:
        name, comma, text = rest.partition(",")
        if not comma or not _NAME.fullmatch(name.strip()):
            raise ExpressionError("write `.equ name, value`")
        self._assign(name.strip(), text, place)

    def _fact(self, name: str) -> SymbolFacts:
        if not _NAME.fullmatch(name):
            raise ExpressionError(f"`{name}` is not a symbol")
        return self.facts.setdefault(name, SymbolFacts())

    def _global(self, rest: str, place: Place) -> None:
        for name in split_arguments(rest):
            self._fact(name).is_global = True
            self._places.setdefault(name, place)

    def _type(self, rest: str, place: Place) -> None:
        name, *kind = split_arguments(rest)
        kinds = {"@function": "function", "%function": "function", "@object": "object", "%object": "object"}
        if len(kind) != 1 or kind[0] not in kinds:
            raise ExpressionError("write `.type name, @function` or `.type name, @object`")
        self._fact(name).kind = kinds[kind[0]]

    def _size(self, rest: str, place: Place) -> None:
        name, *size = split_arguments(rest)
        if len(size) != 1:
            raise ExpressionError("write `.size name, . - name`")
        self._fact(name).size = self._fixed(self.bind(parse(size[0])), place)

    def _incbin(self, rest: str, place: Place) -> None:
        name, *bounds = split_arguments(rest)
        path = self._reader.find_file(name, place)
        first, count = [*(evaluate(self.bind(parse(part)), self._not_yet).number for part in bounds), 0, -1][:2]
        if len(bounds) < 2:
            first, count = (first if bounds else 0), -1
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ExpressionError(f"cannot read {path}: {error.strerror}") from None
        if first < 0 or first > len(data) or count > len(data) - first:
            raise ExpressionError(f"{path} has only {len(data)} bytes")
        self._add(Constant(place, f".incbin {rest}", data[first : first + count] if count >= 0 else data[first:]))

    def _layout(self, rest: str, place: Place) -> None:
        self.layout = parse_layout(rest, lambda text: self._constant(text, place), self.layout or Layout())

    def _error(self, rest: str, place: Place) -> None:
        raise AssemblyError(place, rest.strip('"') or ".error")

    # -------------------------------------------------------------------------------------------- for the link

    def place_of(self, name: str) -> Place:
        """Where the symbol was first named."""
        return self._places.get(name, Place("", 0))

    def undefined(self, name: str) -> ExpressionError:
        """The complaint about a symbol that nothing defines."""
        if "#" in name:
            return ExpressionError(f"no label `{name.partition('#')[0]}:` below")
        near = difflib.get_close_matches(name, [*self.labels, *self.equates], 1)
        return ExpressionError(f"undefined symbol `{name}`" + (f"; did you mean `{near[0]}`?" if near else ""))


def _has_registers(expression: Expression) -> bool:
    if isinstance(expression, Register):
        return True
    if isinstance(expression, Unary):
        return _has_registers(expression.operand)
    left, right = getattr(expression, "left", None), getattr(expression, "right", None)
    return left is not None and right is not None and (_has_registers(left) or _has_registers(right))
