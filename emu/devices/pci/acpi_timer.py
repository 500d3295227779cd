"""The ACPI power management timer: 24 bits that count at 3.579545 MHz, whatever the processor does.

Its most significant bit changes every 2.34 s, which sets TMR_STS.  The counter starts at 0 with virtual time and no
reset touches it.

>>> clock = Clock(frequency_hz=3_579_545)
>>> timer = AcpiTimer(clock=clock, on_carry=lambda: None)
>>> clock.advance(1000); timer.count
1000

Source: ACPI specification 1.0b, "Power Management Timer"; Intel 82371AB (PIIX4) data sheet, "PMTMR".
Not modelled: nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from hillemu.emu.clock import Clock, Event

FREQUENCY_HZ = 3_579_545
BITS = 24
_HALF = 1 << (BITS - 1)


class AcpiTimer:
    """The counter; after `watch`, `on_carry` runs when its top bit changes."""

    def __init__(self, *, clock: Clock, on_carry: Callable[[], None]) -> None:
        self._clock = clock
        self._on_carry = on_carry
        self._event: Event | None = None
        self._watched = False
        self._next_carry = 0
        self.acknowledge()

    @property
    def count(self) -> int:
        """The 24 bits that the guest reads."""
        return self._total() & (1 << BITS) - 1

    @property
    def carried(self) -> bool:
        """Whether the top bit has changed since `acknowledge`."""
        return self._total() >= self._next_carry

    def acknowledge(self) -> None:
        """Wait for the next change of the top bit."""
        self._next_carry = (self._total() // _HALF + 1) * _HALF
        self._arm()

    def watch(self, wanted: bool) -> None:
        """Run `on_carry` at the next change (or not)."""
        self._watched = wanted
        self._arm()

    def _total(self) -> int:
        return self._clock.now * FREQUENCY_HZ // self._clock.frequency_hz

    def _arm(self) -> None:
        if self._event is not None:
            self._event.cancel()
            self._event = None
        if self._watched and not self.carried:
            at = -(-self._next_carry * self._clock.frequency_hz // FREQUENCY_HZ)
            self._event = self._clock.schedule(at, self._on_carry)
