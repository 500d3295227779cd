"""How an INT 13h function ends: its status in AH, in the carry flag and in the BIOS data area.

Source: IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 13h", "Return codes"; Phoenix, "Enhanced Disk
Drive Specification", for those from B0h on.
"""

from __future__ import annotations

from hillemu.boot.bios.call import BiosCall
from hillemu.boot.bios.drives import FIRST_DISK

SUCCESS = 0x00
BAD_PARAMETER = 0x01
WRITE_PROTECTED = 0x03
DISK_CHANGED = 0x06
CROSSES_64_KIB = 0x09
BAD_TRACK = 0x0C
NOT_FOUND = 0x04
SEEK_FAILED = 0x40
TIMED_OUT = 0x80
NOT_READY = 0xAA
NOT_LOCKED = 0xB0
LOCKED = 0xB1
NOT_REMOVABLE = 0xB2
TOO_MANY_LOCKS = 0xB4

FLOPPY_STATUS, DISK_STATUS = 0x441, 0x474


def status_address(drive_number: int) -> int:
    """Where the BIOS data area keeps the last status of drives of this kind."""
    return FLOPPY_STATUS if drive_number < FIRST_DISK else DISK_STATUS


def finish(call: BiosCall, drive_number: int, status: int) -> None:
    """Give the caller `status`, and keep it for INT 13h AH=01h."""
    call.store(status_address(drive_number), status)
    call.ah = status
    call.carry = status != SUCCESS
