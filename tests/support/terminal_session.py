"""A command on a terminal of its own, with a shell that does job control above it, as a user has it.

Run as a program, this file is the shell: it puts the command into the foreground, and tells of each time that it stops
or ends, and whether the terminal is then as it was.  `TerminalSession` is the user.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from typing import Any

PATIENCE_S = 60.0


class TerminalSession:
    """Runs `command` on a new pseudo terminal; a context manager that leaves nothing behind."""

    def __init__(self, command: Sequence[str]) -> None:
        self.shown = b""
        """All that the terminal has shown."""
        self._looked_at = 0
        self._leader, follower = pty.openpty()
        self._reports, shell_reports = os.pipe()
        self._said = b""
        self._shell = subprocess.Popen(
            [sys.executable, __file__, str(shell_reports), *command],
            stdin=follower,
            stdout=follower,
            stderr=follower,
            pass_fds=[shell_reports],
            start_new_session=True,
            env={**os.environ, "TERM": "xterm"},
        )
        os.close(follower)
        os.close(shell_reports)

    def __enter__(self) -> TerminalSession:
        return self

    def __exit__(self, *_: object) -> None:
        self._shell.kill()
        self._shell.wait()
        os.close(self._reports)
        os.close(self._leader)  # hangs up: what still runs there gets SIGHUP

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._leader, keys)

    def wait_for(self, text: bytes) -> None:
        """Wait until the terminal shows `text`, after all that was waited for before."""
        give_up = time.monotonic() + PATIENCE_S
        while (at := self.shown.find(text, self._looked_at)) < 0:
            assert time.monotonic() < give_up, f"{text!r} never came, but {self.shown!r}"
            self._read(1.0)
        self._looked_at = at + len(text)

    def report(self) -> dict[str, Any]:
        """What the shell says next: `event` (``started``, ``stopped``, ``ended``), `pid`, `number`, `restored`."""
        give_up = time.monotonic() + PATIENCE_S
        while b"\n" not in self._said:
            assert time.monotonic() < give_up, f"the shell says nothing; the terminal shows {self.shown!r}"
            if select.select([self._reports], [], [], 0)[0]:
                self._said += os.read(self._reports, 1 << 12)
            self._read(0.02)  # a terminal that nobody reads would hold the command up
        line, _, self._said = self._said.partition(b"\n")
        said: dict[str, Any] = json.loads(line)
        return said

    def continue_in_foreground(self) -> None:
        """``fg``"""
        self._shell.send_signal(signal.SIGUSR1)

    def wait_until_nothing_echoes(self) -> None:
        """Wait until the command has put the terminal into a mode of its own."""
        give_up = time.monotonic() + PATIENCE_S
        while termios.tcgetattr(self._leader)[3] & termios.ECHO:
            assert time.monotonic() < give_up, "the terminal still echoes"
            self._read(0.01)

    def _read(self, timeout_s: float) -> None:
        while select.select([self._leader], [], [], timeout_s)[0]:
            try:
                self.shown += os.read(self._leader, 1 << 16)
            except OSError:  # everybody has left the terminal
                return
            timeout_s = 0


def _shell(reports: int, command: Sequence[str]) -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    before = termios.tcgetattr(0)

    def tell(event: str, number: int = 0) -> None:
        facts = {"event": event, "pid": job.pid, "number": number, "restored": termios.tcgetattr(0) == before}
        os.write(reports, json.dumps(facts).encode() + b"\n")

    for number in (signal.SIGINT, signal.SIGQUIT):  # ignored where the tests run in the background of a script
        signal.signal(number, signal.SIG_DFL)
    job = subprocess.Popen(command, process_group=0)
    _give_terminal_to(job.pid)
    tell("started")
    while True:
        _, status = os.waitpid(job.pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            break
        if os.WSTOPSIG(status) not in (signal.SIGTTOU, signal.SIGTTIN):  # these: it was quicker than we at the start
            _give_terminal_to(os.getpgrp())
            tell("stopped", os.WSTOPSIG(status))
            signal.sigwait([signal.SIGUSR1])
            _give_terminal_to(job.pid)
        os.killpg(job.pid, signal.SIGCONT)
    _give_terminal_to(os.getpgrp())
    job.returncode = os.waitstatus_to_exitcode(status)
    tell("ended", job.returncode)


def _give_terminal_to(group: int) -> None:
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTOU])
    os.tcsetpgrp(0, group)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


if __name__ == "__main__":
    _shell(int(sys.argv[1]), sys.argv[2:])
