"""What the guest must have said, in which order."""

from __future__ import annotations

import itertools
import re

import pytest

from hillemu.emu.errors import OptionError
from hillemu.testing import prints
from hillemu.testing.sections import bounded, printable, text_lines

LETTERS = "abc"


def test_patterns_are_found_in_order_as_a_plain_search_finds_them() -> None:
    for text in map("".join, itertools.product(LETTERS, repeat=5)):
        for words in itertools.product(LETTERS, repeat=3):
            assert (text == prints(*words)) == bool(re.search(".*".join(words), text))


def test_anchors_match_at_lines_and_carriage_returns_are_the_guests() -> None:
    assert "one\ntwo\n" == prints("^two$")  # noqa: SIM300 - the matcher stands where people write it
    assert "one\ntwo\n" != prints("^one$", "^one$")  # noqa: SIM300


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["'ready' does not come", "the text is empty"]),
        ("x\n", ["'ready' does not come", "the end of the text:", "  | x"]),
        (
            "reedy\nx\n",
            ["'ready' does not come", "the nearest is line 1: 'reedy'", "the end of the text:", "  | reedy"],
        ),
        ("is ready\n", []),
    ],
)
def test_what_is_missing_is_told_with_what_looks_like_it(text: str, expected: list[str]) -> None:
    assert prints("ready").explain(text)[: len(expected)] == expected


def test_an_explanation_is_short_whatever_the_guest_said() -> None:
    lines = prints("a" * 10, "nothing").explain("a" * 100_000 + "\n" + "\x1b[2J\n" * 10_000)
    assert sum(map(len, lines)) < 640
    assert len(lines) < 8
    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize("patterns", [(), ("(",)])
def test_what_is_no_pattern_is_refused(patterns: tuple[str, ...]) -> None:
    with pytest.raises(OptionError, match=r"^prints: "):
        prints(*patterns)


def test_reports_are_bounded_at_the_end_that_matters_less() -> None:
    lines = [str(number) for number in range(1000)]
    assert bounded(lines)[0] == "... (900 lines before)"
    assert bounded(lines)[-1] == "999"
    assert bounded(lines, keep_end=False)[0] == "0"
    assert bounded(lines, keep_end=False)[-1] == "... (900 more lines)"
    assert bounded(lines[:100]) == lines[:100]
    assert len(printable("x" * 10**6)) < 600
    assert text_lines("a\r\nb\n\n \n") == ["a", "b"]
