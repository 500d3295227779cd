"""INT 13h AH=02h-05h, 10h, 17h, 18h: sectors by cylinder, head and sector.

::

    CH  cylinder, low 8 bits      DH  head       AL     number of sectors, 1-128
    CL  7-6 cylinder, high bits   DL  drive      ES:BX  buffer
        5-0 sector, from 1

A transfer goes on over the ends of tracks and cylinders.  Floppies are read by DMA, which cannot cross a multiple of
64 KiB: status 09h.  What lies outside the geometry is status 01h; a hard disk that ends before its geometry does (the
last cylinder of a small image) gives 0Ch.

Source: as `disk`; Intel 82077AA, "Read Data", for the multi-track transfers.
Not modelled: formatting a hard disk's track (AH=05h), which does nothing, as on IDE disks; interleave and sector sizes
in the format table of AH=05h.
"""

from __future__ import annotations

from hillemu.boot.bios.call import BiosCall
from hillemu.boot.bios.disk_status import (
    BAD_PARAMETER,
    BAD_TRACK,
    CROSSES_64_KIB,
    NOT_READY,
    SUCCESS,
    TIMED_OUT,
    WRITE_PROTECTED,
)
from hillemu.boot.bios.disk_tables import drive_type_of, floppy_table_of, table_address
from hillemu.boot.bios.drives import Drive, FloppyDrive

_MAX_SECTORS = 128
_64_KIB = 0x10000
_FILL_BYTE = 8
"""Offset in the diskette parameter table of what AH=05h writes into sectors."""


def read(call: BiosCall, drive: Drive) -> int:
    at = _where(call, drive, needs_buffer=True)
    if isinstance(at, _Refused):
        return at.status
    call.write_linear(_buffer(call), drive.read(at, call.al))
    return SUCCESS


def write(call: BiosCall, drive: Drive) -> int:
    at = _where(call, drive, needs_buffer=True)
    if isinstance(at, _Refused):
        return at.status
    if drive.read_only:
        call.al = 0
        return WRITE_PROTECTED
    drive.write(at, call.read_linear(_buffer(call), call.al * 512))
    return SUCCESS


def verify(call: BiosCall, drive: Drive) -> int:
    """Sectors of an image are never bad, so it is enough that they are there."""
    at = _where(call, drive, needs_buffer=False)
    return at.status if isinstance(at, _Refused) else SUCCESS


def format_track(call: BiosCall, drive: Drive) -> int:
    """Fill a track's first AL sectors with the diskette parameter table's fill byte."""
    at = drive.logical.lba_of(call.ch, call.dh, 1)
    if at is None or not 1 <= call.al <= drive.logical.sectors:
        return BAD_PARAMETER
    if drive.read_only:
        return WRITE_PROTECTED
    if isinstance(drive, FloppyDrive):
        drive.write(at, bytes([call.load(table_address(call) + _FILL_BYTE)]) * (512 * call.al))
    return SUCCESS


def ready(call: BiosCall, drive: Drive) -> int:
    return SUCCESS if drive.medium else NOT_READY


def set_disk_type(call: BiosCall, drive: Drive) -> int:
    """AH=17h: AL is 1 to 4; the drive knows what is in it."""
    return SUCCESS if 1 <= call.al <= 4 else BAD_PARAMETER


def set_media_type(call: BiosCall, drive: Drive) -> int:
    """AH=18h: prepare to format a disk with the tracks and sectors in CX; its parameter table goes to ES:DI.

    An image has one format, so no other is possible.
    """
    last_track, sectors = call.ch | (call.cl & 0xC0) << 2, call.cl & 0x3F
    if (last_track + 1, sectors) != (drive.logical.cylinders, drive.logical.sectors):
        return BAD_TRACK
    call.es, call.di = floppy_table_of(drive_type_of(drive.logical))
    return SUCCESS


class _Refused:
    """Why a transfer cannot be done."""

    __slots__ = ("status",)

    def __init__(self, status: int) -> None:
        self.status = status


def _where(call: BiosCall, drive: Drive, *, needs_buffer: bool) -> int | _Refused:
    """The first sector of the transfer that `call` asks for; AL is cleared if none will be transferred."""
    at = drive.logical.lba_of(call.ch | (call.cl & 0xC0) << 2, call.dh, call.cl & 0x3F)
    if at is None or not 1 <= call.al <= _MAX_SECTORS:
        return _Refused(BAD_PARAMETER)
    if drive.medium is None:
        status = TIMED_OUT
    elif needs_buffer and _crosses_64_kib(call, drive):
        status = CROSSES_64_KIB
    elif at + call.al > drive.sector_count:
        status = BAD_TRACK
    else:
        return at
    call.al = 0
    return _Refused(status)


def _buffer(call: BiosCall) -> int:
    return call.guest.registers.segment("es").base + call.bx


def _crosses_64_kib(call: BiosCall, drive: Drive) -> bool:
    first = _buffer(call)
    return isinstance(drive, FloppyDrive) and first // _64_KIB != (first + call.al * 512 - 1) // _64_KIB
