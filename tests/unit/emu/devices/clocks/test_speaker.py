"""Port 0x61, and the loops with which kernels measure time there."""

from __future__ import annotations

from itertools import pairwise

import pytest

from hillemu.emu.clock import Clock
from hillemu.emu.devices.clocks.pit import Pit
from hillemu.emu.devices.clocks.speaker import SystemControlB
from hillemu.emu.wires import Line


class Board:
    def __init__(self) -> None:
        self.clock = Clock(100_000_000)
        self.pit = Pit(clock=self.clock, output=Line())
        self.port = SystemControlB(clock=self.clock, gate2=self.pit.gate2, output2=lambda: self.pit.output_of(2))

    def count_down(self, mode: int, count: int) -> None:
        self.pit.write(3, 1, 0xB0 | mode << 1)
        self.pit.write(2, 1, count & 0xFF)
        self.pit.write(2, 1, count >> 8)


@pytest.fixture
def board() -> Board:
    return Board()


def test_only_the_low_four_bits_can_be_written(board: Board) -> None:
    board.port.write(0, 1, 0xFF)
    assert board.port.read(0, 1) == 0x0F
    board.port.reset()
    assert (board.port.read(0, 1), board.pit.gate2.level) == (0, False)


def test_bit_0_gates_counter_2_and_bit_5_shows_its_output(board: Board) -> None:
    """The loop that calibrates a TSC: count down 50 ms in mode 0 and wait for bit 5."""
    board.port.write(0, 1, 0x00)
    board.count_down(0, 59659)
    board.clock.advance(10_000_000)
    assert board.port.read(0, 1) & 0x20 == 0, "the gate is low: nothing counts"
    board.port.write(0, 1, 0x01)
    waited = 0
    while not board.port.read(0, 1) & 0x20:
        board.clock.advance(1000)
        waited += 1000
    assert waited == pytest.approx(5_000_000, abs=1100)


def test_the_refresh_bit_toggles_every_15_085_microseconds(board: Board) -> None:
    levels = []
    for _ in range(100_000):
        levels.append(board.port.read(0, 1) & 0x10)
        board.clock.advance(100)
    toggles = sum(a != b for a, b in pairwise(levels))
    assert toggles == int(0.1 * 1_193_182 / 18)


def test_peeking_at_the_port_tells_what_a_read_would(board: Board) -> None:
    board.port.write(0, 1, 0x03)
    board.clock.advance(1509)
    assert board.port.peek(0, 1) == board.port.read(0, 1) == 0x13


def test_the_speaker_gets_the_square_wave_only_through_bit_1(board: Board) -> None:
    board.count_down(3, 1000)
    for latch, expected in (0x01, {False}), (0x03, {True, False}):
        board.port.write(0, 1, latch)
        heard = set()
        for _ in range(20):
            heard.add(board.port.speaker_level)
            board.clock.advance(10_000)
        assert heard == expected
