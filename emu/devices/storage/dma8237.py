"""Intel 8237A DMA controller: four channels that count through 64 Ki addresses each.

::

    register  read                          write
    0 2 4 6   current address, channel n/2  base and current address     low byte and high byte in turn: the
    1 3 5 7   current count                 base and current count - 1   flip-flop says which is next
    8         status                        command
    9         -                             request
    A         -                             mask one      2 set | 1-0 channel
    B         -                             mode          7-6 demand, single, block, cascade | 5 down
                                                          4 auto-initialize | 3-2 type | 1-0 channel
    C         -                             clear the flip-flop
    D         temporary                     master clear
    E         -                             clear all masks
    F         masks (as in the PIIX)        all masks     3-0

    status    7-4 requests | 3-0 terminal counts, cleared by reading
    type      0 verify (counts, moves nothing) | 1 write to memory | 2 read from memory

A device asks through a `DmaChannel` for as much as it has; the channel moves up to its terminal count.  Single, demand
and block mode differ in when the processor gets the bus back, which has no effect here.

Source: Intel 8237A data sheet (231466), "Register description" and "Transfer modes".
Not modelled: memory-to-memory transfers and software requests (both reported), rotating priority, compressed timing,
and the polarity of DREQ and DACK.
"""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from hillemu.emu.devices.storage.dma_memory import DmaMemory
from hillemu.emu.reports import Report, unheard

STATUS_COMMAND, REQUEST, MASK, MODE, CLEAR_FLIP_FLOP, MASTER_CLEAR, CLEAR_MASKS, ALL_MASKS = range(8, 16)
DISABLED, MEMORY_TO_MEMORY = 0x04, 0x01
DOWN, AUTO_INITIALIZE = 0x20, 0x10
VERIFY, TO_MEMORY, FROM_MEMORY = 0, 1, 2
_CASCADE = 3


class Moved(NamedTuple):
    """How far a transfer came."""

    data: bytes
    """What was moved; nothing if the channel is masked."""
    is_terminal: bool
    """The channel has counted to its end (the TC signal)."""


class Dma8237:
    """One chip; `unit_bytes` is what one count moves, 1 or (behind the PC's 16-bit wiring) 2.

    `memory` is physical memory.
    """

    def __init__(self, *, memory: DmaMemory, unit_bytes: int = 1, report: Report = unheard) -> None:
        self.pages = bytearray(4)
        """Address bits 16-23 of the channels; a 16-bit channel has no bit 16 there."""
        self._memory = memory
        self._unit = unit_bytes
        self._report = report
        # A reset leaves these as they are, so only power-on sets them.
        self._base = [[0, 0] for _ in range(4)]  # address, count - 1
        self._current = [[0, 0] for _ in range(4)]
        self._modes = [0] * 4
        self.reset()

    def reset(self) -> None:
        """RESET, or a master clear: all channels are masked."""
        self._command = self._terminal = 0
        self._masks = 0xF
        self._high_is_next = False

    # -- registers ------------------------------------------------------------------------------------------------

    def read(self, register: int) -> int:
        value = self.peek(register)
        if register < STATUS_COMMAND:
            self._high_is_next = not self._high_is_next
        elif register == STATUS_COMMAND:
            self._terminal = 0
        return value

    def peek(self, register: int) -> int:
        if register < STATUS_COMMAND:
            word = self._current[register >> 1][register & 1]
            return word >> 8 if self._high_is_next else word & 0xFF
        if register == STATUS_COMMAND:
            return self._terminal
        return self._masks | 0xF0 if register == ALL_MASKS else 0

    def write(self, register: int, value: int) -> None:
        if register < STATUS_COMMAND:
            self._write_half(register >> 1, register & 1, value)
        elif register == STATUS_COMMAND:
            self._command = value
            if value & MEMORY_TO_MEMORY:
                self._report("DMA from memory to memory is not modelled")
        elif register == REQUEST:
            if value & 4:
                self._report(f"a software request for DMA channel {value & 3} is not modelled")
        elif register == MASK:
            bit = 1 << (value & 3)
            self._masks = self._masks | bit if value & 4 else self._masks & ~bit
        elif register == MODE:
            self._modes[value & 3] = value
        elif register == CLEAR_FLIP_FLOP:
            self._high_is_next = False
        elif register == MASTER_CLEAR:
            self.reset()
        else:
            self._masks = 0 if register == CLEAR_MASKS else value & 0xF

    def _write_half(self, channel: int, which: int, value: int) -> None:
        before = self._base[channel][which]
        word = before & 0xFF | value << 8 if self._high_is_next else before & 0xFF00 | value
        self._high_is_next = not self._high_is_next
        self._base[channel][which] = self._current[channel][which] = word

    # -- transfers ------------------------------------------------------------------------------------------------

    def channel(self, number: int) -> DmaChannel:
        """The request and acknowledge wires of a channel."""
        return DmaChannel(self, number)

    def transfer(self, channel: int, data: bytes | None, count: int) -> Moved:
        """Move `data` to memory, or `count` bytes from memory, up to the channel's terminal count."""
        mode = self._modes[channel]
        if self._masks >> channel & 1 or self._command & DISABLED or mode >> 6 == _CASCADE:
            return Moved(b"", False)
        current = self._current[channel]
        units = min(count // self._unit, current[1] + 1)
        kind = mode >> 2 & 3
        moved = b"" if data is None else data[: units * self._unit]
        if kind != VERIFY and (kind == TO_MEMORY) != (data is not None):
            self._report(f"DMA channel {channel} is set up for the other direction; nothing reaches memory")
            kind = VERIFY
        place = self._place(channel, current[0], units, down=bool(mode & DOWN))
        if data is None:
            moved = self._read(place) if kind == FROM_MEMORY else b"\xff" * (units * self._unit)
        elif kind == TO_MEMORY:
            self._write(place, moved)
        step = -units if mode & DOWN else units
        current[0] = current[0] + step & 0xFFFF
        is_terminal = units == current[1] + 1
        current[1] = current[1] - units & 0xFFFF
        if is_terminal:
            self._terminal |= 1 << channel
            if mode & AUTO_INITIALIZE:
                current[:] = self._base[channel]
            else:
                self._masks |= 1 << channel
        return Moved(moved, is_terminal)

    def _place(self, channel: int, start: int, units: int, *, down: bool) -> list[tuple[int, int]]:
        """The pieces of memory, (address, bytes), that `units` from `start` on are: a page's end is followed by its
        beginning, and a channel that counts down moves unit by unit."""
        base = (self.pages[channel] & (0xFF if self._unit == 1 else 0xFE)) << 16
        if down:
            return [(base + (start - n & 0xFFFF) * self._unit, self._unit) for n in range(units)]
        first = min(units, 0x10000 - start)
        pieces = [(base + start * self._unit, first * self._unit)]
        if units > first:
            pieces.append((base, (units - first) * self._unit))
        return pieces

    def _read(self, place: list[tuple[int, int]]) -> bytes:
        data = b""
        for at, count in place:
            try:
                data += self._memory.read(at, count)
            except IndexError:
                data += b"\xff" * count  # nobody drives the bus
        return data

    def _write(self, place: list[tuple[int, int]], data: bytes) -> None:
        done = 0
        for at, count in place:
            with suppress(IndexError):  # nobody listens on the bus
                self._memory.write(at, data[done : done + count])
            done += count


class DmaChannel:
    """A device's end of a channel."""

    def __init__(self, chip: Dma8237, number: int) -> None:
        self._chip = chip
        self._number = number

    def to_memory(self, data: bytes) -> Moved:
        """Request transfers for all of `data`."""
        return self._chip.transfer(self._number, data, len(data))

    def from_memory(self, count: int) -> Moved:
        """Request transfers of `count` bytes."""
        return self._chip.transfer(self._number, None, count)
