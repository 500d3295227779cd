"""Who answers in the video window, and that it makes no difference to what display memory holds."""

from __future__ import annotations

import random

import pytest
from video_bench import VideoGuest

SEQUENCER, GRAPHICS = 0x3C4, 0x3CE
PLAIN_GRAPHICS = ((0, 0), (1, 0), (3, 0), (4, 0), (8, 0xFF))

# name: map mask, memory mode, graphics mode, miscellaneous, first address, bytes
WINDOWS = {
    "text": (0x03, 0x02, 0x10, 0x0E, 0xB8000, 0x8000),
    "mono text": (0x03, 0x02, 0x10, 0x0A, 0xB0000, 0x8000),
    "CGA": (0x03, 0x02, 0x30, 0x0F, 0xB8000, 0x8000),
    "chained": (0x0F, 0x0E, 0x40, 0x05, 0xA0000, 0x10000),
    "one plane": (0x01, 0x06, 0x00, 0x0D, 0xB8000, 0x8000),
}


@pytest.fixture
def guest() -> VideoGuest:
    return VideoGuest(1 << 20)


def arrange(guest: VideoGuest, name: str) -> tuple[int, int]:
    """Program the window; return where it is."""
    map_mask, memory_mode, mode, misc, base, size = WINDOWS[name]
    guest.put(SEQUENCER, (2, map_mask), (4, memory_mode))
    guest.put(GRAPHICS, *PLAIN_GRAPHICS, (5, mode), (6, misc))
    return base, size


def answers(guest: VideoGuest, at: int) -> str:
    return "card" if at & ~0xFFFF in guest.memory.given else "RAM"


@pytest.mark.parametrize("name", WINDOWS)
def test_simple_windows_are_plain_ram(guest: VideoGuest, name: str) -> None:
    base, _ = arrange(guest, name)
    assert answers(guest, base) == "RAM"


@pytest.mark.parametrize(
    ("port", "index", "value"),
    [
        (SEQUENCER, 2, 0x01),
        (SEQUENCER, 2, 0x07),
        (GRAPHICS, 1, 0x0F),
        (GRAPHICS, 3, 0x08),
        (GRAPHICS, 3, 0x01),
        (GRAPHICS, 5, 0x11),
        (GRAPHICS, 5, 0x18),
        (GRAPHICS, 8, 0x7F),
    ],
)
@pytest.mark.parametrize("name", ["text", "chained"])
def test_anything_that_changes_bytes_on_their_way_brings_in_the_card(
    guest: VideoGuest, name: str, port: int, index: int, value: int
) -> None:
    base, _ = arrange(guest, name)
    guest.put(port, (index, value))
    assert answers(guest, base) == "card"
    arrange(guest, name)
    assert answers(guest, base) == "RAM"


@pytest.mark.parametrize("name", WINDOWS)
def test_plain_ram_means_what_the_planes_logic_makes_of_the_same_bytes(name: str) -> None:
    """One card is made to answer itself, by a byte that passes unchanged but looks as if it would not."""
    random.seed(name)
    plain, logic = VideoGuest(1 << 20), VideoGuest(1 << 20)
    base, size = arrange(plain, name)
    arrange(logic, name)
    logic.card.window._change_owner(None)
    assert answers(logic, base) == "card"
    for at in [0, 1, 2, 3, 0x3FFF, 0x4000, 0x7FFE, size - 1, *random.choices(range(size), k=3000)]:
        value = random.randrange(256)
        plain.cpu_write(base + at, value)
        logic.cpu_write(base + at, value)
    assert plain.card.window.display_memory() == logic.card.window.display_memory()
    assert any(plain.card.window.display_memory())
    for at in random.choices(range(size), k=500):
        assert plain.cpu_read(base + at) == logic.cpu_read(base + at)


@pytest.mark.parametrize("first", WINDOWS)
@pytest.mark.parametrize("second", WINDOWS)
def test_content_survives_another_window_that_nobody_writes_to(guest: VideoGuest, first: str, second: str) -> None:
    random.seed(first + second)
    base, size = arrange(guest, first)
    content = random.randbytes(size)
    guest.memory.write(base, content)  # type: ignore[arg-type]
    before = bytes(guest.card.window.display_memory())
    arrange(guest, second)
    assert guest.card.window.display_memory() == before
    arrange(guest, first)
    assert guest.memory.read(base, size) == content  # type: ignore[arg-type]


def test_a_font_is_loaded_into_plane_2_through_plain_ram(guest: VideoGuest) -> None:
    arrange(guest, "text")
    guest.cpu_write(0xB8000, 0x1741, 2)
    guest.put(SEQUENCER, (2, 0x04), (4, 0x07))
    guest.put(GRAPHICS, (4, 2), (5, 0), (6, 0x04))
    assert answers(guest, 0xA0000) == "RAM"
    for row in range(16):
        guest.cpu_write(0xA0000 + 0x41 * 32 + row, 0xC0 + row)
    arrange(guest, "text")
    memory = guest.card.window.display_memory()
    assert memory[2 + 4 * 0x41 * 32 : 2 + 4 * (0x41 * 32 + 16) : 4].tolist() == [0xC0 + row for row in range(16)]
    assert guest.cpu_read(0xB8000, 2) == 0x1741, "the text is still there"


def test_text_is_seen_while_a_font_is_loaded(guest: VideoGuest) -> None:
    guest.memory.write(0xB8000, b"o\x07k\x07")  # type: ignore[arg-type]
    guest.put(SEQUENCER, (2, 0x0F))
    assert answers(guest, 0xB8000) == "card"
    assert guest.card.window.text_at(0xB8000, 4) == b"o\x07k\x07"
    assert guest.screen.lines[0] == "ok"


def test_addresses_that_the_window_does_not_cover_are_open_bus(guest: VideoGuest) -> None:
    assert guest.cpu_read(0xA0000, 4) == 0xFFFFFFFF, "text mode answers at 0xB8000"
    guest.cpu_write(0xA0000, 0)
    guest.put(SEQUENCER, (2, 0x0F), (4, 0x06))
    guest.put(GRAPHICS, (5, 0), (6, 0x05))
    guest.cpu_write(0xA0000, 0x5A)
    assert guest.cpu_read(0xA0000) == 0x5A
    assert guest.cpu_read(0xB8000) == 0xFF


def test_a_window_of_128_kib_reaches_all_of_display_memory(guest: VideoGuest) -> None:
    guest.put(SEQUENCER, (2, 0x03), (4, 0x02))
    guest.put(GRAPHICS, (5, 0x10), (6, 0x02))
    for at, value in ((0xA0000, 0x11), (0xA0001, 0x22), (0xB0000, 0x33), (0xB0001, 0x44)):
        guest.cpu_write(at, value)
    assert [guest.cpu_read(at) for at in (0xA0000, 0xA0001, 0xB0000, 0xB0001)] == [0x11, 0x22, 0x33, 0x44]
    memory = guest.card.window.display_memory()
    assert memory[:8].tolist() == [0x11, 0x22, 0, 0, 0x33, 0x44, 0, 0], "bit 16 became bit 0"


def test_switched_off_memory_does_not_answer(guest: VideoGuest) -> None:
    guest.cpu_write(0xB8000, 0x41)
    guest.write_port(0x3C2, 0x65)
    assert guest.cpu_read(0xB8000) == 0xFF
    guest.write_port(0x3C2, 0x67)
    assert guest.cpu_read(0xB8000) == 0x41


def test_accesses_of_several_bytes_go_byte_by_byte(guest: VideoGuest) -> None:
    guest.put(SEQUENCER, (2, 0x0F), (4, 0x06))
    guest.put(GRAPHICS, (5, 0), (6, 0x05), (4, 3))
    guest.cpu_write(0xA0010, 0x44332211, 4)
    assert guest.cpu_read(0xA0010, 4) == 0x44332211
    assert guest.cpu_read(0xA0012, 2) == 0x4433


def test_peeking_leaves_the_latches_alone(guest: VideoGuest) -> None:
    guest.put(SEQUENCER, (2, 0x0F), (4, 0x06))
    guest.put(GRAPHICS, (5, 0), (6, 0x05))
    guest.cpu_write(0xA0000, 0xAA)
    guest.cpu_read(0xA0001)
    assert guest.card.window.peek(0, 1) == 0xAA
    guest.put(GRAPHICS, (5, 1))
    guest.cpu_write(0xA0000, 0)
    assert guest.cpu_read(0xA0000) == 0, "the latches still held address 1"


def test_looking_at_display_memory_changes_nothing(guest: VideoGuest) -> None:
    guest.cpu_write(0xB8000, 0x41)
    before = bytes(guest.video_ram)
    assert guest.card.window.display_memory()[0] == 0x41
    assert guest.video_ram == before
    assert not any(before), "plain RAM is not copied until it has to be"


def test_a_reset_gives_text_memory_back(guest: VideoGuest) -> None:
    guest.cpu_write(0xB8000, 0x42)
    arrange(guest, "chained")
    guest.put(SEQUENCER, (4, 0x06))
    guest.card.reset()
    assert answers(guest, 0xB8000) == "RAM"
    assert guest.cpu_read(0xB8000) == 0x42
