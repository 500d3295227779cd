"""The floppy controller, driven through its ports as boot loaders and kernels do."""

from __future__ import annotations

import random

import pytest
from floppy_driver import BUFFER, DOR, FIFO, FROM_MEMORY, MSR, Driver

from hillemu.emu.bus import Bus
from hillemu.emu.errors import ImageError
from hillemu.emu.geometry import FLOPPY_FORMATS, Geometry, floppy_geometry
from hillemu.emu.media import Medium

READ, WRITE, MT, MFM, SK = 0x06, 0x05, 0x80, 0x40, 0x20
IMAGE = random.Random(7).randbytes(2880 * 512)
RATES = {9: 2, 8: 2, 15: 0, 18: 0, 21: 0, 36: 3}


def floppy(kib: int = 1440, **more: bool) -> Medium:
    return Medium.from_bytes("floppy", (IMAGE + IMAGE)[: kib * 1024], **more)


def sectors(lba: int, count: int = 1) -> bytes:
    return IMAGE[lba * 512 : (lba + count) * 512]


@pytest.fixture
def driver() -> Driver:
    return Driver(floppy()).start()


class TestReset:
    def test_at_power_on_the_chip_is_in_reset(self) -> None:
        driver = Driver(floppy())
        assert (driver.chip.read(DOR, 1), driver.chip.read(MSR, 1)) == (0, 0)
        driver.chip.write(DOR, 1, 0x0C)
        assert driver.chip.read(MSR, 1) == 0
        driver.wait()
        assert driver.chip.read(MSR, 1) == 0x80

    @pytest.mark.parametrize("kib", [360, 720, 1200, 1440, 2880])
    def test_firmware_leaves_it_ready_with_nothing_to_ask_about(self, kib: int) -> None:
        driver = Driver(floppy(kib))
        driver.chip.start()
        driver.clock.advance(50_000_000)
        assert (driver.chip.read(DOR, 1), driver.chip.read(MSR, 1), driver.irq.level) == (0x0C, 0x80, False)
        assert driver.command(0x08) == b"\x80"
        driver.chip.write(DOR, 1, 0x1C)
        driver.set_dma(512)
        driver.work(READ | MFM, 0, 0, 0, 1, 2, 1, 27, 255)
        assert driver.buffer[:512] == sectors(0)

    def test_the_interrupt_of_a_reset_is_asked_about_four_times(self, driver: Driver) -> None:
        for reset in ((DOR, 0x18, 0x1C), (MSR, 0x80)):
            for value in reset[1:]:
                driver.chip.write(reset[0], 1, value)
            driver.wait()
            assert [driver.command(0x08) for _ in range(5)] == [b"\xc0\0", b"\xc1\0", b"\xc2\0", b"\xc3\0", b"\x80"]
            assert not driver.irq.level

    def test_a_reset_ends_a_command_and_a_seek(self, driver: Driver) -> None:
        driver.send(0x0F, 0, 70)
        driver.send(READ | MFM, 0, 0, 0, 1, 2, 18, 27, 255)
        driver.chip.write(DOR, 1, 0x18)
        driver.clock.advance(50_000_000)
        assert not driver.irq.level
        driver.chip.write(DOR, 1, 0x1C)
        driver.wait()
        assert driver.command(0x08)[0] == 0xC0

    def test_a_reset_turns_polling_on_again_and_interrupts(self, driver: Driver) -> None:
        driver.command(0x13, 0, 0x10, 0)
        driver.chip.write(MSR, 1, 0x80)
        driver.wait()
        assert driver.command(0x08) == b"\xc0\0"

    def test_the_dma_gate_holds_back_the_interrupt(self, driver: Driver) -> None:
        driver.chip.write(DOR, 1, 0x14)
        driver.send(0x07, 0)
        driver.clock.advance(10_000_000)
        assert not driver.irq.level
        driver.chip.write(DOR, 1, 0x1C)
        assert driver.irq.level


class TestSeeking:
    def test_a_seek_takes_time_for_each_cylinder(self, driver: Driver) -> None:
        driver.send(0x0F, 0, 40)
        assert driver.chip.read(MSR, 1) == 0x81, "free for another command, drive A busy"
        driver.clock.advance(100_000)
        assert not driver.irq.level
        driver.wait()
        assert driver.command(0x08) == b"\x20\x28"
        assert driver.chip.read(MSR, 1) == 0x80

    def test_recalibrate_finds_track_0(self, driver: Driver) -> None:
        driver.seek(60)
        assert driver.command(0x04, 0) == b"\x28"
        driver.send(0x07, 0)
        driver.wait()
        assert driver.command(0x08) == b"\x20\x00"
        assert driver.command(0x04, 4) == b"\x3c"

    def test_recalibrate_gives_up_after_79_steps(self, driver: Driver) -> None:
        driver.seek(82)
        driver.send(0x07, 0)
        driver.wait()
        assert driver.command(0x08) == b"\x70\x03"

    def test_a_drive_that_is_not_there_has_no_track_0(self, driver: Driver) -> None:
        driver.send(0x07, 1)
        driver.wait()
        assert driver.command(0x08) == b"\x71\x00"

    def test_two_drives_seek_at_once(self) -> None:
        driver = Driver(floppy(), drive_count=2).start()
        driver.send(0x0F, 0, 10)
        driver.send(0x0F, 1, 10)
        assert driver.chip.read(MSR, 1) == 0x83
        driver.clock.advance(10_000_000)
        assert driver.command(0x08) == b"\x20\x0a"
        assert driver.irq.level
        assert driver.command(0x08) == b"\x21\x0a"
        assert not driver.irq.level

    def test_relative_seeks_count_from_where_the_head_is(self, driver: Driver) -> None:
        driver.seek(10)
        for first, steps, expected in ((0xCF, 5, 15), (0x8F, 3, 12), (0x8F, 200, 0)):
            driver.send(first, 0, steps)
            driver.wait()
            assert driver.command(0x08) == bytes([0x20, expected])

    def test_the_change_line_stays_set_until_the_head_steps(self, driver: Driver) -> None:
        changed = driver.chip.digital_input
        assert changed.read(0, 1) == 0x80
        driver.send(0x07, 0)
        driver.wait()
        assert changed.read(0, 1) == 0x80, "no step was needed"
        driver.command(0x08)
        driver.seek(1)
        assert changed.read(0, 1) == 0
        driver.chip.insert(0, None)
        driver.seek(2)
        assert changed.read(0, 1) == 0x80
        driver.chip.write(DOR, 1, 0x0D)
        assert changed.peek(0, 1) == 0x80


class TestReading:
    @pytest.mark.parametrize("geometry", FLOPPY_FORMATS)
    def test_every_format_is_read_by_cylinders(self, geometry: Geometry) -> None:
        medium = Medium.from_bytes("floppy", (IMAGE + IMAGE)[: geometry.sector_count * 512])
        assert floppy_geometry(medium.sector_count) == geometry
        driver = Driver(medium).start(RATES[geometry.sectors])
        driver.seek(geometry.cylinders - 1)
        count = geometry.heads * geometry.sectors
        driver.set_dma(count * 512)
        flags = MT if geometry.heads == 2 else 0
        result = driver.work(READ | MFM | flags, 0, geometry.cylinders - 1, 0, 1, 2, geometry.sectors, 27, 255)
        assert result == bytes([0, 0, 0, geometry.cylinders, 0, 1, 2])
        assert driver.buffer[: count * 512] == medium.read(medium.sector_count - count, count)

    def test_a_transfer_ends_at_the_terminal_count(self, driver: Driver) -> None:
        driver.set_dma(3 * 512)
        assert driver.work(READ | MFM, 4, 0, 1, 5, 2, 18, 27, 255) == bytes([4, 0, 0, 0, 1, 8, 2])
        assert driver.buffer[: 4 * 512] == sectors(22, 3) + bytes(512)
        assert driver.edges == [True, False]

    # Intel 82077AA data sheet, result phase table: the ID behind the last sector.
    @pytest.mark.parametrize(
        ("flags", "head", "sector", "expected"),
        [
            (0, 0, 17, (0, 0, 18)),
            (0, 0, 18, (1, 0, 1)),
            (0, 1, 17, (0, 1, 18)),
            (0, 1, 18, (1, 1, 1)),
            (MT, 0, 17, (0, 0, 18)),
            (MT, 0, 18, (0, 1, 1)),
            (MT, 1, 17, (0, 1, 18)),
            (MT, 1, 18, (1, 0, 1)),
        ],
    )
    def test_the_result_names_the_next_sector(
        self, driver: Driver, flags: int, head: int, sector: int, expected: tuple[int, int, int]
    ) -> None:
        driver.set_dma(512)
        result = driver.work(READ | MFM | flags, head << 2, 0, head, sector, 2, 18, 27, 255)
        assert result[0] & 0xC0 == 0
        assert tuple(result[3:6]) == expected

    def test_without_a_terminal_count_it_is_the_end_of_the_cylinder(self, driver: Driver) -> None:
        driver.set_dma(0x10000)
        result = driver.work(READ | MFM, 0, 0, 0, 17, 2, 18, 27, 255)
        assert result == bytes([0x40, 0x80, 0, 1, 0, 1, 2])
        assert driver.buffer[:1024] == sectors(16, 2)

    def test_without_dma_the_bytes_come_through_the_fifo(self, driver: Driver) -> None:
        driver.command(0x03, 0xDF, 0x03)
        driver.send(READ | MFM, 0, 0, 0, 3, 2, 4, 27, 255)
        data = b""
        for _ in range(2):
            driver.wait()
            while driver.chip.read(MSR, 1) & 0xF0 == 0xF0:
                data += bytes([driver.chip.read(FIFO, 1)])
        assert data == sectors(2, 2)
        driver.wait()
        assert driver.results() == bytes([0x40, 0x80, 0, 1, 0, 1, 2])

    def test_a_masked_dma_channel_is_an_overrun(self, driver: Driver) -> None:
        assert driver.work(READ | MFM, 0, 0, 0, 1, 2, 18, 27, 255)[:2] == b"\x40\x10"

    @pytest.mark.parametrize(
        ("command", "expected"),
        [
            ((READ | MFM, 0, 0, 0, 19, 2, 18), (0x40, 0x04, 0x00)),
            ((READ | MFM, 0, 0, 0, 0, 2, 18), (0x40, 0x04, 0x00)),
            ((READ | MFM, 0, 0, 1, 1, 2, 18), (0x40, 0x04, 0x00)),
            ((READ | MFM, 0, 0, 0, 1, 3, 18), (0x40, 0x04, 0x00)),
            ((READ | MFM, 0, 5, 0, 1, 2, 18), (0x40, 0x04, 0x10)),
            ((READ | MFM, 0, 0xFF, 0, 1, 2, 18), (0x40, 0x04, 0x12)),
            ((READ, 0, 0, 0, 1, 2, 18), (0x40, 0x01, 0x00)),
            ((READ | MFM, 2, 0, 0, 1, 2, 18), (0x42, 0x01, 0x00)),
        ],
    )
    def test_sectors_that_are_not_there(
        self, driver: Driver, command: tuple[int, ...], expected: tuple[int, int, int]
    ) -> None:
        driver.set_dma(512)
        assert driver.work(*command, 27, 255)[:3] == bytes(expected)
        assert driver.buffer[:512] == bytes(512)

    @pytest.mark.parametrize(
        ("kib", "rates"), [(360, {1, 2}), (720, {2}), (1200, {0}), (1440, {0}), (1680, {0}), (2880, {3})]
    )
    def test_only_the_right_data_rate_finds_a_mark(self, kib: int, rates: set[int]) -> None:
        for rate in range(4):
            driver = Driver(floppy(kib)).start(rate)
            result = driver.work(0x4A, 0)
            assert (result[1] == 0) == (rate in rates)

    def test_configured_to_do_so_it_seeks_by_itself(self, driver: Driver) -> None:
        driver.command(0x13, 0, 0x57, 0)
        driver.set_dma(512)
        assert driver.work(READ | MFM, 0, 9, 0, 1, 2, 18, 27, 255)[0] == 0
        assert driver.buffer[:512] == sectors(9 * 36)

    def test_an_empty_drive_ends_after_two_turns(self) -> None:
        driver = Driver().start()
        driver.set_dma(512)
        driver.send(READ | MFM, 0, 0, 0, 1, 2, 18, 27, 255)
        driver.clock.advance(30_000_000)
        assert not driver.irq.level
        driver.wait()
        assert driver.results()[:2] == b"\x40\x01"

    def test_a_motor_that_is_off_is_reported(self, driver: Driver) -> None:
        driver.chip.write(DOR, 1, 0x0C)
        driver.set_dma(512)
        assert driver.work(READ | MFM, 0, 0, 0, 1, 2, 18, 27, 255)[0] == 0
        assert len(driver.heard) == 1

    def test_ids_pass_by(self, driver: Driver) -> None:
        seen = set()
        for _ in range(40):
            result = driver.work(0x4A, 4)
            assert result[:5] == bytes([4, 0, 0, 0, 1])
            seen.add(result[5])
            driver.clock.advance(40_000)
        assert seen == set(range(1, 19))

    def test_a_track_is_read_from_its_first_sector(self, driver: Driver) -> None:
        driver.set_dma(18 * 512)
        assert driver.work(0x42, 0, 0, 0, 7, 2, 18, 27, 255)[:3] == b"\0\0\0"
        assert driver.buffer[: 18 * 512] == sectors(0, 18)

    def test_deleted_data_are_nowhere(self, driver: Driver) -> None:
        driver.set_dma(2048)
        assert driver.work(0x4C, 0, 0, 0, 1, 2, 18, 27, 255)[:6] == bytes([0, 0, 0x40, 0, 0, 2])
        assert driver.buffer[:1024] == sectors(0) + bytes(512)
        assert driver.work(0x4C | SK, 0, 0, 0, 1, 2, 18, 27, 255)[:2] == b"\x40\x80"

    def test_verify_moves_nothing(self, driver: Driver) -> None:
        assert driver.work(0x56, 0, 0, 0, 1, 2, 18, 27, 255) == bytes([0, 0, 0, 1, 0, 1, 2])
        assert driver.work(0x56, 0x80, 0, 0, 1, 2, 18, 27, 3) == bytes([0, 0, 0, 0, 0, 4, 2])
        assert driver.work(0x56, 0, 0, 0, 1, 2, 19, 27, 255)[1] == 0x04


class TestWriting:
    def test_sectors_come_from_memory(self, driver: Driver) -> None:
        driver.memory.data[BUFFER : BUFFER + 1024] = b"w" * 1024
        driver.set_dma(1024, FROM_MEMORY)
        assert driver.work(WRITE | MFM | MT, 0, 0, 0, 18, 2, 18, 27, 255) == bytes([4, 0, 0, 0, 1, 2, 2])
        medium = driver.chip.drives[0].medium
        assert medium is not None
        assert medium.read(16, 4) == sectors(16) + b"w" * 1024 + sectors(19)

    def test_a_terminal_count_in_a_sector_fills_it_with_zeros(self, driver: Driver) -> None:
        driver.memory.data[BUFFER : BUFFER + 512] = b"w" * 512
        driver.set_dma(100, FROM_MEMORY)
        assert driver.work(WRITE | MFM, 0, 0, 0, 2, 2, 18, 27, 255)[0] == 0
        medium = driver.chip.drives[0].medium
        assert medium is not None
        assert medium.read(1) == b"w" * 100 + bytes(412)

    def test_without_dma_the_bytes_go_through_the_fifo(self, driver: Driver) -> None:
        driver.command(0x03, 0xDF, 0x03)
        driver.send(WRITE | MFM, 0, 0, 0, 2, 2, 2, 27, 255)
        driver.wait()
        assert driver.chip.read(MSR, 1) == 0xB0
        for _ in range(512):
            driver.put(0x5A)
        driver.wait()
        assert driver.results()[:2] == b"\x40\x80"
        medium = driver.chip.drives[0].medium
        assert medium is not None
        assert medium.read(0, 3) == sectors(0) + b"\x5a" * 512 + sectors(2)

    def test_a_write_protected_disk_is_not_written(self) -> None:
        driver = Driver(floppy(read_only=True)).start()
        driver.set_dma(512, FROM_MEMORY)
        assert driver.work(WRITE | MFM, 0, 0, 0, 1, 2, 18, 27, 255)[:2] == b"\x40\x02"
        assert driver.work(0x4D, 0, 2, 18, 84, 0xF6)[:2] == b"\x40\x02"
        assert driver.command(0x04, 0) == b"\x78"

    def test_deleted_data_are_written_as_normal_ones(self, driver: Driver) -> None:
        driver.set_dma(512, FROM_MEMORY)
        assert driver.work(0x49, 0, 0, 0, 1, 2, 18, 27, 255)[0] == 0
        assert len(driver.heard) == 1

    def test_a_track_is_formatted_with_its_filler(self, driver: Driver) -> None:
        driver.seek(3)
        ids = [bytes([3, 1, sector, 2]) for sector in range(1, 19)]
        random.Random(1).shuffle(ids)
        driver.memory.data[BUFFER : BUFFER + 72] = b"".join(ids)
        driver.set_dma(72, FROM_MEMORY)
        assert driver.work(0x4D, 4, 2, 18, 84, 0xF6)[:3] == b"\x04\0\0"
        medium = driver.chip.drives[0].medium
        assert medium is not None
        first = 3 * 36 + 18
        assert medium.read(first - 1, 20) == sectors(first - 1) + b"\xf6" * 18 * 512 + sectors(first + 18)

    def test_another_format_than_the_images_is_reported(self, driver: Driver) -> None:
        driver.memory.data[BUFFER : BUFFER + 36] = b"".join(bytes([0, 0, sector, 2]) for sector in range(1, 10))
        driver.set_dma(36, FROM_MEMORY)
        assert driver.work(0x4D, 0, 2, 9, 84, 0xF6)[0] == 0x40
        assert len(driver.heard) == 1


class TestSettings:
    def test_the_version_is_an_82077aa(self, driver: Driver) -> None:
        assert driver.command(0x10) == b"\x90"

    def test_invalid_commands_say_so(self, driver: Driver) -> None:
        for command in (0x00, 0x1F, 0x87, 0x18, 0xE6 | 0x08):
            assert driver.command(command) == b"\x80"
        assert driver.heard == []
        assert driver.command(0x51) == b"\x80"
        assert len(driver.heard) == 1

    def test_registers_can_be_dumped(self, driver: Driver) -> None:
        driver.seek(7)
        driver.command(0x13, 0, 0x5A, 0x21)
        driver.command(0x12, 0x85)
        driver.set_dma(512)
        driver.work(READ | MFM, 0, 7, 0, 1, 2, 17, 27, 255)
        assert driver.command(0x94) == b"\x10"
        assert driver.command(0x0E) == bytes([7, 0, 0, 0, 0xDF, 0x02, 17, 0x85, 0x5A, 0x21])

    def test_a_lock_protects_settings_from_a_software_reset(self, driver: Driver) -> None:
        driver.command(0x13, 0, 0x5A, 0x21)
        for lock, expected in ((0x94, b"\x4a\x21"), (0x14, b"\x60\x00")):
            driver.command(lock)
            driver.chip.write(MSR, 1, 0x80)
            driver.clock.advance(1_000_000)
            assert driver.command(0x0E)[8:] == expected
        driver.chip.reset()
        driver.start()
        assert driver.command(0x0E)[8:] == b"\x20\x00"

    def test_registers_read_back(self, driver: Driver) -> None:
        driver.chip.write(3, 1, 0xFF)
        assert [driver.chip.read(offset, 1) for offset in range(4)] == [0xFF, 0xFF, 0x1C, 0x03]

    def test_a_pc_has_it_at_its_ports_beside_the_disk_controllers(self, driver: Driver) -> None:
        ports = Bus("port", limit=0x10000)
        for base, count, device in driver.chip.windows():
            ports.attach(base, count, device)
        assert ports.find(0x3F6) is None
        assert (ports.read(0x3F2, 1), ports.read(0x3F7, 1)) == (0x1C, 0x80)

    def test_peeking_takes_no_result(self, driver: Driver) -> None:
        driver.send(0x10)
        assert [driver.chip.peek(FIFO, 1) for _ in range(3)] == [0x90] * 3
        assert driver.results() == b"\x90"

    def test_only_floppies_fit(self, driver: Driver) -> None:
        with pytest.raises(ImageError, match="fit on no floppy"):
            driver.chip.insert(0, Medium.from_bytes("disk", bytes(6000 * 512)))
