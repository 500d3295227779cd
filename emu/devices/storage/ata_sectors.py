"""The commands of an ATA disk that move sectors: addresses, PIO in blocks, and DMA.

::

    address     28 bits    device 3-0, LBA high, mid, low         count 0 is 256 sectors
                48 bits    LBA high, mid, low, each two deep      count 0 is 65536 sectors
                CHS        LBA high, mid: cylinder | device 3-0: head | LBA low: sector, from 1

    reading     interrupt and DRQ for each block; none at the end
    writing     DRQ at once for the first block, interrupt and DRQ for each other, interrupt at the end
    DMA         DMARQ for all of it, interrupt at the end

A block is a sector, or for READ/WRITE MULTIPLE as many as SET MULTIPLE MODE says.

A command whose first sector does not exist ends with IDNF and moves nothing; one that runs over the end moves what
there is, then ends with IDNF and the address of the first missing sector.

Source: ATA/ATAPI-6 (T13 1410D), "Command descriptions", "PIO data-in command protocol", "PIO data-out command
protocol", "DMA command protocol".
"""

from __future__ import annotations

from collections.abc import Callable

from hillemu.emu.clock import Clock
from hillemu.emu.devices.storage import ata_names as ata
from hillemu.emu.devices.storage.ata_drive import COMMAND_NS, SECTOR_NS, Drive
from hillemu.emu.devices.storage.ata_transfer import SectorSink, SectorSource
from hillemu.emu.geometry import disk_geometry
from hillemu.emu.media import SECTOR_BYTES, Medium
from hillemu.emu.reports import Report, unheard

MOST_MULTIPLE = 16
_VERIFY_SECTORS = 2048
"""How many are read from the host at a time, only to see that they can be."""


class SectorDrive(Drive):
    """A drive with a medium and the commands of `TRANSFERS`."""

    def __init__(self, medium: Medium, *, clock: Clock, report: Report = unheard) -> None:
        self.medium = medium
        self.default_geometry = disk_geometry(medium)
        super().__init__(clock=clock, report=report)

    def reset(self) -> None:
        self.geometry = self.default_geometry
        # Firmware sets this; a guest that comes without any finds the same.
        self.multiple = MOST_MULTIPLE
        super().reset()

    def restart(self) -> None:
        self._lba = self._left = 0
        self._is_extended = False
        super().restart()

    def transfer(self, command: int) -> bool:
        """Begin a command that moves sectors; `False` for any other."""
        action = TRANSFERS.get(command)
        if action is None:
            return False
        action(self, command in _EXTENDED)
        return True

    # -- addresses ------------------------------------------------------------------------------------------------

    def locate(self, extended: bool) -> bool:
        """Take address and count from the task file; `False` if there is no such sector."""
        now, before = self.task, self.previous
        self._is_extended = extended
        low24 = now[ata.LOW] | now[ata.MID] << 8 | now[ata.HIGH] << 16
        if extended:
            self._left = (now[ata.COUNT] | before[ata.COUNT] << 8) or 0x10000
            self._lba = low24 | before[ata.LOW] << 24 | before[ata.MID] << 32 | before[ata.HIGH] << 40
        else:
            self._left = now[ata.COUNT] or 0x100
            if now[ata.DEVICE] & ata.LBA:
                self._lba = low24 | (now[ata.DEVICE] & 0x0F) << 24
            else:
                found = self.geometry.lba_of(now[ata.MID] | now[ata.HIGH] << 8, now[ata.DEVICE] & 0x0F, now[ata.LOW])
                if found is None:
                    return False
                self._lba = found
        return self._available() > 0

    def _available(self) -> int:
        """How many of the sectors that are left to do exist."""
        return min(self._left, self.medium.sector_count - self._lba)

    def show_address(self, lba: int, extended: bool) -> None:
        """Put `lba` where the command had its address."""
        now = self.task
        if not extended and not now[ata.DEVICE] & ata.LBA:
            cylinder, head, sector = self.geometry.chs_of(lba)
            now[ata.LOW], now[ata.MID], now[ata.HIGH] = sector, cylinder & 0xFF, cylinder >> 8 & 0xFF
            now[ata.DEVICE] = now[ata.DEVICE] & 0xF0 | head
            return
        now[ata.LOW], now[ata.MID], now[ata.HIGH] = lba & 0xFF, lba >> 8 & 0xFF, lba >> 16 & 0xFF
        if extended:
            high = (lba >> 24 & 0xFF, lba >> 32 & 0xFF, lba >> 40 & 0xFF)
            self.previous[ata.LOW], self.previous[ata.MID], self.previous[ata.HIGH] = high
        else:
            now[ata.DEVICE] = now[ata.DEVICE] & 0xF0 | lba >> 24 & 0x0F

    def _passed(self, count: int) -> None:
        self._lba += count
        self._left -= count

    def _complete(self) -> None:
        """All sectors are done: the task file tells of the last one."""
        self.show_address(self._lba - 1, self._is_extended)
        self.task[ata.COUNT] = self.previous[ata.COUNT] = 0
        self.status = ata.READY

    def _complete_and_interrupt(self) -> None:
        self._complete()
        self.interrupt()

    def _not_found(self) -> None:
        """The next sector does not exist."""
        self.show_address(self._lba, self._is_extended)
        self.fail(ata.IDNF)

    def _no_such_place(self) -> None:
        """The address that was asked for does not exist; the task file still has it."""
        self.fail(ata.IDNF)

    # -- PIO ------------------------------------------------------------------------------------------------------

    def _read(self, extended: bool, block: int = 1) -> None:
        if not self.locate(extended):
            self.after(COMMAND_NS, self._no_such_place)
            return
        self.after(COMMAND_NS, lambda: self._send_block(block))

    def _send_block(self, block: int) -> None:
        count = min(block, self._available())
        if count <= 0:
            self._not_found()
            return
        data = self.medium.read(self._lba, count)
        self._passed(count)
        self.send(data, lambda: self._block_was_read(block, count))
        self.interrupt()

    def _block_was_read(self, block: int, count: int) -> None:
        if self._left:
            self.after(COMMAND_NS + count * SECTOR_NS, lambda: self._send_block(block))
        else:
            self._complete()

    def _write(self, extended: bool, block: int = 1) -> None:
        if self.medium.read_only:
            self.after(COMMAND_NS, self.abort)
        elif not self.locate(extended):
            self.after(COMMAND_NS, self._no_such_place)
        else:
            # Room for the first block is there at once, and without an interrupt.
            self._receive_block(block)

    def _receive_block(self, block: int) -> None:
        count = min(block, self._available())
        if count <= 0:
            self._not_found()
            return
        delay_ns = COMMAND_NS + count * SECTOR_NS
        self.receive(count * SECTOR_BYTES, lambda: self.after(delay_ns, lambda: self._store_block(block)))

    def _store_block(self, block: int) -> None:
        self.medium.write(self._lba, self.buffer)
        self._passed(len(self.buffer) // SECTOR_BYTES)
        if not self._left:
            self._complete_and_interrupt()
        elif self._available() <= 0:
            self._not_found()
        else:
            self._receive_block(block)
            self.interrupt()

    def _read_multiple(self, extended: bool) -> None:
        if self.multiple:
            self._read(extended, self.multiple)
        else:
            self.after(COMMAND_NS, self.abort)

    def _write_multiple(self, extended: bool) -> None:
        if self.multiple:
            self._write(extended, self.multiple)
        else:
            self.after(COMMAND_NS, self.abort)

    def _verify(self, extended: bool) -> None:
        if not self.locate(extended):
            self.after(COMMAND_NS, self._no_such_place)
            return
        self.after(COMMAND_NS + self._left * SECTOR_NS, self._verified)

    def _verified(self) -> None:
        count = self._available()
        for at in range(self._lba, self._lba + count, _VERIFY_SECTORS):
            self.medium.read(at, min(_VERIFY_SECTORS, self._lba + count - at))
        self._sectors_moved(count)

    # -- DMA ------------------------------------------------------------------------------------------------------

    def _read_dma(self, extended: bool) -> None:
        self._start_dma(extended, to_host=True)

    def _write_dma(self, extended: bool) -> None:
        if self.medium.read_only:
            self.after(COMMAND_NS, self.abort)
        else:
            self._start_dma(extended, to_host=False)

    def _start_dma(self, extended: bool, *, to_host: bool) -> None:
        if not self.locate(extended):
            self.after(COMMAND_NS, self._no_such_place)
            return
        count = self._available()
        source = SectorSource(self.medium, self._lba, count) if to_host else None
        sink = None if to_host else SectorSink(self.medium, self._lba, count)
        self.after(COMMAND_NS + count * SECTOR_NS, lambda: self.move(source, sink, lambda: self._sectors_moved(count)))

    def _sectors_moved(self, count: int) -> None:
        self._passed(count)
        if self._left:
            self._not_found()
        else:
            self._complete_and_interrupt()


_EXTENDED = frozenset(
    {
        ata.READ_SECTORS_EXT,
        ata.READ_MULTIPLE_EXT,
        ata.READ_DMA_EXT,
        ata.READ_VERIFY_EXT,
        ata.WRITE_SECTORS_EXT,
        ata.WRITE_MULTIPLE_EXT,
        ata.WRITE_DMA_EXT,
    }
)

TRANSFERS: dict[int, Callable[[SectorDrive, bool], None]] = {
    ata.READ_SECTORS: SectorDrive._read,
    ata.READ_SECTORS_NO_RETRY: SectorDrive._read,
    ata.READ_SECTORS_EXT: SectorDrive._read,
    ata.READ_MULTIPLE: SectorDrive._read_multiple,
    ata.READ_MULTIPLE_EXT: SectorDrive._read_multiple,
    ata.READ_DMA: SectorDrive._read_dma,
    ata.READ_DMA_NO_RETRY: SectorDrive._read_dma,
    ata.READ_DMA_EXT: SectorDrive._read_dma,
    ata.READ_VERIFY: SectorDrive._verify,
    ata.READ_VERIFY_NO_RETRY: SectorDrive._verify,
    ata.READ_VERIFY_EXT: SectorDrive._verify,
    ata.WRITE_SECTORS: SectorDrive._write,
    ata.WRITE_SECTORS_NO_RETRY: SectorDrive._write,
    ata.WRITE_SECTORS_EXT: SectorDrive._write,
    ata.WRITE_MULTIPLE: SectorDrive._write_multiple,
    ata.WRITE_MULTIPLE_EXT: SectorDrive._write_multiple,
    ata.WRITE_DMA: SectorDrive._write_dma,
    ata.WRITE_DMA_NO_RETRY: SectorDrive._write_dma,
    ata.WRITE_DMA_EXT: SectorDrive._write_dma,
}
