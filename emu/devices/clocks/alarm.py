"""An alarm clock for a chip whose next event is often moved, as a one-shot timer's is at every interrupt.

>>> clock = Clock(frequency_hz=1_000_000)
>>> alarm = Alarm(clock, lambda: print("rings at", clock.now))
>>> alarm.set(5); alarm.set(8); clock.advance(10)
rings at 8

An alarm that is put off keeps its place in the clock's queue and moves on when its turn comes, so a guest that programs
a timer again and again does not fill the queue.
"""

from __future__ import annotations

from collections.abc import Callable

from hillemu.emu.clock import NEVER, Clock, Event


class Alarm:
    """Calls `ring` once at tick `at`, or sooner by `settle`; `NEVER` means that it is off."""

    __slots__ = ("_clock", "_event", "_ring", "at")

    def __init__(self, clock: Clock, ring: Callable[[], None]) -> None:
        self.at = NEVER
        self._clock = clock
        self._ring = ring
        self._event: Event | None = None

    def set(self, at: int) -> None:
        """Ring at tick `at` instead of any other time; a tick in the past means as soon as possible."""
        if at >= NEVER:
            self.cancel()
            return
        self.at = at
        if self._event is None or self._event.at > at:
            if self._event is not None:
                self._event.cancel()
            self._event = self._clock.schedule(at, self._turn)

    def cancel(self) -> None:
        """Do not ring."""
        self.at = NEVER
        if self._event is not None:
            self._event.cancel()
            self._event = None

    def settle(self, now: int) -> None:
        """Ring at once if it is time: the processor may ask a chip before the clock runs what is due."""
        if self.at <= now:
            self.at = NEVER
            self._ring()

    def _turn(self) -> None:
        due, self._event = self.at, None
        if due <= self._clock.now:
            self.at = NEVER
            self._ring()
        elif due < NEVER:
            self._event = self._clock.schedule(due, self._turn)
