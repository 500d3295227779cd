"""The HPET's registers, matches and wires."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hillemu.emu.clock import NEVER, Clock
from hillemu.emu.devices.clocks.hpet import FREQUENCY_HZ, SHORTEST_EDGE_GAP_COUNTS, Hpet
from hillemu.emu.devices.clocks.hpet_timer import HpetTimer
from hillemu.emu.wires import Line

CAPABILITIES, CONFIGURATION, STATUS, COUNTER = 0x00, 0x10, 0x20, 0xF0
RUN, LEGACY = 1, 2
LEVEL, ENABLE, PERIODIC, VALUE_SET, MODE_32 = 1 << 1, 1 << 2, 1 << 3, 1 << 6, 1 << 8
PIN_2 = 2 << 9


def timer(number: int) -> int:
    return 0x100 + 0x20 * number


class Board:
    """An HPET on a clock with its own frequency, and the rising edges of its wires."""

    def __init__(self, frequency_hz: int = FREQUENCY_HZ) -> None:
        self.clock = Clock(frequency_hz)
        self.rises: dict[str, list[int]] = {"irq0": [], "irq8": [], "pin2": []}
        self.irq0, self.irq8, self.pin2 = (self._line(name) for name in self.rises)
        self.said: list[str] = []
        self.hpet = Hpet(
            clock=self.clock, pin={2: self.pin2}.__getitem__, irq0=self.irq0, irq8=self.irq8, report=self.said.append
        )

    def _line(self, name: str) -> Line:
        return Line(lambda level: self.rises[name].append(self.clock.now) if level else None)

    def __getitem__(self, offset: int) -> int:
        return self.hpet.read(offset, 4)

    def __setitem__(self, offset: int, value: int) -> None:
        self.hpet.write(offset, 4, value)

    def start(self, number: int, configuration: int, comparator: int, period: int = 0) -> None:
        """Program a timer as the specification says, and let the counter run."""
        self[timer(number)] = configuration | (VALUE_SET if period else 0)
        for value in (comparator, period) if period else (comparator,):
            self[timer(number) + 8] = value
            self[timer(number) + 12] = 0
        self[CONFIGURATION] |= RUN


@pytest.fixture
def board() -> Board:
    return Board()


# Registers, as QEMU 7.2 answers.


def test_the_capabilities_and_reset_values(board: Board) -> None:
    assert [board[at] for at in (0x00, 0x04, 0x08, 0x10, 0x20, 0xF0, 0xF4)] == [0x8086A201, 10_000_000, 0, 0, 0, 0, 0]
    for number in range(3):
        assert [board[timer(number) + at] for at in (0, 4, 8, 12, 16)] == [0x30, 4, 0xFFFFFFFF, 0xFFFFFFFF, 0]
    assert board[timer(3)] == 0


def test_a_timers_capabilities_and_unknown_routes_cannot_be_written(board: Board) -> None:
    board[timer(0)] = 0xFFFFFFFF
    board[timer(0) + 4] = 0xFFFFFFFF
    assert (board[timer(0)], board[timer(0) + 4]) == (0x30 | 0x10E, 4)
    board[timer(0)] = PIN_2 | 0x3 << 14
    assert board[timer(0)] == PIN_2 | 0x30


def test_the_counter_counts_while_it_runs_and_can_be_set_while_it_stands(board: Board) -> None:
    board.clock.advance(100)
    assert board[COUNTER] == 0
    board[COUNTER + 4] = 0x12
    board[COUNTER] = 0xFFFFFFFE
    board[CONFIGURATION] = RUN
    board.clock.advance(3)
    assert (board[COUNTER + 4], board[COUNTER]) == (0x13, 1)
    board[COUNTER] = 5
    assert board[COUNTER] == 1
    assert len(board.said) == 1
    board[CONFIGURATION] = 0
    board.clock.advance(50)
    assert board[COUNTER] == 1


def test_bytes_can_be_read_and_only_words_written(board: Board) -> None:
    assert [board.hpet.read(at, 1) for at in range(4)] == [0x01, 0xA2, 0x86, 0x80]
    board.hpet.write(CONFIGURATION, 1, RUN)
    assert board[CONFIGURATION] == 0
    assert len(board.said) == 1


def test_reset_stops_everything(board: Board) -> None:
    board.start(0, ENABLE | PIN_2 | LEVEL, 10)
    board.clock.advance(20)
    assert board.pin2.level
    board.hpet.reset()
    assert not board.pin2.level
    assert (board[COUNTER], board[STATUS], board[CONFIGURATION], board[timer(0)]) == (0, 0, 0, 0x30)
    assert board.clock.next_deadline == NEVER


# Matches.


def test_a_one_shot_timer_matches_once(board: Board) -> None:
    board.start(1, ENABLE | PIN_2, 500)
    board.clock.advance(100_000)
    assert board.rises["pin2"] == [500]


def test_a_32_bit_timer_matches_again_after_a_wrap() -> None:
    board = Board(frequency_hz=1_000_000)
    board.start(1, ENABLE | PIN_2 | MODE_32, 500)
    board.clock.advance((1 << 33) // 100)
    assert board.rises["pin2"] == [5, 5 + -(-(1 << 32) // 100)]


def test_a_comparator_in_the_past_waits_for_the_wrap(board: Board) -> None:
    board[CONFIGURATION] = RUN
    board.clock.advance(1000)
    board.start(0, ENABLE | PIN_2 | MODE_32, 999)
    board.clock.advance(1 << 32)
    assert board.rises["pin2"] == [(1 << 32) + 999]


def test_a_periodic_timer_adds_its_period_to_its_comparator(board: Board) -> None:
    board.start(0, ENABLE | PIN_2 | PERIODIC, 300, period=1000)
    assert board[timer(0) + 8] == 300
    board.clock.advance(299)
    assert board.rises["pin2"] == []
    board.clock.advance(2001)
    assert board.rises["pin2"] == [300, 1300, 2300]
    assert (board[timer(0) + 8], board[timer(0) + 12]) == (3300, 0)


def test_a_periodic_timer_set_up_by_its_lower_half_alone_begins_at_once(board: Board) -> None:
    board[timer(0)] = ENABLE | PIN_2 | PERIODIC | VALUE_SET
    board[timer(0) + 8] = 1000
    board[CONFIGURATION] = RUN
    board.clock.advance(2500)
    assert board.rises["pin2"] == [0, 1000, 2000]


def test_value_set_covers_both_halves_once(board: Board) -> None:
    board[timer(0)] = ENABLE | PIN_2 | PERIODIC | VALUE_SET
    for value in (300, 0, 1000, 0):
        board[timer(0) + 8 + 4 * (value == 0)] = value
    board[CONFIGURATION] = RUN
    board.clock.advance(1300)
    assert (board[timer(0) + 8], board[timer(0) + 12]) == (2300, 0)
    assert board.rises["pin2"] == [300, 1300]


def test_the_period_of_a_running_timer_changes_after_the_next_match(board: Board) -> None:
    board.start(0, ENABLE | PIN_2 | PERIODIC | MODE_32, 1000, period=1000)
    board.clock.advance(500)
    board[timer(0) + 8] = 200
    board.clock.advance(1000)
    assert board.rises["pin2"] == [1000, 1200, 1400]


def test_periods_do_not_drift_on_another_clock() -> None:
    board = Board(frequency_hz=33_333_333)
    board.start(0, ENABLE | PIN_2 | PERIODIC, 1000, period=1000)
    board.clock.advance(33_333_333)
    assert len(board.rises["pin2"]) == 99_999 + (board[COUNTER] == 100_000_000)
    assert board.rises["pin2"][49_999] == -(-50_000_000 * 33_333_333 // FREQUENCY_HZ)


def test_a_timer_that_does_not_interrupt_costs_no_event_but_its_comparator_moves(board: Board) -> None:
    board.start(0, PERIODIC, 100, period=100)
    assert board.clock.next_deadline == NEVER
    board.clock.advance(1050)
    assert board[timer(0) + 8] == 1100
    assert board[STATUS] == 0


def test_very_short_periods_give_edges_a_microsecond_apart(board: Board) -> None:
    board.start(0, ENABLE | PIN_2 | PERIODIC, 1, period=1)
    board.clock.advance(350)
    gap = SHORTEST_EDGE_GAP_COUNTS
    assert board.rises["pin2"] == [1, 1 + gap, 1 + 2 * gap, 1 + 3 * gap]
    assert board[timer(0) + 8] == 351
    assert set(board.said) == {"HPET: timer 0 has a period below 1 us: its edges come 1 us apart"}


@given(comparator=st.integers(0, 30), period=st.integers(0, 12), pauses=st.lists(st.integers(0, 40), max_size=8))
@settings(max_examples=60)
def test_matches_are_those_of_a_counter_that_counts(comparator: int, period: int, pauses: list[int]) -> None:
    ours = HpetTimer(routes=4)
    ours.configure(PERIODIC | VALUE_SET | MODE_32)
    ours.write_comparator(comparator, 0xFFFFFFFF)
    ours.write_comparator(period, 0xFFFFFFFF)
    ours.arm(0)
    count, target, fired = -1, comparator, False
    for pause in [0, *pauses]:
        end = (0 if count < 0 else count) + pause
        fired = False
        while count < end:
            count += 1
            if count == target:
                fired = True
                target += period
        assert ours.settle(count) == fired
        assert ours.comparator == target


# Wires.


def test_a_level_stays_until_its_status_is_written(board: Board) -> None:
    board.start(2, ENABLE | PIN_2 | LEVEL | PERIODIC, 100, period=100)
    board.clock.advance(250)
    assert (board[STATUS], board.pin2.level, board.rises["pin2"]) == (4, True, [100])
    assert board.clock.next_deadline == NEVER
    board[STATUS] = 3
    assert board.pin2.level
    board[STATUS] = 4
    assert (board[STATUS], board.pin2.level) == (0, False)
    board.clock.advance(100)
    assert board.rises["pin2"] == [100, 300]


def test_a_disabled_level_timer_shows_its_status_and_interrupts_when_enabled(board: Board) -> None:
    board.start(2, PIN_2 | LEVEL, 100)
    board.clock.advance(150)
    assert board[STATUS] == 4
    assert not board.pin2.level
    board[timer(2)] = PIN_2 | LEVEL | ENABLE
    assert board.pin2.level
    board[CONFIGURATION] = 0
    assert not board.pin2.level
    board[CONFIGURATION] = RUN
    assert board.pin2.level


def test_without_legacy_replacement_the_old_timers_pass_through(board: Board) -> None:
    board.hpet.pit.set(True)
    board.hpet.rtc.set(True)
    assert board.irq0.level
    assert board.irq8.level
    board.hpet.pit.set(False)
    assert not board.irq0.level


def test_with_legacy_replacement_timers_0_and_1_take_their_places(board: Board) -> None:
    board.hpet.pit.set(True)
    board[CONFIGURATION] = LEGACY
    assert not board.irq0.level
    board.start(0, ENABLE | PERIODIC, 1000, period=1000)
    board.start(1, ENABLE | LEVEL, 1500)
    board.start(2, ENABLE | PIN_2, 1700)
    board.hpet.pit.pulse()
    board.hpet.rtc.pulse()
    board.clock.advance(2500)
    assert board.rises == {"irq0": [0, 1000, 2000], "irq8": [1500], "pin2": [1700]}
    board[CONFIGURATION] = 0
    assert (board.irq0.level, board.irq8.level) == (True, True), "the 8254 and the clock chip hold theirs high"


def test_writing_what_is_there_already_keeps_an_edge_that_waits(board: Board) -> None:
    board[CONFIGURATION] = LEGACY
    board.start(0, ENABLE | PERIODIC, 1000, period=1000)
    board.clock.advance(1000)
    board[CONFIGURATION] = LEGACY | RUN
    board[timer(0)] = ENABLE | PERIODIC
    assert board.irq0.level, "the 8259A would withdraw the request of a line that falls"
