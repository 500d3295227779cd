"""The PCI bus and the host bridge's two ports to its configuration space: configuration mechanism #1.

::

    0CF8  CONFIG_ADDRESS, 32 bits only   31 enable | 23-16 bus | 15-11 device | 10-8 function | 7-2 register
    0CFC  CONFIG_DATA, 4 bytes, at which accesses of 1, 2 and 4 bytes reach the register's bytes

Narrower accesses to 0CF8-0CFB are no business of the bridge: they go on to the bus, where port 0CF9 is the reset
control register.  Where nobody answers (no such bus, device or function, or the enable bit is 0) reads give all ones
and writes vanish.

A function's interrupt pin leads to one of the four inputs PIRQA-PIRQD of the chip set, one further with every device
so that single-pin devices spread: input (device - 1 + pin - 1) mod 4, as PC mainboards and QEMU's wire the 440FX.

Source: PCI Local Bus Specification 2.1, "Configuration Mechanism #1"; Intel 82441FX data sheet, "CONFADD",
"CONFDATA"; Intel 82371SB data sheet, "RC - Reset Control Register".
Not modelled: configuration mechanism #2, special cycles, bridges to other buses.
"""

from __future__ import annotations

from collections.abc import Callable

from hillemu.emu.bus import PeekableDevice
from hillemu.emu.devices.pci.pci_function import PciFunction
from hillemu.emu.wires import Line

CONFIG_ADDRESS, CONFIG_DATA = 0xCF8, 0xCFC
PORT_COUNT = 8
_ENABLE = 0x80000000
_ADDRESS_BITS = 0x80FFFFFC
_RESET_CONTROL, _DATA = 1, 4


class PciBus:
    """Bus 0.  Attach it at `CONFIG_ADDRESS`, `PORT_COUNT` ports, with ``width=4``.

    `reset_control` answers at port 0CF9; `pirq(n)` makes a new wire into input n (0-3) of the interrupt router.
    """

    def __init__(self, *, reset_control: PeekableDevice, pirq: Callable[[int], Line]) -> None:
        self._reset_control = reset_control
        self._pirq = pirq
        self._functions: dict[int, PciFunction] = {}
        self._address = 0

    def plug(self, device: int, function: int, what: PciFunction) -> None:
        """Put `what` at `device` (0-31), `function` (0-7), and wire its interrupt pin."""
        self._functions[device << 3 | function] = what
        if what.pin:
            what.connect(self._pirq((device + what.pin - 2) & 3))

    @property
    def functions(self) -> dict[tuple[int, int], PciFunction]:
        """All functions by (device, function), in ascending order."""
        return {(slot >> 3, slot & 7): self._functions[slot] for slot in sorted(self._functions)}

    def reset(self) -> None:
        """Pull RST# of the bridge and of every function."""
        self._address = 0
        for function in self._functions.values():
            function.reset()

    # ---- BusDevice ----------------------------------------------------------------------------------------------

    def read(self, offset: int, size: int) -> int:
        return self._read(offset, size, self._reset_control.read)

    def peek(self, offset: int, size: int) -> int:
        return self._read(offset, size, self._reset_control.peek)

    def write(self, offset: int, size: int, value: int) -> None:
        if offset >= _DATA:
            count = min(size, PORT_COUNT - offset)
            if target := self._selected():
                target.write((self._address & 0xFC) + offset - _DATA, count, value & (1 << 8 * count) - 1)
        elif offset == 0 and size == 4:
            self._address = value & _ADDRESS_BITS
        else:
            for at in range(offset, offset + size):
                byte, value = value & 0xFF, value >> 8
                if at == _RESET_CONTROL:
                    self._reset_control.write(0, 1, byte)
                elif at >= _DATA:
                    self.write(at, 1, byte)

    # ---- inside -------------------------------------------------------------------------------------------------

    def _read(self, offset: int, size: int, reset_control: Callable[[int, int], int]) -> int:
        if offset >= _DATA and offset + size <= PORT_COUNT:
            target = self._selected()
            if target is None:
                return (1 << 8 * size) - 1
            return target.read((self._address & 0xFC) + offset - _DATA, size)
        if offset == 0 and size == 4:
            return self._address
        value = 0
        for n in range(size):
            at = offset + n
            if at == _RESET_CONTROL:
                byte = reset_control(0, 1)
            else:
                byte = self._read(at, 1, reset_control) if at >= _DATA else 0xFF
            value |= byte << 8 * n
        return value

    def _selected(self) -> PciFunction | None:
        """The function that CONFIG_ADDRESS names."""
        address = self._address
        if not address & _ENABLE or address >> 16 & 0xFF:
            return None
        slot = address >> 8 & 0xFF
        # A bus with no function 0 in a slot has no device there.
        return self._functions.get(slot) if slot & ~7 in self._functions else None
