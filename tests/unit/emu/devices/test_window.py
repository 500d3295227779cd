"""Ports of one chip that are not neighbours."""

from __future__ import annotations

from hillemu.emu.bus import Bus
from hillemu.emu.devices.window import Window


class Recorder:
    def __init__(self) -> None:
        self.log: list[tuple[str, int]] = []

    def read(self, offset: int, size: int) -> int:
        self.log.append(("read", offset))
        return offset

    def write(self, offset: int, size: int, value: int) -> None:
        self.log.append(("write", offset))

    def peek(self, offset: int, size: int) -> int:
        return 0x40 + offset


def test_a_window_shifts_offsets_and_leaves_the_gap_to_others() -> None:
    chip = Recorder()
    ports = Bus("port", limit=0x10000)
    ports.attach(0x60, 1, Window(chip, 0))
    ports.attach(0x64, 1, Window(chip, 4))
    assert ports.read(0x64, 1) == 4
    ports.write(0x60, 1, 7)
    assert ports.peek(0x64, 1) == 0x44
    assert chip.log == [("read", 4), ("write", 0)]
    assert ports.read(0x61, 1) == 0xFF
