"""When a disk's interrupts come: late enough for drivers that block a process first, as every real drive's do."""

from __future__ import annotations

import pytest
from ata_host import Host

from hillemu.emu.devices.storage import ata_names as ata
from hillemu.emu.devices.storage.ata_drive import COMMAND_NS
from hillemu.emu.media import Medium

TEN_NS = 1
"""A tick of the host's clock."""


def ticks_to_interrupt(host: Host) -> int:
    """How long until INTRQ rises; what was pending is acknowledged first, as an interrupt handler does."""
    host.read(ata.STATUS)
    for ticks in range(0, 100_000, 50):
        if host.irq.level:
            return ticks
        host.clock.advance(50 * TEN_NS)
    raise AssertionError("no interrupt for a millisecond")


@pytest.fixture
def host() -> Host:
    return Host(Medium.from_bytes("disk", bytes(8 * 512)))


def test_every_written_sector_takes_its_time_before_it_interrupts(host: Host) -> None:
    host.command(ata.WRITE_SECTORS, 1, 2)
    for _ in range(2):
        for _ in range(256):
            host.write(ata.DATA, 0xBEEF, 2)
        assert ticks_to_interrupt(host) * 10 >= COMMAND_NS


def test_every_sector_that_is_read_takes_its_time_before_it_interrupts(host: Host) -> None:
    host.command(ata.READ_SECTORS, 1, 2)
    for _ in range(2):
        assert ticks_to_interrupt(host) * 10 >= COMMAND_NS
        for _ in range(256):
            host.read(ata.DATA, 2)
