"""QEMU's isa-debug-exit: a write ends the run, and the value becomes the exit code.

`value` gives the code ``value << 1 | 1``, so a guest cannot end a run with 0.  A process's status keeps the code
modulo 256, on Linux as under QEMU: a guest that writes 0x10 leaves status 33.  Reads give 0.

Attach it with ``width=4``, at ports 0xF4-0xF7 as ``-device isa-debug-exit,iobase=0xf4,iosize=0x04`` does.  As in
QEMU, every port of the range works and a wide value counts in full.

Source: QEMU, hw/misc/debugexit.c.
Not modelled: nothing.
"""

from __future__ import annotations

from collections.abc import Callable


class DebugExit:
    """Calls `on_exit(code)` at every write."""

    def __init__(self, *, on_exit: Callable[[int], None]) -> None:
        self._on_exit = on_exit

    def read(self, offset: int, size: int) -> int:
        return 0

    def peek(self, offset: int, size: int) -> int:
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        self._on_exit(value << 1 | 1)
