"""A model's tables as flat arrays of 16-bit numbers, the shape in which the native core reads them.

A *place* is an encoding: ``((map * 256 + opcode) * 8 + reg) * 2 + is_memory``, with map 1 for opcodes after 0F, `reg`
the ModR/M byte's field and `is_memory` whether its mod is not 3; encodings without a ModR/M byte are at all places of
their opcode.  Forms and figures are numbers, and number 0 means that there is none.

=================  =======================================  ====================================================
array              index                                    value
=================  =======================================  ====================================================
`forms`            place                                    form of the encoding
`shapes`           place                                    width | tail << 3 | has_modrm << 6 | mod_ignored << 7
`reads`            place                                    registers read, `registers.Access`
`writes`           place                                    registers written, `registers.Access`
`x87_registers`    (escape - D8h) * 64 + modrm - C0h        form of the x87 instruction without memory operand
`repeated`         form                                     its form with a repeat prefix, or the form itself
`groups`           (form * 3 + mode) * 4 + size             first figure; size 0 none, 1 byte, 2 word, 3 dword
`minima`           (form * 3 + mode) * 4 + size             clocks of the cheapest case and operands
`outcomes`         form * 3 + mode                          `cases.Outcome`: what chooses among its figures
`figures`          figure * `FIGURE_WORDS` + `FigureWord`    terms of `expressions.Clocks`
=================  =======================================  ====================================================

The figures of a group follow each other in the order of its outcome's cases.  An absent instruction has no group.
"""

from __future__ import annotations

from array import array
from enum import IntEnum
from typing import NamedTuple

from hillemu.emu.timing.cases import CASES, Mode, outcome_of
from hillemu.emu.timing.opcodes import Form, repeated_form, slots, x87_register_slots
from hillemu.emu.timing.registers import accesses
from hillemu.emu.timing.tables import PAIRINGS, Figure, Table, all_forms

PLACES = 2 * 256 * 8 * 2
_SIZES = {0: 0, 8: 1, 16: 2, 32: 3}


class FigureWord(IntEnum):
    """The numbers of a figure, by place."""

    BASE = 0
    PER_N = 1
    PER_COMPONENT = 2
    PER_TASK_SWITCH = 3
    PER_POSITION = 4
    FUNCTION = 5
    ARGUMENT_0 = 6
    ARGUMENT_1 = 7
    ARGUMENT_2 = 8
    PAIRING = 9
    PRESENT = 10
    SPARE = 11


FIGURE_WORDS = len(FigureWord)


class FlatTables(NamedTuple):
    """The arrays; `figures` is signed, the others are not.  `names` has the form of each number, None for 0."""

    names: tuple[Form | None, ...]
    forms: array[int]
    shapes: array[int]
    reads: array[int]
    writes: array[int]
    x87_registers: array[int]
    repeated: array[int]
    groups: array[int]
    minima: array[int]
    outcomes: array[int]
    figures: array[int]


def place_of(opcode: int, reg: int, is_memory: bool) -> int:
    """The place of an encoding; two-byte opcodes are 0F00h and up."""
    return (((opcode >= 0x0F00) * 256 + (opcode & 0xFF)) * 8 + reg) * 2 + is_memory


def flatten(table: Table) -> FlatTables:
    """The arrays of a clock table."""
    numbers = {form: number for number, form in enumerate(sorted(all_forms()), 1)}
    forms, shapes, reads, writes = (array("H", bytes(2 * PLACES)) for _ in range(4))
    for (opcode, reg, is_memory), slot in slots().items():
        place = place_of(opcode, reg, is_memory)
        forms[place] = numbers[slot.form]
        shapes[place] = slot.width | slot.tail << 3 | slot.has_modrm << 6 | slot.mod_ignored << 7
        reads[place], writes[place] = accesses(slot)
    x87_registers = array("H", bytes(2 * 8 * 64))
    for (escape, modrm), slot in x87_register_slots().items():
        x87_registers[(escape - 0xD8) * 64 + modrm - 0xC0] = numbers[slot.form]
    repeated = array("H", [0])
    for form, number in numbers.items():
        repeated.append(numbers[other] if (other := repeated_form(form)) is not None else number)
    groups, minima = (array("H", bytes(2 * 12 * len(repeated))) for _ in range(2))
    outcomes = array("H", bytes(2 * 3 * len(repeated)))
    figures = array("h", bytes(2 * FIGURE_WORDS))
    shared: dict[tuple[tuple[int, ...], ...], int] = {}
    for form, sizes in all_forms().items():
        for mode in Mode:
            outcome = outcome_of(form, mode)
            outcomes[numbers[form] * 3 + mode] = outcome
            for size in sizes:
                group = table.figures(form, mode, size)
                if not CASES[outcome] or all(figure.clocks is None for figure in group):
                    continue
                words = tuple(_words(figure) for figure in group)
                if words not in shared:
                    shared[words] = len(figures) // FIGURE_WORDS
                    for figure_words in words:
                        figures.extend(figure_words)
                at = (numbers[form] * 3 + mode) * 4 + _SIZES[size]
                groups[at] = shared[words]
                minima[at] = min(figure.clocks.minimum for figure in group if figure.clocks is not None)
    names = (None, *numbers)
    return FlatTables(names, forms, shapes, reads, writes, x87_registers, repeated, groups, minima, outcomes, figures)


def _words(figure: Figure) -> tuple[int, ...]:
    pairing = PAIRINGS.index(figure.pairing)
    if figure.clocks is None:
        return (0,) * FigureWord.PAIRING + (pairing, 0, 0)
    return (*figure.clocks[:6], *figure.clocks.arguments, pairing, 1, 0)
