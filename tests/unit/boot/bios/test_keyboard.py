"""INT 09h: what each scancode does to the shift flags, the key buffer and the stub's way on.

The guest `bios_keys` compares the codes of all keys, and the shift flags, with QEMU's firmware; here is what that does
not know.
"""

from __future__ import annotations

import pytest
from chip_guest import ChipGuest

from hillemu.boot.bios import bda
from hillemu.boot.bios.call import VIRTUAL_8086, BiosCall, fake_call
from hillemu.boot.bios.key_input import key_input
from hillemu.boot.bios.keyboard import keyboard_interrupt
from hillemu.boot.bios.rom import AT
from hillemu.emu.i386.address import PhysAddr

CTRL, ALT, LEFT_SHIFT, CAPS_LOCK, INSERT, DELETE, A = 0x1D, 0x38, 0x2A, 0x3A, 0x52, 0x53, 0x1E
UP = 0x80


@pytest.fixture
def guest() -> ChipGuest:
    return ChipGuest()


def send(guest: ChipGuest, *codes: int) -> BiosCall:
    """The stub's calls for these bytes; the last one."""
    for code in codes:
        call = fake_call(0x09, guest, eax=0x4F00 | code)
        keyboard_interrupt(call)
    return call


def buffer_of(guest: ChipGuest) -> list[int]:
    def word(at: int) -> int:
        return int.from_bytes(guest.memory.read(PhysAddr(at), 2), "little")

    head, tail, codes = word(bda.KEY_HEAD), word(bda.KEY_TAIL), []
    while head != tail:
        codes.append(word(0x400 + head))
        head = head + 2 if head + 2 < word(bda.KEYS_END) else word(bda.KEYS_START)
    return codes


def flag(guest: ChipGuest, at: int) -> int:
    return guest.memory.read(PhysAddr(at), 1)[0]


def test_ctrl_alt_del_resets_without_a_memory_test(guest: ChipGuest) -> None:
    assert send(guest, CTRL, ALT, DELETE).way_on == AT["keyboard_reset"]
    assert guest.memory.read(PhysAddr(bda.RESET_FLAG), 2) == b"\x34\x12"


def test_del_with_one_of_both_is_a_key(guest: ChipGuest) -> None:
    way = send(guest, CTRL, DELETE).way_on
    assert way != AT["keyboard_reset"]
    assert buffer_of(guest) == [0x9300]


def test_ctrl_break_empties_the_buffer_and_calls_the_users_handler(guest: ChipGuest) -> None:
    send(guest, A, A | UP, CTRL)
    assert buffer_of(guest) == [0x1E61]
    assert send(guest, 0xE0, 0x46).way_on == AT["keyboard_break"]
    assert buffer_of(guest) == [0]
    assert flag(guest, bda.BREAK_SEEN) == 0x80


def test_print_screen_is_an_interrupt_and_with_ctrl_a_key(guest: ChipGuest) -> None:
    assert send(guest, 0xE0, 0x2A, 0xE0, 0x37).way_on == AT["keyboard_print"]
    assert flag(guest, bda.SHIFT_FLAGS) == 0, "the false shift is none"
    send(guest, 0xE0, 0xB7, 0xE0, 0xAA, CTRL)
    send(guest, 0xE0, 0x37)
    assert buffer_of(guest) == [0x9600]


def test_system_request_is_told_when_it_goes_down_and_when_it_comes_up(guest: ChipGuest) -> None:
    assert send(guest, ALT, 0x54).way_on == AT["keyboard_system_make"]
    way = send(guest, 0x54).way_on
    assert way not in (AT["keyboard_system_make"], AT["keyboard_system_break"]), "it repeats"
    assert send(guest, 0x54 | UP).way_on == AT["keyboard_system_break"]


def test_pause_waits_until_another_key_which_is_lost(guest: ChipGuest) -> None:
    assert send(guest, 0xE1, CTRL, 0x45).way_on == AT["keyboard_pause"]
    send(guest, 0xE1, CTRL | UP, 0x45 | UP)

    def look(eflags: int = 2) -> int:
        call = fake_call(0x09, guest, resumed=True, eflags=eflags)
        before = call.way_on
        keyboard_interrupt(call)
        return 0 if call.way_on == before else call.way_on

    assert look() == AT["keyboard_paused_halted"]
    assert look(VIRTUAL_8086 | 2) == 0, "the stub goes on without HLT"
    send(guest, LEFT_SHIFT, LEFT_SHIFT | UP)
    assert look() == AT["keyboard_paused_halted"], "a shift key ends nothing"
    send(guest, A, A | UP)
    assert look() == AT["keyboard_resumed"]
    assert buffer_of(guest) == []
    assert flag(guest, bda.SHIFT_FLAGS) == 0


def test_pause_is_not_ctrl_and_num_lock(guest: ChipGuest) -> None:
    send(guest, 0xE1, CTRL, 0x45, 0xE1, CTRL | UP, 0x45 | UP)
    assert flag(guest, bda.SHIFT_FLAGS) == 0


@pytest.mark.parametrize(("digits", "code"), [((0x4B, 0x4C), 45), ((0x50, 0x4C, 0x4C), 255), ((0x4F, 0x52, 0x52), 100)])
def test_a_number_typed_with_alt_is_that_character(guest: ChipGuest, digits: tuple[int, ...], code: int) -> None:
    send(guest, ALT)
    for digit in digits:
        send(guest, digit, digit | UP)
    assert buffer_of(guest) == []
    send(guest, ALT | UP)
    assert buffer_of(guest) == [code]
    send(guest, ALT, ALT | UP)
    assert buffer_of(guest) == [code], "it is forgotten"


def test_another_key_forgets_a_number_typed_with_alt(guest: ChipGuest) -> None:
    send(guest, ALT, 0x4B, 0x4B | UP, A, A | UP, ALT | UP)
    assert buffer_of(guest) == [0x1E00]


def test_insert_toggles_its_state_and_is_a_key_besides(guest: ChipGuest) -> None:
    send(guest, INSERT)
    assert (flag(guest, bda.SHIFT_FLAGS), flag(guest, bda.MORE_SHIFT_FLAGS)) == (0x80, 0x80)
    send(guest, INSERT)  # it repeats
    assert flag(guest, bda.SHIFT_FLAGS) == 0x80
    send(guest, INSERT | UP, 0xE0, INSERT, 0xE0, INSERT | UP)
    assert (flag(guest, bda.SHIFT_FLAGS), flag(guest, bda.MORE_SHIFT_FLAGS)) == (0, 0)
    assert buffer_of(guest) == [0x5200, 0x5200, 0x52E0]


def test_insert_as_a_digit_toggles_nothing(guest: ChipGuest) -> None:
    send(guest, LEFT_SHIFT, INSERT, INSERT | UP)
    assert flag(guest, bda.SHIFT_FLAGS) == 0x02
    assert buffer_of(guest) == [0x5230]


def test_a_lock_key_lights_its_lamp(guest: ChipGuest) -> None:
    send(guest, CAPS_LOCK, CAPS_LOCK | UP)
    assert guest.keyboard.lights == (True, False, False)
    assert flag(guest, bda.KEYBOARD_LIGHTS) & 7 == 4
    assert not guest.read_port(0x64) & 1, "the keyboard's answers are read"
    send(guest, CAPS_LOCK, CAPS_LOCK | UP)
    assert guest.keyboard.lights == (False, False, False)


def test_lighting_a_lamp_leaves_no_interrupt_behind(guest: ChipGuest) -> None:
    send(guest, CAPS_LOCK)
    guest.write_port(0x20, 0x0A)  # read the requests
    assert guest.read_port(0x20) & 2 == 0


def test_acknowledgements_are_noted_and_are_no_keys(guest: ChipGuest) -> None:
    send(guest, 0xFA, 0xFE)
    assert flag(guest, bda.KEYBOARD_LIGHTS) & 0x30 == 0x30
    assert buffer_of(guest) == []


def test_the_buffer_goes_round_and_a_key_too_much_is_lost(guest: ChipGuest) -> None:
    for _ in range(3):
        for _ in range(20):
            send(guest, A, A | UP)
        assert buffer_of(guest) == [0x1E61] * 15
        for _ in range(10):
            key_input(fake_call(0x16, guest, eax=0))
        assert buffer_of(guest) == [0x1E61] * 5
        for _ in range(5):
            key_input(fake_call(0x16, guest, eax=0))


def test_the_user_is_told_of_lost_keys(guest: ChipGuest) -> None:
    told: list[str] = []
    heard = []
    for _ in range(16):
        keyboard_interrupt(fake_call(0x09, guest, eax=0x4F00 | A, report=told.append))
        heard.append(len(told))
    assert heard == [0] * 15 + [1]
    assert "key buffer is full" in told[0]


class TestKeyInput:
    def test_reading_waits_until_there_is_a_key(self, guest: ChipGuest) -> None:
        call = fake_call(0x16, guest, eax=0x0000)
        key_input(call)
        assert call.waiting
        assert call.ax == 0, "the registers are as the caller gave them"
        send(guest, A)
        call = fake_call(0x16, guest, eax=0x0000, resumed=True)
        key_input(call)
        assert not call.waiting
        assert call.ax == 0x1E61

    def test_keys_that_84_have_not_are_dropped_for_programs_that_know_only_those(self, guest: ChipGuest) -> None:
        send(guest, 0x57, ALT, 0x01, ALT | UP, A)  # F11, Alt-Esc, A
        call = fake_call(0x16, guest, eax=0x0100)
        key_input(call)
        assert (call.ax, call.zero) == (0x1E61, False)
        assert buffer_of(guest) == [0x1E61]

    def test_programs_that_know_101_keys_see_them(self, guest: ChipGuest) -> None:
        send(guest, 0x57, ALT, 0x01, ALT | UP)
        codes = []
        for _ in range(2):
            call = fake_call(0x16, guest, eax=0x1000)
            key_input(call)
            codes.append(call.ax)
        assert codes == [0x8500, 0x0100]

    def test_the_repeat_rate_reaches_the_keyboard(self, guest: ChipGuest) -> None:
        guest.keyboard.press("a")
        guest.pass_time(2_000_000)
        key_input(fake_call(0x16, guest, eax=0x0305, ebx=0x0000))  # 250 ms, 30 a second
        guest.keyboard.press("b")
        guest.pass_time(2_000_000)
        assert guest.read_port(0x60) == 0x30
        guest.pass_time(245_000_000)
        assert not guest.read_port(0x64) & 1
        guest.pass_time(10_000_000)
        assert guest.read_port(0x60) == 0x30

    @pytest.mark.parametrize("ax", [0x0300, 0x0400, 0x7700])
    def test_what_is_not_modelled_is_told(self, guest: ChipGuest, ax: int) -> None:
        told: list[str] = []
        key_input(fake_call(0x16, guest, eax=ax, report=told.append))
        assert len(told) == 1
