"""The door to the screen: a boot loader asks for a graphics mode, and is told what it got.

The machine's side is a function, `SetMode`: it sets the mode and describes it, or changes nothing and says None.

>>> def only_vga(width: int, height: int, depth: int) -> Framebuffer | None:
...     if (width, height, depth) != (640, 480, 32):
...         return None
...     return Framebuffer(0xFD000000, 2560, 640, 480, 32, red=(16, 8), green=(8, 8), blue=(0, 8))
>>> set_best_mode(only_vga, 640, 480, 0).pitch_bytes
2560
>>> set_best_mode(only_vga, 1600, 1200, 32).width
640
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

BitField = tuple[int, int]
"""Where a colour lies in a pixel: the lowest bit, and how many bits."""


class VbeFacts(NamedTuple):
    """What the VBE calls tell about the mode that is set."""

    mode: int
    """As function 03h returns it, in BX."""
    controller_info: bytes
    """512 bytes: what function 00h returns."""
    mode_info: bytes
    """256 bytes: what function 01h returns for `mode`."""
    protected_mode: tuple[int, int, int] = (0, 0, 0)
    """Segment, offset and length of what function 0Ah returns; zeros if it is not supported."""


class Framebuffer(NamedTuple):
    """A linear framebuffer that is on the screen."""

    address: int
    """Physical, of the first pixel."""
    pitch_bytes: int
    width: int
    height: int
    depth: int
    """Bits per pixel, padding included."""
    red: BitField = (0, 0)
    green: BitField = (0, 0)
    blue: BitField = (0, 0)
    palette: bytes = b""
    """Red, green, blue (0-255 each) of every colour, if pixels are colour numbers."""
    vbe: VbeFacts | None = None

    def __str__(self) -> str:
        return f"{self.width}x{self.height}, {self.depth} bits per pixel"


LONGEST = Framebuffer(0, 0, 0, 0, 0, palette=bytes(3 * 256), vbe=VbeFacts(0, bytes(512), bytes(256)))
"""No framebuffer has a longer description; for those who must make room first."""

SetMode = Callable[[int, int, int], Framebuffer | None]
"""``set_mode(width, height, depth)``: sets exactly this mode and describes it, or changes nothing and returns None."""

_DEPTHS = (32, 24, 16, 15, 8)
_SIZES = ((1024, 768), (800, 600), (640, 480))


def set_best_mode(set_mode: SetMode, width: int, height: int, depth: int) -> Framebuffer | None:
    """Set the mode that comes nearest to the wish; 0 is no preference.  `None` if there is no graphics mode at all.

    The size counts more than the depth, as in GRUB's "WxHxD,WxH,auto".
    """
    depths = dict.fromkeys((depth, *_DEPTHS) if depth else _DEPTHS)
    sizes = dict.fromkeys(((width, height), *_SIZES) if width and height else _SIZES)
    for columns, rows in sizes:
        for bits in depths:
            if found := set_mode(columns, rows, bits):
                return found
    return None


def fulfils(framebuffer: Framebuffer, width: int, height: int, depth: int) -> bool:
    """Whether `framebuffer` is what was asked for; 0 is no preference."""
    size = width in (0, framebuffer.width) and height in (0, framebuffer.height)
    return size and depth in (0, framebuffer.depth)


def screen_note(what: str, width: int, height: int, depth: int, got: Framebuffer | None) -> str:
    """The line that tells of a wish for `what` that was not fulfilled, and of what there is instead."""
    size = f"{width}x{height}" if width and height else "any size"
    bits = f", {depth} bits per pixel" if depth else ""
    return f"the kernel asks for {what} ({size}{bits}); it gets {got or '80x25 text'} and is told so"
