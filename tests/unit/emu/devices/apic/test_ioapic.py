"""The I/O APIC's registers and messages, alone and with a local APIC."""

from __future__ import annotations

import pytest

from hillemu.emu.clock import Clock
from hillemu.emu.devices.apic.apic_message import EXTINT, FIXED, LOWEST_PRIORITY, NMI
from hillemu.emu.devices.apic.ioapic import PIN_COUNT, IoApic
from hillemu.emu.devices.apic.irq_routing import isa_line
from hillemu.emu.devices.apic.lapic import Lapic
from hillemu.emu.devices.pic import PicPair
from hillemu.emu.errors import WiringError
from hillemu.emu.wires import Line

ID, VERSION, ARBITRATION, TABLE = 0, 1, 2, 0x10
MASKED, LEVEL, REMOTE_IRR, ACTIVE_LOW, PENDING = 1 << 16, 1 << 15, 1 << 14, 1 << 13, 1 << 12


class Board:
    """An I/O APIC whose messages are kept; `takes` is what the local APICs answer."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, int, bool, int, bool]] = []
        self.takes = True
        self.said: list[str] = []
        self.ioapic = IoApic(deliver=self._deliver, report=self.said.append)

    def _deliver(self, vector: int, mode: int, level: bool, destination: int, logical: bool) -> bool:
        self.sent.append((vector, mode, level, destination, logical))
        return self.takes

    def __getitem__(self, register: int) -> int:
        self.ioapic.write(0x00, 4, register)
        return self.ioapic.read(0x10, 4)

    def __setitem__(self, register: int, value: int) -> None:
        self.ioapic.write(0x00, 4, register)
        self.ioapic.write(0x10, 4, value)

    def program(self, pin: int, low: int, destination: int = 0) -> None:
        self[TABLE + 2 * pin + 1] = destination << 24
        self[TABLE + 2 * pin] = low

    def low(self, pin: int) -> int:
        return self[TABLE + 2 * pin]


@pytest.fixture
def board() -> Board:
    return Board()


# Registers: what QEMU 7.2's answer to the same accesses, and the data sheet.


def test_after_reset_every_pin_is_masked(board: Board) -> None:
    assert (board[ID], board[VERSION], board[ARBITRATION]) == (0, 0x00170020, 0)
    assert {board.low(pin) for pin in range(PIN_COUNT)} == {MASKED}
    assert {board[TABLE + 2 * pin + 1] for pin in range(PIN_COUNT)} == {0}
    assert board[3] == board[0x40] == board[0xFF] == 0


def test_the_writable_bits(board: Board) -> None:
    for register in (ID, VERSION, ARBITRATION, TABLE + 46, TABLE + 47, 0x40):
        board[register] = 0xFFFFFFFF
    assert (board[ID], board[VERSION], board[ARBITRATION]) == (0x0F000000, 0x00170020, 0x0F000000)
    assert (board[TABLE + 46], board[TABLE + 47]) == (0x0001AFFF, 0xFF000000)
    assert board.ioapic.read(0x00, 4) == TABLE + 47, "IOREGSEL reads back"
    board.ioapic.reset()
    assert (board[ID], board[TABLE + 46]) == (0, MASKED)


def test_parts_of_words_are_read_and_reported_but_not_written(board: Board) -> None:
    board[ID] = 0x05000000
    assert board.ioapic.read(0x13, 1) == 5
    board.ioapic.write(0x13, 1, 7)
    assert board[ID] == 0x05000000
    assert len(board.said) == 2
    board.ioapic.write(0x00, 1, VERSION)
    assert board.ioapic.peek(0x10, 4) == 0x00170020


# Edges.


def test_an_edge_sends_the_entrys_message_once(board: Board) -> None:
    board.program(4, 0x934, destination=0x12)
    line = board.ioapic.line(4)
    line.set(True)
    line.set(True)
    line.set(False)
    assert board.sent == [(0x34, LOWEST_PRIORITY, False, 0x12, True)]
    line.set(True)
    assert len(board.sent) == 2
    assert board.low(4) == 0x934


def test_an_edge_on_a_masked_pin_is_lost(board: Board) -> None:
    board.program(4, MASKED | 0x34)
    board.ioapic.line(4).set(True)
    board.program(4, 0x34)
    assert board.sent == []


@pytest.mark.parametrize("mode", [2, NMI, 5, EXTINT])
def test_other_modes_are_edges_even_if_programmed_as_levels(board: Board, mode: int) -> None:
    board.program(1, LEVEL | mode << 8)
    board.ioapic.line(1).set(True)
    assert board.sent == [(0, mode, False, 0, False)]
    board.ioapic.end_of_interrupt(0)
    assert len(board.sent) == 1


# Levels.


def test_a_level_is_sent_again_after_its_end_while_the_pin_asks(board: Board) -> None:
    board.program(10, LEVEL | 0x41)
    line = board.ioapic.line(10)
    line.set(True)
    assert board.sent == [(0x41, FIXED, True, 0, False)]
    assert board.low(10) == REMOTE_IRR | LEVEL | 0x41
    line.set(False)
    line.set(True)
    assert len(board.sent) == 1, "the first has had no EOI"
    board.ioapic.end_of_interrupt(0x40)
    assert len(board.sent) == 1
    board.ioapic.end_of_interrupt(0x41)
    assert len(board.sent) == 2
    line.set(False)
    board.ioapic.end_of_interrupt(0x41)
    assert len(board.sent) == 2
    assert board.low(10) == LEVEL | 0x41


def test_a_masked_level_is_sent_when_it_is_unmasked(board: Board) -> None:
    board.program(10, MASKED | LEVEL | 0x41)
    board.ioapic.line(10).set(True)
    assert board.sent == []
    board.program(10, LEVEL | 0x41)
    assert len(board.sent) == 1


def test_the_eoi_register_ends_a_vector_too(board: Board) -> None:
    board.program(10, LEVEL | 0x41)
    board.ioapic.line(10).set(True)
    board.ioapic.line(10).set(False)
    board.ioapic.write(0x40, 4, 0x41)
    assert not board.low(10) & REMOTE_IRR


def test_going_through_edge_mode_forgets_the_remote_irr(board: Board) -> None:
    board.program(10, LEVEL | 0x41)
    board.ioapic.line(10).set(True)
    board.program(10, MASKED | 0x41)
    board.program(10, MASKED | LEVEL | 0x41)
    assert not board.low(10) & REMOTE_IRR
    board.program(10, LEVEL | 0x41)
    assert len(board.sent) == 2


def test_a_level_that_nobody_takes_is_pending_and_offered_again(board: Board) -> None:
    board.takes = False
    board.program(10, LEVEL | 0x41)
    board.ioapic.line(10).set(True)
    assert board.low(10) == PENDING | LEVEL | 0x41
    board.takes = True
    board.ioapic.end_of_interrupt(0x99)
    assert board.low(10) == REMOTE_IRR | LEVEL | 0x41


def test_two_pins_may_share_a_vector(board: Board) -> None:
    for pin in (10, 11):
        board.program(pin, LEVEL | 0x41)
        board.ioapic.line(pin).set(True)
    board.ioapic.end_of_interrupt(0x41)
    assert len(board.sent) == 4


def test_active_low_is_kept_and_reported_and_means_nothing(board: Board) -> None:
    board.program(11, ACTIVE_LOW | LEVEL | 0x41)
    assert board.sent == []
    assert board.low(11) == ACTIVE_LOW | LEVEL | 0x41
    assert len(board.said) == 1
    board.ioapic.line(11).set(True)
    assert len(board.sent) == 1


# With a local APIC and the 8259A, as in a PC.


class Pc:
    """The interrupt controllers of a PC, wired."""

    def __init__(self) -> None:
        self.intr = Line()
        self.pics = PicPair(Line())
        self.lapic = Lapic(
            clock=Clock(),
            intr=self.intr,
            pic_acknowledge=self.pics.acknowledge,
            nmi=lambda: None,
            init=lambda: None,
        )
        self.pics.intr.on_change = self.lapic.lint0.set
        self.ioapic = IoApic(deliver=self.lapic.accept)
        self.lapic.on_eoi = self.ioapic.end_of_interrupt
        self.lapic.set_up_virtual_wire()

    def irq(self, number: int) -> Line:
        return isa_line(number, self.pics.line, self.ioapic.line)

    def program(self, pin: int, low: int) -> None:
        self.ioapic.write(0, 4, 0x10 + 2 * pin)
        self.ioapic.write(0x10, 4, low)

    def program_pics(self) -> None:
        for chip, base, cascade in ((self.pics.master, 0x20, 4), (self.pics.slave, 0x28, 2)):
            chip.write(0, 1, 0x11)
            for value in (base, cascade, 1):
                chip.write(1, 1, value)


def test_irq_0_reaches_pin_2_and_the_others_their_own() -> None:
    pc = Pc()
    for pin in range(PIN_COUNT):
        pc.program(pin, 0x40 + pin)
    pc.irq(0).pulse()
    assert pc.lapic.acknowledge() == 0x42
    for irq in (1, 3, 15):
        pc.lapic.write(0xB0, 4, 0)
        pc.irq(irq).pulse()
        assert pc.lapic.acknowledge() == 0x40 + irq
    with pytest.raises(WiringError):
        pc.irq(2)


def test_the_8259_comes_through_until_the_kernel_masks_it() -> None:
    pc = Pc()
    pc.program_pics()
    irq1 = pc.irq(1)
    irq1.set(True)
    assert pc.intr.level
    assert pc.lapic.acknowledge() == 0x21
    pc.pics.master.write(0, 1, 0x20)
    irq1.set(False)
    pc.pics.master.write(1, 1, 0xFF)
    pc.program(1, 0x51)
    irq1.set(True)
    assert pc.lapic.acknowledge() == 0x51
    assert not pc.intr.level


def test_an_edge_that_falls_before_it_is_taken_stays_in_the_apic_and_leaves_the_8259() -> None:
    pc = Pc()
    pc.program_pics()
    irq4 = pc.irq(4)
    irq4.set(True)
    irq4.set(False)
    assert not pc.intr.level
    pc.program(4, 0x54)
    irq4.set(True)
    irq4.set(False)
    assert pc.intr.level
    assert pc.lapic.acknowledge() == 0x54


def test_a_level_comes_until_the_device_is_served() -> None:
    pc = Pc()
    pc.program(11, LEVEL | 0x61)
    irq11 = pc.irq(11)
    irq11.set(True)
    for _ in range(3):
        assert pc.lapic.acknowledge() == 0x61
        assert not pc.intr.level
        pc.lapic.write(0xB0, 4, 0)
        assert pc.intr.level
    assert pc.lapic.acknowledge() == 0x61
    irq11.set(False)
    pc.lapic.write(0xB0, 4, 0)
    assert not pc.intr.level


def test_an_extint_entry_fetches_the_vector_from_the_8259() -> None:
    pc = Pc()
    pc.program_pics()
    pc.lapic.write(0x350, 4, MASKED)
    pc.program(0, EXTINT << 8)
    pc.pics.line(3).set(True)
    assert not pc.intr.level
    pc.ioapic.line(0).set(True)
    assert pc.lapic.acknowledge() == 0x23
    assert not pc.intr.level


def test_what_came_while_the_local_apic_was_disabled_comes_after_the_next_end() -> None:
    pc = Pc()
    pc.lapic.write(0xF0, 4, 0xFF)
    pc.program(9, LEVEL | 0x59)
    pc.irq(9).set(True)
    assert not pc.intr.level
    pc.lapic.write(0xF0, 4, 0x1FF)
    pc.program(9, LEVEL | 0x59)
    assert pc.lapic.acknowledge() == 0x59
