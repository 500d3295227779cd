"""INT 13h: floppies, hard disks and CDs.

::

    AH  00 reset           04 verify            0C seek           11 recalibrate    42-44 extended transfers
        01 last status     05 format track      0D reset disk     14 diagnostics    45-49 removable media, seek,
        02 read            08 parameters        10 ready?         15 type of drive        parameters (EDD)
        03 write           09 set parameters    15, 16 change     17, 18 formats    4A-4D CD emulation, 4E hardware

The functions that transfer by cylinder, head and sector are in `disk_chs`, the extended ones in `disk_edd`, those of
bootable CDs in `disk_cd`.  Results, registers and status codes are SeaBIOS's on QEMU, which tests compare with.
Sectors come from the drive's medium, not through the controllers: no interrupt 6, 14 or 15 is seen, and no motor turns.

A buffer is ES:BX as a linear address: what lies behind the segment's end is written behind it, as DMA does.

Source: IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 13h"; Ralf Brown's Interrupt List for the rest.
Not modelled: long transfers, ESDI and XT functions (AH=06h, 07h, 0Ah, 0Bh, 0Eh, 0Fh, 12h, 13h, 19h): status 01h.
"""

from __future__ import annotations

from collections.abc import Callable

from hillemu.boot.bios import disk_cd, disk_chs, disk_edd
from hillemu.boot.bios.call import BiosCall
from hillemu.boot.bios.disk_status import (
    BAD_PARAMETER,
    BAD_TRACK,
    DISK_CHANGED,
    SEEK_FAILED,
    SUCCESS,
    finish,
    status_address,
)
from hillemu.boot.bios.disk_tables import drive_type_of, floppy_table_of
from hillemu.boot.bios.drives import CdDrive, Drive, Drives, FloppyDrive, HardDisk
from hillemu.emu.reports import Report, unheard

Function = Callable[[BiosCall, Drive], int]
"""Does the work and returns the status."""

VECTOR = 0x13


class DiskService:
    """The service of INT 13h for `drives`; register an instance for the vector.

    `report` hears, once a drive, of a guest that reads beyond the image's end.
    """

    def __init__(self, drives: Drives, *, report: Report = unheard) -> None:
        self.drives = drives
        self._report = report
        self._told: set[Drive] = set()

    def __call__(self, call: BiosCall) -> None:
        number, function = call.dl, call.ah
        if function in disk_cd.FUNCTIONS:
            finish(call, number, disk_cd.FUNCTIONS[function](call, self.drives))
            return
        drive = self.drives.find(number)
        if drive is None:
            finish(call, number, BAD_PARAMETER)
        elif function == 0x01:
            self._last_status(call)
        elif function == 0x08:
            self._parameters(call, drive)
        elif function == 0x15:
            self._type_of_drive(call, drive)
        else:
            action = _functions_of(drive).get(function)
            status = BAD_PARAMETER if action is None else action(call, drive)
            if function in _REACHING_SECTORS and (
                status == BAD_TRACK or (function >= 0x42 and status == BAD_PARAMETER)
            ):
                self._tell_of_the_end(drive)
            finish(call, number, status)
            if function == 0x41 and status == SUCCESS:
                call.ah = disk_edd.VERSION

    def _last_status(self, call: BiosCall) -> None:
        call.ah = call.load(status_address(call.dl))
        call.carry = call.ah != SUCCESS

    def _parameters(self, call: BiosCall, drive: Drive) -> None:
        """AH=08h: the largest cylinder, head and sector; the last cylinder of hard disks is the diagnostic one."""
        if isinstance(drive, CdDrive):
            finish(call, call.dl, BAD_PARAMETER)
            return
        cylinders, heads, sectors = drive.logical
        is_floppy = call.dl < 0x80
        if is_floppy:
            call.bx = drive_type_of(drive.logical)
            call.es, call.di = floppy_table_of(call.bl)
        last = cylinders - (1 if is_floppy else 2)
        call.al = 0
        call.ch = last
        call.cl = last >> 2 & 0xC0 | sectors
        call.dh = heads - 1
        finish(call, call.dl, SUCCESS)
        call.dl = min(self.drives.floppy_count, 2) if is_floppy else self.drives.disk_count

    def _type_of_drive(self, call: BiosCall, drive: Drive) -> None:
        """AH=15h: 1 is a drive that cannot tell a changed disk, 3 a hard disk with CX:DX sectors."""
        number = call.dl
        is_disk = 0x80 <= number < 0xE0
        if is_disk:
            cylinders, heads, sectors = drive.logical
            count = (cylinders - 1) * heads * sectors
            call.cx, call.dx = count >> 16, count
        finish(call, number, SUCCESS)
        call.ah = 3 if is_disk else 1

    def _tell_of_the_end(self, drive: Drive) -> None:
        """Most often the image is a boot sector and a kernel, and the boot sector reads more than there is."""
        if drive not in self._told:
            self._told.add(drive)
            self._report(
                f"the guest reads or writes beyond the end of {drive.describe()}, which has {drive.sector_count} "
                "sectors: that fails, as on a PC; in a floppy drive (--floppy) a short image is filled up with zeros"
            )


def _succeed(call: BiosCall, drive: Drive) -> int:
    """Reset, recalibrate, diagnostics...: nothing that could be out of order."""
    return SUCCESS


def _refuse(call: BiosCall, drive: Drive) -> int:
    return BAD_PARAMETER


def _seek(call: BiosCall, drive: Drive) -> int:
    cylinder = call.ch | (call.cl & 0xC0) << 2
    return SUCCESS if drive.logical.lba_of(cylinder, call.dh, 1) is not None else SEEK_FAILED


def _changed(call: BiosCall, drive: Drive) -> int:
    """AH=16h: who has no change line must take the disk for another one."""
    return DISK_CHANGED


_REACHING_SECTORS = (0x02, 0x03, 0x04, 0x42, 0x43, 0x44)
_TRANSFERS: dict[int, Function] = {
    0x02: disk_chs.read,
    0x03: disk_chs.write,
    0x04: disk_chs.verify,
    0x05: disk_chs.format_track,
}
_FLOPPY: dict[int, Function] = {
    0x00: _succeed,
    **_TRANSFERS,
    0x16: _changed,
    0x17: disk_chs.set_disk_type,
    0x18: disk_chs.set_media_type,
}
_DISK_BASIC: dict[int, Function] = {
    0x00: _succeed,
    **_TRANSFERS,
    0x09: _succeed,
    0x0C: _seek,
    0x0D: _succeed,
    0x10: disk_chs.ready,
    0x11: _succeed,
    0x14: _succeed,
    0x16: _refuse,
}
_DISK: dict[int, Function] = {**_DISK_BASIC, **disk_edd.FUNCTIONS}
_EMULATED_FLOPPY: dict[int, Function] = {**_DISK_BASIC, 0x16: _changed}
_CD: dict[int, Function] = {**_DISK, 0x0C: _succeed}


def _functions_of(drive: Drive) -> dict[int, Function]:
    if isinstance(drive, FloppyDrive):
        return _FLOPPY
    if isinstance(drive, HardDisk):
        return _DISK
    if isinstance(drive, CdDrive):
        return _CD
    return _EMULATED_FLOPPY if drive.number < 0x80 else _DISK_BASIC
