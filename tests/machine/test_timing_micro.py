"""The micro-benchmarks of tests/guest/timing take the cycles that were worked out by hand.

`open.txt` lists, as ``processor file case``, those that the native core does not get right yet.
"""

from __future__ import annotations

import pytest
from timing_cases import FOLDER, PROCESSORS, Case, CaseFile, measured, read_cases

FILES = [read_cases(path) for path in sorted(FOLDER.glob("*.cases"))]
OPEN = frozenset((FOLDER / "open.txt").read_text(encoding="utf-8").splitlines())


def _cases() -> list[object]:
    found = []
    for file in FILES:
        for processor in PROCESSORS:
            for case in file.cases:
                if processor in case.clocks:
                    name = f"{processor} {file.path.stem} {case.name}"
                    if name not in OPEN:
                        found.append(pytest.param(processor, file, case, id=name))
    return found


@pytest.mark.parametrize(("processor", "file", "case"), _cases())
def test_a_piece_of_code_takes_the_cycles_of_the_manual(
    processor: str, file: CaseFile, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HILLEMU_CORE", "native")
    found = measured(file.path, f"{processor}-nomem")[case.name]
    assert found == case.clocks[processor], f"{file.path.name}:{case.line}"


def test_names_of_cases_are_unique_and_open_ones_exist() -> None:
    names = [
        f"{processor} {file.path.stem} {case.name}"
        for file in FILES
        for case in file.cases
        for processor in case.clocks
    ]
    assert len(set(names)) == len(names)
    assert set(names) >= OPEN
    assert sum(len(file.cases) for file in FILES) >= 300
