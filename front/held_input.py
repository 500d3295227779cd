"""Input that waits until the guest is ready for it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hillemu.watch import WINDOW_CHARACTERS

if TYPE_CHECKING:
    from hillemu.machine import Machine


def send_after(machine: Machine, pattern: re.Pattern[str], data: bytes) -> None:
    """Let COM1 receive `data` once what the guest has sent from now on matches, within its latest characters.

    A guest that echoes what it receives before its shell runs would put the echo into its own start-up messages.  The
    bytes come between two instructions, at the end of the 10 ms of virtual time in which the match was: every run is
    the same run.
    """
    recent = ""
    waiting = True

    def look(byte: int) -> None:
        nonlocal recent, waiting
        if not waiting:
            return
        recent = recent[-WINDOW_CHARACTERS:] + chr(byte)
        if pattern.search(recent):
            waiting = False
            machine.schedule_call(0, lambda: machine.serial.send(data))

    machine.serial.on_byte(look)
