"""The local APIC's registers and what they make of interrupts."""

from __future__ import annotations

import pytest

from hillemu.emu.clock import NEVER, Clock
from hillemu.emu.devices.apic_message import EXTINT, FIXED, INIT, LOWEST_PRIORITY, NMI, SMI
from hillemu.emu.devices.lapic import Lapic
from hillemu.emu.wires import Line

ID, VERSION, TPR, APR, PPR, EOI, RRD, LDR = 0x20, 0x30, 0x80, 0x90, 0xA0, 0xB0, 0xC0, 0xD0
DFR, SVR, ISR, TMR, IRR, ESR, ICR, ICR_HIGH = 0xE0, 0xF0, 0x100, 0x180, 0x200, 0x280, 0x300, 0x310
LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR = range(0x320, 0x380, 0x10)
INITIAL, CURRENT, DIVIDE = 0x380, 0x390, 0x3E0
MASKED, PERIODIC, LEVEL, REMOTE_IRR = 1 << 16, 1 << 17, 1 << 15, 1 << 14
PIC_VECTOR = 8


class Board:
    """An enabled local APIC in virtual wire mode and what it did."""

    def __init__(self) -> None:
        self.clock = Clock(1_000_000_000)
        self.intr = Line()
        self.did: list[str] = []
        self.ended: list[int] = []
        self.bases: list[int | None] = []
        self.said: list[str] = []
        self.lapic = Lapic(
            clock=self.clock,
            intr=self.intr,
            pic_acknowledge=self._acknowledge,
            nmi=lambda: self.did.append("NMI"),
            init=lambda: self.did.append("INIT"),
            on_eoi=self.ended.append,
            on_base=self.bases.append,
            report=self.said.append,
        )
        self.lapic.set_up_virtual_wire()

    def _acknowledge(self) -> int:
        self.lapic.lint0.set(False)
        return PIC_VECTOR

    def __getitem__(self, offset: int) -> int:
        return self.lapic.read(offset, 4)

    def __setitem__(self, offset: int, value: int) -> None:
        self.lapic.write(offset, 4, value)

    def send(self, vector: int, *, mode: int = FIXED, level: bool = False, to: int = 0, logical: bool = False) -> bool:
        return self.lapic.accept(vector, mode, level, to, logical)

    def vectors(self, base: int) -> set[int]:
        return {32 * n + bit for n in range(8) for bit in range(32) if self[base + 16 * n] >> bit & 1}


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
