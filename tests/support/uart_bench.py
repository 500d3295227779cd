"""A UART with nothing around it."""

from __future__ import annotations

from hillemu.emu.clock import Clock
from hillemu.emu.devices.uart import IER, LCR, RBR_THR, Uart
from hillemu.emu.wires import Line


class Bench:
    """A UART on the bench, with all its ends in our hands."""

    def __init__(self) -> None:
        self.clock = Clock(frequency_hz=1_843_200)
        self.edges: list[bool] = []
        self.irq = Line(self.edges.append)
        self.sent: list[int] = []
        self.reports: list[str] = []
        self.uart = Uart(output=self.irq, sink=self.sent.append, clock=self.clock, report=self.reports.append)

    def __getitem__(self, register: int) -> int:
        return self.uart.read(register, 1)

    def __setitem__(self, register: int, value: int) -> None:
        self.uart.write(register, 1, value)

    def full_speed(self) -> None:
        """115200 baud, 8N1: a character is 160 ticks of this bench's clock."""
        self[LCR] = 0x83
        self[RBR_THR], self[IER] = 1, 0
        self[LCR] = 0x03
