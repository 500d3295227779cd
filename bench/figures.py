"""What the benchmark finds: figures with goals, and tables of them.

>>> goal = Goal("geometric mean", 1.25, limit=1.2)
>>> goal.met
False
>>> print(goal)
MISSED  geometric mean                                              1.25  (goal: at most 1.2)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import NamedTuple


class Goal(NamedTuple):
    """A figure and what it should be: at most `limit`, or at least, if `at_least` is true."""

    what: str
    figure: float
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.figure >= self.limit if self.at_least else self.figure <= self.limit

    def __str__(self) -> str:
        bound = "at least" if self.at_least else "at most"
        verdict = "met" if self.met else "MISSED"
        return f"{verdict:6}  {self.what:52}{_short(self.figure):>12}  (goal: {bound} {_short(self.limit)})"

    def record(self) -> dict[str, object]:
        """For JSON."""
        return {**self._asdict(), "met": self.met}


def interleaved(
    rounds: int, measures: Mapping[str, Callable[[], float]], tell: Callable[[str], None]
) -> dict[str, list[float]]:
    """Measure everything once a round, so that what slows the host for a while slows all alike.

    The order turns round from one round to the next.
    """
    found: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(rounds):
        names = list(measures)
        for name in names[:: -1 if number % 2 else 1]:
            tell(f"round {number + 1}/{rounds}: {name}")
            found[name].append(measures[name]())
    return found


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the rounds' ratios; below 1 we are faster."""
    return median(our / their for our, their in zip(ours, theirs, strict=True))


def geometric_mean(ratios: Iterable[float]) -> float:
    """The mean for ratios.

    >>> geometric_mean([0.5, 2.0])
    1.0
    """
    logarithms = [math.log(one) for one in ratios]
    return math.exp(sum(logarithms) / len(logarithms))


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns for people: the first to the left, the others to the right."""
    lines = [list(heads), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _short(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 1000 else f"{figure:.3g}"
