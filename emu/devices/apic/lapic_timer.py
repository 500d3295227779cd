"""The local APIC's timer: it counts down from the initial count and interrupts at zero, once or periodically.

It counts bus cycles, 1 GHz here as in QEMU, divided by 1 to 128.  Where in its run it stands is computed from the
virtual clock, so reading is exact and periods never drift.

The clock has an event for the timer only while an expiry could be noticed (`listen`): not while the LVT entry is masked
or the vector is already requested.  So a period of a nanosecond costs one event for each interrupt that the guest
takes, and a timer that nobody listens to costs nothing.

Not modelled: TSC-deadline mode, which no processor model advertises.

Source: Intel SDM Vol. 3A, "APIC Timer".
"""

from __future__ import annotations

from collections.abc import Callable

from hillemu.emu.clock import NEVER, Clock
from hillemu.emu.devices.clocks.alarm import Alarm

BUS_FREQUENCY_HZ = 1_000_000_000


class LapicTimer:
    """Calls `expired` at each expiry that is listened to.

    >>> clock = Clock(frequency_hz=BUS_FREQUENCY_HZ)
    >>> timer = LapicTimer(clock, lambda: print("expired at", clock.now))
    >>> timer.listen(True); timer.set_divisor(2); timer.start(50)
    >>> clock.advance(60); timer.count()
    20
    >>> clock.advance(60); timer.count()
    expired at 100
    0
    """

    def __init__(self, clock: Clock, expired: Callable[[], None]) -> None:
        self.initial = 0
        """The initial count register."""
        self._clock = clock
        self._expired = expired
        self._divisor = 2
        self._periodic = False
        self._expiry: int | None = None  # the first expiry that `start` asked for, in bus cycles; None: stopped
        self._listening = False
        self._alarm = Alarm(clock, self._ring)

    def start(self, count: int) -> None:
        """Write the initial count: count down from it; 0 stops the timer."""
        now = self._settled_cycle()
        self.initial = count
        self._expiry = now + count * self._divisor if count else None
        self._plan(now)

    def count(self) -> int:
        """The current count register."""
        return -(-self._remaining(self._cycle()) // self._divisor)

    def set_divisor(self, divisor: int) -> None:
        """Count every `divisor` bus cycles from now on; the current count stays."""
        now = self._settled_cycle()
        count = self.count()
        self._divisor = divisor
        self._expiry = now + count * divisor if count else None
        self._plan(now)

    def set_periodic(self, periodic: bool) -> None:
        """Change what happens at zero; the current count goes on, and a timer that has stopped does not start."""
        if periodic == self._periodic:
            return
        now = self._settled_cycle()
        remaining = self._remaining(now)
        self._periodic = periodic
        self._expiry = now + remaining if remaining else None
        self._plan(now)

    def listen(self, on: bool) -> None:
        """Say whether `expired` is to be called; what expires meanwhile is not called later."""
        if on != self._listening:
            self._listening = on
            if on:
                self._plan(self._cycle())
            else:
                self._alarm.cancel()

    def settle(self) -> None:
        """Do an expiry that is due by now, if the clock has not got round to it."""
        self._alarm.settle(self._clock.now)

    def reset(self) -> None:
        """Stop; divide by two, one-shot."""
        self.initial = 0
        self._divisor = 2
        self._periodic = False
        self._expiry = None
        self._listening = False
        self._alarm.cancel()

    def _cycle(self) -> int:
        """Bus cycles since power-on."""
        return self._clock.now * BUS_FREQUENCY_HZ // self._clock.frequency_hz

    def _settled_cycle(self) -> int:
        self.settle()
        return self._cycle()

    def _remaining(self, now: int) -> int:
        """Bus cycles from cycle `now` to the next expiry; 0 if there is none."""
        if self._expiry is None:
            return 0
        if now < self._expiry:
            return self._expiry - now
        if not self._periodic:
            return 0
        period = self.initial * self._divisor
        return period - (now - self._expiry) % period

    def _plan(self, now: int) -> None:
        if self._listening:
            remaining = self._remaining(now)
            tick = -(-(now + remaining) * self._clock.frequency_hz // BUS_FREQUENCY_HZ)
            self._alarm.set(tick if remaining else NEVER)

    def _ring(self) -> None:
        self._expired()
        self._plan(self._cycle())
