"""A CD drive on an ATA cable: SCSI commands in packets (ATAPI).

::

    08 DEVICE RESET   A0 PACKET   A1 IDENTIFY PACKET DEVICE   EF SET FEATURES (transfer mode)
    E0 E2 STANDBY (IMMEDIATE)   E1 E3 IDLE (IMMEDIATE)   E5 CHECK POWER MODE   E6 SLEEP

    PACKET        features 0: DMA | LBA high, mid: the most bytes in one block
    command       DRQ at once, interrupt reason C/D           the host writes 12 bytes
    data          interrupt, DRQ, interrupt reason I/O        the host reads as many bytes as LBA high, mid say now
    end           interrupt, interrupt reason C/D and I/O     ERR and the sense key in error bits 7-4 if it failed

The interrupt reason is in the sector count.  IDENTIFY DEVICE and READ SECTORS abort and leave the signature (LBA mid
14h, high EBh), by which a host tells a packet device from a disk.

The drive reads a sector of the disc and then sends it: after a block that ends in the middle of one the next block is
there at once, and BSY is not seen in between.  A driver that allows 12 bytes and then reads 2048 without looking gets
them, as from QEMU's drive.  After one that ends with a sector the drive is busy with the next.

At power-on no unit attention is pending: the firmware of a PC asks for it during its self test.  A disc that is
changed later gives one.

Source: ATA/ATAPI-6 (T13 1410D), "PACKET", "PACKET command protocol", "DEVICE RESET".
Not modelled: overlapped and queued packets (they abort), how long a disc takes to spin up.
"""

from __future__ import annotations

from collections.abc import Callable

from hillemu.emu.clock import Clock
from hillemu.emu.devices.storage import ata_names as ata
from hillemu.emu.devices.storage.ata_drive import COMMAND_NS, SECTOR_NS, Drive
from hillemu.emu.devices.storage.ata_identify import identify_cd
from hillemu.emu.devices.storage.ata_transfer import Source
from hillemu.emu.devices.storage.cd_commands import CdCommands, Sense
from hillemu.emu.media import CD_SECTOR_BYTES, Medium
from hillemu.emu.reports import Report, unheard

MODEL = "HILLEMU CD-ROM"
PACKET_BYTES = 12
_DMA, _OVERLAP = 0x01, 0x02
_ACTIVE = 0xFF


class AtapiCd(Drive):
    """A CD drive with `medium` (2048-byte sectors) in it, or empty."""

    SIGNATURE = (0x14, 0xEB)
    IDLE_STATUS = 0

    def __init__(
        self, medium: Medium | None = None, *, clock: Clock, serial: str = "HM00003", report: Report = unheard
    ) -> None:
        _check(medium)
        self.serial = serial
        self._commands = CdCommands(medium)
        self._block_limit = 0
        self._in_sector = 0  # how much of a sector the host has read
        super().__init__(clock=clock, report=report)

    def reset(self) -> None:
        self._commands.reset()
        super().reset()

    def change(self, medium: Medium | None) -> None:
        """Put in another disc, or (`None`) take it out; the guest is told at its next command."""
        _check(medium)
        self._commands.change(medium)

    def execute(self, command: int) -> None:
        if command == ata.DEVICE_RESET:
            # The only command that reaches a drive that is busy; no interrupt follows.
            self.stop()
            self.on_interrupt()
            self.after(COMMAND_NS, self._device_reset)
        else:
            super().execute(command)

    def begin(self, command: int) -> None:
        command = ata.OLD_POWER_COMMANDS.get(command, command)
        if command == ata.PACKET:
            self._packet()
        elif command in _ABORT_WITH_SIGNATURE:
            self.after(COMMAND_NS, self._abort_with_signature)
        else:
            action = _COMMANDS.get(command)
            self.after(COMMAND_NS, self.abort if action is None else lambda: action(self))

    def _device_reset(self) -> None:
        device = self.task[ata.DEVICE]
        self.restart()
        self.task[ata.DEVICE] = device & ata.DEV

    # -- PACKET ---------------------------------------------------------------------------------------------------

    def _packet(self) -> None:
        features = self.task[ata.FEATURES]
        limit = self.task[ata.MID] | self.task[ata.HIGH] << 8
        if features & _OVERLAP:
            self.after(COMMAND_NS, self.abort)
            return
        self._uses_dma = bool(features & _DMA)
        # Blocks but the last have an even number of bytes.
        self._block_limit = min(limit, 0xFFFE) & ~1 or limit
        self._set_reason(ata.COD)
        self.receive(PACKET_BYTES, lambda: self.after(COMMAND_NS, self._execute_packet))

    def _execute_packet(self) -> None:
        result = self._commands.execute(bytes(self.buffer))
        if isinstance(result, Sense):
            self._set_reason(ata.IO | ata.COD)
            self.fail(result.key << 4 | ata.ABRT)
        elif not result.remaining:
            self._packet_done()
        elif self._uses_dma:
            delay = result.remaining * SECTOR_NS // 512
            self.after(delay, lambda: self.move(result, None, self._packet_done))
        elif not self._block_limit:
            # The host has data coming and no room for any.
            self.abort()
        else:
            self._in_sector = 0
            self._send_piece(result)

    def _send_piece(self, source: Source) -> None:
        count = min(self._block_limit, source.remaining)
        self.task[ata.MID], self.task[ata.HIGH] = count & 0xFF, count >> 8
        self._set_reason(ata.IO)
        self.send(source.take(count), lambda: self._piece_was_read(source, count))
        self.interrupt()

    def _piece_was_read(self, source: Source, count: int) -> None:
        self._in_sector = (self._in_sector + count) % CD_SECTOR_BYTES
        if not source.remaining:
            self.after(SECTOR_NS, self._packet_done)
        elif self._in_sector:
            self._send_piece(source)
        else:
            self.after(max(count, CD_SECTOR_BYTES) * SECTOR_NS // 512, lambda: self._send_piece(source))

    def _packet_done(self) -> None:
        self._set_reason(ata.IO | ata.COD)
        self.done()

    def _set_reason(self, reason: int) -> None:
        self.task[ata.COUNT] = self.task[ata.COUNT] & ~7 | reason

    # -- the other commands ---------------------------------------------------------------------------------------

    def _abort_with_signature(self) -> None:
        self.set_signature()
        self.abort()

    def _identify(self) -> None:
        data = identify_cd(
            serial=self.serial,
            model=MODEL,
            multiword_mode=self.multiword_mode,
            ultra_mode=self.ultra_mode,
            number=self.number,
            is_alone=self.is_alone,
        )
        self.tell(data)

    def _set_features(self) -> None:
        feature = self.task[ata.FEATURES]
        known = feature in (ata.KEEP_SETTINGS, ata.REVERT_SETTINGS)
        if known or (feature == ata.SET_TRANSFER_MODE and self.set_transfer_mode(self.task[ata.COUNT])):
            self.done()
        else:
            self.abort()

    def _check_power(self) -> None:
        self.task[ata.COUNT] = _ACTIVE
        self.done()


def _check(medium: Medium | None) -> None:
    if medium is not None and medium.sector_bytes != CD_SECTOR_BYTES:
        raise ValueError(f"{medium.path}: a CD has sectors of {CD_SECTOR_BYTES} bytes")


_ABORT_WITH_SIGNATURE = frozenset({ata.IDENTIFY_DEVICE, ata.READ_SECTORS, ata.READ_SECTORS_NO_RETRY})
_COMMANDS: dict[int, Callable[[AtapiCd], None]] = {
    ata.IDENTIFY_PACKET_DEVICE: AtapiCd._identify,
    ata.SET_FEATURES: AtapiCd._set_features,
    ata.CHECK_POWER_MODE: AtapiCd._check_power,
    # The drive is always as ready as it can be, so the other power commands have nothing to do.
    ata.STANDBY: AtapiCd.done,
    ata.STANDBY_IMMEDIATE: AtapiCd.done,
    ata.IDLE: AtapiCd.done,
    ata.IDLE_IMMEDIATE: AtapiCd.done,
    ata.SLEEP: AtapiCd.done,
}
