"""The reference in plain Python gives recorded traces the cycles that were worked out by hand, case by case."""

from __future__ import annotations

from pathlib import Path

import pytest
from instruction_clocks import cycles
from instruction_recording import record
from instruction_trace import Step
from timing_cases import FOLDER, PROCESSORS, STOPWATCH, guest_of, read_cases

HLT, STAMP = b"\xf4", bytes((0xE6, STOPWATCH))


@pytest.mark.parametrize("processor", PROCESSORS)
@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.cases")), ids=lambda path: path.stem)
def test_the_reference_agrees_with_every_case(path: Path, processor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HILLEMU_CORE", "native")
    file = read_cases(path)
    trace = record(guest_of(file, f"{processor}-nomem")).entries
    assert isinstance(trace[-1], Step)
    assert trace[-1].code == HLT
    clocks = cycles(processor, trace, ports_wait=False)
    stamps = [place for place, entry in enumerate(trace) if isinstance(entry, Step) and entry.code == STAMP]
    spans = [sum(clocks[start + 1 : end + 1]) for start, end in zip(stamps[::2], stamps[1::2], strict=True)]
    found = {case.name: span - spans[0] for case, span in zip(file.cases, spans[1:], strict=True)}
    wanted = {case.name: case.clocks[processor] for case in file.cases if processor in case.clocks}
    assert {name: found[name] for name in wanted} == wanted
