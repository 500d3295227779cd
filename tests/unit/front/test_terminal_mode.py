"""The terminal's mode while somebody types to the guest, and that it never stays."""

from __future__ import annotations

import os
import pty
import signal
import sys
import termios
from collections.abc import Iterator

import pytest
from terminal_session import TerminalSession

from hillemu.terminal.mode import keyboard_mode

HANDLED = (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGTSTP, signal.SIGCONT)

SIGNALS_ITSELF = """
import os, sys
from hillemu.commands.boot import stopping_on_signals
from hillemu.terminal.mode import keyboard_mode
with keyboard_mode(0, lambda: None), stopping_on_signals(lambda: None):
    for number in sys.argv[1:]:
        os.kill(os.getpid(), int(number))
"""


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    """The user's and the program's end of a pseudo terminal."""
    leader, follower = pty.openpty()
    yield leader, follower
    os.close(leader)
    os.close(follower)


def test_every_byte_comes_at_once_and_as_it_is_and_nothing_is_echoed(ends: tuple[int, int]) -> None:
    leader, follower = ends
    bytes_for_the_guest = bytes(set(range(256)) - {0x03, 0x1A, 0x1C})
    with keyboard_mode(follower, lambda: None):
        for byte in bytes_for_the_guest:
            os.write(leader, bytes([byte]))
            assert os.read(follower, 10) == bytes([byte])
        os.write(follower, b"|")
        assert os.read(leader, 10) == b"|"


def test_the_terminal_and_the_signal_handlers_are_restored_after_an_exception(ends: tuple[int, int]) -> None:
    before = termios.tcgetattr(ends[1]), [signal.getsignal(number) for number in HANDLED]

    def fail() -> None:
        with keyboard_mode(ends[1], lambda: None):
            assert termios.tcgetattr(ends[1]) != before[0]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (termios.tcgetattr(ends[1]), [signal.getsignal(number) for number in HANDLED]) == before


def test_keys_that_the_guest_never_read_do_not_reach_the_shell(ends: tuple[int, int]) -> None:
    leader, follower = ends
    with keyboard_mode(follower, lambda: None):
        os.write(leader, b"rm -rf /\r")
    os.write(leader, b"ls\n")
    assert os.read(follower, 100) == b"ls\n"


def test_a_suspended_program_takes_its_drawing_away_and_has_its_mode_again_afterwards() -> None:
    script = """if True:
        import os, signal, sys, termios
        from hillemu.terminal.mode import keyboard_mode
        def echoes(): return bool(termios.tcgetattr(0)[3] & termios.ECHO)
        seen = []
        with keyboard_mode(0, lambda: seen.append(echoes())):
            os.kill(os.getpid(), signal.SIGTSTP)
            seen.append(echoes())
        print(seen, echoes())
    """
    with TerminalSession([sys.executable, "-c", script]) as session:
        assert session.report()["event"] == "started"
        assert session.report()["event"] == "stopped"
        session.continue_in_foreground()
        session.wait_for(b"[False, False] True")
        assert session.report()["restored"]


@pytest.mark.parametrize(
    ("numbers", "status"),
    [
        ([signal.SIGTERM], 0),
        ([signal.SIGTERM, signal.SIGTERM], -signal.SIGTERM),
        ([signal.SIGINT, signal.SIGINT], -signal.SIGINT),
        ([signal.SIGQUIT], -signal.SIGQUIT),
        ([signal.SIGHUP], -signal.SIGHUP),
    ],
    ids=lambda value: "-".join(number.name for number in value) if isinstance(value, list) else "",
)
def test_the_terminal_is_restored_whatever_signal_ends_the_program(numbers: list[signal.Signals], status: int) -> None:
    command = [sys.executable, "-c", SIGNALS_ITSELF, *(str(int(number)) for number in numbers)]
    with TerminalSession(command) as session:
        assert session.report()["event"] == "started"
        ended = session.report()
    assert (ended["event"], ended["number"], ended["restored"]) == ("ended", status, True), session.shown
