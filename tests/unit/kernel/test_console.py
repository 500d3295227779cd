"""The kernel's console on a guest without a processor."""

from __future__ import annotations

import pytest

from hillemu.emu.guest import FakeGuest
from hillemu.emu.i386.address import PhysAddr
from hillemu.kernel.console import COLUMNS, CRTC_DATA, CRTC_INDEX, DATA, LINE_STATUS, ROWS, SCREEN, Console


@pytest.fixture
def guest() -> FakeGuest:
    made = FakeGuest(1 << 20)
    made.port_values[LINE_STATUS] = 0x60
    return made


@pytest.fixture
def console(guest: FakeGuest) -> Console:
    made = Console(guest)
    guest.port_writes.clear()
    return made


def rows(guest: FakeGuest) -> list[str]:
    cells = guest.memory.read(PhysAddr(SCREEN), 2 * COLUMNS * ROWS)
    text = cells[::2].decode("latin-1")
    assert set(cells[1::2]) == {7}
    return [text[start : start + COLUMNS].rstrip() for start in range(0, len(text), COLUMNS)]


def sent(guest: FakeGuest) -> bytes:
    return bytes(value for port, value, _ in guest.port_writes if port == DATA)


def test_a_line_goes_to_the_serial_port_and_to_the_screen(guest: FakeGuest, console: Console) -> None:
    console.line("hello")
    console.write(b"wor")
    console.write(b"ld")
    assert sent(guest) == b"hello\nworld"
    assert rows(guest)[:3] == ["hello", "world", ""]


def test_long_lines_wrap_and_full_screens_scroll(guest: FakeGuest, console: Console) -> None:
    console.line("x" * (COLUMNS + 3))
    assert rows(guest)[:2] == ["x" * COLUMNS, "xxx"]
    for number in range(ROWS):
        console.line(f"line {number}")
    assert rows(guest) == [*(f"line {number}" for number in range(1, ROWS)), ""]


def test_a_line_of_full_width_does_not_leave_an_empty_row(guest: FakeGuest, console: Console) -> None:
    console.line("y" * COLUMNS)
    console.line("z")
    assert rows(guest)[:3] == ["y" * COLUMNS, "z", ""]


def test_the_cursor_follows(guest: FakeGuest, console: Console) -> None:
    console.write(b"ab\ncde")
    registers: dict[int, int] = {}
    index = 0
    for port, value, _ in guest.port_writes:
        if port == CRTC_INDEX:
            index = value
        elif port == CRTC_DATA:
            registers[index] = value
    assert registers[0x0E] << 8 | registers[0x0F] == COLUMNS + 3


def test_a_port_that_never_gets_ready_does_not_stop_the_kernel(guest: FakeGuest, console: Console) -> None:
    guest.port_values[LINE_STATUS] = 0
    console.write(b"a")
    assert rows(guest)[0] == "a"
