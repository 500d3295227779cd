"""The examples of docs/structures.md print what they say."""

from __future__ import annotations

import doctest
from pathlib import Path


def test_the_examples_of_the_chapter_on_structures_are_true(root: Path) -> None:
    results = doctest.testfile(
        str(root / "docs" / "structures.md"), module_relative=False, optionflags=doctest.REPORT_NDIFF
    )
    assert results.attempted > 12
    assert results.failed == 0, "see the captured output"
