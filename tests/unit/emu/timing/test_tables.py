"""The tables that come with hillemu are complete, and a table that is not is refused with its file and line."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from hillemu.emu.errors import OptionError
from hillemu.emu.timing.cases import Mode, cases_of
from hillemu.emu.timing.geometry import data_file
from hillemu.emu.timing.model import PROCESSORS
from hillemu.emu.timing.opcodes import Form, forms
from hillemu.emu.timing.tables import Key, all_forms, clocks_file, read_table

KNOWN_SOURCES = (
    *("PRM386-86", "PRM486-90", "neetan-386", "HelpPC2.10", "MAME", "86Box-", "Agner Fog", "AP-500", "P5 DevMan"),
    *("MASM-table", "Abrash GPBB", "IA Optimization Manual", "Intel386 DX HRM", "Embedded Intel486 HRM", "27302101"),
    *("80386 data sheet", "scribd", "pc486", "Alpert & Avnon", "Intel SDM", "UNVERIFIED"),
)


@pytest.fixture
def rows(tmp_path: Path) -> Callable[[Callable[[list[str]], list[str]]], Path]:
    """Writes the i486's table with its lines changed by a function; the file."""

    def write(change: Callable[[list[str]], list[str]]) -> Path:
        file = tmp_path / "clocks_i486.csv"
        lines = clocks_file("i486").read_text(encoding="utf-8").splitlines()
        file.write_text("\n".join(change(lines)) + "\n", encoding="utf-8")
        return file

    return write


def line_of(lines: list[str], start: str) -> int:
    """The place of the one line that begins with `start`."""
    (place,) = [place for place, line in enumerate(lines) if line.startswith(start)]
    return place


@pytest.mark.parametrize("processor", PROCESSORS)
def test_every_form_has_a_figure_for_every_mode_case_and_size(processor: str) -> None:
    # Counted here from the map itself, apart from the reader's own check.
    wanted = {
        Key(form, mode, case, size)
        for form, sizes in all_forms().items()
        for mode in Mode
        for case in cases_of(form, mode)
        for size in sizes
    }
    found = [key for key, _ in read_table(clocks_file(processor))]

    assert len(found) == len(set(found))
    assert set(found) == wanted
    assert {key.form for key in found} > set(forms())


@pytest.mark.parametrize("processor", PROCESSORS)
@pytest.mark.parametrize("name", ["clocks", "penalties", "geometry"])
def test_every_row_names_a_source_that_the_document_lists(processor: str, name: str, root: Path) -> None:
    document = (root / "docs/timing.md").read_text(encoding="utf-8")
    with data_file(f"{name}_{processor}.csv").open(encoding="utf-8") as file:
        sources = {source.strip() for row in csv.DictReader(file) for source in row["source"].split(";")}
    for source in sources:
        known = [key for key in KNOWN_SOURCES if source.startswith(key)]
        assert known, source
        assert any(key in document for key in known), f"docs/timing.md does not list {source}"


def test_every_decision_is_written_down_and_visible_in_a_row(root: Path) -> None:
    document = (root / "docs/timing.md").read_text(encoding="utf-8")
    decided = set(re.findall(r"^\| (D\d+) \|", document, re.MULTILINE))
    noted = {
        number
        for processor in PROCESSORS
        for name in ("clocks", "penalties", "geometry")
        for number in re.findall(r"\bD\d+\b", data_file(f"{name}_{processor}.csv").read_text(encoding="utf-8"))
    }
    assert len(decided) > 30
    assert noted == decided


def test_the_document_counts_the_unverified_figures_rightly(root: Path) -> None:
    counts = [sum(not one.is_verified for _, one in read_table(clocks_file(processor))) for processor in PROCESSORS]
    document = " ".join((root / "docs/timing.md").read_text(encoding="utf-8").split())
    assert f"`UNVERIFIED` is {counts[0]} (i386), {counts[1]} (i486) and {counts[2]} (Pentium" in document
    assert f"{len(read_table(clocks_file('i386')))} figures for each processor" in document


@pytest.mark.parametrize("processor", ["i386", "i486"])
def test_only_the_pentium_pairs(processor: str) -> None:
    assert {figure.pairing for _, figure in read_table(clocks_file(processor))} == {""}


def test_every_instruction_that_the_pentium_has_has_a_pairing_class() -> None:
    for key, figure in read_table(clocks_file("pentium")):
        assert bool(figure.pairing) or figure.clocks is None, key


def test_figures_that_no_source_confirms_stay_marked() -> None:
    unverified = {
        processor: {key.form.mnemonic for key, figure in read_table(clocks_file(processor)) if not figure.is_verified}
        for processor in PROCESSORS
    }
    assert {"LOOP", "REP LODS"} <= unverified["i386"]
    assert {"INTERRUPT"} <= unverified["i486"]
    assert {"TASK SWITCH", "WBINVD", "INVLPG", "WRMSR", "BSF", "LOOP"} <= unverified["pentium"]
    assert not {"ADD", "MOV", "PUSH", "DIV"} & set.union(*unverified.values()) - {"MOV"}


def test_a_newer_processor_has_every_instruction_of_the_older_one() -> None:
    tables = [dict(read_table(clocks_file(processor))) for processor in PROCESSORS]
    for older, newer in itertools.pairwise(tables):
        gone = {key.form for key, figure in older.items() if figure.clocks is not None and newer[key].clocks is None}
        assert {form.mnemonic for form in gone} <= {"MOV"}
        assert all("TR" in form.operands for form in gone)


def test_a_missing_row_is_told_with_what_is_missing(rows: Callable[..., Path]) -> None:
    def without_one(lines: list[str]) -> list[str]:
        del lines[line_of(lines, 'ADD,"r,m"')]
        return lines

    with pytest.raises(OptionError, match=r"^--timing: .*clocks_i486.csv: there is no entry for ADD r,m in real mode"):
        read_table(rows(without_one))


def test_two_rows_about_the_same_are_told_with_both_lines(rows: Callable[..., Path]) -> None:
    def with_one_more(lines: list[str]) -> list[str]:
        return [*lines, 'ADD,"r,m",protected,,32,9,,HelpPC2.10,']

    file = rows(with_one_more)
    lines = file.read_text().splitlines()
    expected = rf"csv:{len(lines)}: ADD r,m in protected mode with 32-bit operands has an entry already, in line "
    with pytest.raises(OptionError, match=expected + str(line_of(lines, 'ADD,"r,m",any') + 1)):
        read_table(file)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("ADDD,,any,,any,1,,x,", "there is no instruction 'ADDD'"),
        ('ADD,"r,q",any,,any,1,,x,', "ADD has no form 'r,q'; it has 'acc,imm'"),
        ("NOP,,long,,any,1,,x,", "'long' is no mode"),
        ("NOP,,any,taken,any,1,,x,", "NOP  has no 'taken' there"),
        ("NOP,,any,,32,1,,x,", "NOP  has no '32' there"),
        ("TASK SWITCH,IRET,real,,any,1,,x,", "TASK SWITCH IRET is nothing in real mode"),
        ("NOP,,any,,any,quick,,x,", "'quick' is not a clock count"),
        ("NOP,,any,,any,,,x,", "'' is not a clock count"),
        ("NOP,,any,,any,1,XY,x,", "'XY' is no pairing class"),
        ("NOP,,any,,any,1,,,", "a row needs a source"),
        ("NOP,,any,,any,1", "6 fields where 9 are needed"),
        ("", "0 fields where 9 are needed"),
        ('"NOP,,any,,any,1,,x,', "not CSV"),
    ],
)
def test_a_row_that_makes_no_sense_is_told_with_its_line(row: str, fault: str, rows: Callable[..., Path]) -> None:
    def with_the_row(lines: list[str]) -> list[str]:
        return [lines[0], row, *lines[1:]]

    with pytest.raises(OptionError, match=rf"^--timing: [^:]*csv:2: {re.escape(fault)}") as told:
        read_table(rows(with_the_row))
    assert "\n" not in str(told.value)


def test_other_columns_are_refused(rows: Callable[..., Path]) -> None:
    with pytest.raises(OptionError, match=r"csv:1: the columns must be mnemonic,form,mode,case,size,clocks"):
        read_table(rows(lambda lines: ["mnemonic,clocks", *lines[1:]]))


def test_a_file_that_is_not_there_or_no_text_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cannot read the table"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(OptionError, match="cannot read the table"):
        read_table(tmp_path / "binary.csv")


def test_a_table_of_several_modes_and_sizes_in_a_row_is_read_for_each(rows: Callable[..., Path]) -> None:
    def split(lines: list[str]) -> list[str]:
        place = line_of(lines, 'ADD,"r,m"')
        lines[place : place + 1] = [
            'ADD,"r,m",real|v86,,8|16,5,,x,',
            'ADD,"r,m",real|v86,,32,6,,x,',
            'ADD,"r,m",protected,,any,7,,x,',
        ]
        return lines

    table = read_table(rows(split))
    form = Form("ADD", "r,m")
    assert [table.figures(form, Mode.V86, size)[0].text for size in (8, 16, 32)] == ["5", "5", "6"]
    assert table.figures(form, Mode.PROTECTED, 8)[0].text == "7"
