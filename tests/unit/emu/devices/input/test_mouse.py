"""The mouse by itself, at its end of the cable."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hillemu.emu.devices.input.mouse import BUFFERED_PACKETS, FIFTH, FOURTH, LEFT, MIDDLE, RIGHT, Mouse


def command(mouse: Mouse, *values: int) -> str:
    for value in values:
        mouse.receive(value)
    return bytes(mouse.take_reply() for _ in range(len(mouse.replies))).hex(" ")


WHEEL_KNOCK, FIVE_BUTTON_KNOCK = (0xF3, 200, 0xF3, 100, 0xF3, 80), (0xF3, 200, 0xF3, 200, 0xF3, 80)


def packets(mouse: Mouse, size: int = 3) -> list[bytes]:
    data = bytes(mouse.take_event() for _ in range(len(mouse.events)))
    assert len(data) % size == 0
    return [data[at : at + size] for at in range(0, len(data), size)]


def movement(packet: bytes) -> tuple[int, int]:
    """What a driver reads from a packet without overflow."""
    return packet[1] - (packet[0] << 4 & 0x100), packet[2] - (packet[0] << 3 & 0x100)


@pytest.mark.parametrize(
    ("sent", "replies"),
    [
        ("ff", "fa aa 00"),
        ("f2", "fa 00"),
        ("f4", "fa"),
        ("f5", "fa"),
        ("f6", "fa"),
        ("e9", "fa 00 02 64"),
        ("f4 e7 e8 03 f3 c8 e9", "fa fa fa fa fa fa fa 30 03 c8"),
        ("f0 e9", "fa fa 40 02 64"),
        ("f0 ea e9", "fa fa fa 00 02 64"),
        ("e7 e6 e9", "fa fa fa 00 02 64"),
        ("f3 07", "fa fe"),
        ("e8 04", "fa fe"),
        ("eb", "fa 08 00 00"),
        ("e0", "fe"),
        ("f3 c8 f3 64 f3 50 f2", "fa fa fa fa fa fa fa 03"),
        ("f3 c8 f3 c8 f3 50 f2", "fa fa fa fa fa fa fa 04"),
        ("f3 c8 f3 64 f3 50 f3 c8 f3 c8 f3 50 f2", "fa fa fa fa fa fa fa fa fa fa fa fa fa 04"),
        ("f3 c8 f3 50 f3 64 f2", "fa fa fa fa fa fa fa 00"),
        ("f3 c8 f3 64 f6 f3 50 f2", "fa fa fa fa fa fa fa fa 00"),
        ("f3 c8 f3 64 f3 50 f6 f2", "fa fa fa fa fa fa fa fa 03"),
        ("f3 c8 f3 64 f3 50 ff f2", "fa aa 00 fa 00"),
        ("f3 c8 f3 64 f3 50 eb", "fa fa fa fa fa fa fa 08 00 00 00"),
    ],
)
def test_commands_are_answered_as_the_reference_says(sent: str, replies: str) -> None:
    assert command(Mouse(), *bytes.fromhex(sent)) == replies


def test_wrap_mode_echoes_all_but_reset_and_leave() -> None:
    assert command(Mouse(), *bytes.fromhex("ee f2 e9 ee ec f2")) == "fa f2 e9 ee fa fa 00"


def test_the_last_byte_is_sent_again_on_request() -> None:
    mouse = Mouse()
    assert command(mouse, 0xE9) == "fa 00 02 64"
    assert command(mouse, 0xFE) == "64"


def test_a_mouse_is_silent_until_enabled() -> None:
    mouse = Mouse()
    mouse.move(1, 1)
    assert packets(mouse) == []
    command(mouse, 0xF4)
    mouse.move(2, -3, LEFT | MIDDLE)
    (packet,) = packets(mouse)
    assert packet == bytes([0x08 | 0x20 | 0x05, 2, 0xFD])
    command(mouse, 0xF5)
    mouse.move(1, 1)
    assert packets(mouse) == []


@given(st.integers(-256, 255), st.integers(-256, 255), st.integers(0, 7))
def test_a_driver_reads_back_the_movement(dx: int, dy: int, buttons: int) -> None:
    mouse = Mouse()
    command(mouse, 0xF4)
    mouse.move(dx, dy, buttons)
    (packet,) = packets(mouse)
    assert movement(packet) == (dx, dy)
    assert packet[0] & 0xCF & ~0x08 == buttons
    assert packet[0] & 0x08


def test_without_a_knock_a_wheel_and_more_buttons_are_not_sent() -> None:
    mouse = Mouse()
    command(mouse, 0xF4)
    mouse.move(1, 2, LEFT | FOURTH | FIFTH, wheel=3)
    assert packets(mouse) == [bytes([0x09, 1, 2])]


@given(st.integers(-256, 255), st.integers(-256, 255), st.integers(0, 31), st.integers(-8, 7))
def test_after_the_knock_the_fourth_byte_has_the_wheel(dx: int, dy: int, buttons: int, wheel: int) -> None:
    mouse = Mouse()
    command(mouse, *WHEEL_KNOCK, 0xF4)
    mouse.move(dx, dy, buttons, wheel=wheel)
    (packet,) = packets(mouse, 4)
    assert movement(packet) == (dx, dy)
    assert packet[0] & 0xCF == 0x08 | buttons & 7
    assert int.from_bytes(packet[3:], "little", signed=True) == wheel


@given(st.integers(0, 31), st.integers(-8, 7))
def test_after_the_other_knock_the_fourth_byte_has_two_more_buttons(buttons: int, wheel: int) -> None:
    mouse = Mouse()
    command(mouse, *FIVE_BUTTON_KNOCK, 0xF4)
    mouse.move(0, 0, buttons, wheel=wheel)
    (packet,) = packets(mouse, 4)
    assert packet[3] >> 6 == 0
    assert (packet[3] & 0x07) - (packet[3] & 0x08) == wheel
    assert bool(packet[3] & 0x10) == bool(buttons & FOURTH)
    assert bool(packet[3] & 0x20) == bool(buttons & FIFTH)


def test_a_wheel_that_turns_too_far_for_one_packet_goes_on_in_the_next() -> None:
    mouse = Mouse()
    command(mouse, *WHEEL_KNOCK, 0xF4)
    mouse.move(0, 0, wheel=-20)
    for _ in range(3):
        mouse.move(0, 0)
    assert [packet[3] for packet in packets(mouse, 4)] == [0xF8, 0xF8, 0xFC, 0]


def test_as_many_packets_of_four_bytes_wait_as_of_three() -> None:
    mouse = Mouse()
    command(mouse, *WHEEL_KNOCK, 0xF4)
    for _ in range(20):
        mouse.move(1, 0, wheel=1)
    assert len(packets(mouse, 4)) == BUFFERED_PACKETS


def test_too_much_movement_is_marked_as_overflow() -> None:
    mouse = Mouse()
    command(mouse, 0xF4)
    mouse.move(300, -300)
    (packet,) = packets(mouse)
    assert packet[0] & 0xF0 == 0x40 | 0x80 | 0x20
    assert movement(packet) == (255, -256)


def test_remote_mode_gives_the_sum_when_asked() -> None:
    mouse = Mouse()
    command(mouse, 0xF0)
    mouse.move(3, 4, RIGHT)
    mouse.move(-1, 1, RIGHT)
    assert packets(mouse) == []
    assert command(mouse, 0xEB) == "fa 0a 02 05"
    assert command(mouse, 0xEB) == "fa 0a 00 00"


def test_movements_add_up_while_the_guest_does_not_listen() -> None:
    mouse = Mouse()
    command(mouse, 0xF4)
    for _ in range(20):
        mouse.move(1, 2)
    got = packets(mouse)
    assert len(got) == BUFFERED_PACKETS
    mouse.move(0, 0)
    got += packets(mouse)
    assert [sum(axis) for axis in zip(*map(movement, got), strict=True)] == [20, 40]


@pytest.mark.parametrize(
    ("moved", "sent"), [(0, 0), (1, 1), (2, 1), (3, 3), (4, 6), (5, 9), (6, 12), (-4, -6), (-9, -18)]
)
def test_scaling_2_to_1_follows_the_table(moved: int, sent: int) -> None:
    mouse = Mouse()
    command(mouse, 0xE7, 0xF4)
    mouse.move(moved, moved)
    (packet,) = packets(mouse)
    assert movement(packet) == (sent, sent)


def test_the_status_shows_the_buttons() -> None:
    mouse = Mouse()
    for buttons, bits in ((LEFT, 4), (MIDDLE, 2), (RIGHT, 1)):
        mouse.move(0, 0, buttons)
        assert command(mouse, 0xE9) == f"fa {bits:02x} 02 64"
