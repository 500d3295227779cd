"""Doors by which the native core serves a device's registers without calling the device.  See `hillemu.emu.bus`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hillemu.emu.cpu._core import Core


class DataWindow:
    """A data port's next items, moved between guest and buffer."""

    def __init__(self, core: Core, port: int) -> None:
        self._core = core
        self._port = port

    def open(self, buffer: bytearray | memoryview, start: int, end: int, *, size: int, output: bool) -> None:
        self._core.open_window(self._port, size, output, buffer, start, end)

    def close(self) -> int | None:
        at = self._core.close_window(self._port)
        return None if at < 0 else at


class StillWord:
    """A memory-mapped word that the guest reads."""

    def __init__(self, core: Core, number: int) -> None:
        self._core = core
        self._number = number

    def show(self, at: int | None, value: int) -> None:
        self._core.set_still_word(self._number, at or 0, value)
