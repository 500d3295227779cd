"""The VGA's registers, and the beam that they drive.

::

    0x3B4/5  CRTC index/data (mono)      0x3C4/5  sequencer          0x3CA  read feature control
    0x3BA    input status 1 (mono)       0x3C6    DAC pixel mask     0x3CC  read miscellaneous output
    0x3C0/1  attribute controller        0x3C7    DAC read index     0x3CE/F  graphics controller
    0x3C2    miscellaneous output        0x3C8    DAC write index    0x3D4/5  CRTC (color)
             / input status 0            0x3C9    DAC data           0x3DA    input status 1 (color)
    0x3C3    enable

    CRTC     00 horizontal total - 5    01 horizontal display end    06 vertical total    07 overflow
             09 maximum scan line       0A/0B cursor start/end       0C/0D start address  0E/0F cursor location
             10/11 vertical retrace     12 vertical display end      13 offset            18 line compare
    input status 1   3 vertical retrace | 0 display disabled

Power-on state is the BIOS's mode 3, 80 x 25 in color.  What the registers mean for display memory is the business of
`vga_window` and `vga_planes`, what they show that of `vga_modes` and `picture`.

The beam follows the programmed timing (31.5 kHz and 70 Hz in mode 3) in virtual time.

Source: IBM VGA XGA Technical Reference, "VGA Function": "Video Graphics Array Registers", "BIOS mode 3"; FreeVGA.
Not modelled: vertical interrupts, the light pen, horizontal skew, the sequencer's and the CRTC's reset bits.
"""

from __future__ import annotations

from collections.abc import Callable

from hillemu.emu.clock import Clock
from hillemu.emu.devices.window import Window
from hillemu.emu.reports import Report, unheard

BASE = 0x3B0
RANGES = ((0x3B4, 2), (0x3BA, 1), (0x3C0, 16), (0x3D4, 2), (0x3DA, 1))
OPEN_BUS = 0xFF

# The registers of mode 3.  Source: "BIOS mode 3", as IBM's and SeaBIOS's tables have it.
MODE_3_MISC = 0x67
MODE_3_SEQUENCER = bytes.fromhex("03 00 03 00 02")
MODE_3_CRTC = bytes.fromhex("5f 4f 50 82 55 81 bf 1f 00 4f 0d 0e 00 00 00 00 9c 8e 8f 28 1f 96 b9 a3 ff")
MODE_3_GRAPHICS = bytes.fromhex("00 00 00 00 00 10 0e 00 ff")
MODE_3_ATTRIBUTE = bytes.fromhex("00 01 02 03 04 05 14 07 38 39 3a 3b 3c 3d 3e 3f 0c 00 0f 08 00")

# Which bits of each register exist; the others read 0.
SEQUENCER_BITS = bytes.fromhex("03 3d 0f 3f 0e")
GRAPHICS_BITS = bytes.fromhex("0f 0f 0f 1f 03 7b 0f 0f ff")
ATTRIBUTE_BITS = bytes.fromhex("3f 3f 3f 3f 3f 3f 3f 3f 3f 3f 3f 3f 3f 3f 3f 3f ef ff 3f 0f 0f")

MISC_COLOR, MISC_MEMORY_ENABLE, MISC_PAGE = 0x01, 0x02, 0x20
CLOCKING = 0x01
CLOCKING_9_DOTS_OFF, CLOCKING_HALF, CLOCKING_SCREEN_OFF = 0x01, 0x08, 0x20
DOT_CLOCKS_HZ = (25_175_000, 28_322_000, 25_175_000, 25_175_000)

HORIZONTAL_TOTAL, HORIZONTAL_DISPLAY_END, VERTICAL_TOTAL, OVERFLOW, MAXIMUM_SCAN_LINE = 0x00, 0x01, 0x06, 0x07, 0x09
CURSOR_START, CURSOR_END, START_HIGH, START_LOW, CURSOR_HIGH, CURSOR_LOW = range(0x0A, 0x10)
PRESET_ROW_SCAN = 0x08
RETRACE_START, RETRACE_END, VERTICAL_DISPLAY_END, OFFSET, UNDERLINE = 0x10, 0x11, 0x12, 0x13, 0x14
MODE_CONTROL, LINE_COMPARE = 0x17, 0x18
PROTECT = 0x80
"""In RETRACE_END: registers 0-7 cannot be written, but for the line compare bit of OVERFLOW."""
INTERRUPT_OFF, INTERRUPT_ARMED = 0x20, 0x10
"""In RETRACE_END: no vertical interrupt; not kept cleared."""
LINE_COMPARE_8 = 0x10

MAP_MASK, CHARACTER_MAP, MEMORY_MODE = 0x02, 0x03, 0x04
"""Sequencer registers."""

GRAPHICS_MODE_REGISTER, GRAPHICS_MISC = 0x05, 0x06
GRAPHICS_MODE = 0x01

STATUS_DISPLAY_OFF, STATUS_RETRACE = 0x01, 0x08
ATTRIBUTE_ADDRESS = 0x1F
PALETTE_ADDRESS_SOURCE = 0x20


def _nobody_listens() -> None:
    """No display memory hangs on this chip."""


class Vga:
    """The chip.

    `on_memory_change()` runs when a register that display memory hangs on was written: the sequencer, the graphics
    controller, miscellaneous output.  `report(message)` hears of what the guest wants that is not modelled.
    """

    def __init__(
        self, *, clock: Clock, on_memory_change: Callable[[], None] = _nobody_listens, report: Report = unheard
    ) -> None:
        self._clock = clock
        self._report = report
        self.on_memory_change = on_memory_change
        self.reset()

    def windows(self) -> tuple[tuple[int, int, Window], ...]:
        """Where to attach the chip: (first port, number of ports, device) for each run of ports."""
        return tuple((base, count, Window(self, base - BASE)) for base, count in RANGES)

    def reset(self) -> None:
        """Set mode 3, as the BIOS leaves it."""
        self.misc = MODE_3_MISC
        self.sequencer = bytearray(MODE_3_SEQUENCER)
        self.crtc = bytearray(MODE_3_CRTC)
        self.graphics = bytearray(MODE_3_GRAPHICS)
        self.attribute = bytearray(MODE_3_ATTRIBUTE)
        self.palette = mode_3_palette()
        self.pixel_mask = 0xFF
        self._crtc_index = self._sequencer_index = self._graphics_index = 0
        self._attribute_index = PALETTE_ADDRESS_SOURCE
        self._attribute_expects_data = False
        self._feature = 0
        self._enable = 1
        self._dac_index = self._dac_component = self._dac_state = 0
        self.dac_bits = 6
        self._set_timing()
        self.on_memory_change()

    # -- what the registers say ---------------------------------------------------------------------------------

    @property
    def text_size(self) -> tuple[int, int]:
        """(rows, columns) of the text screen."""
        scan_line = self.crtc[MAXIMUM_SCAN_LINE]
        height = (scan_line & 0x1F) + 1 << (scan_line >> 7)
        return (self.displayed_lines // height, self.crtc[HORIZONTAL_DISPLAY_END] + 1)

    @property
    def row_cells(self) -> int:
        """Distance of two rows in display memory, in cells of two bytes."""
        return self.crtc[OFFSET] * 2

    @property
    def start_cell(self) -> int:
        """Where in display memory the screen starts, in cells."""
        return self.crtc[START_HIGH] << 8 | self.crtc[START_LOW]

    @property
    def cursor_cell(self) -> int:
        """Where in display memory the cursor is, in cells."""
        return self.crtc[CURSOR_HIGH] << 8 | self.crtc[CURSOR_LOW]

    @property
    def cursor_enabled(self) -> bool:
        """Whether the cursor has a shape: it is on, and starts above its end and within the row."""
        start, end = self.crtc[CURSOR_START], self.crtc[CURSOR_END] & 0x1F
        return not start & 0x20 and start & 0x1F <= min(end, self.crtc[MAXIMUM_SCAN_LINE] & 0x1F)

    @property
    def memory_window(self) -> tuple[int, int]:
        """(physical address, size in bytes) of the display memory that the processor sees."""
        return ((0xA0000, 0x20000), (0xA0000, 0x10000), (0xB0000, 0x8000), (0xB8000, 0x8000))[
            self.graphics[GRAPHICS_MISC] >> 2 & 3
        ]

    @property
    def in_text_mode(self) -> bool:
        return not self.graphics[GRAPHICS_MISC] & GRAPHICS_MODE

    @property
    def is_palette_off(self) -> bool:
        """Whether the processor is loading the attribute controller's palette, which shows nothing meanwhile."""
        return not self._attribute_index & PALETTE_ADDRESS_SOURCE

    @property
    def is_blank(self) -> bool:
        """Whether the screen is dark."""
        return self.is_palette_off or bool(self.sequencer[CLOCKING] & CLOCKING_SCREEN_OFF)

    # -- the guest's side ---------------------------------------------------------------------------------------

    def read(self, offset: int, size: int) -> int:
        value = self.peek(offset, size)
        port = self._decode(offset)
        if port == 0x3DA:
            self._attribute_expects_data = False
        elif port == 0x3C9:
            self._step_dac()
        return value

    def peek(self, offset: int, size: int) -> int:
        port = self._decode(offset)
        if port == 0x3DA:
            return self._input_status_1()
        if port == 0x3D5:
            return _at(self.crtc, self._crtc_index)
        if port == 0x3C1:
            return _at(self.attribute, self._attribute_index & ATTRIBUTE_ADDRESS)
        if port == 0x3C5:
            return _at(self.sequencer, self._sequencer_index)
        if port == 0x3CF:
            return _at(self.graphics, self._graphics_index)
        if port == 0x3C9:
            return self.palette[self._dac_index * 3 + self._dac_component]
        return self._plain_register(port)

    def _plain_register(self, port: int) -> int:
        return {
            0x3C0: self._attribute_index,
            0x3C2: 0x10,  # input status 0: the switch sense of a color display
            0x3C3: self._enable,
            0x3C4: self._sequencer_index,
            0x3C6: self.pixel_mask,
            0x3C7: self._dac_state,
            0x3C8: self._dac_index,
            0x3CA: self._feature,
            0x3CC: self.misc,
            0x3CE: self._graphics_index,
            0x3D4: self._crtc_index,
        }.get(port, OPEN_BUS)

    def write(self, offset: int, size: int, value: int) -> None:
        port = self._decode(offset)
        if port == 0x3D4:
            self._crtc_index = value & 0x3F
        elif port == 0x3D5:
            self._write_crtc(value)
        elif port == 0x3C0:
            self._write_attribute(value)
        elif port == 0x3C2:
            self.misc = value
            self._set_timing()
            self.on_memory_change()
        elif port == 0x3C3:
            self._enable = value & 1
        elif port == 0x3C4:
            self._sequencer_index = value & 7
        elif port == 0x3C5:
            _put(self.sequencer, self._sequencer_index, value, SEQUENCER_BITS)
            if self._sequencer_index == CLOCKING:
                self._set_timing()
            else:
                self.on_memory_change()
        elif port == 0x3CE:
            self._graphics_index = value & 0x0F
        elif port == 0x3CF:
            _put(self.graphics, self._graphics_index, value, GRAPHICS_BITS)
            self.on_memory_change()
        elif port == 0x3DA:
            self._feature = value
        else:
            self._write_dac(port, value)

    def _decode(self, offset: int) -> int:
        """The port, with those of the color range standing for the mono ones; 0 if that range is switched off."""
        port = BASE + offset
        if 0x3C0 <= port <= 0x3CF:
            return port
        if self.misc & MISC_COLOR:
            return port if port >= 0x3D0 else 0
        return port + 0x20 if port < 0x3C0 else 0

    def _write_crtc(self, value: int) -> None:
        index = self._crtc_index
        if index <= OVERFLOW and self.crtc[RETRACE_END] & PROTECT:
            if index != OVERFLOW:
                return
            value = self.crtc[OVERFLOW] & ~LINE_COMPARE_8 | value & LINE_COMPARE_8
        if index < len(self.crtc):
            self.crtc[index] = value
        if index == RETRACE_END and value & (INTERRUPT_OFF | INTERRUPT_ARMED) == INTERRUPT_ARMED:
            self._report("VGA: the guest enables the vertical interrupt, which is not modelled; none will come")
        # Cursor and start address, which are written with every character, do not move the beam.
        if not MAXIMUM_SCAN_LINE <= index <= CURSOR_LOW:
            self._set_timing()

    def _write_attribute(self, value: int) -> None:
        if self._attribute_expects_data:
            _put(self.attribute, self._attribute_index & ATTRIBUTE_ADDRESS, value, ATTRIBUTE_BITS)
        else:
            self._attribute_index = value & (PALETTE_ADDRESS_SOURCE | ATTRIBUTE_ADDRESS)
        self._attribute_expects_data = not self._attribute_expects_data

    # -- DAC ----------------------------------------------------------------------------------------------------

    def _write_dac(self, port: int, value: int) -> None:
        if port == 0x3C6:
            self.pixel_mask = value
        elif port in (0x3C7, 0x3C8):
            self._dac_index, self._dac_component = value, 0
            self._dac_state = 3 if port == 0x3C7 else 0
        elif port == 0x3C9:
            self.palette[self._dac_index * 3 + self._dac_component] = value & (1 << self.dac_bits) - 1
            self._step_dac()

    def _step_dac(self) -> None:
        """Red, green, blue, and on to the next color."""
        self._dac_component = (self._dac_component + 1) % 3
        if self._dac_component == 0:
            self._dac_index = self._dac_index + 1 & 0xFF

    # -- the beam -----------------------------------------------------------------------------------------------

    def _vertical(self, low_register: int, *overflow_bits: int) -> int:
        """A vertical count: eight bits of a register of its own, bits 8 and 9 in OVERFLOW."""
        overflow = self.crtc[OVERFLOW]
        high = [overflow >> bit & 1 for bit in overflow_bits]
        return self.crtc[low_register] | high[0] << 8 | high[1] << 9

    def _set_timing(self) -> None:
        clocking = self.sequencer[CLOCKING]
        dots = 8 if clocking & CLOCKING_9_DOTS_OFF else 9
        self._dot_hz = DOT_CLOCKS_HZ[self.misc >> 2 & 3] >> bool(clocking & CLOCKING_HALF)
        self._line_dots = (self.crtc[HORIZONTAL_TOTAL] + 5) * dots
        self._displayed_dots = (self.crtc[HORIZONTAL_DISPLAY_END] + 1) * dots
        self._lines = self._vertical(VERTICAL_TOTAL, 0, 5) + 2
        self.displayed_lines = self._vertical(VERTICAL_DISPLAY_END, 1, 6) + 1
        self._retrace_start = self._vertical(RETRACE_START, 2, 7)
        # The end register has only four bits: the retrace lasts until the line number's low bits equal it.
        self._retrace_lines = (self.crtc[RETRACE_END] - self._retrace_start) % 16 or 16

    def _input_status_1(self) -> int:
        dot = self._clock.now * self._dot_hz // self._clock.frequency_hz
        line, column = divmod(dot % (self._line_dots * self._lines), self._line_dots)
        status = STATUS_DISPLAY_OFF if line >= self.displayed_lines or column >= self._displayed_dots else 0
        if 0 <= line - self._retrace_start < self._retrace_lines:
            status |= STATUS_RETRACE
        return status


def _at(registers: bytearray, index: int) -> int:
    return registers[index] if index < len(registers) else 0


def _put(registers: bytearray, index: int, value: int, existing_bits: bytes) -> None:
    if index < len(registers):
        registers[index] = value & existing_bits[index]


def mode_3_palette() -> bytearray:
    """The DAC's 256 colors, red, green, blue of six bits: the first 64 are the EGA's, the rest black.

    An EGA color has two bits for each component: r g b R G B, with the capitals worth two thirds.
    """
    palette = bytearray(3 * 256)
    for color in range(64):
        for component in range(3):
            bright, dim = color >> 2 - component & 1, color >> 5 - component & 1
            palette[color * 3 + component] = 0x2A * bright + 0x15 * dim
    return palette
