"""The interrupts that a local APIC makes itself: its two pins, its timer and its errors, by the local vector table.

`Delivery` is how they reach the processor; `registers` is the APIC's register file, shared with it.

Source: Intel SDM Vol. 3A, "Local Vector Table", "Error Handling" and "Local APIC State After It Has Been Software
Disabled".
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from hillemu.emu.clock import Clock
from hillemu.emu.devices.apic import lapic_registers as reg
from hillemu.emu.devices.apic.apic_message import EXTINT, FIXED, LOWEST_LEGAL_VECTOR, NMI
from hillemu.emu.devices.apic.lapic_timer import LapicTimer
from hillemu.emu.reports import Report
from hillemu.emu.wires import Line

_IGNORED = -1
"""The timer's vector while its entry is masked."""


class Delivery(Protocol):
    """The part of the APIC that takes interrupts to the processor."""

    def request(self, vector: int, level_triggered: bool) -> bool:
        """Deliver a vector; `False` if it is illegal."""

    def signal(self, mode: int) -> bool:
        """Deliver what has no vector: NMI, INIT, SMI."""

    def is_requested(self, vector: int) -> bool:
        """Whether a vector waits for the processor."""

    def update(self) -> None:
        """Look again whether there is something for the processor."""


class LocalSources:
    """The pins `lint0` and `lint1`, the timer, the error register and the local vector table."""

    def __init__(self, *, clock: Clock, registers: dict[int, int], delivery: Delivery, report: Report) -> None:
        self.lint0 = Line(partial(self._pin_changed, reg.LVT_LINT0))
        self.lint1 = Line(partial(self._pin_changed, reg.LVT_LINT1))
        self.timer = LapicTimer(clock, self._timer_expired)
        self.external = False
        """Whether an 8259A asks through a pin."""
        self.writers: dict[int, Callable[[int], None]] = {
            reg.LVT_TIMER: self._write_lvt_timer,
            reg.LVT_LINT0: partial(self._write_lvt_pin, reg.LVT_LINT0),
            reg.LVT_LINT1: partial(self._write_lvt_pin, reg.LVT_LINT1),
            reg.INITIAL_COUNT: self.timer.start,
            reg.DIVIDE: self._write_divide,
            reg.ESR: self._write_esr,
        }
        """What to do, with the value, when a register has been written."""
        for register in (reg.LVT_THERMAL, reg.LVT_PERFORMANCE, reg.LVT_ERROR):
            self.writers[register] = partial(self._mask_if_disabled, register)
        self._pins = {reg.LVT_LINT0: self.lint0, reg.LVT_LINT1: self.lint1}
        self._registers = registers
        self._delivery = delivery
        self._report = report
        self._connected = True
        self._errors = 0
        self._error_is_armed = True
        self._timer_vector = _IGNORED

    def reset(self) -> None:
        """Follow the register file back to its state after reset; the pins stay as their drivers hold them."""
        self._errors = 0
        self._error_is_armed = True
        self.timer.reset()
        self._listen_to_timer()
        self._find_external()

    def connect(self, connected: bool) -> None:
        """A disabled APIC is not connected: its pins are the processor's INTR and NMI."""
        self._connected = connected
        self._find_external()

    def software_enabled(self, enabled: bool) -> None:
        """Follow the enable bit of the SVR."""
        if not enabled:
            self.timer.settle()
            for lvt in reg.LVTS:
                self._registers[lvt] |= reg.MASKED
            self._listen_to_timer()
            self._find_external()

    def error(self, bit: int) -> None:
        """Note an error for the next write to the ESR; the first since the last write interrupts."""
        self._errors |= bit
        if self._error_is_armed:
            self._error_is_armed = False
            lvt = self._registers[reg.LVT_ERROR]
            if not lvt & reg.MASKED:
                self._delivery.request(lvt & 0xFF, False)

    def vector_moved(self, vector: int) -> None:
        """Hear that `vector` has come to wait for the processor, or waits no more."""
        if vector == self._timer_vector:
            self._listen_to_timer()

    def level_ended(self, vector: int) -> None:
        """Hear the EOI of a level-triggered interrupt."""
        lvt = self._registers[reg.LVT_LINT0]
        if lvt & reg.REMOTE_IRR and lvt & 0xFF == vector:
            self._registers[reg.LVT_LINT0] = lvt & ~reg.REMOTE_IRR
            self._offer_level()

    # The registers.

    def _mask_if_disabled(self, register: int, value: int) -> None:
        """While the APIC is software-disabled, attempts to clear an entry's mask bit are ignored."""
        if not self._registers[reg.SVR] & reg.SOFTWARE_ENABLE:
            self._registers[register] |= reg.MASKED

    def _write_lvt_timer(self, value: int) -> None:
        self.timer.settle()  # what is due has expired with the old vector
        self._mask_if_disabled(reg.LVT_TIMER, value)
        if value & reg.TSC_DEADLINE:
            self._report("local APIC: the timer's TSC-deadline mode is asked for, which this processor has not")
        self.timer.set_periodic(bool(value & reg.PERIODIC))
        self._listen_to_timer()

    def _write_divide(self, value: int) -> None:
        self.timer.set_divisor(reg.DIVISORS[self._registers[reg.DIVIDE]])

    def _write_lvt_pin(self, register: int, value: int) -> None:
        self._mask_if_disabled(register, value)
        if value & reg.ACTIVE_LOW:
            self._report("local APIC: LINT0 or LINT1 is programmed active low; the pin's polarity has no meaning here")
        if value & (reg.LEVEL | reg.MODE) != reg.LEVEL:  # level-triggered and fixed
            self._registers[register] &= ~reg.REMOTE_IRR
        self._offer_level()
        self._find_external()

    def _write_esr(self, value: int) -> None:
        """ "This write clears any previously logged errors and updates the ESR with any errors detected since." """
        self._registers[reg.ESR], self._errors = self._errors, 0
        self._error_is_armed = True
        self._listen_to_timer()

    # The timer.

    def _listen_to_timer(self) -> None:
        """An expiry matters unless the entry is masked or its vector, or its error, waits already."""
        lvt = self._registers[reg.LVT_TIMER]
        self._timer_vector = vector = _IGNORED if lvt & reg.MASKED else lvt & 0xFF
        if vector >= LOWEST_LEGAL_VECTOR:
            self.timer.listen(not self._delivery.is_requested(vector))
        else:
            self.timer.listen(vector != _IGNORED and not self._errors & reg.RECEIVE_ILLEGAL_VECTOR)

    def _timer_expired(self) -> None:
        self._delivery.request(self._timer_vector, False)
        self._listen_to_timer()

    # The pins.

    def _pin_changed(self, register: int, level: bool) -> None:
        if level:
            if not self._connected:
                if register == reg.LVT_LINT1:
                    self._delivery.signal(NMI)
            elif not self._registers[register] & reg.MASKED:
                self._pin_rose(register, self._registers[register])
        self._find_external()

    def _pin_rose(self, register: int, lvt: int) -> None:
        mode = lvt >> 8 & 7
        if mode == FIXED:
            if register == reg.LVT_LINT0 and lvt & reg.LEVEL:
                self._offer_level()
            else:  # "Level-sensitive interrupts are not supported for LINT1."
                self._delivery.request(lvt & 0xFF, False)
        elif mode != EXTINT:
            self._delivery.signal(mode)

    def _offer_level(self) -> None:
        """Request LINT0's level-triggered interrupt, unless the last one has had no EOI."""
        lvt = self._registers[reg.LVT_LINT0]
        ready = lvt & (reg.MASKED | reg.LEVEL | reg.REMOTE_IRR | reg.MODE) == reg.LEVEL
        if ready and self.lint0.level and self._delivery.request(lvt & 0xFF, True):
            self._registers[reg.LVT_LINT0] |= reg.REMOTE_IRR

    def _find_external(self) -> None:
        if self._connected:
            self.external = any(
                pin.level and self._registers[lvt] & (reg.MASKED | reg.MODE) == EXTINT << 8
                for lvt, pin in self._pins.items()
            )
        else:
            self.external = self.lint0.level
        self._delivery.update()
