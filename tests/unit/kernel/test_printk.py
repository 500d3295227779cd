"""printk against C's own printf, which coreutils' command `printf` calls."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from hillemu.kernel.printk import MAX_WIDTH, render


def rendered(text: bytes, *words: int, strings: dict[int, bytes] | None = None) -> bytes:
    left = iter(words)
    return render(text, lambda: next(left), lambda at: (strings or {})[at])


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("%d", 42), ("%i", -7), ("%u", 7), ("%x", 0xBEEF), ("%X", 0xBEEF), ("%o", 8), ("%08X", 0x1234), ("%8u|", 12),
        ("%-8u|", 12), ("%05d", -42), ("%2d", 12345), ("%lu", 9), ("100%%, %u", 3), ("%-6x|", 0xAB),
    ],
)  # fmt: skip
def test_numbers_look_as_the_system_s_printf_prints_them(text: str, word: int, need_tool: Callable[[str], str]) -> None:
    wanted = subprocess.run([need_tool("printf"), text, str(word)], capture_output=True, check=True).stdout
    assert rendered(text.encode(), word & 0xFFFFFFFF) == wanted


def test_strings_and_characters_are_filled_in() -> None:
    assert rendered(b"<%s> <%5s> <%-5s> <%c>", 1, 2, 2, 0x41, strings={1: b"one", 2: b"two"}) == (
        b"<one> <  two> <two  > <A>"
    )


def test_a_pointer_has_eight_digits() -> None:
    assert rendered(b"%p", 0xC0100) == b"0x000c0100"


def test_what_is_no_conversion_stands_as_it_is() -> None:
    assert rendered(b"50% of %y, %", 1) == b"50% of %y, %"


def test_an_absurd_width_is_cut() -> None:
    assert len(rendered(b"%999999999u", 1)) == MAX_WIDTH
