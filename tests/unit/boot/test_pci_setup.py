"""Firmware's PCI set-up on a bench of real chips; tests/differential compares the result with QEMU's."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pci_bench import PciBench

from hillemu.boot.pci_setup import MEMORY_END, set_up_pci
from hillemu.emu.devices.pci.pci_function import BAR_IO, BAR_PREFETCHABLE, Identity, PciFunction
from hillemu.emu.guest import FakeGuest


def test_everything_answers_where_seabios_puts_it() -> None:
    bench = PciBench()
    set_up_pci(bench)
    assert bench.frame_buffer == 0xFD000000
    assert bench.vga_mmio.base == 0xFEBF0000
    assert bench.bus_master.base == 0xC000
    assert bench.read_port(0x604, 2) == bench.read_port(0x700, 1) == 0
    assert bytes(bench.elcr.data) == b"\x00\x0c"
    assert bench.reports == []


def test_a_machine_without_pci_is_left_alone() -> None:
    guest = FakeGuest(0x1000)
    set_up_pci(guest)
    assert {port for port, _, _ in guest.port_writes} == {0xCF8}


@pytest.mark.parametrize(("device", "pin", "irq"), [(3, 1, 11), (4, 1, 11), (5, 1, 10), (6, 1, 10), (3, 4, 10)])
def test_a_plugged_card_finds_its_interrupt_in_the_line_register(device: int, pin: int, irq: int) -> None:
    bench = PciBench()
    card = PciFunction(Identity(0x8086, 0x100E, 0x020000, pin=pin))
    bench.pci.plug(device, 0, card)
    set_up_pci(bench)
    assert bench.config_read(device, 0, 0x3C, 1) == irq
    card.intx.set(True)
    assert [n for n in range(16) if bench.irq_levels[n]] == [irq]


BARS = st.tuples(st.sampled_from(["io", "memory", "prefetchable"]), st.integers(4, 20))


@settings(max_examples=30)
@given(st.lists(st.lists(BARS, max_size=6), max_size=5))
def test_no_two_ranges_ever_overlap_and_all_are_aligned(cards: list[list[tuple[str, int]]]) -> None:
    bench = PciBench()
    placed: dict[tuple[int, int], tuple[str, int, int | None]] = {}
    for device, bars in enumerate(cards, 3):
        card = PciFunction(Identity(0x1234, 0x5678, 0xFF0000))
        for index, (kind, order) in enumerate(bars):
            is_io = kind == "io"
            size = 1 << min(order, 8) if is_io else 1 << order
            key = device, index

            def moved(base: int | None, key: tuple[int, int] = key, kind: str = kind, size: int = size) -> None:
                placed[key] = kind, size, base

            flags = BAR_IO if is_io else BAR_PREFETCHABLE if kind == "prefetchable" else 0
            placed[key] = kind, size, None
            card.add_bar(index, size, moved, flags=flags)
        bench.pci.plug(device, 0, card)
    set_up_pci(bench)
    assert bench.frame_buffer is not None
    placed[2, 0] = "prefetchable", 16 << 20, bench.frame_buffer
    for is_io in (True, False):
        ends = 0
        for base, size in sorted(
            (base, size) for kind, size, base in placed.values() if (kind == "io") is is_io and base is not None
        ):
            assert base % size == 0
            assert base >= ends
            ends = base + size
        assert ends <= (0x10000 if is_io else MEMORY_END)
    assert all(base is not None for _, _, base in placed.values())
