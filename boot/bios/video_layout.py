"""How text and pixels lie in memory, in each of the standard video modes.

Source: IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 10h - Video".
"""

from __future__ import annotations

from typing import NamedTuple

from hillemu.boot.bios import bda
from hillemu.boot.bios.call import BiosCall
from hillemu.boot.bios.mode_table import MODES

TEXT, CGA_4, CGA_2, PLANAR, LINEAR = "text", "CGA, 4 colors", "CGA, 2 colors", "planes", "a byte a pixel"


class Layout(NamedTuple):
    """How a mode uses memory: what kind it is, from where on, for how many pages, with how many colours."""

    kind: str
    base: int
    pages: int
    colors: int


_KINDS = {
    0x00: (TEXT, 8, 16),
    0x01: (TEXT, 8, 16),
    0x02: (TEXT, 8, 16),
    0x03: (TEXT, 8, 16),
    0x04: (CGA_4, 1, 4),
    0x05: (CGA_4, 1, 4),
    0x06: (CGA_2, 1, 2),
    0x07: (TEXT, 8, 0),
    0x0D: (PLANAR, 8, 16),
    0x0E: (PLANAR, 4, 16),
    0x0F: (PLANAR, 2, 2),
    0x10: (PLANAR, 2, 16),
    0x11: (PLANAR, 1, 2),
    0x12: (PLANAR, 1, 16),
    0x13: (LINEAR, 1, 256),
}
"""Mode by mode: kind, pages, colours (none in mono text)."""


def current_layout(call: BiosCall) -> Layout | None:
    """The layout of the mode that is set; `None` if it is none of the standard ones."""
    number = call.load(bda.VIDEO_MODE)
    if number not in _KINDS:
        return None
    kind, pages, colors = _KINDS[number]
    return Layout(kind, MODES[number].window, pages, colors)
