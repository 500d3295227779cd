"""The host's side of an ATA channel: what a driver does, on a channel without a machine."""

from __future__ import annotations

import struct
from typing import Any

from hillemu.emu.bus import DataWindow
from hillemu.emu.clock import Clock
from hillemu.emu.devices.storage.ata import AtaChannel
from hillemu.emu.devices.storage.ata_disk import AtaDisk
from hillemu.emu.devices.storage.ata_drive import Drive
from hillemu.emu.devices.storage.ata_names import (
    BSY,
    COMMAND,
    COUNT,
    DATA,
    DEVICE,
    DRQ,
    ERR,
    ERROR,
    FEATURES,
    LOW,
    STATUS,
)
from hillemu.emu.devices.storage.atapi import AtapiCd
from hillemu.emu.devices.storage.bus_master import BusMaster
from hillemu.emu.guest import FakeMemory
from hillemu.emu.media import Medium
from hillemu.emu.wires import Line

LBA_MODE = 0xE0
SECOND = 0x10


class Host:
    """A channel with the given drives, 64 KiB of memory, and the driver's habits."""

    def __init__(
        self, *media: Medium | None, cd: Medium | None = None, with_cd: bool = False, window: Any = None
    ) -> None:
        self.clock = Clock(frequency_hz=100_000_000)
        self.heard: list[str] = []
        self.edges: list[bool] = []
        self.irq = Line(self.edges.append)
        self.memory = FakeMemory(0x40000)
        self.master = BusMaster(memory=self.memory, report=self.heard.append)
        drives: list[Drive | None] = [
            None if medium is None else AtaDisk(medium, clock=self.clock, serial=f"T{n}", report=self.heard.append)
            for n, medium in enumerate(media)
        ]
        if with_cd or cd is not None:
            self.cd = AtapiCd(cd, clock=self.clock, report=self.heard.append)
            drives.append(self.cd)
        drives += [None] * (2 - len(drives))
        self.channel = AtaChannel(
            irq=self.irq,
            drives=(drives[0], drives[1]),
            bus_master=self.master.channels[0],
            window=window,
            report=self.heard.append,
        )

    # -- registers --

    def read(self, offset: int, size: int = 1) -> int:
        return self.channel.read(offset, size)

    def write(self, offset: int, value: int, size: int = 1) -> None:
        self.channel.write(offset, size, value)

    @property
    def alternate(self) -> int:
        return self.channel.control.read(0, 1)

    def control(self, value: int) -> None:
        self.channel.control.write(0, 1, value)

    # -- commands --

    def settle(self) -> int:
        """Wait until the selected drive is not busy; its status."""
        for _ in range(10_000):
            if not self.alternate & BSY:
                return self.read(STATUS)
            self.clock.advance(1_000)
        raise AssertionError("busy for ever")

    def command(self, command: int, lba: int = 0, count: int = 1, *, device: int = LBA_MODE, features: int = 0) -> None:
        """Give a 28-bit command."""
        self.write(DEVICE, device | lba >> 24 & 0x0F)
        self.write(FEATURES, features)
        self.write(COUNT, count & 0xFF)
        for place in range(3):
            self.write(LOW + place, lba >> 8 * place & 0xFF)
        self.write(COMMAND, command)

    def command_48(self, command: int, lba: int, count: int, *, device: int = LBA_MODE) -> None:
        """Give a 48-bit command: the high halves first."""
        self.write(DEVICE, device)
        for low in (False, True):
            self.write(COUNT, count & 0xFF if low else count >> 8)
            for place in range(3):
                self.write(LOW + place, lba >> 8 * (place + (0 if low else 3)) & 0xFF)
        self.write(COMMAND, command)

    def run(self, command: int, lba: int = 0, count: int = 1, **more: int) -> int:
        """Give a command that moves nothing; its final status."""
        self.command(command, lba, count, **more)
        return self.settle()

    def take(self, size: int = 2) -> bytes:
        """Read blocks as long as the drive has them."""
        data = b""
        while self.settle() & DRQ:
            while self.alternate & DRQ:
                data += self.read(DATA, size).to_bytes(size, "little")
        return data

    def give(self, data: bytes, size: int = 2) -> int:
        """Write blocks as long as the drive wants them; its final status."""
        at = 0
        while (status := self.settle()) & DRQ:
            while self.alternate & DRQ:
                self.write(DATA, int.from_bytes(data[at : at + size], "little"), size)
                at += size
        assert at == len(data)
        return status

    def identify(self, command: int = 0xEC, *, device: int = LBA_MODE) -> tuple[int, ...]:
        self.command(command, device=device)
        return struct.unpack("<256H", self.take())

    def failed(self) -> int:
        """The error register of a command that has ended with an error."""
        assert self.settle() & ERR, f"status {self.alternate:#x}"
        return self.read(ERROR)

    def address(self) -> int:
        """LBA bits 23-0 from the task file."""
        return sum(self.read(LOW + place) << 8 * place for place in range(3))

    # -- packets --

    def packet(self, *command: int, limit: int = 0xFFFE, dma: bool = False, device: int = 0xA0) -> None:
        self.command(0xA0, limit << 8, 0, device=device, features=int(dma))
        padded = bytes(command).ljust(12, b"\0")
        assert self.settle() & (DRQ | BSY) == DRQ
        for at in range(0, 12, 2):
            self.write(DATA, int.from_bytes(padded[at : at + 2], "little"), 2)

    def ask(self, *command: int, limit: int = 0xFFFE, device: int = 0xA0) -> bytes:
        """What a packet command answers by PIO."""
        self.packet(*command, limit=limit, device=device)
        data = b""
        while self.settle() & DRQ:
            count = self.read(4) | self.read(5) << 8
            piece = b"".join(self.read(DATA, 2).to_bytes(2, "little") for _ in range(-(-count // 2)))
            data += piece[:count]
        return data

    # -- the bus master --

    def table(self, *regions: tuple[int, int], at: int = 0x1000) -> None:
        """Write a table of (address, bytes) and give it to the bus master."""
        for number, (base, count) in enumerate(regions):
            last = 0x8000_0000 if number == len(regions) - 1 else 0
            struct.pack_into("<II", self.memory.data, at + 8 * number, base, count & 0xFFFF | last)
        self.master.write(4, 4, at)


class CountingWindow:
    """A data window as the processor's core has it, beside the device it belongs to."""

    def __init__(self) -> None:
        self.channel: AtaChannel | None = None
        self.served = 0
        self._open: tuple[Any, int, int, bool] | None = None
        self._at = 0

    def open(self, buffer: Any, start: int, end: int, *, size: int, output: bool) -> None:
        assert self._open is None, "opened twice"
        assert 0 <= start <= end <= len(buffer)
        self._open = (buffer, end, size, output)
        self._at = start

    def close(self) -> int | None:
        if self._open is None:
            return None
        self._open = None
        return self._at

    def access(self, size: int, value: int | None) -> int | None:
        """What the core does at the data port; `None` if the device has to be called."""
        if self._open is None:
            return None
        buffer, end, window_size, output = self._open
        if size != window_size or output != (value is not None) or end - self._at < size:
            return None
        self._at += size
        self.served += 1
        if value is None:
            return int.from_bytes(buffer[self._at - size : self._at], "little")
        buffer[self._at - size : self._at] = value.to_bytes(size, "little")
        return 0


_: type[DataWindow] = CountingWindow  # the type checker compares the two
