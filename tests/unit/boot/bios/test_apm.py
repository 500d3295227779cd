"""Power management: what DOS programs and kernels ask before they switch off."""

from __future__ import annotations

import pytest

from hillemu.boot.bios.apm import ApmService
from hillemu.boot.bios.call import BiosCall, fake_call
from hillemu.emu.guest import FakeGuest


def call(al: int, service: ApmService | None = None, guest: FakeGuest | None = None, **registers: int) -> BiosCall:
    made = fake_call(0x15, guest, eax=0x5300 | al, **registers)
    made.carry = True
    (service or ApmService())(made)
    return made


def test_the_installation_check_tells_version_signature_and_interfaces() -> None:
    asked = call(0x00)
    assert (asked.ax, asked.bx, asked.cx, asked.carry) == (0x0102, 0x504D, 0, False)
    assert call(0x00, ApmService(entry16=0x100, entry32=0x200)).cx == 3


def test_only_the_bios_itself_is_a_device_of_the_installation_check() -> None:
    asked = call(0x00, ebx=0x1234)
    assert (asked.ah, asked.carry) == (0x09, True)


def test_switching_off_asks_the_power_management_controller_for_s5() -> None:
    guest = FakeGuest(1 << 20)
    assert not call(0x07, guest=guest, ebx=1, ecx=3).carry
    assert guest.port_writes == [(0x604, 0x2000, 2)]


@pytest.mark.parametrize(("bx", "cx"), [(1, 1), (1, 2), (0x0100, 3)])
def test_standby_and_single_devices_do_not_switch_off(bx: int, cx: int) -> None:
    guest = FakeGuest(1 << 20)
    assert not call(0x07, guest=guest, ebx=bx, ecx=cx).carry
    assert guest.port_writes == []


def test_an_impossible_power_state_is_refused() -> None:
    assert call(0x07, ebx=1, ecx=9).ah == 0x0A


def test_protected_mode_interfaces_are_there_if_the_rom_has_their_entries() -> None:
    assert [call(al).ah for al in (0x02, 0x03)] == [0x06, 0x08]
    service = ApmService(entry16=0x1234, entry32=0x5678)
    connected = call(0x03, service)
    assert (connected.ax, connected.cx, connected.dx, connected.ebx) == (0xF000, 0xF000, 0xF000, 0x5678)
    assert connected.esi == 0xFFF0FFF0
    assert call(0x02, service).bx == 0x1234


def test_idling_waits_for_one_interrupt() -> None:
    idle = fake_call(0x15, eax=0x5305)
    ways = []
    for resumed in (False, True):
        idle = fake_call(0x15, eax=0x5305, resumed=resumed)
        before = idle.way_on
        ApmService()(idle)
        ways.append(idle.way_on != before)
    assert ways == [True, False]


def test_no_event_ever_happens_and_power_is_on_line() -> None:
    assert (call(0x0B).ah, call(0x0B).carry) == (0x80, True)
    status = call(0x0A)
    assert (status.bx, status.cx, status.carry) == (0x01FF, 0x80FF, False)


@pytest.mark.parametrize(("asked", "agreed"), [(0x0100, 0x0100), (0x0102, 0x0102), (0x0200, 0x0102)])
def test_the_older_version_is_agreed_upon(asked: int, agreed: int) -> None:
    assert call(0x0E, ecx=asked).ax == agreed


def test_an_unknown_function_is_not_supported() -> None:
    unknown = call(0x70)
    assert (unknown.ah, unknown.carry) == (0x0C, True)
