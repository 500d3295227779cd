"""Motorola MC146818 real-time clock with 128 bytes of battery-backed memory.

A PC has it at ports 0x70-0x71::

    offset 0, write   6-0 index of the byte that offset 1 accesses   7 NMI off
    offset 1          that byte

    0x00 second  0x02 minute  0x04 hour  0x06 weekday  0x07 day  0x08 month  0x09 year  0x32 century
    0x01 second alarm  0x03 minute alarm  0x05 hour alarm
    0x0A A   7 UIP   6-4 divider   3-0 periodic rate
    0x0B B   7 SET   6 PIE   5 AIE   4 UIE   3 SQWE   2 DM   1 24/12   0 DSE
    0x0C C   7 IRQF   6 PF   5 AF   4 UF              all cleared by reading
    0x0D D   7 VRT
    others   memory; `cmos_layout` says what the firmware puts there

The time of day is virtual time plus `base`, so two runs see the same dates.  UIP rises 244 us before the update cycle,
which takes 1984 us; the time locations change at its end.  Nothing is stepped: time and flags are computed when they
are looked at, and the clock has an event only while an interrupt is enabled and its line (IRQ 8) is low.

Not modelled: the square-wave pin (SQWE), the unpredictable bytes during an update cycle (the old ones are read).
Reported when a guest asks for it: daylight saving (DSE), and time bases other than 32.768 kHz, which stop the divider.

Source: Motorola MC146818 data sheet, "Registers", "Interrupts" and "Update Cycle".
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from hillemu.emu.clock import Clock, Event
from hillemu.emu.devices.clocks.cmos_layout import contents
from hillemu.emu.devices.clocks.rtc_calendar import Codes, Form
from hillemu.emu.reports import Report, unheard
from hillemu.emu.wires import Line

DEFAULT_BASE = datetime(2026, 1, 1, tzinfo=UTC)

_CRYSTAL_HZ = 32768
_UPDATE_CYCLES = 8 + 65  # of the crystal: 244 us of warning and 1984 us of update cycle

_CLOCK_FIELDS = {0x00: 0, 0x02: 1, 0x04: 2, 0x06: 3, 0x07: 4, 0x08: 5, 0x09: 6, 0x32: 7}
_ALARMS = (0x01, 0x03, 0x05)
_A, _B, _C, _D = 0x0A, 0x0B, 0x0C, 0x0D

_A_UIP = 0x80
_A_DIVIDER = 0x70
_A_DIVIDER_RUNS = 0x20
_A_DIVIDER_RESET = 0x60
_A_RATE = 0x0F
_B_SET = 0x80
_B_PIE, _B_AIE, _B_UIE = 0x40, 0x20, 0x10
_B_SQWE = 0x08
_B_DM = 0x04
_B_24 = 0x02
_B_DSE = 0x01
_ENABLES = _B_PIE | _B_AIE | _B_UIE
_C_IRQF = 0x80
_C_PF, _C_AF, _C_UF = _B_PIE, _B_AIE, _B_UIE
_D_VRT = 0x80
_NOT_DRIVEN = 0xFF


class Cmos:
    """The chip.  A naive `base` is taken as UTC; see `cmos_layout.contents` for the options after it.

    >>> cmos = Cmos(clock=Clock(), output=Line(), ram_below_4g_bytes=16 << 20)
    >>> cmos.write(0, 1, 0x09); hex(cmos.read(1, 1))
    '0x26'
    """

    def __init__(
        self,
        *,
        clock: Clock,
        output: Line,
        ram_below_4g_bytes: int,
        ram_above_4g_bytes: int = 0,
        base: datetime = DEFAULT_BASE,
        boot_order: str = "cad",
        floppies: Sequence[int] = (),
        fpu: bool = True,
        mouse: bool = True,
        report: Report = unheard,
    ) -> None:
        self.output = output
        self.nmi_masked = False
        self.memory = contents(
            ram_below_4g_bytes=ram_below_4g_bytes,
            ram_above_4g_bytes=ram_above_4g_bytes,
            boot_order=boot_order,
            floppies=floppies,
            fpu=fpu,
            mouse=mouse,
        )
        """All bytes but the time of day and the registers C and D, by index; the machine may put more here."""
        self._clock = clock
        self._report = report
        self._index = 0
        self._event: Event | None = None
        self._flags = 0  # PF, AF and UF as of tick `_settled`
        self._settled = clock.now
        self._set_registers(_A_DIVIDER_RUNS | 6, _B_24)
        if base.tzinfo is not None:
            base = base.astimezone(UTC)
        # Update cycles end at this tick and every second before and after it.
        self._phase = clock.now - base.microsecond * clock.frequency_hz // 1_000_000
        self._codes = self._form.codes_of(base)

    def reset(self) -> None:
        """Pull the chip's RESET pin: interrupts are disabled, time and memory stay."""
        now = self._settle()
        self._flags = 0
        self._set_registers(self.memory[_A], self.memory[_B] & ~(_ENABLES | _B_SQWE))
        self._drive(now)

    # The bus.

    def read(self, offset: int, size: int) -> int:
        value = self.peek(offset, size)
        if offset and self._index == _C:
            now = self._settle()
            self._flags = 0
            self._drive(now)
        return value

    def peek(self, offset: int, size: int) -> int:
        if not offset:
            return _NOT_DRIVEN
        now, index = self._now(), self._index
        if index in _CLOCK_FIELDS:
            return self._codes_at(now)[_CLOCK_FIELDS[index]]
        if index == _A:
            return self.memory[_A] | (_A_UIP if self._is_updating(now) else 0)
        if index == _C:
            flags = self._flags_at(now)
            return flags | (_C_IRQF if flags & self.memory[_B] & _ENABLES else 0)
        return _D_VRT if index == _D else self.memory[index]

    def write(self, offset: int, size: int, value: int) -> None:
        if not offset:
            self._index = value & 0x7F
            self.nmi_masked = bool(value & 0x80)
            return
        index = self._index
        if index in _CLOCK_FIELDS:
            now = self._settle()
            codes = list(self._codes)
            codes[_CLOCK_FIELDS[index]] = value
            self._codes = Codes(*codes)
        elif index in _ALARMS:
            now = self._settle()
            self.memory[index] = value
        elif index == _A:
            now = self._settle()
            self._write_a(now, value & ~_A_UIP)
        elif index == _B:
            now = self._settle()
            self._write_b(value)
        else:
            if index not in (_C, _D):
                self.memory[index] = value
            return
        self._drive(now)

    def _write_a(self, now: int, value: int) -> None:
        did_run = self._divider_runs
        self._set_registers(value, self.memory[_B])
        if self._divider_runs and not did_run:
            # "The first update cycle begins one-half second later."
            self._phase = now - self._clock.frequency_hz // 2
        elif not self._divider_runs and value & _A_DIVIDER_RESET != _A_DIVIDER_RESET:
            self._report(f"RTC: register A {value:#04x} selects a time base that a PC has not: the clock stops")

    def _write_b(self, value: int) -> None:
        if value & _B_SET:
            value &= ~_B_UIE  # "SET going high clears the UIE bit."
        if value & _B_DSE:
            self._report(f"RTC: register B {value:#04x} asks for daylight saving, which is not modelled")
        self._set_registers(self.memory[_A], value)

    def _set_registers(self, a: int, b: int) -> None:
        self.memory[_A], self.memory[_B] = a, b
        self._form = Form(binary=bool(b & _B_DM), hours_24=bool(b & _B_24))
        self._divider_runs = a & _A_DIVIDER == _A_DIVIDER_RUNS
        self._counts = self._divider_runs and not b & _B_SET
        rate = a & _A_RATE
        # Rates 1 and 2 are 256 Hz and 128 Hz, like 8 and 9.
        self._period_cycles = 0 if not rate else 1 << (rate + 6 if rate <= 2 else rate - 1)

    # Time.  Ticks become update cycles and periods by exact division, so nothing drifts.

    def _now(self) -> int:
        # A scheduled action of another device may run a little in the past.
        return max(self._clock.now, self._settled)

    def _updates(self, now: int) -> int:
        """Update cycles that have ended since tick `_phase`."""
        return (now - self._phase) // self._clock.frequency_hz

    def _periods(self, now: int) -> int:
        """Periods of the periodic interrupt that have ended since tick `_phase`."""
        return (now - self._phase) * _CRYSTAL_HZ // (self._clock.frequency_hz * self._period_cycles)

    def _is_updating(self, now: int) -> bool:
        frequency_hz = self._clock.frequency_hz
        remaining = frequency_hz - (now - self._phase) % frequency_hz
        return self._counts and remaining * _CRYSTAL_HZ <= _UPDATE_CYCLES * frequency_hz

    def _codes_at(self, now: int) -> Codes:
        seconds = self._updates(now) - self._updates(self._settled) if self._counts else 0
        return self._form.advance(self._codes, seconds) if seconds else self._codes

    def _flags_at(self, now: int) -> int:
        flags = self._flags
        if self._divider_runs and self._period_cycles and self._periods(now) > self._periods(self._settled):
            flags |= _C_PF
        updates = self._updates(now) - self._updates(self._settled) if self._counts else 0
        if updates:
            flags |= _C_UF
            alarm = self._seconds_to_alarm()
            if alarm is not None and alarm <= updates:
                flags |= _C_AF
        return flags

    def _seconds_to_alarm(self) -> int | None:
        """Seconds from the update before `_settled` to the next alarm."""
        second, minute, hour = (self.memory[index] for index in _ALARMS)
        return self._form.next_alarm((second, minute, hour), self._form.moment(self._codes)[1])

    def _settle(self) -> int:
        """Bring time and flags up to now, and return the tick; every change of a register comes after this."""
        now = self._now()
        self._flags, self._codes, self._settled = self._flags_at(now), self._codes_at(now), now
        return now

    # The interrupt.

    def _drive(self, now: int) -> None:
        """Give the line its level and plan the event at which it will rise."""
        if self._event is not None:
            self._event.cancel()
            self._event = None
        enabled = self.memory[_B] & _ENABLES
        pending = self._flags & enabled
        self.output.set(pending != 0)
        if pending or not enabled:
            return
        ticks = self._next_interrupts(now, enabled)
        if ticks:
            self._event = self._clock.schedule(min(ticks), self._on_event)

    def _next_interrupts(self, now: int, enabled: int) -> list[int]:
        """The ticks of the next interrupts, one of each enabled kind that can come."""
        frequency_hz, ticks = self._clock.frequency_hz, []
        if enabled & _B_PIE and self._divider_runs and self._period_cycles:
            cycles = (self._periods(now) + 1) * self._period_cycles
            ticks.append(self._phase - -cycles * frequency_hz // _CRYSTAL_HZ)
        if self._counts:
            updates = self._updates(now)
            if enabled & _B_UIE:
                ticks.append(self._phase + (updates + 1) * frequency_hz)
            if enabled & _B_AIE and (alarm := self._seconds_to_alarm()) is not None:
                ticks.append(self._phase + (updates + alarm) * frequency_hz)
        return ticks

    def _on_event(self) -> None:
        self._drive(self._settle())
