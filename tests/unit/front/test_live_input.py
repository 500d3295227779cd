"""Keys from a terminal to a machine that only plays its part, and two clocks of which one is the user's."""

from __future__ import annotations

import os
import pty
import time
import tty
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hillemu.input_record import Typed
from hillemu.terminal import live_input
from hillemu.terminal.live_input import ESCAPE_S, FORGIVEN_LAG_S, LiveInput, Pace

PATIENCE_S = 30.0


class Desk:
    """A terminal and a machine."""

    def __init__(self) -> None:
        self.leader, self.follower = pty.openpty()
        tty.setraw(self.follower)
        self.typed: list[str | bytes] = []
        self.clock = SimpleNamespace(now_ns=1000)
        self.record: list[Typed] = []
        self.machine: Any = SimpleNamespace(
            clock=self.clock,
            cpu=SimpleNamespace(instructions=77),
            keyboard=SimpleNamespace(type=self.typed.append),
            serial=SimpleNamespace(send=self.typed.append),
        )

    def live(self, to: str) -> LiveInput:
        return LiveInput(self.machine, self.follower, to, self.record)

    def run_until_typed(self, live: LiveInput, count: int) -> None:
        """Play a machine that is as quick as it is let."""
        give_up = time.monotonic() + PATIENCE_S
        while len(self.typed) < count:
            assert time.monotonic() < give_up
            self.clock.now_ns += 10_000_000
            assert live.between()


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    os.close(desk.follower)
    os.close(desk.leader)


def test_keys_go_to_the_keyboard_and_are_noted(desk: Desk) -> None:
    live = desk.live("keyboard")
    assert not live.has_typed
    os.write(desk.leader, b"\x1b[Aq")
    desk.run_until_typed(live, 1)
    assert desk.typed == ["{up}q"]
    assert desk.record == [Typed("keyboard", "{up}q", desk.clock.now_ns, 77)]
    assert live.has_typed


def test_bytes_go_to_the_serial_port_as_they_are(desk: Desk) -> None:
    os.write(desk.leader, b"\x1b[A\r\xff")
    desk.run_until_typed(desk.live("serial"), 1)
    assert desk.typed == [b"\x1b[A\r\xff"]
    assert desk.record[0].text == "\x1b[A\r\udcff"


def test_escape_is_a_key_of_its_own_when_nothing_follows_in_time(desk: Desk) -> None:
    live = desk.live("keyboard")
    os.write(desk.leader, b"\x1b")
    started = time.monotonic()
    desk.run_until_typed(live, 1)
    assert desk.typed == ["{esc}"]
    assert time.monotonic() - started >= ESCAPE_S


def test_a_character_without_a_key_rings_the_bell(desk: Desk) -> None:
    live = desk.live("keyboard")
    os.write(desk.leader, "ä".encode() + b"x")
    desk.run_until_typed(live, 1)
    assert desk.typed == ["x"]
    assert os.read(desk.leader, 10) == b"\a"


def test_a_terminal_that_hangs_up_ends_the_input_and_not_the_run(desk: Desk) -> None:
    reading_end, writing_end = os.pipe()
    live = LiveInput(desk.machine, reading_end, "serial", desk.record)
    os.write(writing_end, b"x")
    os.close(writing_end)
    still_there = [live.between() for _ in range(3)]
    os.close(reading_end)
    assert desk.typed == [b"x"]
    assert still_there[-1] is False


def test_a_quick_machine_waits_for_the_users_clock(desk: Desk) -> None:
    live = desk.live("serial")
    started = time.monotonic()
    for _ in range(5):
        desk.clock.now_ns += 10_000_000
        os.write(desk.leader, b"x")  # typing is no way to make it go faster
        live.between()
    assert time.monotonic() - started >= 0.05 - 0.001
    assert b"".join(desk.typed) == b"xxxxx"  # type: ignore[arg-type]


def test_a_halted_machine_waits_without_hurry_but_wakes_at_a_key(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_input, "HALTED_S", PATIENCE_S)
    live = desk.live("serial")
    live.between()
    os.write(desk.leader, b"x")
    started = time.monotonic()
    live.between()
    assert time.monotonic() - started < PATIENCE_S
    assert desk.typed == [b"x"]


@given(st.lists(st.tuples(st.integers(0, 50_000_000), st.floats(0, 1)), max_size=30))
def test_a_machine_that_waits_is_never_ahead_and_never_catches_up_on_more_than_is_forgiven(
    slices: list[tuple[int, float]],
) -> None:
    seconds, virtual_ns = 5.0, 1_000_000
    pace = Pace(virtual_ns, lambda: seconds)
    history = [(virtual_ns / 1e9, seconds)]
    for slice_ns, work_s in slices:
        virtual_ns += slice_ns
        seconds += work_s
        seconds += max(0.0, pace.ahead_s(virtual_ns))
        history.append((virtual_ns / 1e9, seconds))
    for number, (virtual_then, user_then) in enumerate(history):
        for virtual_s, user_s in history[number:]:
            assert virtual_s - virtual_then <= user_s - user_then + FORGIVEN_LAG_S + 1e-6
            if number == 0:
                assert virtual_s - virtual_then <= user_s - user_then + 1e-6
