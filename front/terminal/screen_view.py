"""The guest's text screen on the user's terminal.

`framed` is the screen as text, for the end of a run.  `LiveScreen` redraws it in place while the guest runs.  It
shares the terminal with the serial output politely: before a serial byte goes out it takes its drawing away, puts the
unfinished serial line back, and draws again below at the next redraw.

Drawing only peeks at the machine, ten times a second of the user's time; the run does not notice.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

REDRAW_SECONDS = 0.1


def framed(lines: Sequence[str], columns: int = 80, rows: int = 25) -> list[str]:
    """`lines` in a box at most `columns` by `rows` inside, without empty lines below; nothing for an empty screen.

    What does not fit loses its right and its top, for the cursor is usually at the bottom.

    >>> print(*framed(["hello", "", ""], columns=8), sep="\\n")
    +--------+
    |hello   |
    +--------+
    """
    used = [line.rstrip() for line in lines]
    while used and not used[-1]:
        used.pop()
    if not used:
        return []
    edge = "+" + "-" * columns + "+"
    return [edge, *(f"|{line[:columns]:{columns}}|" for line in used[-rows:]), edge]


class LiveScreen:
    """Redraws what `read_lines` returns on the terminal `fd`."""

    def __init__(self, fd: int, read_lines: Callable[[], Sequence[str]]) -> None:
        self._fd = fd
        self._read_lines = read_lines
        self._drawn: list[str] = []
        self._drawn_columns = 80
        self._serial_line = bytearray()
        self._serial_is_busy = False

    def draw(self) -> None:
        """Show the screen as it is now; writes nothing if it has not changed."""
        columns, rows = self._size()
        box = framed(self._read_lines(), max(1, min(80, columns - 3)), max(1, min(25, rows - 4)))
        if self._serial_is_busy or box == self._drawn:
            return
        # The box hangs below the serial text, so an unfinished line is ended first; erasing puts it back.
        self._write(
            self._erasing() + ("\r\n" if box and self._serial_line else "") + "".join(f"{row}\r\n" for row in box)
        )
        self._drawn, self._drawn_columns = box, columns

    def erase(self) -> None:
        """Take the drawing away and leave the cursor where the serial text ended."""
        self._write(self._erasing())
        self._drawn = []

    def sharing(self, put: Callable[[int], None]) -> Callable[[int], None]:
        """`put`, for serial bytes that go to the same terminal: the drawing makes room for them first."""

        def make_room_and_put(byte: int) -> None:
            self._serial_is_busy = True  # a redraw may interrupt between any two lines here
            self.erase()
            put(byte)
            if byte == 0x0A:
                self._serial_line.clear()
            else:
                self._serial_line.append(byte)
            self._serial_is_busy = False

        return make_room_and_put

    @contextmanager
    def redrawing(self) -> Iterator[None]:
        """Redraw every `REDRAW_SECONDS`, by SIGALRM, inside the ``with`` block; the drawing is gone after it."""

        def redraw(number: int, frame: FrameType | None) -> None:
            self.draw()

        before = signal.signal(signal.SIGALRM, redraw)
        signal.setitimer(signal.ITIMER_REAL, REDRAW_SECONDS, REDRAW_SECONDS)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            self.erase()

    def _erasing(self) -> str:
        if not self._drawn:
            return ""
        serial_rows = -(-len(self._serial_line) // self._drawn_columns)  # the terminal wraps a long line
        height = len(self._drawn) + serial_rows
        return f"\x1b[{height}A\r\x1b[J{self._serial_line.decode('utf-8', 'replace')}"

    def _size(self) -> tuple[int, int]:
        """Columns and rows of the terminal; some do not know theirs."""
        try:
            columns, rows = os.get_terminal_size(self._fd)
        except OSError:
            columns = rows = 0
        return columns or 80, rows or 24

    def _write(self, text: str) -> None:
        with suppress(OSError):  # a terminal that hung up is no reason to lose the run
            if text:
                os.write(self._fd, text.encode("utf-8", "replace"))
