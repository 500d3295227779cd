"""INT 13h AH=41h-49h, 4Eh: enhanced disk drive services, for hard disks and CDs.

::

    DS:SI  00 size of the packet        AH=48h fills at DS:SI  00 size of the buffer, then of the answer
           02 number of sectors         02 information         04 cylinders    08 heads    0C sectors
           04 buffer, offset            10 number of sectors (64 bits)         18 bytes per sector
           06 buffer, segment           1A pointer to the device parameter table extension
           08 first sector (64 bits)    1E "DD BE", length, 22.. bus, interface, place, device, checksum
           10 buffer, if at 04 stands FFFF:FFFF and the packet's size is at least 18h (64 bits)

After an error the packet's number of sectors is that of the sectors transferred: none.  A transfer has 64 KiB at most
(status 09h).  A packet's size decides nothing else, as on SeaBIOS: boot code in the wild gets it wrong.

A CD's size is told as unknown (all ones), because another one may be in the drive next time.

Source: Phoenix, "Enhanced Disk Drive Specification" 3.0; T13 1484D, "BIOS Enhanced Disk Drive Services" for AH=48h with
74 bytes.
Not modelled: DMA and PIO modes (AH=4Eh), which are accepted without effect; ejecting (AH=46h) leaves the CD in.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

from hillemu.boot.bios.call import BiosCall
from hillemu.boot.bios.disk_status import (
    BAD_PARAMETER,
    BAD_TRACK,
    CROSSES_64_KIB,
    DISK_CHANGED,
    LOCKED,
    NOT_LOCKED,
    NOT_READY,
    NOT_REMOVABLE,
    SUCCESS,
    TOO_MANY_LOCKS,
    WRITE_PROTECTED,
)
from hillemu.boot.bios.disk_tables import extension_of
from hillemu.boot.bios.drives import CdDrive, Drive, HardDisk

VERSION = 0x30
"""What AH=41h answers in AH instead of a status: EDD 3.0."""

_INSTALLED = 0xAA55
_ALL_SUBSETS = 0x0007
"""Extended access, removable media, EDD."""

_MOST_BYTES = 64 << 10
_FLAT, _FLAT_PACKET_BYTES = 0xFFFFFFFF, 0x18
_MOST_LOCKS = 0xFF

_IDE_BUS, _IDE_DEVICE, _IDE_FUNCTION = 0, 1, 1
"""Where on PCI the IDE controller is: 00:01.1."""
_KNOWN_GEOMETRY = 0x02
_REMOVABLE_OF_ANY_SIZE = 0x74
"""Removable, with a change line, lockable, and the geometry is only an upper bound."""
_UNKNOWN = 0xFFFFFFFF
_MAX_CYLINDERS = 16383


def _check(call: BiosCall, drive: Drive) -> int:
    """AH=41h.  Programs ask with BX=55AAh; SeaBIOS does not look."""
    call.bx = _INSTALLED
    call.cx = _ALL_SUBSETS
    return SUCCESS


def _read(call: BiosCall, drive: Drive) -> int:
    packet = _Packet(call)
    status = packet.check(drive, transfers=True)
    if status == SUCCESS and packet.count:
        call.write_linear(packet.buffer, drive.read(packet.lba, packet.count))
    return packet.finish(status)


def _write(call: BiosCall, drive: Drive) -> int:
    packet = _Packet(call)
    status = packet.check(drive, transfers=True)
    if status == SUCCESS and drive.read_only:
        status = WRITE_PROTECTED
    if status == SUCCESS and packet.count:
        drive.write(packet.lba, call.read_linear(packet.buffer, packet.count * drive.sector_bytes))
    return packet.finish(status)


def _verify(call: BiosCall, drive: Drive) -> int:
    packet = _Packet(call)
    return packet.finish(packet.check(drive, transfers=False))


def _seek(call: BiosCall, drive: Drive) -> int:
    return _Packet(call).check_start(drive)


class _Packet:
    """The disk address packet at DS:SI."""

    def __init__(self, call: BiosCall) -> None:
        self._call = call
        size, _, self.count, pointer, self.lba = struct.unpack("<BBHIQ", call.read("ds", call.si, 16))
        if pointer == _FLAT and size >= _FLAT_PACKET_BYTES:
            self.buffer = int.from_bytes(call.read("ds", call.si + 16, 8), "little")
        else:
            self.buffer = (pointer >> 16 << 4) + (pointer & 0xFFFF)

    def check_start(self, drive: Drive) -> int:
        if drive.medium is None:
            return NOT_READY
        if self.lba < drive.sector_count:
            return SUCCESS
        return BAD_TRACK if isinstance(drive, CdDrive) else BAD_PARAMETER

    def check(self, drive: Drive, *, transfers: bool) -> int:
        """Whether all sectors are there, and a buffer for them if any data `transfers`."""
        status = self.check_start(drive)
        if status != SUCCESS:
            return status
        size_bytes = self.count * drive.sector_bytes
        if size_bytes > _MOST_BYTES:
            return CROSSES_64_KIB
        if self.lba + self.count > drive.sector_count:
            return BAD_TRACK
        if transfers and self.buffer + size_bytes > 1 << 32:
            return BAD_PARAMETER
        return SUCCESS

    def finish(self, status: int) -> int:
        """Note in the packet what was transferred: all, or nothing."""
        if status not in (SUCCESS, BAD_PARAMETER):
            self._call.write("ds", self._call.si + 2, bytes(2))
        return status


def _lock(call: BiosCall, drive: Drive) -> int:
    """AH=45h: AL is 0 to lock, 1 to unlock, 2 to ask; AL answers whether the drive is locked."""
    if not isinstance(drive, CdDrive):
        return SUCCESS
    action, status = call.al, SUCCESS
    if action == 0:
        if drive.locks == _MOST_LOCKS:
            status = TOO_MANY_LOCKS
        else:
            drive.locks += 1
    elif action == 1:
        if drive.locks == 0:
            status = NOT_LOCKED
        else:
            drive.locks -= 1
    elif action != 2:
        return BAD_PARAMETER
    call.al = drive.locks > 0
    return status


def _eject(call: BiosCall, drive: Drive) -> int:
    if not isinstance(drive, CdDrive):
        return NOT_REMOVABLE
    return LOCKED if drive.locks else SUCCESS


def _changed(call: BiosCall, drive: Drive) -> int:
    return DISK_CHANGED if isinstance(drive, CdDrive) else SUCCESS


def _hardware(call: BiosCall, drive: Drive) -> int:
    """AH=4Eh: AL is 1, 3 to leave prefetch and PIO mode alone, 4, 6 to leave DMA mode alone."""
    return SUCCESS if call.al in (0x01, 0x03, 0x04, 0x06) else BAD_PARAMETER


def _parameters(call: BiosCall, drive: Drive) -> int:
    """AH=48h: 26 bytes, 30 with the extension's address, 66 or 74 with the place of the device."""
    size = int.from_bytes(call.read("ds", call.si, 2), "little")
    if size < 26 or not isinstance(drive, HardDisk | CdDrive):
        return BAD_PARAMETER
    answer = _drive_parameters(drive)
    if size >= 30:
        segment, offset = extension_of(drive.slot)
        answer += struct.pack("<HH", offset, segment)
    if size >= 66:
        answer += _device_path(drive.slot, is_t13=size >= 74)
    call.write("ds", call.si, struct.pack("<H", len(answer) + 2) + answer)
    return SUCCESS


def _drive_parameters(drive: HardDisk | CdDrive) -> bytes:
    if isinstance(drive, CdDrive):
        information, shape, sectors = _REMOVABLE_OF_ANY_SIZE, (_UNKNOWN,) * 3, (1 << 64) - 1
    else:
        sectors = drive.sector_count
        cylinders, heads, per_track = drive.physical
        fits = sectors <= _MAX_CYLINDERS * heads * per_track
        information = _KNOWN_GEOMETRY if fits else 0
        shape = (cylinders if fits else _MAX_CYLINDERS, heads, per_track)
    return struct.pack("<HIIIQH", information, *shape, sectors, drive.sector_bytes)


def _device_path(slot: int, *, is_t13: bool) -> bytes:
    """Bus, interface, place and device with a checksum; T13's form has the channel and longer device paths."""
    channel, device = divmod(slot, 2)
    place = bytes((_IDE_BUS, _IDE_DEVICE, _IDE_FUNCTION, channel if is_t13 else 0)).ljust(8, b"\0")
    length = 44 if is_t13 else 36
    path = struct.pack("<HBBH", 0xBEDD, length, 0, 0) + b"PCI " + b"ATA     " + place
    path += bytes((device,)).ljust(length - 1 - len(path), b"\0")
    return path + bytes((-sum(path) & 0xFF,))


FUNCTIONS: Mapping[int, Callable[[BiosCall, Drive], int]] = {
    0x41: _check,
    0x42: _read,
    0x43: _write,
    0x44: _verify,
    0x45: _lock,
    0x46: _eject,
    0x47: _seek,
    0x48: _parameters,
    0x49: _changed,
    0x4E: _hardware,
}
