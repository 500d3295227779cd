"""The PIIX3's interrupt router and IDE configuration, against the 82371SB data sheet."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pci_bench import PciBench


def high(bench: PciBench) -> set[int]:
    return {n for n in range(16) if bench.irq_levels[n]}


def test_after_reset_no_input_is_routed() -> None:
    bench = PciBench()
    assert bench.config_read(1, 0, 0x60) == 0x80808080
    bench.isa.pirq(0).set(True)
    assert high(bench) == set()


def test_routing_an_asserted_input_moves_its_level() -> None:
    bench = PciBench()
    wire = bench.isa.pirq(1)
    wire.set(True)
    bench.config_write(1, 0, 0x61, 10, 1)
    assert high(bench) == {10}
    bench.config_write(1, 0, 0x61, 5, 1)
    assert high(bench) == {5}
    bench.config_write(1, 0, 0x61, 0x85, 1)
    assert high(bench) == set()


def test_inputs_and_other_chips_share_an_interrupt() -> None:
    bench = PciBench()
    bench.config_write(1, 0, 0x60, 0x0B0B)
    one, other, isa = bench.isa.pirq(0), bench.isa.pirq(1), bench.irq(11)
    for wire in (one, other, isa):
        wire.set(True)
    for wire in (isa, one):
        wire.set(False)
        assert high(bench) == {11}
    other.set(False)
    assert high(bench) == set()


def test_a_reserved_interrupt_gets_nothing_and_is_reported_once() -> None:
    bench = PciBench()
    wire = bench.isa.pirq(0)
    wire.set(True)
    bench.config_write(1, 0, 0x60, 8, 1)
    bench.config_write(1, 0, 0x60, 8, 1)
    assert high(bench) == set()
    assert len(bench.reports) == 1


ROUTES = st.sampled_from([3, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 0x80, 0x8A])


@given(st.lists(st.tuples(st.integers(0, 3), st.one_of(st.booleans(), ROUTES)), max_size=30))
def test_levels_are_always_the_or_of_what_is_routed(steps: list[tuple[int, bool | int]]) -> None:
    bench = PciBench()
    wires = [[bench.isa.pirq(n), bench.isa.pirq(n)] for n in range(4)]
    routes = [0x80] * 4
    for count, (number, step) in enumerate(steps):
        if isinstance(step, bool):
            wires[number][count % 2].set(step)
        else:
            bench.config_write(1, 0, 0x60 + number, step, 1)
            routes[number] = step
        asserted = [any(wire.level for wire in wires[n]) for n in range(4)]
        assert high(bench) == {routes[n] for n in range(4) if asserted[n] and routes[n] < 0x80}


def test_the_bus_master_ports_move_with_their_base_address() -> None:
    bench = PciBench()
    bench.config_write(1, 1, 0x20, 0xD001)
    assert bench.bus_master.base is None
    bench.config_write(1, 1, 0x04, 0x0005, 2)
    assert bench.bus_master.base == 0xD000
    assert bench.mastering == [True]
    bench.write_port(0xD002, 0x06, 1)
    assert bench.read_port(0xD002, 1) == 0x06
    bench.pci.reset()
    assert bench.mastering == [True, False]
