"""The graphics card: a VGA with 16 MiB, the Bochs VBE interface and a PCI window with both.  QEMU's "standard VGA".

::

    PCI BAR 0   video RAM                        PCI BAR 2   0x000  the monitor's EDID
    0xA0000     the video window                             0x400  VGA ports 0x3C0-0x3DF
    ports       the VGA's, and 0x1CE-0x1D0                   0x500  DISPI registers, 16 bits each

Source: QEMU, docs/specs/standard-vga; PCI Code and ID Assignment Specification.
Not modelled: BAR 2's switch of the framebuffer's byte order (offset 0x600 reads as if it was not there).
"""

from __future__ import annotations

from collections.abc import Callable

from hillemu.emu.bus import BusDevice
from hillemu.emu.clock import Clock
from hillemu.emu.devices.video.dispi import PORT, PORT_COUNT, VIDEO_MEMORY, Dispi
from hillemu.emu.devices.video.edid import edid_block
from hillemu.emu.devices.video.vga import BASE, Vga
from hillemu.emu.devices.video.vga_window import (
    WINDOW_BASE,
    WINDOW_BYTES,
    OnWindow,
    VideoWindow,
    WindowMemory,
    nobody_maps,
)
from hillemu.emu.reports import Report, unheard

PCI_VENDOR, PCI_DEVICE, PCI_CLASS = 0x1234, 0x1111, 0x030000
MMIO_BYTES = 0x1000


class StdVga:
    """The card.

    `video_ram` is its memory (a power of two, at least 256 KiB), `memory` the plain RAM of the video window.
    `on_window(base, to_devices, bank_at)` hears who answers in each half of the window; see `vga_window`.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        video_ram: memoryview,
        memory: WindowMemory,
        on_window: OnWindow = nobody_maps,
        report: Report = unheard,
    ) -> None:
        self.vga = Vga(clock=clock, report=report)
        self.dispi = Dispi(video_ram=video_ram)
        self.video_ram = video_ram
        self.window = VideoWindow(
            vga=self.vga, dispi=self.dispi, video_ram=video_ram, memory=memory, on_window=on_window
        )
        self.dispi.on_change = self._dispi_changed
        self.mmio = Mmio(self.vga, self.dispi)

    def ports(self) -> tuple[tuple[int, int, BusDevice, int], ...]:
        """Where to attach the card: (first port, number of ports, device, width in bytes)."""
        return (
            *((base, count, part, 1) for base, count, part in self.vga.windows()),
            (PORT, PORT_COUNT, self.dispi, 2),
        )

    def reset(self) -> None:
        """Pull RESET: text mode, as the BIOS leaves it.  Video RAM keeps its content."""
        self.dispi.reset()
        self.vga.reset()

    def _dispi_changed(self) -> None:
        self.vga.dac_bits = self.dispi.dac_bits
        self.window.update()


class FakeWindowMemory:
    """The plain RAM of the video window, for a card without a machine."""

    def __init__(self) -> None:
        self.data = bytearray(WINDOW_BYTES)

    def read(self, at: int, count: int) -> bytes:
        return bytes(self.data[at - WINDOW_BASE : at - WINDOW_BASE + count])

    def write(self, at: int, data: bytes) -> None:
        self.data[at - WINDOW_BASE : at - WINDOW_BASE + len(data)] = data


def fake_card(video_ram_bytes: int = 1 << 20) -> StdVga:
    """A card without a machine."""
    return StdVga(clock=Clock(), video_ram=memoryview(bytearray(video_ram_bytes)), memory=FakeWindowMemory())


class Mmio:
    """BAR 2.  Attach 4 bytes wide."""

    EDID, EDID_END, PORTS, PORTS_END, REGISTERS = 0x000, 0x400, 0x400, 0x420, 0x500
    REGISTERS_END = REGISTERS + 2 * (VIDEO_MEMORY + 1)
    FIRST_PORT = 0x3C0

    def __init__(self, vga: Vga, dispi: Dispi) -> None:
        self._vga = vga
        self._dispi = dispi
        self._edid = edid_block().ljust(self.EDID_END, b"\0")

    def read(self, offset: int, size: int) -> int:
        return self._access(offset, size, self._vga.read)

    def peek(self, offset: int, size: int) -> int:
        return self._access(offset, size, self._vga.peek)

    def write(self, offset: int, size: int, value: int) -> None:
        if self.PORTS <= offset < self.PORTS_END:
            for byte in range(size):
                self._vga.write(offset + byte - self.PORTS + self.FIRST_PORT - BASE, 1, value >> 8 * byte & 0xFF)
        elif self.REGISTERS <= offset < self.REGISTERS_END and not offset & 1:
            for first in range(0, size, 2):
                if size >= 2:
                    self._dispi.set((offset + first - self.REGISTERS) // 2, value >> 8 * first & 0xFFFF)

    def _access(self, offset: int, size: int, read_port: Callable[[int, int], int]) -> int:
        if self.PORTS <= offset < self.PORTS_END:
            first = offset - self.PORTS + self.FIRST_PORT - BASE
            return sum(read_port(first + byte, 1) << 8 * byte for byte in range(size))
        if self.REGISTERS <= offset < self.REGISTERS_END and size >= 2 and not offset & 1:
            index = (offset - self.REGISTERS) // 2
            return sum(self._dispi.get(index + place) << 16 * place for place in range(size // 2))
        if offset + size <= self.EDID_END:
            return int.from_bytes(self._edid[offset : offset + size], "little")
        return (1 << 8 * size) - 1
