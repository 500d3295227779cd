"""Somebody types while the guest runs (`--live`): the terminal's keys go to the PS/2 keyboard or to COM1.

`LiveInput.between` is for `Machine.run`.  It passes on what was typed, notes when it did, and holds the virtual clock
back to the user's: a guest that waits for a key in a HLT loop would otherwise live through hours meanwhile.  A guest
that is slower than real time is not hurried afterwards.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from hillemu.input_record import KEYBOARD, Typed, serial_text, type_now
from hillemu.terminal.keys import TerminalKeys

if TYPE_CHECKING:
    from hillemu.machine import Machine

ESCAPE_S = 0.05
"""How long the rest of an escape sequence may take; after that it was the Esc key."""
HALTED_S = 0.05
"""How long to wait at a time for input to a processor that only input can wake."""
FORGIVEN_LAG_S = 0.1
"""How much the virtual clock may catch up on the user's."""
_READ_BYTES = 4096


def _seconds() -> float:
    """The user's time."""
    return time.monotonic()


class Pace:
    """Compares two clocks, the virtual one and the user's; both count as equal when it is made."""

    def __init__(self, virtual_ns: int, seconds: Callable[[], float] = _seconds) -> None:
        self._seconds = seconds
        self._offset_s = virtual_ns / 1e9 - seconds()

    def ahead_s(self, virtual_ns: int) -> float:
        """How far the virtual clock is ahead of the user's; a longer lag than is forgiven is forgotten."""
        ahead_s = virtual_ns / 1e9 - self._seconds() - self._offset_s
        if ahead_s < -FORGIVEN_LAG_S:
            self._offset_s += ahead_s + FORGIVEN_LAG_S
            return -FORGIVEN_LAG_S
        return ahead_s


class LiveInput:
    """Passes what comes from the terminal `fd` on to the keyboard or serial port of `machine`, as `to` says.

    What was sent is noted in `record`.  A character that no key of a US keyboard writes rings the terminal's bell.
    """

    def __init__(self, machine: Machine, fd: int, to: str, record: list[Typed]) -> None:
        self._machine = machine
        self._record = record
        self._fd = fd
        self._to = to
        self._keys = TerminalKeys()
        self._pace = Pace(machine.clock.now_ns)
        self._last_ns = -1
        self._last_read_s = 0.0
        self._is_open = True
        self.has_typed = False

    def between(self) -> bool:
        """Wait until the user's clock has caught up; send what was typed meanwhile.

        Returns whether more may come, that is, whether the terminal is still there.
        """
        now_ns = self._machine.clock.now_ns
        # Virtual time stands still only while the processor waits for nothing but input.
        text = self._read_for(HALTED_S) if now_ns == self._last_ns else self._read_until_caught_up(now_ns)
        self._last_ns = now_ns
        if text:
            type_now(self._machine, self._to, text, self._record)
            self.has_typed = True
        return self._is_open

    def _read_until_caught_up(self, now_ns: int) -> str:
        text = self._read_for(max(0.0, self._pace.ahead_s(now_ns)))
        while (ahead_s := self._pace.ahead_s(now_ns)) > 0:
            text += self._read_for(ahead_s)
        return text

    def _read_for(self, timeout_s: float) -> str:
        """What comes first within `timeout_s`, as text for `type_into`; returns early when something comes."""
        data = self._read(timeout_s)
        if self._to != KEYBOARD:
            return serial_text(data)
        if data:
            self._last_read_s = _seconds()
        refused_before = self._keys.refused_count
        text = self._keys.feed(data)
        if self._keys.is_waiting and _seconds() - self._last_read_s >= ESCAPE_S:
            text += self._keys.flush()
        if self._keys.refused_count > refused_before:
            with suppress(OSError):  # a bell is not worth an error
                os.write(self._fd, b"\a")
        return text

    def _read(self, timeout_s: float) -> bytes:
        if not self._is_open:
            time.sleep(timeout_s)
            return b""
        if not select.select([self._fd], [], [], timeout_s)[0]:
            return b""
        try:
            data = os.read(self._fd, _READ_BYTES)
        except OSError:  # the terminal hung up
            data = b""
        self._is_open = bool(data)
        return data
