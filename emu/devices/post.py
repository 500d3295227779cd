"""Port 0x80: firmware and kernels write progress codes here, and a POST card shows the last one.

Many kernels write to it only to wait a microsecond, a hundred thousand times over; runs of one code therefore count
once, and only the last `HISTORY_LENGTH` codes are kept.  Reading gives the last code, as the DMA page register that
lives behind this port does.

Source: IBM PC AT Technical Reference, "I/O Address Map" (080: manufacturing test port, DMA page register).
Not modelled: the wait itself, a write takes no longer than to any other port.
"""

from __future__ import annotations

from collections import deque

HISTORY_LENGTH = 256


class PostCard:
    """The last code, and how the guest got there."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Power-on: the display is dark."""
        self.code: int | None = None
        self.history: deque[int] = deque(maxlen=HISTORY_LENGTH)

    def read(self, offset: int, size: int) -> int:
        return self.code or 0

    def peek(self, offset: int, size: int) -> int:
        return self.code or 0

    def write(self, offset: int, size: int, value: int) -> None:
        if value != self.code:
            self.code = value
            self.history.append(value)
