"""Text into key events."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hillemu.emu.devices.input.keys import KeyEvent, keys_from_text
from hillemu.emu.devices.input.scancodes import KEYS
from hillemu.emu.errors import OptionError, UserMistake

# The US keyboard as a picture: what each key writes alone, and with Shift.
PLAIN = "`1234567890-=qwertyuiop[]\\asdfghjkl;'zxcvbnm,./"
SHIFTED = '~!@#$%^&*()_+QWERTYUIOP{}|ASDFGHJKL:"ZXCVBNM<>?'


def read_back(events: list[KeyEvent]) -> str:
    """What a guest with a US layout makes of `events`."""
    text, shift = "", False
    named = {"space": " ", "enter": "\n", "tab": "\t"}
    for key, pressed in events:
        if key == "lshift":
            shift = pressed
        elif pressed:
            text += named.get(key) or (SHIFTED[PLAIN.index(key)] if shift else key)
    return text


@given(st.text(alphabet=string.digits + string.ascii_letters + string.punctuation + " \n\t"))
def test_a_us_keyboard_reads_back_what_was_typed(text: str) -> None:
    events = keys_from_text(text.replace("{", "{{").replace("}", "}}"))
    assert read_back(events) == text
    assert all(key in KEYS for key, _ in events)


def test_keys_held_together_go_down_in_order_and_up_in_reverse() -> None:
    assert keys_from_text("{ctrl+alt+del}") == [
        *[("lctrl", True), ("lalt", True), ("delete", True)],
        *[("delete", False), ("lalt", False), ("lctrl", False)],
    ]


@pytest.mark.parametrize("key", sorted(KEYS))
def test_every_key_has_a_name(key: str) -> None:
    assert keys_from_text(f"{{{key}}}") == [(key, True), (key, False)]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("{Enter}", ["enter"]),
        ("{esc}{F12}", ["esc", "f12"]),
        ("{ctrl+C}", ["lctrl", "lshift", "c"]),
        ("{shift+A}", ["lshift", "a"]),
        ("{ctrl+plus}", ["lctrl", "lshift", "="]),
        ("{kpplus}", ["kpplus"]),
        ("{altgr+q}", ["ralt", "q"]),
        ("", []),
    ],
)
def test_names_are_forgiving(text: str, keys: list[str]) -> None:
    assert [key for key, pressed in keys_from_text(text) if pressed] == keys


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("{entre}", "did you mean enter"),
        ("{ctrl+", "no closing brace"),
        ("a}", "without an opening one"),
        ("{}", "no key ''"),
        ("{ctrl+}", "no key ''"),
        ("ü", "no key of a US keyboard writes 'ü'"),
        ("\x00", "writes '\\x00'"),
        ("{ }", "no key ' '"),
    ],
)
def test_a_mistake_is_one_clear_line_that_names_the_option(text: str, fragment: str) -> None:
    with pytest.raises(OptionError, match=r"^--keys: ") as caught:
        keys_from_text(text)
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(alphabet="ab{}+ \nctrl1ü", max_size=12))
def test_any_text_is_typed_or_refused_politely(text: str) -> None:
    try:
        events = keys_from_text(text, option="keys")
    except UserMistake:
        events = []
    assert sorted(key for key, down in events if down) == sorted(key for key, down in events if not down)
