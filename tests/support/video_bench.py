"""A guest that is a graphics card and some memory: what the video BIOS needs of a machine, and nothing else.

Its memory behaves as the machine's does: the halves of the video window are plain RAM, or the card answers there; the
framebuffer lies at `FRAMEBUFFER`, where a PCI configuration register says.
"""

from __future__ import annotations

import struct

from hillemu.emu.bus import Bus
from hillemu.emu.clock import Clock
from hillemu.emu.devices.video.picture import Picture, picture_of
from hillemu.emu.devices.video.stdvga import StdVga
from hillemu.emu.devices.video.text_screen import TextScreen
from hillemu.emu.guest import FakeRegisters, Trap
from hillemu.emu.i386.address import PhysAddr, RamRange

FRAMEBUFFER = 0xFD000000
LOW_BYTES = 1 << 20
HALF = 0x10000


class VideoMemory:
    """The first MiB and the framebuffer; raises `IndexError` where a device answers, as the machine's memory does."""

    def __init__(self, video_ram: bytearray) -> None:
        self.low = bytearray(LOW_BYTES)
        self.video_ram = video_ram
        self.given: set[int] = set()

    @property
    def ram_ranges(self) -> tuple[RamRange, ...]:
        return (RamRange(PhysAddr(0), PhysAddr(0xA0000)),)

    def _place(self, at: int, count: int) -> tuple[bytearray, int]:
        if FRAMEBUFFER <= at <= at + count <= FRAMEBUFFER + len(self.video_ram):
            return self.video_ram, at - FRAMEBUFFER
        taken = any(at < half + HALF and half < at + count for half in self.given)
        if taken or not 0 <= at <= at + count <= LOW_BYTES:
            raise IndexError(f"{count} bytes at {at:#x} are not memory")
        return self.low, at

    def read(self, at: PhysAddr, count: int) -> bytes:
        buffer, start = self._place(at, count)
        return bytes(buffer[start : start + count])

    def write(self, at: PhysAddr, data: bytes | bytearray | memoryview) -> None:
        buffer, start = self._place(at, len(data))
        buffer[start : start + len(data)] = data

    def fill(self, at: PhysAddr, count: int, value: int = 0) -> None:
        self.write(at, bytes([value]) * count)

    def u32(self, at: PhysAddr) -> int:
        value: int = struct.unpack("<I", self.read(at, 4))[0]
        return value

    def u64(self, at: PhysAddr) -> int:
        value: int = struct.unpack("<Q", self.read(at, 8))[0]
        return value

    def set_u32(self, at: PhysAddr, value: int) -> None:
        self.write(at, struct.pack("<I", value))


class WindowRam:
    """The plain RAM of the window, as the card reaches it."""

    def __init__(self, memory: VideoMemory) -> None:
        self.memory = memory

    def read(self, at: int, count: int) -> bytes:
        return self.memory.read(PhysAddr(at), count)

    def write(self, at: int, data: bytes) -> None:
        self.memory.write(PhysAddr(at), data)


class PciConfig:
    """Configuration mechanism 1 with the card as device 2 of bus 0."""

    def __init__(self) -> None:
        self.address = 0
        self.registers = {0x00: 0x11111234, 0x04: 0x00000003, 0x08: 0x03000002, 0x10: FRAMEBUFFER | 8}

    def read(self, offset: int, size: int) -> int:
        if offset == 0:
            return self.address
        device, register = self.address >> 11 & 0x1F, self.address & 0xFC
        return self.registers.get(register, 0) if device == 2 and self.address >> 31 else 0xFFFFFFFF

    def write(self, offset: int, size: int, value: int) -> None:
        if offset == 0:
            self.address = value


class VideoGuest:
    """Fulfils `Guest`; `cpu_read` and `cpu_write` are what the processor's loads and stores do."""

    def __init__(self, video_ram_bytes: int = 16 << 20) -> None:
        self.video_ram = bytearray(video_ram_bytes)
        self.memory = VideoMemory(self.video_ram)
        self.registers = FakeRegisters()
        self.now_ns = 0
        self.reports: list[str] = []
        self.windows: list[tuple[int, bool, int | None]] = []
        self.card = StdVga(
            clock=Clock(),
            video_ram=memoryview(self.video_ram),
            memory=WindowRam(self.memory),
            on_window=self._give,
            report=self.reports.append,
        )
        self.ports = Bus("port", 0x10000)
        for base, count, device, width in self.card.ports():
            self.ports.attach(base, count, device, name="VGA", width=width)
        self.pci = PciConfig()
        self.ports.attach(0xCF8, 8, self.pci, name="PCI", width=4)
        self.screen = TextScreen(self.card.vga, self.card.window.text_at)

    def _give(self, base: int, to_devices: bool, bank_at: int | None) -> None:
        self.windows.append((base, to_devices, bank_at))
        (self.memory.given.add if to_devices else self.memory.given.discard)(base)

    def flush_tlb(self) -> None:
        """Nothing is cached."""

    def on_trap(self, port: int, handler: Trap) -> None:
        raise AssertionError("the video BIOS has no traps")

    def read_port(self, port: int, size: int = 1) -> int:
        return self.ports.read(port, size)

    def write_port(self, port: int, value: int, size: int = 1) -> None:
        self.ports.write(port, size, value)

    def put(self, port: int, *pairs: tuple[int, int]) -> None:
        """Write (index, value) pairs to an indexed port."""
        for index, value in pairs:
            self.write_port(port, value << 8 | index, 2)

    def cpu_read(self, at: int, size: int = 1) -> int:
        if at & ~0xFFFF in self.memory.given:
            return self.card.window.read(at - 0xA0000, size)
        return int.from_bytes(self.memory.read(PhysAddr(at), size), "little")

    def cpu_write(self, at: int, value: int, size: int = 1) -> None:
        if at & ~0xFFFF in self.memory.given:
            self.card.window.write(at - 0xA0000, size, value)
        else:
            self.memory.write(PhysAddr(at), value.to_bytes(size, "little"))

    @property
    def picture(self) -> Picture:
        return picture_of(self.card)

    def pixel(self, x: int, y: int) -> tuple[int, int, int]:
        """Red, green and blue on the screen."""
        width, _, rgb = self.picture
        at = 3 * (y * width + x)
        return rgb[at], rgb[at + 1], rgb[at + 2]
