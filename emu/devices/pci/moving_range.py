"""A range of addresses that a register moves: PCI's base addresses and the chip set's I/O bases.

>>> class Chip:
...     def read(self, offset: int, size: int) -> int: return offset
...     def write(self, offset: int, size: int, value: int) -> None: ...
>>> ports = Bus("port", 0x10000)
>>> place = MovingRange(ports, 4, Chip(), name="chip")
>>> place.move(0xC000); ports.read(0xC002, 1)
2
>>> place.move(None); ports.read(0xC002, 1)
255

Where the guest puts it onto addresses that another chip answers, hardware would have two chips drive the bus at once.
Here the one that was there first goes on to answer alone, and `report` is told.
"""

from __future__ import annotations

from hillemu.emu.bus import Bus, BusDevice
from hillemu.emu.errors import BusConflict
from hillemu.emu.reports import Report, unheard


class MovingRange:
    """Attaches `device` to `bus` where `move` last said; `count` addresses, accesses of up to `width` bytes."""

    def __init__(
        self, bus: Bus, count: int, device: BusDevice, *, name: str, width: int = 1, report: Report = unheard
    ) -> None:
        self._bus = bus
        self._count = count
        self._device = device
        self._name = name
        self._width = width
        self._report = report
        self.base: int | None = None
        """Where the device answers now; `None`: nowhere."""

    def move(self, base: int | None) -> None:
        """Answer at `base` from now on; `None`: nowhere."""
        if base == self.base:
            return
        if self.base is not None:
            self._bus.detach(self.base)
            self.base = None
        if base is None:
            return
        try:
            self._bus.attach(base, self._count, self._device, name=self._name, width=self._width)
        except BusConflict as conflict:
            self._report(f"the guest moved a PCI device onto another's addresses, where it does not answer: {conflict}")
        else:
            self.base = base
