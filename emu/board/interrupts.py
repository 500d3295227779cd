"""Who may interrupt the processor, and over which wires.

::

    chip --+
    chip --+-- ISA IRQ n --+-- 8259A pair ------ LINT0 --+
    PIRQ --+               |                             |-- local APIC -- processor
                           +-- I/O APIC pin --- message -+
    HPET ----------------------- I/O APIC pin

Several chips may share an ISA interrupt, so each gets a wire of its own into it.

Source: Intel MultiProcessor Specification 1.4, "Interrupt Modes".
"""

from __future__ import annotations

from collections.abc import Callable

from hillemu.emu.bus import Bus
from hillemu.emu.clock import Clock
from hillemu.emu.devices.apic.ioapic import IoApic
from hillemu.emu.devices.apic.irq_routing import isa_line
from hillemu.emu.devices.apic.lapic import Lapic
from hillemu.emu.devices.pci.moving_range import MovingRange
from hillemu.emu.devices.pic import PicPair
from hillemu.emu.devices.wired_or import WiredOr
from hillemu.emu.reports import Report
from hillemu.emu.wires import Line

LAPIC_BYTES = 0x1000
IOAPIC_BASE, IOAPIC_BYTES = 0xFEC00000, 0x1000
CASCADE = 2
ISA_IRQS = 16


class Interrupts:
    """The interrupt controllers.  `intr` is the processor's pin; `nmi()` and `init()` interrupt and reset it."""

    def __init__(
        self,
        *,
        clock: Clock,
        ports: Bus,
        mmio: Bus,
        nmi: Callable[[], None],
        init: Callable[[], None],
        has_local_apic: bool,
        report: Report,
    ) -> None:
        self.intr = Line()
        self.pics = PicPair(Line(), report=report)
        registers: list[MovingRange] = []
        self.lapic = Lapic(
            clock=clock,
            intr=self.intr,
            pic_acknowledge=self.pics.acknowledge,
            nmi=nmi,
            init=init,
            on_base=lambda base: registers[0].move(base),
            report=report,
        )
        self.has_local_apic = has_local_apic
        registers.append(MovingRange(mmio, LAPIC_BYTES, self.lapic, name="local APIC", width=4, report=report))
        self.ioapic = IoApic(deliver=self.lapic.accept, report=report)
        self.lapic.on_eoi = self.ioapic.end_of_interrupt
        self.pics.intr.on_change = self.lapic.lint0.set
        registers[0].move(self.lapic.base)
        self._isa: dict[int, WiredOr] = {}
        self._attach(ports, mmio)
        self.reset()

    def _attach(self, ports: Bus, mmio: Bus) -> None:
        ports.attach(0x20, 2, self.pics.master, name="8259A master")
        ports.attach(0xA0, 2, self.pics.slave, name="8259A slave")
        ports.attach(0x4D0, 1, self.pics.master.elcr, name="ELCR master")
        ports.attach(0x4D1, 1, self.pics.slave.elcr, name="ELCR slave")
        mmio.attach(IOAPIC_BASE, IOAPIC_BYTES, self.ioapic, name="I/O APIC", width=4)

    def irq(self, number: int) -> Line:
        """A new wire into ISA interrupt `number`; from 16 on, an input of the I/O APIC alone."""
        if number >= ISA_IRQS or number == CASCADE:
            return self.ioapic.line(number)
        if number not in self._isa:
            self._isa[number] = WiredOr(isa_line(number, self.pics.line, self.ioapic.line))
        return self._isa[number].input()

    def reset(self) -> None:
        self.pics.reset()
        self.ioapic.reset()
        self.lapic.reset()
        if not self.has_local_apic:
            self.lapic.set_base_msr(0)
