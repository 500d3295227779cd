"""Virtual time: events in order, cancelled, nested, and never drifting."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hillemu.emu.clock import NEVER, Clock


@given(st.lists(st.integers(0, 50)), st.lists(st.integers(1, 20), min_size=5))
def test_events_run_in_order_of_time_then_of_scheduling(times: list[int], steps: list[int]) -> None:
    clock, rung = Clock(), []
    for number, at in enumerate(times):
        clock.schedule(at, lambda at=at, number=number: rung.append((at, number)))  # type: ignore[misc]
    for step in steps:
        clock.advance(step)
    end = sum(steps)
    assert rung == sorted((at, number) for number, at in enumerate(times) if at <= end)


def test_now_inside_an_event_is_the_tick_it_was_due_at() -> None:
    clock, seen = Clock(), []
    clock.schedule(5, lambda: seen.append(clock.now))
    clock.advance(100)
    assert (seen, clock.now) == ([5], 100)


def test_a_periodic_event_does_not_drift() -> None:
    clock, seen = Clock(), []

    def ring() -> None:
        seen.append(clock.now)
        clock.schedule(clock.now + 7, ring)

    clock.schedule(7, ring)
    for _ in range(10):
        clock.advance(10)
    assert seen == list(range(7, 101, 7))


def test_a_cancelled_event_never_runs_and_cancelling_twice_is_harmless() -> None:
    clock, seen = Clock(), []
    event = clock.schedule(3, lambda: seen.append(1))
    event.cancel()
    event.cancel()
    clock.advance(10)
    assert (seen, clock.next_deadline, event.pending) == ([], NEVER, False)


def test_a_time_in_the_past_means_as_soon_as_possible() -> None:
    clock, seen = Clock(), []
    clock.advance(10)
    clock.schedule(3, lambda: seen.append(clock.now))
    clock.advance(1)
    assert len(seen) == 1
    assert clock.now == 11


@given(st.integers(0, 10**12), st.sampled_from([1_000_000, 1_193_182, 100_000_000, 3_000_000_000]))
def test_ticks_from_ns_last_at_least_that_long_and_not_a_tick_longer(delay_ns: int, frequency_hz: int) -> None:
    ticks = Clock(frequency_hz).ticks_from_ns(delay_ns)
    assert ticks * 10**9 >= delay_ns * frequency_hz
    assert (ticks - 1) * 10**9 < delay_ns * frequency_hz


class Source:
    """Takes a processor's place."""

    at = 0
    deadline = NEVER

    def ticks(self) -> int:
        return self.at

    def set_deadline(self, at: int) -> None:
        self.deadline = at


def test_a_source_hears_of_the_earliest_deadline_only() -> None:
    clock, source = Clock(), Source()
    clock.schedule(50, lambda: None)
    clock.attach(source)
    assert source.deadline == 50
    clock.schedule(80, lambda: None)
    assert source.deadline == 50
    clock.schedule(20, lambda: None)
    assert source.deadline == 20
    source.at = 60
    assert clock.run_due(60) == 80
