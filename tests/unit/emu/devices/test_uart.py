"""The 16550A against its data sheet."""

from __future__ import annotations

import pytest
from uart_bench import Bench

from hillemu.emu.devices.uart import IER, IIR_FCR, LCR, LSR, MCR, MSR, RBR_THR, SCR


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.full_speed()
    return bench


CHARACTER = 160


def test_master_reset_leaves_the_registers_of_the_data_sheet() -> None:
    # Table "UART Reset Configuration".
    bench = Bench()
    assert [bench[register] for register in (IER, IIR_FCR, LCR, MCR, LSR)] == [0x00, 0x01, 0x00, 0x00, 0x60]
    assert bench[MSR] & 0x0F == 0
    assert not bench.irq.level


def test_registers_keep_only_the_bits_that_exist(bench: Bench) -> None:
    for register, bits in ((IER, 0x0F), (LCR, 0xFF), (MCR, 0x1F), (SCR, 0xFF)):
        bench[register] = 0xFF
        assert bench[register] == bits, register
        bench[register] = 0


def test_dlab_shows_the_divisor_in_the_first_two_registers(bench: Bench) -> None:
    bench[IER] = 0x05
    bench[LCR] = 0x80
    bench[0], bench[1] = 0x34, 0x12
    assert (bench[0], bench[1]) == (0x34, 0x12)
    bench[LCR] = 0x03
    assert bench[IER] == 0x05
    assert bench.sent == []


def test_a_byte_is_sent_at_once_and_the_transmitter_is_always_empty(bench: Bench) -> None:
    for byte in b"hello":
        assert bench[LSR] & 0x60 == 0x60
        bench[RBR_THR] = byte
    assert bytes(bench.sent) == b"hello"


def test_line_and_modem_status_cannot_be_written(bench: Bench) -> None:
    bench[LSR], bench[MSR] = 0xFF, 0xFF
    assert (bench[LSR], bench[MSR]) == (0x60, 0xB0)


def test_a_16550a_is_recognised_by_its_fifo_bits(bench: Bench) -> None:
    bench[IIR_FCR] = 0xE7
    assert bench[IIR_FCR] == 0xC1
    bench[IIR_FCR] = 0x00
    assert bench[IIR_FCR] == 0x01


# -- receiving --------------------------------------------------------------------------------------------------


def test_received_bytes_take_the_time_that_the_divisor_sets(bench: Bench) -> None:
    bench.uart.receive(b"x")
    bench.clock.advance(CHARACTER - 1)
    assert bench[LSR] & 1 == 0
    bench.clock.advance(1)
    assert bench[LSR] & 1 == 1
    assert bench[RBR_THR] == ord("x")
    assert bench[LSR] & 1 == 0


def test_parity_and_a_second_stop_bit_lengthen_a_character(bench: Bench) -> None:
    bench[LCR] = 0x1F
    bench.uart.receive(b"x")
    bench.clock.advance(12 * 16 - 1)
    assert bench[LSR] & 1 == 0
    bench.clock.advance(1)
    assert bench[LSR] & 1 == 1


@pytest.mark.parametrize("fifo_control", [0x00, 0x01, 0xC1])
def test_the_hosts_input_waits_for_room_and_is_never_lost(bench: Bench, fifo_control: int) -> None:
    bench[IIR_FCR] = fifo_control
    text = bytes(range(200))
    bench.uart.receive(text)
    got = bytearray()
    for _ in range(40):
        bench.clock.advance(CHARACTER * 50)
        status = bench[LSR]
        assert status & 0x1E == 0
        while bench[LSR] & 1:
            got.append(bench[RBR_THR])
    for _ in range(200):
        bench.clock.advance(CHARACTER)
        if bench[LSR] & 1:
            got.append(bench[RBR_THR])
    assert got == text
    assert bench.uart.waiting_count == 0


@pytest.mark.parametrize(("code", "trigger"), [(0x00, 1), (0x40, 4), (0x80, 8), (0xC0, 14)])
def test_the_received_data_interrupt_comes_at_the_trigger_level(bench: Bench, code: int, trigger: int) -> None:
    bench[IIR_FCR] = 0x01 | code
    bench[IER], bench[MCR] = 0x01, 0x08
    bench.uart.receive(bytes(trigger))
    bench.clock.advance(CHARACTER * (trigger - 1))
    assert not bench.irq.level
    bench.clock.advance(CHARACTER)
    assert bench.irq.level
    assert bench[IIR_FCR] == 0xC4
    bench[RBR_THR]
    assert not bench.irq.level, "the FIFO dropped below its trigger level"


def test_what_stays_in_the_fifo_times_out_after_four_characters(bench: Bench) -> None:
    bench[IIR_FCR] = 0xC1
    bench[IER], bench[MCR] = 0x01, 0x08
    bench.uart.receive(b"ab")
    bench.clock.advance(CHARACTER * 6 - 1)
    assert not bench.irq.level
    bench.clock.advance(1)
    assert bench.irq.level
    assert bench[IIR_FCR] == 0xCC
    assert bench[RBR_THR] == ord("a")
    assert not bench.irq.level, "reading the FIFO clears the timeout"
    bench.clock.advance(CHARACTER * 4)
    assert bench[IIR_FCR] == 0xCC, "and starts it again"
    bench[RBR_THR]
    bench.clock.advance(CHARACTER * 100)
    assert not bench.irq.level


def test_a_new_character_restarts_the_timeout(bench: Bench) -> None:
    bench[IIR_FCR] = 0xC1
    bench[IER], bench[MCR] = 0x01, 0x08
    for _ in range(3):
        bench.uart.receive(b"x")
        bench.clock.advance(CHARACTER * 3)
        assert not bench.irq.level
    bench.clock.advance(CHARACTER * 2)
    assert bench.irq.level


def test_an_unread_byte_is_overrun_without_fifos(bench: Bench) -> None:
    bench[MCR] = 0x10
    bench[RBR_THR] = 0x11
    bench[RBR_THR] = 0x22
    assert bench[LSR] == 0x63
    assert bench[LSR] == 0x61, "reading LSR clears OE"
    assert bench[RBR_THR] == 0x22, "the new character destroyed the old one"


def test_a_full_fifo_keeps_its_bytes_and_loses_the_new_one(bench: Bench) -> None:
    bench[IIR_FCR] = 0x01
    bench[MCR] = 0x10
    for byte in range(17):
        bench[RBR_THR] = byte
    assert bench[LSR] == 0x63
    assert [bench[RBR_THR] for _ in range(16)] == list(range(16))
    assert bench[LSR] == 0x60


@pytest.mark.parametrize(("fifo_control", "again"), [(0x00, 0x42), (0x01, 0x00)])
def test_an_empty_receiver_shows_its_holding_register_or_an_empty_fifo(
    bench: Bench, fifo_control: int, again: int
) -> None:
    bench[IIR_FCR] = fifo_control
    bench[MCR] = 0x10
    bench[RBR_THR] = 0x42
    assert [bench[RBR_THR], bench[RBR_THR]] == [0x42, again]


def test_clearing_the_receive_fifo_empties_it(bench: Bench) -> None:
    bench[IIR_FCR] = 0x01
    bench.uart.receive(b"abc")
    bench.clock.advance(CHARACTER * 3)
    bench[IIR_FCR] = 0x03
    assert bench[LSR] == 0x60
    bench[MCR] = 0x10
    bench[RBR_THR] = 9
    bench[IIR_FCR] = 0x05
    assert bench[RBR_THR] == 9, "clearing the transmit FIFO leaves received bytes alone"


def test_clear_bits_count_only_together_with_the_enable_bit(bench: Bench) -> None:
    bench.uart.receive(b"a")
    bench.clock.advance(CHARACTER)
    bench[IIR_FCR] = 0x02
    assert bench[LSR] & 1


def test_switching_the_fifos_clears_them(bench: Bench) -> None:
    bench.uart.receive(b"a")
    bench.clock.advance(CHARACTER)
    bench[IIR_FCR] = 0x01
    assert bench[LSR] & 1 == 0


def test_a_break_is_announced_when_it_reaches_the_top_of_the_fifo(bench: Bench) -> None:
    bench[IIR_FCR] = 0x01
    bench[IER], bench[MCR] = 0x04, 0x08
    bench.uart.receive(b"a")
    bench.uart.receive_break()
    bench.uart.receive(b"b")
    bench.clock.advance(CHARACTER * 3)
    assert bench[LSR] == 0xE1, "an error somewhere in the FIFO, but not at its top"
    assert not bench.irq.level
    assert bench[RBR_THR] == ord("a")
    assert bench.irq.level
    assert bench[IIR_FCR] == 0xC6
    assert bench[LSR] == 0xF1
    assert not bench.irq.level
    assert bench[LSR] == 0x61
    assert [bench[RBR_THR], bench[RBR_THR]] == [0, ord("b")]


def test_a_break_without_fifos_sets_bi_but_not_bit_7(bench: Bench) -> None:
    bench.uart.receive_break()
    bench.clock.advance(CHARACTER)
    assert bench[LSR] == 0x71
    assert bench[LSR] == 0x61


# -- interrupts -------------------------------------------------------------------------------------------------


def test_enabling_the_thre_interrupt_raises_it_and_reading_iir_clears_it(bench: Bench) -> None:
    bench[MCR] = 0x08
    bench[IER] = 0x02
    assert bench.irq.level
    assert bench[IIR_FCR] == 0x02
    assert not bench.irq.level
    assert bench[IIR_FCR] == 0x01
    bench[IER] = 0x02
    assert not bench.irq.level, "it was enabled all along"


def test_each_byte_sent_gives_a_new_edge_of_the_thre_interrupt(bench: Bench) -> None:
    bench[MCR] = 0x08
    bench[IER] = 0x02
    bench.edges.clear()
    bench[RBR_THR] = 0x41
    bench[RBR_THR] = 0x42
    assert bench.edges == [False, True, False, True]
    assert bytes(bench.sent) == b"AB"


def test_reading_iir_for_another_source_leaves_the_thre_interrupt_pending(bench: Bench) -> None:
    bench[MCR] = 0x08
    bench[IER] = 0x03
    bench.uart.receive(b"x")
    bench.clock.advance(CHARACTER)
    assert bench[IIR_FCR] == 0x04
    bench[RBR_THR]
    assert bench[IIR_FCR] == 0x02


def test_sources_are_reported_by_priority(bench: Bench) -> None:
    bench[IER] = 0x0F
    bench[MCR] = 0x10  # loop: the modem lines change
    bench[RBR_THR] = 1
    bench[RBR_THR] = 2  # overrun
    order = []
    for clear in (LSR, RBR_THR, IIR_FCR, MSR):
        order.append(bench.uart.peek(IIR_FCR, 1))
        bench[clear]
    assert order == [0x06, 0x04, 0x02, 0x00]
    assert bench[IIR_FCR] == 0x01


def test_an_interrupt_comes_through_without_out2_and_is_reported(bench: Bench) -> None:
    bench[MCR], bench[IER] = 0x08, 0x03
    assert bench.irq.level
    assert not bench.reports
    bench[MCR] = 0x00
    assert bench.irq.level
    assert "OUT2" in bench.reports[0]


def test_a_driver_that_tries_out_the_chip_without_out2_is_not_reported(bench: Bench) -> None:
    bench[MCR], bench[IER] = 0x00, 0x02
    assert bench.irq.level
    assert not bench.reports


def test_peeking_changes_nothing(bench: Bench) -> None:
    bench[IIR_FCR] = 0x01
    bench[MCR], bench[IER] = 0x18, 0x0F
    for byte in range(20):
        bench[RBR_THR] = byte
    first = [bench.uart.peek(register, 1) for register in range(8)]
    assert first == [bench.uart.peek(register, 1) for register in range(8)]
    assert first == [0, 0x0F, 0xC6, 0x03, 0x18, 0x63, 0x83, 0]
    assert bench.irq.level


# -- loop mode and modem lines ----------------------------------------------------------------------------------


def test_the_cable_asserts_cts_dsr_and_dcd(bench: Bench) -> None:
    assert bench[MSR] == 0xB0


@pytest.mark.parametrize(
    ("out", "into"), [(0x01, 0x20), (0x02, 0x10), (0x04, 0x40), (0x08, 0x80), (0x0A, 0x90), (0, 0)]
)
def test_loop_mode_wires_the_modem_outputs_to_the_inputs(bench: Bench, out: int, into: int) -> None:
    bench[MCR] = 0x10 | out
    assert bench[MSR] & 0xF0 == into


def test_loop_mode_sends_to_itself_only(bench: Bench) -> None:
    bench[MCR] = 0x10
    bench[RBR_THR] = 0xAE
    assert bench.sent == []
    assert bench[LSR] & 1
    assert bench[RBR_THR] == 0xAE
    bench.uart.receive(b"x")
    bench.clock.advance(CHARACTER * 10)
    assert bench[LSR] & 1 == 0, "the cable is disconnected"
    bench[MCR] = 0x00
    bench.clock.advance(CHARACTER)
    assert bench[RBR_THR] == ord("x")


def test_changes_of_modem_lines_are_remembered_until_msr_is_read(bench: Bench) -> None:
    bench[MCR] = 0x1B  # DTR, RTS, OUT2: what the cable said too
    assert bench[MSR] & 0x0F == 0
    bench[MCR] = 0x18
    assert bench[MSR] == 0x83
    assert bench[MSR] == 0x80


def test_only_the_trailing_edge_of_the_ring_indicator_counts(bench: Bench) -> None:
    bench[MCR] = 0x1F
    assert bench[MSR] & 0x04 == 0
    bench[MCR] = 0x1B
    assert bench[MSR] & 0x04 == 0x04


def test_a_modem_line_interrupts_if_enabled(bench: Bench) -> None:
    bench[MCR] = 0x1B
    bench[IER] = 0x08
    assert not bench.irq.level
    bench[MCR] = 0x1A
    assert bench.irq.level
    assert bench[IIR_FCR] == 0x00
    bench[MSR]
    assert not bench.irq.level


def test_reset_keeps_what_the_other_end_has_not_sent_yet(bench: Bench) -> None:
    bench.uart.receive(b"ab")
    bench.clock.advance(CHARACTER)
    bench[IER], bench[MCR] = 0x01, 0x08
    assert bench.irq.level
    bench.uart.reset()
    assert not bench.irq.level
    assert bench[LSR] == 0x60
    bench.clock.advance(CHARACTER * 10)
    assert bench[RBR_THR] == ord("b")
