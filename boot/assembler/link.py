"""Gives every section and label its address, and writes out the bytes.

Sizes depend on addresses (a jump is short or long) and addresses on sizes, so passes run until nothing moves any
more.  Jumps only ever grow, which makes that certain for them; a source whose ``.org`` or ``.space`` chases its own
tail is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from hillemu.boot.assembler.expression import ExpressionError, Value, evaluate
from hillemu.boot.assembler.items import Item, Label, Lookup, Section
from hillemu.boot.assembler.layout import PAGE_SIZE, Layout
from hillemu.boot.assembler.program import Program
from hillemu.boot.assembler.source import AssemblyError, Place

_MAX_PASSES = 200


@dataclass(slots=True)
class Linked:
    """A program with all its addresses."""

    layout: Layout
    sections: list[Section]
    """In the order of memory; empty ones are left out."""
    lookup: Lookup
    """The final value of any symbol."""


def link(program: Program, layout: Layout) -> Linked:
    """Settle all addresses and fill in `Section.data`; raises `AssemblyError`."""
    sections = sorted(program.sections.values(), key=_rank)
    scope = _Scope(program)
    for _ in range(_MAX_PASSES):
        _place_sections(sections, layout)
        moved = [_measure(section, scope) for section in sections]
        if not any(moved):
            break
    else:
        raise AssemblyError(Place(_file_of(sections), 1), "the addresses never settle: a size depends on itself")
    for section in sections:
        _emit(section, scope)
    _check_room(sections)
    return Linked(layout, [section for section in sections if section.size], scope.lookup)


def _rank(section: Section) -> int:
    kind = "." + section.name.split(".")[1] if section.name.startswith(".") else section.name
    if kind == ".multiboot":
        return 0
    if kind in (".boot", ".init"):
        return 1 if section.holds_data else 2
    if not section.holds_data:
        return 6
    if "x" in section.flags:
        return 3
    return 5 if "w" in section.flags else 4


def _place_sections(sections: list[Section], layout: Layout) -> None:
    """Lay the sections one behind the other, with a new page where rights or the virtual offset change."""
    cursor = layout.base
    before: tuple[str, int] | None = None
    for section in sections:
        if not section.items:
            continue
        offset = layout.virtual_offset(section.name)
        group = ("".join(sorted(section.flags)), offset)
        alignment = section.alignment if layout.flat else max(section.alignment, 4)
        if before is not None and group != before and not layout.flat:
            alignment = max(alignment, PAGE_SIZE)
        cursor += -cursor % alignment if not layout.flat else -(cursor - layout.base) % alignment
        section.load_address = cursor
        section.address = cursor + offset
        cursor += section.size
        before = group


class _Scope:
    """Symbols' values during the passes."""

    def __init__(self, program: Program) -> None:
        self._program = program
        # Offsets in the section, not addresses: while sections move as a whole, distances inside stay right.
        self._offsets: dict[str, int] = {}
        self._open: set[str] = set()
        self.here = 0

    def lookup(self, name: str) -> Value:
        if name == ".":
            return Value(self.here, 1, True)
        if name in self._program.labels:
            # A label not reached in the first pass is taken to be near, so that jumps start short.
            if name not in self._offsets:
                return Value(self.here, 1, True)
            return Value(self._program.labels[name].address + self._offsets[name], 1, True)
        if name not in self._program.equates:
            raise self._program.undefined(name)
        if name in self._open:
            raise ExpressionError(f"`{name}` is defined by itself")
        self._open.add(name)
        try:
            return evaluate(self._program.equates[name], self.lookup)
        finally:
            self._open.discard(name)

    def set_label(self, name: str, offset: int) -> bool:
        """Note where a label is in its section; true if that is news."""
        moved = self._offsets.get(name) != offset
        self._offsets[name] = offset
        return moved


def _measure(section: Section, scope: _Scope) -> bool:
    at = 0
    moved = False
    for item in section.items:
        scope.here = section.address + at
        if isinstance(item, Label):
            moved |= scope.set_label(item.name, at)
            continue
        try:
            at += item.measure(at, scope.lookup)
        except ExpressionError as error:
            raise _fault(item, error) from None
    moved |= at != section.size
    section.size = at
    return moved


def _emit(section: Section, scope: _Scope) -> None:
    out = bytearray()
    for item in section.items:
        scope.here = section.address + len(out)
        try:
            out += item.emit(len(out), scope.lookup)
        except ExpressionError as error:
            raise _fault(item, error) from None
    section.data = bytes(out)


def _fault(item: Item, error: ExpressionError) -> AssemblyError:
    return AssemblyError(item.place, Program.blame(item.text, str(error)))


def _check_room(sections: list[Section]) -> None:
    for section in sections:
        if section.size and max(section.address, section.load_address) + section.size > 1 << 32:
            raise AssemblyError(section.items[0].place, f"section {section.name} reaches beyond 4 GiB")


def _file_of(sections: list[Section]) -> str:
    return next((item.place.file for section in sections for item in section.items), "")
