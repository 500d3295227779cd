"""The floppy controller's commands that find sectors: read, write, verify, format, read an ID.

::

    command   0: MT MFM SK . . . . .     1: . . . . . HDS US1 US0     2-8: C H R N EOT GPL DTL
    result    ST0 ST1 ST2 C H R N        the sector behind the last one

    ST0   7-6 how it ended: 0 well, 1 with an error, 2 invalid command | 5 seek end | 4 no track 0 | 2 head | 1-0 drive
    ST1   7 EN: past the last sector | 4 OR: overrun | 2 ND: no such sector | 1 NW: write-protected | 0 MA: no mark
    ST2   6 CM: other mark | 4 WC: wrong cylinder | 1 BC: bad cylinder (C is FFh) | 0 MD: no data mark

A transfer goes on from sector to sector (with MT from head 0 to head 1) until the DMA controller's terminal count.
If it comes to EOT without, it ends with an error (EN), as every transfer without DMA does.

A disk is one image of 512-byte sectors in MFM.  Reading with another encoding or data rate finds no address mark.

Source: Intel 82077AA data sheet (290166), "Data transfer commands", "Result phase" tables and "Status register
encoding".
Not modelled: rotation (see `SECTOR_NS`), gaps, sectors of other sizes, deleted-data marks (writing one is reported),
other formats than the image's (formatting to one is reported and fails), the scan commands.
"""

from __future__ import annotations

from collections.abc import Callable

from hillemu.emu.devices.storage.dma8237 import Moved
from hillemu.emu.devices.storage.floppy_drive import FloppyDrive
from hillemu.emu.devices.storage.floppy_phases import FloppyPhases
from hillemu.emu.media import SECTOR_BYTES

SECTOR_NS = 200_000
"""How long a sector takes.

A disk would need eight milliseconds, and on the average half a turn (100 ms) until it comes by.  Guests that wait
in loops would spend minutes for one floppy, so this drive finds each sector at once, and has it fifty times as fast.
"""
STEP_NS = 50_000
"""How long a step to the next cylinder takes, likewise; SPECIFY's step rate is only remembered."""
NO_DISK_NS = 400_000_000
"""Two turns without an index mark.  Hardware waits for ever, until the driver resets it."""

ABNORMAL = 0x40
EN, OR, ND, NW, MA = 0x80, 0x10, 0x04, 0x02, 0x01
CM, WC, BC = 0x40, 0x10, 0x02
_N_512 = 2
_MT, _MFM, _SK = 0x80, 0x40, 0x20
_ID_BYTES = 4


class FloppyTransfers(FloppyPhases):
    """The chip with these commands.  `uses_dma` and `seeks_by_itself` are what SPECIFY and CONFIGURE say."""

    uses_dma: bool
    seeks_by_itself: bool

    def read_data(self, command: bytes) -> None:
        self._begin(command, self._read_sector)

    def read_deleted_data(self, command: bytes) -> None:
        """No sector of an image has the mark that this looks for: one is read all the same, or with SK none."""
        self._begin(command, self._skip_sector if command[0] & _SK else self._read_other_sector)

    def read_track(self, command: bytes) -> None:
        """READ TRACK takes the sectors as they come, from the first to EOT."""
        self._begin(bytes([command[0] & ~_MT, *command[1:4], 1, *command[5:]]), self._read_sector)

    def write_data(self, command: bytes) -> None:
        self._begin(command, self._write_sector)

    def write_deleted_data(self, command: bytes) -> None:
        self.report("a floppy image cannot keep deleted-data marks; the sectors are written as normal ones")
        self._begin(command, self._write_sector)

    def verify(self, command: bytes) -> None:
        self._count = command[8] if command[1] & 0x80 else 0
        self._begin(command, self._verify_sector)

    # -- finding sectors ------------------------------------------------------------------------------------------

    def _begin(self, command: bytes, action: Callable[[FloppyDrive, int], None]) -> None:
        self._flags, self._unit = command[0], command[1] & 3
        self._head = command[1] >> 2 & 1
        self._place = list(command[2:6])  # C, H, R, N
        self._last = command[6]
        self._action = action
        self._is_terminal = False
        steps = 0
        drive = self.drive(self._unit)
        if drive is not None and self.seeks_by_itself:
            steps = drive.step_to(command[2])
        self._warn_of_motor(drive)
        self.after(self._spin_up(drive) + steps * STEP_NS, self._next_sector)

    def _spin_up(self, drive: FloppyDrive | None) -> int:
        return NO_DISK_NS if drive is None or drive.medium is None else SECTOR_NS

    def _warn_of_motor(self, drive: FloppyDrive | None) -> None:
        if drive is not None and not drive.motor:
            self.report("a floppy command with the motor off works here, and waits for ever on hardware")

    def _next_sector(self) -> None:
        drive = self.drive(self._unit)
        if drive is None or not self._has_marks(drive):
            self._end(MA)
            return
        cylinder, head, sector, size = self._place
        if cylinder != drive.cylinder:
            self._end(ND, WC | (BC if cylinder == 0xFF else 0))
            return
        lba = drive.geometry.lba_of(cylinder, head, sector)
        if lba is None or head != self._head or size != _N_512:
            self._end(ND)
            return
        self._action(drive, lba)

    def _has_marks(self, drive: FloppyDrive) -> bool:
        """Whether the head sees address marks of the kind that the command and the data rate look for."""
        return (
            drive.medium is not None
            and bool(self._flags & _MFM)
            and drive.reads_at(self.rate)
            and drive.cylinder < drive.geometry.cylinders
            and self._head < drive.geometry.heads
        )

    def _sector_done(self, *, is_last: bool) -> None:
        """Step to the next sector; end, or go on there."""
        more = self._advance()
        if is_last:
            self._end(0)
        elif more:
            self.after(SECTOR_NS, self._next_sector)
        else:
            self._end(EN)

    def _advance(self) -> bool:
        """Count on to the next sector as the result phase tells it; `False` behind the end of the cylinder."""
        place = self._place
        if place[2] != self._last:
            place[2] = place[2] + 1 & 0xFF
            return True
        place[2] = 1
        if self._flags & _MT:
            self._head ^= 1
            place[1] ^= 1
            if self._head == 1:
                return True
        place[0] = place[0] + 1 & 0xFF
        return False

    def _end(self, st1: int, st2: int = 0) -> None:
        st0 = (ABNORMAL if st1 or st2 & ~CM else 0) | self._head << 2 | self._unit
        self.finish(bytes([st0, st1, st2, *self._place]), interrupt=True)

    # -- with each sector -----------------------------------------------------------------------------------------

    def _read_sector(self, drive: FloppyDrive, lba: int) -> None:
        assert drive.medium is not None, "a disk without a medium has no sectors"
        data = drive.medium.read(lba)
        if self.uses_dma:
            self._moved(self.dma.to_memory(data) if self.has_dma else Moved(b"", False))
        else:
            self.offer(data, lambda _: self._sector_done(is_last=False))

    def _moved(self, moved: Moved) -> None:
        if moved.is_terminal:
            self._sector_done(is_last=True)
        elif len(moved.data) < SECTOR_BYTES:
            self._end(OR)
        else:
            self._sector_done(is_last=False)

    def _read_other_sector(self, drive: FloppyDrive, lba: int) -> None:
        assert drive.medium is not None, "a disk without a medium has no sectors"
        data = drive.medium.read(lba)
        if self.uses_dma:
            if self.has_dma:
                self.dma.to_memory(data)
            self._end_at_mark()
        else:
            self.offer(data, lambda _: self._end_at_mark())

    def _end_at_mark(self) -> None:
        self._advance()
        self._end(0, CM)

    def _skip_sector(self, drive: FloppyDrive, lba: int) -> None:
        self._sector_done(is_last=False)

    def _verify_sector(self, drive: FloppyDrive, lba: int) -> None:
        assert drive.medium is not None, "a disk without a medium has no sectors"
        drive.medium.read(lba)
        if self._count:
            self._count -= 1
            self._sector_done(is_last=not self._count)
            return
        # Without a count, EOT is where it ends well.
        self._sector_done(is_last=self._place[2] == self._last and (not self._flags & _MT or self._head == 1))

    def _write_sector(self, drive: FloppyDrive, lba: int) -> None:
        if drive.is_write_protected:
            self._end(NW)
        elif self.uses_dma:
            moved = self.dma.from_memory(SECTOR_BYTES) if self.has_dma else Moved(b"", False)
            if len(moved.data) < SECTOR_BYTES and not moved.is_terminal:
                self._end(OR)
                return
            self._store(drive, lba, moved.data)
            self._sector_done(is_last=moved.is_terminal)
        else:
            self.want(SECTOR_BYTES, lambda data: self._store_from_host(drive, lba, data))

    def _store_from_host(self, drive: FloppyDrive, lba: int, data: bytes) -> None:
        self._store(drive, lba, data)
        self._sector_done(is_last=False)

    def _store(self, drive: FloppyDrive, lba: int, data: bytes) -> None:
        """Write a sector; what a terminal count cut off is zeros."""
        assert drive.medium is not None, "a disk without a medium has no sectors"
        drive.medium.write(lba, data.ljust(SECTOR_BYTES, b"\0"))

    # -- READ ID and FORMAT TRACK ---------------------------------------------------------------------------------

    def read_id(self, command: bytes) -> None:
        self._flags, self._unit, self._head = command[0], command[1] & 3, command[1] >> 2 & 1
        self._place = [0, 0, 0, 0]
        drive = self.drive(self._unit)
        self._warn_of_motor(drive)
        self.after(self._spin_up(drive), self._found_id)

    def _found_id(self) -> None:
        drive = self.drive(self._unit)
        if drive is None or not self._has_marks(drive):
            self._end(MA)
            return
        # Each time another sector comes by.
        sector = self.clock.now_ns // SECTOR_NS % drive.geometry.sectors + 1
        self._place = [drive.cylinder, self._head, sector, _N_512]
        self._end(0)

    def format_track(self, command: bytes) -> None:
        self._flags, self._unit, self._head = command[0], command[1] & 3, command[1] >> 2 & 1
        size, count, _, filler = command[2:6]
        self._place = [0, 0, 0, size]
        drive = self.drive(self._unit)
        self._warn_of_motor(drive)
        self.after(self._spin_up(drive), lambda: self._format(count, filler))

    def _format(self, count: int, filler: int) -> None:
        drive = self.drive(self._unit)
        if drive is None or drive.medium is None:
            self._end(MA)
        elif drive.is_write_protected:
            self._end(NW)
        elif not self.uses_dma:
            self.want(count * _ID_BYTES, lambda ids: self._write_track(drive, ids, filler))
        else:
            moved = self.dma.from_memory(count * _ID_BYTES) if self.has_dma else Moved(b"", False)
            if len(moved.data) < count * _ID_BYTES:
                self._end(OR)
            else:
                self._write_track(drive, moved.data, filler)

    def _write_track(self, drive: FloppyDrive, ids: bytes, filler: int) -> None:
        assert drive.medium is not None, "a disk without a medium has no tracks"
        wanted = [tuple(ids[at : at + _ID_BYTES]) for at in range(0, len(ids), _ID_BYTES)]
        possible = {(drive.cylinder, self._head, sector, _N_512) for sector in range(1, drive.geometry.sectors + 1)}
        inside = drive.cylinder < drive.geometry.cylinders and self._head < drive.geometry.heads
        if set(wanted) != possible or not inside or not drive.reads_at(self.rate):
            self.report("formatting a floppy otherwise than its image's size says is not modelled")
            self._end(MA)
            return
        first = drive.geometry.lba_of(drive.cylinder, self._head, 1)
        assert first is not None, "checked to be inside"
        drive.medium.write(first, bytes([filler]) * (len(wanted) * SECTOR_BYTES))
        self._end(0)
