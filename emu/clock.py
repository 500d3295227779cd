"""Virtual time: one counter that everything in the machine agrees on.

The unit is the tick.  With ``--timing insn`` one retired instruction is one tick, and a halted processor jumps to
the next event.  The native core is the single writer of the counter; it installs itself with `Clock.attach`.  On
its own (in a chip's unit test) the clock is moved by hand:

>>> clock = Clock(frequency_hz=1_000_000)
>>> rung = []
>>> event = clock.schedule(clock.now + 5, lambda: rung.append(clock.now))
>>> clock.advance(4); rung
[]
>>> clock.advance(10); rung
[5]

Nothing below `emu/` may look at the host's time.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Protocol

DEFAULT_FREQUENCY_HZ = 100_000_000
NEVER = (1 << 63) - 1


class TickSource(Protocol):
    """What the processor core gives the clock."""

    def ticks(self) -> int:
        """Ticks since power-on, exact to the instruction even inside a device access."""

    def set_deadline(self, at: int) -> None:
        """Have the core call `Clock.run_due` at the first block boundary at or after tick `at`."""


class Event:
    """Something that will happen at tick `at`; made by `Clock.schedule`."""

    __slots__ = ("action", "at", "order")

    def __init__(self, at: int, order: int, action: Callable[[], None] | None) -> None:
        self.at = at
        self.order = order
        self.action = action

    def __lt__(self, other: Event) -> bool:
        return (self.at, self.order) < (other.at, other.order)

    @property
    def pending(self) -> bool:
        return self.action is not None

    def cancel(self) -> None:
        """Forget the event; doing it twice, or after it ran, is harmless."""
        self.action = None


class Clock:
    """Counts ticks of `frequency_hz` and runs scheduled actions in order of time, then of scheduling."""

    def __init__(self, frequency_hz: int = DEFAULT_FREQUENCY_HZ) -> None:
        self.frequency_hz = frequency_hz
        self._manual_ticks = 0
        self._source: TickSource | None = None
        self._heap: list[Event] = []
        self._scheduled = 0
        self._running_event_at: int | None = None

    def attach(self, source: TickSource) -> None:
        """Let `source` (the processor core) count from now on."""
        self._source = source
        source.set_deadline(self.next_deadline)

    @property
    def now(self) -> int:
        """Ticks since power-on.

        Inside a scheduled action this is the tick the action was due at, so periodic devices do not drift.
        """
        if self._running_event_at is not None:
            return self._running_event_at
        return self._manual_ticks if self._source is None else self._source.ticks()

    @property
    def now_ns(self) -> int:
        """Virtual nanoseconds since power-on."""
        return self.ns_from_ticks(self.now)

    def ns_from_ticks(self, ticks: int) -> int:
        return ticks * 1_000_000_000 // self.frequency_hz

    def ticks_from_ns(self, delay_ns: int) -> int:
        """Ticks that last at least `delay_ns`."""
        return -(-delay_ns * self.frequency_hz // 1_000_000_000)

    def schedule(self, at: int, action: Callable[[], None]) -> Event:
        """Run `action` at tick `at`; a tick in the past means as soon as possible."""
        self._scheduled += 1
        event = Event(at, self._scheduled, action)
        heapq.heappush(self._heap, event)
        if self._source is not None and self._heap[0] is event:
            self._source.set_deadline(at)
        return event

    @property
    def next_deadline(self) -> int:
        """The tick of the earliest pending event, or `NEVER`."""
        while self._heap and not self._heap[0].pending:
            heapq.heappop(self._heap)
        return self._heap[0].at if self._heap else NEVER

    def run_due(self, now: int) -> int:
        """Run every action due at or before tick `now`; return the next deadline."""
        while (at := self.next_deadline) <= now:
            event = heapq.heappop(self._heap)
            action, event.action = event.action, None
            assert action is not None
            self._running_event_at = at
            try:
                action()
            finally:
                self._running_event_at = None
        return at

    def advance(self, ticks: int) -> None:
        """Move a clock that has no processor by `ticks`, running what comes due on the way."""
        assert self._source is None, "a clock that a processor drives cannot be moved by hand"
        target = self._manual_ticks + ticks
        while (at := self.next_deadline) <= target:
            self._manual_ticks = max(self._manual_ticks, at)
            self.run_due(self._manual_ticks)
        self._manual_ticks = target
