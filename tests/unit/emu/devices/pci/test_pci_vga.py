"""The PCI side of the VGA, against QEMU's docs/specs/standard-vga.rst."""

from __future__ import annotations

import pytest
from pci_bench import PciBench

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
