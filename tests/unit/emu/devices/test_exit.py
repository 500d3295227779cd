"""QEMU's isa-debug-exit."""

from __future__ import annotations

import pytest

from hillemu.emu.bus import Bus
from hillemu.emu.devices.exit import DebugExit


@pytest.mark.parametrize(
    ("size", "value", "code"),
    [(1, 0, 1), (1, 0x10, 33), (1, 0xFF, 511), (2, 0x1234, 0x2469), (4, 0x80000000, 1 << 32 | 1)],
)
def test_the_exit_code_is_twice_the_value_plus_one(size: int, value: int, code: int) -> None:
    codes: list[int] = []
    ports = Bus("port", limit=0x10000)
    ports.attach(0xF4, 4, DebugExit(on_exit=codes.append), width=4)
    ports.write(0xF4, size, value)
    assert codes == [code]


def test_reading_gives_zero_and_does_not_exit() -> None:
    codes: list[int] = []
    device = DebugExit(on_exit=codes.append)
    assert device.read(0, 4) == device.peek(0, 4) == 0
    assert codes == []
