"""Objects get their fields back, keep their identity, and nothing is left out without a decision."""

from __future__ import annotations

import io
import itertools
import random
from array import array
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from hillemu.emu.errors import WiringError
from hillemu.emu.snapshot_objects import CannotBeKept, ObjectState


def ours(cls: type) -> type:
    """Pass `cls` off as one of hillemu's."""
    cls.__module__ = "hillemu.example"
    return cls


@ours
class Chip:
    """Anything with fields."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def ring(self) -> None:
        self.rung = True


@ours
class Slotted:
    __slots__ = ("level", "other")


CHANGES: list[tuple[Any, Callable[[Any], object]]] = [
    ([1, 2], lambda it: it.append(3)),
    ([1, 2], lambda it: it.clear()),
    ({"a": 1}, lambda it: it.update(a=2, b=3)),
    ({1, 2}, lambda it: it.add(3)),
    (deque([1, 2], maxlen=4), lambda it: it.rotate()),
    (bytearray(b"ab"), lambda it: it.extend(b"c")),
    (Counter("aab"), lambda it: it.update("c")),
    (OrderedDict(a=1, b=2), lambda it: it.move_to_end("a")),
    (defaultdict(list, {1: [2]}), lambda it: it[1].append(3)),
    (array("I", [1, 2]), lambda it: it.append(3)),
    ([[1], {2: bytearray(b"x")}], lambda it: (it[0].append(2), it[1][2].extend(b"y"))),
]


@pytest.mark.parametrize(("value", "change"), CHANGES)
def test_a_container_gets_its_content_back_and_stays_the_same_object(
    value: Any, change: Callable[[Any], object]
) -> None:
    chip = Chip(value=value)
    before = repr(value)
    state = ObjectState.of([chip])
    change(value)
    assert repr(value) != before
    for _ in range(2):
        state.write_back()
        assert chip.value is value
        assert repr(value) == before
        change(value)


def test_a_generator_of_random_numbers_gives_the_same_again() -> None:
    chip = Chip(random=random.Random(1))
    chip.random.random()
    state = ObjectState.of([chip])
    drawn = [chip.random.random() for _ in range(3)]
    state.write_back()
    assert [chip.random.random() for _ in range(3)] == drawn


def test_objects_of_the_user_s_kernel_module_belong_to_the_machine_and_others_of_his_do_not() -> None:
    class Policy:
        def __init__(self) -> None:
            self.queue = [1]

    part, stranger = type("Policy", (Policy,), {"__module__": "kernel_module"})(), Policy()
    state = ObjectState.of([part, stranger])
    part.queue.append(2)
    stranger.queue.append(2)
    state.write_back()
    assert (part.queue, stranger.queue) == ([1], [1, 2])


def test_a_container_class_of_ours_is_refused_rather_than_left_out() -> None:
    with pytest.raises(WiringError, match="no snapshot can be made of a hillemu"):
        ObjectState.of([ours(type("Queue", (list,), {}))()])


def test_fields_that_came_later_go_and_fields_that_went_come_back() -> None:
    chip = Chip(kept=1)
    state = ObjectState.of([chip])
    del chip.kept
    chip.later = 2
    state.write_back()
    assert vars(chip) == {"kept": 1}


def test_slots_get_back_their_values_and_their_emptiness() -> None:
    wire = Slotted()
    wire.level = 1
    state = ObjectState.of([wire])
    wire.level, wire.other = 2, 3
    state.write_back()
    assert wire.level == 1
    assert not hasattr(wire, "other")


def test_what_only_functions_refer_to_is_found() -> None:
    inner, bound, partly = Chip(n=1), Chip(n=1), Chip(n=1)
    count = 0

    def closure() -> int:
        nonlocal count
        count += 1
        return count + inner.n

    closure.__module__ = "hillemu.example"
    root = Chip(call=closure, method=bound.ring, partial=partial(Chip.ring, partly), sink=[].append)
    state = ObjectState.of([root])
    closure()
    inner.n = bound.n = partly.n = 7
    root.sink(5)
    state.write_back()
    assert (count, inner.n, bound.n, partly.n) == (0, 1, 1, 1)
    assert root.sink.__self__ == []


def test_a_window_on_a_buffer_stays_open() -> None:
    buffer = bytearray(b"abcd")
    chip = Chip(view=memoryview(buffer)[1:3])
    state = ObjectState.of([chip])
    chip.view[0] = 0
    state.write_back()
    assert bytes(chip.view) == b"bc"


def test_what_a_class_calls_outside_stays() -> None:
    @ours
    class Watched:
        OUTSIDE_STATE = frozenset({"observers"})

        def __init__(self) -> None:
            self.value, self.observers = 1, [1]

    @ours
    class Constant:
        HAS_STATE = False
        value = 1

    watched, constant = Watched(), Constant()
    state = ObjectState.of([watched, constant])
    watched.value, watched.observers, constant.value = 2, [2], 2
    state.write_back()
    assert (watched.value, watched.observers, constant.value) == (1, [2], 2)


def test_a_class_may_keep_its_state_by_itself() -> None:
    @ours
    class Log:
        length = 1

        def save_state(self) -> int:
            return self.length

        def load_state(self, saved: int) -> None:
            self.length = saved

    log = Log()
    state = ObjectState.of([log])
    log.length = 5
    state.write_back()
    assert log.length == 1


def test_a_frozen_record_is_walked_and_left_alone() -> None:
    @dataclass(frozen=True)
    class Record:
        values: list[int]

    ours(Record)
    record = Record([1])
    state = ObjectState.of([record])
    record.values.append(2)
    state.write_back()
    assert record.values == [1]


def test_circles_end() -> None:
    one, other = Chip(), Chip()
    one.other, other.other = other, one
    assert len(ObjectState.of([one]).objects) == 2


@pytest.mark.parametrize("undecided", [iter([1]), itertools.count(), (n for n in [1]), io.StringIO()])
def test_a_kind_that_nobody_decided_about_is_refused(undecided: object) -> None:
    with pytest.raises(WiringError, match="no snapshot can be made of a"):
        ObjectState.of([Chip(field=[undecided])])


def test_what_cannot_be_kept_is_told_with_the_field_that_leads_there() -> None:
    lost = iter([1])
    inner = Chip(queue=({"next": [lost]},))
    with pytest.raises(CannotBeKept) as caught:
        ObjectState.of([Chip(), Chip(inner=inner, other=[inner]), 5])
    assert (caught.value.kind, caught.value.place) == ("list_iterator", "Chip.queue")


def test_what_a_function_holds_on_to_is_told_with_the_variable() -> None:
    counter = itertools.count()

    def handler() -> int:
        return next(counter)

    handler.__module__ = "hillemu.example"
    with pytest.raises(CannotBeKept, match=r"itertools.count, which is in .*handler\.counter$"):
        ObjectState.of([Chip(on_event=handler)])


def test_a_mark_without_content_is_kept() -> None:
    mark = object()
    record = Chip(value=mark)
    state = ObjectState.of([record])
    record.value = None
    state.write_back()
    assert record.value is mark


def test_the_users_own_objects_are_not_the_machines() -> None:
    class Users:
        value = 1

    users = Users()
    state = ObjectState.of([Chip(report=users)])
    users.value = 2
    state.write_back()
    assert users.value == 2
