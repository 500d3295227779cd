"""What stands on a VGA's text screen.  It only looks: at the chip's registers and at display memory.

In display memory a cell is a character's code page 437 code and its attribute:

::

    attribute   7 blink | 6-4 background | 3-0 foreground

The screen starts at the CRTC's start address and display memory wraps around at the end of its window, so scrolling
by the start address shows right.

Source: IBM VGA XGA Technical Reference, "Alphanumeric Modes".
Not modelled: graphics modes (the screen has no rows then), split screen.
"""

from __future__ import annotations

from collections.abc import Callable

from hillemu.emu.devices.video.vga import Vga

_GRAPHIC_CONTROLS = " ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼"
"""Codes 0-31: on the screen these are pictures, not controls; 0 is blank."""
_code_page_437: list[str] = []


def code_page_437() -> list[str]:
    """The character of each code, as the VGA's font draws it.

    >>> "".join(code_page_437()[code] for code in (1, 65, 0xB0, 0xE1))
    '☺A░ß'
    """
    if not _code_page_437:
        _code_page_437.extend(_GRAPHIC_CONTROLS + bytes(range(32, 256)).decode("cp437").replace("\x7f", "⌂"))
    return _code_page_437


class TextScreen:
    """Rows and columns count from 0 at the top left.

    `peek(address, count)` reads guest physical memory without side effects.
    """

    def __init__(self, vga: Vga, peek: Callable[[int, int], bytes]) -> None:
        self._vga = vga
        self._peek = peek

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns); (0, 0) in a graphics mode."""
        return self._vga.text_size if self._vga.in_text_mode else (0, 0)

    @property
    def lines(self) -> list[str]:
        """The rows from top to bottom, each without the spaces at its end."""
        glyphs = code_page_437()
        return ["".join([glyphs[code] for code in row[::2]]).rstrip(" ") for row in self._rows()]

    @property
    def text(self) -> str:
        """The rows joined by line feeds, without the empty ones at the end."""
        return "\n".join(self.lines).rstrip("\n")

    @property
    def cells(self) -> bytes:
        """All that is shown, two bytes a cell: tells quickly whether it has changed."""
        return b"".join(self._rows())

    def cell(self, row: int, column: int) -> tuple[str, int]:
        """The character and the attribute at a place; `IndexError` if it is not on the screen."""
        rows, columns = self.size
        if not (0 <= row < rows and 0 <= column < columns):
            raise IndexError(f"row {row}, column {column} is not on a screen of {rows} rows and {columns} columns")
        code, attribute = self._cells(row, column, 1)
        return code_page_437()[code], attribute

    @property
    def cursor(self) -> tuple[int, int, bool]:
        """(row, column, visible); the place counts only while it is visible."""
        rows, columns = self.size
        vga = self._vga
        row, column = divmod((vga.cursor_cell - vga.start_cell) & 0xFFFF, max(1, vga.row_cells))
        return row, column, vga.cursor_enabled and row < rows and column < columns

    def _rows(self) -> list[bytes]:
        rows, columns = self.size
        vga = self._vga
        base, size_bytes = vga.memory_window
        first, stride = vga.start_cell * 2, vga.row_cells * 2
        if stride == columns * 2 and first + rows * stride <= size_bytes:
            # The usual case, in one look.
            screen = self._peek(base + first, rows * stride)
            return [screen[at : at + stride] for at in range(0, rows * stride, stride)]
        return [self._cells(row, 0, columns) for row in range(rows)]

    def _cells(self, row: int, column: int, count: int) -> bytes:
        """`count` cells from a place on, two bytes each."""
        vga = self._vga
        base, size_bytes = vga.memory_window
        at = (vga.start_cell + row * vga.row_cells + column) * 2 % size_bytes
        whole = min(count * 2, size_bytes - at)
        data = self._peek(base + at, whole)
        return data if whole == count * 2 else data + self._peek(base, count * 2 - whole)
