"""Scan codes: the two sets and the translation table were written down separately and must agree."""

from __future__ import annotations

import pytest

from hillemu.emu.devices.input import scancodes
from hillemu.emu.devices.input.scancodes import KEYS, TRANSLATION, break_code, make_code

SPECIAL = {"printscreen", "pause"}


def translate(code: bytes) -> bytes:
    """What the 8042 makes of bytes of set 2.  Source: IBM PS/2 Technical Reference, "Scan Code Translation"."""
    out = bytearray()
    released = 0
    for byte in code:
        if byte == 0xF0:
            released = 0x80
        else:
            out.append(TRANSLATION[byte] | released)
            released = 0
    return bytes(out)


@pytest.mark.parametrize("key", sorted(KEYS - SPECIAL))
def test_set_2_translates_into_set_1(key: str) -> None:
    assert translate(make_code(key, 2)) == make_code(key, 1)
    assert translate(break_code(key, 2)) == break_code(key, 1)


@pytest.mark.parametrize(
    "pair",
    [scancodes.PRINT_SCREEN, scancodes.PRINT_SCREEN_SHIFTED, scancodes.SYSTEM_REQUEST],
    ids=("plain", "shift", "alt"),
)
def test_print_screen_translates_too(pair: dict[int, tuple[bytes, bytes]]) -> None:
    assert tuple(map(translate, pair[2])) == pair[1]


@pytest.mark.parametrize("code", [scancodes.PAUSE, scancodes.BREAK], ids=("pause", "break"))
def test_pause_translates_too(code: dict[int, bytes]) -> None:
    assert translate(code[2]) == code[1]


def test_a_keyboard_with_windows_keys_has_105_keys() -> None:
    assert len(KEYS) == 105


def test_no_two_keys_share_a_code() -> None:
    for number in (1, 2):
        codes = [make_code(key, number) for key in KEYS - SPECIAL]
        assert len(set(codes)) == len(codes) == 103


def test_set_1_make_codes_never_have_bit_7_set() -> None:
    assert all(make_code(key, 1)[-1] < 0x80 for key in KEYS - SPECIAL)


def test_translation_is_one_to_one_below_0x80() -> None:
    assert len(set(TRANSLATION[:0x80])) == 0x80
    assert TRANSLATION[0] == 0xFF
    assert TRANSLATION[0x85:] == bytes(range(0x85, 0x100))
    assert len(TRANSLATION) == 256


def test_an_unknown_key_has_no_code() -> None:
    with pytest.raises(KeyError):
        make_code("any", 1)
