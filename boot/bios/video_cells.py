"""Characters on the screen: reading, writing and scrolling cells, in text modes and (drawn) in graphics modes.

Source: IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 10h - Video", functions 06h to 0Ah.
"""

from __future__ import annotations

from typing import Protocol

from hillemu.boot.bios import bda
from hillemu.boot.bios.call import BiosCall
from hillemu.boot.bios.video_layout import TEXT, Layout, current_layout


class Cells(Protocol):
    """A page of character cells; rows and columns count from 0."""

    columns: int
    rows: int

    def read(self, page: int, row: int, column: int) -> tuple[int, int]:
        """The character and its attribute; what is no character of the font reads as 0."""

    def write(self, page: int, row: int, column: int, character: int, attribute: int | None) -> None:
        """Write a cell; without `attribute`, it keeps its own (in graphics: white)."""

    def scroll(self, page: int, window: Window, lines: int, attribute: int) -> None:
        """Move the window's content up by `lines` (down if negative); what becomes free is blank."""


class Window:
    """A rectangle of cells, its corners included."""

    def __init__(self, top: int, left: int, bottom: int, right: int) -> None:
        self.top, self.left, self.bottom, self.right = top, left, bottom, right

    @property
    def width(self) -> int:
        return self.right - self.left + 1

    @property
    def height(self) -> int:
        return self.bottom - self.top + 1

    def moves(self, lines: int) -> tuple[list[tuple[int, int]], list[int]]:
        """Scrolling by `lines`: (from row, to row) in an order that loses nothing, and the rows that become free."""
        rows = list(range(self.top, self.bottom + 1))
        kept = max(self.height - abs(lines), 0)
        if lines >= 0:
            return [(row + lines, row) for row in rows[:kept]], rows[kept:]
        moved = [(row + lines, row) for row in reversed(rows[self.height - kept :])]
        return moved, rows[: self.height - kept]


def cells_of(call: BiosCall) -> Cells | None:
    """The screen's cells in the mode that is set; `None` if the BIOS cannot write text there."""
    layout = current_layout(call)
    if layout is None:
        return None
    if layout.kind == TEXT:
        return TextCells(call, layout)
    from hillemu.boot.bios.video_graphics import graphics_cells

    return graphics_cells(call, layout)


class TextCells:
    """Two bytes a cell: character, attribute."""

    def __init__(self, call: BiosCall, layout: Layout) -> None:
        self._call = call
        self._base = layout.base
        self._page_bytes = call.load(bda.PAGE_BYTES, 2)
        self.columns = call.load(bda.COLUMNS, 2)
        self.rows = call.load(bda.LAST_ROW) + 1

    def _at(self, page: int, row: int, column: int) -> int:
        return self._base + page * self._page_bytes + 2 * (row * self.columns + column)

    def read(self, page: int, row: int, column: int) -> tuple[int, int]:
        character, attribute = self._call.read_linear(self._at(page, row, column), 2)
        return character, attribute

    def write(self, page: int, row: int, column: int, character: int, attribute: int | None) -> None:
        data = (character,) if attribute is None else (character, attribute)
        self._call.write_linear(self._at(page, row, column), bytes(data))

    def scroll(self, page: int, window: Window, lines: int, attribute: int) -> None:
        moves, free = window.moves(lines)
        for source, target in moves:
            row = self._call.read_linear(self._at(page, source, window.left), 2 * window.width)
            self._call.write_linear(self._at(page, target, window.left), row)
        for row_number in free:
            self._call.write_linear(self._at(page, row_number, window.left), bytes((0x20, attribute)) * window.width)
