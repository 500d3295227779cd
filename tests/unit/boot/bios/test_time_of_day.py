"""INT 1Ah on the clock chip; what it returns is compared with QEMU's firmware by the guest `bios`."""

from __future__ import annotations

import pytest
from chip_guest import ChipGuest

from hillemu.boot.bios.call import BiosCall, fake_call
from hillemu.boot.bios.clock_chip import read_clock, ticks_since_midnight, write_clock
from hillemu.boot.bios.time_of_day import time_of_day
from hillemu.emu.i386.address import PhysAddr


@pytest.fixture
def guest() -> ChipGuest:
    return ChipGuest()


def call(guest: ChipGuest, ax: int, **registers: int) -> BiosCall:
    made = fake_call(0x1A, guest, eax=ax, **registers)
    made.carry = True
    time_of_day(made)
    return made


def test_the_date_is_the_chips_in_bcd(guest: ChipGuest) -> None:
    date = call(guest, 0x0400)
    assert (date.ch, date.cl, date.dh, date.dl, date.carry) == (0x20, 0x26, 0x05, 0x17, False)


def test_a_time_and_date_that_were_set_go_on_from_there(guest: ChipGuest) -> None:
    call(guest, 0x0300, ecx=0x2359, edx=0x5800)
    call(guest, 0x0500, ecx=0x2028, edx=0x0228)
    guest.pass_time(3_000_000_000)
    assert [read_clock(guest, index) for index in (4, 2, 0)] == [0x00, 0x00, 0x01]
    assert call(guest, 0x0400).dx == 0x0229


def test_ticks_that_were_set_count_and_midnight_is_forgotten(guest: ChipGuest) -> None:
    guest.memory.write(PhysAddr(0x470), b"\x01")
    call(guest, 0x0100, ecx=0x0012, edx=0x3456)
    assert guest.memory.read(PhysAddr(0x46C), 5) == bytes((0x56, 0x34, 0x12, 0x00, 0x00))


@pytest.mark.parametrize(
    ("mode", "hours", "seconds_of_day"),
    [(0x02, 0x12, 45296), (0x06, 12, 45296), (0x00, 0x92, 45296), (0x04, 0x8C, 45296), (0x00, 0x12, 2096)],
)
def test_the_tick_count_begins_at_the_chips_time_in_each_of_its_forms(
    guest: ChipGuest, mode: int, hours: int, seconds_of_day: int
) -> None:
    bcd = not mode & 4
    write_clock(guest, 0x0B, 0x80 | mode)
    for index, value in ((0, 0x56 if bcd else 56), (2, 0x34 if bcd else 34), (4, hours)):
        write_clock(guest, index, value)
    assert read_clock(guest, 0x0B) & 6 == mode
    assert abs(ticks_since_midnight(guest) / (1193182 / 65536) - seconds_of_day) < 0.06


def test_only_one_alarm_at_a_time(guest: ChipGuest) -> None:
    assert not call(guest, 0x0600, ecx=0x0102, edx=0x0300).carry
    assert [read_clock(guest, index) for index in (5, 3, 1)] == [1, 2, 3]
    assert guest.read_port(0xA1) & 1 == 0
    assert call(guest, 0x0600).carry
    assert not call(guest, 0x0700).carry
    assert not call(guest, 0x0600).carry


def test_what_is_not_there_is_refused_and_told(guest: ChipGuest) -> None:
    told: list[str] = []
    made = fake_call(0x1A, guest, eax=0x0F00, report=told.append)
    time_of_day(made)
    assert made.carry
    assert len(told) == 1
