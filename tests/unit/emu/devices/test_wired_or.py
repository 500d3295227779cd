"""Shared wires and moving ranges."""

from __future__ import annotations

from pci_bench import Latches

from hillemu.emu.bus import Bus
from hillemu.emu.devices.pci.moving_range import MovingRange
from hillemu.emu.devices.wired_or import WiredOr
from hillemu.emu.wires import Line


def test_a_shared_wire_falls_with_its_last_driver() -> None:
    edges: list[bool] = []
    shared = WiredOr(Line(edges.append))
    wires = [shared.input() for _ in range(3)]
    for wire in wires:
        wire.set(True)
        wire.set(True)
    for wire in wires[:2]:
        wire.set(False)
    assert edges == [True]
    wires[2].set(False)
    assert edges == [True, False]


def test_a_range_that_moves_onto_another_chip_does_not_answer_and_is_reported() -> None:
    ports = Bus("port", 0x10000)
    first, second = Latches(4), Latches(16)
    first.data[:] = b"abcd"
    ports.attach(0x3F8, 4, first, name="COM1")
    reports: list[str] = []
    place = MovingRange(ports, 16, second, name="card", report=reports.append)
    place.move(0x3F0)
    assert place.base is None
    assert ports.read(0x3F8, 1) == ord("a")
    assert len(reports) == 1
    assert "COM1" in reports[0]
    place.move(0x400)
    ports.write(0x400, 1, 7)
    assert second.data[0] == 7
