"""A guest without a processor, whose ports lead to real chips: what BIOS services need that program the hardware."""

from __future__ import annotations

from datetime import UTC, datetime

from hillemu.boot.bios.data import write_bios_data
from hillemu.boot.bios.rom import install_rom
from hillemu.emu.bus import Bus
from hillemu.emu.clock import Clock
from hillemu.emu.devices.clocks.cmos import Cmos
from hillemu.emu.devices.input.keyboard import Keyboard
from hillemu.emu.devices.input.mouse import Mouse
from hillemu.emu.devices.input.ps2 import Ps2
from hillemu.emu.devices.pic import PicPair
from hillemu.emu.devices.reset import Port92
from hillemu.emu.devices.serial_log import SerialLog
from hillemu.emu.devices.uart import Uart
from hillemu.emu.guest import FakeGuest
from hillemu.emu.wires import Line

NOON = datetime(2026, 5, 17, 12, 34, 56, tzinfo=UTC)


class ChipGuest(FakeGuest):
    """RAM with BIOS data, and the ROM; 8259s, clock, 8042, keyboard, mouse, COM1, port 92h."""

    def __init__(self, size_bytes: int = 1 << 20) -> None:
        super().__init__(size_bytes)
        self.clock = Clock()
        self.ports = Bus("port", 0x10000)
        self.a20 = True
        self.pics = PicPair(Line())
        self.keyboard = Keyboard(clock=self.clock)
        self.mouse = Mouse()
        self.ps2 = Ps2(
            clock=self.clock,
            keyboard=self.keyboard,
            mouse=self.mouse,
            output=self.pics.line(1),
            aux_output=self.pics.line(12),
            reset=lambda: None,
            a20=lambda enabled: None,
        )
        self.cmos = Cmos(clock=self.clock, output=self.pics.line(8), ram_below_4g_bytes=16 << 20, base=NOON)
        self.sent = SerialLog()
        self.uart = Uart(output=self.pics.line(4), sink=self.sent.put, clock=self.clock)
        attach = self.ports.attach
        attach(0x20, 2, self.pics.master)
        attach(0xA0, 2, self.pics.slave)
        for base, count, window in self.ps2.windows():
            attach(base, count, window)
        attach(0x70, 2, self.cmos)
        attach(0x92, 1, Port92(reset=lambda: None, a20=self._set_a20))
        attach(0x3F8, 8, self.uart)
        for port, values in ((0x20, (0x11, 0x08, 0x04, 0x01, 0xB8)), (0xA0, (0x11, 0x70, 0x02, 0x01, 0x8F))):
            self.write_port(port, values[0])
            for value in values[1:]:
                self.write_port(port + 1, value)
        install_rom(self)
        write_bios_data(self.memory)

    def _set_a20(self, enabled: bool) -> None:
        self.a20 = enabled

    def read_port(self, port: int, size: int = 1) -> int:
        return self.ports.read(port, size)

    def write_port(self, port: int, value: int, size: int = 1) -> None:
        self.ports.write(port, size, value)

    def pass_time(self, ns: int) -> None:
        """Let virtual time go on."""
        self.clock.advance(self.clock.ticks_from_ns(ns))
        self.now_ns = self.clock.now_ns
