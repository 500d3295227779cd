"""The kernel's console: what is written goes to the serial port COM1 and to the VGA text screen.

Both through the guest's own hardware, as a kernel in C would do it: port writes to the 16550A, characters and
attributes in video memory, the cursor in the CRT controller.

Source: PC16550D data sheet, "Register descriptions"; IBM VGA/XGA Technical Reference, "Alphanumeric modes" and "CRT
controller registers".
"""

from __future__ import annotations

from hillemu.emu.guest import Guest
from hillemu.emu.i386.address import PhysAddr

COM1 = 0x3F8
DATA, INTERRUPTS, FIFO_CONTROL, LINE_CONTROL, MODEM_CONTROL, LINE_STATUS = (COM1 + number for number in range(6))
DLAB, EIGHT_BITS, CAN_SEND = 0x80, 0x03, 0x20
_TRIES = 10_000

SCREEN = 0xB8000
COLUMNS, ROWS = 80, 25
ROW_BYTES = 2 * COLUMNS
GREY_ON_BLACK = 0x07
CRTC_INDEX, CRTC_DATA = 0x3D4, 0x3D5
CURSOR_HIGH, CURSOR_LOW = 0x0E, 0x0F
_BLANK_ROW = bytes((ord(" "), GREY_ON_BLACK)) * COLUMNS


class Console:
    """Sets up the serial port (115200 baud, 8 data bits, no parity, no interrupts) and clears the screen.

    Without `clear`, it goes on at the cursor, and leaves the serial port as the boot code has set it up.
    """

    def __init__(self, guest: Guest, *, clear: bool = True) -> None:
        self._guest = guest
        self._row = self._column = 0
        if not clear:
            self._row, self._column = divmod(min(self._find_cursor(), COLUMNS * ROWS - 1), COLUMNS)
            return
        for port, value in (
            (INTERRUPTS, 0),
            (LINE_CONTROL, DLAB),
            (DATA, 1),
            (INTERRUPTS, 0),
            (LINE_CONTROL, EIGHT_BITS),
            (FIFO_CONTROL, 0x07),
            (MODEM_CONTROL, 0x03),
        ):
            guest.write_port(port, value)
        guest.memory.write(PhysAddr(SCREEN), _BLANK_ROW * ROWS)
        self._move_cursor()

    def line(self, text: str) -> None:
        """Write `text` and a line feed."""
        self.write(text.encode("utf-8", "replace") + b"\n")

    def write(self, data: bytes) -> None:
        """Write bytes; a line feed also returns to the left edge of the screen."""
        write_port, read_port = self._guest.write_port, self._guest.read_port
        for byte in data:
            for _ in range(_TRIES):  # a port that nobody empties must not stop the kernel
                if read_port(LINE_STATUS) & CAN_SEND:
                    break
            write_port(DATA, byte)
        pieces = data.split(b"\n")
        for number, piece in enumerate(pieces):
            self._put(piece)
            if number < len(pieces) - 1:
                self._new_line()
        self._move_cursor()

    def _put(self, text: bytes) -> None:
        while text:
            if self._column == COLUMNS:
                self._new_line()
            here, text = text[: COLUMNS - self._column], text[COLUMNS - self._column :]
            cells = bytearray((GREY_ON_BLACK,)) * (2 * len(here))
            cells[::2] = here
            self._guest.memory.write(PhysAddr(SCREEN + self._row * ROW_BYTES + 2 * self._column), cells)
            self._column += len(here)

    def _new_line(self) -> None:
        self._column = 0
        if self._row < ROWS - 1:
            self._row += 1
            return
        memory = self._guest.memory
        rest = memory.read(PhysAddr(SCREEN + ROW_BYTES), (ROWS - 1) * ROW_BYTES)
        memory.write(PhysAddr(SCREEN), rest + _BLANK_ROW)

    def _find_cursor(self) -> int:
        cell = 0
        for index in (CURSOR_HIGH, CURSOR_LOW):
            self._guest.write_port(CRTC_INDEX, index)
            cell = cell << 8 | self._guest.read_port(CRTC_DATA)
        return cell

    def _move_cursor(self) -> None:
        cell = self._row * COLUMNS + min(self._column, COLUMNS - 1)
        for index, value in ((CURSOR_HIGH, cell >> 8), (CURSOR_LOW, cell & 0xFF)):
            self._guest.write_port(CRTC_INDEX, index)
            self._guest.write_port(CRTC_DATA, value)
