"""What is on the screen, pixel by pixel, in every kind of mode."""

from __future__ import annotations

import pytest
from video_bench import FRAMEBUFFER, VideoGuest

from hillemu.boot.bios.font import font
from hillemu.boot.bios.modes import set_mode
from hillemu.boot.bios.video_palettes import ega_colors, vga_colors
from hillemu.emu.devices.video.picture import mode_name

SEQUENCER, GRAPHICS, CRTC = 0x3C4, 0x3CE, 0x3D4
BLACK, WHITE, GRAY, BLUE = (0, 0, 0), (255, 255, 255), (170, 170, 170), (0, 0, 170)


def wide(color: bytes) -> tuple[int, int, int]:
    red, green, blue = (round(value * 255 / 63) for value in color)
    return red, green, blue


def vga_color(number: int) -> tuple[int, int, int]:
    return wide(vga_colors()[3 * number : 3 * number + 3])


EGA = [wide(ega_colors()[3 * number : 3 * number + 3]) for number in range(64)]
SIXTEEN = [EGA[number] for number in (0, 1, 2, 3, 4, 5, 0x14, 7, *range(0x38, 0x40))]


@pytest.fixture
def guest() -> VideoGuest:
    return VideoGuest(4 << 20)


def attribute(guest: VideoGuest, *pairs: tuple[int, int]) -> None:
    guest.read_port(0x3DA)
    for index, value in pairs:
        guest.write_port(0x3C0, index)
        guest.write_port(0x3C0, value)
    guest.write_port(0x3C0, 0x20)


class TestText:
    @pytest.fixture(autouse=True)
    def mode_3(self, guest: VideoGuest) -> None:
        set_mode(guest, 3)
        guest.put(CRTC, (0x0A, 0x20))

    def test_a_letter_is_its_glyph_in_its_colors(self, guest: VideoGuest) -> None:
        guest.cpu_write(0xB8000 + 2 * 81, 0x1E << 8 | ord("R"), 2)
        glyph = font(16)[16 * ord("R") :][:16]
        width, _, rgb = guest.picture
        for row in range(16):
            start = 3 * ((16 + row) * width + 9)
            dots = [tuple(rgb[at : at + 3]) for at in range(start, start + 27, 3)]
            letter = [SIXTEEN[14] if glyph[row] >> 7 - column & 1 else BLUE for column in range(8)]
            assert dots == [*letter, BLUE], f"row {row}; the ninth dot is background"

    def test_lines_join_over_the_ninth_dot_where_the_mode_says_so(self, guest: VideoGuest) -> None:
        guest.cpu_write(0xB8000, 0x07C4, 2)
        assert guest.pixel(8, 7) == GRAY
        attribute(guest, (0x10, 0x08))
        assert guest.pixel(8, 7) == BLACK
        guest.cpu_write(0xB8000, 0x0716, 2)
        attribute(guest, (0x10, 0x0C))
        assert guest.pixel(8, 10) == BLACK, "only codes C0-DF join"

    def test_the_cursor_covers_its_lines(self, guest: VideoGuest) -> None:
        guest.put(CRTC, (0x0A, 0x0D), (0x0B, 0x0E), (0x0E, 0), (0x0F, 2))
        column = [guest.pixel(2 * 9, row) for row in range(16)]
        assert [row for row in range(16) if column[row] == GRAY] == [13, 14]
        guest.put(CRTC, (0x0A, 0x2D))
        assert guest.pixel(2 * 9, 13) == BLACK

    def test_blinking_or_bright_backgrounds(self, guest: VideoGuest) -> None:
        guest.cpu_write(0xB8000, 0x9020, 2)
        assert guest.pixel(0, 0) == BLUE
        attribute(guest, (0x10, 0x04))
        assert guest.pixel(0, 0) == SIXTEEN[9]

    def test_a_loaded_font_is_used(self, guest: VideoGuest) -> None:
        guest.put(SEQUENCER, (2, 4), (4, 7))
        guest.put(GRAPHICS, (4, 2), (5, 0), (6, 4))
        guest.cpu_write(0xA0000 + 32 * ord("x"), 0x80)
        guest.put(SEQUENCER, (2, 3), (4, 2))
        guest.put(GRAPHICS, (4, 0), (5, 0x10), (6, 0x0E))
        guest.cpu_write(0xB8000, 0x0700 | ord("x"), 2)
        assert [guest.pixel(column, 0) for column in range(3)] == [GRAY, BLACK, BLACK]

    def test_attribute_bit_3_chooses_between_two_fonts(self, guest: VideoGuest) -> None:
        guest.put(SEQUENCER, (2, 4), (4, 7))
        guest.put(GRAPHICS, (4, 2), (5, 0), (6, 4))
        guest.cpu_write(0xA2000 + 32 * ord("x"), 0xFF)
        guest.put(SEQUENCER, (2, 3), (4, 2), (3, 0b10_0000))  # set A is number 4, at 0x2000
        guest.put(GRAPHICS, (4, 0), (5, 0x10), (6, 0x0E))
        guest.cpu_write(0xB8000, 0x0F780778, 4)
        assert guest.pixel(0, 0) == BLACK
        assert guest.pixel(9, 0) == WHITE

    def test_panning_moves_text_to_the_left_by_dots(self, guest: VideoGuest) -> None:
        guest.cpu_write(0xB8000 + 2, 0x07DB, 2)
        assert guest.pixel(8, 0) == BLACK
        attribute(guest, (0x13, 0))  # 9-dot characters: 8 is none, 0 is one
        assert guest.pixel(8, 0) == GRAY

    def test_the_split_screen_starts_again_at_address_0(self, guest: VideoGuest) -> None:
        guest.cpu_write(0xB8000, 0x07DB, 2)
        guest.put(CRTC, (0x0C, 0x08), (0x07, 0x0F), (0x09, 0x0F), (0x18, 199))
        column = [guest.pixel(0, line) for line in (0, 199, 200, 215, 216)]
        assert column == [BLACK, BLACK, GRAY, GRAY, BLACK]

    def test_underlining_in_mono_text(self, guest: VideoGuest) -> None:
        set_mode(guest, 7)
        guest.write_port(0x3B4, 0x200A, 2)
        guest.cpu_write(0xB0000, 0x0120, 2)
        assert [line for line in range(16) if guest.pixel(0, line) != BLACK] == [13]

    def test_forty_columns(self, guest: VideoGuest) -> None:
        set_mode(guest, 1)
        assert mode_name(guest.card) == "text mode 40x25"
        assert guest.picture[:2] == (360, 400)


def test_a_dark_screen_is_black(guest: VideoGuest) -> None:
    guest.cpu_write(0xB8000, 0x70DB, 2)
    guest.put(SEQUENCER, (1, 0x20))
    assert not any(guest.picture.rgb)


class TestSixteenColors:
    @pytest.mark.parametrize(
        ("mode", "width", "height"),
        [(0x0D, 320, 200), (0x0E, 640, 200), (0x10, 640, 350), (0x12, 640, 480)],
    )
    def test_each_plane_gives_one_bit(self, guest: VideoGuest, mode: int, width: int, height: int) -> None:
        set_mode(guest, mode)
        assert guest.picture[:2] == (width, height)
        last = 0xA0000 + width * height // 8 - 1
        for color in range(8):
            guest.put(SEQUENCER, (2, 0x0F))
            guest.put(GRAPHICS, (8, 0x80 >> color), (5, 2))
            guest.cpu_read(last)
            guest.cpu_write(last, color + 8)
        row = [guest.pixel(width - 8 + column, height - 1) for column in range(8)]
        assert row == SIXTEEN[8:]

    def test_the_palette_the_plane_enable_and_the_color_select_come_before_the_dac(self, guest: VideoGuest) -> None:
        set_mode(guest, 0x12)
        guest.cpu_write(0xA0000, 0x80)  # color 15
        attribute(guest, (0x0F, 0x04))
        assert guest.pixel(0, 0) == EGA[4]
        attribute(guest, (0x12, 0x05))
        assert guest.pixel(0, 0) == SIXTEEN[5]
        attribute(guest, (0x05, 0x02), (0x10, 0x81), (0x14, 0x03))
        assert guest.pixel(0, 0) == EGA[0x32]
        guest.write_port(0x3C6, 0x07)
        assert guest.pixel(0, 0) == EGA[2], "the pixel mask"

    def test_rows_may_be_longer_than_the_screen_and_start_anywhere(self, guest: VideoGuest) -> None:
        set_mode(guest, 0x0D)
        guest.put(CRTC, (0x13, 30), (0x0D, 5))
        guest.cpu_write(0xA0000 + 5 + 60 * 2, 0x01)
        assert guest.pixel(7, 2) == SIXTEEN[15]
        attribute(guest, (0x13, 3))
        assert guest.pixel(4, 2) == SIXTEEN[15]


def test_640_by_200_cga(guest: VideoGuest) -> None:
    set_mode(guest, 6)
    assert guest.picture[:2] == (640, 200)
    guest.cpu_write(0xB8000, 0x01)
    guest.cpu_write(0xBA000 + 80, 0x80)
    assert guest.pixel(7, 0) != BLACK
    assert guest.pixel(0, 3) == guest.pixel(7, 0), "odd lines lie 8 KiB further"
    assert guest.pixel(0, 1) == guest.pixel(0, 2) == BLACK


def test_320_by_200_cga(guest: VideoGuest) -> None:
    set_mode(guest, 4)
    assert guest.picture[:2] == (320, 200)
    guest.cpu_write(0xB8000, 0b00_01_10_11)
    guest.cpu_write(0xB8001, 0b11_00_00_00)
    guest.cpu_write(0xBA000 + 80 * 99, 0b01_00_00_00)
    cyan, magenta, white = SIXTEEN[11], SIXTEEN[13], SIXTEEN[15]
    assert [guest.pixel(column, 0) for column in range(5)] == [BLACK, cyan, magenta, white, white]
    assert guest.pixel(0, 199) == cyan


class Test256Colors:
    @pytest.fixture(autouse=True)
    def mode_13h(self, guest: VideoGuest) -> None:
        set_mode(guest, 0x13)

    @pytest.mark.parametrize("at", [0, 1, 2, 3, 319, 320, 0x3FFF, 0x4000, 63999])
    def test_a_byte_is_a_pixel(self, guest: VideoGuest, at: int) -> None:
        guest.cpu_write(0xA0000 + at, 100)
        assert guest.pixel(at % 320, at // 320) == vga_color(100)
        assert guest.picture.rgb.count(bytes(vga_color(100))) == 1

    def test_unchained_every_plane_has_each_fourth_pixel(self, guest: VideoGuest) -> None:
        guest.put(SEQUENCER, (4, 0x06))
        guest.put(CRTC, (0x14, 0x00), (0x17, 0xE3))
        for plane in range(4):
            guest.put(SEQUENCER, (2, 1 << plane))
            guest.cpu_write(0xA0000 + 80 * 5 + 2, 40 + plane)
        assert [guest.pixel(8 + plane, 5) for plane in range(4)] == [vga_color(40 + plane) for plane in range(4)]

    def test_240_lines(self, guest: VideoGuest) -> None:
        guest.put(SEQUENCER, (4, 0x06))
        guest.write_port(0x3C2, 0xE3)
        guest.put(CRTC, (0x11, 0x2C), (0x06, 0x0D), (0x07, 0x3E), (0x10, 0xEA), (0x11, 0xAC), (0x12, 0xDF))
        guest.put(CRTC, (0x15, 0xE7), (0x16, 0x06), (0x14, 0x00), (0x17, 0xE3))
        assert mode_name(guest.card) == "graphics mode 320x240x8"
        assert guest.picture[:2] == (320, 240)

    def test_pages_are_flipped_by_the_start_address(self, guest: VideoGuest) -> None:
        guest.put(SEQUENCER, (4, 0x06), (2, 0x0F))
        guest.put(CRTC, (0x14, 0x00), (0x17, 0xE3))
        guest.cpu_write(0xA0000 + 16000, 33)
        guest.put(CRTC, (0x0C, 16000 >> 8), (0x0D, 16000 & 0xFF))
        assert [guest.pixel(column, 0) for column in (0, 3, 4)] == [vga_color(33), vga_color(33), BLACK]


class TestFramebuffer:
    def enter(self, guest: VideoGuest, depth: int, width: int = 64, height: int = 4) -> None:
        for index, value in ((4, 0), (1, width), (2, height), (3, depth), (4, 0x41)):
            guest.write_port(0x1CE, index, 2)
            guest.write_port(0x1CF, value, 2)

    @pytest.mark.parametrize(
        ("depth", "pixel", "color"),
        [
            (15, 0b0_11111_00000_00000, (255, 0, 0)),
            (15, 0b0_00000_11111_00000, (0, 255, 0)),
            (15, 0b1_10000_00001_01000, (132, 8, 66)),
            (16, 0b11111_000000_00000, (255, 0, 0)),
            (16, 0b00000_111111_00000, (0, 255, 0)),
            (16, 0b00001_100001_11111, (8, 134, 255)),
            (24, 0x123456, (0x12, 0x34, 0x56)),
            (32, 0xFF123456, (0x12, 0x34, 0x56)),
        ],
    )
    def test_true_color(self, guest: VideoGuest, depth: int, pixel: int, color: tuple[int, int, int]) -> None:
        self.enter(guest, depth)
        size = (depth + 7) // 8
        guest.cpu_write(FRAMEBUFFER + size * (64 * 3 + 5), pixel, size)
        assert guest.pixel(5, 3) == color
        assert guest.pixel(4, 3) == guest.pixel(6, 3) == BLACK
        assert mode_name(guest.card) == f"graphics mode 64x4x{depth}"

    def test_every_green_of_16_bits_is_brighter_than_the_one_before(self, guest: VideoGuest) -> None:
        self.enter(guest, 16)
        for green in range(64):
            guest.cpu_write(FRAMEBUFFER + 2 * green, green << 5, 2)
        greens = list(guest.picture.rgb[1 : 3 * 64 : 3])
        assert greens == sorted(set(greens))
        assert (greens[0], greens[-1]) == (0, 255)

    def test_eight_bits_go_through_the_dac(self, guest: VideoGuest) -> None:
        set_mode(guest, 0x13)
        self.enter(guest, 8)
        guest.cpu_write(FRAMEBUFFER + 64, 44)
        assert guest.pixel(0, 1) == vga_color(44)

    def test_four_bits_are_planes(self, guest: VideoGuest) -> None:
        set_mode(guest, 0x12)
        self.enter(guest, 4)
        guest.put(SEQUENCER, (2, 0x05), (4, 0x06))
        guest.cpu_write(0xA0000 + 64 // 8 * 2 + 1, 0x40)
        assert guest.pixel(9, 2) == SIXTEEN[5]

    @pytest.mark.parametrize("depth", [4, 8, 32])
    def test_the_offset_moves_the_screen(self, guest: VideoGuest, depth: int) -> None:
        set_mode(guest, 0x12)
        self.enter(guest, depth)
        for index, value in ((6, 128), (8, 11), (9, 2)):
            guest.write_port(0x1CE, index, 2)
            guest.write_port(0x1CF, value, 2)
        if depth == 4:
            guest.put(SEQUENCER, (2, 0x0F), (4, 0x06))
            guest.cpu_write(0xA0000 + 128 // 8 * 3 + 1, 0x01)  # pixel 15 of line 3
        else:
            guest.cpu_write(FRAMEBUFFER + depth // 8 * (128 * 3 + 15), 0xFFFFFF0F & (1 << depth) - 1, depth // 8)
        assert guest.pixel(4, 1) != BLACK
        assert guest.pixel(3, 1) == guest.pixel(5, 1) == guest.pixel(4, 2) == BLACK

    def test_it_is_dark_while_the_palette_is_loaded(self, guest: VideoGuest) -> None:
        self.enter(guest, 32)
        guest.cpu_write(FRAMEBUFFER, 0xFFFFFF, 4)
        guest.read_port(0x3DA)
        guest.write_port(0x3C0, 0)
        assert not any(guest.picture.rgb)


def test_looking_changes_nothing(guest: VideoGuest) -> None:
    set_mode(guest, 0x13)
    guest.cpu_write(0xA0000, 1)
    before = bytes(guest.video_ram), len(guest.windows), guest.card.window.planes.latches
    assert guest.picture == guest.picture
    assert (bytes(guest.video_ram), len(guest.windows), guest.card.window.planes.latches) == before
