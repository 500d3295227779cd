"""From a specification and a kernel to a score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hillemu.emu.errors import OptionError
from hillemu.grading.course_text import printable
from hillemu.grading.runs import Fact, Judged, run_boot
from hillemu.grading.spec import Boot, Check, Spec
from hillemu.similar_names import alike_or_all

SERIAL_CHARACTERS = 20_000
"""The end of what the kernel sent, kept in the JSON of a failed check."""


class Status(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    PARTIAL = "partial"
    FAILED = "failed"
    SKIPPED = "skipped"
    """A check that it requires has not passed."""


@dataclass(frozen=True)
class Result:
    """A check with what the kernel got for it."""

    check: Check
    status: Status
    score: float
    judged: Judged | None
    """`None` for a check that was skipped."""
    missing: str = ""
    """The required check that did not pass."""

    @property
    def failures(self) -> list[Fact]:
        """The facts that do not hold."""
        return [fact for fact in self.judged.facts if fact.why] if self.judged else []

    def as_dict(self, *, reveal: bool = False) -> dict[str, Any]:
        """For JSON.  The facts of a hidden check are left out, unless `reveal`."""
        check, judged = self.check, self.judged
        shown: dict[str, Any] = {
            "name": check.name,
            "group": check.group,
            "status": self.status.value,
            "score": self.score,
            "points": check.points,
        }
        if self.missing:
            shown["missing"] = self.missing
        if check.hint and self.status is not Status.PASSED:
            shown["hint"] = check.hint
        if judged is not None and (reveal or not check.hidden):
            shown["facts"] = [{"fact": text, "holds": not why, "why": why} for text, why in judged.facts]
            shown["stop"] = judged.stop.reason.value if judged.stop else None
            shown["detail"] = judged.stop.detail if judged.stop else ""
            shown["exit_code"] = judged.stop.exit_code if judged.stop else None
            shown["instructions"] = judged.instructions
            shown["virtual_ns"] = judged.virtual_ns
            if self.status is not Status.PASSED:
                lines = judged.serial[-SERIAL_CHARACTERS:].splitlines()
                shown["serial"] = [printable(line) for line in lines]
        return shown


@dataclass(frozen=True)
class Score:
    """What a kernel got."""

    title: str
    kernel: str
    results: tuple[Result, ...]

    @property
    def score(self) -> float:
        return _sum(result.score for result in self.results)

    @property
    def possible(self) -> float:
        return _sum(result.check.points for result in self.results)

    @property
    def is_full(self) -> bool:
        """Whether every check has passed."""
        return all(result.status is Status.PASSED for result in self.results)

    @property
    def groups(self) -> dict[str, tuple[float, float]]:
        """(score, possible) of each group that checks name, in order."""
        names = dict.fromkeys(result.check.group for result in self.results if result.check.group)
        members = {name: [one for one in self.results if one.check.group == name] for name in names}
        return {
            name: (_sum(one.score for one in members[name]), _sum(one.check.points for one in members[name]))
            for name in names
        }

    def as_dict(self, *, reveal: bool = False) -> dict[str, Any]:
        """For JSON."""
        return {
            "title": self.title,
            "kernel": self.kernel,
            "score": self.score,
            "possible": self.possible,
            "groups": {name: {"score": got, "possible": of} for name, (got, of) in self.groups.items()},
            "checks": [result.as_dict(reveal=reveal) for result in self.results],
        }


def grade(
    spec: Spec, kernel: str, *, only: Sequence[str] = (), tell: Callable[[Result], object] = lambda _: None
) -> Score:
    """Grade the image `kernel`.  `tell` hears of each result as soon as it is known.

    `only` are words; checks whose names contain none of them are left out, unless others require them.  Raises
    `OptionError` if nothing is left, and `ImageError` for files that cannot be read.
    """
    checks = _chosen(spec, only)
    judged: dict[str, Judged] = {}
    results: dict[str, Result] = {}
    for check in checks:
        missing = next((name for name in check.requires if results[name].status is not Status.PASSED), "")
        if missing:
            result = Result(check, Status.SKIPPED, 0, None, missing)
        else:
            if check.name not in judged:
                judged |= run_boot(kernel, check.boot, _sharing(checks, check.boot))
            result = _result(check, judged[check.name])
        results[check.name] = result
        tell(result)
    return Score(spec.title, kernel, tuple(results.values()))


def _sharing(checks: Sequence[Check], boot: Boot) -> list[Check]:
    return [check for check in checks if check.boot == boot]


def _result(check: Check, judged: Judged) -> Result:
    held = sum(not fact.why for fact in judged.facts)
    if held == len(judged.facts):
        return Result(check, Status.PASSED, check.points, judged)
    if check.partial and held:
        return Result(check, Status.PARTIAL, round(check.points * held / len(judged.facts), 2), judged)
    return Result(check, Status.FAILED, 0, judged)


def _chosen(spec: Spec, only: Sequence[str]) -> list[Check]:
    words = [word.lower() for word in only]
    for word in words:
        if not any(word in check.name.lower() for check in spec.checks):
            names = [check.name for check in spec.checks]
            raise OptionError("--only", f"no check's name contains {word!r}{alike_or_all(word, names)}")
    wanted: set[str] = set()
    for check in reversed(spec.checks):  # what is required stands before
        if not words or check.name in wanted or any(word in check.name.lower() for word in words):
            wanted |= {check.name, *check.requires}
    return [check for check in spec.checks if check.name in wanted]


def _sum(points: Any) -> float:
    """Exact to the hundredth, and without a fraction where there is none: 30, not 30.000000000000004."""
    total = round(sum(points), 2)
    return int(total) if total == int(total) else total
