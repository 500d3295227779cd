"""The floppy controller's outside: ports, interrupt, and the three phases of a command.

::

    offset  read                            write
    0 1     not driven (AT mode)            -
    2       DOR                             DOR   7-4 motors | 3 DMA and interrupt on | 2 /RESET | 1-0 drive
    3       TDR 1-0                         TDR
    4       MSR                             DSR   7 reset | 6 power down | 4-2 precompensation | 1-0 data rate
    5       FIFO                            FIFO
    3F7     DIR   7 disk changed            CCR   1-0 data rate: 500, 300, 250, 1000 kbit/s

    MSR   7 RQM: the host may | 6 DIO: read (1) or write (0) | 5 PIO transfer | 4 command busy | 3-0 drives seeking

    command      the host writes the command's bytes
    execution    the controller works: by DMA channel 2, or byte by byte through the FIFO
    result       interrupt; the host reads the command's results

Port 3F6 between these belongs to ATA, so the last one is a device of its own (`digital_input`).

Source: Intel 82077AA data sheet (290166), "Registers" and "Controller phases".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from hillemu.emu.clock import Clock, Event
from hillemu.emu.devices.storage.dma8237 import DmaChannel
from hillemu.emu.devices.storage.floppy_drive import RATE_250, FloppyDrive
from hillemu.emu.reports import Report
from hillemu.emu.wires import Line

SRA, SRB, DOR, TDR, MSR_DSR, FIFO = range(6)
DOR_DMA, DOR_NOT_RESET = 0x08, 0x04
RQM, DIO, NON_DMA, BUSY = 0x80, 0x40, 0x20, 0x10
DSR_RESET, DSR_POWER_DOWN = 0x80, 0x40
DIR_CHANGED = 0x80
INVALID = 0x80
"""ST0 of a command that does not exist, or has no meaning now."""
_NOT_DRIVEN = 0xFF

RESET_NS = 20_000
"""Shorter than the hardware's polling of four drives (1 ms), and long enough that a driver has to wait."""


class FloppyPhases:
    """The part of the chip that knows no command."""

    def __init__(self, *, clock: Clock, irq: Line, dma: DmaChannel, drive_count: int, report: Report) -> None:
        self.drives = [FloppyDrive() for _ in range(drive_count)]
        self.digital_input = DigitalInput(self)
        self.clock = clock
        self.dma = dma
        self.report = report
        self._irq = irq
        self._event: Event | None = None
        self.reset()

    def reset(self) -> None:
        """Pull the RESET pin: the chip stays in reset until the firmware sets DOR."""
        self._dor = self._tdr = 0
        self.rate = RATE_250
        self.use_defaults(hardware=True)
        self._stop()

    def start(self) -> None:
        """Be as firmware leaves the chip: out of reset, asked about that, and at the rate of drive A's disk."""
        self.reset()
        self._dor = DOR_NOT_RESET | DOR_DMA
        self._in_reset = False
        first = self.drive(0)
        if first is not None and first.medium is not None:
            self.rate = first.rate

    def use_defaults(self, *, hardware: bool) -> None:
        """Forget settings; after a software reset only those that LOCK does not protect."""

    def execute(self, command: bytes) -> None:
        """Do a command whose bytes are all there; without commands, all are invalid."""
        self.finish(bytes([INVALID]), interrupt=False)

    def length_of(self, first: int) -> int:
        """How many bytes a command has that begins with `first`."""
        return 1

    # -- the ports ------------------------------------------------------------------------------------------------

    def read(self, offset: int, size: int) -> int:
        return self._read_fifo() if offset == FIFO else self.peek(offset, size)

    def peek(self, offset: int, size: int) -> int:
        if offset == DOR:
            return self._dor
        if offset == TDR:
            return self._tdr
        if offset == MSR_DSR:
            return self._main_status()
        if offset == FIFO:
            if self._pio_to_host:
                return self._pio[self._pio_at]
            return self._results[0] if self._results else 0
        return _NOT_DRIVEN

    def write(self, offset: int, size: int, value: int) -> None:
        if offset == DOR:
            self._write_dor(value)
        elif offset == TDR:
            self._tdr = value & 3
        elif offset == MSR_DSR:
            self.rate = value & 3
            if value & DSR_RESET:
                self._software_reset()
            elif value & DSR_POWER_DOWN:
                self.report("the floppy controller was told to power down; it stays awake")
        elif offset == FIFO:
            self._write_fifo(value)

    def _main_status(self) -> int:
        if self._in_reset:
            return 0
        status = self.seeking
        if self._pio_to_host or self._pio_wanted:
            return status | RQM | NON_DMA | BUSY | (DIO if self._pio_to_host else 0)
        if self._results:
            return status | RQM | DIO | BUSY
        if self._executing:
            return status | BUSY
        return status | RQM | (BUSY if self._command else 0)

    def _write_dor(self, value: int) -> None:
        before, self._dor = self._dor, value
        for number, drive in enumerate(self.drives):
            drive.motor = bool(value >> 4 + number & 1)
        if not value & DOR_NOT_RESET:
            self._stop()
            self._drive_irq()
        elif not before & DOR_NOT_RESET:
            self._software_reset()
        else:
            self._drive_irq()

    @property
    def selected(self) -> FloppyDrive | None:
        return self.drive(self._dor & 3)

    def drive(self, number: int) -> FloppyDrive | None:
        return self.drives[number] if number < len(self.drives) else None

    # -- reset ----------------------------------------------------------------------------------------------------

    def _stop(self) -> None:
        """Drop whatever goes on."""
        if self._event is not None:
            self._event.cancel()
            self._event = None
        self._in_reset = True
        self._command = bytearray()
        self._executing = False
        self._results: deque[int] = deque()
        self._results_interrupt = False
        self._pio = bytearray()
        self._pio_at = self._pio_wanted = 0
        self._pio_to_host = False
        self._pio_then: Callable[[bytes], None] = _ignore
        self.seeking = 0  # drives that the host has to ask SENSE INTERRUPT about, as MSR shows them
        self.moving: list[int] = []
        """Drives whose heads are on their way; a new list after each reset."""
        self.sensed: deque[tuple[int, int]] = deque()
        """What SENSE INTERRUPT STATUS will tell: ST0 and cylinder."""
        self._interrupting = False
        self._drive_irq()

    def _software_reset(self) -> None:
        self._stop()
        self.use_defaults(hardware=False)
        if self._dor & DOR_NOT_RESET:
            self._event = self.clock.schedule(self.clock.now + self.clock.ticks_from_ns(RESET_NS), self._leave_reset)

    def _leave_reset(self) -> None:
        self._event = None
        self._in_reset = False
        # The controller has looked at all four drives, and finds that the ready line of each has changed.
        for number in range(4):
            drive = self.drive(number)
            self.sensed.append((0xC0 | number, drive.cylinder if drive else 0))
        self.interrupt()

    # -- phases ---------------------------------------------------------------------------------------------------

    def after(self, delay_ns: int, action: Callable[[], None]) -> None:
        """Go on with the execution phase some virtual time from now."""
        self._event = self.clock.schedule(self.clock.now + self.clock.ticks_from_ns(delay_ns), action)

    def finish(self, results: bytes, *, interrupt: bool) -> None:
        """Begin the result phase; without results, be ready for the next command."""
        self._executing = False
        self._results.extend(results)
        self._results_interrupt = interrupt
        if interrupt:
            self.interrupt()

    def offer(self, data: bytes, then: Callable[[bytes], None]) -> None:
        """Have the host read `data` from the FIFO."""
        self._pio, self._pio_at, self._pio_to_host = bytearray(data), 0, True
        self._pio_then = then
        self.interrupt()

    def want(self, count: int, then: Callable[[bytes], None]) -> None:
        """Have the host write `count` bytes into the FIFO."""
        self._pio, self._pio_wanted = bytearray(), count
        self._pio_then = then
        self.interrupt()

    def _write_fifo(self, value: int) -> None:
        if self._pio_wanted:
            self._pio.append(value)
            if len(self._pio) == self._pio_wanted:
                self._pio_wanted = 0
                self.acknowledge()
                self._pio_then(bytes(self._pio))
        elif not (self._in_reset or self._executing or self._results or self._pio_to_host):
            self._command.append(value)
            if len(self._command) == self.length_of(self._command[0]):
                command, self._command = bytes(self._command), bytearray()
                self._executing = True
                self.execute(command)

    def _read_fifo(self) -> int:
        if self._pio_to_host:
            value = self._pio[self._pio_at]
            self._pio_at += 1
            if self._pio_at == len(self._pio):
                self._pio_to_host = False
                self.acknowledge()
                self._pio_then(bytes(self._pio))
            return value
        if not self._results:
            return 0
        if self._results_interrupt:
            # Reading the first result takes the interrupt back.
            self._results_interrupt = False
            self.acknowledge()
        return self._results.popleft()

    # -- the interrupt --------------------------------------------------------------------------------------------

    def interrupt(self) -> None:
        self._interrupting = True
        self._drive_irq()

    def acknowledge(self) -> None:
        self._interrupting = False
        self._drive_irq()

    def _drive_irq(self) -> None:
        self._irq.set(self._interrupting and bool(self._dor & DOR_DMA))

    @property
    def has_dma(self) -> bool:
        """Whether the DMA wires reach the bus (DOR bit 3)."""
        return bool(self._dor & DOR_DMA)


class DigitalInput:
    """Port 3F7: the disk change line, and the data rate."""

    def __init__(self, chip: FloppyPhases) -> None:
        self._chip = chip

    def read(self, offset: int, size: int) -> int:
        drive = self._chip.selected
        return DIR_CHANGED if drive is None or drive.changed else 0

    peek = read

    def write(self, offset: int, size: int, value: int) -> None:
        self._chip.rate = value & 3


def _ignore(data: bytes) -> None:
    """Nobody waits for the FIFO."""
