"""The 8042 with its keyboard and mouse, as a guest sees them."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hillemu.emu.bus import Bus
from hillemu.emu.clock import Clock
from hillemu.emu.devices.input.keyboard import Keyboard
from hillemu.emu.devices.input.keys import keys_from_text
from hillemu.emu.devices.input.mouse import Mouse
from hillemu.emu.devices.input.ps2 import BYTE_NS, Ps2
from hillemu.emu.devices.input.scancodes import break_code, make_code
from hillemu.emu.wires import Line


class Bench:
    """Controller, keyboard and mouse on a clock of one tick per nanosecond."""

    def __init__(self, *, with_mouse: bool = True) -> None:
        self.clock = Clock(frequency_hz=1_000_000_000)
        self.edges: list[bool] = []
        self.irq1, self.irq12 = Line(self.edges.append), Line()
        self.resets = 0
        self.gate: list[bool] = []
        self.reports: list[str] = []
        self.keyboard = Keyboard(clock=self.clock)
        self.mouse = Mouse()
        self.ps2 = Ps2(
            clock=self.clock,
            keyboard=self.keyboard,
            mouse=self.mouse if with_mouse else None,
            output=self.irq1,
            aux_output=self.irq12,
            reset=self.count_reset,
            a20=self.gate.append,
            report=self.reports.append,
        )
        self.ports = Bus("port", limit=0x10000)
        for base, count, device in self.ps2.windows():
            self.ports.attach(base, count, device, name="ps2")

    def count_reset(self) -> None:
        self.resets += 1

    def command(self, *values: int) -> None:
        """Write to the command port, then parameters to the data port."""
        self.ports.write(0x64, 1, values[0])
        for value in values[1:]:
            self.ports.write(0x60, 1, value)

    @property
    def status(self) -> int:
        return self.ports.read(0x64, 1)

    def drain(self) -> bytes:
        """Read what is there, without waiting."""
        got = bytearray()
        while self.status & 1:
            got.append(self.ports.read(0x60, 1))
        return bytes(got)

    def wait(self, bytes_count: int = 200) -> bytes:
        """Read all that comes in the time of `bytes_count` bytes."""
        got = bytearray()
        for _ in range(bytes_count):
            self.clock.advance(BYTE_NS)
            got += self.drain()
        return bytes(got)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_firmware_leaves_translation_and_the_keyboard_interrupt_on(bench: Bench) -> None:
    assert bench.status == 0x14
    bench.command(0x20)
    assert bench.drain() == b"\x65"


def test_who_reads_without_asking_sees_the_acknowledgement_of_firmwares_last_command(bench: Bench) -> None:
    # Kernels poll port 0x60 alone and take 0 for "no keyboard".  On QEMU 7.2 it reads FA when a kernel starts.
    assert bench.ports.read(0x60, 1) == 0xFA
    assert not bench.irq1.level


@pytest.mark.parametrize(
    ("command", "reply"), [(0xAA, 0x55), (0xAB, 0x00), (0xA9, 0x00), (0xA4, 0xF1), (0xC0, 0x80), (0xD0, 0xCF)]
)
def test_commands_that_ask_are_answered_at_once(bench: Bench, command: int, reply: int) -> None:
    bench.command(command)
    assert bench.status & 0x29 == 0x09
    assert bench.drain() == bytes([reply])
    assert bench.status & 0x01 == 0


def test_the_status_tells_a_command_from_data(bench: Bench) -> None:
    bench.command(0x60)
    assert bench.status & 0x08
    bench.ports.write(0x60, 1, 0x61)
    assert not bench.status & 0x08


def test_the_command_byte_and_the_ram_behind_it_can_be_written(bench: Bench) -> None:
    bench.command(0x60, 0x47)
    bench.command(0x7F, 0xA5)
    bench.command(0x20)
    bench.command(0x3F)
    assert bench.drain() == b"\x47\xa5"


def test_the_system_flag_of_the_command_byte_is_in_the_status(bench: Bench) -> None:
    bench.command(0x60, 0x00)
    assert not bench.status & 0x04
    bench.command(0xAA)
    assert bench.status & 0x04, "a passed self-test sets it"


@pytest.mark.parametrize(("off", "on", "bit"), [(0xAD, 0xAE, 0x10), (0xA7, 0xA8, 0x20)])
def test_both_interfaces_can_be_switched(bench: Bench, off: int, on: int, bit: int) -> None:
    for command, expected in ((off, bit), (on, 0)):
        bench.command(command)
        bench.command(0x20)
        assert bench.drain()[0] & bit == expected


def test_a_new_command_forgets_the_parameter_of_the_old_one(bench: Bench) -> None:
    bench.command(0xD1)
    bench.command(0x20)
    bench.drain()
    bench.ports.write(0x60, 1, 0xEE)
    assert bench.gate == []
    assert bench.drain() == b"\xee", "the byte went to the keyboard"


def test_unknown_commands_are_reported(bench: Bench) -> None:
    bench.command(0xAC)
    assert bench.drain() == b""
    assert bench.reports == ["8042: command 0xac is not modelled"]


# -- reset and A20 ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("command", "resets"), [(0xFE, 1), (0xF0, 1), (0xFF, 0), (0xFD, 0)])
def test_a_pulse_on_output_bit_0_resets_the_processor(bench: Bench, command: int, resets: int) -> None:
    bench.command(command)
    assert bench.resets == resets


def test_the_output_port_moves_the_a20_gate(bench: Bench) -> None:
    bench.command(0xD1, 0xDD)
    bench.command(0xD0)
    assert bench.drain()[0] & 0x02 == 0
    bench.command(0xD1, 0xDF)
    bench.command(0xD0)
    assert bench.drain()[0] & 0x02
    assert bench.gate == [False, True]
    assert bench.resets == 0


def test_dd_and_df_move_the_a20_gate_too(bench: Bench) -> None:
    bench.command(0xDD)
    bench.command(0xDF)
    assert bench.gate == [False, True]


def test_output_port_bit_0_low_resets(bench: Bench) -> None:
    bench.command(0xD1, 0x02)
    assert bench.resets == 1
    assert bench.gate == [True]


def test_the_output_port_shows_the_interrupts(bench: Bench) -> None:
    bench.command(0xD2, 0x11)
    bench.command(0xD0)
    assert bench.ports.read(0x60, 1) == 0x11
    bench.drain()
    bench.ports.write(0x60, 1, 0xEE)
    bench.command(0xD0)
    assert bench.drain() == b"\xee\xdf"


# -- interrupts and the output buffer ---------------------------------------------------------------------------


def test_each_byte_of_the_keyboard_gives_one_edge_of_irq_1(bench: Bench) -> None:
    bench.keyboard.press("a")
    bench.clock.advance(BYTE_NS)
    assert bench.edges == [True]
    assert bench.ports.read(0x60, 1) == 0x1E
    assert bench.edges == [True, False]
    bench.keyboard.release("a")
    bench.clock.advance(2 * BYTE_NS)
    assert bench.edges == [True, False, True]


def test_the_interrupt_can_be_switched_off_and_on_over_a_full_buffer(bench: Bench) -> None:
    bench.command(0x60, 0x64)
    bench.ports.write(0x60, 1, 0xEE)
    assert bench.status & 1
    assert not bench.irq1.level
    bench.command(0x60, 0x65)
    assert bench.irq1.level


def test_d2_and_d3_pretend_that_a_device_sent_a_byte(bench: Bench) -> None:
    bench.command(0x60, 0x67)
    bench.command(0xD2, 0x99)
    assert (bench.irq1.level, bench.irq12.level, bench.status & 0x21) == (True, False, 0x01)
    assert bench.drain() == b"\x99"
    bench.command(0xD3, 0x77)
    assert (bench.irq1.level, bench.irq12.level, bench.status & 0x21) == (False, True, 0x21)
    assert bench.drain() == b"\x77"
    assert bench.status & 0x21 == 0


def test_reading_twice_gives_the_same_byte(bench: Bench) -> None:
    bench.keyboard.press("a")
    bench.keyboard.press("b")
    bench.clock.advance(BYTE_NS)
    assert bench.ports.read(0x60, 1) == bench.ports.read(0x60, 1) == 0x1E
    assert not bench.status & 1
    bench.clock.advance(BYTE_NS - 1)
    assert not bench.status & 1, "the next byte needs its time on the cable"
    bench.clock.advance(1)
    assert bench.ports.read(0x60, 1) == 0x30


def test_peeking_changes_nothing(bench: Bench) -> None:
    bench.command(0xAA)
    assert bench.ports.peek(0x60, 1) == 0x55
    assert bench.ports.peek(0x64, 1) == bench.status
    assert bench.drain() == b"\x55"


# -- the keyboard through the controller ------------------------------------------------------------------------


def test_translation_makes_set_1(bench: Bench) -> None:
    bench.keyboard.press("up")
    bench.keyboard.release("up")
    assert bench.wait(10) == b"\xe0\x48\xe0\xc8"


def test_without_translation_set_2_comes_through(bench: Bench) -> None:
    bench.command(0x60, 0x05)
    bench.keyboard.press("up")
    bench.keyboard.release("up")
    assert bench.wait(10) == b"\xe0\x75\xe0\xf0\x75"


def test_the_identity_is_translated_too(bench: Bench) -> None:
    bench.ports.write(0x60, 1, 0xF2)
    assert bench.drain() == b"\xfa\xab\x41"
    bench.command(0x60, 0x05)
    bench.ports.write(0x60, 1, 0xF2)
    assert bench.drain() == b"\xfa\xab\x83"


@pytest.mark.parametrize(("number", "translated"), [(1, 0x43), (2, 0x41)])
def test_the_scan_code_set_reads_translated(bench: Bench, number: int, translated: int) -> None:
    for value in (0xF0, number):
        bench.ports.write(0x60, 1, value)
        assert bench.drain() == b"\xfa"
    bench.ports.write(0x60, 1, 0xF0)
    bench.drain()
    bench.ports.write(0x60, 1, 0x00)
    assert bench.drain() == bytes([0xFA, translated])


def test_reset_and_self_test_of_the_keyboard(bench: Bench) -> None:
    bench.ports.write(0x60, 1, 0xFF)
    assert bench.drain() == b"\xfa\xaa"


def test_a_disabled_keyboard_keeps_its_keys_until_it_is_enabled(bench: Bench) -> None:
    bench.command(0xAD)
    bench.keyboard.press("a")
    assert bench.wait(10) == b""
    bench.command(0xAE)
    assert bench.wait(10) == b"\x1e"


def test_writing_to_the_keyboard_enables_it(bench: Bench) -> None:
    bench.command(0xAD)
    bench.ports.write(0x60, 1, 0xF4)
    assert bench.drain() == b"\xfa"
    bench.command(0x20)
    assert bench.drain() == b"\x65"


def test_a_reply_that_overtakes_a_break_code_is_not_mistaken_for_it(bench: Bench) -> None:
    bench.keyboard.press("a")
    bench.wait(2)
    bench.keyboard.release("a")
    bench.clock.advance(BYTE_NS)  # the prefix has arrived, its code has not
    bench.ports.write(0x60, 1, 0xED)
    assert bench.drain() == b"\xfa"
    bench.ports.write(0x60, 1, 0x00)
    assert bench.drain() == b"\xfa"
    assert bench.wait(3) == b"\x9e"


@pytest.mark.parametrize("pause", [1, 7, 60])
def test_what_is_typed_reaches_even_a_slow_guest(bench: Bench, pause: int) -> None:
    text = "Hi{ctrl+c}{up}"
    bench.keyboard.type(keys_from_text(text))
    got = bytearray()
    for _ in range(400):
        bench.clock.advance(pause * BYTE_NS)
        if bench.status & 1:
            got.append(bench.ports.read(0x60, 1))
    expected = b"".join((make_code if down else break_code)(key, 1) for key, down in keys_from_text(text))
    assert got == expected


def test_the_overrun_code_is_translated(bench: Bench) -> None:
    for _ in range(40):
        bench.keyboard.press("a")
    assert bench.wait() == b"\x1e" * 16 + b"\xff"


# -- the mouse through the controller ---------------------------------------------------------------------------


def test_the_mouse_is_reached_by_d4_and_answers_as_aux(bench: Bench) -> None:
    bench.command(0x60, 0x67)
    bench.command(0xD4, 0xF4)
    assert bench.status & 0x21 == 0x21
    assert bench.irq12.level
    assert not bench.irq1.level
    assert bench.drain() == b"\xfa"
    bench.mouse.move(5, -1, 1)
    assert bench.wait(5) == bytes([0x29, 5, 0xFF])


def test_mouse_bytes_are_not_translated(bench: Bench) -> None:
    bench.command(0xD4, 0xE9)
    assert bench.drain() == bytes([0xFA, 0x00, 0x02, 0x64])


def test_a_disabled_mouse_is_silent(bench: Bench) -> None:
    bench.command(0xD4, 0xF4)
    bench.drain()
    bench.command(0xA7)
    bench.mouse.move(1, 1)
    assert bench.wait(5) == b""
    bench.command(0xA8)
    assert len(bench.wait(5)) == 3


def test_an_absent_mouse_times_out() -> None:
    bench = Bench(with_mouse=False)
    bench.command(0xD4, 0xFF)
    assert bench.status & 0x61 == 0x61
    assert bench.drain() == b"\xfe"
    assert bench.status & 0x61 == 0


def test_reset_goes_back_to_what_firmware_left(bench: Bench) -> None:
    bench.command(0x60, 0x00)
    bench.command(0xD1, 0xDD)
    bench.keyboard.press("a")
    bench.command(0xAA)
    bench.ps2.reset()
    assert bench.status == 0x14
    assert not bench.irq1.level
    bench.command(0x20)
    assert bench.drain() == b"\x65"
    bench.command(0xD0)
    assert bench.drain() == b"\xcf"


class OrderMachine(RuleBasedStateMachine):
    """Whatever the guest does in between, scan codes come complete and in order, and IRQ 1 means a byte to read."""

    KEYS = ("a", "up", "lctrl", "enter")

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        self.expected = bytearray()
        self.got = bytearray()
        self.events = 0

    @rule(key=st.sampled_from(KEYS), down=st.booleans())
    def type_key(self, key: str, down: bool) -> None:
        self.bench.keyboard.type([(key, down)])
        self.expected += (make_code if down else break_code)(key, 1)
        self.events += 1

    @rule(ms=st.integers(1, 40))
    def wait(self, ms: int) -> None:
        self.bench.clock.advance(ms * 1_000_000)

    @rule()
    def read(self) -> None:
        if self.bench.status & 1:
            self.got.append(self.bench.ports.read(0x60, 1))

    @rule(command=st.sampled_from([0xAA, 0x20, 0xD0, 0xC0]))
    def ask_controller(self, command: int) -> None:
        if self.bench.status & 1:
            self.got.append(self.bench.ports.read(0x60, 1))
        self.bench.command(command)
        assert len(self.bench.drain()) == 1

    @rule()
    def echo(self) -> None:
        if self.bench.status & 1:
            self.got.append(self.bench.ports.read(0x60, 1))
        self.bench.ports.write(0x60, 1, 0xEE)
        assert self.bench.drain() == b"\xee"

    @rule(off=st.booleans())
    def switch_keyboard(self, off: bool) -> None:
        self.bench.command(0xAD if off else 0xAE)

    @invariant()
    def irq_means_data(self) -> None:
        assert self.bench.irq1.level == bool(self.bench.status & 1)

    @invariant()
    def codes_come_in_order(self) -> None:
        assert self.expected.startswith(self.got)

    def teardown(self) -> None:
        # Let go of everything, so that nothing repeats, and read on.
        self.bench.command(0xAE)
        for key in self.KEYS:
            self.type_key(key, False)
        for _ in range((self.events + 2) * 14):
            self.bench.clock.advance(1_000_000)
            self.read()
        assert self.got == self.expected


TestOrderMachine = OrderMachine.TestCase
TestOrderMachine.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
