"""What a local APIC does of itself: IPIs, errors, odd accesses, its timer."""

from __future__ import annotations

import pytest
from lapic_board import (
    CURRENT,
    DIVIDE,
    EOI,
    ESR,
    ICR,
    ICR_HIGH,
    INITIAL,
    IRR,
    LDR,
    LVT_ERROR,
    LVT_TIMER,
    MASKED,
    PERIODIC,
    SVR,
    TMR,
    TPR,
    VERSION,
    Board,
)

from hillemu.emu.clock import NEVER


@pytest.fixture
def board() -> Board:
    return Board()


# IPIs.


@pytest.mark.parametrize(
    ("icr", "high", "vectors"),
    [
        (0x40041, 0, {0x41}),  # self
        (0x80041, 0, {0x41}),  # all
        (0xC0041, 0, set()),  # all but self
        (0x00041, 0, {0x41}),
        (0x00041, 1 << 24, set()),
        (0x00841, 1 << 24, {0x41}),  # logical
        (0x0C141, 0, {0x41}),  # lowest priority, level assert
    ],
)
def test_fixed_ipis(board: Board, icr: int, high: int, vectors: set[int]) -> None:
    board[LDR] = 1 << 24
    board[ICR_HIGH] = high
    board[ICR] = icr
    assert board.vectors(IRR) == vectors
    assert board.vectors(TMR) == set()
    assert board[ICR] == icr, "delivery status is idle again"


def test_other_ipis(board: Board) -> None:
    board[ICR] = 0x04400  # NMI
    board[ICR] = 0x0C500  # INIT
    assert board.did == ["NMI", "INIT"]
    board[ICR] = 0x88500  # INIT level de-assert to all, as MP boot code does
    board[ICR] = 0x00608  # SIPI
    assert board.did == ["NMI", "INIT"]
    assert board.said == []


@pytest.mark.parametrize("icr", [0x40400, 0x80500, 0x00300, 0x00700])
def test_what_the_manual_calls_invalid_is_reported_and_not_sent(board: Board, icr: int) -> None:
    board[ICR] = icr
    assert board.did == []
    assert len(board.said) == 1


# Errors.


def test_the_error_status_is_written_before_it_is_read(board: Board) -> None:
    board[ICR] = 0x40005
    assert board[ESR] == 0
    board[ESR] = 0xFFFFFFFF
    assert board[ESR] == 0x20
    board[ESR] = 0
    assert board[ESR] == 0


def test_a_received_illegal_vector_is_an_error(board: Board) -> None:
    assert not board.send(15)
    board[ESR] = 0
    assert board[ESR] == 0x40
    assert board.vectors(IRR) == set()


@pytest.mark.parametrize("offset", [0x000, 0x010, 0x040, 0x290, 0x2F0, 0x3A0, 0x3F0, 0xFF0])
def test_illegal_registers(board: Board, offset: int) -> None:
    assert board[offset] == 0
    board[ESR] = 0
    assert board[ESR] == 0x80
    board[offset] = 1
    board[ESR] = 0
    assert board[ESR] == 0x80


def test_the_first_error_since_the_last_write_interrupts(board: Board) -> None:
    board[LVT_ERROR] = 0xFE
    board[0x000] = 0
    assert board.lapic.acknowledge() == 0xFE
    board[0x000] = 0
    assert board.vectors(IRR) == set()
    board[ESR] = 0
    board[0x000] = 0
    assert board.vectors(IRR) == {0xFE}


def test_an_error_entry_with_an_illegal_vector_ends(board: Board) -> None:
    board[LVT_ERROR] = 0
    board[0x000] = 0
    board[ESR] = 0
    assert board[ESR] == 0xC0


# Accesses.


def test_only_aligned_words_can_be_written(board: Board) -> None:
    board.lapic.write(TPR, 1, 0x20)
    board.lapic.write(TPR + 4, 4, 0x20)
    assert board[TPR] == 0
    assert len(set(board.said)) == 1


def test_parts_can_be_read(board: Board) -> None:
    board[LDR] = 0x12000000
    assert [board.lapic.read(LDR + at, 1) for at in range(5)] == [0, 0, 0, 0x12, 0]
    assert board.lapic.read(VERSION, 2) == 0x0014


def test_peeking_has_no_side_effect(board: Board) -> None:
    assert board.lapic.peek(0x3A0, 4) == 0
    board[ESR] = 0
    assert board[ESR] == 0
    assert board.lapic.peek(VERSION, 4) == 0x50014


# The timer.


def test_the_timer_interrupts_with_its_vector(board: Board) -> None:
    board[DIVIDE] = 0xB
    board[LVT_TIMER] = 0x30
    board[INITIAL] = 1000
    board.clock.advance(400)
    assert (board[CURRENT], board[INITIAL]) == (600, 1000)
    board.clock.advance(599)
    assert not board.intr.level
    board.clock.advance(1)
    assert board.lapic.acknowledge() == 0x30
    board.clock.advance(5000)
    assert (board[CURRENT], board.intr.level) == (0, False)


def test_a_periodic_timer_waits_for_nobody_but_merges(board: Board) -> None:
    board[DIVIDE] = 0xB
    board[LVT_TIMER] = PERIODIC | 0x30
    board[INITIAL] = 100
    board.clock.advance(350)
    assert board.lapic.acknowledge() == 0x30
    board[EOI] = 0
    assert not board.intr.level
    board.clock.advance(49)
    assert not board.intr.level
    board.clock.advance(1)
    assert board.intr.level


def test_a_period_of_a_nanosecond_costs_no_events_while_its_interrupt_waits(board: Board) -> None:
    board[DIVIDE] = 0xB
    board[LVT_TIMER] = PERIODIC | 0x30
    board[INITIAL] = 1
    board.clock.advance(10)
    assert board.clock.next_deadline == NEVER
    assert board.lapic.acknowledge() == 0x30
    assert board.clock.next_deadline == board.clock.now + 1


def test_a_masked_timer_is_silent_and_costs_no_events(board: Board) -> None:
    board[LVT_TIMER] = PERIODIC | MASKED | 0x30
    board[INITIAL] = 10
    assert board.clock.next_deadline == NEVER
    board.clock.advance(1000)
    board[LVT_TIMER] = PERIODIC | 0x30
    assert not board.intr.level
    board.clock.advance(20)
    assert board.intr.level


def test_a_timer_with_an_illegal_vector_logs_an_error_and_does_not_hang(board: Board) -> None:
    board[DIVIDE] = 0xB
    board[LVT_TIMER] = PERIODIC | 5
    board[INITIAL] = 1
    board.clock.advance(3)
    assert board.clock.next_deadline == NEVER
    board[ESR] = 0
    assert board[ESR] == 0x40
    assert board.clock.next_deadline < NEVER


def test_another_interrupt_with_the_timers_vector_merges_with_it(board: Board) -> None:
    board[DIVIDE] = 0xB
    board[LVT_TIMER] = PERIODIC | 0x30
    board[INITIAL] = 10
    board.send(0x30)
    assert board.clock.next_deadline == NEVER
    board.lapic.acknowledge()
    assert board.clock.next_deadline == 10


def test_disabling_the_apic_stops_the_timers_interrupts_but_not_its_count(board: Board) -> None:
    board[DIVIDE] = 0xB
    board[LVT_TIMER] = 0x30
    board[INITIAL] = 100
    board[SVR] = 0xFF
    board.clock.advance(60)
    assert board[CURRENT] == 40
    board.clock.advance(60)
    assert board.vectors(IRR) == set()


def test_tsc_deadline_mode_is_reported(board: Board) -> None:
    board[LVT_TIMER] = 1 << 18 | 0x30
    assert len(board.said) == 1
    assert board[LVT_TIMER] == 0x30
