"""The 8254's registers, and the edges of IRQ 0 on the clock."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hillemu.emu.bus import Bus
from hillemu.emu.clock import Clock
from hillemu.emu.devices.clocks.pit import Pit
from hillemu.emu.devices.clocks.pit_counter import FREQUENCY_HZ
from hillemu.emu.devices.pic import Pic
from hillemu.emu.wires import Line

LOW, HIGH, BOTH = 0x10, 0x20, 0x30
STATUS_ONLY, STATUS_AND_COUNT = 0xE0, 0xC0


class Board:
    """A PIT whose clock ticks once per pulse of CLK, unless told otherwise, and a record of IRQ 0's edges."""

    def __init__(self, frequency_hz: int = FREQUENCY_HZ) -> None:
        self.clock = Clock(frequency_hz)
        self.edges: list[tuple[int, bool]] = []
        self.said: list[str] = []
        self.irq0 = Line(lambda level: self.edges.append((self.clock.now, level)))
        self.pit = Pit(clock=self.clock, output=self.irq0, report=self.said.append)
        self.ports = Bus("port", limit=0x10000)
        self.ports.attach(0x40, 4, self.pit)

    def program(self, counter: int, mode: int, count: int, access: int = BOTH, bcd: int = 0) -> None:
        self.ports.write(0x43, 1, counter << 6 | access | mode << 1 | bcd)
        if access & LOW:
            self.ports.write(0x40 + counter, 1, count & 0xFF)
        if access & HIGH:
            self.ports.write(0x40 + counter, 1, count >> 8)

    def read(self, counter: int, count: int = 1) -> list[int]:
        return [self.ports.read(0x40 + counter, 1) for _ in range(count)]

    @property
    def rises(self) -> list[int]:
        return [tick for tick, level in self.edges if level]


@pytest.fixture
def board() -> Board:
    return Board()


# Reading and writing.


def test_a_byte_wide_count_leaves_the_other_byte_zero(board: Board) -> None:
    board.program(1, 2, 0x1234, access=LOW)
    board.program(2, 0, 0x1234, access=HIGH)
    board.clock.advance(1)
    assert board.read(1, 2) == [0x34, 0x34]
    assert board.read(2, 2) == [0x12, 0x12]


def test_a_two_byte_count_reads_low_byte_first(board: Board) -> None:
    board.program(1, 2, 0xABCD)
    board.clock.advance(1)
    assert board.read(1, 3) == [0xCD, 0xAB, 0xCD]


def test_a_latched_count_is_held_until_both_bytes_are_read(board: Board) -> None:
    board.program(1, 2, 0x1000)
    board.clock.advance(1)
    board.ports.write(0x43, 1, 0x40)
    board.clock.advance(0x101)
    board.ports.write(0x43, 1, 0x40)  # ignored: the first latch is unread
    assert board.read(1, 1) == [0x00]
    board.clock.advance(1)
    assert board.read(1, 1) == [0x10]
    assert board.read(1, 2) == [0xFE, 0x0E]


def test_programming_a_counter_drops_what_was_latched(board: Board) -> None:
    board.program(1, 2, 0x1000)
    board.clock.advance(1)
    board.ports.write(0x43, 1, 0x40)
    board.read(1, 1)
    board.program(1, 2, 0x2345)
    board.clock.advance(1)
    assert board.read(1, 2) == [0x45, 0x23]


def test_the_status_tells_out_null_count_and_the_control_word(board: Board) -> None:
    board.program(1, 3, 6, access=LOW, bcd=1)
    board.ports.write(0x43, 1, STATUS_ONLY | 0x04)
    assert board.read(1) == [0x80 | 0x40 | LOW | 3 << 1 | 1]
    board.clock.advance(4)
    board.ports.write(0x43, 1, STATUS_ONLY | 0x04)
    assert board.read(1) == [LOW | 3 << 1 | 1]


def test_the_status_returns_the_mode_bits_exactly_as_written(board: Board) -> None:
    board.ports.write(0x43, 1, 0x40 | LOW | 7 << 1)
    board.ports.write(0x43, 1, STATUS_ONLY | 0x04)
    assert board.read(1)[0] & 0x3F == LOW | 7 << 1


def test_read_back_latches_status_before_count_for_every_counter_named(board: Board) -> None:
    board.program(0, 2, 0x0500)
    board.program(1, 2, 0x0700)
    board.program(2, 2, 0x0900)
    board.clock.advance(1)
    board.ports.write(0x43, 1, STATUS_AND_COUNT | 0x02 | 0x08)
    board.clock.advance(3)
    assert board.read(0, 3) == [0x80 | BOTH | 4, 0x00, 0x05]
    assert board.read(2, 3)[1:] == [0x00, 0x09]
    assert board.read(1, 2) == [0xFD, 0x06], "counter 1 was not named"


def test_a_second_status_latch_before_the_read_is_ignored(board: Board) -> None:
    board.program(1, 0, 2, access=LOW)
    board.ports.write(0x43, 1, STATUS_ONLY | 0x04)
    board.clock.advance(5)
    board.ports.write(0x43, 1, STATUS_ONLY | 0x04)
    assert board.read(1)[0] & 0xC0 == 0x40
    board.ports.write(0x43, 1, STATUS_ONLY | 0x04)
    assert board.read(1)[0] & 0xC0 == 0x80


def test_the_first_byte_of_a_count_stops_mode_0_only(board: Board) -> None:
    board.program(1, 0, 100)
    board.program(2, 4, 100)
    board.ports.write(0x40 + 2, 1, 0)
    board.pit.gate2.set(True)
    board.clock.advance(11)
    board.ports.write(0x40 + 1, 1, 50)
    board.clock.advance(10)
    assert board.read(1) == [90]
    board.ports.write(0x40 + 1, 1, 0)
    board.clock.advance(1)
    assert board.read(2) == [79]
    assert board.pit.peek(1, 1) == 0, "the high byte is next"
    assert board.read(1, 2) == [0, 50]


def test_the_control_register_is_write_only(board: Board) -> None:
    assert [board.ports.read(0x43, 1), board.ports.peek(0x43, 1)] == [0xFF, 0xFF]


def test_an_illegal_count_is_reported(board: Board) -> None:
    board.program(0, 3, 1)
    assert board.said == ["8254 counter 0: a count of 1 is illegal in mode 3 and is not loaded"]
    board.program(0, 0, 1)
    assert len(board.said) == 1


def test_peeking_changes_no_flip_flop_and_no_latch(board: Board) -> None:
    board.program(1, 2, 0x1234)
    board.clock.advance(1)
    board.ports.write(0x43, 1, STATUS_AND_COUNT | 0x04)
    for expected in (0xB4, 0x34, 0x12):
        assert [board.ports.peek(0x41, 1)] * 2 == [expected] * 2
        assert board.read(1) == [expected]


# IRQ 0.


def test_mode_0_raises_irq_0_once_when_the_count_is_over(board: Board) -> None:
    board.program(0, 0, 10)
    board.clock.advance(100_000)
    assert board.edges == [(11, True)]
    board.program(0, 0, 20)
    board.clock.advance(100_000)
    assert board.edges[1:] == [(100_011 - 11, False), (100_000 + 21, True)]


def test_mode_2_raises_irq_0_every_period(board: Board) -> None:
    board.program(0, 2, 10)
    board.clock.advance(45)
    assert board.rises == [0, 11, 21, 31, 41]


def test_mode_3_gives_a_square_wave(board: Board) -> None:
    board.program(0, 3, 5)
    board.clock.advance(12)
    assert board.edges == [(0, True), (4, False), (6, True), (9, False), (11, True)]


def test_mode_4_strobes_irq_0_once(board: Board) -> None:
    board.program(0, 4, 10)
    board.clock.advance(100_000)
    assert board.rises == [0, 12]


def test_a_new_count_in_mode_2_takes_effect_after_the_running_period(board: Board) -> None:
    board.program(0, 2, 10)
    board.clock.advance(5)
    for byte in (20, 0):
        board.ports.write(0x40, 1, byte)
    board.clock.advance(60)
    assert board.rises == [0, 11, 31, 51]


def test_a_chip_without_a_program_schedules_nothing(board: Board) -> None:
    board.clock.advance(10**9)
    assert (board.edges, board.pit.output_of(0)) == ([], False)


def test_reset_stops_the_counters_and_lowers_irq_0(board: Board) -> None:
    board.program(0, 3, 10)
    board.clock.advance(2)
    board.pit.reset()
    board.clock.advance(1000)
    assert board.edges == [(0, True), (2, False)]


@settings(max_examples=40, deadline=None)
@given(
    frequency_hz=st.integers(FREQUENCY_HZ // 50, 4_000_000_000),
    count=st.integers(2, 0xFFFF),
    start=st.integers(0, 10**9),
    mode=st.sampled_from([2, 3]),
)
def test_the_nth_edge_is_at_its_exact_tick(frequency_hz: int, count: int, start: int, mode: int) -> None:
    """The oracle is rational arithmetic from the moment of the load; no rounding adds up over 60 periods."""
    board = Board(frequency_hz)
    board.clock.advance(start)
    loaded = start * FREQUENCY_HZ // frequency_hz + 1
    board.program(0, mode, count)
    del board.edges[:]
    ticks_per_pulse = Fraction(frequency_hz, FREQUENCY_HZ)
    board.clock.advance(int((2 + 61 * count) * ticks_per_pulse) + 1)
    expected = [-(-(loaded + n * count) * ticks_per_pulse // 1) for n in range(1, 61)]
    assert board.rises[:60] == expected


def test_a_write_that_overtakes_a_due_event_does_the_edge_first() -> None:
    """A processor runs events at the end of a block; inside a block a write can come after an edge that is due."""

    class Processor:
        now = 0

        def ticks(self) -> int:
            return self.now

        def set_deadline(self, at: int) -> None:
            pass

    clock, processor = Clock(FREQUENCY_HZ), Processor()
    edges: list[bool] = []
    clock.attach(processor)
    pit = Pit(clock=clock, output=Line(edges.append))
    for offset, value in (3, 0x10), (0, 5):
        pit.write(offset, 1, value)
    processor.now = 100
    pit.write(0, 1, 50)
    assert edges == [True, False], "the first count was over before the second was written"
    clock.run_due(100)
    assert edges == [True, False]
    processor.now = 151
    clock.run_due(151)
    assert edges == [True, False, True]


def test_every_period_reaches_the_interrupt_controller_in_both_trigger_modes() -> None:
    for icw1 in (0x13, 0x1B):
        clock, taken = Clock(FREQUENCY_HZ), []
        pic = Pic(Line())
        pit = Pit(clock=clock, output=pic.line(0))
        pit.write(3, 1, 0x34)
        pit.write(0, 1, 100)
        pit.write(0, 1, 0)
        for offset, value in (0, icw1), (1, 0x20), (1, 0x03):
            pic.write(offset, 1, value)
        pic.write(1, 1, 0xFE)
        for _ in range(10):
            clock.advance(100)
            taken.append(pic.output.level and pic.acknowledge())
        clock.advance(1)
        assert pic.output.level
        assert taken[1:] == [0] * 9


# Counter 2, as port 0x61 gates it.


def test_gate_2_triggers_a_one_shot(board: Board) -> None:
    board.program(2, 1, 10)
    board.clock.advance(50)
    assert board.pit.output_of(2)
    board.pit.gate2.pulse()
    board.clock.advance(1)
    assert not board.pit.output_of(2)
    board.clock.advance(9)
    assert not board.pit.output_of(2)
    board.clock.advance(1)
    assert board.pit.output_of(2)


def test_gate_2_holds_counter_2_and_counters_0_and_1_run_freely(board: Board) -> None:
    for counter in range(3):
        board.program(counter, 0, 0x0080)
    board.clock.advance(0x11)
    assert [board.read(counter)[0] for counter in range(3)] == [0x70, 0x70, 0x80]
    board.pit.gate2.set(True)
    board.clock.advance(0x10)
    assert board.ports.peek(0x42, 1) == 0
    assert [board.read(2, 1)[0], board.read(2, 1)[0]] == [0x00, 0x70]
