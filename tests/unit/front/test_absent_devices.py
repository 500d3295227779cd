"""The names of devices that the machine has not."""

from __future__ import annotations

from itertools import pairwise

from hillemu.commands.absent_devices import _MEMORY, _PORTS, absent_devices
from hillemu.machine import Machine


def test_each_owner_is_named_once_however_many_of_its_addresses_were_tried() -> None:
    unhandled = {"port_reads": {0x388: 9, 0x38A: 1}, "port_writes": {0x389: 1}, "memory_reads": {0xFF000000: 2}}
    assert absent_devices(unhandled) == ["AdLib", "QEMU's test device (--device pc-testdev adds it)"]


def test_a_port_is_not_taken_for_memory_of_the_same_number() -> None:
    assert absent_devices({"memory_reads": {0x220: 1}, "port_reads": {0xFF00: 1}}) == []


def test_no_range_overlaps_another() -> None:
    for table in (_PORTS, _MEMORY):
        spans = sorted((first, last) for first, last, _ in table)
        assert all(first <= last for first, last in spans)
        assert all(before[1] < after[0] for before, after in pairwise(spans))


def test_no_device_of_the_machine_is_called_absent() -> None:
    machine = Machine()
    for first, last, owner in _PORTS:
        for port in range(first, last + 1):
            machine._pc.ports.read(port, 1)
            assert port in machine.unhandled["port_reads"], f"{owner} at {port:#x}"
