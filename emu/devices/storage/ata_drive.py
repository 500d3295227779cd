"""What all drives on an ATA cable have: a task file, a data port, a status, an interrupt.

A drive is driven by its channel (`hillemu.emu.devices.storage.ata`), which knows about ports and about the other
drive.  Its kinds (`AtaDisk`, `AtapiCd`) bring the commands.

A command begins with `execute`: the drive is busy.  From there the kinds use these steps, each of them a row of the
standard's state diagrams::

    after(delay, action)         stay busy for some virtual time, then act
    send(data, then)             DRQ with a block for the host to read; `then` runs when it has read the last word
    receive(count, then)         DRQ with room for a block; `then` runs when the host has filled it (`buffer`)
    move(source, sink, then)     DMARQ until the bus master has moved all of the one that is given, then `then`
    done() / abort() / fail()    the end, with or without an error, and an interrupt

The registers between command and status are two deep, for 48-bit addresses: a write pushes the old value back, where
the HOB bit of the device control register lets the host read it.

Source: ATA/ATAPI-6 (T13 1410D), "I/O register descriptions", "Host and device protocols", "Software reset protocol".
"""

from __future__ import annotations

from collections.abc import Callable

from hillemu.emu.clock import Clock, Event
from hillemu.emu.devices.storage import ata_names as ata
from hillemu.emu.devices.storage.ata_transfer import Sink, Source
from hillemu.emu.reports import Report, unheard

COMMAND_NS = 20_000
"""How long a command takes that moves nothing, and what comes before each block's interrupt.

A drive that has everything in its cache, as a host's disk image has: a mechanical one would need milliseconds, which
a guest would spend waiting.  It is not 0, so that a driver has to wait for BSY and DRQ as it has to elsewhere, and not
a few hundred instructions: drivers that go to sleep with interrupts enabled would be called before they do.
"""
SECTOR_NS = 5_120
"""512 bytes at 100 MB/s (Ultra DMA mode 5): for each sector of a block, and for each that DMA moves."""


class Drive:
    """A drive without commands."""

    SIGNATURE = (0x00, 0x00)
    """What LBA mid and high hold after a reset."""
    IDLE_STATUS = ata.READY
    """The status after a reset."""

    def __init__(self, *, clock: Clock, report: Report = unheard) -> None:
        self.clock = clock
        self.report = report
        self.on_interrupt: Callable[[], None] = _nobody
        """Called when `interrupting` changes."""
        self.on_dma_request: Callable[[], None] = _nobody
        """Called when `source` or `sink` is there."""
        self.number = 0
        self.is_alone = True
        self._event: Event | None = None
        self.reset()

    def reset(self) -> None:
        """Power-on, or the RESET- signal of the cable."""
        self.hob = False
        self.multiword_mode: int | None = None
        self.ultra_mode: int | None = 5
        self.restart()

    def restart(self) -> None:
        """What a software reset leaves behind: idle, the signature in the task file."""
        self.stop()
        self.status = self.IDLE_STATUS
        self.error = ata.DIAGNOSTIC_PASSED
        self.task = [0] * 7
        self.set_signature()

    def stop(self) -> None:
        """Drop the command that is going on."""
        if self._event is not None:
            self._event.cancel()
            self._event = None
        self.interrupting = False
        self.buffer = bytearray()
        self.at = self.end = 0
        self.is_sending = self.is_receiving = False
        self.source: Source | None = None
        self.sink: Sink | None = None
        self._then: Callable[[], None] = _nobody

    def set_signature(self) -> None:
        """Sectors are counted from 1, and the addresses say what kind of drive this is."""
        self.task[ata.COUNT : ata.DEVICE] = [1, 1, *self.SIGNATURE]
        self.previous = [0] * 7

    # -- registers ------------------------------------------------------------------------------------------------

    @property
    def is_occupied(self) -> bool:
        """Whether the task file is the drive's, so that the host's writes are lost."""
        return bool(self.status & (ata.BSY | ata.DRQ))

    def write_register(self, offset: int, value: int) -> None:
        if not self.is_occupied:
            if offset != ata.DEVICE:
                self.previous[offset] = self.task[offset]
            self.task[offset] = value

    def read_register(self, offset: int) -> int:
        if offset == ata.STATUS:
            return self.status
        if offset == ata.ERROR:
            return self.error
        if offset == ata.DEVICE:
            return self.task[offset] | ata.OBSOLETE_ONES
        return (self.previous if self.hob else self.task)[offset]

    def diagnose(self) -> None:
        """EXECUTE DEVICE DIAGNOSTIC, which goes to both drives; drive 0 speaks for them."""
        self.clear_interrupt()
        self.after(COMMAND_NS, self._diagnosed)

    def _diagnosed(self) -> None:
        self.restart()
        if self.number == 0:
            self.interrupt()

    # -- the steps of commands ------------------------------------------------------------------------------------

    def execute(self, command: int) -> None:
        """Take a command.  Only DEVICE RESET, and only for a packet device, gets through while another goes on."""
        if self.is_occupied:
            return
        self.clear_interrupt()
        self.error = 0
        self.status = ata.BSY | ata.READY
        self.begin(command)

    def begin(self, command: int) -> None:
        """The kind's commands; a drive without any aborts all."""
        self.after(COMMAND_NS, self.abort)

    def after(self, delay_ns: int, action: Callable[[], None]) -> None:
        self.status = ata.BSY | ata.READY
        self._event = self.clock.schedule(self.clock.now + self.clock.ticks_from_ns(delay_ns), action)

    def send(self, data: bytes, then: Callable[[], None]) -> None:
        self._open_block(bytearray(data), then)
        self.is_sending = True

    def tell(self, data: bytes) -> None:
        """End the command with one block for the host: the drive is ready when that has been read."""
        self.send(data, self._become_ready)
        self.interrupt()

    def _become_ready(self) -> None:
        self.status = ata.READY

    def receive(self, count: int, then: Callable[[], None]) -> None:
        self._open_block(bytearray(count), then)
        self.is_receiving = True

    def _open_block(self, buffer: bytearray, then: Callable[[], None]) -> None:
        self.buffer = buffer
        self.at, self.end = 0, len(buffer)
        self._then = then
        self.status = ata.READY | ata.DRQ

    def move(self, source: Source | None, sink: Sink | None, then: Callable[[], None]) -> None:
        self.source, self.sink = source, sink
        self._then = then
        self.status = ata.READY | ata.DRQ
        self.on_dma_request()

    def dma_moved(self) -> None:
        """The bus master has moved a piece; the command goes on when nothing remains."""
        stream = self.source or self.sink
        if stream is not None and not stream.remaining:
            self.source = self.sink = None
            self._go_on()

    def done(self) -> None:
        """The command has ended well."""
        self.status = ata.READY
        self.interrupt()

    def fail(self, error: int) -> None:
        """The command has ended with these bits in the error register."""
        self.error = error
        self.status = ata.READY | ata.ERR
        self.interrupt()

    def abort(self) -> None:
        self.fail(ata.ABRT)

    # -- the data port --------------------------------------------------------------------------------------------

    def read_data(self, size: int) -> int:
        """The next bytes of the block; 0 if there is none, as the drive does not drive the cable then."""
        if not self.is_sending:
            return 0
        value = int.from_bytes(self.buffer[self.at : min(self.at + size, self.end)], "little")
        self._step(size)
        return value

    def write_data(self, size: int, value: int) -> None:
        """The next bytes of the block; lost if there is no room."""
        if not self.is_receiving:
            return
        count = min(size, self.end - self.at)
        self.buffer[self.at : self.at + count] = (value & (1 << 8 * count) - 1).to_bytes(count, "little")
        self._step(size)

    def _step(self, size: int) -> None:
        self.at += size
        if self.at >= self.end:
            self.is_sending = self.is_receiving = False
            self._go_on()

    def _go_on(self) -> None:
        then, self._then = self._then, _nobody
        self.status = ata.BSY | ata.READY
        then()

    # -- the interrupt --------------------------------------------------------------------------------------------

    def interrupt(self) -> None:
        self.interrupting = True
        self.on_interrupt()

    def clear_interrupt(self) -> None:
        """The host has read the status, or gives a new command."""
        if self.interrupting:
            self.interrupting = False
            self.on_interrupt()

    def set_transfer_mode(self, mode: int) -> bool:
        """SET FEATURES 03h: whether `mode` (kind in bits 7-3, number in 2-0) is one that the drive says it knows."""
        kind, number = mode >> 3, mode & 7
        if kind == 0:
            return number <= 1
        if kind == 1:
            return number <= 4
        if kind == 4 and number <= 2:
            self.multiword_mode, self.ultra_mode = number, None
            return True
        if kind == 8 and number <= 5:
            self.multiword_mode, self.ultra_mode = None, number
            return True
        return False


def _nobody() -> None:
    """Not connected, or nothing to do."""
