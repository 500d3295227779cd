"""The VGA's registers against IBM's reference."""

from __future__ import annotations

import pytest

from hillemu.emu.bus import Bus
from hillemu.emu.clock import Clock
from hillemu.emu.devices.video.vga import ATTRIBUTE_BITS, GRAPHICS_BITS, SEQUENCER_BITS, Vga, mode_3_palette


class Bench:
    """A VGA at its ports, on a clock of one tick per nanosecond."""

    def __init__(self) -> None:
        self.clock = Clock(frequency_hz=1_000_000_000)
        self.reports: list[str] = []
        self.vga = Vga(clock=self.clock, report=self.reports.append)
        self.ports = Bus("port", limit=0x10000)
        for base, count, device in self.vga.windows():
            self.ports.attach(base, count, device, name="vga")

    def out(self, port: int, value: int) -> None:
        self.ports.write(port, 1, value)

    def inb(self, port: int) -> int:
        return self.ports.read(port, 1)

    def set(self, port: int, index: int, value: int) -> None:
        """Write to an indexed register, with one 16-bit access as most programs do."""
        self.ports.write(port, 2, value << 8 | index)

    def get(self, port: int, index: int) -> int:
        self.out(port, index)
        return self.inb(port + 1)


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize(
    ("port", "registers"),
    [
        (0x3C4, "03 00 03 00 02"),
        (0x3D4, "5f 4f 50 82 55 81 bf 1f 00 4f 0d 0e 00 00 00 00 9c 8e 8f 28 1f 96 b9 a3 ff"),
        (0x3CE, "00 00 00 00 00 10 0e 00 ff"),
    ],
)
def test_the_bios_leaves_mode_3(bench: Bench, port: int, registers: str) -> None:
    expected = bytes.fromhex(registers)
    assert bytes(bench.get(port, index) for index in range(len(expected))) == expected
    assert bench.inb(0x3CC) == 0x67


@pytest.mark.parametrize(("port", "bits"), [(0x3C4, SEQUENCER_BITS), (0x3CE, GRAPHICS_BITS)])
def test_reserved_bits_read_zero(bench: Bench, port: int, bits: bytes) -> None:
    for index, existing in enumerate(bits):
        bench.set(port, index, 0xFF)
        assert bench.get(port, index) == existing
        bench.set(port, index, 0x00)
        assert bench.get(port, index) == 0


def test_registers_that_do_not_exist_keep_nothing(bench: Bench) -> None:
    for port, index in ((0x3C4, 7), (0x3CE, 15), (0x3D4, 0x30)):
        bench.set(port, index, 0x55)
        assert bench.get(port, index) == 0


# -- CRTC -------------------------------------------------------------------------------------------------------


def test_the_protect_bit_guards_registers_0_to_7_but_for_line_compare(bench: Bench) -> None:
    before = bytes(bench.vga.crtc)
    for index in range(8):
        bench.set(0x3D4, index, before[index] ^ 0xFF)
    assert bench.vga.crtc[:7] == before[:7]
    assert bench.vga.crtc[7] == before[7] ^ 0x10
    bench.set(0x3D4, 0x11, 0x0E)
    for index in range(8):
        bench.set(0x3D4, index, 0x5A)
    assert bench.vga.crtc[:8] == bytes([0x5A] * 8)


def test_the_cursor_is_read_back(bench: Bench) -> None:
    bench.set(0x3D4, 0x0E, 0x07)
    bench.set(0x3D4, 0x0F, 0xCF)
    assert bench.vga.cursor_cell == 0x7CF
    assert (bench.get(0x3D4, 0x0E), bench.get(0x3D4, 0x0F)) == (0x07, 0xCF)


@pytest.mark.parametrize(
    ("start", "end", "enabled"),
    [(0x0D, 0x0E, True), (0x20, 0x00, False), (0x2D, 0x0E, False), (0x0E, 0x0D, False), (0, 0x0F, True)],
)
def test_the_cursor_has_a_shape_or_is_off(bench: Bench, start: int, end: int, enabled: bool) -> None:
    bench.set(0x3D4, 0x0A, start)
    bench.set(0x3D4, 0x0B, end)
    assert bench.vga.cursor_enabled == enabled


def test_misc_output_moves_the_crtc_between_color_and_mono_ports(bench: Bench) -> None:
    bench.set(0x3D4, 0x0F, 0x12)
    assert bench.inb(0x3B5) == 0xFF
    bench.set(0x3B4, 0x0F, 0x99)
    assert bench.get(0x3D4, 0x0F) == 0x12, "nobody is at the mono ports"
    bench.out(0x3C2, 0x66)
    assert bench.inb(0x3D5) == 0xFF
    assert bench.inb(0x3DA) == 0xFF
    assert bench.get(0x3B4, 0x0F) == 0x12
    assert bench.inb(0x3BA) != 0xFF
    bench.set(0x3B4, 0x0F, 0x99)
    bench.out(0x3C2, 0x67)
    assert bench.get(0x3D4, 0x0F) == 0x99


# -- attribute controller ---------------------------------------------------------------------------------------


def test_the_attribute_port_alternates_between_index_and_data(bench: Bench) -> None:
    bench.inb(0x3DA)
    for index, value in ((0x00, 0x3F), (0x11, 0xAB), (0x10, 0x08)):
        bench.out(0x3C0, index)
        bench.out(0x3C0, value)
    for index, value in ((0x00, 0x3F), (0x11, 0xAB), (0x10, 0x08)):
        bench.inb(0x3DA)
        bench.out(0x3C0, index)
        assert bench.inb(0x3C1) == value


def test_reading_status_1_makes_the_next_write_an_index(bench: Bench) -> None:
    bench.inb(0x3DA)
    bench.out(0x3C0, 0x01)
    bench.inb(0x3DA)
    bench.out(0x3C0, 0x02)
    bench.out(0x3C0, 0x2A)
    assert bench.vga.attribute[1:3] == bytes([0x01, 0x2A])


def test_peeking_at_status_1_leaves_the_flip_flop_alone(bench: Bench) -> None:
    bench.inb(0x3DA)
    bench.out(0x3C0, 0x01)
    bench.ports.peek(0x3DA, 1)
    bench.out(0x3C0, 0x2A)
    assert bench.vga.attribute[1] == 0x2A


def test_the_index_reads_back_with_the_palette_address_source(bench: Bench) -> None:
    assert bench.inb(0x3C0) == 0x20
    bench.inb(0x3DA)
    bench.out(0x3C0, 0xF4)
    assert bench.inb(0x3C0) == 0x34


def test_reserved_attribute_bits_read_zero(bench: Bench) -> None:
    bench.inb(0x3DA)
    for index, existing in enumerate(ATTRIBUTE_BITS):
        bench.out(0x3C0, index)
        bench.out(0x3C0, 0xFF)
        assert bench.vga.attribute[index] == existing


# -- DAC --------------------------------------------------------------------------------------------------------


def test_the_dac_steps_through_red_green_blue_and_the_next_color(bench: Bench) -> None:
    bench.out(0x3C8, 0xFF)
    for value in (1, 2, 3, 4, 5, 0xC6):
        bench.out(0x3C9, value)
    assert bench.vga.palette[0xFF * 3 :] == bytes([1, 2, 3])
    assert bench.vga.palette[:3] == bytes([4, 5, 6]), "the index wraps, a component has six bits"
    bench.out(0x3C7, 0xFF)
    assert [bench.inb(0x3C9) for _ in range(6)] == [1, 2, 3, 4, 5, 6]


def test_the_dac_state_tells_reading_from_writing(bench: Bench) -> None:
    bench.out(0x3C8, 0)
    assert bench.inb(0x3C7) == 0
    bench.out(0x3C7, 0)
    assert bench.inb(0x3C7) == 3


def test_peeking_at_the_dac_does_not_step_it(bench: Bench) -> None:
    bench.out(0x3C7, 7)
    assert bench.ports.peek(0x3C9, 1) == bench.ports.peek(0x3C9, 1) == 0x2A
    assert bench.inb(0x3C9) == 0x2A


@pytest.mark.parametrize(
    ("color", "rgb"),
    # The 16 CGA colors by the attribute controller's way, as the BIOS listing prints them.
    [
        (0x00, (0, 0, 0)),
        (0x01, (0, 0, 42)),
        (0x04, (42, 0, 0)),
        (0x07, (42, 42, 42)),
        (0x14, (42, 21, 0)),
        (0x38, (21, 21, 21)),
        (0x3A, (21, 63, 21)),
        (0x3F, (63, 63, 63)),
    ],
)
def test_the_palette_of_mode_3_is_the_egas(color: int, rgb: tuple[int, int, int]) -> None:
    assert tuple(mode_3_palette()[color * 3 : color * 3 + 3]) == rgb


def test_the_pixel_mask_and_other_plain_registers_read_back(bench: Bench) -> None:
    for write, read, value in ((0x3C6, 0x3C6, 0x0F), (0x3DA, 0x3CA, 0x03), (0x3C3, 0x3C3, 0), (0x3C8, 0x3C8, 0x42)):
        bench.out(write, value)
        assert bench.inb(read) == value
    assert bench.inb(0x3C2) & 0x10
    assert bench.inb(0x3CB) == 0xFF


# -- the beam ---------------------------------------------------------------------------------------------------


def changes(bench: Bench, bit: int, duration_ns: int, step_ns: int) -> list[int]:
    """When `bit` of input status 1 rises."""
    rises, before = [], bench.inb(0x3DA) & bit
    for at in range(0, duration_ns, step_ns):
        bench.clock.advance(step_ns)
        now = bench.inb(0x3DA) & bit
        if now and not before:
            rises.append(at)
        before = now
    return rises


def test_vertical_retrace_comes_70_times_a_second(bench: Bench) -> None:
    rises = changes(bench, 0x08, 1_000_000_000, 30_000)
    assert len(rises) == 70


def test_lines_come_31_500_times_a_second(bench: Bench) -> None:
    rises = changes(bench, 0x01, 10_000_000, 1_000)
    assert len(rises) == pytest.approx(314, abs=2)


def test_retrace_lasts_two_lines_and_the_display_is_off_meanwhile(bench: Bench) -> None:
    retrace = off = 0
    steps = 14_268
    for _ in range(steps):
        bench.clock.advance(1_000)
        status = bench.inb(0x3DA)
        retrace += bool(status & 0x08)
        off += status & 1
        assert status & 0x09 != 0x08
    assert retrace == pytest.approx(2 * 31.78, abs=2)
    assert off / steps == pytest.approx(1 - 400 / 449 * 80 / 100, abs=0.01)


def test_480_line_timing_runs_at_60_hz(bench: Bench) -> None:
    bench.out(0x3C2, 0xE3)
    bench.set(0x3C4, 1, 0x01)
    bench.set(0x3D4, 0x11, 0x0C)
    for index, value in {0x06: 0x0B, 0x07: 0x3E, 0x10: 0xEA, 0x12: 0xDF}.items():
        bench.set(0x3D4, index, value)
    assert len(changes(bench, 0x08, 1_000_000_000, 30_000)) == 60
    assert bench.vga.text_size == (30, 80)


@pytest.mark.parametrize("value", [0x00, 0xFF])
def test_any_timing_can_be_programmed_without_harm(bench: Bench, value: int) -> None:
    bench.out(0x3C2, value | 1)
    bench.set(0x3C4, 1, value)
    bench.set(0x3D4, 0x11, value & 0x7F)
    for index in range(0x19):
        if index != 0x11:
            bench.set(0x3D4, index, value)
    for _ in range(100):
        bench.clock.advance(12_345)
        assert bench.inb(0x3DA) & ~0x09 == 0
    rows, columns = bench.vga.text_size
    assert rows >= 0
    assert columns == value + 1


# -- modes ------------------------------------------------------------------------------------------------------


def test_text_sizes_follow_the_crtc(bench: Bench) -> None:
    assert bench.vga.text_size == (25, 80)
    bench.set(0x3D4, 0x09, 0x47)
    assert bench.vga.text_size == (50, 80)
    bench.set(0x3D4, 0x11, 0x0E)
    bench.set(0x3D4, 0x01, 39)
    bench.set(0x3D4, 0x13, 20)
    assert (bench.vga.text_size, bench.vga.row_cells) == ((50, 40), 40)
    bench.set(0x3D4, 0x09, 0xC7)
    assert bench.vga.text_size == (25, 40), "each line is drawn twice"


def test_graphics_is_no_text_mode_until_reset(bench: Bench) -> None:
    bench.set(0x3CE, 6, 0x05)
    assert not bench.vga.in_text_mode
    bench.vga.reset()
    assert bench.vga.in_text_mode


def test_enabling_the_vertical_interrupt_is_reported(bench: Bench) -> None:
    bench.set(0x3D4, 0x11, 0x8E)
    bench.set(0x3D4, 0x11, 0x3E)
    assert bench.reports == [], "kept cleared, or off"
    bench.set(0x3D4, 0x11, 0x1E)
    assert len(bench.reports) == 1
    assert "vertical interrupt" in bench.reports[0]


def test_the_screen_is_dark_while_the_palette_is_loaded_or_the_beam_is_off(bench: Bench) -> None:
    bench.inb(0x3DA)
    bench.out(0x3C0, 0x00)
    assert bench.vga.is_blank
    bench.inb(0x3DA)
    bench.out(0x3C0, 0x20)
    assert not bench.vga.is_blank
    bench.set(0x3C4, 1, 0x20)
    assert bench.vga.is_blank
