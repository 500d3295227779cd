"""Port 0xE9."""

from __future__ import annotations

from hillemu.emu.devices.debugcon import Debugcon


def test_the_console_prints_bytes_and_says_that_it_is_there() -> None:
    printed: list[int] = []
    console = Debugcon(sink=printed.append)
    assert console.read(0, 1) == console.peek(0, 1) == 0xE9
    for byte in b"hi":
        console.write(0, 1, byte)
    assert bytes(printed) == b"hi"
