"""The 64 ports of the PIIX4's power management: ACPI's fixed registers, GPE0, and the chip's own.

::

    00 PMSTS (write 1 to clear)  10 RTC | 8 power button | 5 global | 4 bus master | 0 timer
    02 PMEN                      10 RTC | 8 power button | 5 global | 0 timer
    04 PMCNTRL                   13 SUS_EN (write only) | 12-10 SUS_TYP | 2 GBL_RLS | 1 BRLD_EN_BM | 0 SCI_EN
    08 PMTMR                     24 bits
    0C GPSTS (write 1 to clear) | 0E GPEN
    10 PCNTRL | 14 PLVL2 | 15 PLVL3 | 18 GLBSTS | 1C DEVSTS | 20 GLBEN | 28 GLBCTL | 2C DEVCTL | 30 GPIREG | 34 GPOREG

A status whose enable is set asserts SCI while SCI_EN is 1.  SUS_EN with SUS_TYP 0 switches the machine off (S5).  The
same GPE0 registers answer at QEMU's ports AFE0h-AFE3h (`gpe0`).

Source: Intel 82371AB (PIIX4) data sheet (290562), "Power Management I/O Space Registers"; ACPI specification 1.0b,
"ACPI Hardware Specification"; QEMU 7.2, for SUS_TYP 0 and AFE0h.
Not modelled, and reported when a guest asks for it: sleep states other than S5, GBL_RLS (no SMI).  The chip's own
registers from 10h on have no effect: controls keep what is written, status reads 0, reading PLVL2 and PLVL3 does not
stop the clock.
"""

from __future__ import annotations

from collections.abc import Callable

from hillemu.emu.clock import Clock
from hillemu.emu.devices.pci.acpi_timer import AcpiTimer
from hillemu.emu.reports import Report, unheard
from hillemu.emu.wires import Line

PORT_COUNT = 64
GPE0_PORT, GPE0_PORT_COUNT = 0xAFE0, 4
"""Where QEMU's machine has GPE0."""

PMSTS, PMEN, PMCNTRL, PMTMR, GPSTS, GPEN = 0x00, 0x02, 0x04, 0x08, 0x0C, 0x0E
TIMER, GLOBAL, POWER_BUTTON, RTC = 0x0001, 0x0020, 0x0100, 0x0400
SCI_EN, GBL_RLS, SUS_EN = 0x0001, 0x0004, 0x2000
_SUS_TYP_SHIFT = 10
_ENABLES = RTC | POWER_BUTTON | GLOBAL | TIMER
_CONTROL_KEPT = 0x1C03
_KEPT = {0x10: 0x1E, 0x12: 0x3E, 0x20: 0xFFFF, 0x28: 0xFFFF, 0x2A: 0xFFFF, 0x2C: 0xFFFF, 0x2E: 0xFFFF}
_KEPT |= {0x34: 0xFFFF, 0x36: 0x7FFF}
"""Registers of the chip's own that keep what is written, as 16-bit words with the bits that exist."""


class AcpiRegisters:
    """The PIIX4's power management ports.  Attach with ``width=4``.

    `sci` is the interrupt's wire; `on_power_off()` runs when the guest switches the machine off.  The clock chip
    drives `rtc` with its interrupt: each one sets RTC_STS, wherever else the wire leads.
    """

    def __init__(self, *, clock: Clock, sci: Line, on_power_off: Callable[[], None], report: Report = unheard) -> None:
        self._sci = sci
        self._on_power_off = on_power_off
        self._report = report
        self._reported: set[str] = set()
        self._timer = AcpiTimer(clock=clock, on_carry=self._settle)
        self.gpe0 = _Gpe0(self)
        self.rtc = Line(self._rtc_changed)
        self.reset()

    def reset(self) -> None:
        """Pull RSMRST#."""
        self._status = self._enable = self._control = 0
        self._gpe_status = self._gpe_enable = 0
        self._kept = dict.fromkeys(_KEPT, 0)
        self._timer.acknowledge()
        self._settle()

    # ---- the machine's side -------------------------------------------------------------------------------------

    def press_power_button(self) -> None:
        """Tell the guest that the user wants it to shut down."""
        self._status |= POWER_BUTTON
        self._settle()

    def raise_gpe(self, number: int) -> None:
        """Set general purpose event `number` (0-15)."""
        self._gpe_status |= 1 << number
        self._settle()

    def set_sci_enabled(self, enabled: bool) -> None:
        """Give events to the operating system or take them from it: what firmware does for a write to SMI_CMD."""
        self._control = self._control & ~SCI_EN | enabled
        self._settle()

    # ---- BusDevice ----------------------------------------------------------------------------------------------

    def read(self, offset: int, size: int) -> int:
        if offset == PMTMR:  # what a kernel's clock reads all the time
            return self._timer.count & (1 << 8 * size) - 1
        value = self._word(offset & ~3) | self._word(offset & ~3 | 2) << 16
        return value >> 8 * (offset & 3) & (1 << 8 * size) - 1

    peek = read

    def write(self, offset: int, size: int, value: int) -> None:
        end = offset + size
        while offset < end:
            first = offset & ~1
            count = min(end, first + 2) - offset
            shift = 8 * (offset - first)
            mask = (1 << 8 * count) - 1 << shift
            self._write_word(first, value << shift & mask, mask)
            value >>= 8 * count
            offset += count

    def _rtc_changed(self, level: bool) -> None:
        if level:
            self._status |= RTC
            self._settle()

    # ---- inside -------------------------------------------------------------------------------------------------

    def _word(self, offset: int) -> int:
        if offset == PMSTS:
            return self._status | (TIMER if self._timer.carried else 0)
        if offset == PMEN:
            return self._enable
        if offset == PMCNTRL:
            return self._control
        if offset in (PMTMR, PMTMR + 2):
            return self._timer.count >> 8 * (offset - PMTMR) & 0xFFFF
        if offset == GPSTS:
            return self._gpe_status
        if offset == GPEN:
            return self._gpe_enable
        return self._kept.get(offset, 0)

    def _write_word(self, offset: int, value: int, mask: int) -> None:
        """Write the bits of `mask`; `value` has no others."""
        if offset == PMSTS:
            self._status &= ~value
            if value & TIMER and self._timer.carried:
                self._timer.acknowledge()
        elif offset == PMEN:
            self._enable = self._enable & ~mask | value & _ENABLES
        elif offset == PMCNTRL:
            self._write_control(value, mask)
        elif offset == GPSTS:
            self._gpe_status &= ~value
        elif offset == GPEN:
            self._gpe_enable = self._gpe_enable & ~mask | value
        elif offset in self._kept:
            self._kept[offset] = self._kept[offset] & ~mask | value & _KEPT[offset]
            return
        self._settle()

    def _write_control(self, value: int, mask: int) -> None:
        self._control = self._control & ~mask | value & _CONTROL_KEPT
        if value & GBL_RLS:
            self._complain("GBL_RLS asks the firmware's SMI handler for the global lock; SMI is not modelled")
        if value & SUS_EN:
            sleep_type = self._control >> _SUS_TYP_SHIFT & 7
            if sleep_type == 0:
                self._on_power_off()
            else:
                self._complain(f"the guest asked for sleep type {sleep_type}; only 0, off, is modelled: it stays awake")

    def _settle(self) -> None:
        """Drive SCI, and have the timer tell its next carry where that can change it."""
        status = self._word(PMSTS)
        pending = status & self._enable or self._gpe_status & self._gpe_enable
        self._sci.set(bool(pending) and bool(self._control & SCI_EN))
        self._timer.watch(bool(self._enable & TIMER) and not status & TIMER)

    def _complain(self, fault: str) -> None:
        if fault not in self._reported:
            self._reported.add(fault)
            self._report(f"PIIX4: {fault}")


class _Gpe0:
    """GPE0 alone: status at offsets 0-1, enable at 2-3."""

    def __init__(self, registers: AcpiRegisters) -> None:
        self._registers = registers

    def read(self, offset: int, size: int) -> int:
        return self._registers.read(GPSTS + offset, size)

    peek = read

    def write(self, offset: int, size: int, value: int) -> None:
        self._registers.write(GPSTS + offset, size, value)
