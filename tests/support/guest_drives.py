"""The drives that guests `ata`, `atapi` and `floppy` look at: sectors whose content tells their number.

Dword i of sector n is ``1000 n + i``.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

from hillemu.booting import DriveOptions

NEED_DRIVES = {"ata", "atapi", "floppy"}
FLOPPY_SECTORS, DISK_SECTORS, CD_SECTORS = 2880, 3000, 400


class GuestDrives(NamedTuple):
    """The image files."""

    floppy: Path
    disk: Path
    cd: Path

    @property
    def qemu_options(self) -> list[str]:
        """What QEMU has to be told; it keeps the guest's writes to itself."""
        raw = "format=raw,snapshot=on"
        return [
            *("-drive", f"file={self.floppy},{raw},if=floppy,index=0"),
            *("-drive", f"file={self.disk},{raw},if=ide,index=0"),
            *("-drive", f"file={self.cd},format=raw,if=ide,index=2,media=cdrom,readonly=on"),
        ]


def drive_options(guest: str, drives: GuestDrives) -> DriveOptions:
    """The drives of hillemu's machine for `guest`."""
    if guest not in NEED_DRIVES:
        return DriveOptions()
    return DriveOptions((str(drives.floppy),), (str(drives.disk),), (str(drives.cd),))


def make_drives(folder: Path) -> GuestDrives:
    """Write the images into `folder`."""
    drives = GuestDrives(folder / "floppy.img", folder / "disk.img", folder / "cd.iso")
    drives.floppy.write_bytes(_sectors(FLOPPY_SECTORS, 512))
    drives.disk.write_bytes(_sectors(DISK_SECTORS, 512))
    drives.cd.write_bytes(_sectors(CD_SECTORS, 2048))
    return drives


def _sectors(count: int, size: int) -> bytes:
    words = size // 4
    return b"".join(struct.pack(f"<{words}I", *range(1000 * n, 1000 * n + words)) for n in range(count))
