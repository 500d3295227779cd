"""What keyboard and mouse have in common: the device end of a PS/2 cable.

A device has two queues.  *Replies* answer the host's commands and go first; *events* are key presses and movements.
It rings `on_ready` when there is something to fetch, and the controller fetches it when it can.

Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboard" and "Auxiliary Device".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

ACK = 0xFA
RESEND = 0xFE
SELF_TEST_PASSED = 0xAA


def _unplugged() -> None:
    """Nobody is at the other end of the cable."""


class Ps2Device:
    """Base of `Keyboard` and `Mouse`; on its own a device that understands nothing."""

    def __init__(self) -> None:
        self.on_ready: Callable[[], None] = _unplugged
        self.replies: deque[int] = deque()
        self.events: deque[int] = deque()
        self._last_sent = SELF_TEST_PASSED

    def receive(self, byte: int) -> None:
        """Take a byte that the host sends."""
        self.answer(RESEND)

    def take_reply(self) -> int:
        """Give the host the oldest reply; `IndexError` if there is none."""
        self._last_sent = self.replies.popleft()
        return self._last_sent

    def take_event(self) -> int:
        """Give the host the oldest byte of an event; `IndexError` if there is none."""
        self._last_sent = self.events.popleft()
        return self._last_sent

    def answer(self, *replies: int) -> None:
        """Queue `replies`."""
        self.replies.extend(replies)
        self.on_ready()
