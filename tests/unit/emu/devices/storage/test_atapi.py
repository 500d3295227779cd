"""A CD drive: packets on the ATA cable, and what the SCSI commands answer."""

from __future__ import annotations

import random
import struct

import pytest
from ata_host import Host
from hypothesis import given
from hypothesis import strategies as st

from hillemu.emu.devices.storage import ata_names as ata
from hillemu.emu.devices.storage.bus_master import INTERRUPT
from hillemu.emu.media import CD_SECTOR_BYTES, Medium

SECTORS = 400
DATA = random.Random(5).randbytes(SECTORS * CD_SECTOR_BYTES)
TEST_UNIT_READY, REQUEST_SENSE, INQUIRY, START_STOP, PREVENT = 0x00, 0x03, 0x12, 0x1B, 0x1E
EJECT, LOAD = (START_STOP, 0, 0, 0, 2), (START_STOP, 0, 0, 0, 3)


def disc(count: int = SECTORS) -> Medium:
    return Medium.from_bytes("cd", DATA[: count * CD_SECTOR_BYTES], sector_bytes=CD_SECTOR_BYTES)


@pytest.fixture
def host() -> Host:
    return Host(cd=disc())


def read_10(lba: int, count: int) -> bytes:
    return struct.pack(">BBIBHB", 0x28, 0, lba, 0, count, 0)


def sense(host: Host) -> tuple[int, int, int]:
    data = host.ask(REQUEST_SENSE, 0, 0, 0, 18)
    assert (data[0], data[7], len(data)) == (0x70, 10, 18)
    return data[2], data[12], data[13]


def fails(host: Host, *packet: int) -> tuple[int, int, int]:
    """The sense data of a command that must fail without moving anything."""
    assert host.ask(*packet) == b""
    assert host.read(ata.COUNT) & 7 == ata.IO | ata.COD
    error = host.failed()
    found = sense(host)
    assert error >> 4 == found[0]
    return found


def works(host: Host, *packet: int) -> bool:
    host.packet(*packet)
    return not host.settle() & ata.ERR


class TestTheCable:
    def test_a_packet_device_is_known_by_its_signature(self, host: Host) -> None:
        host.control(ata.SRST)
        host.control(0)
        host.clock.advance(100_000)
        assert [host.read(offset) for offset in range(1, 8)] == [1, 1, 1, 0x14, 0xEB, 0xA0, 0]

    @pytest.mark.parametrize("command", [ata.IDENTIFY_DEVICE, ata.READ_SECTORS])
    def test_disk_commands_abort_and_leave_the_signature(self, host: Host, command: int) -> None:
        host.command(command, 0x123456)
        assert host.failed() == ata.ABRT
        assert (host.read(ata.MID), host.read(ata.HIGH)) == (0x14, 0xEB)

    def test_identify_tells_of_a_removable_cd_drive(self, host: Host) -> None:
        words = host.identify(ata.IDENTIFY_PACKET_DEVICE)
        assert words[0] == 0x85C0
        assert b"".join(word.to_bytes(2, "big") for word in words[27:47]).rstrip() == b"HILLEMU CD-ROM"
        assert words[82] == words[85] == 0x4218
        assert words[49] & 0x100, "DMA"

    def test_device_reset_reaches_a_drive_in_the_middle_of_a_packet(self) -> None:
        host = Host(Medium.from_bytes("disk", bytes(512)), cd=disc())
        host.packet(*read_10(0, 3), device=0xB0)
        assert host.settle() & ata.DRQ
        edges = len(host.edges)
        host.write(ata.COMMAND, ata.DEVICE_RESET)
        assert host.settle() == 0
        assert [host.read(offset) for offset in range(1, 7)] == [1, 1, 1, 0x14, 0xEB, 0xB0]
        assert len(host.edges) == edges
        assert host.ask(*read_10(3, 1), device=0xB0) == DATA[3 * 2048 : 4 * 2048]

    def test_a_packet_is_taken_without_an_interrupt_and_its_data_come_with_one(self, host: Host) -> None:
        host.command(ata.PACKET, 2048 << 8)
        assert host.alternate & (ata.BSY | ata.DRQ) == ata.DRQ
        assert host.read(ata.COUNT) & 7 == ata.COD
        assert host.edges == []
        for word in struct.unpack("<6H", read_10(1, 1) + b"\0\0"):
            host.write(ata.DATA, word, 2)
        assert host.alternate & ata.BSY
        host.clock.advance(100_000)
        assert host.edges == [True]
        assert host.read(ata.COUNT) & 7 == ata.IO
        assert host.read(ata.MID) | host.read(ata.HIGH) << 8 == 2048
        assert host.read(ata.STATUS) & ata.DRQ
        assert b"".join(host.read(ata.DATA, 4).to_bytes(4, "little") for _ in range(512)) == DATA[2048:4096]
        host.clock.advance(100_000)
        assert host.edges == [True, False, True]
        assert host.read(ata.COUNT) & 7 == ata.IO | ata.COD
        assert host.read(ata.STATUS) == ata.READY

    @given(st.integers(1, 0xFFFF), st.integers(0, SECTORS - 4), st.integers(1, 4))
    def test_data_come_in_blocks_of_the_hosts_size(self, limit: int, lba: int, count: int) -> None:
        host = Host(cd=disc())
        host.packet(*read_10(lba, count), limit=limit)
        data = b""
        while host.settle() & ata.DRQ:
            size = host.read(ata.MID) | host.read(ata.HIGH) << 8
            rest = count * 2048 - len(data)
            assert size == min(limit & ~1 or 1, rest, 0xFFFE)
            piece = b"".join(host.read(ata.DATA, 2).to_bytes(2, "little") for _ in range(-(-size // 2)))
            data += piece[:size]
            if limit < 100 and len(data) > 300:
                return  # the others are like these
        assert data == DATA[lba * 2048 : (lba + count) * 2048]

    @given(st.integers(1, 1023).map(lambda half: 2 * half), st.integers(1, 3))
    def test_a_host_that_does_not_look_between_blocks_gets_a_sector_whole(self, limit: int, count: int) -> None:
        host = Host(cd=disc())
        host.packet(*read_10(9, count), limit=limit)
        data = b""
        for _ in range(count):
            assert host.settle() & ata.DRQ
            data += b"".join(host.read(ata.DATA, 2).to_bytes(2, "little") for _ in range(1024))
        assert data == DATA[9 * 2048 : (9 + count) * 2048]
        assert host.settle() == ata.READY
        assert host.read(ata.COUNT) & 7 == ata.IO | ata.COD

    def test_each_block_of_a_sector_has_its_interrupt(self, host: Host) -> None:
        host.packet(*read_10(0, 2), limit=1024)
        host.settle()
        edges = len(host.edges)
        for block in range(2):
            for _ in range(512):
                host.read(ata.DATA, 2)
            busy = host.alternate & ata.BSY
            assert bool(busy) == (block == 1), "the next sector is still on the disc, the rest of this one is here"
            assert len(host.edges) == edges + (block == 0)
            host.read(ata.STATUS)
            edges = len(host.edges)

    def test_blocks_that_nobody_acknowledges_are_one_interrupt(self, host: Host) -> None:
        host.packet(*read_10(0, 1), limit=12)
        host.settle()
        edges = len(host.edges)
        for _ in range(1023):
            host.read(ata.DATA, 2)
        assert host.edges[edges:] == [True]

    def test_data_for_a_host_without_room_abort(self, host: Host) -> None:
        host.packet(*read_10(0, 1), limit=0)
        assert host.failed() == ata.ABRT
        assert works(host, TEST_UNIT_READY)

    def test_data_may_come_by_dma(self, host: Host) -> None:
        host.table((0x8000, 3000), (0xC000, 3144))
        host.packet(*read_10(7, 3), dma=True)
        host.master.write(0, 1, 9)
        assert host.settle() == ata.READY
        assert host.master.read(2, 1) == INTERRUPT
        memory = host.memory.data
        assert memory[0x8000 : 0x8000 + 3000] + memory[0xC000 : 0xC000 + 3144] == DATA[7 * 2048 : 10 * 2048]
        assert host.read(ata.COUNT) & 7 == ata.IO | ata.COD

    def test_overlapped_packets_and_other_commands_abort(self, host: Host) -> None:
        host.command(ata.PACKET, features=2)
        assert host.failed() == ata.ABRT
        for command in (ata.READ_DMA, ata.SET_MULTIPLE_MODE, ata.NOP, 0xB0):
            host.command(command)
            assert host.failed() == ata.ABRT
        assert host.run(ata.SET_FEATURES, count=0x42, features=3) == ata.READY
        assert host.run(ata.SET_FEATURES, features=2) & ata.ERR
        assert host.run(ata.IDLE) == ata.READY
        host.run(ata.CHECK_POWER_MODE)
        assert host.read(ata.COUNT) == 0xFF


class TestTheDisc:
    def test_capacity_and_sectors(self, host: Host) -> None:
        assert host.ask(0x25) == struct.pack(">II", SECTORS - 1, 2048)
        assert host.ask(*struct.pack(">BBIIxx", 0xA8, 0, SECTORS - 2, 2)) == DATA[-4096:]
        assert host.ask(*read_10(5, 0)) == b""
        assert host.settle() == ata.READY

    def test_sectors_behind_the_end_do_not_exist(self, host: Host) -> None:
        assert fails(host, *read_10(SECTORS - 1, 2)) == (5, 0x21, 0)
        assert fails(host, *struct.pack(">BBIIxx", 0xA8, 0, 0xFFFFFFFF, 1)) == (5, 0x21, 0)
        assert fails(host, *struct.pack(">BBI", 0x2B, 0, SECTORS)) == (5, 0x21, 0)
        assert works(host, *struct.pack(">BBI", 0x2B, 0, SECTORS - 1))

    def test_read_cd_gives_user_data_only(self, host: Host) -> None:
        assert host.ask(0xBE, 0, 0, 0, 0, 9, 0, 0, 1, 0x10) == DATA[9 * 2048 : 10 * 2048]
        assert fails(host, 0xBE, 0, 0, 0, 0, 9, 0, 0, 1, 0xF8) == (5, 0x24, 0)
        assert host.ask(0xBE, 0, 0, 0, 0, 9, 0, 0, 1, 0x00) == b""

    def test_the_table_of_contents_has_one_data_track(self, host: Host) -> None:
        def toc(msf: int, form: int, first: int, room: int = 100) -> bytes:
            return host.ask(0x43, msf, form, 0, 0, 0, first, *struct.pack(">H", room))

        assert toc(0, 0, 0) == bytes.fromhex("0012 0101 00140100 00000000 0014aa00 00000190")
        assert toc(2, 0, 1) == bytes.fromhex("0012 0101 00140100 00000200 0014aa00 00000719")
        assert toc(0, 0, 0xAA) == bytes.fromhex("000a 0101 0014aa00 00000190")
        assert toc(0, 1, 0) == bytes.fromhex("000a 0101 00140100 00000000")
        raw = toc(0, 2, 0)
        assert raw[:2] == struct.pack(">H", len(raw) - 2)
        assert [raw[at + 3] for at in range(4, len(raw), 11)] == [0xA0, 0xA1, 0xA2, 1]
        assert toc(0, 0, 0, 4) == bytes.fromhex("0012 0101")
        assert fails(host, 0x43, 0, 0, 0, 0, 0, 2, 0, 100) == (5, 0x24, 0)
        assert fails(host, 0x43, 0, 5, 0, 0, 0, 0, 0, 100) == (5, 0x24, 0)

    def test_a_cd_has_no_dvd_structures(self, host: Host) -> None:
        assert fails(host, 0xAD, 0, 0, 0, 0, 0, 0, 0, 0, 32) == (5, 0x30, 2)

    def test_the_profile_is_that_of_a_cd(self, host: Host) -> None:
        data = host.ask(0x46, 0, 0, 0, 0, 0, 0, 1, 0)
        assert data[:4] == struct.pack(">I", len(data) - 4)
        assert data[6:8] == b"\0\x08"
        assert data[8:20] == bytes.fromhex("00000308 00100000 00080100")
        assert host.ask(0x46, 2, 0, 0x1E, 0, 0, 0, 1, 0)[8:] == bytes.fromhex("001e010400000000")
        assert host.ask(0x46, 1, 0, 0x1F, 0, 0, 0, 1, 0)[8:] == b""

    def test_disc_information_is_of_a_finished_disc(self, host: Host) -> None:
        data = host.ask(0x51, 0, 0, 0, 0, 0, 0, 1, 0)
        assert (len(data), data[:7]) == (34, bytes.fromhex("0020 0e 01 01 01 01"))


class TestTheDrive:
    def test_inquiry_says_what_it_is(self, host: Host) -> None:
        data = host.ask(INQUIRY, 0, 0, 0, 36)
        assert (data[0], data[1], data[4], len(data)) == (5, 0x80, 31, 36)
        assert data[8:] == b"HILLEMU CD-ROM          1.0 "
        assert host.ask(INQUIRY, 0, 0, 0, 5) == data[:5]
        assert fails(host, INQUIRY, 1, 0, 0, 36) == (5, 0x24, 0)

    def test_unknown_commands_are_refused(self, host: Host) -> None:
        for command in (0x2A, 0x42, 0x55, 0xFF):
            assert fails(host, command) == (5, 0x20, 0)
        assert sense(host) == (0, 0, 0), "told once"

    def test_nothing_is_pending_at_power_on(self, host: Host) -> None:
        assert works(host, TEST_UNIT_READY)

    def test_an_empty_drive_has_no_medium(self) -> None:
        host = Host(with_cd=True)
        for packet in ((TEST_UNIT_READY,), (0x25,), tuple(read_10(0, 1)), (0x43,), (0x51,)):
            assert fails(host, *packet) == (2, 0x3A, 0)
        assert host.ask(0x46, 0, 0, 0, 0, 0, 0, 1, 0)[6:8] == b"\0\0"

    def test_another_disc_is_told_of_once(self, host: Host) -> None:
        host.cd.change(disc(7))
        assert host.ask(INQUIRY, 0, 0, 0, 36) != b""
        assert fails(host, TEST_UNIT_READY) == (6, 0x28, 0)
        assert host.ask(0x25) == struct.pack(">II", 6, 2048)
        host.cd.change(None)
        assert fails(host, TEST_UNIT_READY) == (2, 0x3A, 0)
        host.cd.change(disc())
        assert sense(host) == (6, 0x28, 0)
        assert works(host, TEST_UNIT_READY)

    def test_the_guest_ejects_and_loads(self, host: Host) -> None:
        assert works(host, *EJECT)
        assert fails(host, TEST_UNIT_READY) == (2, 0x3A, 0)
        assert host.ask(0xBD, 0, 0, 0, 0, 0, 0, 0, 0, 8)[1] == 0x10
        assert works(host, *LOAD)
        assert fails(host, TEST_UNIT_READY) == (6, 0x28, 0)
        assert works(host, TEST_UNIT_READY)

    def test_a_locked_tray_stays_shut(self, host: Host) -> None:
        assert works(host, PREVENT, 0, 0, 0, 1)
        assert fails(host, *EJECT) == (5, 0x53, 2)
        assert works(host, PREVENT)
        assert works(host, *EJECT)

    def test_events_are_polled(self, host: Host) -> None:
        poll = (0x4A, 1, 0, 0, 0x10, 0, 0, 0, 8)
        assert host.ask(*poll) == bytes.fromhex("0006 04 10 00 02 0000")
        host.cd.change(disc(7))
        assert host.ask(*poll) == bytes.fromhex("0006 04 10 02 02 0000")
        assert host.ask(*poll) == bytes.fromhex("0006 04 10 00 02 0000")
        works(host, TEST_UNIT_READY)
        works(host, *EJECT)
        assert host.ask(*poll) == bytes.fromhex("0006 04 10 03 01 0000")
        assert host.ask(0x4A, 1, 0, 0, 0x02, 0, 0, 0, 8) == bytes.fromhex("0002 80 10")
        assert fails(host, 0x4A, 0, 0, 0, 0x10, 0, 0, 0, 8) == (5, 0x24, 0)

    def test_mode_pages(self, host: Host) -> None:
        def mode(page: int) -> bytes:
            return host.ask(0x5A, 0, page, 0, 0, 0, 0, 1, 0)

        everything = mode(0x3F)
        assert everything[:2] == struct.pack(">H", len(everything) - 2)
        assert everything[8:] == mode(0x01)[8:] + mode(0x2A)[8:]
        capabilities = mode(0x2A)[8:]
        assert (capabilities[0], capabilities[1], len(capabilities)) == (0x2A, 18, 20)
        assert capabilities[6] == 0x29
        assert set(mode(0x6A)[10:]) == {0}
        assert fails(host, 0x5A, 0, 0xEA, 0, 0, 0, 0, 1, 0) == (5, 0x39, 0)
        assert fails(host, 0x5A, 0, 0x11, 0, 0, 0, 0, 1, 0) == (5, 0x24, 0)

    def test_only_discs_fit(self, host: Host) -> None:
        with pytest.raises(ValueError, match="sectors of 2048 bytes"):
            host.cd.change(Medium.from_bytes("disk", bytes(512)))
