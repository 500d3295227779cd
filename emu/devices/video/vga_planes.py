"""The VGA's four planes of display memory, and what happens to a byte on its way there and back.

::

    video RAM      plane 0 | plane 1 | plane 2 | plane 3 | plane 0 | ...      a word of 32 bits is one address
                   \\_____________ address 0 ____________/

    write          processor byte --> rotate --> set/reset --> AND, OR, XOR with the latches --> bit mask --> map mask
    read           the whole word into the latches, then one plane's byte, or which of eight pixels have a color

All four bytes of an address are computed at once, as one word of 32 bits.  The graphics card keeps its planes
interleaved in the memory that its linear framebuffer shows, as the Bochs VBE card does.

Source: IBM VGA XGA Technical Reference, "Graphics Controller Registers", "Video Memory Read/Write Operations"; FreeVGA,
"Manipulating the Frame Buffer", "Accessing the VGA Display Memory".
Not modelled: memory maps for 64 KiB of display memory (memory mode's bit 1 is taken as set).
"""

from __future__ import annotations

import sys
from enum import IntEnum

from hillemu.emu.devices.video.vga import MAP_MASK, MEMORY_MODE
from hillemu.emu.errors import InternalError

PLANE_BYTES = 0x10000
WORDS_BYTES = 4 * PLANE_BYTES

SET_RESET, ENABLE_SET_RESET, COLOR_COMPARE, ROTATE, READ_MAP, MODE, MISC, COLOR_DONT_CARE, BIT_MASK = range(9)
"""Graphics controller registers."""
MODE_WRITE, MODE_READ_COMPARE, MODE_ODD_EVEN = 0x03, 0x08, 0x10
MISC_CHAIN_ODD_EVEN = 0x02
MEMORY_ODD_EVEN_OFF, MEMORY_CHAIN_4 = 0x04, 0x08
"""Bits of the sequencer's memory mode."""

REPEAT = 0x01010101
"""Times a byte: that byte in all four planes."""
EXPAND = tuple(sum(0xFF << 8 * plane for plane in range(4) if planes >> plane & 1) for planes in range(16))
"""The word in which the bytes of these planes are ones."""
EVEN_PLANES, ODD_PLANES = EXPAND[0b0101], EXPAND[0b1010]


class Addressing(IntEnum):
    """How an address of the processor becomes one of the planes."""

    PLANAR = 0
    """As it is; the map mask and the read map say which planes."""
    ODD_EVEN = 1
    """Bit 0 chooses between planes 0 and 2 and planes 1 and 3."""
    CHAIN_4 = 2
    """Bits 1-0 are the plane."""


def chain_4_address(at: int) -> int:
    """Where in its plane the byte at `at` lies; the CRTC's doubleword addresses count the same way.

    >>> [chain_4_address(at) for at in (0, 3, 4, 0x4000, 0xFFFC)]
    [0, 0, 4, 16385, 65535]
    """
    return at & 0xFFFC | at >> 14 & 3


class Planes:
    """The planes in the first 256 KiB of `video_ram`, or all of it for the card's own 16-color modes."""

    def __init__(self, video_ram: memoryview) -> None:
        if sys.byteorder != "little":
            raise InternalError("the VGA's planes need a little-endian host")
        self._words = video_ram.cast("B").cast("I")
        self.latches = 0
        self.configure(bytearray(5), bytearray(9), page=0)

    def configure(self, sequencer: bytearray, graphics: bytearray, *, page: int, bank: int | None = None) -> None:
        """Go by these registers, which are read at each access: drawing changes them as often as it uses them.

        Call this again when the memory mode changes.  `page` replaces bit 0 of odd/even addresses.  `bank` is the
        first address of the card's 16-color modes, which reach more than 64 KiB of each plane.
        """
        self._sequencer = sequencer
        self._graphics = graphics
        self._addressing = addressing_of(sequencer)
        self._page = page
        self._first = bank or 0
        self._address_mask = PLANE_BYTES - 1 if bank is None else len(self._words) - 1

    def read(self, at: int) -> int:
        """The byte that the processor reads at `at`, counted from the start of its window; loads the latches."""
        graphics = self._graphics
        mode = graphics[MODE]
        if self._addressing is Addressing.CHAIN_4:
            word = chain_4_address(at)
            plane = at & 3
        else:
            word = self._first + (at & 0xFFFF)
            plane = graphics[READ_MAP]
            if graphics[MISC] & MISC_CHAIN_ODD_EVEN:
                word = word & ~1 | self._page_of(at)
            if mode & MODE_ODD_EVEN:
                plane = plane & 2 | at & 1
        latches = self.latches = self._words[word & self._address_mask]
        if not mode & MODE_READ_COMPARE:
            return latches >> 8 * plane & 0xFF
        differs = (latches ^ EXPAND[graphics[COLOR_COMPARE]]) & EXPAND[graphics[COLOR_DONT_CARE]]
        differs |= differs >> 16
        return ~(differs | differs >> 8) & 0xFF

    def write(self, at: int, value: int) -> None:
        """Carry out the processor's write of the byte `value` at `at`, counted from the start of its window."""
        planes = EXPAND[self._sequencer[MAP_MASK]]
        graphics, addressing = self._graphics, self._addressing
        if addressing is Addressing.CHAIN_4:
            word = chain_4_address(at)
            planes &= 0xFF << 8 * (at & 3)
        else:
            word = self._first + (at & 0xFFFF)
            if graphics[MISC] & MISC_CHAIN_ODD_EVEN:
                word = word & ~1 | self._page_of(at)
            if addressing is Addressing.ODD_EVEN:
                planes &= ODD_PLANES if at & 1 else EVEN_PLANES
        word &= self._address_mask
        mode = graphics[MODE] & MODE_WRITE
        if mode == 0 and not graphics[ENABLE_SET_RESET] and not graphics[ROTATE]:
            mask = graphics[BIT_MASK] * REPEAT
            data = value * REPEAT & mask | self.latches & ~mask
        elif mode == 1:
            data = self.latches
        else:
            data = self._combined(mode, value)
        words = self._words
        words[word] = words[word] & ~planes | data & planes

    def _page_of(self, at: int) -> int:
        return at >> 16 & 1 or self._page

    def _combined(self, mode: int, value: int) -> int:
        """What the byte `value` becomes in all four planes."""
        graphics, latches = self._graphics, self.latches
        mask = graphics[BIT_MASK] * REPEAT
        set_reset = EXPAND[graphics[SET_RESET]]
        if mode == 2:
            data = EXPAND[value & 0x0F]
        else:
            rotate = graphics[ROTATE] & 7
            rotated = ((value >> rotate | value << 8 - rotate) & 0xFF) * REPEAT
            if mode == 3:
                mask &= rotated
                data = set_reset
            else:
                enabled = EXPAND[graphics[ENABLE_SET_RESET]]
                data = rotated & ~enabled | set_reset & enabled
        function = graphics[ROTATE] >> 3 & 3
        if function == 1:
            data &= latches
        elif function == 2:
            data |= latches
        elif function == 3:
            data ^= latches
        return data & mask | latches & ~mask


def addressing_of(sequencer: bytearray) -> Addressing:
    """What the sequencer's memory mode says."""
    memory_mode = sequencer[MEMORY_MODE]
    if memory_mode & MEMORY_CHAIN_4:
        return Addressing.CHAIN_4
    return Addressing.PLANAR if memory_mode & MEMORY_ODD_EVEN_OFF else Addressing.ODD_EVEN


def passes_unchanged(graphics: bytearray) -> bool:
    """Whether bytes pass the graphics controller as they are, in both directions."""
    return (
        graphics[BIT_MASK] == 0xFF
        and not graphics[ENABLE_SET_RESET]
        and not graphics[ROTATE]
        and not graphics[MODE] & (MODE_WRITE | MODE_READ_COMPARE)
    )
