"""One ATA channel: the ports, the cable, and one or two drives on it.

::

    offset  read               write
    0       data (16 or 32 bits)
    1       error              features            each of 2-5 is two deep: a write pushes the old value back,
    2       sector count                           and HOB lets it be read
    3       LBA low            (CHS: sector)
    4       LBA mid            (CHS: cylinder, low byte; PACKET: byte count)
    5       LBA high           (CHS: cylinder, high byte; PACKET: byte count)
    6       device             7 1 | 6 LBA | 5 1 | 4 DEV: drive 0 or 1 | 3-0 LBA bits 27-24, or CHS: head
    7       status             command

    status  7 BSY | 6 DRDY | 5 DF | 4 DSC | 3 DRQ | 0 ERR      reading it takes the interrupt back
    error   7 ICRC | 6 UNC | 4 IDNF | 2 ABRT                   PACKET: 7-4 sense key

    control block, offset 0
            alternate status   7 HOB | 2 SRST | 1 nIEN

Both drives hear all that is written; the one that DEV selects answers and drives the interrupt.  Where there is no
drive 1, drive 0 answers for it, with a status of 0.  On an empty channel all reads give 0, as on QEMU: a drive is
there if its status is not 0.

A data port is read and written word by word, and by ``rep insw``.  After the first word of a block the rest, except
for its last word, goes through the `window`, so that only two words of each block call this chip.

Source: ATA/ATAPI-6 (T13 1410D), "I/O register descriptions", "Single device configurations" and "Software reset
protocol".
Not modelled: 8-bit accesses to the data port (reported), the timing of PIO and DMA modes, drives that are busy at the
same time on one cable.
"""

from __future__ import annotations

from hillemu.emu.bus import DataWindow, NoWindow
from hillemu.emu.devices.storage import ata_names as ata
from hillemu.emu.devices.storage.ata_drive import COMMAND_NS, Drive
from hillemu.emu.devices.storage.bus_master import BusMasterChannel
from hillemu.emu.reports import Report, unheard
from hillemu.emu.wires import Line


class AtaChannel:
    """The command block; `control` is the control block.

    `irq` is INTRQ.  A channel without a `bus_master` has drives whose DMA commands never end, as on hardware.
    """

    def __init__(
        self,
        *,
        irq: Line,
        drives: tuple[Drive | None, Drive | None],
        bus_master: BusMasterChannel | None = None,
        window: DataWindow | None = None,
        report: Report = unheard,
    ) -> None:
        self.drives = drives
        self.control = ControlBlock(self)
        self._irq = irq
        self._bus_master = bus_master
        self._window = window or NoWindow()
        self._windowed: Drive | None = None
        self._report = report
        self._present = [drive for drive in drives if drive is not None]
        for number, drive in enumerate(drives):
            if drive is not None:
                drive.number = number
                drive.is_alone = len(self._present) == 1
                drive.on_interrupt = self._drive_interrupt
                if bus_master is not None:
                    drive.on_dma_request = bus_master.service
        if bus_master is not None:
            bus_master.requester = lambda: self._selected
        self._power_on()

    def reset(self) -> None:
        """Pull RESET- of the cable: all drives are ready at once, since the firmware's self test waits for them."""
        self._close_window()
        for drive in self._present:
            drive.reset()
        self._power_on()

    def _power_on(self) -> None:
        self._selected = self.drives[0]
        self._control = 0
        self._drive_interrupt()

    # -- the command block ----------------------------------------------------------------------------------------

    def read(self, offset: int, size: int) -> int:
        self._close_window()
        if offset == ata.DATA:
            return self._read_data(size)
        value = 0
        for place in range(size):
            value |= self._read_register(offset + place) << 8 * place
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        self._close_window()
        if offset == ata.DATA:
            self._write_data(size, value)
            return
        for place in range(size):
            self._write_register(offset + place, value >> 8 * place & 0xFF)

    def peek(self, offset: int, size: int) -> int:
        """Registers as they stand; the data port shows nothing."""
        if offset == ata.DATA:
            return 0
        return sum(self._look(offset + place) << 8 * place for place in range(size))

    def _look(self, offset: int) -> int:
        drive = self._selected
        if drive is None:
            if offset == ata.STATUS or not self._present:
                return 0
            drive = self._present[0]
        return drive.read_register(offset)

    def _read_register(self, offset: int) -> int:
        value = self._look(offset)
        if offset == ata.STATUS and self._selected is not None:
            self._selected.clear_interrupt()
        return value

    def _write_register(self, offset: int, value: int) -> None:
        selected = self._selected
        if offset == ata.COMMAND:
            self._command(value)
        elif selected is None or not selected.is_occupied:
            for drive in self._present:
                drive.hob = False
                drive.write_register(offset, value)
            if offset == ata.DEVICE:
                self._select(bool(value & ata.DEV))

    def _select(self, number: int) -> None:
        self._selected = self.drives[number]
        self._drive_interrupt()

    def _command(self, command: int) -> None:
        for drive in self._present:
            drive.hob = False
        selected = self._selected
        if command == ata.EXECUTE_DEVICE_DIAGNOSTIC:
            if selected is None or not selected.is_occupied:
                self._select(0)
                for drive in self._present:
                    drive.diagnose()
        elif selected is not None:
            selected.execute(command)

    # -- the data port --------------------------------------------------------------------------------------------

    def _read_data(self, size: int) -> int:
        if size == 1:
            self._report("an 8-bit access to an ATA data port moves nothing")
            return 0xFF
        drive = self._selected
        if drive is None:
            return 0
        value = drive.read_data(size)
        if drive.is_sending:
            self._open_window(drive, size, output=False)
        return value

    def _write_data(self, size: int, value: int) -> None:
        if size == 1:
            self._report("an 8-bit access to an ATA data port moves nothing")
            return
        drive = self._selected
        if drive is None:
            return
        drive.write_data(size, value)
        if drive.is_receiving:
            self._open_window(drive, size, output=True)

    def _open_window(self, drive: Drive, size: int, *, output: bool) -> None:
        """All but the last item of a block may be moved without this chip; the last one has consequences."""
        end = drive.end - size
        if end - drive.at >= size:
            self._window.open(drive.buffer, drive.at, end, size=size, output=output)
            self._windowed = drive

    def _close_window(self) -> None:
        drive = self._windowed
        if drive is not None:
            self._windowed = None
            at = self._window.close()
            if at is not None:
                drive.at = at

    # -- interrupts, the control block ----------------------------------------------------------------------------

    def _drive_interrupt(self) -> None:
        drive = self._selected
        level = drive is not None and drive.interrupting and not self._control & ata.NIEN
        rises = level and not self._irq.level
        if rises and self._bus_master is not None:
            self._bus_master.interrupt()
        self._irq.set(level)

    def write_control(self, value: int) -> None:
        self._close_window()
        before, self._control = self._control, value
        for drive in self._present:
            drive.hob = bool(value & ata.HOB)
        if value & ata.SRST and not before & ata.SRST:
            self._select(0)
            for drive in self._present:
                drive.stop()
                drive.status = ata.BSY
        elif before & ata.SRST and not value & ata.SRST:
            for drive in self._present:
                drive.after(COMMAND_NS, drive.restart)
        self._drive_interrupt()

    def read_alternate_status(self) -> int:
        self._close_window()
        return self._look(ata.STATUS)

    def peek_alternate_status(self) -> int:
        return self._look(ata.STATUS)


class ControlBlock:
    """The channel's port in the control block: one byte."""

    def __init__(self, channel: AtaChannel) -> None:
        self._channel = channel

    def read(self, offset: int, size: int) -> int:
        return self._channel.read_alternate_status()

    def peek(self, offset: int, size: int) -> int:
        return self._channel.peek_alternate_status()

    def write(self, offset: int, size: int, value: int) -> None:
        self._channel.write_control(value)
