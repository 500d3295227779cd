"""INT 14h on the UART, and the printer that is not there."""

from __future__ import annotations

import pytest
from chip_guest import ChipGuest

from hillemu.boot.bios.call import WAIT, BiosCall, fake_call
from hillemu.boot.bios.serial import SerialServices
from hillemu.boot.bios.small_services import printer

LCR, MCR = 0x3FB, 0x3FC


@pytest.fixture
def guest() -> ChipGuest:
    return ChipGuest()


def call(guest: ChipGuest, ax: int, service: SerialServices | None = None, **registers: int) -> BiosCall:
    made = fake_call(0x14, guest, eax=ax, **registers)
    (service or SerialServices())(made)
    return made


def divisor(guest: ChipGuest) -> int:
    line_control = guest.read_port(LCR)
    guest.write_port(LCR, line_control | 0x80)
    value = guest.read_port(0x3F8) | guest.read_port(0x3F9) << 8
    guest.write_port(LCR, line_control)
    return value


@pytest.mark.parametrize(("al", "counts"), [(0x03, 0x417), (0x63, 0x0C0), (0xE3, 0x00C)])
def test_initializing_sets_speed_and_format(guest: ChipGuest, al: int, counts: int) -> None:
    made = call(guest, al)
    assert (made.ah, made.al) == (0x60, 0xB0)
    assert divisor(guest) == counts
    assert guest.read_port(LCR) == 0x03


def test_extended_initializing_takes_numbers(guest: ChipGuest) -> None:
    call(guest, 0x0400, ebx=0x0201, ecx=0x0308)  # even parity, 2 stop bits, 8 bits, 19200 baud
    assert divisor(guest) == 6
    assert guest.read_port(LCR) == 0x1F


def test_a_byte_is_sent_with_both_modem_lines_on(guest: ChipGuest) -> None:
    made = call(guest, 0x0100 | ord("A"))
    assert guest.sent.text == "A"
    assert made.ah & 0x80 == 0
    assert made.al == ord("A")
    assert guest.read_port(MCR) & 3 == 3


def test_receiving_waits_for_the_byte(guest: ChipGuest) -> None:
    service = SerialServices()
    assert call(guest, 0x0200, service).waiting
    guest.uart.receive(b"x")
    guest.pass_time(5_000_000)
    made = fake_call(0x14, guest, eax=0x0200, resumed=True)
    service(made)
    assert (made.waiting, made.ah, made.al) == (False, 0, ord("x"))


def test_receiving_gives_up_after_the_time_that_the_data_area_says(guest: ChipGuest) -> None:
    service = SerialServices()
    guest.memory.data[0x47C] = 2
    call(guest, 0x0200, service)
    for seconds, waits in ((1, True), (1, False)):
        guest.pass_time(seconds * 1_000_000_000)
        made = fake_call(0x14, guest, eax=0x0200, resumed=True)
        service(made)
        assert made.waiting is waits
    assert made.ah & 0x80


def test_a_long_wait_sleeps_while_the_timer_ticks(guest: ChipGuest) -> None:
    service = SerialServices()
    sleeps = []
    for mask, pass_ns in ((0xFE, 0), (0xFE, 1_000_000), (0xFE, 2_000_000), (0xFF, 0)):
        guest.write_port(0x21, mask)
        guest.pass_time(pass_ns)
        made = fake_call(0x14, guest, eax=0x0200, resumed=bool(sleeps))
        before = made.way_on
        service(made)
        sleeps.append(made.way_on == before + WAIT)
    assert sleeps == [False, False, True, False]


def test_the_modem_control_register_is_read_and_set(guest: ChipGuest) -> None:
    call(guest, 0x0501, ebx=0x0B)
    assert guest.read_port(MCR) == 0x0B
    assert call(guest, 0x0500).bl == 0x0B


@pytest.mark.parametrize("port", [2, 3, 4, 0xFFFF])
def test_a_port_that_is_not_there_is_out_of_time(guest: ChipGuest, port: int) -> None:
    told: list[str] = []
    made = fake_call(0x14, guest, eax=0x0141, edx=port, report=told.append)
    SerialServices()(made)
    assert made.ah == 0x80
    assert "not there" in told[0]


@pytest.mark.parametrize("registers", [{"eax": 0x0600}, {"eax": 0x0502}, {"eax": 0x0400, "ebx": 0x0500}])
def test_what_is_not_there_is_refused_and_told(guest: ChipGuest, registers: dict[str, int]) -> None:
    told: list[str] = []
    made = fake_call(0x14, guest, report=told.append, **registers)
    SerialServices()(made)
    assert made.carry
    assert len(told) == 1


def test_printers_are_out_of_time(guest: ChipGuest) -> None:
    for ax in (0x0041, 0x0100, 0x0200):
        told: list[str] = []
        made = fake_call(0x17, guest, eax=ax, report=told.append)
        printer(made)
        assert made.ah & 1
        assert "not there" in told[0]
