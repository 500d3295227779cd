"""What a port access waits for, beside the figures of the ISA bus's specification."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hillemu.emu.timing.model import timing_model
from hillemu.emu.timing.ports import PortWait, isa_bus

ISA_MHZ = Fraction(25, 3)
IN_TABLE = 2
"""Bus clocks that the manuals' figures have for the bus cycle."""


def wait_for(board: tuple[PortWait, ...], port: int, bits: int) -> int:
    return next(wait for wait in board if port in wait.ports).bus_clocks(bits)


@pytest.mark.parametrize(
    ("port", "bits", "nanoseconds"),
    [
        (0x61, 8, 720),  # 2 BCLK and 4 wait states
        (0x40, 16, 1440),  # two bytes
        (0x3C0, 32, 2880),
        (0x1F0, 16, 360),  # 2 BCLK and 1 wait state
        (0x170, 16, 360),
        (0x1F0, 32, 720),
        (0x1F0, 8, 360),
        (0x1F7, 8, 720),
    ],
)
def test_a_cycle_lasts_as_long_as_the_specification_says(port: int, bits: int, nanoseconds: int) -> None:
    board = isa_bus(bus_mhz=25, has_pci=False)  # a third of it is 8.33 MHz exactly
    assert (wait_for(board, port, bits) + IN_TABLE) * 1000 == nanoseconds * 25


@given(bus_mhz=st.integers(1, 1000))
def test_the_bus_is_divided_to_the_fastest_clock_that_isa_cards_can_bear(bus_mhz: int) -> None:
    board = isa_bus(bus_mhz=bus_mhz, has_pci=False)
    divisor = Fraction(wait_for(board, 0x60, 32) - wait_for(board, 0x60, 16), 2 * 6)
    assert divisor.denominator == 1
    assert bus_mhz / divisor <= ISA_MHZ
    assert divisor == 1 or bus_mhz / (divisor - 1) > ISA_MHZ


@pytest.mark.parametrize(("bus_mhz", "clocks"), [(66, 10), (60, 10), (33, 5), (25, 5)])
def test_behind_pci_an_access_is_claimed_first(bus_mhz: int, clocks: int) -> None:
    behind, direct = (isa_bus(bus_mhz=bus_mhz, has_pci=has_pci) for has_pci in (True, False))
    for port in (0x60, 0x1F0):
        for bits in (8, 16, 32):  # once, and not for each ISA cycle
            assert wait_for(behind, port, bits) - wait_for(direct, port, bits) == clocks


@pytest.mark.parametrize("has_pci", [False, True])
def test_ports_of_pci_have_no_isa_cycle(has_pci: bool) -> None:
    board = isa_bus(bus_mhz=33, has_pci=has_pci)
    for port in (0xCF8, 0xCFC, 0xCFF, 0x1000, 0xC000, 0xFFFF):
        assert wait_for(board, port, 32) == 0
    for port in (0xCF7, 0xD00, 0xFFF):
        assert wait_for(board, port, 32) > 0


def test_the_pentium_has_pci_and_the_others_have_not() -> None:
    waits = {name: wait_for(timing_model(name).port_waits, 0x60, 8) for name in ("i386", "i486-nomem", "pentium")}
    assert waits == {"i386": 6 * 4 - 2, "i486-nomem": 6 * 4 - 2, "pentium": 5 * 2 + 6 * 8 - 2}


@pytest.mark.parametrize("wait_states", [0, 7])
def test_wait_states_that_are_asked_for_are_those_of_every_port_and_size(wait_states: int) -> None:
    board = timing_model("pentium", io_wait_states=wait_states).port_waits
    for port in (0, 0x1F0, 0xCF8, 0xFFFF):
        for bits in (8, 16, 32):
            assert wait_for(board, port, bits) == wait_states
