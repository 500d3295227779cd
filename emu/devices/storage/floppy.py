"""Intel 82077AA floppy disk controller.

::

    03 SPECIFY               06 READ DATA           0A READ ID              0E DUMPREG
    04 SENSE DRIVE STATUS    0C READ DELETED DATA   0D FORMAT TRACK         10 VERSION
    07 RECALIBRATE           05 WRITE DATA          02 READ TRACK           12 PERPENDICULAR MODE
    08 SENSE INTERRUPT       09 WRITE DELETED DATA  16 VERIFY               13 CONFIGURE
    0F SEEK, 8F and CF relative                                             14 and 94 (UN)LOCK

The ports and phases are in `floppy_phases`, the commands of the two middle columns in `floppy_transfer`.

A PC has it at ports 0x3F0-0x3F5 and 0x3F7, on IRQ 6 and DMA channel 2.  At power-on the chip is in reset with a data
rate of 250 kbit/s; a PC's firmware takes it out (DOR 0Ch) and sets the rate (`start`).

Source: Intel 82077AA data sheet (290166), "Command set/descriptions", "Drive polling".
Not modelled: power down, tape drives, precompensation; the modes that PERPENDICULAR, the FIFO's threshold and the
step, load and unload times stand for are remembered, and change nothing on a disk image.  The scan commands are
invalid, and reported.
"""

from __future__ import annotations

from collections.abc import Callable

from hillemu.emu.bus import BusDevice
from hillemu.emu.clock import Clock
from hillemu.emu.devices.storage.dma8237 import DmaChannel
from hillemu.emu.devices.storage.floppy_phases import INVALID
from hillemu.emu.devices.storage.floppy_transfer import ABNORMAL, STEP_NS, FloppyTransfers
from hillemu.emu.media import Medium
from hillemu.emu.reports import Report, unheard
from hillemu.emu.wires import Line

BASE, PORT_COUNT = 0x3F0, 6
DIGITAL_INPUT = 0x3F7

SEEK_END, EQUIPMENT_CHECK = 0x20, 0x10
EIS, EFIFO, POLL_OFF = 0x40, 0x20, 0x10
_VERSION_82077AA = 0x90
_RECALIBRATE_STEPS = 79
_RELATIVE, _INWARD = 0x80, 0x40
_SCANS = frozenset({0x11, 0x19, 0x1D})


class FloppyController(FloppyTransfers):
    """The chip and its `drive_count` drives, all empty."""

    def __init__(
        self, *, clock: Clock, irq: Line, dma: DmaChannel, drive_count: int = 1, report: Report = unheard
    ) -> None:
        self._is_locked = False
        super().__init__(clock=clock, irq=irq, dma=dma, drive_count=drive_count, report=report)

    def insert(self, number: int, medium: Medium | None) -> None:
        """Put a disk into drive `number`, or (`None`) take it out.  Raises `ImageError` if it is no floppy."""
        self.drives[number].insert(medium)

    def windows(self) -> tuple[tuple[int, int, BusDevice], ...]:
        """Base port, number of ports and device of each range the chip occupies."""
        return ((BASE, PORT_COUNT, self), (DIGITAL_INPUT, 1, self.digital_input))

    def use_defaults(self, *, hardware: bool) -> None:
        if hardware:
            self._is_locked = False
            self._step_unload = self._load_dma = self._perpendicular = self._end_of_track = 0
            self._config = EFIFO
            self.uses_dma, self.seeks_by_itself = True, False
        if not self._is_locked:
            self._config = self._config & EIS | EFIFO
            self._precompensation = 0
        self._config &= ~POLL_OFF  # "this mode is enabled upon a reset", also a locked one
        self._perpendicular &= 0x3C  # GAP and WGATE

    def length_of(self, first: int) -> int:
        found = _COMMANDS.get(first & 0x1F)
        return found[1] if found and not first & ~found[0] & 0xE0 else 1

    def execute(self, command: bytes) -> None:
        found = _COMMANDS.get(command[0] & 0x1F)
        if found is None or command[0] & ~found[0] & 0xE0:
            if command[0] & 0x1F in _SCANS:
                self.report("the floppy controller's scan commands are not modelled")
            self._answer(INVALID)
            return
        found[2](self, command)

    def _answer(self, *results: int) -> None:
        """The results of a command without an execution phase, which does not interrupt."""
        self.finish(bytes(results), interrupt=False)

    # -- the head -------------------------------------------------------------------------------------------------

    def _seek(self, command: bytes) -> None:
        unit = command[1] & 3
        drive = self.drive(unit)
        target = command[2]
        if command[0] & _RELATIVE and drive is not None:
            target = drive.cylinder + (target if command[0] & _INWARD else -target)
        steps = drive.step_to(target) if drive is not None else 0
        self._head_moves(unit, steps, SEEK_END | command[1] & 7)

    def _recalibrate(self, command: bytes) -> None:
        unit = command[1] & 3
        drive = self.drive(unit)
        if drive is None:
            # Nobody says that track 0 is reached.
            self._head_moves(unit, _RECALIBRATE_STEPS, ABNORMAL | SEEK_END | EQUIPMENT_CHECK | unit)
            return
        steps = drive.step_to(max(0, drive.cylinder - _RECALIBRATE_STEPS))
        missed = ABNORMAL | EQUIPMENT_CHECK if drive.cylinder else 0
        self._head_moves(unit, steps, missed | SEEK_END | unit)

    def _head_moves(self, unit: int, steps: int, st0: int) -> None:
        """Step in the background: the host may give other commands, and learns of the end by SENSE INTERRUPT."""
        self.seeking |= 1 << unit
        self.finish(b"", interrupt=False)
        self.moving.append(unit)
        moving = self.moving
        at = self.clock.now + self.clock.ticks_from_ns((steps + 1) * STEP_NS)
        self.clock.schedule(at, lambda: self._head_arrived(moving, unit, st0))

    def _head_arrived(self, moving: list[int], unit: int, st0: int) -> None:
        if moving is not self.moving:
            return  # a reset came in between
        moving.remove(unit)
        drive = self.drive(unit)
        if self.sensed and self.sensed[0][0] & 0xC0 == 0xC0:
            self.sensed.clear()  # what the host did not ask for after a reset is of no interest any more
        self.sensed.append((st0, drive.cylinder if drive else 0))
        self.interrupt()

    def _sense_interrupt(self, command: bytes) -> None:
        if not self.sensed:
            self._answer(INVALID)
            return
        st0, cylinder = self.sensed.popleft()
        self.acknowledge()
        self.seeking &= ~(1 << (st0 & 3))
        self._answer(st0, cylinder)
        if self.sensed and self.sensed[0][0] & 0xC0 != 0xC0:
            self.interrupt()

    def _sense_drive(self, command: bytes) -> None:
        drive = self.drive(command[1] & 3)
        st3 = 0x28 | command[1] & 7  # two bits that are always 1: ready, two-sided
        if drive is not None:
            st3 |= 0x40 if drive.is_write_protected else 0
            st3 |= 0x10 if drive.cylinder == 0 else 0
        self._answer(st3)

    # -- settings -------------------------------------------------------------------------------------------------

    def _specify(self, command: bytes) -> None:
        self._step_unload, self._load_dma = command[1:]
        self.uses_dma = not self._load_dma & 1
        self._answer()

    def _configure(self, command: bytes) -> None:
        self._config, self._precompensation = command[2] & 0x7F, command[3]
        self.seeks_by_itself = bool(self._config & EIS)
        self._answer()

    def _set_perpendicular(self, command: bytes) -> None:
        overwrite = command[1] & 0x80
        self._perpendicular = command[1] & 0x3F if overwrite else self._perpendicular & 0x3C | command[1] & 3
        self._answer()

    def _lock(self, command: bytes) -> None:
        self._is_locked = bool(command[0] & 0x80)
        self._answer(self._is_locked << 4)

    def _version(self, command: bytes) -> None:
        self._answer(_VERSION_82077AA)

    def _dump_registers(self, command: bytes) -> None:
        cylinders = [drive.cylinder if (drive := self.drive(unit)) else 0 for unit in range(4)]
        locked = self._is_locked << 7 | self._perpendicular
        times = (self._step_unload, self._load_dma)
        self._answer(*cylinders, *times, self._end_of_track, locked, self._config, self._precompensation)

    def _transfer(self, command: bytes) -> None:
        self._end_of_track = command[6] if len(command) > 6 else command[3]
        _TRANSFERS[command[0] & 0x1F](self, command)


_TRANSFERS: dict[int, Callable[[FloppyController, bytes], None]] = {
    0x02: FloppyController.read_track,
    0x05: FloppyController.write_data,
    0x06: FloppyController.read_data,
    0x09: FloppyController.write_deleted_data,
    0x0C: FloppyController.read_deleted_data,
    0x0D: FloppyController.format_track,
    0x16: FloppyController.verify,
}

_MT, _MFM, _SK = 0x80, 0x40, 0x20
_COMMANDS: dict[int, tuple[int, int, Callable[[FloppyController, bytes], None]]] = {
    # number: which of bits 7-5 may be set, bytes, what to do
    0x02: (_MFM | _SK, 9, FloppyController._transfer),
    0x03: (0, 3, FloppyController._specify),
    0x04: (0, 2, FloppyController._sense_drive),
    0x05: (_MT | _MFM, 9, FloppyController._transfer),
    0x06: (_MT | _MFM | _SK, 9, FloppyController._transfer),
    0x07: (0, 2, FloppyController._recalibrate),
    0x08: (0, 1, FloppyController._sense_interrupt),
    0x09: (_MT | _MFM, 9, FloppyController._transfer),
    0x0A: (_MFM, 2, FloppyController.read_id),
    0x0C: (_MT | _MFM | _SK, 9, FloppyController._transfer),
    0x0D: (_MFM, 6, FloppyController._transfer),
    0x0E: (0, 1, FloppyController._dump_registers),
    0x0F: (_RELATIVE | _INWARD, 3, FloppyController._seek),
    0x10: (0, 1, FloppyController._version),
    0x12: (0, 2, FloppyController._set_perpendicular),
    0x13: (0, 4, FloppyController._configure),
    0x14: (0x80, 1, FloppyController._lock),
    0x16: (_MT | _MFM | _SK, 9, FloppyController._transfer),
}
