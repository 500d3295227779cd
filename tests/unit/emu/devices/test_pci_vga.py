"""The PCI side of the VGA, against QEMU's docs/specs/standard-vga.rst."""

from __future__ import annotations

import pytest
from pci_bench import Latches, PciBench

MMIO = 0xFEBF0000


@pytest.fixture
def bench() -> PciBench:
    bench = PciBench()
    bench.config_write(2, 0, 0x10, 0xFD000000)
    bench.config_write(2, 0, 0x18, MMIO)
    bench.config_write(2, 0, 0x04, 0x0003, 2)
    return bench


def test_the_ranges_go_where_the_guest_puts_them(bench: PciBench) -> None:
    assert (bench.frame_buffer, bench.vga_mmio.base) == (0xFD000000, MMIO)
    bench.config_write(2, 0, 0x10, 0xE0000000)
    assert bench.frame_buffer == 0xE0000000
    bench.config_write(2, 0, 0x04, 0x0001, 2)
    assert bench.frame_buffer is bench.vga_mmio.base is None


def test_the_vgas_ports_are_seen_in_memory(bench: PciBench) -> None:
    ports = Latches(32)
    bench.ports.attach(0x3C0, 32, ports, width=1)
    bench.mmio.write(MMIO + 0x400 + 0x14, 2, 0x0A0E)
    assert ports.data[0x14:0x16] == b"\x0e\x0a"
    ports.data[0x1A] = 0x09
    assert bench.mmio.read(MMIO + 0x41A, 1) == 0x09


class Dispi:
    """Eleven 16-bit registers behind an index port and a data port."""

    def __init__(self) -> None:
        self.values = [0xB0C5, *range(0x100, 0x10A)]
        self.index = 0

    def read(self, offset: int, size: int) -> int:
        assert size == 2
        return self.values[self.index] if offset else self.index

    def write(self, offset: int, size: int, value: int) -> None:
        assert size == 2
        if offset == 0:
            self.index = value
        else:
            self.values[self.index] = value


def test_the_dispi_registers_are_seen_in_memory(bench: PciBench) -> None:
    dispi = Dispi()
    bench.ports.attach(0x1CE, 3, dispi, width=2)
    assert bench.mmio.read(MMIO + 0x500, 2) == 0xB0C5
    assert bench.mmio.read(MMIO + 0x500, 4) == 0x0100B0C5
    assert bench.mmio.read(MMIO + 0x501, 1) == 0xB0
    bench.mmio.write(MMIO + 0x504, 4, 0x00200300)
    assert dispi.values[2:4] == [0x300, 0x20]


def test_the_frame_buffer_is_little_endian_and_says_so(bench: PciBench) -> None:
    assert [bench.mmio.read(MMIO + 0x600 + at, 4) for at in (0, 4)] == [8, 0x1E1E1E1E]
    bench.mmio.write(MMIO + 0x604, 4, 0x1E1E1E1E)
    assert bench.reports == []
    bench.mmio.write(MMIO + 0x604, 4, 0xBEBEBEBE)
    assert len(bench.reports) == 1
    assert bench.mmio.read(MMIO + 0x604, 4) == 0x1E1E1E1E
    assert bench.mmio.read(MMIO, 4) == 0  # EDID
