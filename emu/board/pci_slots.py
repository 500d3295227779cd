"""The PCI bus with QEMU's chip set on it: who is in which slot.

::

    00.0 8086:1237  440FX, host bridge: shadow RAM        01.1 8086:7010  PIIX3 IDE: bus master
    01.0 8086:7000  PIIX3, ISA bridge: interrupt router   01.3 8086:7113  PIIX4 power management, SMBus
                                                          02.0 1234:1111  VGA: frame buffer

Source: QEMU, ``-machine pc`` (``info pci``).
"""

from __future__ import annotations

from collections.abc import Callable

from hillemu.emu.bus import Bus, PeekableDevice
from hillemu.emu.clock import Clock
from hillemu.emu.devices.pci.expansion_rom import ExpansionRom
from hillemu.emu.devices.pci.i440fx import I440Fx
from hillemu.emu.devices.pci.moving_range import MovingRange
from hillemu.emu.devices.pci.pci import PciBus
from hillemu.emu.devices.pci.pci_vga import ROM_BYTES, PciVga
from hillemu.emu.devices.pci.piix3 import BUS_MASTER_PORTS, Piix3Ide, Piix3Isa
from hillemu.emu.devices.pci.piix4_pm import APM_PORT, APM_PORT_COUNT, Piix4Pm
from hillemu.emu.devices.storage.bus_master import BusMaster
from hillemu.emu.devices.video.stdvga import MMIO_BYTES, StdVga
from hillemu.emu.memory import PhysicalMemory
from hillemu.emu.reports import Report
from hillemu.emu.wires import Line

CONFIG_PORTS, CONFIG_PORT_COUNT = 0xCF8, 8
GPE_PORTS, GPE_PORT_COUNT = 0xAFE0, 4
SCI_IRQ = 9


class PciSlots:
    """The bus and the functions on it; `pm` is also the machine's power switch."""

    def __init__(
        self,
        *,
        clock: Clock,
        ports: Bus,
        mmio: Bus,
        memory: PhysicalMemory,
        irq: Callable[[int], Line],
        bus_master: BusMaster,
        card: StdVga,
        reset_control: PeekableDevice,
        on_power_off: Callable[[], None],
        report: Report,
    ) -> None:
        self.isa = Piix3Isa(irq=irq, report=report)
        self.bus = PciBus(reset_control=reset_control, pirq=self.isa.pirq)
        self.bridge = I440Fx(
            on_pam=lambda first, end, read_ram, write_ram: memory.set_shadow(
                first, end, read_ram=read_ram, write_ram=write_ram
            ),
            ram_below_4g_bytes=memory.low_end,
            report=report,
        )
        bus_master_ports = MovingRange(
            ports, BUS_MASTER_PORTS, bus_master, name="IDE bus master", width=4, report=report
        )
        self.ide = Piix3Ide(on_bus_master=bus_master_ports.move, on_master=bus_master.set_enabled)
        self.pm = Piix4Pm(ports=ports, clock=clock, irq9=irq(SCI_IRQ), on_power_off=on_power_off, report=report)
        card_registers = MovingRange(mmio, MMIO_BYTES, card.mmio, name="VGA registers", width=4, report=report)
        self._mmio, self._report = mmio, report
        self._video_rom: MovingRange | None = None
        self.vga = PciVga(
            on_frame_buffer=memory.place_video_ram, on_mmio=card_registers.move, on_rom=self._video_rom_moved
        )
        for device, function, what in (
            (0, 0, self.bridge),
            (1, 0, self.isa),
            (1, 1, self.ide),
            (1, 3, self.pm),
            (2, 0, self.vga),
        ):
            self.bus.plug(device, function, what)
        ports.attach(CONFIG_PORTS, CONFIG_PORT_COUNT, self.bus, name="PCI configuration", width=4)
        ports.attach(APM_PORT, APM_PORT_COUNT, self.pm.apm, name="APM control")
        ports.attach(GPE_PORTS, GPE_PORT_COUNT, self.pm.acpi.gpe0, name="PIIX4 GPE0", width=4)

    def put_video_rom(self, image: bytes) -> None:
        """Put a video BIOS of at most 64 KiB into the card, while the machine is off."""
        rom = ExpansionRom(ROM_BYTES, image)
        self._video_rom = MovingRange(self._mmio, ROM_BYTES, rom, name="video ROM", width=4, report=self._report)

    def _video_rom_moved(self, base: int | None) -> None:
        if self._video_rom is not None:
            self._video_rom.move(base)

    def reset(self) -> None:
        self.bus.reset()
