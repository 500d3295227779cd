"""What stands on the screen, from guest memory and the VGA's registers."""

from __future__ import annotations

import pytest

from hillemu.emu.clock import Clock
from hillemu.emu.devices.video.text_screen import TextScreen, code_page_437
from hillemu.emu.devices.video.vga import BASE, Vga


class Bench:
    def __init__(self) -> None:
        self.memory = bytearray(0x100000)
        self.vga = Vga(clock=Clock())
        self.looks: list[tuple[int, int]] = []
        self.screen = TextScreen(self.vga, self.peek)

    def peek(self, address: int, count: int) -> bytes:
        self.looks.append((address, count))
        return bytes(self.memory[address : address + count])

    def put(self, cell: int, text: bytes, attribute: int = 0x07, base: int = 0xB8000) -> None:
        for number, code in enumerate(text, cell):
            self.memory[base + number * 2 : base + number * 2 + 2] = bytes([code, attribute])

    def crtc(self, registers: dict[int, int]) -> None:
        for index, value in registers.items():
            self.vga.write(0x3D4 - BASE, 1, index)
            self.vga.write(0x3D5 - BASE, 1, value)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_an_empty_screen_has_25_empty_lines_and_no_text(bench: Bench) -> None:
    assert bench.screen.lines == [""] * 25
    assert bench.screen.text == ""
    assert bench.screen.size == (25, 80)


def test_text_is_read_row_by_row(bench: Bench) -> None:
    bench.put(0, b"Hello")
    bench.put(80 * 2 + 3, b"there  ")
    bench.put(24 * 80 + 79, b"!")
    assert bench.screen.lines[:3] == ["Hello", "", "   there"]
    assert bench.screen.lines[24] == " " * 79 + "!"
    assert bench.screen.text.startswith("Hello\n\n   there\n")


def test_a_cell_has_a_character_and_an_attribute(bench: Bench) -> None:
    bench.put(81, b"\xdb", 0x1E)
    assert bench.screen.cell(1, 1) == ("█", 0x1E)
    assert bench.screen.cell(0, 0) == (" ", 0)
    for row, column in ((25, 0), (0, 80), (-1, 0), (0, -1)):
        with pytest.raises(IndexError, match="not on a screen of 25 rows and 80 columns"):
            bench.screen.cell(row, column)


def test_code_page_437_is_complete() -> None:
    glyphs = code_page_437()
    assert len(glyphs) == 256
    assert len(set(glyphs)) == 255, "only 0x00 looks like the space"
    assert "".join(glyphs[0x20:0x7F]).encode() == bytes(range(0x20, 0x7F))
    assert [glyphs[code] for code in (0x00, 0x01, 0x0D, 0x1E, 0x7F, 0x81, 0xB3, 0xDB, 0xFE)] == list(" ☺♪▲⌂ü│█■")


def test_the_start_address_scrolls(bench: Bench) -> None:
    bench.put(80, b"second")
    bench.put(81 * 80, b"far down")
    bench.crtc({0x0C: 0x00, 0x0D: 80})
    assert bench.screen.lines[0] == "second"
    bench.crtc({0x0C: (80 * 80) >> 8, 0x0D: 80 * 80 & 0xFF})
    assert bench.screen.lines[1] == "far down"


def test_display_memory_wraps_at_the_end_of_its_window(bench: Bench) -> None:
    last = 0x4000 - 40
    bench.put(last, b"<" * 40)
    bench.put(0, b">" * 40)
    bench.put(40, b"next")
    bench.crtc({0x0C: last >> 8, 0x0D: last & 0xFF})
    assert bench.screen.lines[:2] == ["<" * 40 + ">" * 40, "next"]
    assert bench.screen.cell(0, 40)[0] == ">"
    assert all(0xB8000 <= at <= 0xC0000 - count for at, count in bench.looks)


def test_rows_may_be_wider_in_memory_than_on_the_screen(bench: Bench) -> None:
    bench.crtc({0x13: 64})  # 128 cells
    bench.put(79, b"ab")
    bench.put(128, b"row 1")
    assert bench.screen.lines[0] == " " * 79 + "a"
    assert bench.screen.lines[1] == "row 1"


def test_40_columns_and_50_rows(bench: Bench) -> None:
    bench.crtc({0x11: 0x0E, 0x01: 39, 0x13: 20, 0x09: 0x47})
    bench.put(49 * 40, b"last row")
    assert bench.screen.size == (50, 40)
    assert bench.screen.lines[49] == "last row"


def test_a_mono_screen_is_at_b0000(bench: Bench) -> None:
    bench.vga.write(0x3CE - BASE, 1, 6)
    bench.vga.write(0x3CF - BASE, 1, 0x0A)
    bench.put(0, b"mono", base=0xB0000)
    assert bench.screen.text == "mono"


def test_a_graphics_mode_has_no_text(bench: Bench) -> None:
    bench.put(0, b"text")
    bench.vga.write(0x3CE - BASE, 1, 6)
    bench.vga.write(0x3CF - BASE, 1, 0x05)
    assert bench.screen.size == (0, 0)
    assert bench.screen.text == ""
    assert not bench.screen.cursor[2]


def test_the_cursor_has_a_place_and_may_be_off(bench: Bench) -> None:
    assert bench.screen.cursor == (0, 0, True)
    bench.crtc({0x0E: (80 * 24 + 79) >> 8, 0x0F: (80 * 24 + 79) & 0xFF})
    assert bench.screen.cursor == (24, 79, True)
    bench.crtc({0x0A: 0x20})
    assert bench.screen.cursor == (24, 79, False)


def test_the_cursor_counts_from_the_start_address(bench: Bench) -> None:
    bench.crtc({0x0C: 0x00, 0x0D: 80, 0x0E: 0x00, 0x0F: 85})
    assert bench.screen.cursor == (0, 5, True)
    bench.crtc({0x0F: 79})
    assert not bench.screen.cursor[2], "the cell before the screen is not on it"


def test_the_usual_screen_is_one_look_at_memory(bench: Bench) -> None:
    assert bench.screen.text == ""
    assert bench.looks == [(0xB8000, 4000)]
