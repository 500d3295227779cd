"""A driver's side of the floppy controller, on a chip without a machine."""

from __future__ import annotations

from hillemu.emu.clock import Clock
from hillemu.emu.devices.storage.floppy import FloppyController
from hillemu.emu.devices.storage.isa_dma import IsaDma
from hillemu.emu.guest import FakeMemory
from hillemu.emu.media import Medium
from hillemu.emu.wires import Line

DOR, MSR, FIFO = 2, 4, 5
BUFFER = 0x2000
TO_MEMORY, FROM_MEMORY = 0x46, 0x4A
"""Modes of DMA channel 2: single transfers."""


class Driver:
    """The chip with one or two drives, memory behind DMA channel 2, and a driver's steps."""

    def __init__(self, medium: Medium | None = None, *, drive_count: int = 1) -> None:
        self.clock = Clock(frequency_hz=100_000_000)
        self.heard: list[str] = []
        self.edges: list[bool] = []
        self.irq = Line(self.edges.append)
        self.memory = FakeMemory(0x20000)
        self.dma = IsaDma(memory=self.memory)
        self.chip = FloppyController(
            clock=self.clock,
            irq=self.irq,
            dma=self.dma.channel(2),
            drive_count=drive_count,
            report=self.heard.append,
        )
        if medium is not None:
            self.chip.insert(0, medium)

    def start(self, rate: int = 0) -> Driver:
        """What a driver does first: out of reset with motor A on, four times SENSE INTERRUPT, SPECIFY, the rate."""
        self.chip.write(DOR, 1, 0x1C)
        self.wait()
        for unit in range(4):
            assert self.command(0x08) == bytes([0xC0 | unit, 0])
        self.command(0x03, 0xDF, 0x02)
        self.chip.digital_input.write(0, 1, rate)
        self.edges.clear()
        return self

    def put(self, value: int) -> None:
        assert self.chip.read(MSR, 1) & 0xC0 == 0x80, "the controller wants no byte"
        self.chip.write(FIFO, 1, value)

    def send(self, *command: int) -> None:
        for value in command:
            self.put(value)

    def wait(self) -> None:
        for _ in range(2000):
            if self.irq.level:
                return
            self.clock.advance(100_000)
        raise AssertionError("no interrupt")

    def results(self) -> bytes:
        data = b""
        while self.chip.read(MSR, 1) & 0xD0 == 0xD0:
            data += bytes([self.chip.read(FIFO, 1)])
        assert self.chip.read(MSR, 1) & 0xD0 == 0x80, "ready for a command"
        return data

    def command(self, *command: int) -> bytes:
        """A command without an execution phase."""
        self.send(*command)
        return self.results()

    def work(self, *command: int) -> bytes:
        """A command with one."""
        self.send(*command)
        assert self.chip.read(MSR, 1) & 0x90 == 0x10, "busy"
        self.wait()
        return self.results()

    def seek(self, cylinder: int, unit: int = 0) -> None:
        self.send(0x0F, unit, cylinder)
        self.wait()
        assert self.command(0x08) == bytes([0x20 | unit, cylinder])

    def set_dma(self, count: int, mode: int = TO_MEMORY) -> None:
        for register, value in ((10, 6), (12, 0), (11, mode), (4, BUFFER & 0xFF), (4, BUFFER >> 8)):
            self.dma.controller_1.write(register, 1, value)
        self.dma.pages.write(0, 1, 0)
        for register, value in ((5, count - 1 & 0xFF), (5, count - 1 >> 8), (10, 2)):
            self.dma.controller_1.write(register, 1, value)

    @property
    def buffer(self) -> bytearray:
        return self.memory.data[BUFFER:]
