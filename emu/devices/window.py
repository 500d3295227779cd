"""A part of a chip's ports that is attached on its own.

Some chips answer at ports that are not neighbours: the keyboard controller at 0x60 and 0x64, with another chip's port
between them.  Such a chip counts its offsets from its first port, and a window shifts them:

>>> class Chip:
...     def read(self, offset: int, size: int) -> int: return offset
...     def write(self, offset: int, size: int, value: int) -> None: ...
...     def peek(self, offset: int, size: int) -> int: return offset
>>> Window(Chip(), 4).read(0, 1)
4
"""

from __future__ import annotations

from hillemu.emu.bus import PeekableDevice


class Window:
    """`chip`, seen from its offset `first` on."""

    __slots__ = ("chip", "first")

    def __init__(self, chip: PeekableDevice, first: int) -> None:
        self.chip = chip
        self.first = first

    def read(self, offset: int, size: int) -> int:
        return self.chip.read(self.first + offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        self.chip.write(self.first + offset, size, value)

    def peek(self, offset: int, size: int) -> int:
        return self.chip.peek(self.first + offset, size)
