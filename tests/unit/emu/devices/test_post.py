"""Port 0x80."""

from __future__ import annotations

from hillemu.emu.devices.post import HISTORY_LENGTH, PostCard


def test_the_last_code_can_be_read_back() -> None:
    card = PostCard()
    assert card.code is None
    assert card.read(0, 1) == 0
    card.write(0, 1, 0xAA)
    card.write(0, 1, 0x55)
    assert card.read(0, 1) == card.peek(0, 1) == card.code == 0x55
    assert list(card.history) == [0xAA, 0x55]


def test_writes_that_only_wait_do_not_flood_the_history() -> None:
    card = PostCard()
    card.write(0, 1, 0x11)
    for _ in range(1000):
        card.write(0, 1, 0)
    card.write(0, 1, 0x12)
    assert list(card.history) == [0x11, 0, 0x12]


def test_the_history_keeps_the_latest_codes() -> None:
    card = PostCard()
    for number in range(1000):
        card.write(0, 1, number & 0xFF)
    assert len(card.history) == HISTORY_LENGTH
    assert card.history[-1] == 999 & 0xFF


def test_reset_darkens_the_display() -> None:
    card = PostCard()
    card.write(0, 1, 3)
    card.reset()
    assert card.code is None
    assert not card.history
