"""How often a run's past is kept: a hundredth of the processor's time goes into snapshots.

What a snapshot costs depends on the guest: a millisecond, and three microseconds for each page that it has written
since.  What one more snapshot saves is the time to run again from the one before, as long as the run took.  So both
are counted in time, and a guest that runs slowly can be taken back as quickly as a fast one.

When snapshots are taken changes neither the run nor what going back finds, only how soon.
"""

from __future__ import annotations

from collections.abc import Callable
from time import thread_time
from typing import TypeVar

Clock = Callable[[], float]
"""Seconds."""
_Taken = TypeVar("_Taken")

SHARE = 0.01
LEAST_S, MOST_S = 0.1, 1.0
"""Of running, between two snapshots: a way back of a tenth of a second nobody notices, a second is bearable."""


class Pace:
    """Says when the next snapshot is worth its cost.

    `clock` is the thread's processor time: what other programs and a standing machine take does not count.

    >>> now = 0.0
    >>> def take(seconds: float) -> None:
    ...     global now
    ...     now += seconds
    >>> pace = Pace(lambda: now)
    >>> pace.timed(lambda: take(0.002)); now
    0.002
    >>> now += 0.19; pace.is_due
    False
    >>> now += 0.02; pace.is_due
    True
    """

    def __init__(self, clock: Clock = thread_time) -> None:
        self._clock = clock
        self._due_s = 0.0

    @property
    def is_due(self) -> bool:
        return self._clock() >= self._due_s

    def timed(self, take: Callable[[], _Taken]) -> _Taken:
        """Return what `take` does; the longer it takes, the longer nothing is due."""
        started = self._clock()
        taken = take()
        now = self._clock()
        self._due_s = now + min(max((now - started) / SHARE, LEAST_S), MOST_S)
        return taken
