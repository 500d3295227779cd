"""Intel 82371AB (PIIX4) function 3: where power management and SMBus answer, and how firmware hands ACPI over.

::

    40 PMBASE     15-6 base of the 64 power management ports | 0 = 1
    44-7C         CNTA, CNTB, GPICTL, DEVRESx, DEVACTx
    58 DEVACTB    25 APMC_EN: a write to port B2h is an SMI
    80 PMREGMISC  0 the ports at PMBASE answer
    90 SMBBA      15-4 base of the 16 SMBus ports | 0 = 1
    D2 SMBHSTCFG  3-1 interrupt: 4 = IRQ 9, 0 = SMI | 0 the ports at SMBBA answer
    D3 SMBSLVC | D4, D5 SMBSHDW1, 2 | D6 SMBREV

    port B2h APMC, B3h APMS: command and status between the operating system and the firmware's SMI handler

There is no system management mode.  What a firmware's handler would do for the two values that ACPI's FADT tells is
done here: F1h at port B2h sets SCI_EN, F0h clears it.  APMC_EN is set from the start, which tells firmware that SMIs
have been set up (QEMU does so, too, where SMM is off, ``-machine pc,smm=off``).

Source: Intel 82371AB (PIIX4) data sheet (290562), "PM Configuration Registers", "APMC", "APMS"; QEMU 7.2
for F0h, F1h and the values of DEVACTB and DEVRESA-C.
Not modelled: device monitors, general purpose inputs (their registers keep what is written); SMIs, of which `report`
is told.
"""

from __future__ import annotations

from collections.abc import Callable

from hillemu.emu.bus import Bus
from hillemu.emu.clock import Clock
from hillemu.emu.devices.pci import smbus
from hillemu.emu.devices.pci.acpi_registers import PORT_COUNT, AcpiRegisters
from hillemu.emu.devices.pci.moving_range import MovingRange
from hillemu.emu.devices.pci.pci_function import Identity, PciFunction
from hillemu.emu.devices.wired_or import WiredOr
from hillemu.emu.reports import Report, unheard
from hillemu.emu.wires import Line

PMBASE, PMREGMISC, SMBBA, SMBHSTCFG = 0x40, 0x80, 0x90, 0xD2
APM_PORT, APM_PORT_COUNT = 0xB2, 2
ACPI_ENABLE, ACPI_DISABLE = 0xF1, 0xF0
_DEVACTB, _APMC_EN = 0x58, 1 << 25
_SMBUS_IRQ9 = 4
_IDENTITY = Identity(0x8086, 0x7113, 0x068000, revision=0x03, status=0x0280, pin=1)

_REGISTERS = (
    # offset, bytes, after reset, writable
    (PMBASE, 4, 0x00000001, 0x0000FFC0),
    (0x44, 0x3C, 0, (1 << 8 * 0x3C) - 1),
    (_DEVACTB, 4, _APMC_EN, 0xFFFFFFFF),
    (PMREGMISC, 1, 0, 0x01),
    (SMBBA, 4, 0x00000001, 0x0000FFF0),
    (SMBHSTCFG, 1, 0, 0x0F),
    (0xD3, 3, 0, 0xFFFFFF),
)
_LPT, _ANY, _FLOPPY_AND_KEYBOARD, _COM1, _COM2 = 0x80, 0x10, 0x60, 0x08, 0x90


class Piix4Pm(PciFunction):
    """The function, with `acpi` (its power management registers), `smbus` and `apm` (attach at `APM_PORT`).

    `ports` is the I/O space in which the guest moves them.  `irq9` is a wire of its own into ISA interrupt 9, which
    PCI devices may share.  `on_power_off()` runs when the guest switches the machine off.  `serial_ports` and
    `parallel_port` are what DEVRESA and DEVRESC tell of the devices on the board.
    """

    def __init__(
        self,
        *,
        ports: Bus,
        clock: Clock,
        irq9: Line,
        on_power_off: Callable[[], None],
        serial_ports: int = 2,
        parallel_port: bool = False,
        report: Report = unheard,
    ) -> None:
        super().__init__(_IDENTITY)
        interrupts = WiredOr(irq9)
        self.acpi = AcpiRegisters(clock=clock, sci=interrupts.input(), on_power_off=on_power_off, report=report)
        self._smbus_irq9 = interrupts.input()
        self._smbus_request = Line(self._smbus_interrupt)
        self.smbus = smbus.SmBus(interrupt=self._smbus_request)
        self.apm = _Apm(self)
        self._report = report
        self._told_of_smi = False
        self._acpi_ports = MovingRange(ports, PORT_COUNT, self.acpi, name="PIIX4 PM", width=4, report=report)
        self._smbus_ports = MovingRange(ports, smbus.PORT_COUNT, self.smbus, name="PIIX4 SMBus", report=report)
        for offset, size, value, writable in _REGISTERS:
            self.define(offset, size, value, writable=writable)
        self.define(0x5F, 1, _ANY | (_LPT if parallel_port else 0), writable=0xFF)
        self.define(0x63, 1, _FLOPPY_AND_KEYBOARD, writable=0xFF)
        self.define(0x67, 1, (_COM1 if serial_ports else 0) | (_COM2 if serial_ports > 1 else 0), writable=0xFF)

    def reset(self) -> None:
        self.acpi.reset()
        self.smbus.reset()
        self.apm.reset()
        super().reset()

    def config_changed(self, first: int, end: int) -> None:
        self._acpi_ports.move(self._base(PMBASE) if self.get(PMREGMISC) & 1 else None)
        self._smbus_ports.move(self._base(SMBBA) if self.get(SMBHSTCFG) & 1 else None)
        self._smbus_interrupt(self._smbus_request.level)

    def command(self, value: int) -> None:
        """What happens at a write of `value` to port B2h."""
        if value in (ACPI_ENABLE, ACPI_DISABLE):
            self.acpi.set_sci_enabled(value == ACPI_ENABLE)
        elif self.get(_DEVACTB, 4) & _APMC_EN and not self._told_of_smi:
            self._told_of_smi = True
            self._report(f"PIIX4: {value:#04x} at port 0xb2 asks for an SMI; system management mode is not modelled")

    def _base(self, register: int) -> int:
        return self.get(register, 4) & 0xFFFE

    def _smbus_interrupt(self, level: bool) -> None:
        self._smbus_irq9.set(level and self.get(SMBHSTCFG) >> 1 & 7 == _SMBUS_IRQ9)


class _Apm:
    """Ports B2h and B3h."""

    def __init__(self, pm: Piix4Pm) -> None:
        self._pm = pm
        self.reset()

    def reset(self) -> None:
        self._values = [0, 0]

    def read(self, offset: int, size: int) -> int:
        return self._values[offset]

    peek = read

    def write(self, offset: int, size: int, value: int) -> None:
        self._values[offset] = value
        if offset == 0:
            self._pm.command(value)
