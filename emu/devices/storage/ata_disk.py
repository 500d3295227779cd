"""A hard disk on an ATA cable.

::

    20 21 24  READ SECTORS (EXT)     30 31 34  WRITE SECTORS (EXT)     40 41 42  READ VERIFY SECTORS (EXT)
    C4 29     READ MULTIPLE (EXT)    C5 39     WRITE MULTIPLE (EXT)    C6        SET MULTIPLE MODE
    C8 C9 25  READ DMA (EXT)         CA CB 35  WRITE DMA (EXT)         E7 EA     FLUSH CACHE (EXT)
    10-1F     RECALIBRATE            70-7F     SEEK                    F8 27     READ NATIVE MAX ADDRESS (EXT)
    91        INITIALIZE DEVICE PARAMETERS     EC IDENTIFY DEVICE      EF        SET FEATURES
    E0 E2 STANDBY (IMMEDIATE)   E1 E3 IDLE (IMMEDIATE)   E5 CHECK POWER MODE   E6 SLEEP, and ATA-1's 94-99

All others abort: the drive's identification says that it has no security, SMART, host protected area and so on.

The first three lines, except for SET MULTIPLE MODE and FLUSH CACHE, are in `hillemu.emu.devices.storage.ata_sectors`.

Source: ATA/ATAPI-6 (T13 1410D), "Command descriptions", and for the older commands ATA-1 (X3.221).
Not modelled: seek and rotation (see `ata_drive.COMMAND_NS`), the standby timer, that a sleeping drive needs a reset
(reported).
"""

from __future__ import annotations

from collections.abc import Callable

from hillemu.emu.clock import Clock
from hillemu.emu.devices.storage import ata_names as ata
from hillemu.emu.devices.storage.ata_drive import COMMAND_NS
from hillemu.emu.devices.storage.ata_identify import MAX_LBA28, identify_disk
from hillemu.emu.devices.storage.ata_sectors import MOST_MULTIPLE, SectorDrive
from hillemu.emu.geometry import Geometry
from hillemu.emu.media import Medium
from hillemu.emu.reports import Report, unheard

MODEL = "HILLEMU HARDDISK"
ACTIVE, IN_STANDBY = 0xFF, 0x00


class AtaDisk(SectorDrive):
    """A disk of `medium`'s size; `serial` is what the guest sees as its serial number."""

    def __init__(self, medium: Medium, *, clock: Clock, serial: str = "HM00001", report: Report = unheard) -> None:
        self.serial = serial
        super().__init__(medium, clock=clock, report=report)

    def reset(self) -> None:
        self._write_cache = self._look_ahead = True
        super().reset()

    def restart(self) -> None:
        self._power = ACTIVE
        super().restart()

    def begin(self, command: int) -> None:
        if command & 0xF0 == ata.RECALIBRATE:
            command = ata.RECALIBRATE
        elif command & 0xF0 == ata.SEEK:
            command = ata.SEEK
        command = ata.OLD_POWER_COMMANDS.get(command, command)
        if self.transfer(command):
            self._power = ACTIVE
            return
        action = _OTHERS.get(command)
        self.after(COMMAND_NS, self.abort if action is None else lambda: action(self))

    def _identify(self) -> None:
        data = identify_disk(
            serial=self.serial,
            model=MODEL,
            default=self.default_geometry,
            current=self.geometry,
            sector_count=self.medium.sector_count,
            most_multiple=MOST_MULTIPLE,
            multiple=self.multiple,
            write_cache=self._write_cache,
            look_ahead=self._look_ahead,
            multiword_mode=self.multiword_mode,
            ultra_mode=self.ultra_mode,
            number=self.number,
            is_alone=self.is_alone,
        )
        self.tell(data)

    def _seek(self) -> None:
        if self.locate(False):
            self.done()
        else:
            self._no_such_place()

    def _initialize_parameters(self) -> None:
        heads, sectors = (self.task[ata.DEVICE] & 0x0F) + 1, self.task[ata.COUNT]
        cylinders = min(self.medium.sector_count // (heads * sectors), 0xFFFF) if sectors else 0
        if not cylinders:
            self.abort()
            return
        self.geometry = Geometry(cylinders, heads, sectors)
        self.done()

    def _set_multiple(self) -> None:
        count = self.task[ata.COUNT]
        if count > MOST_MULTIPLE or count & count - 1:
            self.abort()
            return
        self.multiple = count
        self.done()

    def _native_max(self, extended: bool) -> None:
        last = self.medium.sector_count - 1
        self.show_address(last if extended else min(last, MAX_LBA28), extended)
        self.done()

    def _flush(self) -> None:
        self.medium.flush()
        self.done()

    def _set_features(self) -> None:
        feature = self.task[ata.FEATURES]
        if feature in (ata.ENABLE_WRITE_CACHE, ata.DISABLE_WRITE_CACHE):
            self._write_cache = feature == ata.ENABLE_WRITE_CACHE
        elif feature in (ata.ENABLE_LOOK_AHEAD, ata.DISABLE_LOOK_AHEAD):
            self._look_ahead = feature == ata.ENABLE_LOOK_AHEAD
        elif feature == ata.SET_TRANSFER_MODE:
            if not self.set_transfer_mode(self.task[ata.COUNT]):
                self.abort()
                return
        elif feature not in (ata.KEEP_SETTINGS, ata.REVERT_SETTINGS):
            self.abort()
            return
        self.done()

    def _set_power(self, power: int) -> None:
        self._power = power
        self.done()

    def _sleep(self) -> None:
        self.report("an ATA disk was put to sleep; it wakes at the next command, not only at a reset")
        self._set_power(IN_STANDBY)

    def _check_power(self) -> None:
        self.task[ata.COUNT] = self._power
        self.done()


_OTHERS: dict[int, Callable[[AtaDisk], None]] = {
    ata.RECALIBRATE: AtaDisk.done,
    ata.SEEK: AtaDisk._seek,
    ata.INITIALIZE_DEVICE_PARAMETERS: AtaDisk._initialize_parameters,
    ata.SET_MULTIPLE_MODE: AtaDisk._set_multiple,
    ata.STANDBY_IMMEDIATE: lambda disk: disk._set_power(IN_STANDBY),
    ata.STANDBY: lambda disk: disk._set_power(IN_STANDBY),
    ata.IDLE_IMMEDIATE: lambda disk: disk._set_power(ACTIVE),
    ata.IDLE: lambda disk: disk._set_power(ACTIVE),
    ata.SLEEP: AtaDisk._sleep,
    ata.CHECK_POWER_MODE: AtaDisk._check_power,
    ata.FLUSH_CACHE: AtaDisk._flush,
    ata.FLUSH_CACHE_EXT: AtaDisk._flush,
    ata.IDENTIFY_DEVICE: AtaDisk._identify,
    ata.SET_FEATURES: AtaDisk._set_features,
    ata.READ_NATIVE_MAX: lambda disk: disk._native_max(False),
    ata.READ_NATIVE_MAX_EXT: lambda disk: disk._native_max(True),
}
