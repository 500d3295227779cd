"""Specifications: what is read from them, and the line in which a mistake is told."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hillemu.emu.errors import ImageError
from hillemu.grading.spec import Spec, load_spec
from hillemu.grading.spec_reading import SpecMistake

HEAD = 'title = "T"\n[boot]\nmem = "16M"\n\n[[check]]\nname = "first"\npoints = 5\nserial = "a"\n\n[[check]]\n'
"""Ten lines, so what follows begins in line 11."""


def loaded(folder: Path, text: str) -> Spec:
    path = folder / "lab.toml"
    path.write_text(text)
    return load_spec(str(path), "build/kernel.elf")


MISTAKES = {
    'name = "x"\npoints = 1\nserial = "a"\nat = "f"': "14: check 'x': at: nothing that it claims is looked at there",
    'name = "x"\npoints = 1\nvalues = "a->b < \\"c\\""': "13: check 'x': values: 'a->b < \"c\"': 'c' can only be",
    'name = "x"\npoints = 1\nvalues = "a[b] == 1"': "13: check 'x': values: 'a[b] == 1': 'b' is no index",
    'name = "x"\npoints = 1\nserail = "a"': "13: check 'x': unknown key 'serail'; did you mean 'serial'?",
    'name = "x"\npoints = "1"\nserial = "a"': "12: check 'x': points is '1'; it must be a number from 0 up",
    'name = "x"\npoints = -1\nserial = "a"': "12: check 'x': points is -1; it must be a number from 0 up",
    'name = "x"\npoints = true\nserial = "a"': "12: check 'x': points is True; it must be a number from 0 up",
    'name = "x"\npoints = 1\nserial = 5': "13: check 'x': serial is 5; it must be a text in quotes, or a list",
    'name = "x"\npoints = 1\nserial = [5]': "13: check 'x': serial is 5; it must be a text in quotes",
    'name = "x"\npoints = 1\nserial = "("': "13: check 'x': serial: '(' is not a regular expression",
    'name = "x"\npoints = 1': "10: check 'x': it claims nothing",
    'name = "x"\nserial = "a"': "10: check 'x': it needs points",
    'name = "x"\nponts = 1\nserial = "a"': "12: check 'x': unknown key 'ponts'; did you mean 'points'?",
    'nmae = "x"\npoints = 1\nserial = "a"': "11: a check: unknown key 'nmae'; did you mean 'name'",
    "points = 1": "10: a check: it needs a name",
    'name = "first"\npoints = 1\nserial = "a"': "11: there are two checks with the name 'first'",
    'name = "x"\npoints = 1\nserial = "a"\nrequires = "frist"': "14: check 'x': requires: there is no check 'frist'",
    'name = "x"\npoints = 1\nserial = "a"\nrequires = "x"': "14: check 'x': requires: there is no check 'x' before",
    'name = "x"\npoints = 1\nserial = "a"\nboot = "b"': "14: check 'x': boot: there is no [boots.b]",
    'name = "x"\npoints = 1\nserial = "a"\nmem = "lots"': "14: check 'x': mem: 'lots' is not a size",
    'name = "x"\npoints = 1\nserial = "a"\ncpu = "mac"': "14: check 'x': cpu: there is no 'mac'; did you mean 'max'?",
    'name = "x"\npoints = 1\nmaps = [\n"0 -> 0 rw",\n"0 -> 0 wr"]': "13: check 'x': maps: '0 -> 0 wr': 'wr' is no",
    'name = "x"\npoints = 1\nmaps = "0 -> 0 rw ro"': "13: check 'x': maps: '0 -> 0 rw ro' contradicts itself",
    'name = "x"\npoints = 1\nmaps = "0 ->"': "13: check 'x': maps: '0 ->': there is no physical address",
    'name = "x"\npoints = 1\nmaps = "a b -> 0"': "13: check 'x': maps: 'a b ' is no address",
    'name = "x"\npoints = 1\nvalues = "ticks"': "13: check 'x': values: 'ticks' compares nothing",
    'name = "x"\npoints = 1\nlint = "wx"': "13: check 'x': lint: 'wx' is no rule of lint",
    'name = "x"\npoints = 1\nlint = false': "13: check 'x': lint: false claims nothing",
    'name = "x"\npoints = 1\nstop = "halted"': "13: check 'x': stop: there is no 'halted'; did you mean 'halt'?",
    'name = "x"\npoints = 1\nwithin = "soon"': "13: check 'x': within is 'soon'; it must be a number of instructions",
    'name = "x"\npoints = 1\nserial = "a"\ntimeout = 0': "14: check 'x': timeout is 0; it must be a number of virtual",
    'name = "x"\npoints = 1\nserial = "a"\nkeys = "{nokey}"': "14: check 'x': keys: ",
    'name = "x"\npoints = 1\nserial = "a"\nreply = "b"': "14: check 'x': reply: there is neither send nor keys",
    'name = "x"\npoints = 1\nwithin = 9\nat = "f"\nsend = "b"': "14: check 'x': at: a check that sends input",
    'name = "x"\npoints = 1\nserial = "a"\ndevices = ["fwcfg"]': "14: check 'x': devices: there is no 'fwcfg'; did",
    'name = "x"\npoints = 1\nserial = "a"\n[other]': "14: unknown key 'other'",
    'name = "x"\npoints = 1\nserial = "a"\n[boots.b]\nmemory = 1': "15: boot 'b': unknown key 'memory'",
    'name = "x"\npoints = 1\nserial = "a': "13: ",
    'name = "x"\nname = "y"': "12: ",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_told_with_its_line_and_what_to_do(text: str, tmp_path: Path) -> None:
    with pytest.raises(SpecMistake) as told:
        loaded(tmp_path, HEAD + text)
    assert str(told.value).startswith(f"{tmp_path}/lab.toml:{MISTAKES[text]}")
    assert "\n" not in str(told.value)


def test_wrong_c_is_told_with_the_line_of_the_key(tmp_path: Path) -> None:
    with pytest.raises(SpecMistake, match=r"lab.toml:2: structs: .*line 1"):
        loaded(tmp_path, 'title = "T"\nstructs = "struct {"\n')


def test_an_empty_file_and_one_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    with pytest.raises(SpecMistake, match="there is no \\[\\[check\\]\\]"):
        loaded(tmp_path, "")
    with pytest.raises(ImageError, match="cannot read it: No such file"):
        load_spec(str(tmp_path / "absent.toml"))
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ImageError, match="is not text in UTF-8"):
        load_spec(str(tmp_path / "binary.toml"))


def test_checks_take_their_boot_from_the_common_one_then_the_named_one_then_themselves(tmp_path: Path) -> None:
    spec = loaded(
        tmp_path,
        '[boot]\nmem = "16M"\nappend = "a"\ntimeout = "5s"\n[boots.b]\nappend = "b"\nbudget = "3K"\n'
        '[[check]]\nname = "1"\npoints = 1\nserial = "x"\n'
        '[[check]]\nname = "2"\npoints = 1\nserial = "x"\nboot = "b"\n'
        '[[check]]\nname = "3"\npoints = 1\nserial = "x"\nboot = "b"\nappend = "c"\nbudget = 9\n',
    )
    boots = [check.boot for check in spec.checks]
    assert [(boot.mem, boot.append, boot.timeout_s) for boot in boots] == [
        ("16M", "a", 5.0), ("16M", "b", 5.0), ("16M", "c", 5.0),
    ]  # fmt: skip
    assert [boot.budget for boot in boots] == [500_000_000, 3000, 9]


def test_files_are_beside_the_specification_or_beside_the_kernel(tmp_path: Path) -> None:
    text = '[boot]\nmodules = ["a.bin:x y:z", "{kernel}/b.bin"]\n[[check]]\nname = "1"\npoints = 1\nserial = "x"\n'
    modules = loaded(tmp_path, text).checks[0].boot.modules
    assert modules == ((f"{tmp_path}/a.bin", "x y:z"), ("build/b.bin", ""))


def test_the_specification_in_the_documentation_is_one(root: Path, tmp_path: Path) -> None:
    text = (root / "docs" / "grading.md").read_text().split("```toml\n")[1].split("```")[0]
    checks = loaded(tmp_path, text).checks
    assert [check.name for check in checks] == ["paging is on", "echo works"]
    assert [len(claim.texts) for claim in checks[0].claims] == [2, 2, 1, 2]


def test_every_key_of_a_check_is_in_the_documentation(root: Path, tmp_path: Path) -> None:
    document = (root / "docs" / "grading.md").read_text()
    with pytest.raises(SpecMistake) as told:
        loaded(tmp_path, HEAD + 'name = "x"\npoints = 1\nserial = "a"\nqqqqqq = 1')
    keys = str(told.value).partition("; there are ")[2].split(", ")
    assert len(keys) > 25
    assert [key for key in keys if f"`{key}`" not in document and f"`{key} = " not in document] == []


VALUES = [
    "1",
    "-1",
    "true",
    '"x"',
    "[]",
    "{}",
    "[1]",
    "[[]]",
    "1.5",
    "nan",
    "1979-05-27",
    '"("',
    '"0..0 -> 0"',
    "9" * 30,
]
HEADERS = ["[check]", "[[boot]]", "[boots]", "[[boots]]", "[boots.x]", "check = 1", "boots = {x = 1}", "a.b = 1", "["]


@given(st.data())
def test_no_change_of_a_line_leads_to_more_than_one_line_of_complaint(root: Path, data: st.DataObject) -> None:
    lines = (root / "examples" / "paging_lab.toml").read_text().split("\n")
    for _ in range(data.draw(st.integers(1, 3))):
        number = data.draw(st.integers(0, len(lines) - 1))
        key, equals, _ = lines[number].partition(" = ")
        lines[number] = (
            key + equals + data.draw(st.sampled_from(VALUES)) if equals else data.draw(st.sampled_from(HEADERS))
        )
    with tempfile.TemporaryDirectory() as folder:
        told = ""
        try:
            assert loaded(Path(folder), "\n".join(lines)).checks
        except SpecMistake as mistake:
            told = str(mistake)
    assert not told or re.fullmatch(r"[^\n]+/lab.toml:\d+: [^\n]+", told)
