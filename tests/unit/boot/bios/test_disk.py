"""INT 13h: the answers of SeaBIOS on QEMU as they were recorded, and what no comparison shows."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from int13 import BUFFER, our_answers, packet
from int13_cases import CASES, DIFFERENT, recorded

from hillemu.boot.bios.call import BiosCall, fake_call
from hillemu.boot.bios.disk import DiskService
from hillemu.boot.bios.disk_tables import write_disk_tables
from hillemu.boot.bios.drives import CdDrive, Drives, FloppyDrive, HardDisk
from hillemu.emu.errors import ImageError
from hillemu.emu.guest import FakeGuest
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.media import Medium

SECTOR = 512


@pytest.mark.parametrize("name", CASES)
def test_every_call_is_answered_as_seabios_does(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    loaded = case.make(tmp_path)
    ours = our_answers(case.drives(tmp_path), case.asks, loaded)
    for ask, our, their in zip(case.asks, ours, recorded()[name], strict=True):
        if (name, ask.ax) not in DIFFERENT:
            assert our == their, f"{name}: AX={ask.ax:04X}h CX={ask.cx:04X}h DX={ask.dx:04X}h"


def numbered(count: int) -> bytes:
    """Sectors that say their number."""
    return b"".join(struct.pack("<I", number) * (SECTOR // 4) for number in range(count))


class Bench:
    """A service with drives, and the calls to it."""

    def __init__(self, drives: Drives, size_bytes: int = 2 << 20) -> None:
        self.guest = FakeGuest(size_bytes)
        self.drives = drives
        self.reports: list[str] = []
        self.service = DiskService(drives, report=self.reports.append)
        write_disk_tables(self.guest.memory, drives)

    def call(self, ax: int, **registers: int) -> BiosCall:
        call = fake_call(0x13, self.guest, eax=ax, **registers)
        self.service(call)
        return call

    def bytes_at(self, at: int, count: int) -> bytes:
        return self.guest.memory.read(PhysAddr(at), count)

    def put(self, at: int, data: bytes) -> None:
        self.guest.memory.write(PhysAddr(at), data)


@pytest.fixture
def disk() -> Bench:
    return Bench(Drives(disks=[HardDisk(Medium.from_bytes("disk", numbered(4096)))]))


@pytest.fixture
def floppy() -> Bench:
    return Bench(Drives(floppies=[FloppyDrive(Medium.from_bytes("floppy", numbered(2880)))]))


def test_a_transfer_goes_on_over_the_ends_of_tracks_and_cylinders(floppy: Bench) -> None:
    call = floppy.call(0x0228, ecx=0x0012, edx=0x0100, ebx=BUFFER)  # the last sector of cylinder 0, and 39 more
    assert (call.ah, call.al, call.carry) == (0, 0x28, False)
    assert floppy.bytes_at(BUFFER, 40 * SECTOR) == numbered(75)[35 * SECTOR :]


def test_what_is_written_is_read_again(disk: Bench) -> None:
    disk.put(BUFFER, b"w" * 2 * SECTOR)
    assert not disk.call(0x0302, ecx=0x0005, edx=0x80, ebx=BUFFER).carry
    assert not disk.call(0x0204, ecx=0x0004, edx=0x80, ebx=0xA000).carry
    assert disk.bytes_at(0xA000, 4 * SECTOR) == numbered(4)[-SECTOR:] + b"w" * 2 * SECTOR + numbered(7)[-SECTOR:]


@pytest.mark.parametrize("drive", [0x00, 0x80])
def test_a_write_protected_image_refuses_writes_by_every_function(drive: int) -> None:
    medium = Medium.from_bytes("tab", numbered(2880), read_only=True)
    drives = Drives(disks=[HardDisk(medium)]) if drive else Drives(floppies=[FloppyDrive(medium)])
    bench = Bench(drives)
    bench.put(0x8000, packet(1, 0))
    refused = [bench.call(0x0301, ecx=1, edx=drive), bench.call(0x0501, edx=drive)]
    refused += [bench.call(0x4300, esi=0x8000, edx=drive)] if drive else []
    assert [(call.ah, call.carry) for call in refused] == [(0x03, True)] * len(refused)
    assert medium.read(0, 2880) == numbered(2880)


def test_a_flat_buffer_above_one_mebibyte_is_reached(disk: Bench) -> None:
    disk.put(0x8000, packet(2, 7, offset=0xFFFF, segment=0xFFFF, size=24) + struct.pack("<Q", 0x180000))
    assert not disk.call(0x4200, esi=0x8000, edx=0x80).carry
    assert disk.bytes_at(0x180000, 2 * SECTOR) == numbered(9)[7 * SECTOR :]


def test_a_flat_buffer_that_no_32_bit_address_reaches_is_refused(disk: Bench) -> None:
    disk.put(0x8000, packet(2, 7, offset=0xFFFF, segment=0xFFFF, size=24) + struct.pack("<Q", 1 << 32))
    call = disk.call(0x4200, esi=0x8000, edx=0x80)
    assert (call.ah, call.carry) == (0x01, True)


def test_a_short_packet_with_ones_as_its_pointer_means_just_that_segment_and_offset(disk: Bench) -> None:
    disk.put(0x8000, packet(1, 9, offset=0xFFFF, segment=0xFFFF) + struct.pack("<Q", 0x180000))
    assert not disk.call(0x4200, esi=0x8000, edx=0x80).carry
    assert disk.bytes_at(0xFFFF0 + 0xFFFF, SECTOR) == numbered(10)[-SECTOR:]


def test_reading_beyond_a_small_disk_fails_transfers_nothing_and_is_told_once() -> None:
    bench = Bench(Drives(disks=[HardDisk(Medium.from_bytes("os.bin", numbered(10)))]))
    bench.put(BUFFER, b"untouched")
    calls = [bench.call(0x020F, ecx=2, edx=0x80, ebx=BUFFER) for _ in range(2)]
    assert [(call.ax, call.carry) for call in calls] == [(0x0C00, True)] * 2
    assert bench.bytes_at(BUFFER, 9) == b"untouched"
    assert len(bench.reports) == 1
    assert "os.bin" in bench.reports[0]
    assert "10 sectors" in bench.reports[0]


def test_a_short_image_in_a_floppy_drive_reads_as_zeros_behind_its_end() -> None:
    bench = Bench(Drives(floppies=[FloppyDrive(Medium.from_bytes("os.bin", numbered(3)))]))
    bench.put(BUFFER, b"\xff" * 4 * SECTOR)
    assert not bench.call(0x0204, ecx=2, ebx=BUFFER).carry
    assert bench.bytes_at(BUFFER, 4 * SECTOR) == numbered(3)[SECTOR:] + bytes(2 * SECTOR)


def test_an_image_larger_than_any_floppy_is_no_floppy() -> None:
    with pytest.raises(ImageError, match=r"big\.img: .*floppy"):
        FloppyDrive(Medium.from_bytes("big.img", bytes(3 << 20)))


def test_formatting_a_track_fills_it_with_what_the_parameter_table_says(floppy: Bench) -> None:
    floppy.put(4 * 0x1E, struct.pack("<HH", 0x0010, 0x0A00))
    floppy.put(0xA010 + 8, b"\xe5")
    assert not floppy.call(0x0512, ecx=0x0201, edx=0x0100).carry
    medium = floppy.drives.floppies[0].medium
    assert medium is not None
    first = (2 * 2 + 1) * 18
    assert medium.read(first - 1, 20) == (
        numbered(first)[-SECTOR:] + b"\xe5" * 18 * SECTOR + numbered(first + 19)[-SECTOR:]
    )


def test_the_parameter_table_of_ah_08h_is_that_of_the_drive() -> None:
    bench = Bench(Drives(floppies=[FloppyDrive(Medium.from_bytes("a", bytes(737280)))]))
    call = bench.call(0x0800, edx=0)
    assert (call.bx, call.cx, call.dx) == (3, 0x4F09, 0x0101)
    assert bench.bytes_at((call.es << 4) + call.di, 5)[3:] == bytes((2, 9))


def test_ah_18h_knows_the_images_format_and_no_other(floppy: Bench) -> None:
    assert floppy.call(0x1800, ecx=0x4F12).ah == 0
    assert floppy.call(0x1800, ecx=0x4F09).ah == 0x0C


def test_seeking_beyond_the_last_cylinder_fails(disk: Bench) -> None:
    assert disk.call(0x0C00, ecx=0x0301, edx=0x80).ah == 0
    call = disk.call(0x0C00, ecx=0x0401, edx=0x80)
    assert (call.ah, call.carry) == (0x40, True)


def test_the_pointers_of_ah_48h_lead_to_a_table_that_sums_up_to_zero() -> None:
    disks = [HardDisk(Medium.from_bytes(name, bytes(1 << 20)), slot) for slot, name in enumerate("abcd")]
    bench = Bench(Drives(disks=disks))
    found = []
    for number in range(4):
        bench.put(0x8000, struct.pack("<H", 30))
        assert not bench.call(0x4800, esi=0x8000, edx=0x80 + number).carry
        offset, segment = struct.unpack("<HH", bench.bytes_at(0x8000 + 26, 4))
        table = bench.bytes_at((segment << 4) + offset, 16)
        assert sum(table) & 0xFF == 0
        found.append((*struct.unpack("<HHB", table[:5]), table[6]))
    assert found == [
        (0x1F0, 0x3F6, 0xE0, 14),
        (0x1F0, 0x3F6, 0xF0, 14),
        (0x170, 0x376, 0xE0, 15),
        (0x170, 0x376, 0xF0, 15),
    ]


def test_the_answer_of_ah_48h_tells_its_own_size(disk: Bench) -> None:
    sizes = []
    for asked in (26, 29, 30, 65, 66, 73, 74, 200):
        disk.put(0x8000, struct.pack("<H", asked))
        assert not disk.call(0x4800, esi=0x8000, edx=0x80).carry
        sizes.append(struct.unpack("<H", disk.bytes_at(0x8000, 2))[0])
    assert sizes == [26, 26, 30, 30, 66, 66, 74, 74]


def test_a_cd_stays_locked_until_each_lock_is_taken_off() -> None:
    bench = Bench(Drives(cds=[CdDrive(Medium.from_bytes("cd", bytes(40960), sector_bytes=2048))]))
    steps = (0x4500, 0x4500, 0x4501, 0x4600, 0x4501, 0x4600, 0x4501)
    assert [bench.call(step, edx=0xE0).ah for step in steps] == [0, 0, 0, 0xB1, 0, 0, 0xB0]


def test_an_empty_cd_drive_is_not_ready() -> None:
    bench = Bench(Drives(cds=[CdDrive(None)]))
    bench.put(0x8000, packet(1, 0))
    assert bench.call(0x4200, esi=0x8000, edx=0xE0).ah == 0xAA
    assert bench.call(0x1000, edx=0xE0).ah == 0xAA


def test_disks_keep_their_status_apart_from_floppies(disk: Bench) -> None:
    disk.call(0x0201, ecx=0, edx=0x80)
    disk.call(0x0201, ecx=1, edx=0x00)  # there is no floppy drive
    assert (disk.bytes_at(0x474, 1), disk.bytes_at(0x441, 1)) == (b"\x01", b"\x01")
    disk.call(0x0000, edx=0x80)
    assert (disk.bytes_at(0x474, 1), disk.bytes_at(0x441, 1)) == (b"\x00", b"\x01")


def test_without_a_booted_cd_nobody_is_told_of_emulation(disk: Bench) -> None:
    assert disk.call(0x4B01, edx=0x80, esi=0x8000).carry
