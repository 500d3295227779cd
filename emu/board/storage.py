"""Everything that disks hang on: two ATA channels with their bus master, the floppy controller and its DMA.

::

    01F0-01F7, 03F6   primary channel, IRQ 14       BMIDE 0-7
    0170-0177, 0376   secondary channel, IRQ 15     BMIDE 8-F, wherever the PIIX's base address register says
    03F0-03F5, 03F7   floppy controller, IRQ 6, DMA channel 2
    0000-000F, 00C0-00DF, 0081-008F                 8237A controllers and page registers

A machine is made without drives; `insert` plugs them in while it is switched off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from hillemu.emu.bus import Bus, DataWindow
from hillemu.emu.clock import Clock
from hillemu.emu.devices.storage.ata import AtaChannel
from hillemu.emu.devices.storage.bus_master import BusMaster
from hillemu.emu.devices.storage.isa_dma import IsaDma
from hillemu.emu.memory import PhysicalMemory
from hillemu.emu.reports import Report
from hillemu.emu.wires import Line

if TYPE_CHECKING:
    from hillemu.emu.devices.clocks.cmos_layout import Disk
    from hillemu.emu.devices.storage.ata_drive import Drive
    from hillemu.emu.devices.storage.floppy import FloppyController
    from hillemu.emu.media import Medium

COMMAND_BLOCKS, CONTROL_BLOCKS, ATA_IRQS = (0x1F0, 0x170), (0x3F6, 0x376), (14, 15)
FLOPPY_IRQ, FLOPPY_DMA = 6, 2
SLOTS = 4


class Floppy(NamedTuple):
    """A floppy in a drive of `drive_type`, as the CMOS memory numbers them (4 is 1.44 MB)."""

    medium: Medium
    drive_type: int


class Slot(NamedTuple):
    """What is in one of the four IDE places: a hard disk, described by `disk`, or a CD drive, perhaps empty."""

    medium: Medium | None
    disk: Disk | None = None


class Storage:
    """The controllers.  `irq(n)` makes a wire into interrupt `n`, `data_window(port)` the door past a data port."""

    def __init__(
        self,
        *,
        clock: Clock,
        ports: Bus,
        memory: PhysicalMemory,
        irq: Callable[[int], Line],
        data_window: Callable[[int], DataWindow],
        report: Report,
    ) -> None:
        self._clock = clock
        self._ports = ports
        self._report = report
        self._data_window = data_window
        self._irqs = [irq(number) for number in ATA_IRQS]
        self._floppy_irq = irq(FLOPPY_IRQ)
        self.dma = IsaDma(memory=memory, report=report)
        self.bus_master = BusMaster(memory=memory, report=report)
        self.channels: list[AtaChannel] = []
        self.floppy: FloppyController | None = None
        ports.attach(0x00, 0x10, self.dma.controller_1, name="8237A 1")
        ports.attach(0xC0, 0x20, self.dma.controller_2, name="8237A 2")
        ports.attach(0x81, 0x0F, self.dma.pages, name="DMA page registers")
        self.insert((), ())

    def insert(self, floppies: Sequence[Medium], slots: Sequence[Slot | None]) -> None:
        """Plug in the drives: `floppies` as A and B, `slots` as masters and slaves of both channels, in order.

        Raises `ImageError` for a floppy image of a size that no drive reads.
        """
        drives = [self._drive(slot, number) for number, slot in enumerate(slots)]
        drives += [None] * (SLOTS - len(drives))
        for number, (command, control) in enumerate(zip(COMMAND_BLOCKS, CONTROL_BLOCKS, strict=True)):
            if self.channels[number:]:
                self._ports.detach(command)
                self._ports.detach(control)
            channel = AtaChannel(
                irq=self._irqs[number],
                drives=(drives[2 * number], drives[2 * number + 1]),
                bus_master=self.bus_master.channels[number],
                window=self._data_window(command),
                report=self._report,
            )
            self.channels[number : number + 1] = [channel]
            name = ("primary", "secondary")[number]
            self._ports.attach(command, 8, channel, name=f"{name} ATA channel", width=4)
            self._ports.attach(control, 1, channel.control, name=f"{name} ATA control")
        self._insert_floppies(floppies)

    def _insert_floppies(self, floppies: Sequence[Medium]) -> None:
        if self.floppy is not None:
            for base, _, _ in self.floppy.windows():
                self._ports.detach(base)
            self.floppy = None
        if not floppies:
            return  # as a board without a floppy controller: all its ports are open bus
        from hillemu.emu.devices.storage.floppy import FloppyController

        self.floppy = controller = FloppyController(
            clock=self._clock,
            irq=self._floppy_irq,
            dma=self.dma.channel(FLOPPY_DMA),
            drive_count=len(floppies),
            report=self._report,
        )
        for number, medium in enumerate(floppies):
            controller.insert(number, medium)
        for base, count, part in controller.windows():
            self._ports.attach(base, count, part, name="floppy controller")

    def _drive(self, slot: Slot | None, number: int) -> Drive | None:
        if slot is None:
            return None
        serial = f"HM{number + 1:05}"
        if slot.disk is None:
            from hillemu.emu.devices.storage.atapi import AtapiCd

            return AtapiCd(slot.medium, clock=self._clock, serial=serial, report=self._report)
        from hillemu.emu.devices.storage.ata_disk import AtaDisk

        assert slot.medium is not None, "a hard disk is its medium"
        return AtaDisk(slot.medium, clock=self._clock, serial=serial, report=self._report)

    def reset(self) -> None:
        self.dma.reset()
        self.bus_master.reset()
        for channel in self.channels:
            channel.reset()
        if self.floppy is not None:
            self.floppy.reset()
