"""The local APIC's registers, messages, priorities and pins."""

from __future__ import annotations

import pytest
from lapic_board import (
    APR,
    CURRENT,
    DFR,
    DIVIDE,
    EOI,
    ESR,
    ICR,
    ICR_HIGH,
    ID,
    INITIAL,
    IRR,
    ISR,
    LDR,
    LEVEL,
    LVT_ERROR,
    LVT_LINT0,
    LVT_LINT1,
    LVT_PERF,
    LVT_THERMAL,
    LVT_TIMER,
    MASKED,
    PIC_VECTOR,
    PPR,
    REMOTE_IRR,
    RRD,
    SVR,
    TMR,
    TPR,
    VERSION,
    Board,
)

from hillemu.emu.devices.apic.apic_message import EXTINT, INIT, LOWEST_PRIORITY, NMI, SMI


@pytest.fixture
def board() -> Board:
    return Board()


# After reset.


def test_after_reset_it_is_as_the_manual_says(board: Board) -> None:
    board.lapic.reset()
    expected = {ID: 0, VERSION: 0x50014, TPR: 0, APR: 0, PPR: 0, EOI: 0, RRD: 0, LDR: 0, DFR: 0xFFFFFFFF, SVR: 0xFF}
    expected |= {ESR: 0, ICR: 0, ICR_HIGH: 0, INITIAL: 0, CURRENT: 0, DIVIDE: 0}
    expected |= dict.fromkeys(range(LVT_TIMER, LVT_ERROR + 1, 0x10), MASKED)
    expected |= dict.fromkeys(range(ISR, ESR, 0x10), 0)
    assert {offset: board[offset] for offset in expected} == expected
    assert board.lapic.base_msr() == 0xFEE00900
    board[ESR] = 0
    assert board[ESR] == 0, "none of these is an illegal register"


def test_an_init_is_a_reset_that_keeps_the_id_and_the_base(board: Board) -> None:
    board[ID] = 5 << 24
    board[TPR] = 0x40
    assert board.lapic.set_base_msr(0xFED40900)
    board.send(0x30, to=5)
    board.send(0, mode=INIT, to=5)
    assert (board[ID], board[TPR], board[SVR], board[LVT_LINT0]) == (5 << 24, 0, 0xFF, MASKED)
    assert board.vectors(IRR) == set()
    assert board.lapic.base == 0xFED40000
    assert board.did == ["INIT"]


@pytest.mark.parametrize(
    ("offset", "kept"),
    [
        (ID, 0xFF000000),
        (TPR, 0xFF),
        (LDR, 0xFF000000),
        (SVR, 0x1FF),
        (ICR_HIGH, 0xFF000000),
        (LVT_TIMER, 0x300FF),
        (LVT_THERMAL, 0x107FF),
        (LVT_PERF, 0x107FF),
        (LVT_LINT0, 0x1A7FF),
        (LVT_LINT1, 0x1A7FF),
        (LVT_ERROR, 0x100FF),
        (INITIAL, 0xFFFFFFFF),
        (DIVIDE, 0xB),
    ],
)
def test_the_writable_bits_of_each_register(board: Board, offset: int, kept: int) -> None:
    board[offset] = 0xFFFFFFFF
    assert board[offset] == kept
    board[offset] = 0
    assert board[offset] == 0


def test_the_destination_format_reads_ones_below_its_model(board: Board) -> None:
    board[DFR] = 0
    assert board[DFR] == 0x0FFFFFFF


def test_read_only_registers_stay(board: Board) -> None:
    for offset in (VERSION, APR, PPR, RRD, ISR, TMR + 0x10, IRR + 0x70, CURRENT):
        before = board[offset]
        board[offset] = 0xFFFFFFFF
        assert board[offset] == before
    board[ESR] = 0
    assert board[ESR] == 0


# Messages and priorities.


def test_a_fixed_interrupt_goes_from_irr_to_isr_to_its_end(board: Board) -> None:
    assert board.send(0x61)
    assert (board.vectors(IRR), board.vectors(ISR), board.intr.level) == ({0x61}, set(), True)
    assert board.lapic.acknowledge() == 0x61
    assert (board.vectors(IRR), board.vectors(ISR), board.intr.level) == (set(), {0x61}, False)
    assert board[PPR] == 0x60
    board[EOI] = 0
    assert (board.vectors(ISR), board[PPR], board.ended) == (set(), 0, [])


def test_a_level_triggered_one_is_told_to_the_io_apic_at_its_end(board: Board) -> None:
    board.send(0x61, level=True)
    assert board.vectors(TMR) == {0x61}
    board.lapic.acknowledge()
    board[EOI] = 0
    assert board.ended == [0x61]
    board.send(0x61)
    assert board.vectors(TMR) == set()


def test_the_task_priority_holds_back_its_class_and_lower_ones(board: Board) -> None:
    board[TPR] = 0x4F
    board.send(0x4F)
    assert not board.intr.level
    board.send(0x50)
    assert board.intr.level
    assert board.lapic.acknowledge() == 0x50
    board[EOI] = 0
    board[TPR] = 0x3F
    assert board.intr.level


def test_an_interrupt_that_tpr_took_back_is_spurious(board: Board) -> None:
    board[SVR] = 0x1EF
    board.send(0x40)
    board[TPR] = 0x40
    assert not board.intr.level
    assert board.lapic.acknowledge() == 0xEF
    assert board.vectors(ISR) == set()
    assert board.vectors(IRR) == {0x40}


def test_an_end_with_nothing_in_service_is_harmless(board: Board) -> None:
    board[EOI] = 0
    assert board.vectors(ISR) == set()
    assert board.ended == []


def test_messages_for_others_are_not_accepted(board: Board) -> None:
    board[LDR] = 0x02 << 24
    assert not board.send(0x40, to=1)
    assert not board.send(0x40, to=0x05, logical=True)
    assert board.send(0x41, to=0x06, logical=True, mode=LOWEST_PRIORITY)
    assert board.send(0x42, to=0xFF)
    assert board.vectors(IRR) == {0x41, 0x42}


def test_nmi_has_no_vector_and_no_priority(board: Board) -> None:
    board[TPR] = 0xFF
    assert board.send(0, mode=NMI)
    assert board.did == ["NMI"]


def test_an_smi_is_reported(board: Board) -> None:
    board.send(0, mode=SMI)
    assert board.said == ["local APIC: an SMI is asked for: system management mode is not modelled"]


def test_an_extint_message_gets_its_vector_from_the_8259(board: Board) -> None:
    board[LVT_LINT0] = MASKED
    assert board.send(0x99, mode=EXTINT)
    assert board.intr.level
    assert board.lapic.acknowledge() == PIC_VECTOR
    assert not board.intr.level
    assert board.vectors(ISR) == set()


# Software and hardware disabling.


def test_software_disabled_it_masks_its_entries_and_takes_no_maskable_interrupts(board: Board) -> None:
    board.send(0x50)
    board[SVR] = 0xFF
    assert board[LVT_LINT0] & MASKED
    board[LVT_LINT0] = 0x700
    board[LVT_TIMER] = board[LVT_ERROR] = board[LVT_PERF] = 0x40
    assert board[LVT_LINT0] == MASKED | 0x700
    assert board[LVT_TIMER] == board[LVT_ERROR] == board[LVT_PERF] == MASKED | 0x40
    assert not board.send(0x60)
    assert not board.send(0x60, mode=EXTINT)
    assert board.send(0, mode=NMI)
    assert board.vectors(IRR) == {0x50}, "what is pending is held"
    assert board.lapic.acknowledge() == 0x50


def test_disabled_by_its_msr_it_is_only_wires(board: Board) -> None:
    assert board.lapic.set_base_msr(0xFEE00100)
    assert board.bases == [None]
    assert not board.send(0x50)
    board.lapic.lint0.set(True)
    assert board.intr.level
    assert board.lapic.acknowledge() == PIC_VECTOR
    board.lapic.lint1.set(True)
    assert board.did == ["NMI"]
    assert board.lapic.set_base_msr(0xFEE00900)
    assert board.bases == [None, 0xFEE00000]
    assert board[LVT_LINT0] == MASKED


@pytest.mark.parametrize("bit", [0, 7, 9, 10, 40, 63])
def test_the_base_register_refuses_reserved_bits_and_x2apic(board: Board, bit: int) -> None:
    assert not board.lapic.set_base_msr(0xFEE00900 | 1 << bit)
    assert board.lapic.base_msr() == 0xFEE00900
    assert board.bases == []


def test_a_reset_brings_the_window_back(board: Board) -> None:
    assert board.lapic.set_base_msr(0xFED00900)
    board.lapic.reset()
    assert board.bases == [0xFED00000, 0xFEE00000]


# Pins.


def test_in_virtual_wire_mode_the_8259_comes_through(board: Board) -> None:
    board.lapic.lint0.set(True)
    assert board.intr.level
    board[TPR] = 0xFF
    assert board.intr.level, "an ExtINT has no priority"
    board[TPR] = 0
    board.send(0x20)
    assert board.lapic.acknowledge() == 0x20
    assert board.lapic.acknowledge() == PIC_VECTOR
    board.lapic.lint0.set(True)
    board.lapic.lint0.set(False)
    assert not board.intr.level


def test_a_masked_lint0_keeps_the_8259_out_until_it_is_unmasked(board: Board) -> None:
    board[LVT_LINT0] = MASKED | 0x700
    board.lapic.lint0.set(True)
    assert not board.intr.level
    board[LVT_LINT0] = 0x700
    assert board.intr.level


def test_lint1_is_the_nmi_pin(board: Board) -> None:
    board.lapic.lint1.pulse()
    board.lapic.lint1.pulse()
    assert board.did == ["NMI", "NMI"]
    board[LVT_LINT1] = MASKED | 0x400
    board.lapic.lint1.pulse()
    assert board.did == ["NMI", "NMI"]


def test_a_fixed_edge_on_a_pin_counts_once_and_only_unmasked(board: Board) -> None:
    board[LVT_LINT0] = MASKED | 0x45
    board.lapic.lint0.set(True)
    board[LVT_LINT0] = 0x45
    assert board.vectors(IRR) == set()
    board.lapic.lint0.pulse()
    assert board.vectors(IRR) == {0x45}
    board.lapic.lint0.set(False)
    assert board.vectors(IRR) == {0x45}


def test_a_fixed_level_on_lint0_comes_again_after_its_end(board: Board) -> None:
    board[LVT_LINT0] = LEVEL | 0x45
    board.lapic.lint0.set(True)
    assert board[LVT_LINT0] == REMOTE_IRR | LEVEL | 0x45
    assert board.lapic.acknowledge() == 0x45
    assert not board.intr.level
    board[EOI] = 0
    assert board.lapic.acknowledge() == 0x45
    board.lapic.lint0.set(False)
    board[EOI] = 0
    assert board[LVT_LINT0] == LEVEL | 0x45
    assert not board.intr.level


def test_an_active_low_pin_is_reported(board: Board) -> None:
    board[LVT_LINT1] = 1 << 13 | 0x400
    assert len(board.said) == 1
