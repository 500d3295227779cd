"""An ATA channel and its disks, as a driver sees them through the ports."""

from __future__ import annotations

from pathlib import Path

import pytest
from ata_host import SECOND, CountingWindow, Host
from hypothesis import given, settings
from hypothesis import strategies as st

from hillemu.emu.devices.storage import ata_names as ata
from hillemu.emu.media import Medium

SECTORS = 3000


def pattern(count: int = SECTORS) -> bytes:
    return b"".join(number.to_bytes(4, "little") * 128 for number in range(count))


def disk(count: int = SECTORS, **more: bool) -> Medium:
    return Medium.from_bytes("disk", pattern(count), **more)


def sectors(lba: int, count: int = 1) -> bytes:
    return pattern()[lba * 512 : (lba + count) * 512]


@pytest.fixture
def host() -> Host:
    return Host(disk())


class TestWhoIsThere:
    def test_an_empty_channel_reads_as_zeros(self) -> None:
        host = Host()
        host.write(ata.COUNT, 0x55)
        assert [host.read(offset) for offset in range(1, 8)] == [0] * 7
        assert (host.alternate, host.read(0, 2)) == (0, 0)
        host.run(ata.IDENTIFY_DEVICE)
        assert host.edges == []

    def test_a_single_drive_answers_for_the_absent_one_with_status_0(self, host: Host) -> None:
        host.write(ata.DEVICE, 0xF0)
        host.write(ata.COUNT, 0x55)
        assert (host.read(ata.STATUS), host.alternate, host.read(ata.COUNT)) == (0, 0, 0x55)
        host.write(ata.COMMAND, ata.IDENTIFY_DEVICE)
        assert host.settle() == 0
        host.write(ata.DEVICE, 0xE0)
        assert host.read(ata.STATUS) == ata.READY

    def test_each_of_two_drives_has_its_own_sectors(self) -> None:
        host = Host(disk(), Medium.from_bytes("b", b"second!!" * 64))
        host.command(ata.READ_SECTORS, device=0xE0 | SECOND)
        assert host.take() == b"second!!" * 64
        host.command(ata.READ_SECTORS, 7)
        assert host.take() == sectors(7)

    def test_a_pending_interrupt_belongs_to_its_drive(self) -> None:
        host = Host(disk(), disk())
        host.run(ata.RECALIBRATE)
        host.command(ata.RECALIBRATE)
        host.clock.advance(100_000)
        assert host.irq.level
        host.write(ata.DEVICE, 0xE0 | SECOND)
        assert not host.irq.level
        assert host.read(ata.STATUS) == ata.READY
        host.write(ata.DEVICE, 0xE0)
        assert host.irq.level
        host.read(ata.STATUS)
        assert not host.irq.level

    def test_reset_leaves_the_signature_of_a_disk(self, host: Host) -> None:
        host.write(ata.DEVICE, 0xFF)
        host.control(ata.SRST)
        assert host.alternate & ata.BSY
        host.clock.advance(1000)
        assert host.alternate & ata.BSY
        host.control(0)
        assert host.alternate & ata.BSY
        assert host.settle() == ata.READY
        assert [host.read(offset) for offset in range(1, 7)] == [1, 1, 1, 0, 0, 0xA0]
        assert host.edges == []

    def test_a_software_reset_ends_a_command(self, host: Host) -> None:
        host.command(ata.READ_SECTORS, count=4)
        host.settle()
        host.control(ata.SRST)
        host.control(0)
        assert host.settle() == ata.READY
        host.command(ata.READ_SECTORS, 5)
        assert host.take() == sectors(5)

    def test_diagnostic_is_for_both_drives_and_drive_0_interrupts(self) -> None:
        host = Host(disk(), disk())
        host.command(ata.EXECUTE_DEVICE_DIAGNOSTIC, 0x123456, device=0xE0 | SECOND)
        assert host.settle() == ata.READY
        assert [host.read(offset) for offset in range(1, 7)] == [1, 1, 1, 0, 0, 0xA0]
        assert host.edges == [True, False]


class TestProtocol:
    def test_a_command_is_busy_then_interrupts_with_its_data(self, host: Host) -> None:
        host.command(ata.READ_SECTORS, 2)
        assert host.alternate & ata.BSY
        assert host.edges == []
        host.clock.advance(100_000)
        assert host.alternate == ata.READY | ata.DRQ
        assert host.edges == [True]
        assert host.read(ata.STATUS) == ata.READY | ata.DRQ
        assert host.edges == [True, False]
        assert host.take() == sectors(2)
        host.clock.advance(100_000)
        assert host.edges == [True, False], "reading has no interrupt at its end"
        assert host.alternate == ata.READY

    def test_every_block_of_reading_interrupts(self, host: Host) -> None:
        host.command(ata.READ_SECTORS, 2, 3)
        assert host.take() == sectors(2, 3)
        assert host.edges == [True, False] * 3

    def test_writing_wants_its_first_block_at_once_and_interrupts_behind_each(self, host: Host) -> None:
        host.command(ata.WRITE_SECTORS, 4, 2)
        assert host.alternate == ata.READY | ata.DRQ
        assert host.edges == []
        assert host.give(b"w" * 1024) == ata.READY
        assert host.edges == [True, False] * 2
        host.command(ata.READ_SECTORS, 3, 4)
        assert host.take() == sectors(3) + b"w" * 1024 + sectors(6)

    def test_blocks_of_several_sectors_interrupt_once(self, host: Host) -> None:
        assert host.run(ata.SET_MULTIPLE_MODE, count=4) == ata.READY
        host.edges.clear()
        host.command(ata.READ_MULTIPLE, 2, 10)
        assert host.take(4) == sectors(2, 10)
        assert host.edges == [True, False] * 3
        host.command(ata.WRITE_MULTIPLE, 20, 6)
        assert host.give(b"m" * 3072, 4) == ata.READY
        assert host.edges == [True, False] * 5
        host.command(ata.READ_SECTORS, 19, 8)
        assert host.take() == sectors(19) + b"m" * 3072 + sectors(26)

    def test_without_interrupts_the_line_stays_low_until_they_are_allowed(self, host: Host) -> None:
        host.control(ata.NIEN)
        host.command(ata.RECALIBRATE)
        host.clock.advance(100_000)
        assert host.edges == []
        host.control(0)
        assert host.edges == [True]

    def test_a_new_command_takes_the_interrupt_back(self, host: Host) -> None:
        host.command(ata.RECALIBRATE)
        host.clock.advance(100_000)
        host.write(ata.COMMAND, ata.RECALIBRATE)
        assert host.edges == [True, False]

    def test_the_task_file_is_the_drives_while_it_is_busy(self, host: Host) -> None:
        host.command(ata.READ_SECTORS, 9)
        host.write(ata.COUNT, 0x77)
        host.write(ata.DEVICE, 0xF0)
        host.write(ata.COMMAND, ata.RECALIBRATE)
        assert host.take() == sectors(9)
        assert host.read(ata.COUNT) != 0x77

    def test_hob_shows_what_was_written_before(self, host: Host) -> None:
        host.write(ata.LOW, 0x12)
        host.write(ata.LOW, 0x34)
        host.control(ata.HOB)
        assert host.read(ata.LOW) == 0x12
        host.write(ata.COUNT, 1)
        assert host.read(ata.LOW) == 0x34

    def test_a_wide_access_reaches_the_registers_beside(self, host: Host) -> None:
        host.write(ata.LOW, 0x5678, 2)
        assert (host.read(ata.LOW), host.read(ata.MID), host.read(ata.LOW, 2)) == (0x78, 0x56, 0x5678)

    def test_bytes_from_the_data_port_are_reported(self, host: Host) -> None:
        host.command(ata.READ_SECTORS, 2)
        host.settle()
        assert host.read(ata.DATA) == 0xFF
        host.write(ata.DATA, 1)
        assert len(host.heard) == 2
        assert host.take() == sectors(2)

    def test_peeking_changes_nothing(self, host: Host) -> None:
        host.command(ata.READ_SECTORS, 2)
        host.clock.advance(100_000)
        assert host.channel.peek(ata.STATUS, 1) == ata.READY | ata.DRQ
        assert host.channel.control.peek(0, 1) == ata.READY | ata.DRQ
        assert host.channel.peek(ata.DATA, 2) == 0
        assert host.irq.level
        assert host.take() == sectors(2)


class TestAddresses:
    def test_28_bits_reach_behind_24(self, tmp_path: Path) -> None:
        file = tmp_path / "big.img"
        with file.open("wb") as out:
            out.truncate(0x0FFF_FFFF * 512 + 512)
            out.seek(0x0ABCDEF1 * 512)
            out.write(b"here" * 128)
        host = Host(Medium.open(file))
        host.command(ata.READ_SECTORS, 0x0ABCDEF1)
        assert host.take() == b"here" * 128
        words = host.identify()
        assert words[60] | words[61] << 16 == 0x0FFF_FFFF
        assert words[100] | words[101] << 16 == 0x1000_0000

    def test_48_bits_reach_behind_28(self, tmp_path: Path) -> None:
        file = tmp_path / "huge.img"
        with file.open("wb") as out:
            out.truncate(0x1234_5678 * 512 + 1024)
            out.seek(0x1234_5678 * 512)
            out.write(b"far " * 256)
        host = Host(Medium.open(file))
        host.command_48(ata.READ_SECTORS_EXT, 0x1234_5678, 2)
        assert host.take() == b"far " * 256
        host.command_48(ata.WRITE_SECTORS_EXT, 0x1234_5679, 1)
        host.give(b"new " * 128)
        host.command_48(ata.READ_MULTIPLE_EXT, 0x1234_5678, 2)
        assert host.take(4) == b"far " * 128 + b"new " * 128
        host.command_48(ata.READ_SECTORS_EXT, 0x1234_567A, 1)
        assert host.failed() == ata.IDNF
        host.run(ata.READ_NATIVE_MAX_EXT)
        low = host.address()
        host.control(ata.HOB)
        assert low | host.address() << 24 == 0x1234_5679

    def test_counts_of_0_are_256_and_65536(self) -> None:
        host = Host(disk(70_000))
        host.command(ata.READ_SECTORS, 1, 0)
        assert len(host.take(4)) == 256 * 512
        assert host.run(ata.READ_VERIFY, 70_000 - 256, 0) == ata.READY
        host.command_48(ata.READ_VERIFY_EXT, 70_000 - 65_536, 0)
        for _ in range(1000):
            host.clock.advance(1_000_000)
        assert host.settle() == ata.READY
        host.command_48(ata.READ_VERIFY_EXT, 70_000 - 65_535, 0)
        host.clock.advance(1_000_000_000)
        assert host.failed() == ata.IDNF

    @given(st.integers(0, SECTORS - 1))
    @settings(max_examples=30)
    def test_cylinders_heads_and_sectors_count_as_identify_says(self, lba: int) -> None:
        host = Host(disk())
        host.command(ata.INITIALIZE_DEVICE_PARAMETERS, count=17, device=0xA3)
        assert host.settle() == ata.READY
        track, sector = divmod(lba, 17)
        cylinder, head = divmod(track, 4)
        words = host.identify(device=0xA0)
        assert words[54:57] == (SECTORS // 68, 4, 17)
        assert words[57] | words[58] << 16 == SECTORS // 68 * 68
        host.command(ata.READ_SECTORS, sector + 1 | cylinder << 8, device=0xA0 | head)
        if cylinder < SECTORS // 68:
            assert host.take() == sectors(lba)
            assert (host.address(), host.read(ata.DEVICE)) == (sector + 1 | cylinder << 8, 0xA0 | head)
        else:
            assert host.failed() == ata.IDNF

    @pytest.mark.parametrize(("place", "head"), [(0, 0), (64, 0), (1 | 0xFFFF00, 0), (1 | 3 << 8, 0)])
    def test_sectors_that_a_geometry_does_not_have_are_not_found(self, host: Host, place: int, head: int) -> None:
        host.command(ata.READ_SECTORS, place, device=0xA0 | head)
        assert host.failed() == ata.IDNF

    @pytest.mark.parametrize("command", [ata.READ_SECTORS, ata.READ_MULTIPLE, ata.READ_VERIFY, ata.WRITE_SECTORS])
    def test_a_first_sector_that_does_not_exist_moves_nothing(self, host: Host, command: int) -> None:
        host.command(command, SECTORS)
        host.clock.advance(100_000)
        assert host.irq.level
        assert host.failed() == ata.IDNF
        assert host.address() == SECTORS

    def test_reading_over_the_end_gives_what_there_is(self, host: Host) -> None:
        host.command(ata.READ_SECTORS, SECTORS - 2, 5)
        assert host.take() == sectors(SECTORS - 2, 2)
        assert host.failed() == ata.IDNF
        assert host.address() == SECTORS

    def test_writing_over_the_end_writes_what_fits(self, host: Host) -> None:
        host.command(ata.WRITE_SECTORS, SECTORS - 2, 5)
        assert host.give(b"e" * 1024) == ata.READY | ata.ERR
        assert host.read(ata.ERROR) == ata.IDNF
        host.command(ata.READ_SECTORS, SECTORS - 3, 3)
        assert host.take() == sectors(SECTORS - 3) + b"e" * 1024

    def test_seek_goes_where_there_is_a_sector(self, host: Host) -> None:
        assert host.run(ata.SEEK, SECTORS - 1) == ata.READY
        host.command(ata.SEEK + 5, SECTORS)
        assert host.failed() == ata.IDNF

    def test_the_last_address_is_native_max(self, host: Host) -> None:
        host.run(ata.READ_NATIVE_MAX)
        assert host.address() == SECTORS - 1


class TestOtherCommands:
    def test_identify_tells_what_the_disk_is(self, host: Host) -> None:
        words = host.identify()
        assert (words[0], words[1], words[3], words[6]) == (0x40, 2, 16, 63)
        swapped = b"".join(word.to_bytes(2, "big") for word in words)
        assert swapped[54:94] == b"HILLEMU HARDDISK".ljust(40)
        assert swapped[20:40] == b"T0".ljust(20)
        assert words[60] | words[61] << 16 == SECTORS
        assert words[83] >> 14 == words[84] >> 14 == words[87] >> 14 == words[93] >> 14 == 1
        assert words[83] & 0x7400 == 0x7400, "LBA48, both flushes"
        assert words[88] == 0x203F, "Ultra DMA mode 5 is selected"
        data = b"".join(word.to_bytes(2, "little") for word in words)
        assert data[510] == 0xA5
        assert sum(data) % 256 == 0

    def test_two_drives_say_so_in_word_93(self) -> None:
        alone, two = Host(disk()), Host(disk(), disk())
        assert alone.identify()[93] == 0x604B
        assert two.identify()[93] == 0x603B
        assert two.identify(device=0xF0)[93] == 0x6B00

    def test_features_are_seen_by_identify(self, host: Host) -> None:
        assert host.identify()[85] & 0x60 == 0x60
        assert host.run(ata.SET_FEATURES, features=0x82) == ata.READY
        assert host.run(ata.SET_FEATURES, features=0x55) == ata.READY
        assert host.identify()[85] & 0x60 == 0
        assert host.run(ata.SET_FEATURES, count=0x22, features=3) == ata.READY
        words = host.identify()
        assert (words[63], words[88]) == (0x407, 0x3F)
        assert host.run(ata.SET_FEATURES, count=0x42, features=3) == ata.READY
        words = host.identify()
        assert (words[63], words[88]) == (0x07, 0x43F)
        assert host.run(ata.SET_FEATURES, count=0x0C, features=3) == ata.READY
        for mode in (0x46, 0x23, 0x0D, 0x80):
            assert host.run(ata.SET_FEATURES, count=mode, features=3) == ata.READY | ata.ERR
            assert host.read(ata.ERROR) == ata.ABRT

    def test_multiple_mode_takes_powers_of_two(self, host: Host) -> None:
        for count in (3, 32, 255):
            host.command(ata.SET_MULTIPLE_MODE, count=count)
            assert host.failed() == ata.ABRT
        assert host.identify()[59] == 0x110
        assert host.run(ata.SET_MULTIPLE_MODE, count=0) == ata.READY
        assert host.identify()[59] == 0
        host.command(ata.READ_MULTIPLE)
        assert host.failed() == ata.ABRT

    def test_power_is_what_was_asked_for(self, host: Host) -> None:
        host.run(ata.CHECK_POWER_MODE)
        assert host.read(ata.COUNT) == 0xFF
        host.run(0x94)
        host.run(0x98)
        assert host.read(ata.COUNT) == 0x00
        host.command(ata.READ_SECTORS)
        host.take()
        host.run(ata.CHECK_POWER_MODE)
        assert host.read(ata.COUNT) == 0xFF
        host.run(ata.SLEEP)
        assert len(host.heard) == 1

    @pytest.mark.parametrize(
        "command", [ata.NOP, ata.DEVICE_RESET, ata.PACKET, ata.IDENTIFY_PACKET_DEVICE, 0xB0, 0xF1, 0xF9, 0x87, 0xFF]
    )
    def test_what_a_disk_does_not_have_aborts(self, host: Host, command: int) -> None:
        host.command(command)
        assert host.failed() == ata.ABRT
        assert host.edges == [True, False]

    def test_a_write_protected_disk_aborts_writes(self) -> None:
        host = Host(disk(read_only=True))
        for command in (ata.WRITE_SECTORS, ata.WRITE_MULTIPLE, ata.WRITE_DMA):
            host.command(command)
            assert host.failed() == ata.ABRT

    def test_flush_and_verify_end_well(self, host: Host) -> None:
        assert host.run(ata.FLUSH_CACHE) == host.run(ata.FLUSH_CACHE_EXT) == ata.READY
        assert host.run(ata.READ_VERIFY, SECTORS - 4, 4) == ata.READY

    def test_an_unusable_geometry_aborts(self, host: Host) -> None:
        for sectors_per_track, heads in ((0, 0), (255, 15)):
            host.command(ata.INITIALIZE_DEVICE_PARAMETERS, count=sectors_per_track, device=0xA0 | heads)
            assert host.failed() == ata.ABRT

    def test_a_hard_reset_forgets_all_settings(self, host: Host) -> None:
        before = host.identify()
        host.run(ata.SET_MULTIPLE_MODE, count=2)
        host.run(ata.SET_FEATURES, features=0x82)
        host.run(ata.INITIALIZE_DEVICE_PARAMETERS, count=17, device=0xA3)
        host.command(ata.READ_SECTORS)
        host.settle()
        host.channel.reset()
        assert host.alternate == ata.READY
        assert host.identify() == before


ACCESSES = st.lists(st.tuples(st.sampled_from([1, 2, 4]), st.booleans(), st.integers(0, 0xFFFFFFFF)), max_size=40)


@given(st.sampled_from([ata.READ_SECTORS, ata.READ_MULTIPLE, ata.WRITE_SECTORS, ata.WRITE_MULTIPLE]), ACCESSES)
@settings(max_examples=60, deadline=None)
def test_a_window_changes_nothing_but_the_number_of_calls(command: int, accesses: list[tuple[int, bool, int]]) -> None:
    window = CountingWindow()
    plain, windowed = Host(disk(40)), Host(disk(40), window=window)
    for host in (plain, windowed):
        host.command(command, 1, 3)
        host.clock.advance(100_000)
    # The drawn accesses are mixed into long runs of one kind, as REP INSW and OUTSD make them.
    for size, output, value in [*accesses, *[(2, command >= 0x30, 0xABCD)] * 100]:
        for repeated in range(value % 30 + 1):
            item = (value + repeated & (1 << 8 * size) - 1) if output else None
            expected = plain.write(0, item, size) if item is not None else plain.read(0, size)
            found = window.access(size, item)
            if found is None:
                found = windowed.write(0, item, size) if item is not None else windowed.read(0, size)
            assert (found or 0) == (expected or 0)
        if value % 5 == 0:
            assert windowed.alternate == plain.alternate
        for host in (plain, windowed):
            host.clock.advance(2_000)
    for host in (plain, windowed):
        host.channel.reset()
        host.command(ata.READ_SECTORS, 0, 40)
    assert windowed.take() == plain.take()
    assert windowed.edges == plain.edges


def test_with_a_window_a_sector_takes_two_calls() -> None:
    window = CountingWindow()
    host = Host(disk(), window=window)
    host.command(ata.READ_SECTORS, 3)
    host.settle()
    calls, data = 0, b""
    for _ in range(256):
        word = window.access(2, None)
        if word is None:
            calls, word = calls + 1, host.read(ata.DATA, 2)
        data += word.to_bytes(2, "little")
    assert (data, calls, window.served) == (sectors(3), 2, 254)
