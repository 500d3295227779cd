"""Configuration mechanism #1 and configuration space, against the PCI specification."""

from __future__ import annotations

import pytest
from pci_bench import PciBench

from hillemu.emu.devices.pci.pci_function import (
    BAR_IO,
    BAR_PREFETCHABLE,
    COMMAND,
    COMMAND_INTX_OFF,
    COMMAND_IO,
    COMMAND_MEMORY,
    INTERRUPT_LINE,
    ROM_BAR,
    STATUS,
    Identity,
    PciFunction,
)

CARD = Identity(0x10EC, 0x8139, 0x020000, pin=1)


@pytest.fixture
def bench() -> PciBench:
    return PciBench()


def plug_card(bench: PciBench, device: int = 3, identity: Identity = CARD) -> PciFunction:
    card = PciFunction(identity)
    bench.pci.plug(device, 0, card)
    return card


def test_linux_finds_configuration_mechanism_1(bench: PciBench) -> None:
    # pci_check_type1: a byte to 0CFB, then the enable bit must be found back.
    bench.write_port(0xCFB, 0x01, 1)
    kept = bench.read_port(0xCF8, 4)
    bench.write_port(0xCF8, 0x80000000, 4)
    assert bench.read_port(0xCF8, 4) == 0x80000000
    bench.write_port(0xCF8, kept, 4)
    assert bench.read_port(0xCF8, 4) == kept == 0


def test_reserved_bits_of_the_address_read_zero(bench: PciBench) -> None:
    bench.write_port(0xCF8, 0xFFFFFFFF, 4)
    assert bench.read_port(0xCF8, 4) == 0x80FFFFFC


def test_narrow_accesses_to_the_address_port_go_past_the_bridge(bench: PciBench) -> None:
    bench.write_port(0xCF8, 0x80000800, 4)
    bench.write_port(0xCF8, 0x55, 1)
    bench.write_port(0xCFA, 0x5555, 2)
    assert bench.read_port(0xCF8, 4) == 0x80000800
    assert bench.read_port(0xCF8, 1) == 0xFF
    assert bench.read_port(0xCFA, 2) == 0xFFFF


def test_port_cf9_is_the_reset_control_register(bench: PciBench) -> None:
    bench.write_port(0xCF9, 0x02, 1)
    assert bench.read_port(0xCF9, 1) == 0x02
    assert bench.read_port(0xCF8, 2) == 0x02FF
    assert bench.resets == []
    bench.write_port(0xCF9, 0x06, 1)
    assert bench.resets == ["hard"]


def test_a_dword_to_the_address_port_resets_nothing(bench: PciBench) -> None:
    bench.write_port(0xCF8, 0x80000600, 4)
    assert bench.resets == []


@pytest.mark.parametrize("size", [1, 2, 4])
def test_every_width_reads_the_same_bytes(bench: PciBench, size: int) -> None:
    whole = b"".join(bench.config_read(1, 0, at).to_bytes(4, "little") for at in range(0, 256, 4))
    parts = b"".join(bench.config_read(1, 0, at, size).to_bytes(size, "little") for at in range(0, 256, size))
    assert parts == whole


def test_nobody_answers_with_all_ones(bench: PciBench) -> None:
    assert bench.config_read(5, 0, 0) == 0xFFFFFFFF  # no such device
    assert bench.config_read(1, 2, 0) == 0xFFFFFFFF  # no such function of a device
    assert bench.config_read(1, 2, 2, 2) == 0xFFFF
    assert bench.config_read(0, 1, 0, 1) == 0xFF
    bench.write_port(0xCF8, 0x00000000, 4)  # not enabled
    assert bench.read_port(0xCFC, 4) == 0xFFFFFFFF
    bench.write_port(0xCF8, 0x80010000, 4)  # bus 1
    assert bench.read_port(0xCFC, 4) == 0xFFFFFFFF
    bench.config_write(5, 0, 0x10, 0x12345678)
    assert bench.config_read(5, 0, 0x10) == 0xFFFFFFFF


def test_only_the_device_with_more_functions_says_so(bench: PciBench) -> None:
    assert [bench.config_read(device, 0, 0x0E, 1) for device in (0, 1, 2)] == [0x00, 0x80, 0x00]


def test_an_access_beyond_the_data_port_reaches_what_is_there(bench: PciBench) -> None:
    bench.write_port(0xCF8, 0x80000000, 4)
    assert bench.read_port(0xCFE, 4) == 0xFFFF1237  # two bytes of the register, two of nobody


def test_identity_is_read_only(bench: PciBench) -> None:
    before = [bench.config_read(1, 0, at) for at in (0x00, 0x08, 0x2C)]
    for at in (0x00, 0x08, 0x2C):
        bench.config_write(1, 0, at, 0xFFFFFFFF)
    assert [bench.config_read(1, 0, at) for at in (0x00, 0x08, 0x2C)] == before
    bench.config_write(1, 0, 0x3D, 0xFF, 1)
    assert bench.config_read(1, 0, 0x3D, 1) == 0


def test_a_status_bit_is_cleared_by_writing_1_and_kept_by_writing_0(bench: PciBench) -> None:
    card = plug_card(bench)
    card.put(STATUS, 2, 0x2000)
    bench.config_write(3, 0, STATUS, 0x0000, 2)
    assert bench.config_read(3, 0, STATUS, 2) == 0x2000
    bench.config_write(3, 0, COMMAND, 0x20000000)
    assert bench.config_read(3, 0, STATUS, 2) == 0x0000


@pytest.mark.parametrize(
    ("index", "flags", "size", "found"),
    [
        (0, 0, 0x1000, 0xFFFFF000),
        (1, BAR_IO, 0x20, 0xFFFFFFE1),
        (2, BAR_PREFETCHABLE, 16 << 20, 0xFF000008),
        (ROM_BAR, 0, 0x10000, 0xFFFF0000),
    ],
)
def test_a_base_address_tells_its_size(bench: PciBench, index: int, flags: int, size: int, found: int) -> None:
    card = plug_card(bench)
    card.add_bar(index, size, lambda base: None, flags=flags)
    register = 0x30 if index == ROM_BAR else 0x10 + 4 * index
    bench.config_write(3, 0, register, 0xFFFFFFFE if index == ROM_BAR else 0xFFFFFFFF)
    assert bench.config_read(3, 0, register) == found
    bench.config_write(3, 0, register, 0)
    assert bench.config_read(3, 0, register) == flags


def test_a_range_answers_only_while_it_is_decoded(bench: PciBench) -> None:
    moves: list[int | None] = []
    card = plug_card(bench)
    card.add_bar(0, 0x1000, moves.append)
    bench.config_write(3, 0, 0x10, 0xE0000000)
    assert moves == []
    bench.config_write(3, 0, COMMAND, COMMAND_IO, 2)
    assert moves == []  # of the other kind
    bench.config_write(3, 0, COMMAND, COMMAND_MEMORY, 2)
    assert moves == [None, 0xE0000000]
    bench.config_write(3, 0, 0x10, 0xFFFFFFFF)  # sizing while decoded: out of the way meanwhile
    bench.config_write(3, 0, 0x10, 0xE0001000)
    assert moves[2:] == [None, None, 0xE0001000]
    card.reset()
    assert moves[5:] == [None]


def test_a_rom_needs_its_own_enable_bit_too(bench: PciBench) -> None:
    moves: list[int | None] = []
    card = plug_card(bench)
    card.add_bar(ROM_BAR, 0x10000, moves.append)
    bench.config_write(3, 0, COMMAND, COMMAND_MEMORY, 2)
    bench.config_write(3, 0, 0x30, 0xFEB00000)
    assert moves == []
    bench.config_write(3, 0, 0x30, 0xFEB00001)
    assert moves == [None, 0xFEB00000]


def test_two_ranges_may_change_places(bench: PciBench) -> None:
    log: list[tuple[str, int | None]] = []
    card = plug_card(bench)
    card.add_bar(0, 0x1000, lambda base: log.append(("a", base)))
    card.add_bar(1, 0x1000, lambda base: log.append(("b", base)))
    bench.config_write(3, 0, 0x10, 0xE0000000)
    bench.config_write(3, 0, 0x14, 0xE0001000)
    bench.config_write(3, 0, COMMAND, COMMAND_MEMORY, 2)
    assert log == [("a", None), ("b", None), ("a", 0xE0000000), ("b", 0xE0001000)]


@pytest.mark.parametrize(("device", "pin", "pirq"), [(5, 1, 0), (2, 1, 1), (3, 1, 2), (3, 2, 3), (4, 4, 2), (31, 1, 2)])
def test_interrupt_pins_are_spread_over_the_four_inputs(bench: PciBench, device: int, pin: int, pirq: int) -> None:
    card = plug_card(bench, device, CARD._replace(pin=pin))
    for n, irq in enumerate((5, 10, 11, 12)):
        bench.config_write(1, 0, 0x60 + n, irq, 1)
    card.intx.set(True)
    assert [n for n in range(16) if bench.irq_levels[n]] == [(5, 10, 11, 12)[pirq]]


def test_interrupt_status_shows_the_pin_that_the_command_keeps_off(bench: PciBench) -> None:
    card = plug_card(bench)
    bench.config_write(1, 0, 0x62, 11, 1)
    bench.config_write(3, 0, COMMAND, COMMAND_INTX_OFF, 2)
    card.intx.set(True)
    assert bench.config_read(3, 0, STATUS, 2) == 0x0008
    assert not bench.irq_levels[11]
    bench.config_write(3, 0, COMMAND, 0, 2)
    assert bench.irq_levels[11]
    card.intx.set(False)
    assert bench.config_read(3, 0, STATUS, 2) == 0
    assert not bench.irq_levels[11]


def test_reset_gives_every_register_back(bench: PciBench) -> None:
    before = [[bench.config_read(d, f, at) for at in range(0, 256, 4)] for d, f in bench.pci.functions]
    for d, f in bench.pci.functions:
        for at in range(0, 256, 4):
            # Not PMCNTRL and such: only the configuration space is written.
            bench.config_write(d, f, at, 0xFFFFFFFF)
    assert bench.config_read(1, 0, INTERRUPT_LINE, 1) == 0xFF
    bench.pci.reset()
    assert [[bench.config_read(d, f, at) for at in range(0, 256, 4)] for d, f in bench.pci.functions] == before
    assert bench.frame_buffer is bench.vga_mmio.base is bench.bus_master.base is None
