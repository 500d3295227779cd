"""What a CD drive answers to SCSI commands: data, or the reason why not.

::

    00 TEST UNIT READY    1B START STOP UNIT       28 READ(10)         46 GET CONFIGURATION      AD READ DISC STRUCTURE
    03 REQUEST SENSE      1E PREVENT ALLOW ...     2B SEEK(10)         4A GET EVENT STATUS ...   BB SET CD SPEED
    12 INQUIRY            25 READ CAPACITY         43 READ TOC         51 READ DISC INFORMATION  BD MECHANISM STATUS
                                                                       5A MODE SENSE(10)         A8 READ(12), BE READ CD

The disc is one session with one data track.  A CD holds at most 80 minutes; what is larger is a DVD.

Source: MMC-3 (T10 1363D) and SPC-2 (T10 1236D), "Commands" and "Sense key and sense code definitions"; SFF-8020i for
the ATAPI drive's answer to INQUIRY.
Not modelled: audio, subchannels, raw sectors of 2352 bytes, writing, DVD structures (each is refused with the sense
codes for that), and the tables that describe other devices than a read-only drive.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from hillemu.emu.devices.storage.ata_transfer import ByteStream, SectorSource, Source
from hillemu.emu.media import CD_SECTOR_BYTES, Medium

MAX_CD_SECTORS = 80 * 60 * 75
_LEAD_IN_FRAMES = 150
"""Two seconds: address 00:02:00 is sector 0."""
PROFILE_CD_ROM, PROFILE_DVD_ROM = 0x0008, 0x0010
_DATA_TRACK = 0x14  # ADR 1: position; control 4: data, copying prohibited
_LEAD_OUT = 0xAA


class Sense(NamedTuple):
    """Why a command failed: key, additional sense code and its qualifier."""

    key: int
    code: int
    qualifier: int = 0


NO_SENSE = Sense(0, 0)
NO_MEDIUM = Sense(0x2, 0x3A)
MEDIUM_CHANGED = Sense(0x6, 0x28)
INVALID_COMMAND = Sense(0x5, 0x20)
OUT_OF_RANGE = Sense(0x5, 0x21)
INVALID_FIELD = Sense(0x5, 0x24)
WRONG_MEDIUM = Sense(0x5, 0x30, 0x02)
SAVING_NOT_SUPPORTED = Sense(0x5, 0x39)
REMOVAL_PREVENTED = Sense(0x5, 0x53, 0x02)

_NOTHING = ByteStream(b"")


class CdCommands:
    """The logical side of a CD drive."""

    def __init__(self, medium: Medium | None) -> None:
        self._disc = medium
        self.reset()

    def reset(self) -> None:
        self.sense = NO_SENSE
        self._attention: Sense | None = None
        self._media_event = 0
        self._is_open = False
        self._is_locked = False

    @property
    def medium(self) -> Medium | None:
        """The disc, if it can be read."""
        return None if self._is_open else self._disc

    def change(self, medium: Medium | None) -> None:
        """Put in another disc, or (`None`) take it out."""
        self._disc = medium
        self._is_open = False
        self._notice(removed=medium is None)

    def _notice(self, *, removed: bool) -> None:
        self._attention = None if removed else MEDIUM_CHANGED
        self._media_event = 3 if removed else 2

    def execute(self, packet: bytes) -> Source | Sense:
        """Carry out a command; what it fails with is also kept for REQUEST SENSE."""
        action = _COMMANDS.get(packet[0])
        if action is None:
            result: Source | Sense = INVALID_COMMAND
        elif self._attention is not None and packet[0] not in _ANSWERED_IN_ANY_CASE:
            # Told once, then forgotten.
            result, self._attention = self._attention, None
        elif packet[0] in _NEED_A_DISC and self.medium is None:
            result = NO_MEDIUM
        else:
            result = action(self, packet)
        if packet[0] != _REQUEST_SENSE:
            self.sense = result if isinstance(result, Sense) else NO_SENSE
        return result

    # -- the drive ------------------------------------------------------------------------------------------------

    def test_unit_ready(self, packet: bytes) -> Source | Sense:
        return _NOTHING

    def request_sense(self, packet: bytes) -> Source | Sense:
        sense, self.sense = self.sense, NO_SENSE
        if sense == NO_SENSE and self._attention is not None:
            sense, self._attention = self._attention, None
        data = struct.pack(">BBBIBIBB4x", 0x70, 0, sense.key, 0, 10, 0, sense.code, sense.qualifier)
        return _cut(data, packet[4])

    def inquiry(self, packet: bytes) -> Source | Sense:
        if packet[1] & 1 or packet[2]:
            return INVALID_FIELD
        # A CD drive, removable, ATAPI version 2 in the response format.
        header = bytes([0x05, 0x80, 0x00, 0x21, 31, 0, 0, 0])
        return _cut(header + b"HILLEMU CD-ROM          1.0 ", packet[4])

    def start_stop(self, packet: bytes) -> Source | Sense:
        load_or_eject, start = packet[4] & 2, packet[4] & 1
        if load_or_eject:
            if not start and self._is_locked:
                return REMOVAL_PREVENTED
            was_open, self._is_open = self._is_open, not start
            if was_open != self._is_open and self._disc is not None:
                self._notice(removed=self._is_open)
        return _NOTHING

    def prevent_removal(self, packet: bytes) -> Source | Sense:
        self._is_locked = bool(packet[4] & 1)
        return _NOTHING

    def accept(self, packet: bytes) -> Source | Sense:
        return _NOTHING

    def mechanism_status(self, packet: bytes) -> Source | Sense:
        data = bytes([0, 0x10 if self._is_open else 0, 0, 0, 0, 0, 0, 0])
        return _cut(data, _u16(packet, 8))

    def mode_sense(self, packet: bytes) -> Source | Sense:
        control, wanted = packet[2] >> 6, packet[2] & 0x3F
        if control == 3:
            return SAVING_NOT_SUPPORTED
        pages = {0x01: bytes([0x01, 6, 0, 5, 0, 0, 0, 0]), 0x2A: self._capabilities_page()}
        if wanted not in (*pages, 0x3F):
            return INVALID_FIELD
        chosen = [page for number, page in pages.items() if wanted in (number, 0x3F)]
        if control == 1:  # which bits could be changed
            chosen = [page[:2] + bytes(len(page) - 2) for page in chosen]
        body = b"".join(chosen)
        medium_type = 0x70 if self.medium is None else 0x01
        return _cut(struct.pack(">HB5x", len(body) + 6, medium_type) + body, _u16(packet, 7))

    def _capabilities_page(self) -> bytes:
        speed = 706  # 4x, in units of 1000 bytes a second
        tray_loader, can_lock, can_eject = 1 << 5, 1 << 0, 1 << 3
        flags = tray_loader | can_eject | can_lock | (self._is_locked << 1)
        return struct.pack(">BB6BHHHH4x", 0x2A, 18, 0x08, 0, 0x20, 0x20, flags, 0, speed, 2, 512, speed)

    def get_configuration(self, packet: bytes) -> Source | Sense:
        which, first = packet[1] & 3, _u16(packet, 2)
        if which == 3:
            return INVALID_FIELD
        profile = self._profile()
        features = [
            (0x0000, 3, _profile(PROFILE_DVD_ROM, profile) + _profile(PROFILE_CD_ROM, profile), True),
            (0x0001, 3, struct.pack(">I", 2), True),  # core: ATAPI
            (0x0003, 3, bytes([0x29, 0, 0, 0]), True),  # removable medium: tray, eject, lock
            (0x0010, 0, struct.pack(">IHxx", CD_SECTOR_BYTES, 1), profile != 0),  # random readable
            (0x001E, 0, bytes(4), profile == PROFILE_CD_ROM),
            (0x001F, 0, b"", profile == PROFILE_DVD_ROM),
        ]
        body = b"".join(
            struct.pack(">HBB", code, persistent | current, len(data)) + data
            for code, persistent, data, current in features
            if (code == first if which == 2 else code >= first and (current or which == 0))
        )
        return _cut(struct.pack(">IHH", len(body) + 4, 0, profile) + body, _u16(packet, 7))

    def _profile(self) -> int:
        if self.medium is None:
            return 0
        return PROFILE_DVD_ROM if self.medium.sector_count > MAX_CD_SECTORS else PROFILE_CD_ROM

    def event_status(self, packet: bytes) -> Source | Sense:
        if not packet[1] & 1:  # only polling, no queue
            return INVALID_FIELD
        media = 1 << 4
        if not packet[4] & media:
            return _cut(bytes([0, 2, 0x80, media]), _u16(packet, 7))
        event, self._media_event = self._media_event, 0
        present = 0x02 if self.medium is not None else 0
        tray = 0x01 if self._is_open else 0
        return _cut(bytes([0, 6, 4, media, event, present | tray, 0, 0]), _u16(packet, 7))

    # -- the disc -------------------------------------------------------------------------------------------------

    @property
    def _sectors(self) -> int:
        return 0 if self.medium is None else self.medium.sector_count

    def read_capacity(self, packet: bytes) -> Source | Sense:
        return ByteStream(struct.pack(">II", self._sectors - 1, CD_SECTOR_BYTES))

    def read_10(self, packet: bytes) -> Source | Sense:
        return self._read(_u32(packet, 2), _u16(packet, 7))

    def read_12(self, packet: bytes) -> Source | Sense:
        return self._read(_u32(packet, 2), _u32(packet, 6))

    def read_cd(self, packet: bytes) -> Source | Sense:
        sector_type, what, subchannel = packet[1] >> 2 & 7, packet[9], packet[10] & 7
        if sector_type not in (0, 2, 4) or subchannel or what & 0xF8 not in (0, 0x10):
            return INVALID_FIELD
        count = int.from_bytes(packet[6:9], "big")
        return self._read(_u32(packet, 2), count if what else 0)

    def _read(self, lba: int, count: int) -> Source | Sense:
        medium = self.medium
        assert medium is not None, "checked before any command that needs a disc"
        if lba + count > medium.sector_count:
            return OUT_OF_RANGE
        return SectorSource(medium, lba, count)

    def seek(self, packet: bytes) -> Source | Sense:
        return _NOTHING if _u32(packet, 2) < self._sectors else OUT_OF_RANGE

    def read_toc(self, packet: bytes) -> Source | Sense:
        as_msf, first = bool(packet[1] & 2), packet[6]
        # The format was in the control byte before MMC.
        kind = packet[2] & 0x0F or packet[9] >> 6
        if kind == 0:
            if first > 1 and first != _LEAD_OUT:
                return INVALID_FIELD
            tracks = [] if first == _LEAD_OUT else [(1, 0)]
            entries = b"".join(
                bytes([0, _DATA_TRACK, track, 0]) + _place(lba, as_msf)
                for track, lba in [*tracks, (_LEAD_OUT, self._sectors)]
            )
            first_last = bytes([1, 1])
        elif kind == 1:
            entries = bytes([0, _DATA_TRACK, 1, 0]) + _place(0, as_msf)
            first_last = bytes([1, 1])
        elif kind == 2:
            last = _place(self._sectors, True)[1:]
            points = [(0xA0, b"\1\0\0"), (0xA1, b"\1\0\0"), (0xA2, last), (1, _place(0, True)[1:])]
            entries = b"".join(bytes([1, _DATA_TRACK, 0, point, 0, 0, 0, 0]) + where for point, where in points)
            first_last = bytes([1, 1])
        else:
            return INVALID_FIELD
        return _cut(struct.pack(">H", len(entries) + 2) + first_last + entries, _u16(packet, 7))

    def disc_information(self, packet: bytes) -> Source | Sense:
        if packet[1] & 7:
            return INVALID_FIELD
        complete = 0x0E  # the disc and its last session
        data = struct.pack(">H10B", 32, complete, 1, 1, 1, 1, 0x20, 0, 0, 0, 0)
        return _cut(data + bytes(4) + b"\xff" * 8 + bytes(10), _u16(packet, 7))

    def disc_structure(self, packet: bytes) -> Source | Sense:
        return WRONG_MEDIUM if self._profile() == PROFILE_CD_ROM else INVALID_FIELD


def _cut(data: bytes, allocation: int) -> ByteStream:
    """No more than the host has room for."""
    return ByteStream(data[:allocation])


def _u16(packet: bytes, at: int) -> int:
    return int.from_bytes(packet[at : at + 2], "big")


def _u32(packet: bytes, at: int) -> int:
    return int.from_bytes(packet[at : at + 4], "big")


def _profile(number: int, current: int) -> bytes:
    return struct.pack(">HBx", number, number == current)


def _place(lba: int, as_msf: bool) -> bytes:
    """A position on the disc: a sector's number, or minutes, seconds and frames."""
    if not as_msf:
        return struct.pack(">I", lba)
    seconds, frame = divmod(lba + _LEAD_IN_FRAMES, 75)
    return bytes([0, min(seconds // 60, 0xFF), seconds % 60, frame])


_REQUEST_SENSE = 0x03
_COMMANDS: dict[int, Callable[[CdCommands, bytes], Source | Sense]] = {
    0x00: CdCommands.test_unit_ready,
    _REQUEST_SENSE: CdCommands.request_sense,
    0x12: CdCommands.inquiry,
    0x1B: CdCommands.start_stop,
    0x1E: CdCommands.prevent_removal,
    0x25: CdCommands.read_capacity,
    0x28: CdCommands.read_10,
    0x2B: CdCommands.seek,
    0x43: CdCommands.read_toc,
    0x46: CdCommands.get_configuration,
    0x4A: CdCommands.event_status,
    0x51: CdCommands.disc_information,
    0x5A: CdCommands.mode_sense,
    0xA8: CdCommands.read_12,
    0xAD: CdCommands.disc_structure,
    0xBB: CdCommands.accept,  # SET CD SPEED: discs are as fast as `ata_drive.SECTOR_NS` says
    0xBD: CdCommands.mechanism_status,
    0xBE: CdCommands.read_cd,
}
_ANSWERED_IN_ANY_CASE = frozenset({_REQUEST_SENSE, 0x12, 0x46, 0x4A})
"""These report no unit attention.  Source: MMC-3, "Unit attention condition"."""
_NEED_A_DISC = frozenset({0x00, 0x25, 0x28, 0x2B, 0x43, 0x51, 0xA8, 0xAD, 0xBE})
