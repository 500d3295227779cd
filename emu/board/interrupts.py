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

from hillemu.emu.bus import Bus, StillWord
from hillemu.emu.clock import Clock
from hillemu.emu.devices.apic.ioapic import IoApic
from hillemu.emu.devices.apic.irq_routing import isa_line
from hillemu.emu.devices.apic.lapic import Lapic
from hillemu.emu.devices.pci.moving_range import MovingRange
from hillemu.emu.devices.pic import PicPair
from hillemu.emu.devices.wired_or import WiredOr
from hillemu.emu.reports import Report
from hillemu.emu.wires import Line

LAPIC_BYTES, ID_OFFSET = 0x1000, 0x20
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
        self._id_word: StillWord | None = None
        self.lapic = Lapic(
            clock=clock,
            intr=self.intr,
            pic_acknowledge=self.pics.acknowledge,
            nmi=nmi,
            init=init,
            report=report,
        )
        self.has_local_apic = has_local_apic
        self._registers = MovingRange(mmio, LAPIC_BYTES, self.lapic, name="local APIC", width=4, report=report)
        self.ioapic = IoApic(deliver=self.lapic.accept, report=report)
        self.lapic.on_eoi = self.ioapic.end_of_interrupt
        self.pics.intr.on_change = self.lapic.lint0.set
        self.lapic.on_base, self.lapic.on_id = self._place_registers, self._show_id
        self._place_registers(self.lapic.base)
        self._isa: dict[int, WiredOr] = {}
        self._attach(ports, mmio)
        self.reset()

    def _attach(self, ports: Bus, mmio: Bus) -> None:
        ports.attach(0x20, 2, self.pics.master, name="8259A master")
        ports.attach(0xA0, 2, self.pics.slave, name="8259A slave")
        ports.attach(0x4D0, 1, self.pics.master.elcr, name="ELCR master")
        ports.attach(0x4D1, 1, self.pics.slave.elcr, name="ELCR slave")
        mmio.attach(IOAPIC_BASE, IOAPIC_BYTES, self.ioapic, name="I/O APIC", width=4)

    def show_id_by(self, word: StillWord) -> None:
        """Let the processor read the local APIC's ID register by `word`: xv6 does so at every lock."""
        self._id_word = word
        self._show_id(self.lapic.peek(ID_OFFSET, 4))

    def _place_registers(self, base: int | None) -> None:
        self._registers.move(base)
        self._show_id(self.lapic.peek(ID_OFFSET, 4))

    def _show_id(self, apic_id: int) -> None:
        base = self._registers.base
        if self._id_word is not None:
            self._id_word.show(None if base is None else base + ID_OFFSET, apic_id)

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
