"""The user's terminal as a keyboard: every key at once, none echoed, and as it was before on every way out.

Ctrl-C, Ctrl-Z and Ctrl-\\ stay what they are for every program: signals.  All other control characters, which
a shell's terminal keeps for itself (Ctrl-S, Ctrl-V, Ctrl-D and so on), come through, and Enter is a carriage return.

Source: POSIX.1-2017, Base Definitions, "General Terminal Interface"; Stevens, Advanced Programming in the UNIX
Environment, "Job-Control Signals" (how a program that changes the terminal handles Ctrl-Z).
"""

from __future__ import annotations

import errno
import os
import signal
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_FATAL = (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM)
"""Signals that end a program at once; Ctrl-C raises KeyboardInterrupt, which restores on its way."""
_INPUT, _LOCAL, _CHARACTERS = 0, 3, 6
"""Places in what `termios.tcgetattr` returns."""


@contextmanager
def keyboard_mode(fd: int, before_suspending: Callable[[], None]) -> Iterator[None]:
    """Have the terminal `fd` send each key at once inside the ``with`` block.

    The terminal is restored at the end, by an exception too, when a signal ends the program, and while it is
    suspended with Ctrl-Z; `before_suspending` then takes away what is drawn.  Keys that nobody read are dropped at
    the end: they were meant for the guest, not for the shell.
    """
    before = termios.tcgetattr(fd)
    during = _without_line_editing(before)

    def die(number: int, frame: FrameType | None) -> None:
        _set(fd, before)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def suspend(number: int, frame: FrameType | None) -> None:
        before_suspending()
        _set(fd, before)
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        # Here we stand still until the shell's `fg`.  (Without a shell that does job control, nothing stops us.)
        signal.signal(signal.SIGTSTP, suspend)
        _set(fd, during)

    def resume(number: int, frame: FrameType | None) -> None:
        _set(fd, during)  # after SIGSTOP, which nobody can catch, too

    handlers = {**dict.fromkeys(_FATAL, die), signal.SIGTSTP: suspend, signal.SIGCONT: resume}
    replaced = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        _set(fd, during)
        yield
    finally:
        for number, handler in replaced.items():
            signal.signal(number, handler)
        with suppress(termios.error):
            termios.tcflush(fd, termios.TCIFLUSH)
        _set(fd, before)


def _without_line_editing(attributes: list[object]) -> list[object]:
    mode = list(attributes)
    characters = list(mode[_CHARACTERS])  # type: ignore[call-overload]
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    line_discipline = termios.ICANON | termios.ECHO | termios.IEXTEN
    translations = termios.ICRNL | termios.INLCR | termios.IGNCR | termios.ISTRIP | termios.IXON
    mode[_LOCAL] = mode[_LOCAL] & ~line_discipline | termios.ISIG  # type: ignore[operator]
    mode[_INPUT] = mode[_INPUT] & ~translations  # type: ignore[operator]
    mode[_CHARACTERS] = characters
    return mode


def _set(fd: int, attributes: list[object]) -> None:
    """Set the attributes, however often a signal comes in between; a terminal that is gone needs nothing."""
    while True:
        try:
            # Not TCSADRAIN: a terminal that nobody reads would never drain.
            termios.tcsetattr(fd, termios.TCSANOW, attributes)  # type: ignore[arg-type]
            return
        except termios.error as error:
            if error.args[0] != errno.EINTR:
                return
