"""The PIIX4's SMBus host controller: sixteen ports, and a bus on which nobody answers.

::

    0 SMBHSTSTS  4 FAILED | 3 BUS_ERR | 2 DEV_ERR | 1 INTER | 0 HOST_BUSY   (1-4: write 1 to clear)
    1 SMBSLVSTS
    2 SMBHSTCNT  6 START (write only) | 4-2 protocol | 1 KILL | 0 INTEREN
    3 SMBHSTCMD | 4 SMBHSTADD | 5 SMBHSTDAT0 | 6 SMBHSTDAT1 | 7 SMBBLKDAT: 32 bytes, from the first after a read of 2
    8 SMBSLVCNT | 9 SMBSHDWCMD | A SMBSLVEVT | C SMBSLVDAT

No memory module or sensor is on the bus, so every transaction ends at once with DEV_ERR: its address is not claimed.

Source: Intel 82371AB (PIIX4) data sheet (290562), "SMBus I/O Space Registers".
Not modelled: devices on the bus, the slave side (its registers keep what is written), the time a transaction takes.
"""

from __future__ import annotations

from hillemu.emu.wires import Line

PORT_COUNT = 16
BLOCK_BYTES = 32
HOST_STATUS, HOST_CONTROL, BLOCK_DATA = 0, 2, 7
DEV_ERR, FAILED, STATUS_CLEARED = 0x04, 0x10, 0x1E
START, KILL, INTEREN = 0x40, 0x02, 0x01
_CONTROL_KEPT = 0x1F
_KEPT = {3: 0xFF, 4: 0xFF, 5: 0xFF, 6: 0xFF, 8: 0x0F, 0xA: 0xFF, 0xB: 0xFF}


class SmBus:
    """The controller; one port at a time.  `interrupt` is its wire."""

    def __init__(self, *, interrupt: Line) -> None:
        self._interrupt = interrupt
        self.reset()

    def reset(self) -> None:
        self._status = self._control = 0
        self._kept = dict.fromkeys(_KEPT, 0)
        self._block = bytearray(BLOCK_BYTES)
        self._block_index = 0
        self._interrupt.set(False)

    def read(self, offset: int, size: int) -> int:
        value = self.peek(offset, size)
        if offset == HOST_CONTROL:
            self._block_index = 0
        elif offset == BLOCK_DATA:
            self._block_index = (self._block_index + 1) % BLOCK_BYTES
        return value

    def peek(self, offset: int, size: int) -> int:
        if offset == HOST_STATUS:
            return self._status
        if offset == HOST_CONTROL:
            return self._control
        if offset == BLOCK_DATA:
            return self._block[self._block_index]
        return self._kept.get(offset, 0)

    def write(self, offset: int, size: int, value: int) -> None:
        if offset == HOST_STATUS:
            self._status &= ~(value & STATUS_CLEARED)
        elif offset == HOST_CONTROL:
            self._control = value & _CONTROL_KEPT
            if value & KILL:
                self._status |= FAILED
            elif value & START:
                self._status |= DEV_ERR
        elif offset == BLOCK_DATA:
            self._block[self._block_index] = value
            self._block_index = (self._block_index + 1) % BLOCK_BYTES
        elif offset in self._kept:
            self._kept[offset] = value & _KEPT[offset]
        self._interrupt.set(bool(self._status) and bool(self._control & INTEREN))
