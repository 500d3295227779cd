"""The debug console of Bochs and QEMU: one port, 0xE9, that prints what is written to it.

Reading gives 0xE9, by which a guest finds out that the console is there.

Source: QEMU, "isa-debugcon" (property ``readback``, 0xE9); Bochs, "port_e9_hack".
Not modelled: nothing.
"""

from __future__ import annotations

from collections.abc import Callable

READBACK = 0xE9


class Debugcon:
    """Hands every byte written to `sink`."""

    def __init__(self, *, sink: Callable[[int], None]) -> None:
        self.sink = sink

    def read(self, offset: int, size: int) -> int:
        return READBACK

    def peek(self, offset: int, size: int) -> int:
        return READBACK

    def write(self, offset: int, size: int, value: int) -> None:
        self.sink(value)
