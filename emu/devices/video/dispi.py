"""The Bochs VBE display interface: modes of the graphics card itself, with a linear framebuffer.

::

    0x1CE  index (16 bits)         0x1CF or 0x1D0  data (16 bits)

    0 ID                  0xB0C0-0xB0C5: the version; writing one asks for it
    1 XRES    2 YRES      in pixels          3 BPP   4, 8, 15, 16, 24 or 32
    4 ENABLE              0 enabled | 1 reads of 1-3 tell the limits | 5 DAC of 8 bits | 6 linear framebuffer
                          7 do not clear memory
    5 BANK                which 64 KiB of video RAM the window at 0xA0000 shows
    6 VIRT_WIDTH          pixels from one line to the next        7 VIRT_HEIGHT   lines that fit into memory (read only)
    8 X_OFFSET            where the screen starts                 9 Y_OFFSET
    A VIDEO_MEMORY_64K    size of video RAM (read only)

What makes no sense is mended at once, and reads back mended: a width that is no multiple of 8, a height that does not
fit into memory.  The framebuffer answers whether or not bit 6 of ENABLE is set.

Source: Bochs, "VBE DISPI interface" (vbe_display_api.txt); QEMU, docs/specs/standard-vga.
"""

from __future__ import annotations

from collections.abc import Callable

PORT, PORT_COUNT = 0x1CE, 4
VERSION, FIRST_VERSION = 0xB0C5, 0xB0C0

ID, XRES, YRES, BPP, ENABLE, BANK, VIRT_WIDTH, VIRT_HEIGHT, X_OFFSET, Y_OFFSET, VIDEO_MEMORY = range(11)
ENABLED, GET_LIMITS, DAC_8_BITS, LINEAR, KEEP_MEMORY = 0x01, 0x02, 0x20, 0x40, 0x80

MAX_WIDTH, MAX_HEIGHT, MAX_DEPTH = 16000, 12000, 32
BANK_BYTES = 0x10000
_BITS = {4: 4, 8: 8, 15: 16, 16: 16, 24: 24, 32: 32}
"""Bits that a pixel takes in memory, by depth."""


def _nobody_listens() -> None:
    """Nothing hangs on these registers."""


class Dispi:
    """The registers.

    `on_change()` runs before memory is cleared, whenever something changed that the window or the DAC hang on.
    """

    def __init__(self, *, video_ram: memoryview, on_change: Callable[[], None] = _nobody_listens) -> None:
        self._video_ram = video_ram
        self.on_change = on_change
        self.reset()

    def reset(self) -> None:
        self._registers = [0] * VIDEO_MEMORY
        self._registers[ID] = VERSION
        self._index = 0
        self.on_change()

    # -- what the registers say ---------------------------------------------------------------------------------

    @property
    def enabled(self) -> bool:
        return bool(self._registers[ENABLE] & ENABLED)

    @property
    def linear(self) -> bool:
        return bool(self._registers[ENABLE] & LINEAR)

    @property
    def dac_bits(self) -> int:
        return 8 if self._registers[ENABLE] & DAC_8_BITS else 6

    @property
    def width(self) -> int:
        return self._registers[XRES]

    @property
    def height(self) -> int:
        return self._registers[YRES]

    @property
    def depth(self) -> int:
        """Bits of color: 4, 8, 15, 16, 24 or 32."""
        depth = self._registers[BPP]
        return depth if depth in _BITS else 8

    @property
    def planar(self) -> bool:
        """Whether a pixel's four bits lie in four planes."""
        return self.depth == 4

    @property
    def bank(self) -> int:
        return self._registers[BANK]

    @property
    def pixel_bits(self) -> int:
        """Bits that a pixel takes in memory."""
        return _BITS[self.depth]

    @property
    def line_bytes(self) -> int:
        """Bytes of video RAM from one line to the next, all planes counted."""
        return self._registers[VIRT_WIDTH] * self.pixel_bits // 8

    @property
    def x_offset(self) -> int:
        return self._registers[X_OFFSET]

    @property
    def y_offset(self) -> int:
        return self._registers[Y_OFFSET]

    @property
    def start(self) -> int:
        """The byte of video RAM where the screen starts."""
        return self._registers[X_OFFSET] * self.pixel_bits // 8 + self._registers[Y_OFFSET] * self.line_bytes

    # -- the guest's side ---------------------------------------------------------------------------------------

    def read(self, offset: int, size: int) -> int:
        return self.peek(offset, size)

    def peek(self, offset: int, size: int) -> int:
        if size != 2:
            return (1 << 8 * size) - 1
        return self.get(self._index) if offset else self._index

    def write(self, offset: int, size: int, value: int) -> None:
        if size != 2:
            return
        if offset:
            self.set(self._index, value)
        else:
            self._index = value

    def get(self, index: int) -> int:
        """What register `index` reads; 0 where there is none."""
        registers = self._registers
        if index == VIDEO_MEMORY:
            return len(self._video_ram) // BANK_BYTES
        if index >= VIDEO_MEMORY:
            return 0
        if registers[ENABLE] & GET_LIMITS and XRES <= index <= BPP:
            return (MAX_WIDTH, MAX_HEIGHT, MAX_DEPTH)[index - XRES]
        return registers[index]

    def set(self, index: int, value: int) -> None:
        """Write `value` (16 bits) to register `index`."""
        registers = self._registers
        if index == ID:
            if FIRST_VERSION <= value <= VERSION:
                registers[ID] = value
        elif index == ENABLE:
            self._enable(value)
        elif index == BANK:
            registers[BANK] = value & len(self._video_ram) // BANK_BYTES - 1
            self.on_change()
        elif index < VIDEO_MEMORY and index != VIRT_HEIGHT:
            registers[index] = value
            self._mend()
            if index == BPP:
                self.on_change()

    def _enable(self, value: int) -> None:
        registers = self._registers
        turns_on = value & ENABLED and not self.enabled
        registers[ENABLE] = value
        if turns_on:
            registers[VIRT_WIDTH] = registers[X_OFFSET] = registers[Y_OFFSET] = 0
            self._mend()
        else:
            registers[BANK] = 0
        self.on_change()
        if turns_on and not value & KEEP_MEMORY:
            count = self.height * self.line_bytes
            self._video_ram[:count] = bytes(count)

    def _mend(self) -> None:
        """Make the registers describe a screen that lies in video RAM."""
        if not self.enabled:
            return
        registers = self._registers
        registers[BPP] = self.depth
        registers[XRES] = min(max(registers[XRES] & ~7, 8), MAX_WIDTH)
        registers[VIRT_WIDTH] = min(max(registers[VIRT_WIDTH] & ~7, registers[XRES]), MAX_WIDTH)
        line_bytes, size_bytes = self.line_bytes, len(self._video_ram)
        registers[VIRT_HEIGHT] = size_bytes // line_bytes
        registers[YRES] = min(max(registers[YRES], 1), MAX_HEIGHT, registers[VIRT_HEIGHT])
        registers[X_OFFSET] = min(registers[X_OFFSET], MAX_WIDTH)
        screen_bytes = registers[YRES] * line_bytes
        if self.start + screen_bytes > size_bytes:
            registers[Y_OFFSET] = 0
        if self.start + screen_bytes > size_bytes:
            registers[X_OFFSET] = 0
