"""What was said beforehand is done at its moment, in order, however it was said."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hillemu.agenda import Agenda, Key

MOMENTS = st.lists(st.integers(0, 50), max_size=8)


def key(number: int) -> list[Key]:
    return [(str(number), True)]


@given(keys=MOMENTS, calls=MOMENTS)
def test_everything_is_done_once_when_it_is_due_and_no_sooner(keys: list[int], calls: list[int]) -> None:
    pressed: list[tuple[int, list[Key]]] = []
    called: list[tuple[int, int]] = []
    now = 0
    agenda = Agenda(lambda typed: pressed.append((now, typed)))
    for number, at in enumerate(keys):
        agenda.add_keys(at, key(number))
    for number, at in enumerate(calls):
        agenda.add_call(at, lambda n=number: called.append((now, n)))  # type: ignore[misc]
    for now in range(60):
        waiting = [at for at in keys if at >= now], [at for at in calls if at >= now]
        assert agenda.is_empty == (waiting == ([], []))
        assert agenda.next_instruction == min(waiting[0], default=None)
        assert agenda.next_tick == min(waiting[1], default=None)
        agenda.do_due(instructions=now, tick=now)
    assert pressed == [(at, key(number)) for at, number in sorted((at, n) for n, at in enumerate(keys))]
    assert called == sorted((at, number) for number, at in enumerate(calls))


def test_instructions_and_ticks_are_counted_apart() -> None:
    pressed: list[list[Key]] = []
    called: list[str] = []
    agenda = Agenda(pressed.append)
    agenda.add_keys(10, key(1))
    agenda.add_call(20, lambda: called.append("first"))
    agenda.do_due(instructions=5, tick=30)
    assert (pressed, called, agenda.is_empty) == ([], ["first"], False)
    agenda.do_due(instructions=10, tick=0)
    assert (pressed, agenda.is_empty) == ([key(1)], True)


def test_a_call_may_ask_for_another_one() -> None:
    called: list[int] = []
    agenda = Agenda(lambda keys: None)
    agenda.add_call(1, lambda: agenda.add_call(2, lambda: called.append(2)))
    agenda.do_due(instructions=0, tick=1)
    assert (called, agenda.next_tick, agenda.is_empty) == ([], 2, False)
    agenda.do_due(instructions=0, tick=2)
    assert (called, agenda.is_empty) == ([2], True)
