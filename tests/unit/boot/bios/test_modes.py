"""The video BIOS's modes: registers as IBM's tables have them, memory cleared, fonts loaded, programs told."""

from __future__ import annotations

import hashlib
import struct

import pytest
from video_bench import VideoGuest

from hillemu.boot.bios.font import font
from hillemu.boot.bios.mode_table import MODES
from hillemu.boot.bios.modes import load_font, restore_window, set_mode, start_video
from hillemu.boot.bios.video_palettes import cga_colors, ega_colors, mono_colors, vga_colors
from hillemu.boot.bios.video_rom import FONT_8X8, FONT_8X14, FONT_8X16, ROM_BYTES, SEGMENT, install_video_rom
from hillemu.emu.devices.video.picture import mode_name
from hillemu.emu.i386.address import PhysAddr

NAMES = {
    0x00: "text mode 40x25", 0x01: "text mode 40x25", 0x02: "text mode 80x25", 0x03: "text mode 80x25",
    0x04: "graphics mode 320x200x4", 0x05: "graphics mode 320x200x4", 0x06: "graphics mode 640x200x4",
    0x07: "text mode 80x25", 0x0D: "graphics mode 320x200x4", 0x0E: "graphics mode 640x200x4",
    0x0F: "graphics mode 640x350x4", 0x10: "graphics mode 640x350x4", 0x11: "graphics mode 640x480x4",
    0x12: "graphics mode 640x480x4", 0x13: "graphics mode 320x200x8",
}  # fmt: skip


@pytest.fixture
def guest() -> VideoGuest:
    return VideoGuest(1 << 20)


def load(guest: VideoGuest, at: int, size: int = 1) -> int:
    return int.from_bytes(guest.memory.read(PhysAddr(at), size), "little")


@pytest.mark.parametrize("number", NAMES)
def test_the_chip_shows_the_mode(guest: VideoGuest, number: int) -> None:
    assert set_mode(guest, number)
    assert mode_name(guest.card) == NAMES[number]
    assert not guest.card.vga.is_blank
    assert not any(guest.picture.rgb) or MODES[number].is_text, "but for a text cursor the screen is empty"
    assert guest.card.vga.memory_window[0] == MODES[number].window


@pytest.mark.parametrize(
    ("number", "hertz"), [(0x03, 70.1), (0x04, 70.1), (0x0D, 70.1), (0x10, 70.1), (0x12, 59.9), (0x13, 70.1)]
)
def test_the_timing_is_one_that_a_monitor_takes(guest: VideoGuest, number: int, hertz: float) -> None:
    set_mode(guest, number)
    vga = guest.card.vga
    assert vga._dot_hz / (vga._line_dots * vga._lines) == pytest.approx(hertz, abs=0.1)


def test_there_are_no_other_modes(guest: VideoGuest) -> None:
    before = list(guest.windows)
    for number in (0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x14, 0x7F):
        assert not set_mode(guest, number)
    assert guest.windows == before


@pytest.mark.parametrize("number", NAMES)
def test_programs_are_told(guest: VideoGuest, number: int) -> None:
    set_mode(guest, number)
    mode = MODES[number]
    rows = 30 if number in (0x11, 0x12) else 25
    assert (load(guest, 0x449), load(guest, 0x44A, 2), load(guest, 0x484)) == (number, mode.columns, rows - 1)
    assert load(guest, 0x485, 2) * rows in (400, 200, 350, 480)
    assert load(guest, 0x463, 2) == (0x3B4 if number in (0x07, 0x0F) else 0x3D4)
    assert load(guest, 0x410) & 0x30 == (0x30 if number == 7 else 0x20)
    offset, segment = struct.unpack("<HH", guest.memory.read(PhysAddr(0x43 * 4), 4))
    assert (segment, offset) == (SEGMENT, {8: FONT_8X8, 14: FONT_8X14, 16: FONT_8X16}[load(guest, 0x485)])


@pytest.mark.parametrize("number", [3, 4, 7, 0x12, 0x13])
def test_memory_is_cleared_unless_bit_7_says_not_to(guest: VideoGuest, number: int) -> None:
    set_mode(guest, 0x12)
    guest.put(0x3C4, (2, 0x0F))
    guest.cpu_write(0xA0005, 0xFF)
    guest.cpu_write(0xAFFFF, 0xFF)
    set_mode(guest, number | 0x80)
    kept = guest.card.window.display_memory()
    assert kept[4 * 5 + 3] == 0xFF
    assert kept[4 * 0xFFFF : 4 * 0x10000].tolist() == [0xFF] * 4
    assert load(guest, 0x487) & 0x80
    set_mode(guest, number)
    memory = guest.card.window.display_memory()
    assert not any(memory[3::4])
    if MODES[number].is_text:
        assert guest.memory.read(PhysAddr(MODES[number].window), 0x8000) == b" \x07" * 0x4000
    else:
        assert not any(memory)


@pytest.mark.parametrize("number", [1, 3, 7])
def test_text_modes_have_their_font_in_plane_2(guest: VideoGuest, number: int) -> None:
    set_mode(guest, 0x13)
    set_mode(guest, number)
    plane = bytes(guest.card.window.display_memory()[2::4])
    for code in range(256):
        assert plane[32 * code : 32 * code + 16] == font(16)[16 * code : 16 * code + 16]
        assert not any(plane[32 * code + 16 : 32 * code + 32])


def test_a_part_of_another_font_can_be_loaded(guest: VideoGuest) -> None:
    set_mode(guest, 3)
    guest.memory.write(PhysAddr(0xB8000), b"A\x07")
    load_font(guest, bytes(range(8)), 8, at=0x4000, first=0x41)
    restore_window(guest, MODES[3])
    plane = bytes(guest.card.window.display_memory()[2::4])
    assert plane[0x4000 + 32 * 0x41 :][:9] == bytes(range(8)) + b"\0"
    assert guest.screen.lines[0] == "A"


def test_setting_a_mode_leaves_the_cards_own(guest: VideoGuest) -> None:
    for index, value in ((1, 640), (2, 400), (3, 8), (4, 0x41)):
        guest.write_port(0x1CE, index, 2)
        guest.write_port(0x1CF, value, 2)
    assert mode_name(guest.card) == "graphics mode 640x400x8"
    set_mode(guest, 3)
    assert mode_name(guest.card) == "text mode 80x25"


def test_at_power_on_the_screen_is_what_setting_mode_3_makes_it(guest: VideoGuest) -> None:
    start_video(guest)
    other = VideoGuest(1 << 20)
    set_mode(other, 3)
    assert guest.picture == other.picture
    assert guest.card.window.display_memory() == other.card.window.display_memory()
    assert guest.memory.read(PhysAddr(0xC0000), 2) == b"\x55\xaa"


@pytest.mark.parametrize(
    ("colors", "digest"),
    # SHA-256 of the DAC's 768 bytes that SeaBIOS 1.16's video BIOS leaves in modes 3, 4, 7 and 13h.
    [
        (ega_colors, "e28f5714030f635f3c24519686fecaa478d0c44a7319d66ad2e9e7528e7321f0"),
        (cga_colors, "d09097503fe3b3291fff2a05f38b182315fc2016ce8dd2a0fb7653c6969d8742"),
        (mono_colors, "d75365de55dcbf0662184bad1f3688a12b12560c94bc8de65f39921d08dce713"),
        (vga_colors, "58d253e8f2d9b14a7dc486f5f4f04295d4c66ad04e00f3e16ce7580dfc50e6a4"),
    ],
)
def test_the_dac_has_the_colors_of_every_video_bios(colors: object, digest: str) -> None:
    assert hashlib.sha256(colors()).hexdigest() == digest  # type: ignore[operator]


class TestRom:
    def test_it_is_an_expansion_rom(self, guest: VideoGuest) -> None:
        install_video_rom(guest)
        image = guest.memory.read(PhysAddr(0xC0000), ROM_BYTES)
        assert image[:2] == b"\x55\xaa"
        assert image[2] * 512 == ROM_BYTES
        assert sum(image) % 256 == 0

    def test_its_fonts_are_where_the_vectors_point(self, guest: VideoGuest) -> None:
        install_video_rom(guest)
        for height, offset in ((8, FONT_8X8), (14, FONT_8X14), (16, FONT_8X16)):
            assert guest.memory.read(PhysAddr(0xC0000 + offset), 256 * height) == font(height)
        offset, segment = struct.unpack("<HH", guest.memory.read(PhysAddr(0x1F * 4), 4))
        upper_half = guest.memory.read(PhysAddr((segment << 4) + offset), 1024)
        assert upper_half == font(8)[1024:]
