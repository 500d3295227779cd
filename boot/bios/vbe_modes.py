"""The modes that the VBE services offer: those of QEMU's standard VGA, under the same numbers.

Modes of 16 colors are in four planes and have no linear framebuffer.  Depth 15 and 16 take two bytes a pixel, 24 three,
32 four; blue is lowest.

Source: VESA BIOS Extension 3.0, "VBE Mode Numbers", "Function 01h - Return VBE Mode Information".
"""

from __future__ import annotations

import struct
from typing import NamedTuple

GRANULE_BYTES = 0x10000
"""The window, and what it moves by."""

_SUPPORTED, _EXTENDED, _COLOR, _GRAPHICS, _NOT_VGA, _LINEAR = 0x01, 0x02, 0x08, 0x10, 0x20, 0x80
_WINDOW_EXISTS_READS_WRITES = 0x07
_PLANAR, _PACKED, _DIRECT = 3, 4, 6
_UNUSED_BITS_ARE_THE_PROGRAMS = 0x02
_WINDOW_SEGMENT = 0xA000
_CHARACTER = (8, 16)

# (bits, lowest bit) of red, green, blue and what is unused, by depth.
MASKS = {
    15: ((5, 10), (5, 5), (5, 0), (1, 15)),
    16: ((5, 11), (6, 5), (5, 0), (0, 0)),
    24: ((8, 16), (8, 8), (8, 0), (0, 0)),
    32: ((8, 16), (8, 8), (8, 0), (8, 24)),
}


class VbeMode(NamedTuple):
    """A mode of the graphics card."""

    number: int
    width: int
    height: int
    depth: int

    @property
    def is_planar(self) -> bool:
        return self.depth == 4

    @property
    def pixel_bytes(self) -> int:
        """Bytes of a pixel, in modes that are not planar."""
        return (self.depth + 7) // 8

    @property
    def pitch_bytes(self) -> int:
        """Bytes from one line to the next, of one plane where there are planes."""
        return self.width // 8 if self.is_planar else self.width * self.pixel_bytes

    def pages(self, memory_bytes: int) -> int:
        """How many screens fit into memory, each from a window granule on."""
        granules = -(-self.pitch_bytes * self.height // GRANULE_BYTES)
        return memory_bytes // (granules * GRANULE_BYTES * (4 if self.is_planar else 1))


_SIZES: tuple[tuple[int, int, dict[int, int]], ...] = (
    # width, height, the mode's number by depth
    (320, 200, {8: 0x146, 15: 0x10D, 16: 0x10E, 24: 0x10F, 32: 0x140}),
    (640, 400, {8: 0x100, 32: 0x141}),
    (640, 480, {8: 0x101, 15: 0x110, 16: 0x111, 24: 0x112, 32: 0x142}),
    (800, 600, {4: 0x102, 8: 0x103, 15: 0x113, 16: 0x114, 24: 0x115, 32: 0x143}),
    (1024, 768, {4: 0x104, 8: 0x105, 15: 0x116, 16: 0x117, 24: 0x118, 32: 0x144}),
    (1152, 864, {8: 0x148, 15: 0x149, 16: 0x14A, 24: 0x14B, 32: 0x14C}),
    (1280, 720, {16: 0x18D, 24: 0x18E, 32: 0x18F}),
    (1280, 768, {16: 0x175, 24: 0x176, 32: 0x177}),
    (1280, 800, {16: 0x178, 24: 0x179, 32: 0x17A}),
    (1280, 960, {16: 0x17B, 24: 0x17C, 32: 0x17D}),
    (1280, 1024, {4: 0x106, 8: 0x107, 15: 0x119, 16: 0x11A, 24: 0x11B, 32: 0x145}),
    (1400, 1050, {16: 0x181, 24: 0x182, 32: 0x183}),
    (1440, 900, {16: 0x17E, 24: 0x17F, 32: 0x180}),
    (1600, 900, {16: 0x193, 24: 0x194, 32: 0x195}),
    (1600, 1200, {8: 0x11C, 15: 0x11D, 16: 0x11E, 24: 0x11F, 32: 0x147}),
    (1680, 1050, {16: 0x184, 24: 0x185, 32: 0x186}),
    (1920, 1080, {16: 0x190, 24: 0x191, 32: 0x192}),
    (1920, 1200, {16: 0x187, 24: 0x188, 32: 0x189}),
    (3840, 2160, {16: 0x199}),
    (2560, 1440, {16: 0x196, 24: 0x197, 32: 0x198}),
    (2560, 1600, {16: 0x18A, 24: 0x18B, 32: 0x18C}),
)

MODES = tuple(
    sorted(VbeMode(number, width, height, depth) for width, height, by in _SIZES for depth, number in by.items())
)
BY_NUMBER = {mode.number: mode for mode in MODES}


def mode_info(mode: VbeMode, *, memory_bytes: int, framebuffer: int, window_function: int) -> bytes:
    """The 256 bytes that function 01h returns.

    `framebuffer` is the linear framebuffer's physical address, 0 if there is none; `window_function` a far pointer.
    """
    linear = 0 if mode.is_planar else framebuffer
    masks = bytes(part for field in MASKS.get(mode.depth, ((0, 0),) * 4) for part in field)
    last_page = max(mode.pages(memory_bytes) - 1, 0)
    model = _PLANAR if mode.is_planar else _PACKED if mode.depth == 8 else _DIRECT
    info = struct.pack(
        "<HBBHHHHIHHHBBBBBBBBB",
        _SUPPORTED | _EXTENDED | _COLOR | _GRAPHICS | _NOT_VGA | (_LINEAR if linear else 0),
        _WINDOW_EXISTS_READS_WRITES, 0, GRANULE_BYTES >> 10, GRANULE_BYTES >> 10, _WINDOW_SEGMENT, 0, window_function,
        mode.pitch_bytes, mode.width, mode.height, *_CHARACTER, 4 if mode.is_planar else 1, mode.depth,
        1, model, 0, min(last_page, 255), 1,
    )  # fmt: skip
    info += masks + bytes([_UNUSED_BITS_ARE_THE_PROGRAMS if mode.depth == 32 else 0])
    info += struct.pack("<IIH", linear, 0, 0)
    info += struct.pack("<HBB", mode.pitch_bytes if linear else 0, min(last_page, 255), min(last_page, 255))
    return (info + (masks if linear else bytes(8))).ljust(256, b"\0")
