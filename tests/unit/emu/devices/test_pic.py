"""The 8259A against its data sheet; tests/property/test_pic_resolver.py has the priority resolver."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hillemu.emu.bus import Bus
from hillemu.emu.devices.pic import CASCADE, Pic, PicPair
from hillemu.emu.errors import WiringError
from hillemu.emu.wires import Line

EOI, SPECIFIC_EOI, SET_PRIORITY = 0x20, 0x60, 0xC0
ROTATE_ON_EOI, ROTATE_ON_SPECIFIC_EOI, ROTATE_IN_AEOI, NO_ROTATE_IN_AEOI = 0xA0, 0xE0, 0x80, 0x00
READ_IRR, READ_ISR, POLL, SET_SMM, CLEAR_SMM = 0x0A, 0x0B, 0x0C, 0x68, 0x48
AEOI, SFNM, X86 = 0x02, 0x10, 0x01


def initialize(pic: Pic, *, base: int = 0x20, icw1: int = 0x11, icw3: int = 0x04, icw4: int = X86) -> None:
    pic.write(0, 1, icw1)
    pic.write(1, 1, base)
    if not icw1 & 0x02:
        pic.write(1, 1, icw3)
    if icw1 & 0x01:
        pic.write(1, 1, icw4)


def chip(**how: int) -> Pic:
    pic = Pic(Line())
    initialize(pic, **how)
    return pic


def pair(*, master_icw4: int = X86, report: Callable[[str], None] = print) -> PicPair:
    pics = PicPair(Line(), report=report)
    initialize(pics.master, base=0x20, icw3=0x04, icw4=master_icw4)
    initialize(pics.slave, base=0x28, icw3=0x02)
    return pics


def read_isr(pic: Pic) -> int:
    pic.write(0, 1, READ_ISR)
    return pic.read(0, 1)


def read_irr(pic: Pic) -> int:
    pic.write(0, 1, READ_IRR)
    return pic.read(0, 1)


# One chip.


def test_a_chip_that_was_never_initialized_asks_for_nothing() -> None:
    pic = Pic(Line())
    pic.line(0).set(True)
    assert not pic.output.level


@pytest.mark.parametrize("words", range(1, 4))
def test_nothing_is_asked_for_before_the_last_initialization_word(words: int) -> None:
    pic = Pic(Line())
    icws = [(0, 0x11), (1, 0x20), (1, 0x04), (1, 0x01)]
    for offset, value in icws[:words]:
        pic.write(offset, 1, value)
    pic.line(1).set(True)
    assert not pic.output.level
    for offset, value in icws[words:]:
        pic.write(offset, 1, value)
    assert pic.output.level


def test_a_single_chip_needs_no_icw3_and_icw1_can_omit_icw4() -> None:
    said: list[str] = []
    pic = Pic(Line(), report=said.append)
    pic.write(0, 1, 0x12)
    pic.write(1, 1, 0x47)
    assert "MCS-80" in said[0]
    pic.write(1, 1, 0xFE)
    assert pic.imr == 0xFE
    pic.line(0).set(True)
    assert pic.vector(pic.acknowledge()) == 0x40


def test_buffered_mode_is_reported() -> None:
    said: list[str] = []
    pic = Pic(Line(), report=said.append)
    initialize(pic, icw4=0x0D)
    assert len(said) == 1
    assert "buffered" in said[0]


def test_acknowledging_moves_a_request_into_service_and_names_its_vector() -> None:
    pic = chip(base=0x70)
    pic.line(5).set(True)
    assert (pic.output.level, read_irr(pic), read_isr(pic)) == (True, 0x20, 0)
    assert pic.vector(pic.acknowledge()) == 0x75
    assert (pic.output.level, read_irr(pic), read_isr(pic)) == (False, 0, 0x20)


def test_an_edge_triggered_input_asks_once_per_rising_edge() -> None:
    pic = chip()
    pic.line(3).set(True)
    pic.acknowledge()
    pic.write(0, 1, EOI)
    assert not pic.output.level
    pic.line(3).pulse()
    assert pic.output.level


def test_an_edge_request_that_vanishes_before_inta_is_the_spurious_level_7() -> None:
    pic = chip()
    pic.line(3).set(True)
    pic.line(3).set(False)
    assert not pic.output.level
    assert pic.acknowledge() == 7
    assert read_isr(pic) == 0


def test_a_level_triggered_input_asks_again_after_eoi_while_it_is_high() -> None:
    pic = chip(icw1=0x19)
    pic.line(3).set(True)
    pic.acknowledge()
    assert read_irr(pic) == 0x08
    pic.write(0, 1, EOI)
    assert pic.output.level
    pic.line(3).set(False)
    assert not pic.output.level


def test_elcr_makes_one_input_level_triggered_and_only_writable_bits_stick() -> None:
    pics = pair()
    ports = Bus("port", limit=0x10000)
    ports.attach(0x4D0, 1, pics.master.elcr, name="elcr 1")
    ports.attach(0x4D1, 1, pics.slave.elcr, name="elcr 2")
    ports.write(0x4D0, 2, 0xFFFF)
    assert ports.read(0x4D0, 2) == 0xDEF8
    ports.write(0x4D0, 1, 0x20)
    assert pics.master.elcr.peek(0, 1) == 0x20
    for irq in (4, 5):
        pics.line(irq).set(True)
        pics.acknowledge()
        pics.master.write(0, 1, EOI)
    assert pics.acknowledge() == 0x25


def test_a_line_that_is_high_asks_as_soon_as_elcr_makes_it_level_triggered() -> None:
    pic = chip()
    pic.line(4).set(True)
    pic.acknowledge()
    pic.write(0, 1, EOI)
    assert not pic.output.level
    pic.elcr.write(0, 1, 0x10)
    assert pic.output.level


def test_icw1_clears_mask_requests_and_service_but_a_high_level_input_still_asks() -> None:
    pic = chip()
    pic.line(1).set(True)
    pic.line(2).set(True)
    pic.acknowledge()
    pic.write(1, 1, 0xFF)
    initialize(pic)
    assert (pic.imr, pic.isr, pic.irr, pic.output.level) == (0, 0, 0, False)
    initialize(pic, icw1=0x19)
    assert (pic.irr, pic.output.level) == (0x06, True)


def test_the_mask_withholds_a_request_that_stays_latched() -> None:
    pic = chip()
    pic.write(1, 1, 0x10)
    pic.line(4).set(True)
    assert (pic.output.level, pic.irr) == (False, 0x10)
    assert pic.read(1, 1) == 0x10
    pic.write(1, 1, 0)
    assert pic.output.level


def test_in_fully_nested_mode_only_a_higher_priority_interrupts_a_service() -> None:
    pic = chip()
    pic.line(3).set(True)
    pic.acknowledge()
    pic.line(4).set(True)
    assert not pic.output.level
    pic.line(3).pulse()
    assert not pic.output.level
    pic.line(2).set(True)
    assert pic.acknowledge() == 2
    assert read_isr(pic) == 0x0C
    pic.write(0, 1, EOI)
    assert read_isr(pic) == 0x08
    pic.write(0, 1, SPECIFIC_EOI | 3)
    assert read_isr(pic) == 0
    assert pic.acknowledge() == 3
    pic.write(0, 1, EOI)
    assert pic.acknowledge() == 4


def test_automatic_eoi_leaves_nothing_in_service_and_can_rotate() -> None:
    pic = chip(icw4=X86 | AEOI)
    for level in (1, 2):
        pic.line(level).set(True)
    assert [pic.acknowledge(), pic.isr, pic.acknowledge(), pic.isr] == [1, 0, 2, 0]
    pic.write(0, 1, ROTATE_IN_AEOI)
    served = []
    for level in (1, 2):
        pic.line(level).pulse()
    served.append(pic.acknowledge())
    pic.line(1).pulse()
    served += [pic.acknowledge(), pic.acknowledge()]
    assert served == [1, 2, 1]
    pic.write(0, 1, NO_ROTATE_IN_AEOI)
    for level in (0, 1):
        pic.line(level).pulse()
    # The rotation has left level 1 the lowest, and stays so: level 2 is the highest.
    pic.line(2).pulse()
    assert [pic.acknowledge() for _ in range(3)] == [2, 0, 1]


def test_rotation_on_eoi_is_the_data_sheets_example() -> None:
    """IR4 and IR6 in service; after "rotate on non-specific EOI" IR4 is the lowest and IR5 the highest."""
    pic = chip()
    pic.line(6).set(True)
    pic.acknowledge()
    pic.line(4).set(True)
    pic.acknowledge()
    pic.write(0, 1, ROTATE_ON_EOI)
    assert read_isr(pic) == 0x40
    pic.line(4).pulse()
    assert not pic.output.level
    pic.line(5).set(True)
    assert pic.acknowledge() == 5


def test_set_priority_names_the_lowest_level() -> None:
    pic = chip()
    pic.write(0, 1, SET_PRIORITY | 5)
    for level in range(8):
        pic.line(level).set(True)
    order = []
    for _ in range(8):
        order.append(pic.acknowledge())
        pic.write(0, 1, SPECIFIC_EOI | order[-1])
    assert order == [6, 7, 0, 1, 2, 3, 4, 5]


def test_special_mask_mode_lets_lower_levels_through_a_masked_service() -> None:
    pic = chip()
    pic.line(1).set(True)
    pic.acknowledge()
    pic.write(1, 1, 0x02)
    pic.line(6).set(True)
    assert not pic.output.level
    pic.write(0, 1, SET_SMM)
    assert pic.acknowledge() == 6
    pic.write(0, 1, EOI)
    pic.write(0, 1, EOI)
    assert read_isr(pic) == 0x02, "a non-specific EOI does not end a masked service"
    pic.write(0, 1, CLEAR_SMM)
    pic.write(0, 1, EOI)
    assert read_isr(pic) == 0


def test_ocw3_without_esmm_leaves_the_special_mask_mode_alone() -> None:
    pic = chip()
    pic.line(1).set(True)
    pic.acknowledge()
    pic.write(1, 1, 0x02)
    pic.write(0, 1, SET_SMM)
    pic.write(0, 1, READ_IRR)
    pic.line(6).set(True)
    assert pic.output.level


def test_a_poll_acknowledges_and_names_the_level() -> None:
    pic = chip()
    pic.line(6).set(True)
    pic.write(0, 1, POLL)
    assert pic.peek(0, 1) == 0x86
    assert pic.isr == 0, "peeking acknowledges nothing"
    assert pic.read(0, 1) == 0x86
    assert (pic.isr, pic.output.level) == (0x40, False)
    assert pic.read(0, 1) == 0, "the next read is of the IRR again"
    pic.write(0, 1, POLL)
    assert pic.read(0, 1) & 0x80 == 0


def test_reset_forgets_the_programming_and_keeps_the_inputs() -> None:
    pic = chip(icw1=0x19)
    pic.line(2).set(True)
    levels = [pic.output.level]
    for change in (pic.reset, lambda: initialize(pic, icw1=0x19)):
        change()
        levels.append(pic.output.level)
    assert levels == [True, False, True]


# The pair.


def test_every_irq_has_its_vector() -> None:
    pics = pair()
    vectors = {}
    for irq in (*range(2), *range(3, 16)):
        pics.line(irq).set(True)
        before, vectors[irq], after = pics.intr.level, pics.acknowledge(), pics.intr.level
        assert (before, after) == (True, False)
        pics.slave.write(0, 1, EOI)
        pics.master.write(0, 1, EOI)
    assert vectors == {irq: 0x20 + irq for irq in vectors}


def test_a_slaves_interrupt_is_in_service_in_both_chips() -> None:
    pics = pair()
    pics.line(12).set(True)
    assert pics.acknowledge() == 0x2C
    assert (pics.master.isr, pics.slave.isr) == (0x04, 0x10)


def test_spurious_irq_7_leaves_no_service() -> None:
    pics = pair()
    pics.line(6).pulse()
    pics.line(6).set(False)
    assert pics.acknowledge() == 0x27
    assert (pics.master.isr, pics.slave.isr) == (0, 0)


def test_spurious_irq_15_leaves_irq_2_in_service_in_the_master() -> None:
    pics = pair()
    # The master's INTA of IRQ 2 comes first; the slave finds its request gone.  Hold IRQ 2 up as the race would.
    pics.line(10).set(True)
    pics.slave.output.on_change = lambda level: None
    pics.line(10).set(False)
    assert pics.acknowledge() == 0x2F
    assert (pics.master.isr, pics.slave.isr) == (0x04, 0)


def test_special_fully_nested_mode_lets_the_same_slave_interrupt_itself() -> None:
    for icw4, nests in (X86, False), (X86 | SFNM, True):
        pics = pair(master_icw4=icw4)
        pics.line(12).set(True)
        pics.acknowledge()
        pics.line(8).set(True)
        assert pics.intr.level is nests
        pics.line(3).set(True)
        assert pics.intr.level is nests, "an input below the slave still waits"


def test_irq_2_cannot_be_wired() -> None:
    for irq in (CASCADE, -1, 16):
        with pytest.raises(WiringError, match=f"IRQ {irq} "):
            pair().line(irq)


def test_a_wrong_icw3_is_reported_and_has_the_data_sheets_effect() -> None:
    said: list[str] = []
    pics = pair(report=said.append)
    initialize(pics.slave, base=0x28, icw3=0x05)
    pics.line(9).set(True)
    assert pics.acknowledge() == 0xFF
    pics = pair(report=said.append)
    initialize(pics.master, base=0x20, icw3=0)
    pics.line(9).set(True)
    assert pics.acknowledge() == 0x22
    assert pics.slave.isr == 0
    assert ["no slave has the number 2" in said[0], "names no slave" in said[1]] == [True, True]


def test_resetting_the_pair_lowers_intr() -> None:
    pics = pair()
    pics.line(9).set(True)
    pics.reset()
    assert not pics.intr.level
