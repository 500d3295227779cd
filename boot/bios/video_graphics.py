"""Characters and single pixels in graphics modes.

A glyph comes from where INT 43h points, in CGA modes its second half from where INT 1Fh does.  Colour bit 7 means
exclusive or, except where a pixel is a byte.

Source: IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 10h - Video", functions 09h, 0Ch, 0Dh; IBM VGA,
"Graphics Controller" (write modes and latches).
"""

from __future__ import annotations

from hillemu.boot.bios import bda
from hillemu.boot.bios.call import BiosCall
from hillemu.boot.bios.mode_table import MODES
from hillemu.boot.bios.modes import restore_window
from hillemu.boot.bios.video_cells import Window
from hillemu.boot.bios.video_layout import CGA_2, CGA_4, LINEAR, PLANAR, Layout

XOR = 0x80
WHITE = 0x0F

_GRAPHICS, _SEQUENCER = 0x3CE, 0x3C4
_SET_RESET, _ENABLE_SET_RESET, _FUNCTION, _READ_PLANE, _MODE, _BIT_MASK = 0, 1, 3, 4, 5, 8
_XOR_LATCH = 0x18
_WRITE_COLOR = 2
_ONE_PLANE = ((1, 0), (3, 0), (5, 0), (6, 0x04), (8, 0xFF))
"""The graphics controller's registers while the window is one plane; as a text mode's, it is plain memory."""
_MAP_MASK, _ALL_PLANES = 2, 0x0F
_FONT_VECTOR, _UPPER_FONT_VECTOR = 0x43 * 4, 0x1F * 4


class GraphicsCells:
    """Cells of 8 pixels by the font's height.  The subclasses know where a pixel is."""

    bits_per_pixel = 1

    def __init__(self, call: BiosCall, layout: Layout) -> None:
        self._call = call
        self._layout = layout
        self.columns = call.load(bda.COLUMNS, 2)
        self.rows = call.load(bda.LAST_ROW) + 1
        self.lines = call.load(bda.CHARACTER_LINES, 2)
        self.width = 8 * self.columns
        self.line_bytes = self.width * self.bits_per_pixel // 8
        self._cell_bytes = self.bits_per_pixel
        self._page_bytes = call.load(bda.PAGE_BYTES, 2) if layout.pages > 1 else 0

    # What a subclass does: everything by lines of pixels.

    def line_at(self, page: int, y: int) -> int:
        """Linear address of line `y`'s first byte."""
        return self._layout.base + page * self._page_bytes + y * self.line_bytes

    def draw(self, at: int, pattern: int, color: int) -> None:
        """Draw eight pixels at `at`: ones in `color`, zeros black, or all of them changed (`XOR`)."""
        old = self._call.read_linear(at, self._cell_bytes) if color & XOR else bytes(self._cell_bytes)
        new = self._spread(pattern, color & ~XOR)
        self._call.write_linear(at, bytes(a ^ b for a, b in zip(old, new, strict=True)))

    def pattern_at(self, at: int) -> int:
        """The eight pixels at `at`: ones where they are not black."""
        value = int.from_bytes(self._call.read_linear(at, self._cell_bytes), "big")
        bits, pattern = self.bits_per_pixel, 0
        for pixel in range(8):
            pattern |= bool(value >> pixel * bits & (1 << bits) - 1) << pixel
        return pattern

    def _spread(self, pattern: int, color: int) -> bytes:
        bits = self.bits_per_pixel
        color &= (1 << bits) - 1
        value = 0
        for pixel in range(8):
            if pattern >> pixel & 1:
                value |= color << pixel * bits
        return value.to_bytes(self._cell_bytes, "big")

    def begin(self) -> None:
        """Get ready to draw."""

    def end(self) -> None:
        """Leave the chip as programs expect it."""

    # Cells.

    def read(self, page: int, row: int, column: int) -> tuple[int, int]:
        """The character whose glyph is there, 0 if it is none."""
        at_column = column * self._cell_bytes
        lines = range(row * self.lines, (row + 1) * self.lines)
        self.begin()
        seen = bytes(self.pattern_at(self.line_at(page, y) + at_column) for y in lines)
        self.end()
        return next((character for character in range(256) if self._glyph(character) == seen), 0), 0

    def write(self, page: int, row: int, column: int, character: int, attribute: int | None) -> None:
        color = WHITE if attribute is None else attribute
        self.begin()
        for line, pattern in enumerate(self._glyph(character)):
            self.draw(self.line_at(page, row * self.lines + line) + column * self._cell_bytes, pattern, color)
        self.end()

    def scroll(self, page: int, window: Window, lines: int, attribute: int) -> None:
        moves, free = window.moves(lines)
        left, count = window.left * self._cell_bytes, window.width * self._cell_bytes
        blank = self._spread(0xFF, attribute) * window.width
        for source, target in moves:
            for line in range(self.lines):
                row = self._call.read_linear(self.line_at(page, source * self.lines + line) + left, count)
                self._call.write_linear(self.line_at(page, target * self.lines + line) + left, row)
        for row_number in free:
            for line in range(self.lines):
                self._call.write_linear(self.line_at(page, row_number * self.lines + line) + left, blank)

    def _glyph(self, character: int) -> bytes:
        vector = _FONT_VECTOR
        if self._layout.kind in (CGA_4, CGA_2) and character >= 128:
            vector, character = _UPPER_FONT_VECTOR, character - 128
        pointer = self._call.load(vector, 4)
        at = (pointer >> 16) * 16 + (pointer & 0xFFFF)
        return self._call.read_linear(at + character * self.lines, self.lines)

    # Pixels.

    def read_pixel(self, page: int, x: int, y: int) -> int:
        at, shift = self._pixel(page, x, y)
        return self._call.load(at) >> shift & (1 << self.bits_per_pixel) - 1

    def write_pixel(self, page: int, x: int, y: int, color: int) -> None:
        at, shift = self._pixel(page, x, y)
        mask = (1 << self.bits_per_pixel) - 1
        old = self._call.load(at)
        new = (color & mask) << shift
        is_xor = color & XOR and self.bits_per_pixel < 8
        self._call.store(at, old ^ new if is_xor else old & ~(mask << shift) | new)

    def _pixel(self, page: int, x: int, y: int) -> tuple[int, int]:
        bit = x * self.bits_per_pixel
        return self.line_at(page, y) + bit // 8, 8 - self.bits_per_pixel - bit % 8


class Cga2Cells(GraphicsCells):
    """Mode 6: a bit a pixel, odd lines in the second half of the memory."""

    def line_at(self, page: int, y: int) -> int:
        return self._layout.base + y % 2 * 0x2000 + y // 2 * self.line_bytes


class Cga4Cells(Cga2Cells):
    """Modes 4 and 5: two bits a pixel."""

    bits_per_pixel = 2


class LinearCells(GraphicsCells):
    """Mode 13h: a byte a pixel."""

    bits_per_pixel = 8

    def draw(self, at: int, pattern: int, color: int) -> None:
        self._call.write_linear(at, self._spread(pattern, color))


class PlanarCells(GraphicsCells):
    """Modes 0Dh to 12h: a bit a pixel in each of four planes, all changed at once by the graphics controller."""

    def begin(self) -> None:
        self._out(_SEQUENCER, _MAP_MASK, _ALL_PLANES)
        self._out(_GRAPHICS, _ENABLE_SET_RESET, 0)

    def end(self) -> None:
        self._out(_GRAPHICS, _MODE, 0)
        self._out(_GRAPHICS, _FUNCTION, 0)
        self._out(_GRAPHICS, _BIT_MASK, 0xFF)

    def draw(self, at: int, pattern: int, color: int) -> None:
        self._out(_GRAPHICS, _MODE, _WRITE_COLOR)
        self._out(_GRAPHICS, _FUNCTION, _XOR_LATCH if color & XOR else 0)
        self._through_mask(at, pattern, color)
        if not color & XOR:
            self._through_mask(at, ~pattern & 0xFF, 0)

    def _through_mask(self, at: int, mask: int, color: int) -> None:
        self._out(_GRAPHICS, _BIT_MASK, mask)
        self._call.load(at)  # into the latches, which keep what the mask excludes
        self._call.store(at, color)

    def pattern_at(self, at: int) -> int:
        pattern = 0
        for plane in range(4):
            self._out(_GRAPHICS, _READ_PLANE, plane)
            pattern |= self._call.load(at)
        return pattern

    def scroll(self, page: int, window: Window, lines: int, attribute: int) -> None:
        """Plane by plane: each, on its own, is memory whose rows can be copied as a whole."""
        for register, value in _ONE_PLANE:
            self._out(_GRAPHICS, register, value)
        for plane in range(4):
            self._out(_SEQUENCER, _MAP_MASK, 1 << plane)
            self._out(_GRAPHICS, _READ_PLANE, plane)
            super().scroll(page, window, lines, attribute >> plane & 1)
        restore_window(self._call.guest, MODES[self._call.load(bda.VIDEO_MODE)])

    def read_pixel(self, page: int, x: int, y: int) -> int:
        at, color = self.line_at(page, y) + x // 8, 0
        for plane in range(4):
            self._out(_GRAPHICS, _READ_PLANE, plane)
            color |= (self._call.load(at) >> 7 - x % 8 & 1) << plane
        return color

    def write_pixel(self, page: int, x: int, y: int, color: int) -> None:
        self.begin()
        self._out(_GRAPHICS, _MODE, _WRITE_COLOR)
        self._out(_GRAPHICS, _FUNCTION, _XOR_LATCH if color & XOR else 0)
        self._through_mask(self.line_at(page, y) + x // 8, 0x80 >> x % 8, color)
        self.end()

    def _out(self, port: int, index: int, value: int) -> None:
        self._call.guest.write_port(port, index)
        self._call.guest.write_port(port + 1, value)


def graphics_cells(call: BiosCall, layout: Layout) -> GraphicsCells:
    """The cells of a graphics mode."""
    classes = {CGA_2: Cga2Cells, CGA_4: Cga4Cells, LINEAR: LinearCells, PLANAR: PlanarCells}
    return classes[layout.kind](call, layout)
