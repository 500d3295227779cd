"""INT 10h on the graphics card; the guest `bios` compares what it does in modes 3 and 13h with QEMU's firmware."""

from __future__ import annotations

import struct

import pytest
from video_bench import VideoGuest

from hillemu.boot.bios import bda
from hillemu.boot.bios.call import BiosCall, fake_call
from hillemu.boot.bios.data import write_bios_data
from hillemu.boot.bios.rom import install_rom
from hillemu.boot.bios.video import video
from hillemu.boot.bios.video_rom import install_video_rom
from hillemu.emu.i386.address import PhysAddr

TEXT_MODES, PLANAR_MODES, CGA_MODES, LINEAR_MODE = (
    (0, 1, 2, 3, 7),
    (0x0D, 0x0E, 0x0F, 0x10, 0x11, 0x12),
    (4, 5, 6),
    0x13,
)
GRAPHICS_MODES = (*CGA_MODES, *PLANAR_MODES, LINEAR_MODE)
BUFFER = 0x5000


class WindowBus:
    """The memory bus as far as the card answers on it."""

    def __init__(self, guest: VideoGuest) -> None:
        self.guest = guest

    def read(self, address: int, size: int) -> int:
        return self.guest.cpu_read(address, size)

    def write(self, address: int, size: int, value: int) -> None:
        self.guest.cpu_write(address, value, size)


@pytest.fixture
def guest() -> VideoGuest:
    guest = VideoGuest(1 << 20)
    install_rom(guest)
    write_bios_data(guest.memory)
    install_video_rom(guest)
    call(guest, 0x0003)
    return guest


def call(guest: VideoGuest, ax: int, bx: int = 0, cx: int = 0, dx: int = 0, **registers: int) -> BiosCall:
    made = fake_call(
        0x10, guest, bus=WindowBus(guest), report=guest.reports.append, eax=ax, ebx=bx, ecx=cx, edx=dx, **registers
    )
    video(made)
    return made


def crtc(guest: VideoGuest, index: int, port: int = 0x3D4) -> int:
    guest.write_port(port, index)
    return guest.read_port(port + 1)


def read_pixels(guest: VideoGuest, x: int, y: int, width: int, height: int, page: int = 0) -> list[list[int]]:
    return [
        [call(guest, 0x0D00, page << 8, column, row).al for column in range(x, x + width)]
        for row in range(y, y + height)
    ]


def lit(guest: VideoGuest, row: int, column: int, lines: int, page: int = 0) -> set[int]:
    """The colours in a character cell, 0 (which every letter's has) left out."""
    pixels = read_pixels(guest, 8 * column, lines * row, 8, lines, page)
    colors = {pixel for line in pixels for pixel in line}
    assert 0 in colors
    return colors - {0}


class TestText:
    @pytest.mark.parametrize("mode", TEXT_MODES)
    def test_teletype_scrolls_in_every_mode(self, guest: VideoGuest, mode: int) -> None:
        call(guest, mode)
        base, columns = (0xB0000 if mode == 7 else 0xB8000), 40 if mode < 2 else 80
        for number in range(26):
            for character in f"{number:02}\r\n":
                call(guest, 0x0E00 | ord(character))
        screen = guest.memory.read(PhysAddr(base), columns * 25 * 2)
        rows = [screen[2 * columns * row :][:4:2].decode() for row in range(25)]
        assert rows == [f"{number:02}" for number in range(2, 26)] + ["  "]
        assert call(guest, 0x0300).dx == 24 << 8

    def test_a_page_keeps_its_own_cursor_and_text(self, guest: VideoGuest) -> None:
        call(guest, 0x0200, 0x0300, dx=0x0507)
        call(guest, 0x0941, 0x0317, cx=2)
        at = 0xB8000 + 3 * 0x1000 + 2 * (5 * 80 + 7)
        assert guest.memory.read(PhysAddr(at), 6) == b"A\x17A\x17\x20\x07"
        assert call(guest, 0x0300, 0x0300).dx == 0x0507
        assert call(guest, 0x0300, 0x0000).dx == 0
        assert crtc(guest, 0x0F) == 0, "page 0 is shown: its cursor stays"
        call(guest, 0x0503)
        assert crtc(guest, 0x0E) << 8 | crtc(guest, 0x0F) == 3 * 0x800 + 5 * 80 + 7

    def test_writing_many_characters_ends_with_the_page(self, guest: VideoGuest) -> None:
        call(guest, 0x0200, dx=0x184E)
        call(guest, 0x0958, 0x0007, cx=100)
        assert guest.memory.read(PhysAddr(0xB8000 + 2 * 1998), 4) == b"X\x07X\x07"
        assert guest.memory.read(PhysAddr(0xB8000 + 4000), 4) == b"\x20\x07\x20\x07"

    @pytest.mark.parametrize(("function", "expected"), [(6, "CDE  "), (7, "  ABC")])
    def test_windows_scroll_by_more_than_one(self, guest: VideoGuest, function: int, expected: str) -> None:
        for row, letter in enumerate("ABCDE"):
            call(guest, 0x0200, dx=row << 8 | 10)
            call(guest, 0x0900 | ord(letter), 0x0007, cx=1)
        call(guest, function << 8 | 2, 0x0700, cx=0x0000, dx=0x0414)
        column = "".join(chr(guest.memory.read(PhysAddr(0xB8000 + 160 * row + 20), 1)[0]) for row in range(5))
        assert column == expected

    def test_a_window_that_ends_before_it_begins_is_nothing(self, guest: VideoGuest) -> None:
        before = guest.memory.read(PhysAddr(0xB8000), 4000)
        call(guest, 0x0600, 0x7000, cx=0x0505, dx=0x0404)
        assert guest.memory.read(PhysAddr(0xB8000), 4000) == before

    def test_a_string_goes_to_its_page_and_scrolls_there(self, guest: VideoGuest) -> None:
        guest.memory.write(PhysAddr(BUFFER), b"end\r\n!")
        call(guest, 0x1301, 0x0147, cx=6, dx=0x1800, ebp=BUFFER)
        assert guest.memory.read(PhysAddr(0xB9000 + 160 * 23), 6) == b"e\x47n\x47d\x47"
        assert guest.memory.read(PhysAddr(0xB9000 + 160 * 24), 2) == b"!\x47"
        assert call(guest, 0x0300, 0x0100).dx == 0x1801

    def test_an_unknown_mode_is_told_and_changes_nothing(self, guest: VideoGuest) -> None:
        call(guest, 0x0066)
        assert call(guest, 0x0F00).al == 3
        assert any("66h" in report for report in guest.reports)

    def test_keeping_the_memory_is_remembered(self, guest: VideoGuest) -> None:
        call(guest, 0x0941, 0x0007, cx=1)
        call(guest, 0x0083)
        assert guest.memory.read(PhysAddr(0xB8000), 1) == b"A"
        assert call(guest, 0x0F00).al == 0x83


class TestGraphics:
    @pytest.mark.parametrize("mode", GRAPHICS_MODES)
    def test_letters_are_drawn_read_and_scrolled(self, guest: VideoGuest, mode: int) -> None:
        call(guest, mode)
        lines = guest.memory.read(PhysAddr(bda.CHARACTER_LINES), 1)[0]
        colors = {4: 3, 5: 3, 6: 1, 0x0F: 1, 0x11: 1}.get(mode, 0x0A)
        call(guest, 0x0200, dx=0x0203)
        call(guest, 0x0941, colors, cx=2)
        assert call(guest, 0x0800).al == ord("A")
        for column in (3, 4):
            assert lit(guest, 2, column, lines) == {colors}
        call(guest, 0x0601, 0, cx=0x0000, dx=0xFFFF)
        call(guest, 0x0200, dx=0x0103)
        assert call(guest, 0x0800).al == ord("A")
        call(guest, 0x0702, 0, cx=0x0000, dx=0xFFFF)
        call(guest, 0x0200, dx=0x0303)
        assert call(guest, 0x0800).al == ord("A")
        assert lit(guest, 3, 3, lines) == {colors}

    @pytest.mark.parametrize("mode", [4, 6, 0x0D, 0x12])
    def test_exclusive_or_twice_leaves_nothing(self, guest: VideoGuest, mode: int) -> None:
        call(guest, mode)
        lines = guest.memory.read(PhysAddr(bda.CHARACTER_LINES), 1)[0]
        call(guest, 0x0941, 0x81, cx=1)
        assert lit(guest, 0, 0, lines) == {1}
        call(guest, 0x0941, 0x81, cx=1)
        assert lit(guest, 0, 0, lines) == set()

    @pytest.mark.parametrize("mode", GRAPHICS_MODES)
    def test_a_pixel_is_read_back_and_its_neighbours_stay(self, guest: VideoGuest, mode: int) -> None:
        call(guest, mode)
        width = 320 if mode in (4, 5, 0x0D, 0x13) else 640
        color = 1 if mode in (6, 0x0F, 0x11) else 3
        for x, y in ((0, 0), (width - 1, 199), (13, 101)):
            call(guest, 0x0C00 | color, cx=x, dx=y)
        assert [call(guest, 0x0D00, cx=x, dx=101).al for x in (12, 13, 14)] == [0, color, 0]
        assert call(guest, 0x0D00, cx=width - 1, dx=199).al == color
        if mode != 0x13:
            call(guest, 0x0C80 | color, cx=13, dx=101)
            assert call(guest, 0x0D00, cx=13, dx=101).al == 0

    def test_the_second_page_of_a_planar_mode_is_another_place(self, guest: VideoGuest) -> None:
        call(guest, 0x000D)
        call(guest, 0x0C05, 0x0100, cx=7, dx=3)
        assert call(guest, 0x0D00, 0x0100, cx=7, dx=3).al == 5
        assert call(guest, 0x0D00, 0x0000, cx=7, dx=3).al == 0
        call(guest, 0x0501)
        assert crtc(guest, 0x0C) << 8 | crtc(guest, 0x0D) == 0x2000

    @pytest.mark.parametrize("mode", PLANAR_MODES)
    def test_the_graphics_controller_is_left_as_programs_expect_it(self, guest: VideoGuest, mode: int) -> None:
        call(guest, mode)
        call(guest, 0x0E41, 0x0007)
        call(guest, 0x0601, 0, cx=0, dx=0xFFFF)
        call(guest, 0x0C07, cx=1, dx=1)
        found = []
        for index in (1, 3, 5, 8):
            guest.write_port(0x3CE, index)
            found.append(guest.read_port(0x3CF))
        assert found == [0, 0, 0, 0xFF]

    def test_what_is_drawn_is_on_the_screen(self, guest: VideoGuest) -> None:
        call(guest, 0x0012)
        call(guest, 0x0C0F, cx=100, dx=200)
        assert guest.pixel(100, 200) == (255, 255, 255)
        assert guest.pixel(101, 200) == (0, 0, 0)

    def test_the_upper_half_of_a_cga_font_is_where_int_1fh_points(self, guest: VideoGuest) -> None:
        call(guest, 0x0006)
        guest.memory.write(PhysAddr(4 * 0x1F), struct.pack("<HH", BUFFER, 0))
        guest.memory.write(PhysAddr(BUFFER), b"\x81" + bytes(7))
        call(guest, 0x0980, 0x0001, cx=1)
        assert read_pixels(guest, 0, 0, 8, 2) == [[1, 0, 0, 0, 0, 0, 0, 1], [0] * 8]

    def test_vbe_modes_have_no_text(self, guest: VideoGuest) -> None:
        guest.memory.write(PhysAddr(bda.VIDEO_MODE), b"\xff")
        for ax in (0x0E41, 0x0941, 0x0800, 0x0601, 0x0C01, 0x0D00):
            call(guest, ax, 0, cx=1, dx=1)
        assert guest.reports == []


class TestCursor:
    @pytest.mark.parametrize(
        ("shape", "registers"),
        [(0x0607, 0x0E0F), (0x0007, 0x010F), (0x2000, 0x2000), (0x0D0E, 0x0D0E), (0x0307, 0x070F)],
    )
    def test_shapes_for_cells_of_8_lines_are_scaled(self, guest: VideoGuest, shape: int, registers: int) -> None:
        call(guest, 0x0100, cx=shape)
        assert crtc(guest, 0x0A) << 8 | crtc(guest, 0x0B) == registers

    def test_unless_the_guest_switches_that_off(self, guest: VideoGuest) -> None:
        call(guest, 0x1201, 0x0034)
        call(guest, 0x0100, cx=0x0607)
        assert crtc(guest, 0x0A) << 8 | crtc(guest, 0x0B) == 0x0607


class TestFonts:
    def test_8_lines_give_50_rows(self, guest: VideoGuest) -> None:
        call(guest, 0x1112)
        assert call(guest, 0x1130, 0x0000).dl == 49
        for number in range(51):
            for character in f"{number:02}\r\n":
                call(guest, 0x0E00 | ord(character))
        assert guest.memory.read(PhysAddr(0xB8000 + 160 * 48), 3)[::2] == b"50"
        assert guest.screen.size == (50, 80)
        assert guest.screen.lines[48:] == ["50", ""]

    def test_a_glyph_of_the_guests_own_is_on_the_screen(self, guest: VideoGuest) -> None:
        guest.memory.write(PhysAddr(BUFFER), b"\xff" * 16)
        call(guest, 0x1100, 0x1000, cx=1, dx=ord("A"), ebp=BUFFER)
        call(guest, 0x0941, 0x000F, cx=1)
        assert guest.pixel(0, 0) == guest.pixel(7, 15) == (255, 255, 255)
        assert guest.memory.read(PhysAddr(0xB8000), 2) == b"A\x0f", "the text window is open again"

    @pytest.mark.parametrize(("ax", "lines"), [(0x1122, 14), (0x1123, 8), (0x1124, 16)])
    def test_graphics_fonts_are_chosen_by_vector(self, guest: VideoGuest, ax: int, lines: int) -> None:
        call(guest, 0x0012)
        call(guest, ax, 0x0002)
        made = call(guest, 0x1130, 0x0100)
        assert (made.cx, made.dl) == (lines, 24)
        vector = struct.unpack("<HH", guest.memory.read(PhysAddr(4 * 0x43), 4))
        assert vector == (made.bp, made.es)

    def test_a_guests_own_graphics_font(self, guest: VideoGuest) -> None:
        call(guest, 0x0012)
        call(guest, 0x1121, 0x0000, cx=12, dx=40, es=0x1234, ebp=0x5678)
        assert guest.memory.read(PhysAddr(4 * 0x43), 4) == b"\x78\x56\x34\x12"
        made = call(guest, 0x1130, 0x0100)
        assert (made.cx, made.dl) == (12, 39)

    def test_the_upper_cga_font_is_a_vector(self, guest: VideoGuest) -> None:
        call(guest, 0x1120, es=0x1234, ebp=0x5678)
        made = call(guest, 0x1130, 0x0000)
        assert (made.es, made.bp) == (0x1234, 0x5678)


class TestPalette:
    def test_the_screen_stays_on(self, guest: VideoGuest) -> None:
        for ax in (0x1000, 0x1001, 0x1003, 0x1007):
            call(guest, ax, 0x0F01)
        call(guest, 0x09DB, 0x000F, cx=1)
        assert guest.pixel(0, 0) == (255, 255, 255)

    def test_grays_keep_the_brightness(self, guest: VideoGuest) -> None:
        call(guest, 0x1010, 0x0001, cx=0x3F00, dx=0x0000)
        call(guest, 0x101B, 0x0001, cx=1)
        made = call(guest, 0x1015, 0x0001)
        assert made.dh == made.ch == made.cl == round(0.59 * 63)

    @pytest.mark.parametrize(("by_16", "page"), [(0, 3), (1, 13)])
    def test_color_pages_are_read_back(self, guest: VideoGuest, by_16: int, page: int) -> None:
        call(guest, 0x1013, by_16 << 8)
        call(guest, 0x1013, page << 8 | 1)
        made = call(guest, 0x101A)
        assert (made.bl, made.bh) == (by_16, page)

    def test_blinking_becomes_bright_background(self, guest: VideoGuest) -> None:
        call(guest, 0x1003, 0x0000)
        assert call(guest, 0x1007, 0x0010).bh & 8 == 0
        call(guest, 0x1003, 0x0001)
        assert call(guest, 0x1007, 0x0010).bh & 8 == 8

    def test_the_pixel_mask_is_read_back(self, guest: VideoGuest) -> None:
        call(guest, 0x1018, 0x000F)
        assert call(guest, 0x1019).bl == 0x0F

    def test_a_cga_border_and_palette(self, guest: VideoGuest) -> None:
        call(guest, 0x0004)
        call(guest, 0x0B00, 0x0009)
        assert call(guest, 0x1007, 0x0000).bh == 0x19
        first = [call(guest, 0x1007, index).bh for index in (1, 2, 3)]
        call(guest, 0x0B00, 0x0100)
        assert [call(guest, 0x1007, index).bh for index in (1, 2, 3)] == [value & ~1 for value in first]


class TestState:
    def test_the_state_tells_the_mode_and_the_adapter(self, guest: VideoGuest) -> None:
        call(guest, 0x0200, dx=0x0102)
        made = call(guest, 0x1B00, 0x0000, edi=BUFFER)
        assert made.al == 0x1B
        table = guest.memory.read(PhysAddr(BUFFER), 64)
        assert (table[4], table[5], table[0x0B:0x0D]) == (3, 80, b"\x02\x01")
        assert (table[0x22], table[0x23]) == (24, 16)
        assert (table[0x25], table[0x27], table[0x29], table[0x2A], table[0x31]) == (8, 16, 8, 2, 3)
        offset, segment = struct.unpack_from("<HH", table)
        assert guest.memory.read(PhysAddr(segment * 16 + offset), 3) == b"\xff\xe0\x0f"

    @pytest.mark.parametrize("mode", [0x10, 0x12])
    def test_scan_lines_follow_the_mode(self, guest: VideoGuest, mode: int) -> None:
        call(guest, mode)
        call(guest, 0x1B00, 0x0000, edi=BUFFER)
        assert guest.memory.read(PhysAddr(BUFFER + 0x2A), 1)[0] == {0x10: 1, 0x12: 3}[mode]

    def test_switches_answer_that_they_are_done(self, guest: VideoGuest) -> None:
        for which in (0x30, 0x31, 0x32, 0x33, 0x34, 0x36):
            assert call(guest, 0x1200 | (2 if which == 0x30 else 0), which).al == 0x12
        assert guest.reports == []

    def test_fewer_lines_are_told_to_be_400(self, guest: VideoGuest) -> None:
        assert call(guest, 0x1201, 0x0030).al == 0x12
        assert "400" in guest.reports[0]

    def test_the_screen_is_switched_off_and_on(self, guest: VideoGuest) -> None:
        call(guest, 0x1201, 0x0036)
        guest.write_port(0x3C4, 1)
        assert guest.read_port(0x3C5) & 0x20
        call(guest, 0x1200, 0x0036)
        assert not guest.read_port(0x3C5) & 0x20

    def test_the_display_code_can_be_set(self, guest: VideoGuest) -> None:
        call(guest, 0x1A01, 0x0007)
        assert call(guest, 0x1A00).bx == 0x0007

    def test_what_is_not_there_is_told(self, guest: VideoGuest) -> None:
        for ax, bx in ((0x7700, 0), (0x1077, 0), (0x1177, 0), (0x1200, 0x77)):
            guest.reports.clear()
            call(guest, ax, bx)
            assert len(guest.reports) == 1
