"""Reading a processor's clock table, and refusing one that does not say exactly one thing about every instruction.

A row names a mnemonic, the kinds of its operands (empty: none, ``any``: every form of the mnemonic), the modes, cases
and operand sizes it is about (``any``, or several joined by ``|``), the clocks, the Pentium's pairing class, the source
and a note.  docs/timing.md explains the columns for people, `cases` lists the cases, `expressions` how clocks are
written.

>>> table = read_table(clocks_file("i486"))
>>> str(table.figures(Form("ADD", "r,m"), Mode.REAL, 32)[0].text)
'2'
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from typing import NamedTuple

from hillemu.emu.errors import OptionError
from hillemu.emu.timing.cases import EVENTS, TASK_SWITCHES, Mode, cases_of
from hillemu.emu.timing.expressions import Clocks, parse
from hillemu.emu.timing.opcodes import Form, forms

COLUMNS = ("mnemonic", "form", "mode", "case", "size", "clocks", "pairing", "source", "note")
PAIRINGS = ("", "NP", "UV", "PU", "PV", "FX")
"""Not paired, either pipe, U only, V only, with FXCH; nothing where a processor has one pipe."""
UNVERIFIED = "UNVERIFIED"
"""Marks in `source` or `note` a figure that no source at hand confirms."""

_MODES = {"real": Mode.REAL, "protected": Mode.PROTECTED, "v86": Mode.V86}
ANY = "any"


class Figure(NamedTuple):
    """One row's answer: its clocks (None: absent), as printed, with where they come from."""

    clocks: Clocks | None
    text: str
    pairing: str
    source: str
    note: str
    line: int

    @property
    def is_verified(self) -> bool:
        return UNVERIFIED not in self.source and UNVERIFIED not in self.note


class Key(NamedTuple):
    """What a table answers once."""

    form: Form
    mode: Mode
    case: str
    size: int

    def __str__(self) -> str:
        words = [self.form, f"in {self.mode.name.lower()} mode"]
        words += [f"with {self.size}-bit operands"] if self.size else []
        words += [f"({self.case})"] if self.case else []
        return " ".join(map(str, words))


class Table:
    """A complete clock table: a figure for every form, mode, case and size."""

    def __init__(self, name: str, figures: dict[Key, Figure]) -> None:
        self.name = name
        self._figures = figures

    def figures(self, form: Form, mode: Mode, size: int) -> tuple[Figure, ...]:
        """The figures of a form, in the order of `cases_of`; `KeyError` for a form or size that there is not."""
        return tuple(self._figures[Key(form, mode, case, size)] for case in cases_of(form, mode))

    def __iter__(self) -> Iterator[tuple[Key, Figure]]:
        return iter(self._figures.items())

    def __len__(self) -> int:
        return len(self._figures)


def clocks_file(processor: str) -> Traversable:
    """The clock table that comes with hillemu."""
    return resources.files("hillemu.emu.timing.data") / f"clocks_{processor}.csv"


def read_rows(file: Traversable, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line numbers and rows of a CSV file with exactly these columns; `OptionError` names the file and the line."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError("--timing", f"cannot read the table {file}: {error}") from None
    # By lines, so that the number told is the one that an editor shows; no field has a line break.
    for number, line in enumerate(text.splitlines(), 1):
        try:
            values = next(csv.reader([line], strict=True), [])
        except csv.Error as error:
            raise _fault(file, number, f"not CSV ({error})") from None
        if number == 1:
            if tuple(values) != columns:
                raise _fault(file, 1, f"the columns must be {','.join(columns)}")
        elif len(values) != len(columns):
            raise _fault(file, number, f"{len(values)} fields where {len(columns)} are needed")
        else:
            yield number, dict(zip(columns, values, strict=True))


def read_table(file: Traversable) -> Table:
    """Read and check a clock table.

    Raises `OptionError` for the first fault: a row that cannot be read, one that is about nothing, two rows about the
    same, or something that no row is about.
    """
    expected = all_forms()
    by_mnemonic: dict[str, list[Form]] = {}
    for form in expected:
        by_mnemonic.setdefault(form.mnemonic, []).append(form)
    found: dict[Key, Figure] = {}
    for line, row in read_rows(file, COLUMNS):
        figure = _figure(file, line, row)
        keys = list(_keys(file, line, row, by_mnemonic, expected))
        if not keys:
            raise _fault(file, line, f"{row['mnemonic']} {row['form']} is nothing in {row['mode']} mode")
        for key in keys:
            if (other := found.get(key)) is not None:
                raise _fault(file, line, f"{key} has an entry already, in line {other.line}")
            found[key] = figure
    for form, sizes in expected.items():
        for mode in Mode:
            for case in cases_of(form, mode):
                for size in sizes:
                    if (key := Key(form, mode, case, size)) not in found:
                        raise OptionError("--timing", f"{file}: there is no entry for {key}")
    return Table(file.name, found)


def all_forms() -> dict[Form, frozenset[int]]:
    """Every form that a table is about, with its operand sizes (0: none)."""
    return {**forms(), **dict.fromkeys((*EVENTS, *TASK_SWITCHES), frozenset((0,)))}


def _figure(file: Traversable, line: int, row: dict[str, str]) -> Figure:
    if not row["source"]:
        raise _fault(file, line, "a row needs a source")
    if row["pairing"] not in PAIRINGS:
        raise _fault(file, line, f"{row['pairing']!r} is no pairing class; there are {', '.join(PAIRINGS[1:])}")
    try:
        clocks = None if row["clocks"] == "absent" else parse(row["clocks"])
    except ValueError as error:
        raise _fault(file, line, str(error)) from None
    return Figure(clocks, row["clocks"], row["pairing"], row["source"], row["note"], line)


def _keys(
    file: Traversable,
    line: int,
    row: dict[str, str],
    by_mnemonic: dict[str, list[Form]],
    expected: dict[Form, frozenset[int]],
) -> Iterator[Key]:
    """Everything that a row is about; a fault if one of its words is about nothing."""
    named = by_mnemonic.get(row["mnemonic"])
    if named is None:
        raise _fault(file, line, f"there is no instruction {row['mnemonic']!r}")
    chosen = [form for form in named if row["form"] in (ANY, form.operands)]
    if not chosen:
        forms_there = ", ".join(repr(form.operands) for form in named)
        raise _fault(file, line, f"{row['mnemonic']} has no form {row['form']!r}; it has {forms_there}")
    modes = list(Mode) if row["mode"] == ANY else [_MODES.get(word) for word in row["mode"].split("|")]
    cases = row["case"].split("|") if row["case"] else []
    sizes = row["size"].split("|") if row["size"] != ANY else []
    used: set[str] = set()
    for form in chosen:
        for mode in modes:
            if mode is None:
                raise _fault(file, line, f"{row['mode']!r} is no mode; there are real, protected, v86 and any")
            for case in cases_of(form, mode):
                for size in expected[form]:
                    if (not cases or case in cases) and (not sizes or str(size) in sizes):
                        used |= {case, str(size)}
                        yield Key(form, mode, case, size)
    if unused := [word for word in (*cases, *sizes) if word not in used]:
        raise _fault(file, line, f"{row['mnemonic']} {row['form']} has no {' or '.join(map(repr, unused))} there")


def _fault(file: Traversable, line: int, fault: str) -> OptionError:
    return OptionError("--timing", f"{file}:{line}: {fault}")
