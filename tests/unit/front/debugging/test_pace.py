"""How far apart the snapshots of a debugged run are: a hundredth of its time goes into them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from hillemu.debugging import history
from hillemu.debugging.history import History
from hillemu.debugging.pace import LEAST_S, MOST_S, Pace


class Guest:
    """Runs so many instructions a second, on a host whose snapshots take `cost_s`; the first one takes `first_s`."""

    def __init__(self, per_second: int, cost_s: float, first_s: float = 0.0) -> None:
        self.per_second, self.cost_s, self.first_s = per_second, cost_s, first_s
        self.seconds = self.in_snapshots = 0.0
        self.cpu, self.clock, self.deliveries = self, self, ()
        self.instructions = self.now = 0
        self.snapshot_bytes = 0

    def snapshot(self) -> object:
        took = self.cost_s if self.instructions else self.first_s
        self.seconds += took
        self.in_snapshots += took
        return object()

    def run(self, past: History, seconds: float) -> None:
        """As a debugged run does, looking every million instructions."""
        end = self.seconds + seconds
        while self.seconds < end:
            self.instructions += 1_000_000
            self.now = self.instructions
            self.seconds += 1_000_000 / self.per_second
            past.look()

    def past(self) -> History:
        machine: Any = self
        return History(machine, [], Pace(lambda: self.seconds))


@pytest.mark.parametrize("per_second", [10_000_000, 200_000_000, 1_000_000_000])
@pytest.mark.parametrize("cost_s", [0.000_2, 0.001, 0.003, 0.01])
def test_a_hundredth_of_the_time_goes_into_snapshots_and_less_where_they_are_cheap(
    per_second: int, cost_s: float
) -> None:
    guest = Guest(per_second, cost_s)
    past = guest.past()
    past.begin()
    guest.run(past, 10)
    kept = [one.moment.instructions / per_second for one in past.before(past.now)]
    assert guest.in_snapshots / guest.seconds < 0.0105
    assert max(late - early for early, late in pairwise(kept)) < max(LEAST_S, 100 * cost_s) + 0.11


def test_snapshots_that_take_long_are_a_second_apart() -> None:
    guest = Guest(100_000_000, 0.2)
    past = guest.past()
    past.begin()
    guest.run(past, 20)
    assert guest.in_snapshots / 0.2 == pytest.approx(20 / (MOST_S + 0.2), abs=1)


def test_what_the_first_snapshot_takes_does_not_put_off_the_second() -> None:
    guest = Guest(100_000_000, 0.001, first_s=0.5)
    past = guest.past()
    past.begin()
    guest.run(past, 0.05)
    assert len(past.before(past.now)) == 2


def test_a_guest_that_halts_for_hours_gets_no_snapshots_of_the_same_instruction() -> None:
    guest = Guest(100_000_000, 0.001)
    past = guest.past()
    past.begin()
    guest.instructions = history.INTERVAL
    past.look()
    for _ in range(1000):
        guest.now += 1_000_000
        guest.seconds += 1.0
        past.look()
    assert len(past.before(past.now)) == 2
