"""INT 10h AH=4Fh, against what SeaBIOS's video BIOS answers on QEMU and against what the card then shows."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from video_bench import FRAMEBUFFER, VideoGuest

from hillemu.boot.bios import vbe_state
from hillemu.boot.bios.call import BiosCall, fake_call
from hillemu.boot.bios.modes import set_mode
from hillemu.boot.bios.screen_setup import mode_setter, set_video_mode
from hillemu.boot.bios.vbe import ABSENT, DONE, FAILED, WRONG_MODE, VbeService
from hillemu.boot.bios.vbe_modes import BY_NUMBER, MODES
from hillemu.boot.bios.video_rom import install_video_rom
from hillemu.boot.video_mode import set_best_mode
from hillemu.emu.devices.video.edid import edid_block
from hillemu.emu.devices.video.picture import mode_name
from hillemu.emu.guest import FakeGuest
from hillemu.emu.i386.address import PhysAddr

BUFFER = 0x2000
SEABIOS = Path(__file__).parents[3] / "support" / "vbe_seabios.txt"


@pytest.fixture
def guest() -> VideoGuest:
    guest = VideoGuest()
    install_video_rom(guest)
    return guest


def vbe(guest: Any, function: int, **registers: int) -> BiosCall:
    """Call function `function`; ES:DI and ES:BX, unless given, are `BUFFER`."""
    call = fake_call(0x10, guest, **{"edi": BUFFER, "eax": 0x4F00 | function, **registers})
    VbeService(edid_block())(call)
    return call


def buffer(guest: VideoGuest, count: int) -> bytes:
    return guest.memory.read(PhysAddr(BUFFER), count)


def far(guest: VideoGuest, pointer: int) -> bytes:
    """The text that a far pointer points to."""
    return guest.memory.read(PhysAddr((pointer >> 16 << 4) + (pointer & 0xFFFF)), 64).split(b"\0")[0]


class TestController:
    def test_a_caller_of_vbe_2_gets_names_and_modes(self, guest: VideoGuest) -> None:
        guest.memory.write(PhysAddr(BUFFER), b"VBE2")
        assert vbe(guest, 0x00).ax == DONE
        info = buffer(guest, 512)
        signature, version, oem, capabilities, modes, units, revision, vendor, product, release = struct.unpack_from(
            "<4sHIIIHHIII", info
        )
        assert (signature, version, capabilities, units, revision) == (b"VESA", 0x0300, 1, 256, 0x0100)
        assert [far(guest, name) for name in (oem, vendor, product, release)] == [
            b"hillemu VBE",
            b"hillemu",
            b"hillemu standard VGA",
            b"1.0",
        ]
        listed = guest.memory.read(PhysAddr((modes >> 16 << 4) + (modes & 0xFFFF)), 2 * len(MODES) + 2)
        assert struct.unpack(f"<{len(MODES) + 1}H", listed) == (*(mode.number for mode in MODES), 0xFFFF)

    @pytest.mark.parametrize("signature", [b"VBE2", b"old?"])
    def test_a_32_bit_caller_with_es_0_may_take_the_pointer_to_the_modes_for_an_address(
        self, guest: VideoGuest, signature: bytes
    ) -> None:
        guest.memory.write(PhysAddr(BUFFER), signature)
        vbe(guest, 0x00)
        (address,) = struct.unpack_from("<I", buffer(guest, 18), 14)
        listed = guest.memory.read(PhysAddr(address), 4)
        assert listed == struct.pack("<HH", *(mode.number for mode in MODES[:2]))

    def test_an_older_caller_gets_256_bytes_and_no_more(self, guest: VideoGuest) -> None:
        guest.memory.write(PhysAddr(BUFFER), b"\xcc" * 512)
        vbe(guest, 0x00)
        assert buffer(guest, 4) == b"VESA"
        assert not any(buffer(guest, 34)[20:]), "the names that only VBE 2.0 has"
        assert buffer(guest, 512)[256:] == b"\xcc" * 256

    def test_without_a_card_there_is_no_vbe(self) -> None:
        guest = FakeGuest(1 << 20)
        assert vbe(guest, 0x00).ax == ABSENT
        assert set_video_mode(guest, 640, 480, 32) is None

    @pytest.mark.parametrize("function", [0x0A, 0x0B, 0x10, 0x14, 0xFF])
    def test_functions_that_are_not_there_say_so(self, guest: VideoGuest, function: int) -> None:
        assert vbe(guest, function).al != 0x4F


class TestModeInformation:
    def test_modes_are_those_of_qemus_card(self, guest: VideoGuest) -> None:
        rows = [row.split() for row in SEABIOS.read_text().splitlines() if not row.startswith("#")]
        assert [int(number, 16) for number, _ in rows] == [mode.number for mode in MODES]
        for number, expected in rows:
            assert vbe(guest, 0x01, ecx=int(number, 16)).ax == DONE
            info = bytearray(buffer(guest, 52))
            info[12:16], info[29] = bytes(4), 0
            assert info.hex() == expected, number

    def test_pages_are_screens_that_fit(self, guest: VideoGuest) -> None:
        vbe(guest, 0x01, ecx=0x118)
        pitch, height, pages = struct.unpack_from("<H", buffer(guest, 64), 16)[0], 768, buffer(guest, 64)[29] + 1
        assert pages * pitch * height <= 16 << 20 < (pages + 1) * (pitch * height + 0xFFFF)

    def test_the_window_function_is_code_that_calls_function_05(self, guest: VideoGuest) -> None:
        vbe(guest, 0x01, ecx=0x101)
        (pointer,) = struct.unpack_from("<I", buffer(guest, 16), 12)
        code = guest.memory.read(PhysAddr((pointer >> 16 << 4) + (pointer & 0xFFFF)), 6)
        assert code == b"\xb8\x05\x4f" + b"\xcd\x10" + b"\xcb", "mov ax, 4F05h; int 10h; retf"

    @pytest.mark.parametrize("number", [0x000, 0x003, 0x108, 0x11C + 0x20, 0x1FF])
    def test_other_numbers_fail(self, guest: VideoGuest, number: int) -> None:
        assert vbe(guest, 0x01, ecx=number).ax == FAILED
        assert vbe(guest, 0x02, ebx=max(number, 0x100)).ax in (FAILED, DONE)

    def test_a_small_card_has_fewer_modes(self) -> None:
        guest = VideoGuest(1 << 20)
        assert vbe(guest, 0x01, ecx=0x101).ax == DONE
        assert vbe(guest, 0x01, ecx=0x118).ax == FAILED
        assert vbe(guest, 0x02, ebx=0x4118).ax == FAILED

    def test_a_framebuffer_that_does_not_answer_is_not_told_of(self, guest: VideoGuest) -> None:
        guest.pci.registers[0x04] = 0
        vbe(guest, 0x01, ecx=0x118)
        attributes, pointer = (
            struct.unpack_from("<H", buffer(guest, 44))[0],
            struct.unpack_from("<I", buffer(guest, 44), 40)[0],
        )
        assert (attributes & 0x80, pointer) == (0, 0)
        assert vbe(guest, 0x02, ebx=0x4118).ax == FAILED
        assert vbe(guest, 0x02, ebx=0x0118).ax == DONE


class TestSettingModes:
    @pytest.mark.parametrize(
        "mode", [mode for mode in MODES if not mode.is_planar], ids=lambda mode: f"{mode.number:x}"
    )
    def test_every_mode_shows_its_first_and_last_pixel(self, guest: VideoGuest, mode: Any) -> None:
        assert vbe(guest, 0x02, ebx=0x4000 | mode.number).ax == DONE
        assert mode_name(guest.card) == f"graphics mode {mode.width}x{mode.height}x{mode.depth}"
        assert not guest.card.vga.is_palette_off
        assert vbe(guest, 0x03).bx == 0x4000 | mode.number
        end = mode.pitch_bytes * mode.height
        assert guest.card.dispi.line_bytes == mode.pitch_bytes
        assert end <= len(guest.video_ram)

    @pytest.mark.parametrize("number", [0x102, 0x104, 0x106])
    def test_16_colors_have_no_linear_framebuffer(self, guest: VideoGuest, number: int) -> None:
        assert vbe(guest, 0x02, ebx=0x4000 | number).ax == FAILED
        assert vbe(guest, 0x02, ebx=number).ax == DONE
        guest.put(0x3CE, (5, 2), (8, 0x80))
        guest.cpu_read(0xA0000)
        guest.cpu_write(0xA0000, 0x0C)
        assert guest.pixel(0, 0) == (255, 85, 85)

    def test_bit_15_keeps_memory(self, guest: VideoGuest) -> None:
        guest.video_ram[0] = 0xAA
        vbe(guest, 0x02, ebx=0xC101)
        assert guest.video_ram[2] == 0
        guest.video_ram[2] = 0x55
        assert vbe(guest, 0x02, ebx=0xC101).ax == DONE
        assert guest.video_ram[2] == 0x55
        assert vbe(guest, 0x03).bx == 0xC101
        vbe(guest, 0x02, ebx=0x4101)
        assert guest.video_ram[2] == 0

    def test_numbers_below_100h_are_the_bioss_own_modes(self, guest: VideoGuest) -> None:
        vbe(guest, 0x02, ebx=0x4101)
        assert vbe(guest, 0x02, ebx=0x0003).ax == DONE
        assert mode_name(guest.card) == "text mode 80x25"
        assert vbe(guest, 0x03).bx == 0x0003
        assert vbe(guest, 0x02, ebx=0x0008).ax == FAILED

    def test_setting_a_bios_mode_ends_the_vbe_mode(self, guest: VideoGuest) -> None:
        vbe(guest, 0x02, ebx=0x4101)
        set_mode(guest, 0x13)
        assert vbe(guest, 0x03).bx == 0x0013


class TestCurrentMode:
    def enter(self, guest: VideoGuest, mode: int = 0x101) -> None:
        assert vbe(guest, 0x02, ebx=mode).ax == DONE

    def test_the_window_moves_in_units_of_64_kib(self, guest: VideoGuest) -> None:
        self.enter(guest)
        assert vbe(guest, 0x05, ebx=0x0000, edx=4).ax == DONE
        assert vbe(guest, 0x05, ebx=0x0100).dx == 4
        guest.cpu_write(0xA0000 + 123, 15)
        assert guest.pixel(*divmod(0x40000 + 123, 640)[::-1]) == (255, 255, 255)
        assert vbe(guest, 0x05, ebx=0x0000, edx=256).ax == FAILED
        assert vbe(guest, 0x05, ebx=0x0001).ax == FAILED, "there is no window B"

    def test_with_a_linear_framebuffer_there_is_no_window(self, guest: VideoGuest) -> None:
        self.enter(guest, 0x4101)
        assert vbe(guest, 0x05, ebx=0x0000, edx=1).ax == WRONG_MODE
        set_mode(guest, 3)
        assert vbe(guest, 0x05, ebx=0x0100).ax == WRONG_MODE

    @pytest.mark.parametrize(
        ("mode", "asked_for", "bytes_", "pixels"),
        [(0x4101, 1000, 1000, 1000), (0x4112, 643, 1944, 648), (0x4142, 100, 2560, 640), (0x102, 1024, 128, 1024)],
    )
    def test_lines_get_longer(self, guest: VideoGuest, mode: int, asked_for: int, bytes_: int, pixels: int) -> None:
        self.enter(guest, mode)
        call = vbe(guest, 0x06, ebx=0, ecx=asked_for)
        lines = min((16 << 20) // (bytes_ * (4 if mode == 0x102 else 1)), 0xFFFF)
        assert (call.ax, call.bx, call.cx, call.dx) == (DONE, bytes_, pixels, lines)
        asked = vbe(guest, 0x06, ebx=1)
        assert (asked.ax, asked.bx, asked.cx, asked.dx) == (DONE, bytes_, pixels, lines)
        again = vbe(guest, 0x06, ebx=2, ecx=bytes_)
        assert (again.bx, again.cx) == (bytes_, pixels)

    def test_the_longest_line_is_told_and_can_be_had(self, guest: VideoGuest) -> None:
        self.enter(guest, 0x4112)
        longest = vbe(guest, 0x06, ebx=3)
        assert longest.ax == DONE
        assert vbe(guest, 0x06, ebx=0, ecx=longest.cx).ax == DONE
        assert vbe(guest, 0x06, ebx=1).cx == longest.cx
        assert vbe(guest, 0x06, ebx=0, ecx=0xFFFF).ax == FAILED
        set_mode(guest, 3)
        assert vbe(guest, 0x06, ebx=1).ax == WRONG_MODE

    def test_the_screen_starts_where_it_is_told_to(self, guest: VideoGuest) -> None:
        self.enter(guest, 0x4101)
        vbe(guest, 0x06, ebx=0, ecx=1024)
        assert vbe(guest, 0x07, ebx=0x80, ecx=24, edx=100).ax == DONE
        told = vbe(guest, 0x07, ebx=1)
        assert (told.bh, told.cx, told.dx) == (0, 24, 100)
        guest.cpu_write(FRAMEBUFFER + 1024 * 100 + 24, 15)
        assert guest.pixel(0, 0) == (255, 255, 255)
        assert vbe(guest, 0x07, ebx=0, ecx=400, edx=0).ax == FAILED, "640 pixels do not fit behind it"
        assert vbe(guest, 0x07, ebx=0, ecx=0, edx=0xFFFF).ax == FAILED

    def test_the_dac_gets_eight_bits_and_back(self, guest: VideoGuest) -> None:
        self.enter(guest)
        vbe(guest, 0x05, ebx=0, edx=2)
        assert vbe(guest, 0x08, ebx=0x0800).bh == 8
        assert vbe(guest, 0x08, ebx=0x0001).bh == 8
        guest.memory.write(PhysAddr(BUFFER), bytes([0x10, 0x80, 0xFF, 0]))
        assert vbe(guest, 0x09, ebx=0, ecx=1, edx=7).ax == DONE
        guest.video_ram[0] = 7
        assert guest.pixel(0, 0) == (0xFF, 0x80, 0x10)
        assert vbe(guest, 0x05, ebx=0x0100).dx == 2, "the window stays where it was"
        assert vbe(guest, 0x08, ebx=0x0600).bh == 6
        self.enter(guest, 0x4112)
        assert vbe(guest, 0x08, ebx=0x0800).ax == WRONG_MODE

    def test_the_palette_is_blue_green_red(self, guest: VideoGuest) -> None:
        self.enter(guest)
        entries = bytes([1, 2, 3, 0, 4, 5, 6, 0])
        guest.memory.write(PhysAddr(BUFFER), entries)
        assert vbe(guest, 0x09, ebx=0x80, ecx=2, edx=254).ax == DONE
        assert guest.card.vga.palette[-6:] == bytes([3, 2, 1, 6, 5, 4])
        guest.memory.fill(PhysAddr(BUFFER), 8)
        assert vbe(guest, 0x09, ebx=1, ecx=2, edx=254).ax == DONE
        assert buffer(guest, 8) == entries
        assert vbe(guest, 0x09, ebx=0, ecx=2, edx=255).ax == FAILED

    def test_the_monitor_tells_its_edid(self, guest: VideoGuest) -> None:
        able = vbe(guest, 0x15, ebx=0)
        assert (able.ax, able.bl & 3) == (DONE, 3)
        assert vbe(guest, 0x15, ebx=1, edx=0).ax == DONE
        assert buffer(guest, 128) == edid_block()
        assert vbe(guest, 0x15, ebx=1, edx=1).ax == FAILED
        no_monitor = fake_call(0x10, guest, eax=0x4F15)  # type: ignore[arg-type]
        VbeService()(no_monitor)
        assert no_monitor.ax == FAILED


class TestState:
    @pytest.mark.parametrize("parts", range(1, 16))
    def test_as_much_is_saved_as_is_told(self, guest: VideoGuest, parts: int) -> None:
        blocks = vbe(guest, 0x04, edx=0, ecx=parts).bx
        guest.memory.write(PhysAddr(BUFFER), b"\xcc" * 4096)
        assert vbe(guest, 0x04, edx=1, ecx=parts, ebx=BUFFER).ax == DONE
        assert buffer(guest, 4096)[64 * blocks :] == b"\xcc" * (4096 - 64 * blocks)
        assert len(vbe_state.save(guest, parts)) == vbe_state.size_of(parts)

    @pytest.mark.parametrize("mode", [0x0003, 0x0012, 0x0007, 0x4115, 0x0103])
    def test_a_mode_comes_back(self, guest: VideoGuest, mode: int) -> None:
        vbe(guest, 0x02, ebx=mode)
        guest.write_port(0x3C8, 9)
        guest.write_port(0x3C9, 33)
        before, name = vbe_state.save(guest, 0x0F), mode_name(guest.card)
        assert not guest.card.vga.is_blank or mode & 0x100, "saving leaves the screen on"
        assert vbe(guest, 0x04, edx=1, ecx=0x0F, ebx=BUFFER).ax == DONE
        for other in (0x0013, 0x0107):
            vbe(guest, 0x02, ebx=other)
            vbe(guest, 0x04, edx=2, ecx=0x0F, ebx=BUFFER)
            assert vbe_state.save(guest, 0x0F) == before
            assert mode_name(guest.card) == name
            assert vbe(guest, 0x03).bx == mode


class TestLoadersWish:
    @pytest.mark.parametrize("depth", [8, 15, 16, 24, 32])
    def test_a_loader_gets_a_framebuffer(self, guest: VideoGuest, depth: int) -> None:
        screen = set_video_mode(guest, 1024, 768, depth)
        assert screen is not None
        assert mode_name(guest.card) == f"graphics mode 1024x768x{depth}"
        assert (screen.address, screen.width, screen.height) == (FRAMEBUFFER, 1024, 768)
        assert (screen.pitch_bytes, screen.depth) == (1024 * -(-depth // 8), 8 * -(-depth // 8))
        assert screen.vbe is not None
        assert screen.vbe.mode == vbe(guest, 0x03).bx
        assert BY_NUMBER[screen.vbe.mode & 0x1FF][1:] == (1024, 768, depth)
        assert (screen.vbe.controller_info[:4], len(screen.vbe.controller_info)) == (b"VESA", 512)
        if depth == 8:
            assert len(screen.palette) == 768
            assert screen.palette[45:48] == b"\xff\xff\xff"
            return
        for field, color in ((screen.red, (255, 0, 0)), (screen.green, (0, 255, 0)), (screen.blue, (0, 0, 255))):
            lowest, bits = field
            guest.cpu_write(FRAMEBUFFER, ((1 << bits) - 1) << lowest, screen.depth // 8)
            assert guest.pixel(0, 0) == color

    def test_what_is_not_there_changes_nothing(self, guest: VideoGuest) -> None:
        for wish in ((1000, 700, 32), (800, 600, 4), (800, 600, 0)):
            assert set_video_mode(guest, *wish) is None
        assert mode_name(guest.card) == "text mode 80x25"

    def test_the_nearest_mode_is_found_through_the_door(self, guest: VideoGuest) -> None:
        screen = set_best_mode(mode_setter(guest), 800, 600, 0)
        assert screen is not None
        assert (screen.width, screen.height, screen.depth) == (800, 600, 32)
