"""Ctrl-C while a machine runs: it waits for the end of the instruction.

Python raises `KeyboardInterrupt` wherever it happens to be, which may be in a device: the guest would lose the register
write that it interrupts, or a timer its next tick.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import ClassVar


class DeferredCtrlC:
    """From now until `close`, Ctrl-C calls `stop`; `close` then raises the `KeyboardInterrupt`.

    A handler of the program's own stays in place, and threads other than the main one never see Ctrl-C.  Of several at
    a time only the first does anything.
    """

    _outermost: ClassVar[DeferredCtrlC | None] = None

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._came = False
        self._installed = False
        # To ask for the handler takes longer than a debugger's step, which is a run in a run.
        if DeferredCtrlC._outermost is not None or threading.current_thread() is not threading.main_thread():
            return
        DeferredCtrlC._outermost = self
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._note)
            self._installed = True

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._came = True
        self._stop()

    def close(self) -> None:
        if DeferredCtrlC._outermost is self:
            DeferredCtrlC._outermost = None
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if self._came:
            raise KeyboardInterrupt
