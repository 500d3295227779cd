"""High precision event timer: a 64-bit counter of 100 MHz and three comparators, as QEMU has them.

Memory-mapped at FED00000h; registers are 64 bits and are read or written in words of 32 bits::

    000h  capabilities    63-32 period in femtoseconds   31-16 vendor   15 legacy replacement   13 64-bit counter
                          12-8 highest timer             7-0 revision
    010h  configuration   1 legacy replacement           0 the counter runs, and interrupts are enabled
    020h  status          n: timer n's level-triggered interrupt is active; writing 1 ends it
    0F0h  main counter    can be written while it stands
    100h + 20h n  timer n: configuration and capabilities; + 8 its comparator

A timer interrupts through the I/O APIC pin that it selects, of which there is only pin 2, as on QEMU's i440FX machine.
With legacy replacement, timer 0 has the place of the 8254 (IRQ 0) and timer 1 that of the clock chip (IRQ 8): these
chips drive `pit` and `rtc`, which lead through here.  Pin 2 is IRQ 0's, too; without legacy replacement the 8254 and
the timers drive one wire, and who drove it last decides, as on QEMU.

An edge lets the wire fall and rise, and leaves it high.  Where a periodic timer asks for edges closer than a
microsecond, they come a microsecond apart, and this is reported; its comparator tells the truth.

Not modelled: FSB (message) interrupts, which the capabilities do not offer.  Reported and ignored: a write to the
running counter (the specification forbids it), a write that is not an aligned 32-bit word.

Source: IA-PC HPET Specification 1.0a, "Register Definitions" and "Theory of Operation".
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from hillemu.emu.clock import NEVER, Clock
from hillemu.emu.devices.clocks.alarm import Alarm
from hillemu.emu.devices.clocks.hpet_timer import ENABLED, LEVEL, ROUTE, HpetTimer
from hillemu.emu.reports import Report, unheard
from hillemu.emu.wires import Line

FREQUENCY_HZ = 100_000_000
PERIOD_FS = 1_000_000_000_000_000 // FREQUENCY_HZ
TIMER_COUNT = 3
ADDRESS = 0xFED00000
WINDOW_BYTES = 0x400
SHORTEST_EDGE_GAP_COUNTS = 100

_CAPABILITIES = PERIOD_FS << 32 | 0x8086 << 16 | 1 << 15 | 1 << 13 | TIMER_COUNT - 1 << 8 | 1
_ROUTES = 1 << 2
_CAPABILITY, _CONFIGURATION, _STATUS, _COUNTER, _TIMERS = 0x00, 0x10, 0x20, 0xF0, 0x100
_RUNS, _LEGACY = 1, 2
_ALL = (1 << 64) - 1


class Hpet:
    """The chip.  `pin(n)` is the wire to I/O APIC pin n; `irq0` and `irq8` lead to both interrupt controllers."""

    def __init__(
        self, *, clock: Clock, pin: Callable[[int], Line], irq0: Line, irq8: Line, report: Report = unheard
    ) -> None:
        self.pit = Line(partial(self._legacy_changed, irq0))
        self.rtc = Line(partial(self._legacy_changed, irq8))
        self._clock = clock
        self._pin = pin
        self._legacy = ((self.pit, irq0), (self.rtc, irq8))
        self._report = report
        self._timers = tuple(HpetTimer(_ROUTES) for _ in range(TIMER_COUNT))
        self._driven: list[Line | None] = [None] * TIMER_COUNT  # the wire that each timer holds high
        self._not_before = [0] * TIMER_COUNT  # the count before which an edge would come too soon
        self._owed = [False] * TIMER_COUNT  # whether there was one
        self._alarm = Alarm(clock, self._settle)
        self._configuration = self._status = self._base = 0

    def reset(self) -> None:
        """The counter stands at 0; the 8254 and the clock chip have their interrupts."""
        self._alarm.cancel()
        for number, timer in enumerate(self._timers):
            timer.reset()
            self._release(number)
            self._not_before[number] = 0
            self._owed[number] = False
        self._status = 0
        self._configure(0)
        self._base = 0

    @property
    def counter(self) -> int:
        """The main counter as a guest reads it."""
        return self._count() & _ALL

    # The bus.

    def read(self, offset: int, size: int) -> int:
        if offset & ~7 != _COUNTER:
            self._settle()
        return self.peek(offset, size)

    def peek(self, offset: int, size: int) -> int:
        return self._register(offset & ~7) >> 8 * (offset & 7) & (1 << 8 * size) - 1

    def write(self, offset: int, size: int, value: int) -> None:
        if offset & 3 or size != 4:
            self._report("HPET: a write that is not an aligned 32-bit word is ignored")
            return
        self._settle()
        shift = 8 * (offset & 4)
        self._write(offset & ~7, value << shift, 0xFFFFFFFF << shift)
        self._plan()

    def _register(self, offset: int) -> int:
        if offset >= _TIMERS:
            number, register = divmod(offset - _TIMERS, 0x20)
            if number < TIMER_COUNT and register <= 8:
                timer = self._timers[number]
                return timer.comparator if register else timer.configuration
            return 0
        if offset == _COUNTER:
            return self.counter
        if offset == _STATUS:
            return self._status
        if offset == _CONFIGURATION:
            return self._configuration
        return _CAPABILITIES if offset == _CAPABILITY else 0

    def _write(self, offset: int, value: int, mask: int) -> None:
        """Write the half in `mask` of the 64-bit register at `offset`."""
        if offset >= _TIMERS:
            number, register = divmod(offset - _TIMERS, 0x20)
            if number < TIMER_COUNT and register <= 8:
                self._write_timer(number, register, value, mask)
        elif offset == _COUNTER:
            if self._configuration & _RUNS:
                self._report("HPET: a write to the main counter while it runs is ignored")
            else:
                self._base = self._base & _ALL & ~mask | value
        elif offset == _STATUS:
            self._status &= ~value
            for number in range(TIMER_COUNT):
                if value >> number & 1 and self._timers[number].configuration & LEVEL:
                    self._release(number)
        elif offset == _CONFIGURATION and mask & 1:
            self._configure(value & (_RUNS | _LEGACY))

    def _write_timer(self, number: int, register: int, value: int, mask: int) -> None:
        timer = self._timers[number]
        if register:
            timer.write_comparator(value, mask)
        elif mask & 1:
            before = timer.configuration
            timer.configure(value)
            if not timer.configuration & LEVEL:
                self._status &= ~(1 << number)
            if (before ^ timer.configuration) & (LEVEL | ENABLED | ROUTE):
                self._release(number)
            self._drive_level(number)
        if self._configuration & _RUNS:
            timer.arm(self._count())
        self._check_gap(number)

    def _check_gap(self, number: int) -> None:
        timer = self._timers[number]
        if timer.configuration & ENABLED and timer.step < SHORTEST_EDGE_GAP_COUNTS:
            self._report(f"HPET: timer {number} has a period below 1 us: its edges come 1 us apart")

    # Time.

    def _now(self) -> int:
        """Counter periods since power-on."""
        return self._clock.now * FREQUENCY_HZ // self._clock.frequency_hz

    def _count(self) -> int:
        """The main counter, unwrapped.  While it runs, `_base` is what it would have shown at power-on."""
        return self._base + self._now() if self._configuration & _RUNS else self._base

    def _settle(self) -> None:
        """Do the matches up to now, and plan the next."""
        if not self._configuration & _RUNS:
            return
        count = self._count()
        for number, timer in enumerate(self._timers):
            if timer.settle(count):
                self._owed[number] = True
            if self._owed[number] and self._not_before[number] <= count:
                self._owed[number] = False
                self._matched(number, count)
        self._plan()

    def _plan(self) -> None:
        """Set the alarm for the next match that somebody would notice."""
        if not self._configuration & _RUNS:
            self._alarm.cancel()
            return
        counts = [
            self._not_before[number] if self._owed[number] else max(timer.match, self._not_before[number])
            for number, timer in enumerate(self._timers)
            if timer.match is not None and timer.configuration & ENABLED and not self._status >> number & 1
        ]
        if not counts:
            self._alarm.cancel()
            return
        at = -(-(min(counts) - self._base) * self._clock.frequency_hz // FREQUENCY_HZ)
        self._alarm.set(min(at, NEVER))

    # Interrupts.

    def _matched(self, number: int, count: int) -> None:
        timer = self._timers[number]
        if timer.configuration & LEVEL:
            self._status |= 1 << number
            self._drive_level(number)
        elif timer.configuration & ENABLED:
            if timer.step < SHORTEST_EDGE_GAP_COUNTS:
                self._not_before[number] = count + SHORTEST_EDGE_GAP_COUNTS
            line = self._driven[number] = self._line(number)
            line.pulse()

    def _drive_level(self, number: int) -> None:
        """Raise the wire of a timer whose level-triggered interrupt is active and enabled."""
        enabled = self._timers[number].configuration & ENABLED and self._configuration & _RUNS
        if enabled and self._status >> number & 1:
            line = self._driven[number] = self._line(number)
            line.set(True)

    def _release(self, number: int) -> None:
        line, self._driven[number] = self._driven[number], None
        if line is not None:
            line.set(False)

    def _line(self, number: int) -> Line:
        if self._configuration & _LEGACY and number < len(self._legacy):
            return self._legacy[number][1]
        return self._pin(self._timers[number].route)

    def _legacy_changed(self, irq: Line, level: bool) -> None:
        if not self._configuration & _LEGACY:
            irq.set(level)

    def _configure(self, value: int) -> None:
        """Write the configuration: start or stop the counter, and give IRQ 0 and 8 to who has them now."""
        count = self._count()
        before, self._configuration = self._configuration, value
        if value == before:
            return
        if value & _RUNS and not before & _RUNS:
            self._base = count - self._now()
            for timer in self._timers:
                timer.arm(count)
        elif not value & _RUNS:
            self._base = count & _ALL
            for timer in self._timers:
                timer.disarm()
        for number in range(TIMER_COUNT):
            self._release(number)
        if (before ^ value) & _LEGACY:
            for source, irq in self._legacy:
                irq.set(source.level and not value & _LEGACY)
        for number in range(TIMER_COUNT):
            self._drive_level(number)
