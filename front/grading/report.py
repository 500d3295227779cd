"""A score for people.  What a kernel said is shown with its control characters escaped: it cannot draw a score."""

from __future__ import annotations

from collections.abc import Iterator

from hillemu.grading.course_text import PALETTE, printable, shortened
from hillemu.grading.runs import told_stop
from hillemu.grading.scoring import Result, Score, Status

LAST_LINES = 8
"""Of what the kernel sent, shown with a failed check."""
_COLORS = {Status.PASSED: "green", Status.PARTIAL: "red", Status.FAILED: "red", Status.SKIPPED: "red"}


def result_lines(result: Result, *, reveal: bool = False, verbose: bool = False) -> Iterator[str]:
    """One check: a line with its points, and why it has not all of them; the end of the serial text if `verbose`."""
    check = result.check
    word = PALETTE.color(_COLORS[result.status], f"{result.status.value:7}")
    yield f"{word} {f'{result.score:g}/{check.points:g}':>9}  {printable(check.name)}"
    if result.missing:
        yield f"    {printable(result.missing)!r} must pass first"
    if reveal or not check.hidden:
        for fact in result.failures:
            yield f"    {printable(fact.text)}: {printable(fact.why)}"
        if result.judged and result.judged.stop and result.failures:
            yield f"    (it stopped: {printable(told_stop(result.judged.stop))})"
        if verbose and result.judged and result.failures:
            for line in result.judged.serial.splitlines()[-LAST_LINES:]:
                yield f"    | {shortened(printable(line))}"
    if check.hint and result.status is not Status.PASSED:
        yield from (f"    hint: {printable(line)}" for line in check.hint.strip().splitlines())


def score_lines(score: Score) -> Iterator[str]:
    """The groups' scores and the whole."""
    for name, (got, possible) in score.groups.items():
        yield f"{printable(name)}: {got:g}/{possible:g}"
    yield f"Score: {score.score:g}/{score.possible:g}"
