"""INT 15h, and what of it takes time: waits, the clock chip's interrupt, the mouse."""

from __future__ import annotations

import struct

import pytest
from chip_guest import ChipGuest

from hillemu.boot.bios import bda
from hillemu.boot.bios.call import VIRTUAL_8086, BiosCall, fake_call
from hillemu.boot.bios.clock_chip import clock_interrupt
from hillemu.boot.bios.data import EBDA
from hillemu.boot.bios.pointing import mouse_interrupt
from hillemu.boot.bios.rom import AT, SEGMENT
from hillemu.boot.bios.system import SystemServices
from hillemu.boot.bios.system_memory import SMAP
from hillemu.boot.memory_map import memory_map
from hillemu.emu.guest import FakeGuest
from hillemu.emu.i386.address import PhysAddr

SOURCE, TARGET, TABLE = 0x20000, 0x30000, 0x5000


@pytest.fixture
def guest() -> ChipGuest:
    return ChipGuest()


def call(guest: FakeGuest, ax: int, service: SystemServices | None = None, **registers: int) -> BiosCall:
    made = fake_call(0x15, guest, eax=ax, **registers)
    made.carry = True
    (service or SystemServices())(made)
    return made


class TestBlockMove:
    def move(
        self, guest: FakeGuest, words: int, *, source: int = SOURCE, target: int = TARGET, **changes: bytes
    ) -> BiosCall:
        def descriptor(base: int) -> bytes:
            return struct.pack("<HHBBBB", 0xFFFF, base & 0xFFFF, base >> 16 & 0xFF, 0x93, 0, base >> 24)

        table = (
            bytes(0x10) + changes.get("source_as", descriptor(source)) + changes.get("target_as", descriptor(target))
        )
        guest.memory.write(PhysAddr(TABLE), table + bytes(0x10))
        return call(guest, 0x8700, ecx=words, esi=TABLE)

    def test_it_copies_words(self, guest: ChipGuest) -> None:
        guest.memory.write(PhysAddr(SOURCE), b"abcdef")
        moved = self.move(guest, 2)
        assert (moved.ah, moved.carry, moved.zero) == (0, False, True)
        assert guest.memory.read(PhysAddr(TARGET), 6) == b"abcd\0\0"

    @pytest.mark.parametrize("distance", [1, 2, 4, 5])
    def test_a_target_inside_the_source_repeats_its_beginning_as_movsw_does(
        self, guest: ChipGuest, distance: int
    ) -> None:
        guest.memory.write(PhysAddr(SOURCE), b"0123456789ABCDEF")
        expected = bytearray(b"0123456789ABCDEF" + bytes(distance))
        for at in range(0, 16, 2):
            expected[at + distance : at + distance + 2] = expected[at : at + 2]
        self.move(guest, 8, target=SOURCE + distance)
        assert guest.memory.read(PhysAddr(SOURCE), 16 + distance) == bytes(expected)

    def test_64_kib_go_at_once(self, guest: ChipGuest) -> None:
        guest.memory.fill(PhysAddr(SOURCE), 0x10000, 0x5A)
        assert not self.move(guest, 0x8000).carry
        assert guest.memory.read(PhysAddr(TARGET), 0x10000) == b"\x5a" * 0x10000

    @pytest.mark.parametrize(
        "changes",
        [
            {"source_as": b"\xff\xff\0\0\x02\x13\0\0"},  # not present
            {"target_as": b"\xff\xff\0\0\x03\x91\0\0"},  # not writable
            {"target_as": b"\xff\xff\0\0\x03\x9b\0\0"},  # code
            {"source_as": b"\x02\0\0\0\x02\x93\0\0"},  # three bytes
        ],
    )
    def test_what_the_processor_would_refuse_fails_as_an_exception(
        self, guest: ChipGuest, changes: dict[str, bytes]
    ) -> None:
        moved = self.move(guest, 2, **changes)
        assert (moved.ah, moved.carry, moved.zero) == (2, True, False)

    def test_too_many_words_fail(self, guest: ChipGuest) -> None:
        assert self.move(guest, 0x8001).carry

    def test_a_page_granular_limit_counts_pages(self, guest: ChipGuest) -> None:
        assert not self.move(guest, 0x800, source_as=b"\0\0\0\0\x02\x93\x80\0").carry
        assert self.move(guest, 0x801, source_as=b"\0\0\0\0\x02\x93\x80\0").carry


class TestMemory:
    def test_the_map_is_the_machines(self) -> None:
        guest, found, following = FakeGuest(16 << 20), [], 0
        while True:
            made = call(guest, 0xE820, edx=SMAP, ecx=20, ebx=following, edi=TABLE)
            assert (made.eax, made.ecx, made.carry) == (SMAP, 20, False)
            found.append(struct.unpack("<QQI", guest.memory.read(PhysAddr(TABLE), 20)))
            following = made.ebx
            if not following:
                break
        assert found == [(entry.base, entry.size_bytes, entry.kind) for entry in memory_map(guest.memory)]

    @pytest.mark.parametrize("wrong", [{"edx": 0x12345678}, {"ecx": 19}, {"ebx": 99}, {"ebx": 0x10000}])
    def test_a_bad_request_for_it_fails_and_writes_nothing(self, wrong: dict[str, int]) -> None:
        guest = FakeGuest(16 << 20)
        made = call(guest, 0xE820, **{"edx": SMAP, "ecx": 20, "edi": TABLE, **wrong})
        assert (made.carry, made.ah) == (True, 0x86)
        assert guest.memory.read(PhysAddr(TABLE), 20) == bytes(20)

    @pytest.mark.parametrize(
        ("mib", "low", "units", "kib"), [(8, 7040, 0, 7040), (16, 15232, 0, 15232), (128, 15360, 1790, 64512)]
    )
    def test_three_sizes_leave_out_what_is_set_aside_for_acpi_tables(
        self, mib: int, low: int, units: int, kib: int
    ) -> None:
        guest = FakeGuest(mib << 20)
        made = call(guest, 0xE801)
        assert (made.ax, made.bx, made.cx, made.dx, made.carry) == (low, units, low, units, False)
        wide = call(guest, 0xE881, ebx=0xFFFFFFFF)
        assert (wide.eax, wide.ebx, wide.ecx, wide.edx, wide.carry) == (low, units, low, units, False)
        made = call(guest, 0x8800)
        assert (made.ax, made.carry) == (kib, False)


def test_a20_is_switched_by_port_92h_without_a_reset(guest: ChipGuest) -> None:
    assert not call(guest, 0x2400).carry
    assert not guest.a20
    assert (call(guest, 0x2402).al, call(guest, 0x2401).ah) == (0, 0)
    assert guest.a20
    assert call(guest, 0x2402).al == 1


def test_the_way_into_protected_mode_is_prepared(guest: ChipGuest) -> None:
    made = call(guest, 0x8900, ebx=0x3040, esi=TABLE)
    assert made.way_on == AT["enter_protected"]
    assert guest.memory.read(PhysAddr(TABLE + 0x38), 8) == bytes.fromhex("ffff00000f9b0000")
    guest.pics.line(0).pulse()
    guest.write_port(0x21, 0xFE)
    assert guest.pics.acknowledge() == 0x30, "BH is the vector of IRQ 0"
    assert guest.read_port(0xA1) == 0xFF


@pytest.mark.parametrize("ax", [0x8700, 0x8900])
def test_virtual_8086_tasks_are_refused_what_only_real_mode_can(guest: ChipGuest, ax: int) -> None:
    made = call(guest, ax, eflags=VIRTUAL_8086 | 2, esi=TABLE, ecx=1)
    assert (made.carry, made.ah) == (True, 0x86)


def test_tables_and_areas_are_pointed_to(guest: ChipGuest) -> None:
    made = call(guest, 0xC000)
    assert (made.es, made.bx, made.carry) == (SEGMENT, AT["configuration"], False)
    assert call(guest, 0xC100).es << 4 == EBDA


@pytest.mark.parametrize("ax", [0x0000, 0x2404, 0x5200, 0x8302, 0x8400, 0xC2FF, 0xD800, 0xE8FF])
def test_what_is_not_there_is_refused_and_told(guest: ChipGuest, ax: int) -> None:
    told: list[str] = []
    made = fake_call(0x15, guest, eax=ax, report=told.append)
    SystemServices()(made)
    assert made.carry
    assert made.ah in (0x86, 0x01)
    assert f"AX={ax:04X}h" in told[0]


@pytest.mark.parametrize("ax", [0xE980, 0xEC00])
def test_what_a_pc_like_this_never_had_is_refused_without_a_word(guest: ChipGuest, ax: int) -> None:
    told: list[str] = []
    made = fake_call(0x15, guest, eax=ax, report=told.append)
    SystemServices()(made)
    assert (made.ah, made.carry, told) == (0x86, True, [])


class TestWaiting:
    def test_a_wait_lasts_as_long_as_it_was_asked_to(self, guest: ChipGuest) -> None:
        service = SystemServices()
        made = call(guest, 0x8600, service, edx=3000)
        assert made.waiting
        guest.pass_time(2_999_000)
        made = fake_call(0x15, guest, eax=0x8600, resumed=True)
        service(made)
        assert made.waiting
        guest.pass_time(1_000)
        made = fake_call(0x15, guest, eax=0x8600, resumed=True)
        service(made)
        assert (made.waiting, made.carry) == (False, False)
        assert guest.memory.read(PhysAddr(bda.WAIT_ACTIVE), 1) == b"\0"

    def test_the_clock_chip_ends_each_hlt_meanwhile_and_is_quiet_after(self, guest: ChipGuest) -> None:
        service = SystemServices()
        call(guest, 0x8600, service, edx=5000)
        guest.pass_time(1_000_000)
        assert guest.cmos.output.level
        assert guest.read_port(0xA1) & 1 == 0
        guest.pass_time(10_000_000)
        service(fake_call(0x15, guest, eax=0x8600, resumed=True))
        clock_interrupt(fake_call(0x70, guest))
        guest.pass_time(10_000_000)
        assert not guest.cmos.output.level

    def test_without_an_interrupt_that_could_come_it_asks_again_at_once(self, guest: ChipGuest) -> None:
        service = SystemServices()
        call(guest, 0x8600, service, edx=3000)
        guest.write_port(0xA1, 0xFF)
        made = fake_call(0x15, guest, eax=0x8600, resumed=True)
        before = made.way_on
        service(made)
        assert made.way_on == before + 1

    def test_one_wait_at_a_time(self, guest: ChipGuest) -> None:
        call(guest, 0x8300, ecx=1, es=0x4000)
        for ax in (0x8300, 0x8600):
            made = call(guest, ax, ecx=1, es=0x4000)
            assert (made.carry, made.ah) == (True, 0x83)
        assert not call(guest, 0x8301).carry, "but it can be given up"
        assert not call(guest, 0x8300, ecx=1, es=0x4000).carry

    def test_an_event_sets_the_callers_flag_when_its_time_has_come(self, guest: ChipGuest) -> None:
        made = call(guest, 0x8300, ecx=0, edx=10_000, es=0x4000, ebx=0x12)
        assert not made.carry
        elapsed_ns = 0
        while guest.memory.read(PhysAddr(0x40012), 1) == b"\0":
            guest.pass_time(100_000)
            elapsed_ns += 100_000
            assert elapsed_ns < 20_000_000
            if guest.cmos.output.level:
                clock_interrupt(fake_call(0x70, guest))
        assert guest.memory.read(PhysAddr(0x40012), 1) == b"\x80"
        assert 9_000_000 <= elapsed_ns <= 12_000_000

    def test_an_alarm_calls_the_users_handler(self, guest: ChipGuest) -> None:
        from hillemu.boot.bios.time_of_day import time_of_day

        made = fake_call(0x1A, guest, eax=0x0600, ecx=0x1234, edx=0x5700)  # a second from now
        time_of_day(made)
        assert not made.carry
        guest.pass_time(900_000_000)
        assert not guest.cmos.output.level
        guest.pass_time(200_000_000)
        assert guest.cmos.output.level
        interrupt = fake_call(0x70, guest)
        clock_interrupt(interrupt)
        assert interrupt.way_on == AT["clock_alarm"]
        assert not guest.cmos.output.level


class TestMouse:
    def with_driver(self, guest: ChipGuest) -> None:
        assert not call(guest, 0xC205, ebx=0x0300).carry
        assert not call(guest, 0xC207, es=0x2345, ebx=0x0678).carry
        assert not call(guest, 0xC200, ebx=0x0100).carry

    def packet(self, guest: ChipGuest) -> tuple[int, bytes]:
        """Serve interrupts until the stub calls the driver: how many, and the four words."""
        for count in range(1, 10):
            guest.pass_time(2_000_000)
            interrupt = fake_call(0x74, guest)
            mouse_interrupt(interrupt)
            if interrupt.way_on == AT["mouse_packet"]:
                return count, guest.memory.read(PhysAddr(EBDA + 0x28), 8)
        raise AssertionError("no packet")

    def test_a_movement_reaches_the_driver(self, guest: ChipGuest) -> None:
        self.with_driver(guest)
        guest.mouse.move(5, -3, buttons=1)
        count, words = self.packet(guest)
        assert count == 3
        assert struct.unpack("<4H", words) == (0x29, 5, 0xFD, 0)
        assert guest.memory.read(PhysAddr(EBDA + 0x22), 4) == b"\x78\x06\x45\x23"
        assert guest.read_port(0xA1) & 0x10 == 0

    def test_packets_follow_each_other(self, guest: ChipGuest) -> None:
        self.with_driver(guest)
        for step in (1, 2, 3):
            guest.mouse.move(step, 0)
            _, words = self.packet(guest)
            assert struct.unpack("<4H", words)[1] == step

    def test_it_cannot_be_switched_on_without_a_driver(self, guest: ChipGuest) -> None:
        made = call(guest, 0xC200, ebx=0x0100)
        assert (made.carry, made.ah) == (True, 5)

    def test_taking_the_driver_away_switches_it_off(self, guest: ChipGuest) -> None:
        self.with_driver(guest)
        assert not call(guest, 0xC207, es=0, ebx=0).carry
        guest.mouse.move(5, 5)
        guest.pass_time(5_000_000)
        assert not guest.read_port(0x64) & 1

    def test_an_interrupt_without_a_byte_is_nothing(self, guest: ChipGuest) -> None:
        self.with_driver(guest)
        interrupt = fake_call(0x74, guest)
        before = interrupt.way_on
        mouse_interrupt(interrupt)
        assert interrupt.way_on == before

    @pytest.mark.parametrize(
        "ax_bx", [(0xC200, 0x0200), (0xC202, 0x0700), (0xC203, 0x0400), (0xC205, 0), (0xC206, 0x0300)]
    )
    def test_senseless_numbers_are_refused(self, guest: ChipGuest, ax_bx: tuple[int, int]) -> None:
        made = call(guest, ax_bx[0], ebx=ax_bx[1])
        assert (made.carry, made.ah) == (True, 2)

    def test_keys_typed_meanwhile_are_not_taken_for_replies(self, guest: ChipGuest) -> None:
        guest.keyboard.press("a")
        made = call(guest, 0xC204)
        assert (made.bh, made.carry) == (0, False)
        guest.pass_time(5_000_000)
        assert guest.read_port(0x60) == 0x1E
