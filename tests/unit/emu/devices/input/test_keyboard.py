"""The keyboard by itself, at its end of the cable."""

from __future__ import annotations

import pytest

from hillemu.emu.clock import NEVER, Clock
from hillemu.emu.devices.input.keyboard import TYPING_NS, Keyboard
from hillemu.emu.devices.input.scancodes import KEYS, break_code, make_code
from hillemu.emu.errors import OptionError

MS = 1_000_000


class Bench:
    """A keyboard on a clock of one tick per nanosecond."""

    def __init__(self) -> None:
        self.clock = Clock(frequency_hz=1_000_000_000)
        self.reports: list[str] = []
        self.keyboard = Keyboard(clock=self.clock, report=self.reports.append)

    def command(self, *values: int) -> bytes:
        """Send bytes; return all replies."""
        for value in values:
            self.keyboard.receive(value)
        return bytes(self.keyboard.take_reply() for _ in range(len(self.keyboard.replies)))

    def codes(self) -> bytes:
        """Take all scan codes that wait."""
        return bytes(self.keyboard.take_event() for _ in range(len(self.keyboard.events)))


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize(
    ("sent", "replies"),
    [
        ("ed 02", "fa fa"),
        ("ee", "ee"),
        ("f0 00", "fa fa 02"),
        ("f0 01 f0 00", "fa fa fa fa 01"),
        ("f0 02", "fa fa"),
        ("f0 04", "fa fe"),
        ("f2", "fa ab 83"),
        ("f3 7f", "fa fa"),
        ("f3 80", "fa fe"),
        ("f4", "fa"),
        ("f5", "fa"),
        ("f6", "fa"),
        ("f7 f8 f9 fa", "fa fa fa fa"),
        ("ff", "fa aa"),
        ("f2 fe", "fa ab 83 83"),
        ("01", "fe"),
        ("ef", "fe"),
        ("f1", "fe"),
        ("ed f2", "fa fa ab 83"),  # a command in place of a parameter is a command
    ],
)
def test_commands_are_answered_as_the_reference_says(bench: Bench, sent: str, replies: str) -> None:
    got = b""
    for value in bytes.fromhex(sent):
        got += bench.command(value)
    assert got.hex(" ") == replies


def test_the_lights_follow_the_host(bench: Bench) -> None:
    assert bench.keyboard.lights == (False, False, False)
    bench.command(0xED, 0x05)
    assert bench.keyboard.lights == (True, False, True)
    bench.command(0xFF)
    assert bench.keyboard.lights == (False, False, False)


def test_scan_code_set_3_is_refused_and_reported(bench: Bench) -> None:
    assert bench.command(0xF0, 0x03) == b"\xfa\xfe"
    assert bench.reports == ["keyboard: scan code set 3 is not modelled"]
    assert bench.command(0xF0, 0x00)[-1] == 2


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("key", sorted(KEYS - {"printscreen", "pause"}))
def test_every_key_sends_its_codes(bench: Bench, key: str, number: int) -> None:
    bench.command(0xF0, number)
    bench.keyboard.press(key)
    bench.keyboard.release(key)
    assert bench.codes() == make_code(key, number) + break_code(key, number)


@pytest.mark.parametrize(
    ("held", "key", "codes"),
    [
        (None, "printscreen", "e0 12 e0 7c e0 f0 7c e0 f0 12"),
        ("lshift", "printscreen", "e0 7c e0 f0 7c"),
        ("rctrl", "printscreen", "e0 7c e0 f0 7c"),
        ("lalt", "printscreen", "84 f0 84"),
        (None, "pause", "e1 14 77 e1 f0 14 f0 77"),
        ("lctrl", "pause", "e0 7e e0 f0 7e"),
    ],
)
def test_print_screen_and_pause_depend_on_the_shift_keys(bench: Bench, held: str | None, key: str, codes: str) -> None:
    if held:
        bench.keyboard.press(held)
        bench.codes()
    bench.keyboard.press(key)
    bench.keyboard.release(key)
    assert bench.codes().hex(" ") == codes


def test_an_unknown_key_is_a_users_mistake(bench: Bench) -> None:
    for act in (bench.keyboard.press, bench.keyboard.release, lambda key: bench.keyboard.type([(key, True)])):
        with pytest.raises(OptionError, match="no key 'any'"):
            act("any")


def test_a_stopped_keyboard_sends_nothing_until_it_is_enabled(bench: Bench) -> None:
    bench.command(0xF5)
    bench.keyboard.press("a")
    bench.keyboard.release("a")
    assert bench.codes() == b""
    bench.command(0xF6)
    bench.keyboard.press("a")
    assert bench.codes() == b"", "set-default does not start scanning"
    bench.keyboard.release("a")
    bench.command(0xF4)
    bench.keyboard.press("a")
    assert bench.codes() == b"\x1c"


def test_set_default_does_not_stop_scanning(bench: Bench) -> None:
    bench.command(0xF6)
    bench.keyboard.press("a")
    assert bench.codes() == b"\x1c"


@pytest.mark.parametrize("command", [0xF4, 0xF5, 0xF6, 0xFF])
def test_these_commands_empty_the_queue(bench: Bench, command: int) -> None:
    bench.keyboard.press("a")
    bench.command(command)
    assert bench.codes() == b""
    bench.clock.advance(2000 * MS)
    assert bench.codes() == b"", "and stop the repetition"


@pytest.mark.parametrize(("number", "overrun"), [(1, 0xFF), (2, 0x00)])
def test_the_seventeenth_byte_is_the_overrun_code(bench: Bench, number: int, overrun: int) -> None:
    bench.command(0xF0, number)
    for _ in range(20):
        bench.keyboard.press("a")
    assert bench.codes() == make_code("a", number) * 16 + bytes([overrun])
    bench.keyboard.press("b")
    assert bench.codes() == make_code("b", number), "after which it works again"


def test_a_code_that_does_not_fit_as_a_whole_is_lost_as_a_whole(bench: Bench) -> None:
    for _ in range(15):
        bench.keyboard.press("a")
    bench.keyboard.press("up")
    assert bench.codes() == b"\x1c" * 15 + b"\x00"


def test_replies_take_no_place_in_the_queue(bench: Bench) -> None:
    for _ in range(16):
        bench.keyboard.press("a")
    assert bench.command(0xEE) == b"\xee"
    assert bench.codes() == b"\x1c" * 16


# -- repetition -------------------------------------------------------------------------------------------------


def test_a_held_key_repeats_after_half_a_second_10_9_times_a_second(bench: Bench) -> None:
    bench.keyboard.press("a")
    bench.codes()
    bench.clock.advance(500 * MS - 1)
    assert bench.codes() == b""
    bench.clock.advance(1)
    count = len(bench.codes())
    for _ in range(10_000):
        bench.clock.advance(MS)
        count += len(bench.codes())
    assert count == 110  # the first, then 10 s / 91.67 ms
    bench.keyboard.release("a")
    bench.codes()
    bench.clock.advance(1000 * MS)
    assert bench.codes() == b""
    assert bench.clock.next_deadline == NEVER


@pytest.mark.parametrize(
    ("parameter", "delay_ms", "period_us"),
    [(0x00, 250, 33_333), (0x7F, 1000, 500_000), (0x2B, 500, 91_666), (0x54, 750, 200_000)],
)
def test_the_typematic_rate_follows_the_table(bench: Bench, parameter: int, delay_ms: int, period_us: int) -> None:
    bench.command(0xF3, parameter)
    bench.keyboard.press("x")
    bench.codes()
    bench.clock.advance(delay_ms * MS)
    assert bench.codes() == b"\x22"
    bench.clock.advance(period_us * 1000 - 1)
    assert bench.codes() == b""
    bench.clock.advance(1001)
    assert bench.codes() == b"\x22"


def test_only_the_last_key_pressed_repeats(bench: Bench) -> None:
    bench.keyboard.press("lshift")
    bench.keyboard.press("a")
    bench.codes()
    bench.clock.advance(500 * MS)
    assert bench.codes() == b"\x1c"
    bench.keyboard.release("a")
    bench.codes()
    bench.clock.advance(2000 * MS)
    assert bench.codes() == b""


def test_a_guest_that_does_not_listen_is_not_flooded_and_can_sleep(bench: Bench) -> None:
    bench.keyboard.press("a")
    bench.clock.advance(10_000 * MS)
    assert bench.clock.next_deadline == NEVER
    assert bench.codes() == b"\x1c"
    bench.clock.advance(100 * MS)
    assert bench.codes() == b"\x1c", "the repetition goes on when the queue is drained"


def test_pause_never_repeats(bench: Bench) -> None:
    bench.keyboard.press("pause")
    bench.codes()
    bench.clock.advance(2000 * MS)
    assert bench.codes() == b""


# -- typing -----------------------------------------------------------------------------------------------------


def test_the_typist_waits_until_the_guest_has_taken_everything(bench: Bench) -> None:
    bench.keyboard.type([("a", True), ("a", False)])
    assert bench.codes() == b""
    bench.clock.advance(100 * TYPING_NS)
    assert bench.codes() == b"\x1c"
    assert bench.keyboard.is_typing
    bench.clock.advance(TYPING_NS)
    assert bench.codes() == b"\xf0\x1c"
    assert not bench.keyboard.is_typing


def test_a_guest_that_never_reads_can_sleep_for_ever(bench: Bench) -> None:
    bench.keyboard.type([("a", True), ("a", False), ("b", True)])
    bench.clock.advance(100 * TYPING_NS)
    # What is left is the repetition of the held key, and that gives up too.
    bench.clock.advance(1000 * MS)
    assert bench.clock.next_deadline == NEVER


def test_the_typist_waits_while_scanning_is_off(bench: Bench) -> None:
    bench.command(0xF5)
    bench.keyboard.type([("a", True), ("a", False)])
    bench.clock.advance(10 * TYPING_NS)
    assert bench.codes() == b""
    bench.command(0xF4)
    bench.clock.advance(TYPING_NS)
    assert bench.codes() == b"\x1c"


def test_a_typed_pause_does_not_stop_the_typist(bench: Bench) -> None:
    bench.keyboard.type([("pause", True), ("pause", False), ("a", True)])
    bench.clock.advance(TYPING_NS)
    assert len(bench.codes()) == 8
    bench.clock.advance(2 * TYPING_NS)
    assert bench.codes() == b"\x1c"
