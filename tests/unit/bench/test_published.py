"""The comparison with published figures measures what it says: programs whose cycles are known."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def published(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(root / "bench"))
    import published

    yield published
    for name in ("published", "published_programs", "figures", "processes"):
        sys.modules.pop(name, None)


def test_nothing_takes_nothing_and_cld_takes_two_clocks(published: ModuleType, tmp_path: Path) -> None:
    for timing in ("i386-nomem", "i486-nomem", "pentium-nomem"):
        assert published.cycles_of("", "", timing, tmp_path) == 0
        assert published.cycles_of("", ".rept 300; cld; .endr", timing, tmp_path) == 600


def test_every_program_is_for_processors_that_there_are_and_has_sensible_figures(published: ModuleType) -> None:
    for program in published.PROGRAMS:
        for figure in program.figures:
            assert figure.processor in ("i386", "i486", "pentium")
            assert 0 < figure.low <= figure.high, program.title


def test_errors_are_told_with_their_sign(published: ModuleType) -> None:
    record = {"processor": "i486", "low": 8, "high": 8, "source": "a book", "without memory": 6.0, "with memory": None}
    text = published.cycles_table({"a loop": [record]})
    assert "6.0   -25 %" in text
    assert "open" in text
    assert "0 of 1 within 1 %, mean error 25 %, largest 25 %" in text
    assert published.error_of(9, 8, 10) == 0
