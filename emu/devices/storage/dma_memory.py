"""Physical memory, as devices see it that read and write it themselves."""

from __future__ import annotations

from typing import Any, Protocol


class DmaMemory(Protocol):
    """Reads and writes by physical address; `IndexError` where there is no memory.

    `at` is an address of whatever type an architecture has for that: devices know none of these types.
    """

    def read(self, at: Any, count: int) -> bytes: ...

    def write(self, at: Any, data: bytes) -> None: ...
