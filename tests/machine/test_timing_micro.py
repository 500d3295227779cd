"""The micro-benchmarks of tests/guest/timing take the cycles that were worked out by hand."""

from __future__ import annotations

import pytest
from timing_cases import FOLDER, PROCESSORS, Case, CaseFile, measured, read_cases

FILES = [read_cases(path) for path in sorted(FOLDER.glob("*.cases"))]


ANSWERS = [
    pytest.param(processor, file, case, id=f"{processor} {file.path.stem} {case.name}")
    for file in FILES
    for processor in PROCESSORS
    for case in file.cases
    if processor in case.clocks
]


@pytest.mark.parametrize(("processor", "file", "case"), ANSWERS)
def test_a_piece_of_code_takes_the_cycles_of_the_manual(
    processor: str, file: CaseFile, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HILLEMU_CORE", "native")
    found = measured(file.path, f"{processor}-nomem")[case.name]
    assert found == case.clocks[processor], f"{file.path.name}:{case.line}"


def test_every_name_is_there_once() -> None:
    for file in FILES:
        names = [case.name for case in file.cases]
        assert len(set(names)) == len(names), file.path.name


def test_a_line_that_is_no_arithmetic_is_told_with_its_place() -> None:
    from timing_cases import clocks_of

    assert clocks_of("x.cases:1", "7 + 2 * 3 = 13  because") == 13
    with pytest.raises(ValueError, match=r"x.cases:2: 7 \+ 2 is 9, not 10"):
        clocks_of("x.cases:2", "7 + 2 = 10  because")
    with pytest.raises(ValueError, match="two blanks part it from words"):
        clocks_of("x.cases:3", "7 because")
