"""The PIIX's bus master for its two ATA channels: it moves a drive's data while the processor does other things.

::

    offset 0, 8    command    3 direction: 1 from drive to memory | 0 start
    offset 2, A    status     7 simplex only (0) | 6 drive 1, 5 drive 0 can do DMA (the driver's notes)
                              2 interrupt | 1 error (both: write 1 to clear) | 0 active
    offset 4, C    address of the table of physical regions, 4 bytes, dword aligned

    table entry    address of memory, 4 bytes, even | bytes, 2 bytes, even, 0 is 64 KiB | 2 bytes, bit 15: last entry

    after a command          active  interrupt
    all regions used             0       1       as it should be
    regions too large            1       1       also good; the driver stops the channel
    regions too small            0       0       the drive still waits; the driver resets it
    memory does not answer       0       0       and error is set

The channel moves as soon as both are ready, the drive with its data and the driver with its start bit, in either
order.  Stopping it drops what was read from the table.

Source: "Programming Interface for Bus Master IDE Controller" 1.0; Intel 82371FB/SB (PIIX/PIIX3) data sheet, "Bus
Master IDE Interface Registers".
Not modelled: that a region or the table wraps at 64 KiB, which both forbid to cross; a direction bit that
contradicts the drive's command (the command wins, and this is reported).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from hillemu.emu.devices.storage.ata_transfer import Sink, Source
from hillemu.emu.devices.storage.dma_memory import DmaMemory
from hillemu.emu.reports import Report, unheard

PORT_COUNT = 16

START, TO_MEMORY = 0x01, 0x08
ACTIVE, ERROR, INTERRUPT, NOTES = 0x01, 0x02, 0x04, 0x60
LAST_ENTRY = 0x8000_0000
_ENTRY_BYTES = 8
_REGISTERS = 8  # of one channel


class Requester(Protocol):
    """A drive that may have something to be moved: a `source`, a `sink`, or neither."""

    source: Source | None
    sink: Sink | None

    def dma_moved(self) -> None:
        """Some of it was moved."""


class BusMasterChannel:
    """One channel's registers and its engine.  The channel's drives call `service`, its INTRQ `interrupt`."""

    def __init__(self, memory: DmaMemory, report: Report) -> None:
        self.requester: Callable[[], Requester | None] = lambda: None
        self.enabled = True
        self._memory = memory
        self._report = report
        self.reset()

    def reset(self) -> None:
        self._command = self._status = self._table = 0
        self._forget_table()

    def _forget_table(self) -> None:
        self._next_entry = self._table
        self._at = self._left = 0
        self._is_last = False

    def interrupt(self) -> None:
        """The drive's interrupt has risen; whatever it moved is in memory."""
        self._status |= INTERRUPT

    def read(self, offset: int) -> int:
        if offset == 0:
            return self._command
        if offset == 2:
            return self._status
        return self._table >> 8 * (offset - 4) & 0xFF if offset >= 4 else 0

    def write(self, offset: int, value: int) -> None:
        if offset == 0:
            self._write_command(value)
        elif offset == 2:
            cleared = self._status & ~(value & (ERROR | INTERRUPT))
            self._status = cleared & ~NOTES | value & NOTES
        elif offset >= 4:
            shift = 8 * (offset - 4)
            self._table = (self._table & ~(0xFF << shift) | value << shift) & 0xFFFF_FFFC

    def _write_command(self, value: int) -> None:
        before, self._command = self._command, value & (START | TO_MEMORY)
        if value & START and not before & START:
            self._forget_table()
            self._status |= ACTIVE
            self.service()
        elif before & START and not value & START:
            self._status &= ~ACTIVE

    def service(self) -> None:
        """Move what can be moved now."""
        while self._status & ACTIVE and self.enabled:
            drive = self.requester()
            if drive is None or (drive.source is None and drive.sink is None):
                return
            try:
                if not self._left:
                    self._fetch_entry()
                self._move(drive.source, drive.sink)
            except IndexError:
                self._status = self._status & ~ACTIVE | ERROR
                return
            if not self._left and self._is_last:
                self._status &= ~ACTIVE
            drive.dma_moved()

    def _fetch_entry(self) -> None:
        entry = self._memory.read(self._next_entry, _ENTRY_BYTES)
        self._next_entry += _ENTRY_BYTES
        flags = int.from_bytes(entry[4:], "little")
        self._at = int.from_bytes(entry[:4], "little") & ~1
        self._left = flags & 0xFFFE or 0x10000
        self._is_last = bool(flags & LAST_ENTRY)

    def _move(self, source: Source | None, sink: Sink | None) -> None:
        if bool(self._command & TO_MEMORY) != (source is not None):
            self._report("the bus master's direction contradicts the drive's command; the command wins")
        count = 0
        if source is not None:
            count = min(self._left, source.remaining)
            self._memory.write(self._at, source.take(count))
        elif sink is not None:
            count = min(self._left, sink.remaining)
            sink.give(self._memory.read(self._at, count))
        self._at += count
        self._left -= count


class BusMaster:
    """Both channels behind their 16 ports; give `channels[0]` and `[1]` to the ATA channels.

    `memory` is read and written by physical address.  Attach it with ``width=4``.
    """

    def __init__(self, *, memory: DmaMemory, report: Report = unheard) -> None:
        self.channels = (BusMasterChannel(memory, report), BusMasterChannel(memory, report))

    def reset(self) -> None:
        for channel in self.channels:
            channel.reset()

    def set_enabled(self, enabled: bool) -> None:
        """The bus master enable bit of the PCI function's command register; without it nothing gets to the bus."""
        for channel in self.channels:
            channel.enabled = enabled
            channel.service()

    def read(self, offset: int, size: int) -> int:
        value = 0
        for place in range(size):
            channel, register = divmod(offset + place, _REGISTERS)
            value |= self.channels[channel].read(register) << 8 * place
        return value

    peek = read

    def write(self, offset: int, size: int, value: int) -> None:
        for place in range(size):
            channel, register = divmod(offset + place, _REGISTERS)
            self.channels[channel].write(register, value >> 8 * place & 0xFF)
