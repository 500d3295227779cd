"""Intel 82371SB (PIIX3): the ISA bridge with its PCI interrupt router, and the IDE function's configuration space.

Function 0, ISA bridge::

    4C IORT | 4E XBCS | 60-63 PIRQRC[A-D]: 7 not routed | 3-0 IRQ | 69 TOM | 6A MSTAT | 70 MBIRQ0 | 76 MBDMA0-1
    78 PCSC | 80 APICBASE | 82 DLC | A0 SMICNTL | A2 SMIEN | A4 SEE | A8 FTMR | AA SMIREQ | AC CTLTMR | AE CTHTMR

An asserted PIRQ input raises the ISA interrupt that its PIRQRC names.  Inputs share interrupts, and PCI devices share
inputs: a level is the OR of all.  (The edge/level registers 4D0h-4D1h stand beside the 8259As.)

Function 1, IDE::

    20 BMIBA: bus master interface base, 16 ports | 40 IDETIM primary | 42 IDETIM secondary: 15 decode enable

Source: Intel 82371FB/82371SB (PIIX/PIIX3) data sheet (290550), "Register Description"; QEMU's ``-machine pc`` for the
revision, status and subsystem values.
Not modelled: timing, DMA aliasing and chip select registers, APIC base and decode (they keep what is written); SMI;
IDETIM's decode enable: the legacy IDE ports always answer, as QEMU's do.
"""

from __future__ import annotations

from collections.abc import Callable

from hillemu.emu.devices.pci.pci_function import BAR_IO, Identity, Move, PciFunction
from hillemu.emu.devices.wired_or import WiredOr
from hillemu.emu.reports import Report, unheard
from hillemu.emu.wires import Line

PIRQRC, PIRQ_COUNT = 0x60, 4
NOT_ROUTED = 0x80
BUS_MASTER_BAR, BUS_MASTER_PORTS = 4, 16
IDETIM = 0x40
_RESERVED_IRQS = frozenset({0, 1, 2, 8, 13})

_ISA = Identity(0x8086, 0x7000, 0x060100, status=0x0200, multi_function=True)
_IDE = Identity(0x8086, 0x7010, 0x010180, status=0x0280)

_ISA_REGISTERS = (
    # offset, bytes, after reset, writable
    (0x4C, 1, 0x4D, 0xFF),
    (0x4E, 2, 0x0003, 0x01F7),
    (0x60, 4, 0x80808080, 0x8F8F8F8F),
    (0x69, 1, 0x02, 0xFE),
    (0x6A, 2, 0x0000, 0x0080),
    (0x70, 1, 0x80, 0xEF),
    (0x76, 2, 0x0C0C, 0x8F8F),
    (0x78, 2, 0x0002, 0xFFFF),
    (0x80, 1, 0x00, 0x7F),
    (0x82, 1, 0x00, 0x0F),
    (0xA0, 1, 0x08, 0x1F),
    (0xA2, 2, 0x0000, 0x00FF),
    (0xA4, 4, 0x00000000, 0xFFFFFFFF),
    (0xA8, 1, 0x0F, 0xFF),
    (0xAC, 1, 0x00, 0xFF),
    (0xAE, 1, 0x00, 0xFF),
)


class Piix3Isa(PciFunction):
    """Function 0.  `irq(n)` makes a new wire into ISA interrupt `n`, which other chips drive too."""

    def __init__(self, *, irq: Callable[[int], Line], report: Report = unheard) -> None:
        super().__init__(_ISA)
        self._irq = irq
        self._report = report
        self._reported: set[int] = set()
        self._inputs = [Line(self._input_changed) for _ in range(PIRQ_COUNT)]
        self._junctions = [WiredOr(line) for line in self._inputs]
        self._outputs: dict[int, Line] = {}
        for offset, size, value, writable in _ISA_REGISTERS:
            self.define(offset, size, value, writable=writable)

    def pirq(self, number: int) -> Line:
        """A new wire into PIRQ input `number`: 0 for PIRQA up to 3 for PIRQD."""
        return self._junctions[number].input()

    def config_changed(self, first: int, end: int) -> None:
        if first < PIRQRC + PIRQ_COUNT and end > PIRQRC:
            self._route()

    def _input_changed(self, level: bool) -> None:
        self._route()

    def _route(self) -> None:
        asserted = set()
        for number, line in enumerate(self._inputs):
            route = self.get(PIRQRC + number)
            if route & NOT_ROUTED:
                continue
            if route in _RESERVED_IRQS:
                self._complain(route)
            elif line.level:
                asserted.add(route)
        for number in asserted - self._outputs.keys():
            self._outputs[number] = self._irq(number)
        for number, output in self._outputs.items():
            output.set(number in asserted)

    def _complain(self, route: int) -> None:
        if route not in self._reported:
            self._reported.add(route)
            self._report(f"PIIX3: the guest routed a PCI interrupt to IRQ {route}, which is reserved: nothing arrives")


class Piix3Ide(PciFunction):
    """Function 1: what configures the IDE channels.

    `on_bus_master(base)` moves the 16 bus master ports; `on_master(enabled)` tells whether the guest lets the function
    reach memory, when that changes.
    """

    def __init__(self, *, on_bus_master: Move, on_master: Callable[[bool], None]) -> None:
        super().__init__(_IDE)
        self._on_master = on_master
        self._was_master = False
        self.add_bar(BUS_MASTER_BAR, BUS_MASTER_PORTS, on_bus_master, flags=BAR_IO)
        self.define(IDETIM, 4, 0, writable=0xFFFFFFFF)

    def config_changed(self, first: int, end: int) -> None:
        if self.is_master != self._was_master:
            self._was_master = self.is_master
            self._on_master(self._was_master)
