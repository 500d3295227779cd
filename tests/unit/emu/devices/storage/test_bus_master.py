"""The PIIX's bus master, with a disk behind it."""

from __future__ import annotations

import random

import pytest
from ata_host import Host

from hillemu.emu.devices.storage import ata_names as ata
from hillemu.emu.devices.storage.bus_master import ACTIVE, ERROR, INTERRUPT, START, TO_MEMORY
from hillemu.emu.media import Medium

COMMAND, STATUS, TABLE = 0, 2, 4


@pytest.fixture
def data() -> bytes:
    return random.Random(3).randbytes(512 * 600)


@pytest.fixture
def host(data: bytes) -> Host:
    return Host(Medium.from_bytes("disk", data))


def start(host: Host, direction: int = TO_MEMORY) -> None:
    host.master.write(COMMAND, 1, direction)
    host.master.write(COMMAND, 1, direction | START)


def status(host: Host) -> int:
    return host.master.read(STATUS, 1)


def test_a_read_is_scattered_over_its_regions(host: Host, data: bytes) -> None:
    host.table((0x8000, 100), (0x5002, 1000), (0x20000, 948))
    host.command(ata.READ_DMA, 5, 4)
    start(host)
    assert status(host) == ACTIVE
    host.clock.advance(100_000)
    assert status(host) == INTERRUPT
    assert host.irq.level
    assert host.read(ata.STATUS) == ata.READY
    wanted = data[5 * 512 : 9 * 512]
    memory = host.memory.data
    assert memory[0x8000:0x8064] == wanted[:100]
    assert memory[0x5002 : 0x5002 + 1000] == wanted[100:1100]
    assert memory[0x20000 : 0x20000 + 948] == wanted[1100:]
    assert memory[0x8064:0x8100] == bytes(0x9C)


def test_a_write_is_gathered_from_its_regions(host: Host, data: bytes) -> None:
    new = random.Random(4).randbytes(1536)
    host.memory.data[0x4000:0x4200] = new[:512]
    host.memory.data[0x9000:0x9400] = new[512:]
    host.table((0x4000, 512), (0x9000, 1024))
    host.command_48(ata.WRITE_DMA_EXT, 7, 3)
    start(host, 0)
    assert host.settle() == ata.READY
    host.command(ata.READ_SECTORS, 6, 5)
    assert host.take() == data[6 * 512 : 7 * 512] + new + data[10 * 512 : 11 * 512]
    assert host.heard == []


def test_the_driver_may_start_the_bus_master_late(host: Host, data: bytes) -> None:
    host.table((0x8000, 512))
    host.command(ata.READ_DMA, 5)
    host.clock.advance(1_000_000)
    assert host.alternate == ata.READY | ata.DRQ
    assert not host.irq.level
    start(host)
    assert host.irq.level
    assert status(host) == INTERRUPT
    assert host.memory.data[0x8000:0x8200] == data[5 * 512 : 6 * 512]


def test_a_region_of_0_bytes_is_64_kib(host: Host, data: bytes) -> None:
    host.table((0x10000, 0x10000))
    host.command(ata.READ_DMA, 0, 128)
    start(host)
    host.clock.advance(1_000_000)
    assert status(host) == INTERRUPT
    assert host.memory.data[0x10000:0x20000] == data[:0x10000]


def test_regions_that_are_too_large_leave_the_channel_active(host: Host) -> None:
    host.table((0x8000, 1024), (0xA000, 512))
    host.command(ata.READ_DMA, 5)
    start(host)
    host.clock.advance(100_000)
    assert status(host) == ACTIVE | INTERRUPT
    host.master.write(COMMAND, 1, 0)
    assert status(host) == INTERRUPT


def test_regions_that_are_too_small_leave_the_drive_waiting(host: Host, data: bytes) -> None:
    host.table((0x8000, 512))
    host.command(ata.READ_DMA, 5, 2)
    start(host)
    host.clock.advance(100_000)
    assert status(host) == 0
    assert host.alternate & ata.DRQ
    assert not host.irq.level
    # Another table for the rest of the command is fine.
    host.table((0xA000, 512))
    host.master.write(COMMAND, 1, 0)
    start(host)
    assert status(host) == INTERRUPT
    assert host.memory.data[0xA000:0xA200] == data[6 * 512 : 7 * 512]


@pytest.mark.parametrize(("region", "table"), [((0x3FF00, 512), 0x1000), ((0xFFFF0000, 512), 0x1000)])
def test_memory_that_does_not_exist_is_an_error(host: Host, region: tuple[int, int], table: int) -> None:
    for command, direction in ((ata.READ_DMA, TO_MEMORY), (ata.WRITE_DMA, 0)):
        host.table(region, at=table)
        host.command(command, 5)
        start(host, direction)
        host.clock.advance(100_000)
        assert status(host) == ERROR
        assert not host.irq.level
        host.control(ata.SRST)
        host.control(0)
        assert host.settle() == ata.READY
        host.master.write(COMMAND, 1, 0)
        host.master.write(STATUS, 1, ERROR)
        assert status(host) == 0


def test_a_table_that_does_not_exist_is_an_error(host: Host) -> None:
    host.master.write(TABLE, 4, 0xFFFFFFF0)
    host.command(ata.READ_DMA, 5)
    start(host)
    host.clock.advance(100_000)
    assert status(host) == ERROR


def test_a_read_over_the_end_of_the_disk_moves_what_there_is(host: Host, data: bytes) -> None:
    host.table((0x8000, 2048))
    host.command(ata.READ_DMA, 598, 4)
    start(host)
    assert host.failed() == ata.IDNF
    assert host.address() == 600
    assert host.memory.data[0x8000:0x8400] == data[598 * 512 :]
    assert status(host) == ACTIVE | INTERRUPT


def test_a_direction_that_contradicts_the_command_is_reported(host: Host, data: bytes) -> None:
    host.table((0x8000, 512))
    host.command(ata.READ_DMA, 5)
    start(host, 0)
    assert host.settle() == ata.READY
    assert host.memory.data[0x8000:0x8200] == data[5 * 512 : 6 * 512]
    assert len(host.heard) == 1


def test_without_the_bus_nothing_moves(host: Host) -> None:
    host.table((0x8000, 512))
    host.master.set_enabled(False)
    host.command(ata.READ_DMA, 5)
    start(host)
    host.clock.advance(100_000)
    assert (status(host), host.irq.level) == (ACTIVE, False)
    host.master.set_enabled(True)
    assert (status(host), host.irq.level) == (INTERRUPT, True)


def test_pio_interrupts_are_noted_too_and_cleared_by_writing_ones(host: Host) -> None:
    host.run(ata.RECALIBRATE)
    assert status(host) == INTERRUPT
    host.master.write(STATUS, 1, 0x60)
    assert status(host) == 0x60 | INTERRUPT
    host.master.write(STATUS, 1, 0x20 | INTERRUPT | ERROR)
    assert status(host) == 0x20


def test_the_registers_of_both_channels_stand_side_by_side(host: Host) -> None:
    host.master.write(TABLE + 8, 4, 0x12345677)
    host.master.write(TABLE + 1, 1, 0xAB)
    assert host.master.read(TABLE + 8, 4) == 0x12345674
    assert host.master.read(TABLE, 4) == 0x0000AB00
    assert host.master.read(0, 4) == host.master.read(8, 4) == 0
    host.master.write(0, 1, 0xFF)
    assert host.master.read(0, 1) == START | TO_MEMORY
    host.master.reset()
    assert [host.master.read(offset, 4) for offset in range(0, 16, 4)] == [0] * 4
