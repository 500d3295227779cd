"""The local APIC's timer against a counter that really counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hillemu.emu.clock import NEVER, Clock
from hillemu.emu.devices.apic.lapic_registers import DIVISORS
from hillemu.emu.devices.apic.lapic_timer import BUS_FREQUENCY_HZ, LapicTimer


class Bench:
    """A timer that is listened to, on a clock of one tick per bus cycle unless told otherwise."""

    def __init__(self, frequency_hz: int = BUS_FREQUENCY_HZ) -> None:
        self.clock = Clock(frequency_hz)
        self.expiries: list[int] = []
        self.timer = LapicTimer(self.clock, lambda: self.expiries.append(self.clock.now))
        self.timer.set_divisor(1)
        self.timer.listen(True)


def test_the_manuals_divisors() -> None:
    assert DIVISORS == {0b0000: 2, 0b0001: 4, 0b0010: 8, 0b0011: 16, 0b1000: 32, 0b1001: 64, 0b1010: 128, 0b1011: 1}


@given(count=st.integers(1, 40), divisor=st.sampled_from([1, 2, 4, 8, 128]), periodic=st.booleans(), probe=st.data())
def test_it_counts_like_a_counter(count: int, divisor: int, periodic: bool, probe: st.DataObject) -> None:
    bench = Bench()
    bench.timer.set_divisor(divisor)
    bench.timer.set_periodic(periodic)
    bench.timer.start(count)
    value, expected = count, []
    steps = probe.draw(st.integers(0, 300))
    for cycle in range(1, steps + 1):
        if cycle % divisor == 0 and value:
            value -= 1
            if not value:
                expected.append(cycle)
                value = count if periodic else 0
    bench.clock.advance(steps)
    assert bench.timer.count() == value
    assert bench.expiries == expected


def test_periods_do_not_drift_on_a_coarse_clock() -> None:
    bench = Bench(frequency_hz=100_000_000)
    bench.timer.set_periodic(True)
    bench.timer.start(333)
    bench.clock.advance(33_300)
    assert len(bench.expiries) == 1000
    assert bench.expiries == [-(-333 * n // 10) for n in range(1, 1001)]


def test_expiries_within_one_tick_are_one() -> None:
    bench = Bench(frequency_hz=100_000_000)
    bench.timer.set_periodic(True)
    bench.timer.start(1)
    bench.clock.advance(5)
    assert bench.expiries == [1, 2, 3, 4, 5]


def test_nobody_listening_costs_no_event_and_the_count_goes_on() -> None:
    bench = Bench()
    bench.timer.set_periodic(True)
    bench.timer.listen(False)
    bench.timer.start(10)
    assert bench.clock.next_deadline == NEVER
    bench.clock.advance(25)
    assert bench.timer.count() == 5
    bench.timer.listen(True)
    bench.clock.advance(10)
    assert bench.expiries == [30]


def test_an_expiry_that_is_due_is_done_when_the_timer_is_touched() -> None:
    clock = Clock(BUS_FREQUENCY_HZ)
    expiries: list[int] = []
    timer = LapicTimer(clock, lambda: expiries.append(clock.now))

    class Late:
        """A processor that has run past the deadline."""

        def ticks(self) -> int:
            return self.now

        def set_deadline(self, at: int) -> None:
            pass

        now = 0

    late = Late()
    clock.attach(late)
    timer.set_divisor(1)
    timer.listen(True)
    timer.start(10)
    late.now = 15
    assert timer.count() == 0
    assert expiries == [], "reading the count is a look"
    timer.start(10)
    assert expiries == [15]
    clock.run_due(15)
    late.now = 30
    clock.run_due(30)
    assert expiries == [15, 25]


def test_changing_the_mode_keeps_the_count_and_never_starts_it() -> None:
    bench = Bench()
    bench.timer.start(100)
    bench.clock.advance(60)
    bench.timer.set_periodic(True)
    assert bench.timer.count() == 40
    bench.clock.advance(50)
    assert bench.timer.count() == 90
    bench.timer.set_periodic(False)
    bench.clock.advance(200)
    assert (bench.timer.count(), bench.timer.initial) == (0, 100)
    bench.timer.set_periodic(True)
    bench.clock.advance(200)
    assert bench.timer.count() == 0
    assert bench.expiries == [100, 200]


def test_changing_the_divisor_keeps_the_count() -> None:
    bench = Bench()
    bench.timer.start(100)
    bench.clock.advance(40)
    bench.timer.set_divisor(4)
    assert bench.timer.count() == 60
    bench.clock.advance(300)
    assert bench.expiries == [40 + 240]


@pytest.mark.parametrize("stop", [lambda timer: timer.start(0), lambda timer: timer.reset()])
def test_it_can_be_stopped(stop: object) -> None:
    bench = Bench()
    bench.timer.set_periodic(True)
    bench.timer.start(10)
    assert callable(stop)
    stop(bench.timer)
    bench.clock.advance(100)
    assert bench.expiries == []
    assert bench.timer.count() == 0
    assert bench.clock.next_deadline == NEVER
