"""The I/O APIC: 24 interrupt pins, each with an entry that says what message to send and to whom.

Memory-mapped at FEC00000h, two registers wide and one more since version 20h::

    00h  IOREGSEL   the number of the register that IOWIN shows       register 0      ID (bits 27-24)
    10h  IOWIN      32 bits                                                    1      highest entry, version 20h
    40h  EOI        write a vector: end its level-triggered interrupts         2      arbitration ID
                                                                               10h+2n entry n, low half; 11h+2n high

    entry  63-56 destination   16 mask   15 level-triggered   14 remote IRR   13 active low   12 delivery status
           11 logical          10-8 delivery mode             7-0 vector

An edge sends its message at once, or is lost if the pin is masked.  A level sends it while the pin asks, unless a
message is on its way: from its acceptance (remote IRR) to the EOI of its vector.  A level that no local APIC takes
(none is addressed, or it is disabled) is offered again at the next EOI or write to its entry; its delivery status says
so.

A `Line` is high while its driver asks for an interrupt, so an entry's polarity is kept but has no meaning, as on QEMU.
One that says active low is reported: a PC's pins are active high.

Not modelled, and reported when a guest asks for it: accesses other than aligned 32-bit words (reads give the bytes of
the register, writes do nothing; IOREGSEL takes any).

Source: Intel 82093AA I/O APIC data sheet; Intel ICH (82801AA) data sheet, "EOI Register", for version 20h.
"""

from __future__ import annotations

from functools import partial

from hillemu.emu.devices.apic.apic_message import FIXED, LOWEST_PRIORITY, Deliver
from hillemu.emu.reports import Report, unheard
from hillemu.emu.wires import Line
from hillemu.emu.word import Bit, Bits, Word

PIN_COUNT = 24
WINDOW_BYTES = 0x1000
ADDRESS = 0xFEC00000

_IOREGSEL, _IOWIN, _EOI = 0x00, 0x10, 0x40
_ID, _VERSION, _ARBITRATION, _TABLE = 0x00, 0x01, 0x02, 0x10
_VERSION_NUMBER = 0x20
_ID_MASK = 0x0F000000


class RedirectionEntry(Word):
    """One entry of the I/O redirection table."""

    BITS = 64
    destination = Bits(63, 56)
    masked = Bit(16)
    level = Bit(15)
    remote_irr = Bit(14)
    active_low = Bit(13)
    delivery_status = Bit(12)
    logical = Bit(11)
    mode = Bits(10, 8)
    vector = Bits(7, 0)


_MASKED = RedirectionEntry.masked.mask
_LEVEL = RedirectionEntry.level.mask
_REMOTE_IRR = RedirectionEntry.remote_irr.mask
_ACTIVE_LOW = RedirectionEntry.active_low.mask
_DELIVERY_STATUS = RedirectionEntry.delivery_status.mask
_LOGICAL = RedirectionEntry.logical.mask
_WRITABLE_LOW = 0x1AFFF
_WRITABLE_HIGH = 0xFF000000


class IoApic:
    """The chip.  `deliver` hands a message to the local APICs and tells whether one has accepted it.

    >>> sent = []
    >>> ioapic = IoApic(deliver=lambda *message: sent.append(message) or True)
    >>> ioapic.write(0x00, 4, 0x10 + 2 * 4); ioapic.write(0x10, 4, 0x34)
    >>> ioapic.line(4).set(True); sent
    [(52, 0, False, 0, False)]
    """

    def __init__(self, *, deliver: Deliver, report: Report = unheard) -> None:
        self._deliver = deliver
        self._report = report
        self._lines = tuple(Line(partial(self._pin_changed, pin)) for pin in range(PIN_COUNT))
        self.reset()

    def line(self, pin: int) -> Line:
        """The wire into input `pin`, 0 to 23."""
        return self._lines[pin]

    def reset(self) -> None:
        """Mask every pin; the lines stay as their drivers hold them."""
        self._selected = 0
        self._id = 0
        self._entries = [_MASKED] * PIN_COUNT

    def entry(self, pin: int) -> RedirectionEntry:
        """The redirection entry of `pin`, as a guest would read it."""
        entry = self._entries[pin]
        waits = self._lines[pin].level and _is_level(entry) and not entry & (_MASKED | _REMOTE_IRR)
        return RedirectionEntry(entry | _DELIVERY_STATUS if waits else entry)

    def end_of_interrupt(self, vector: int) -> None:
        """Hear the EOI of a level-triggered `vector`; a pin that still asks sends its message again."""
        for pin, entry in enumerate(self._entries):
            if entry & (_REMOTE_IRR | 0xFF) == _REMOTE_IRR | vector:
                self._entries[pin] = entry & ~_REMOTE_IRR
        for pin, line in enumerate(self._lines):
            if line.level:
                self._offer(pin)

    # The bus.

    def read(self, offset: int, size: int) -> int:
        if offset & 3 or size != 4:
            self._report("I/O APIC: a read that is not an aligned 32-bit word gives the bytes of the register")
        return self.peek(offset, size)

    def peek(self, offset: int, size: int) -> int:
        register, at = offset & ~3, offset & 3
        value = self._selected if register == _IOREGSEL else self._read_window() if register == _IOWIN else 0
        return value >> 8 * at & (1 << 8 * size) - 1

    def write(self, offset: int, size: int, value: int) -> None:
        if offset == _IOREGSEL:
            self._selected = value & 0xFF
        elif offset & 3 or size != 4:
            self._report("I/O APIC: a write that is not an aligned 32-bit word is ignored")
        elif offset == _IOWIN:
            self._write_window(value)
        elif offset == _EOI:
            self.end_of_interrupt(value & 0xFF)

    def _read_window(self) -> int:
        selected = self._selected
        pin = selected - _TABLE >> 1
        if 0 <= pin < PIN_COUNT:
            return self.entry(pin) >> (32 if selected & 1 else 0) & 0xFFFFFFFF
        if selected == _VERSION:
            return PIN_COUNT - 1 << 16 | _VERSION_NUMBER
        # The arbitration ID follows the ID whenever that is written.
        return self._id if selected in (_ID, _ARBITRATION) else 0

    def _write_window(self, value: int) -> None:
        selected = self._selected
        pin = selected - _TABLE >> 1
        if selected == _ID:
            self._id = value & _ID_MASK
        elif 0 <= pin < PIN_COUNT:
            entry = self._entries[pin]
            if selected & 1:
                entry = entry & 0xFFFFFFFF | (value & _WRITABLE_HIGH) << 32
            else:
                entry = entry & ~_WRITABLE_LOW | value & _WRITABLE_LOW
                if not _is_level(entry):
                    entry &= ~_REMOTE_IRR  # what Linux counts on to end a lost interrupt
                if entry & (_ACTIVE_LOW | _MASKED) == _ACTIVE_LOW:
                    self._report(f"I/O APIC: pin {pin} is programmed active low; the polarity has no meaning here")
            self._entries[pin] = entry
            self._offer(pin)

    # Messages.

    def _pin_changed(self, pin: int, level: bool) -> None:
        entry = self._entries[pin]
        if not level or entry & _MASKED:
            return
        if _is_level(entry):
            self._offer(pin)
        else:
            self._send(entry)

    def _offer(self, pin: int) -> None:
        """Send a level-triggered pin's message if the pin asks and none is on its way."""
        entry = self._entries[pin]
        if self._lines[pin].level and not entry & (_MASKED | _REMOTE_IRR) and _is_level(entry) and self._send(entry):
            self._entries[pin] |= _REMOTE_IRR

    def _send(self, entry: int) -> bool:
        return self._deliver(entry & 0xFF, entry >> 8 & 7, _is_level(entry), entry >> 56, bool(entry & _LOGICAL))


def _is_level(entry: int) -> bool:
    """Whether the pin is level-triggered.  All modes but two "are treated as edge even if programmed as level"."""
    return bool(entry & _LEVEL) and entry >> 8 & 7 in (FIXED, LOWEST_PRIORITY)
