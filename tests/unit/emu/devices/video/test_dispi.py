"""The Bochs VBE registers; the expectations were read from QEMU 7.2's card."""

from __future__ import annotations

import pytest
from video_bench import VideoGuest

from hillemu.emu.devices.video.dispi import (
    BANK,
    BPP,
    DAC_8_BITS,
    ENABLE,
    ENABLED,
    GET_LIMITS,
    ID,
    KEEP_MEMORY,
    LINEAR,
    VIDEO_MEMORY,
    VIRT_HEIGHT,
    VIRT_WIDTH,
    X_OFFSET,
    XRES,
    Y_OFFSET,
    YRES,
)


class Bench(VideoGuest):
    def get(self, index: int) -> int:
        self.write_port(0x1CE, index, 2)
        return self.read_port(0x1CF, 2)

    def set(self, index: int, value: int) -> None:
        self.write_port(0x1CE, index, 2)
        self.write_port(0x1CF, value, 2)

    def enter(self, width: int, height: int, depth: int, flags: int = LINEAR) -> None:
        self.set(ENABLE, 0)
        self.set(XRES, width)
        self.set(YRES, height)
        self.set(BPP, depth)
        self.set(ENABLE, ENABLED | flags)


@pytest.fixture
def bench() -> Bench:
    return Bench(1 << 20)


def test_the_version_can_be_asked_for_and_lowered(bench: Bench) -> None:
    assert bench.get(ID) == 0xB0C5
    bench.set(ID, 0xB0C2)
    assert bench.get(ID) == 0xB0C2
    bench.set(ID, 0xB0C6)
    bench.set(ID, 0x1234)
    assert bench.get(ID) == 0xB0C2


def test_memory_is_counted_in_units_of_64_kib(bench: Bench) -> None:
    assert bench.get(VIDEO_MEMORY) == 16
    assert bench.get(VIDEO_MEMORY + 1) == 0


def test_the_data_register_is_also_at_the_even_port(bench: Bench) -> None:
    bench.write_port(0x1CE, XRES, 2)
    bench.write_port(0x1D0, 640, 2)
    assert bench.read_port(0x1CF, 2) == bench.read_port(0x1D0, 2) == 640
    assert bench.read_port(0x1CE, 2) == XRES


def test_bytes_are_not_answered(bench: Bench) -> None:
    bench.set(XRES, 640)
    bench.write_port(0x1CF, 0x11)
    assert bench.read_port(0x1CF) == 0xFF
    assert bench.get(XRES) == 640


def test_limits_are_read_with_their_bit_set(bench: Bench) -> None:
    bench.set(XRES, 320)
    bench.set(ENABLE, GET_LIMITS)
    assert [bench.get(index) for index in (XRES, YRES, BPP)] == [16000, 12000, 32]
    bench.set(ENABLE, 0)
    assert bench.get(XRES) == 320


def test_entering_a_mode_clears_its_part_of_memory_unless_told_not_to(bench: Bench) -> None:
    bench.video_ram[:] = b"\xaa" * len(bench.video_ram)
    bench.enter(64, 10, 32)
    assert not any(bench.video_ram[: 64 * 10 * 4])
    assert bench.video_ram[64 * 10 * 4 + 2] == 0xAA
    bench.enter(320, 200, 8, LINEAR | KEEP_MEMORY)
    assert bench.video_ram[64 * 10 * 4 + 2] == 0xAA


def test_text_is_out_of_the_way_before_memory_is_cleared(bench: Bench) -> None:
    bench.cpu_write(0xB8000, 0x41)
    bench.enter(64, 10, 32)
    bench.set(ENABLE, 0)
    assert bench.cpu_read(0xB8000) == 0, "it was cleared with the rest"
    bench.cpu_write(0xB8000, 0x42)
    bench.enter(64, 10, 32, KEEP_MEMORY)
    assert bench.video_ram[0] == 0x42
    bench.set(ENABLE, 0)
    assert bench.cpu_read(0xB8000) == 0x42


@pytest.mark.parametrize(
    ("width", "height", "depth", "kept"),
    [
        (643, 480, 8, (640, 480, 8, 640, 1638)),
        (0, 0, 8, (8, 1, 8, 8, 131072)),
        (640, 480, 7, (640, 480, 8, 640, 1638)),
        (640, 60000, 32, (640, 409, 32, 640, 409)),
        (320, 200, 15, (320, 200, 15, 320, 1638)),
        (320, 200, 4, (320, 200, 4, 320, 6553)),
    ],
)
def test_impossible_sizes_are_mended(
    bench: Bench, width: int, height: int, depth: int, kept: tuple[int, int, int, int, int]
) -> None:
    bench.enter(width, height, depth)
    assert tuple(bench.get(index) for index in (XRES, YRES, BPP, VIRT_WIDTH, VIRT_HEIGHT)) == kept


def test_the_screen_is_a_part_of_a_larger_plane(bench: Bench) -> None:
    bench.enter(320, 200, 8)
    bench.set(VIRT_WIDTH, 512)
    bench.set(X_OFFSET, 100)
    bench.set(Y_OFFSET, 7)
    assert [bench.get(index) for index in (VIRT_WIDTH, VIRT_HEIGHT, X_OFFSET, Y_OFFSET)] == [512, 2048, 100, 7]
    assert bench.card.dispi.start == 7 * 512 + 100
    bench.set(VIRT_WIDTH, 100)
    assert bench.get(VIRT_WIDTH) == 320, "never narrower than the screen"
    bench.set(VIRT_HEIGHT, 3)
    assert bench.get(VIRT_HEIGHT) == (1 << 20) // 320, "read only"


def test_a_screen_that_would_leave_memory_goes_back_to_its_start(bench: Bench) -> None:
    bench.enter(320, 200, 8)
    bench.set(Y_OFFSET, 3277)
    assert bench.get(Y_OFFSET) == 0
    bench.set(Y_OFFSET, 3000)
    assert bench.get(Y_OFFSET) == 3000


def test_the_window_shows_the_bank(bench: Bench) -> None:
    bench.enter(640, 480, 8, 0)
    bench.set(BANK, 3)
    assert bench.windows[-1] == (0xA0000, True, 0x30000)
    bench.cpu_write(0xA0010, 0xDDCCBBAA, 4)
    assert bench.video_ram[0x30010:0x30014] == b"\xaa\xbb\xcc\xdd"
    bench.video_ram[0x3FFFF] = 0x77
    assert bench.cpu_read(0xAFFFF) == 0x77
    assert bench.cpu_read(0xB0000) == 0xFF
    bench.set(BANK, 0x1F)
    assert bench.get(BANK) == 0x0F, "it wraps at the end of memory"


def test_planar_modes_bank_through_all_of_memory(bench: Bench) -> None:
    bench.enter(1024, 768, 4, 0)
    bench.put(0x3C4, (2, 0x0F), (4, 0x06))
    bench.put(0x3CE, (0, 0), (1, 0), (3, 0), (5, 0), (6, 0x05), (8, 0xFF))
    bench.set(BANK, 1)
    bench.cpu_write(0xA0002, 0x3C)
    assert bench.video_ram[4 * 0x10002 : 4 * 0x10003] == b"\x3c" * 4


def test_the_dac_takes_eight_bits_when_told(bench: Bench) -> None:
    bench.enter(320, 200, 8, LINEAR | DAC_8_BITS)
    bench.write_port(0x3C8, 1)
    for value in (0xFF, 0x80, 0x01):
        bench.write_port(0x3C9, value)
    bench.video_ram[0] = 1
    assert bench.pixel(0, 0) == (0xFF, 0x80, 0x01)


def test_a_reset_ends_the_mode(bench: Bench) -> None:
    bench.enter(320, 200, 8)
    bench.card.reset()
    assert bench.get(ENABLE) == 0
    assert bench.card.vga.dac_bits == 6
    assert bench.screen.size == (25, 80)


class TestMmio:
    def test_registers_are_words_from_500h(self, bench: Bench) -> None:
        mmio = bench.card.mmio
        assert mmio.read(0x500, 2) == 0xB0C5
        mmio.write(0x502, 2, 800)
        mmio.write(0x504, 4, 32 << 16 | 600)
        assert [bench.get(index) for index in (XRES, YRES, BPP)] == [800, 600, 32]
        assert mmio.read(0x504, 4) == 32 << 16 | 600
        assert mmio.read(0x514, 2) == 16
        assert mmio.read(0x516, 2) == 0xFFFF
        assert mmio.read(0x503, 1) == 0xFF

    def test_vga_ports_are_from_400h(self, bench: Bench) -> None:
        mmio = bench.card.mmio
        mmio.write(0x404, 2, 0x0F02)
        assert bench.card.vga.sequencer[2] == 0x0F
        mmio.read(0x41A, 1)
        mmio.write(0x400, 1, 0x00)
        assert bench.card.vga.is_palette_off
        assert mmio.peek(0x40C, 1) == 0x67

    def test_the_monitor_is_at_its_start(self, bench: Bench) -> None:
        block = b"".join(bench.card.mmio.read(at, 4).to_bytes(4, "little") for at in range(0, 128, 4))
        assert block[:8] == bytes.fromhex("00ffffffffffff00")
        assert sum(block) % 256 == 0
        assert bench.card.mmio.read(0x80, 4) == 0


def test_the_monitor_prefers_1024_by_768() -> None:
    from hillemu.emu.devices.video.edid import edid_block

    timing = edid_block()[54:72]
    assert (timing[2] | timing[4] >> 4 << 8, timing[5] | timing[7] >> 4 << 8) == (1024, 768)
    total = (1024 + (timing[3] | (timing[4] & 15) << 8)) * (768 + (timing[6] | (timing[7] & 15) << 8))
    assert 10_000 * int.from_bytes(timing[:2], "little") / total == pytest.approx(60.0, abs=0.1)
