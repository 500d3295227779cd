"""A PC's chip set on the bench: the PCI bus with its functions, in our hands, without a processor."""

from __future__ import annotations

from hillemu.emu.bus import Bus
from hillemu.emu.clock import Clock
from hillemu.emu.devices.pci.i440fx import I440Fx
from hillemu.emu.devices.pci.moving_range import MovingRange
from hillemu.emu.devices.pci.pci import CONFIG_ADDRESS, CONFIG_DATA, PORT_COUNT, PciBus
from hillemu.emu.devices.pci.pci_vga import MMIO_BYTES, PciVga
from hillemu.emu.devices.pci.piix3 import BUS_MASTER_PORTS, Piix3Ide, Piix3Isa
from hillemu.emu.devices.pci.piix4_pm import APM_PORT, APM_PORT_COUNT, Piix4Pm
from hillemu.emu.devices.reset import ResetControl
from hillemu.emu.devices.wired_or import WiredOr
from hillemu.emu.guest import FakeGuest
from hillemu.emu.wires import Line

MIB = 1 << 20


class Latches:
    """A range of bytes that keep what is written."""

    def __init__(self, count: int) -> None:
        self.data = bytearray(count)

    def read(self, offset: int, size: int) -> int:
        return int.from_bytes(self.data[offset : offset + size], "little")

    peek = read

    def write(self, offset: int, size: int, value: int) -> None:
        self.data[offset : offset + size] = value.to_bytes(size, "little")


class PciBench(FakeGuest):
    """A `Guest` whose ports are real chips.  `irq_levels[n]` is ISA interrupt n as the 8259s would see it."""

    def __init__(self, ram_mib: int = 64) -> None:
        super().__init__(ram_mib * MIB)
        self.ports = Bus("port", 0x10000)
        self.mmio = Bus("memory", 1 << 32)
        self.clock = Clock(frequency_hz=100_000_000)
        self.resets: list[str] = []
        self.reports: list[str] = []
        self.mastering: list[bool] = []
        self.power_offs = 0
        self.pam: dict[int, tuple[int, bool, bool]] = {}
        self.frame_buffer: int | None = None
        self.irq_levels = [False] * 16
        self._junctions = [WiredOr(Line(lambda level, n=n: self._irq_changed(n, level))) for n in range(16)]  # type: ignore[misc]
        self.elcr = Latches(2)
        self.host = I440Fx(on_pam=self._pam_changed, ram_below_4g_bytes=ram_mib * MIB, report=self.reports.append)
        self.isa = Piix3Isa(irq=self.irq, report=self.reports.append)
        self.bus_master = MovingRange(
            self.ports, BUS_MASTER_PORTS, Latches(BUS_MASTER_PORTS), name="bus master", width=4
        )
        self.ide = Piix3Ide(on_bus_master=self.bus_master.move, on_master=self.mastering.append)
        self.pm = Piix4Pm(
            ports=self.ports,
            clock=self.clock,
            irq9=self.irq(9),
            on_power_off=self._power_off,
            report=self.reports.append,
        )
        self.vga_mmio = MovingRange(self.mmio, MMIO_BYTES, Latches(MMIO_BYTES), name="VGA", width=4)
        self.vga = PciVga(on_frame_buffer=self._frame_buffer_moved, on_mmio=self.vga_mmio.move)
        self.reset_control = ResetControl(
            hard=lambda: self.resets.append("hard"), soft=lambda: self.resets.append("soft")
        )
        self.pci = PciBus(reset_control=self.reset_control, pirq=self.isa.pirq)
        for device, function, chip in (
            (0, 0, self.host),
            (1, 0, self.isa),
            (1, 1, self.ide),
            (1, 3, self.pm),
            (2, 0, self.vga),
        ):
            self.pci.plug(device, function, chip)
        self.ports.attach(CONFIG_ADDRESS, PORT_COUNT, self.pci, width=4)
        self.ports.attach(APM_PORT, APM_PORT_COUNT, self.pm.apm)
        self.ports.attach(0x4D0, 2, self.elcr)

    def irq(self, number: int) -> Line:
        return self._junctions[number].input()

    def read_port(self, port: int, size: int = 1) -> int:
        return self.ports.read(port, size)

    def write_port(self, port: int, value: int, size: int = 1) -> None:
        self.ports.write(port, size, value)

    def config_read(self, device: int, function: int, offset: int, size: int = 4) -> int:
        self.write_port(CONFIG_ADDRESS, 0x80000000 | device << 11 | function << 8 | offset & 0xFC, 4)
        return self.read_port(CONFIG_DATA + (offset & 3), size)

    def config_write(self, device: int, function: int, offset: int, value: int, size: int = 4) -> None:
        self.write_port(CONFIG_ADDRESS, 0x80000000 | device << 11 | function << 8 | offset & 0xFC, 4)
        self.write_port(CONFIG_DATA + (offset & 3), value, size)

    def _irq_changed(self, number: int, level: bool) -> None:
        self.irq_levels[number] = level

    def _pam_changed(self, first: int, end: int, read_ram: bool, write_ram: bool) -> None:
        self.pam[first] = end, read_ram, write_ram

    def _frame_buffer_moved(self, base: int | None) -> None:
        self.frame_buffer = base

    def _power_off(self) -> None:
        self.power_offs += 1
