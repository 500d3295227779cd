"""The PC's two DMA controllers and their page registers.

::

    ports 00-0F   controller 1: channels 0-3, 8 bits      address = page : 16 bits
    ports C0-DF   controller 2: channels 4-7, 16 bits     address = page without bit 0 : 16 bits : 0
                  each of its registers at two ports; channel 4 has controller 1 behind it
    ports 81-8F   page registers    81 channel 2 | 82 channel 3 | 83 channel 1 | 87 channel 0
                                    89 channel 6 | 8A channel 7 | 8B channel 5 | 8F refresh; the rest are latches

A channel reaches the first 16 MiB, and its address does not carry into the page: after 64 KiB (128 KiB) it comes to
the same page's beginning.  Port 80 is a page register too, and better known as the POST card.

Source: IBM PC AT Technical Reference, "DMA controllers" and "DMA page registers".
Not modelled: that masking channel 4 holds up channels 0-3.
"""

from __future__ import annotations

from hillemu.emu.devices.storage.dma8237 import Dma8237, DmaChannel
from hillemu.emu.devices.storage.dma_memory import DmaMemory
from hillemu.emu.reports import Report, unheard

CONTROLLER_1, CONTROLLER_1_PORTS = 0x00, 16
CONTROLLER_2, CONTROLLER_2_PORTS = 0xC0, 32
PAGES, PAGE_PORTS = 0x81, 15

_CHANNEL_OF_PAGE = {0x81: 2, 0x82: 3, 0x83: 1, 0x87: 0, 0x89: 6, 0x8A: 7, 0x8B: 5}


class IsaDma:
    """Attach `controller_1`, `controller_2` and `pages` at their ports."""

    def __init__(self, *, memory: DmaMemory, report: Report = unheard) -> None:
        self._chips = (
            Dma8237(memory=memory, report=report),
            Dma8237(memory=memory, unit_bytes=2, report=report),
        )
        self.controller_1 = Registers(self._chips[0], shift=0)
        self.controller_2 = Registers(self._chips[1], shift=1)
        self.pages = PageRegisters(*self._chips)

    def channel(self, number: int) -> DmaChannel:
        """The wires of channel 0 to 7."""
        return self._chips[number >> 2].channel(number & 3)

    def reset(self) -> None:
        for chip in self._chips:
            chip.reset()


class Registers:
    """A chip's registers on the bus, each at `2**shift` ports."""

    def __init__(self, chip: Dma8237, *, shift: int) -> None:
        self._chip = chip
        self._shift = shift

    def read(self, offset: int, size: int) -> int:
        return self._chip.read(offset >> self._shift)

    def peek(self, offset: int, size: int) -> int:
        return self._chip.peek(offset >> self._shift)

    def write(self, offset: int, size: int, value: int) -> None:
        self._chip.write(offset >> self._shift, value)


class PageRegisters:
    """Ports 81-8F: what is written can be read back."""

    def __init__(self, first: Dma8237, second: Dma8237) -> None:
        self._chips = (first, second)
        self._latches = bytearray(PAGE_PORTS)

    def read(self, offset: int, size: int) -> int:
        return self._latches[offset]

    peek = read

    def write(self, offset: int, size: int, value: int) -> None:
        self._latches[offset] = value
        channel = _CHANNEL_OF_PAGE.get(PAGES + offset)
        if channel is not None:
            self._chips[channel >> 2].pages[channel & 3] = value
