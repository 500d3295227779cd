"""An alarm that is moved about."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hillemu.emu.clock import NEVER, Clock
from hillemu.emu.devices.clocks.alarm import Alarm


def test_an_alarm_rings_once() -> None:
    clock, rung = Clock(), list[int]()
    Alarm(clock, lambda: rung.append(clock.now)).set(7)
    clock.advance(100)
    assert rung == [7]


def test_putting_an_alarm_off_again_and_again_keeps_one_event() -> None:
    clock, rung = Clock(), list[int]()
    alarm = Alarm(clock, lambda: rung.append(clock.now))
    for at in range(1000, 2000):
        alarm.set(at)
    assert clock.next_deadline == 1000
    clock.advance(1500)
    assert rung == []
    assert clock.next_deadline == 1999
    clock.advance(1500)
    assert rung == [1999]


def test_a_cancelled_alarm_leaves_nothing_on_the_clock() -> None:
    clock = Clock()
    alarm = Alarm(clock, lambda: None)
    alarm.set(5)
    alarm.cancel()
    assert clock.next_deadline == NEVER
    alarm.set(NEVER)
    assert clock.next_deadline == NEVER


def test_settling_rings_what_is_due_and_only_that() -> None:
    clock, rung = Clock(), list[int]()
    alarm = Alarm(clock, lambda: rung.append(alarm.at))
    alarm.set(5)
    alarm.settle(4)
    assert rung == []
    alarm.settle(5)
    assert rung == [NEVER], "it is off while it rings, and may be set again"
    clock.advance(10)
    assert len(rung) == 1


@given(st.lists(st.tuples(st.integers(0, 20), st.sampled_from(["set", "cancel", "settle"]), st.integers(0, 40))))
def test_it_rings_when_a_plain_variable_says_so(steps: list[tuple[int, str, int]]) -> None:
    clock, rung, expected = Clock(), list[int](), list[int]()
    alarm = Alarm(clock, lambda: rung.append(clock.now))
    due: int | None = None
    for pause, action, delay in steps:
        target = clock.now + pause
        if due is not None and due <= target:
            expected.append(due)
            due = None
        clock.advance(pause)
        if action == "set":
            due = clock.now + 1 + delay
            alarm.set(due)
        elif action == "cancel":
            due = None
            alarm.cancel()
        else:
            alarm.settle(clock.now)
    assert rung == expected
