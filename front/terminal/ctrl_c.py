"""Ctrl-C while a machine runs: it waits for the end of the instruction.

Python raises `KeyboardInterrupt` wherever it happens to be, which may be in a device: the guest would lose the register
write that it interrupts, or a timer its next tick.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from types import FrameType


class DeferredCtrlC:
    """From now until `close`, Ctrl-C calls `stop`; `close` then raises the `KeyboardInterrupt`.

    A handler of the program's own stays in place, and threads other than the main one never see Ctrl-C.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._came = False
        self._installed = False
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            with suppress(ValueError):  # not the main thread
                signal.signal(signal.SIGINT, self._note)
                self._installed = True

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._came = True
        self._stop()

    def close(self) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if self._came:
            raise KeyboardInterrupt
