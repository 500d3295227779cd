"""The live screen: what a terminal shows is the serial text and, below it, the latest drawing."""

from __future__ import annotations

import os
import pty
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hillemu.terminal.screen_view import LiveScreen, framed


class Terminal:
    """Just enough of a terminal, unlimited in height: text that wraps, CR, LF, cursor up, erase below."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.rows = [""]
        self.row = self.column = 0

    def feed(self, text: str) -> None:
        for token in re.findall(r"\x1b\[(?:\d*A|J)|[^\x1b]", text):
            if token == "\x1b[J":
                self.rows[self.row] = self.rows[self.row][: self.column]
                del self.rows[self.row + 1 :]
            elif token.startswith("\x1b"):
                self.row -= int(token[2:-1])
                assert self.row >= 0, "the drawing climbed above the top"
            elif token == "\r":
                self.column = 0
            elif token == "\n":
                self.row += 1
                self.rows += [""] * (self.row + 1 - len(self.rows))
            else:
                if self.column == self.columns:
                    self.feed("\r\n")
                line = self.rows[self.row].ljust(self.column)
                self.rows[self.row] = line[: self.column] + token + line[self.column + 1 :]
                self.column += 1


class Desk:
    """A live screen whose terminal is a `Terminal`, with serial output on the same one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, columns: int = 200) -> None:
        self.screen = ["first"]
        self.terminal = Terminal(columns)
        self.written = ""
        self.live = LiveScreen(99, lambda: self.screen)
        self.serial = self.live.sharing(lambda byte: self.show(chr(byte).replace("\n", "\r\n")))
        monkeypatch.setattr(os, "write", lambda fd, data: self.show(data.decode()))
        monkeypatch.setattr(os, "get_terminal_size", lambda fd: os.terminal_size((columns, 50)))

    def show(self, text: str) -> None:
        self.written += text
        self.terminal.feed(text)


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(monkeypatch)


def send(desk: Desk, text: str) -> None:
    for byte in text.encode():
        desk.serial(byte)


def test_the_drawing_hangs_below_the_serial_text(desk: Desk) -> None:
    send(desk, "one\ntw")
    desk.live.draw()
    assert desk.terminal.rows == ["one", "tw", *framed(["first"]), ""]


def test_serial_text_goes_on_where_it_stopped(desk: Desk) -> None:
    send(desk, "one\ntw")
    desk.live.draw()
    send(desk, "o\nthree")
    assert desk.terminal.rows == ["one", "two", "three"]
    desk.live.draw()
    assert desk.terminal.rows == ["one", "two", "three", *framed(["first"]), ""]


def test_an_unfinished_line_that_wraps_is_taken_away_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, columns=12)
    send(desk, "x" * 30)
    desk.live.draw()
    send(desk, "\nnext")
    assert desk.terminal.rows == ["x" * 12, "x" * 12, "x" * 6, "next"]


def test_a_changed_screen_replaces_the_old_drawing(desk: Desk) -> None:
    desk.live.draw()
    desk.screen = ["second", "", "row"]
    desk.live.draw()
    assert desk.terminal.rows == [*framed(["second", "", "row"]), ""]


def test_an_unchanged_screen_writes_nothing(desk: Desk) -> None:
    desk.live.draw()
    before = desk.written
    desk.live.draw()
    assert desk.written == before


def test_a_redraw_in_the_middle_of_a_serial_byte_waits(desk: Desk) -> None:
    def put_and_be_interrupted(byte: int) -> None:
        desk.show(chr(byte))
        desk.live.draw()

    desk.live.sharing(put_and_be_interrupted)(ord("x"))
    assert desk.terminal.rows == ["x"]


def test_a_terminal_that_hung_up_does_not_end_the_run(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def hung_up(*arguments: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "write", hung_up)
    monkeypatch.setattr(os, "get_terminal_size", hung_up)
    desk.live.draw()
    desk.live.erase()
    assert desk.written == ""


SERIAL_TEXTS = st.text("abc\n", max_size=30)
SCREENS = st.lists(st.text("xy", max_size=4), max_size=3)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.one_of(st.text("abc\n", max_size=30), st.just("draw"), st.lists(st.text("xy", max_size=4), max_size=3)))
)
def test_whatever_was_drawn_in_between_the_serial_text_is_left_whole(script: list[str | list[str]]) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        desk = Desk(monkeypatch, columns=12)
        only_serial = Terminal(columns=12)
        for step in script:
            if isinstance(step, list):
                desk.screen = step
            elif step == "draw":
                desk.live.draw()
            else:
                only_serial.feed(step.replace("\n", "\r\n"))
                send(desk, step)
        desk.live.erase()
    assert desk.terminal.rows == only_serial.rows


def test_a_small_terminal_shows_the_bottom_and_the_left_of_the_screen() -> None:
    screen = ["top", *("middle",) * 20, "a long last row", ""]
    assert framed(screen, columns=6, rows=2) == ["+------+", "|middle|", "|a long|", "+------+"]


@contextmanager
def pseudo_terminal() -> Iterator[tuple[int, int]]:
    leader, follower = pty.openpty()
    yield leader, follower
    os.close(leader)
    os.close(follower)


def test_a_terminal_that_does_not_know_its_size_is_taken_for_80_by_24() -> None:
    with pseudo_terminal() as (leader, follower):
        assert os.get_terminal_size(follower).columns == 0
        LiveScreen(follower, lambda: ["hello"]).draw()
        assert b"|hello" in os.read(leader, 4096)
