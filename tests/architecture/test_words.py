"""Habits of the house that a linter does not know."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

LONGEST_FILE = 450
SOURCES = (".py", ".c", ".h", ".s", ".inc")
PLACES = ("front", "emu", "boot", "kernel", "images", "tests", "bench", "docs", "examples", ".ci")
SKIPPED_FOLDERS = {"__pycache__", "build"}

# Spelt in pieces, so that this file passes its own test.
MACHINE_PATH = re.compile(r"/(?:" + "|".join(("work", "farm", "root", "home", "Users")) + r")/")
UNFINISHED = re.compile(
    r"\b(?:" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX", "NotImplemented" + "Error")) + r")\b"
)


def texts_of_the_tree(root: Path) -> Iterator[tuple[Path, str]]:
    """Every text file that a reader of the repository meets, with its text."""
    files = [file for file in root.iterdir() if file.is_file() and not file.name.startswith(".git")]
    for place in PLACES:
        files += [file for file in (root / place).rglob("*") if file.is_file()]
    for file in sorted(files):
        if not SKIPPED_FOLDERS & set(file.parts) and b"\0" not in (data := file.read_bytes()):
            yield file, data.decode("utf-8")


def test_no_source_file_holds_more_than_one_idea_can_need(root: Path) -> None:
    long = {
        str(file.relative_to(root)): text.count("\n")
        for file, text in texts_of_the_tree(root)
        if file.suffix in SOURCES and text.count("\n") > LONGEST_FILE
    }
    assert not long, f"longer than {LONGEST_FILE} lines, so probably more than one idea: {long}"


def test_no_file_names_a_folder_of_somebodys_machine(root: Path) -> None:
    found = [
        f"{file.relative_to(root)}:{number}: {line.strip()}"
        for file, text in texts_of_the_tree(root)
        for number, line in enumerate(text.splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
    assert not found, "\n".join(found)


def test_no_file_is_left_unfinished(root: Path) -> None:
    found = [
        f"{file.relative_to(root)}:{number}: {line.strip()}"
        for file, text in texts_of_the_tree(root)
        if file.suffix in SOURCES
        for number, line in enumerate(text.splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert not found, "\n".join(found)


def test_every_module_says_what_it_is_for(module_name: str, modules: dict[str, Path]) -> None:
    source = modules[module_name].read_text(encoding="utf-8")
    assert not source.strip() or source.lstrip().startswith(('"""', 'r"""')), f"{module_name} has no docstring"


def test_every_public_file_is_shown_by_the_makefile_or_the_readme(root: Path) -> None:
    readme = (root / "README.md").read_text(encoding="utf-8")
    for name in ("make run", "make test", "docs/guide.md", "CHANGELOG.md"):
        assert name in readme


@pytest.mark.parametrize("target", ["help", "run", "test", "check", "bench", "images", "clean"])
def test_make_help_explains_every_promised_target(root: Path, target: str) -> None:
    shown = subprocess.run(["make", "-s", "help"], cwd=root, capture_output=True, text=True, check=True, timeout=30)
    assert re.search(rf"^  {target}  +\S", shown.stdout, re.MULTILINE), shown.stdout


def test_make_without_a_target_helps(root: Path) -> None:
    bare = subprocess.run(["make", "-s"], cwd=root, capture_output=True, text=True, check=True, timeout=30)
    asked = subprocess.run(["make", "-s", "help"], cwd=root, capture_output=True, text=True, check=True, timeout=30)
    assert bare.stdout == asked.stdout
