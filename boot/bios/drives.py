"""The drives of a machine as INT 13h numbers them: floppies from 00h, hard disks from 80h, CDs from E0h.

While a CD emulates a floppy or a hard disk (El Torito), the emulated one is 00h or 80h, and the real ones of its kind
move up by one.

>>> drives = Drives(disks=[HardDisk(Medium.from_bytes("disk", bytes(1 << 20)))])
>>> drives.find(0x80).describe(), drives.find(0x81)
('hard disk 80h (disk)', None)
"""

from __future__ import annotations

from collections.abc import Sequence

from hillemu.boot.el_torito import BootEntry
from hillemu.emu.geometry import (
    ATA_SECTORS,
    MAX_BIOS_CYLINDERS,
    Geometry,
    bios_disk_geometry,
    disk_geometry,
    format_as_floppy,
)
from hillemu.emu.media import CD_SECTOR_BYTES, Medium

FIRST_FLOPPY, FIRST_DISK, FIRST_CD = 0x00, 0x80, 0xE0
NO_TRANSLATION, LBA_TRANSLATION, LARGE_TRANSLATION = 0, 1, 2
_PER_CD_SECTOR = CD_SECTOR_BYTES // 512


class Drive:
    """What all drives have.  Sectors are counted from 0; `logical` is what INT 13h counts cylinders by."""

    kind = "drive"
    number = 0
    """In DL."""
    logical = Geometry(0, 0, 0)

    def __init__(self, medium: Medium | None) -> None:
        self.medium = medium

    @property
    def sector_bytes(self) -> int:
        return self.medium.sector_bytes if self.medium else 512

    @property
    def sector_count(self) -> int:
        return self.medium.sector_count if self.medium else 0

    @property
    def read_only(self) -> bool:
        return self.medium is None or self.medium.read_only

    def read(self, lba: int, count: int) -> bytes:
        """`count` sectors, all of which there are.  Raises `MediumError` if the image fails."""
        assert self.medium is not None, "asked for before reading"
        return self.medium.read(lba, count)

    def write(self, lba: int, data: bytes) -> None:
        """Write whole sectors, all of which there are, to a medium that may be written.  Raises as `read` does."""
        assert self.medium is not None, "asked for before writing"
        self.medium.write(lba, data)

    def describe(self) -> str:
        return f"{self.kind} {self.number:02X}h" + (f" ({self.medium.path})" if self.medium else " (empty)")


class FloppyDrive(Drive):
    """A floppy drive with a floppy in it.  An image shorter than its format is filled up with zeros.

    Raises `ImageError` for an image that fits on no floppy.
    """

    kind = "floppy"

    def __init__(self, medium: Medium) -> None:
        super().__init__(medium)
        self.logical = format_as_floppy(medium)


class HardDisk(Drive):
    """A hard disk at place `slot`: 0 and 1 on the primary channel, 2 and 3 on the secondary, even ones masters."""

    kind = "hard disk"

    def __init__(self, medium: Medium, slot: int = 0) -> None:
        super().__init__(medium)
        self.slot = slot
        self.physical, self.logical = disk_geometry(medium), bios_disk_geometry(medium)

    @property
    def translation(self) -> int:
        """How `logical` comes from `physical`, as CMOS byte 0x39 numbers it: 0 unchanged, 1 LBA assisted, 2 large."""
        if self.logical.heads == self.physical.heads:
            return NO_TRANSLATION
        tracks = self.sector_count // ATA_SECTORS
        by_lba = Geometry(min(tracks // self.logical.heads, MAX_BIOS_CYLINDERS), self.logical.heads, ATA_SECTORS)
        return LBA_TRANSLATION if self.logical == by_lba else LARGE_TRANSLATION


class CdDrive(Drive):
    """A CD drive at place `slot`, as for `HardDisk`, with or without a CD of 2048-byte sectors."""

    kind = "CD"

    def __init__(self, medium: Medium | None, slot: int = 2) -> None:
        super().__init__(medium)
        self.slot = slot
        self.locks = 0

    @property
    def sector_bytes(self) -> int:
        return CD_SECTOR_BYTES


class EmulatedDrive(Drive):
    """A floppy or a hard disk whose image lies on a CD, from the CD's sector `start` on.  It cannot be written.

    `media_type` is the boot catalog's: 1, 2, 3 for floppies of 1.2, 1.44 and 2.88 MB, 4 for a hard disk.
    """

    kind = "emulated drive"
    read_only = True
    sector_bytes = 512

    def __init__(self, cd: CdDrive, start: int, media_type: int, logical: Geometry) -> None:
        super().__init__(cd.medium)
        self.cd = cd
        self.start = start
        self.media_type = media_type
        self.logical = logical

    @property
    def is_floppy(self) -> bool:
        return self.media_type < 4

    @property
    def sector_count(self) -> int:
        return max(self.cd.sector_count - self.start, 0) * _PER_CD_SECTOR

    def read(self, lba: int, count: int) -> bytes:
        first, offset = divmod(lba, _PER_CD_SECTOR)
        end = -(-(lba + count) // _PER_CD_SECTOR)
        data = self.cd.read(self.start + first, end - first)
        return data[offset * 512 : (offset + count) * 512]


class Drives:
    """All drives; `emulated` is the one that a CD emulates, while it does, `booted_cd` what was booted from a CD."""

    def __init__(
        self,
        floppies: Sequence[FloppyDrive] = (),
        disks: Sequence[HardDisk] = (),
        cds: Sequence[CdDrive] = (),
    ) -> None:
        self.floppies, self.disks, self.cds = tuple(floppies), tuple(disks), tuple(cds)
        for first, kind in ((FIRST_FLOPPY, self.floppies), (FIRST_DISK, self.disks), (FIRST_CD, self.cds)):
            for number, drive in enumerate(kind, first):
                drive.number = number
        self.emulated: EmulatedDrive | None = None
        self.booted_cd: tuple[CdDrive, BootEntry] | None = None

    @property
    def floppy_count(self) -> int:
        return len(self.floppies) + (self.emulated is not None and self.emulated.is_floppy)

    @property
    def disk_count(self) -> int:
        return len(self.disks) + (self.emulated is not None and not self.emulated.is_floppy)

    def find(self, number: int) -> Drive | None:
        """The drive that DL = `number` means."""
        if self.emulated is not None and number < FIRST_CD and (number ^ self.emulated.number) & 0x80 == 0:
            if number == self.emulated.number:
                return self.emulated
            number -= 1
        kind: Sequence[Drive]
        if number >= FIRST_CD:
            kind, index = self.cds, number - FIRST_CD
        elif number >= FIRST_DISK:
            kind, index = self.disks, number - FIRST_DISK
        else:
            kind, index = self.floppies, number
        return kind[index] if index < len(kind) else None

    def emulate(self, drive: EmulatedDrive) -> None:
        """Put `drive` before the others of its kind."""
        drive.number = FIRST_FLOPPY if drive.is_floppy else FIRST_DISK
        self.emulated = drive

    def close(self) -> None:
        """Put what was written into the files, and let them go."""
        for drive in (*self.floppies, *self.disks, *self.cds):
            if drive.medium is not None:
                drive.medium.close()

    def reset(self) -> None:
        """Nothing is booted, emulated or locked: as at power-on."""
        self.emulated = self.booted_cd = None
        for cd in self.cds:
            cd.locks = 0
