"""One comparator of the HPET: its registers, and the counts of the main counter at which it matches.

Counts here never wrap: they are the main counter with as many bits as it takes, of which the guest sees 64 and a timer
in 32-bit mode compares 32.

::

    one-shot   matches where the counter's low bits are the comparator's, and again after every wrap
    periodic   so does the first match; each adds the last written value (the period) to the comparator

A periodic 64-bit timer whose comparator is behind the counter, which would match in thousands of years, matches at
once, as on QEMU: the comparator's upper half is all ones after reset, and 32-bit software may not know of it.

Source: IA-PC HPET Specification 1.0a, "Timer N Configuration and Capabilities Register", "Timer n Comparator Value
Register" and "Theory of Operation".
"""

from __future__ import annotations

from hillemu.emu.word import Bit, Bits, Word


class TimerConfiguration(Word):
    """Timer n's configuration and capabilities."""

    BITS = 64
    routes = Bits(63, 32)
    fsb_capable = Bit(15)
    fsb = Bit(14)
    route = Bits(13, 9)
    mode_32 = Bit(8)
    value_set = Bit(6)
    size_64 = Bit(5)
    periodic_capable = Bit(4)
    periodic = Bit(3)
    enabled = Bit(2)
    level = Bit(1)


PERIODIC = TimerConfiguration.periodic.mask
ENABLED = TimerConfiguration.enabled.mask
LEVEL = TimerConfiguration.level.mask
MODE_32 = TimerConfiguration.mode_32.mask
_VALUE_SET = TimerConfiguration.value_set.mask
ROUTE = TimerConfiguration.route.mask
_CAPABILITIES = TimerConfiguration.size_64.mask | TimerConfiguration.periodic_capable.mask
_WRITABLE = PERIODIC | ENABLED | LEVEL | MODE_32 | ROUTE

_LOW = 0xFFFFFFFF
_ALL = (1 << 64) - 1


class HpetTimer:
    """A 64-bit timer that can be periodic.  `routes` has a bit for each I/O APIC pin that it can drive."""

    def __init__(self, routes: int) -> None:
        self._routes = routes
        self.reset()

    def reset(self) -> None:
        """Disabled, one-shot, edge-triggered; the comparator is all ones."""
        self.configuration = self._routes << 32 | _CAPABILITIES
        self.comparator = _ALL
        """The comparator register: where a periodic timer matches next."""
        self.period = 0
        self.match: int | None = None
        """The next count that matches; `None` while the main counter stands."""
        self._sets_value = 0  # the halves of the comparator whose next write sets it though the timer is periodic

    @property
    def route(self) -> int:
        """The I/O APIC pin that is selected."""
        return (self.configuration & ROUTE) >> 9

    def configure(self, value: int) -> None:
        """Write the low half of the configuration; a route that does not exist is not taken."""
        writable = _WRITABLE
        if not self._routes >> ((value & ROUTE) >> 9) & 1:
            writable &= ~ROUTE
        self.configuration = self.configuration & ~writable | value & writable
        self._sets_value = _ALL if value & _VALUE_SET else 0
        if self.configuration & MODE_32:
            self.comparator &= _LOW
            self.period &= _LOW

    def write_comparator(self, value: int, mask: int) -> None:
        """Write the bits in `mask`; a periodic timer's comparator only if the configuration said so just before."""
        if self.configuration & MODE_32:
            mask &= _LOW
        if not self.configuration & PERIODIC or self._sets_value & mask:
            self.comparator = self.comparator & ~mask | value & mask
        if self.configuration & PERIODIC:
            self.period = self.period & ~mask | value & mask
        self._sets_value &= ~mask

    def arm(self, count: int) -> None:
        """Look for the next match from `count` on, itself included."""
        ahead = self.comparator - count & self._mask
        if ahead >> 63 and self._repeats:
            ahead = 0
            self.comparator = count & _ALL
        self.match = count + ahead

    def disarm(self) -> None:
        """The main counter stands still."""
        self.match = None

    def settle(self, count: int) -> bool:
        """Go on to `count`; whether there has been a match up to it, itself included."""
        if self.match is None or self.match > count:
            return False
        step = self.step
        matches = (count - self.match) // step + 1
        self.match += matches * step
        if self._repeats:
            self.comparator = self.comparator + matches * step & self._mask
        return True

    @property
    def step(self) -> int:
        """Counts from match to match."""
        return self.period if self._repeats else self._mask + 1

    @property
    def _repeats(self) -> bool:
        return bool(self.configuration & PERIODIC and self.period)

    @property
    def _mask(self) -> int:
        return _LOW if self.configuration & MODE_32 else _ALL
