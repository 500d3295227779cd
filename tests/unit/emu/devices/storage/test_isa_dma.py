"""The DMA controllers and page registers, programmed as drivers do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hillemu.emu.bus import Bus
from hillemu.emu.devices.storage import isa_dma
from hillemu.emu.devices.storage.isa_dma import IsaDma
from hillemu.emu.guest import FakeMemory

PAGE_OF = {0: 0x87, 1: 0x83, 2: 0x81, 3: 0x82, 5: 0x8B, 6: 0x89, 7: 0x8A}
SINGLE, DOWN, AUTO, TO_MEMORY, FROM_MEMORY = 0x40, 0x20, 0x10, 0x04, 0x08


class Board:
    """The controllers at their ports, with 1 MiB of memory."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.memory = FakeMemory(0x100000)
        self.dma = IsaDma(memory=self.memory, report=self.heard.append)
        self.ports = Bus("port", limit=0x10000)
        self.ports.attach(isa_dma.CONTROLLER_1, isa_dma.CONTROLLER_1_PORTS, self.dma.controller_1)
        self.ports.attach(isa_dma.CONTROLLER_2, isa_dma.CONTROLLER_2_PORTS, self.dma.controller_2)
        self.ports.attach(isa_dma.PAGES, isa_dma.PAGE_PORTS, self.dma.pages)

    def out(self, port: int, value: int) -> None:
        self.ports.write(port, 1, value)

    def port(self, channel: int, register: int) -> int:
        return register if channel < 4 else 0xC0 + 2 * register

    def program(self, channel: int, at: int, units: int, mode: int) -> None:
        """What a driver does: mask, flip-flop, mode, address, page, count, unmask."""
        word = at if channel < 4 else at >> 1
        self.out(self.port(channel, 10), 4 | channel & 3)
        self.out(self.port(channel, 12), 0)
        self.out(self.port(channel, 11), mode | channel & 3)
        for value in (word & 0xFF, word >> 8 & 0xFF):
            self.out(self.port(channel, 2 * (channel & 3)), value)
        self.out(PAGE_OF[channel], at >> 16)
        for value in (units - 1 & 0xFF, units - 1 >> 8):
            self.out(self.port(channel, 2 * (channel & 3) + 1), value)
        self.out(self.port(channel, 10), channel & 3)

    def word(self, channel: int, which: int) -> int:
        """A current address (0) or count (1)."""
        self.out(self.port(channel, 12), 0)
        port = self.port(channel, 2 * (channel & 3) + which)
        return self.ports.read(port, 1) | self.ports.read(port, 1) << 8

    def status(self, channel: int) -> int:
        return self.ports.read(self.port(channel, 8), 1)


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.mark.parametrize("channel", [0, 1, 2, 3])
def test_an_8_bit_channel_moves_bytes_to_where_it_was_told(board: Board, channel: int) -> None:
    board.program(channel, 0x3FF00, 0x100, SINGLE | TO_MEMORY)
    first = board.dma.channel(channel).to_memory(b"a" * 0x80)
    assert (first.data, first.is_terminal) == (b"a" * 0x80, False)
    assert (board.word(channel, 0), board.word(channel, 1)) == (0xFF80, 0x7F)
    assert board.status(channel) == 0
    last = board.dma.channel(channel).to_memory(b"b" * 0x100)
    assert (last.data, last.is_terminal) == (b"b" * 0x80, True)
    assert board.memory.data[0x3FF00:0x40000] == b"a" * 0x80 + b"b" * 0x80
    assert board.word(channel, 1) == 0xFFFF
    assert board.status(channel) == 1 << channel
    assert board.status(channel) == 0, "reading clears it"
    assert board.dma.channel(channel).to_memory(b"c") == (b"", False), "masked at the terminal count"


@pytest.mark.parametrize("channel", [5, 6, 7])
def test_a_16_bit_channel_counts_words_in_128_kib(board: Board, channel: int) -> None:
    board.program(channel, 0x5FF00, 0x40, SINGLE | TO_MEMORY)
    moved = board.dma.channel(channel).to_memory(bytes(range(200)))
    assert (len(moved.data), moved.is_terminal) == (0x80, True)
    assert board.memory.data[0x5FF00:0x5FF80] == bytes(range(0x80))
    assert board.status(channel) == 1 << (channel & 3)


def test_memory_is_read_for_a_device(board: Board) -> None:
    board.memory.data[0x1234:0x1334] = bytes(range(256))
    board.program(2, 0x1234, 256, SINGLE | FROM_MEMORY)
    assert board.dma.channel(2).from_memory(200) == (bytes(range(200)), False)
    assert board.dma.channel(2).from_memory(200) == (bytes(range(200, 256)), True)


@given(st.integers(0, 0xFFFF), st.integers(1, 0x10000), st.booleans())
def test_an_address_never_leaves_its_page(start: int, units: int, down: bool) -> None:
    board = Board()
    units = min(units, 300) if down else units
    board.program(1, 0x20000 | start, units, SINGLE | TO_MEMORY | (DOWN if down else 0))
    data = bytes(n * 7 + 1 & 0xFF for n in range(units))
    assert board.dma.channel(1).to_memory(data).is_terminal
    expected = bytearray(0x100000)
    for n, byte in enumerate(data):
        expected[0x20000 | (start - n if down else start + n) & 0xFFFF] = byte
    assert board.memory.data == expected


def test_auto_initialize_starts_again(board: Board) -> None:
    board.program(1, 0x4000, 16, SINGLE | AUTO | TO_MEMORY)
    for text in (b"first", b"other"):
        assert board.dma.channel(1).to_memory(text.ljust(16)).is_terminal
        assert board.memory.data[0x4000:0x4010] == text.ljust(16)
    assert (board.word(1, 0), board.word(1, 1)) == (0x4000, 15)


def test_verify_counts_and_moves_nothing(board: Board) -> None:
    board.program(1, 0x4000, 16, SINGLE)
    assert board.dma.channel(1).to_memory(b"x" * 16).is_terminal
    assert board.memory.data[0x4000:0x4010] == bytes(16)


def test_a_channel_for_the_other_direction_is_reported(board: Board) -> None:
    board.program(1, 0x4000, 16, SINGLE | FROM_MEMORY)
    assert board.dma.channel(1).to_memory(b"x" * 16).is_terminal
    assert board.memory.data[0x4000:0x4010] == bytes(16)
    assert len(board.heard) == 1


def test_masks_the_disable_bit_and_master_clear_hold_transfers(board: Board) -> None:
    def moves(channel: int) -> bool:
        return bool(board.dma.channel(channel).to_memory(b"x").data)

    for channel in range(4):
        board.program(channel, 0x4000, 100, SINGLE | TO_MEMORY)
    board.out(0x0F, 0b0101)
    assert [moves(channel) for channel in range(4)] == [False, True, False, True]
    assert board.ports.read(0x0F, 1) & 0x0F == 0b0101
    board.out(0x0E, 0)
    board.out(0x08, 0x04)
    assert not any(moves(channel) for channel in range(4))
    board.out(0x08, 0x00)
    assert all(moves(channel) for channel in range(4))
    board.out(0x0D, 0)
    assert not any(moves(channel) for channel in range(4))
    board.out(0x0E, 0)
    board.out(0x0B, 0xC2)
    assert [moves(channel) for channel in range(4)] == [True, True, False, True], "channel 2 cascades"


def test_the_flip_flop_is_shared_and_can_be_cleared(board: Board) -> None:
    board.program(1, 0x1234, 0x5678, SINGLE)
    board.out(0x0C, 0)
    assert [board.ports.read(port, 1) for port in (0x02, 0x03)] == [0x34, 0x56]
    assert board.ports.peek(0x02, 1) == board.ports.read(0x02, 1) == 0x34


def test_memory_that_does_not_exist_reads_as_ones(board: Board) -> None:
    board.program(1, 0x100000, 4, SINGLE | FROM_MEMORY)
    assert board.dma.channel(1).from_memory(4) == (b"\xff" * 4, True)
    board.program(1, 0x100000, 4, SINGLE | TO_MEMORY)
    assert board.dma.channel(1).to_memory(b"lost").is_terminal


def test_page_registers_and_the_latches_between_them_keep_what_is_written(board: Board) -> None:
    for port in range(0x81, 0x90):
        board.out(port, port ^ 0x5A)
    assert [board.ports.read(port, 1) for port in range(0x81, 0x90)] == [port ^ 0x5A for port in range(0x81, 0x90)]


def test_a_16_bit_controllers_registers_are_at_two_ports_each(board: Board) -> None:
    board.program(5, 0x20000, 0x100, SINGLE)
    board.out(0xD8, 0)
    assert (board.ports.read(0xC6, 1), board.ports.read(0xC7, 1)) == (0xFF, 0x00)


def test_what_is_not_modelled_is_reported(board: Board) -> None:
    board.out(0x08, 0x01)
    board.out(0x09, 0x05)
    board.out(0x09, 0x01)
    assert len(board.heard) == 2
