"""docs/profiles.md shows layouts, structures, functions and examples as they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hillemu.cli import main
from hillemu.kernel.mm.structure import Structure
from hillemu.kernel.profiles.bitmap.block_index import HEADER
from hillemu.kernel.profiles.bitmap.calls import FUNCTIONS
from hillemu.kernel.profiles.bitmap.checks import CHECKS
from hillemu.kernel.profiles.bitmap.handles import HANDLE
from hillemu.kernel.profiles.bitmap.page_bitmap import MANAGER
from hillemu.kernel.profiles.bitmap.residents import STATISTICS
from hillemu.kernel.profiles.registry import MODULES, profile_named


@pytest.fixture(scope="module")
def text(root: Path) -> str:
    return (root / "docs" / "profiles.md").read_text(encoding="utf-8")


def test_every_profile_has_a_row(text: str) -> None:
    assert re.findall(r"^\| `(\w+)`(?: \(default\))? \|", text.partition("## ")[0], re.MULTILINE) == list(MODULES)


def test_bitmap_s_layouts_are_drawn_as_hillemu_profiles_draws_them(text: str) -> None:
    bitmap = profile_named("bitmap")
    assert bitmap.physical_layout in text
    assert bitmap.virtual_layout in text


@pytest.mark.parametrize("structure", [MANAGER, HEADER, HANDLE, STATISTICS], ids=lambda one: str(one.name))
def test_the_structures_are_in_the_document(text: str, structure: Structure) -> None:
    assert structure.declaration() in text


def test_every_function_that_ring_0_may_call_has_its_row(text: str) -> None:
    named = {
        name for row in re.findall(r"^\| (`\w+\(.*?) \|", text, re.MULTILINE) for name in re.findall(r"`(\w+)\(", row)
    }
    assert named == set(FUNCTIONS[3:])


def test_the_words_and_checks_are_the_profile_s(text: str) -> None:
    section = text.partition("## Profile `bitmap`")[2].partition("\n## ")[0]
    words = re.findall(r"^\| `(\w+)=", section, re.MULTILINE)
    assert words == [word.partition("=")[0] for word in profile_named("bitmap").words]
    checks = re.findall(r"^\| `(\w+)` \|", section.partition("### Checks")[2], re.MULTILINE)
    assert checks == list(CHECKS) == list(profile_named("bitmap").checks)


def test_the_table_of_policies_is_what_the_command_prints(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"^\$ hillemu (kernel-trace .*?)\n(.*?)```", text, re.MULTILINE | re.DOTALL)
    assert main(block[0].split()) == 0
    assert capsys.readouterr().out == block[1]


def test_the_example_from_python_runs(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(from hillemu.machine.*?)```", text, re.DOTALL)
    exec(compile(example, "profiles.md", "exec"), {})
    assert re.fullmatch(r"\d+ 1 \[\]\n", capsys.readouterr().out)


def test_every_test_that_the_document_names_is_there(text: str, root: Path) -> None:
    named = re.findall(r"`(\w+/[\w/]*test_\w+\.py)(?:::(\w+))?`", text.partition("## What holds, and which tests")[2])
    assert len(named) > 15
    for file, name in named:
        source = (root / "tests" / file).read_text(encoding="utf-8")
        assert not name or re.search(rf"^(?:def|class) {name}\b", source, re.MULTILINE), f"{file}::{name}"
