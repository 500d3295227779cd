"""What IN and OUT wait for, beyond the clock table's figure: the bus that answers a port.

The manuals' figures have a bus cycle without wait states, and no port of a PC answers so fast::

    8-bit device on the ISA bus    2 + 4 wait states = 6 BCLK    720 ns a byte
    16-bit device (IOCS16#)        2 + 1 wait state  = 3 BCLK    360 ns a word

BCLK is the processor's bus clock divided by a whole number, and at most 8.33 MHz.  An access wider than the device is
several ISA cycles.  Where the ISA bus is behind PCI, its bridge first sees that no PCI function claims the access.

>>> board = isa_bus(bus_mhz=33, has_pci=False)
>>> [wait.bus_clocks(8) for wait in board if 0x60 in wait.ports]  # 6 BCLK of 4 bus clocks, less the figure's 2
[22]
>>> next(wait for wait in board if 0x1F0 in wait.ports).bus_clocks(32)  # two words
22

Ports that are no card's but the chip set's (interrupt controllers, timer, DMA, port 61h) take ISA's time: drivers count
on it.  PCI's configuration ports, and those from 1000h up, where firmware puts PCI functions, are not on the
ISA bus: they take what the table says.

Sources: Shanley and Anderson, ISA System Architecture, "The Default Ready Timer": 4 wait states of an 8-bit device, 1
of a 16-bit I/O device, which cannot be shortened.  Intel 82378 data sheet: SYSCLK 8.33 MHz.  PCI Local Bus
Specification 2.1, "Device Selection": subtractive decoding.  ATA-2, "IOCS16-": the data register.

Not modelled: the time up to the next edge of BCLK; I/O recovery, which bridges put between accesses that follow each
other (82371: 3.5 SYSCLK behind a command); IOCHRDY and NOWS#; PCI's own clocks where a PCI function answers.
"""

from __future__ import annotations

from typing import NamedTuple

EVERY_PORT = range(0x10000)
PCI_CONFIGURATION = range(0xCF8, 0xD00)
PCI_FUNCTIONS = range(0x1000, 0x10000)
WORD_PORTS = (range(0x1F0, 0x1F1), range(0x170, 0x171))
"""The data registers of the two ATA channels."""

BYTE_CYCLE, WORD_CYCLE = 6, 3
"""BCLKs."""
IN_TABLE = 2
"""Bus clocks: the bus cycle without wait states that the clock tables hold."""
PCI_CLAIM = 5
"""PCI clocks: the address phase, and until fast, medium and slow devices have let it by."""


class PortWait(NamedTuple):
    """What accesses to some ports take beyond the clock table.

    An access is a cycle for each `device_bits`, the first of `first` bus clocks more than the table, the others of
    `next`.
    """

    ports: range
    device_bits: int
    first: int
    next: int

    def bus_clocks(self, bits: int) -> int:
        """Bus clocks beyond the table for an access of so many bits."""
        return self.first + (max(bits // self.device_bits, 1) - 1) * self.next


def isa_bus(*, bus_mhz: int, has_pci: bool) -> tuple[PortWait, ...]:
    """The ports of a board with an ISA bus; of an address the first that has it counts, and the last has every one."""
    bclk = -(-bus_mhz * 3 // 25)  # bus clocks: 25/3 MHz at most
    claim = PCI_CLAIM * -(-bus_mhz * 3 // 100) if has_pci else 0  # 33.3 MHz at most

    def device(ports: range, bits: int, cycle: int) -> PortWait:
        return PortWait(ports, bits, max(claim + cycle * bclk - IN_TABLE, 0), cycle * bclk)

    return (
        *(device(ports, 16, WORD_CYCLE) for ports in WORD_PORTS),
        *(PortWait(ports, 32, 0, 0) for ports in (PCI_CONFIGURATION, PCI_FUNCTIONS)),
        device(EVERY_PORT, 8, BYTE_CYCLE),
    )


def same_for_all(wait_states: int) -> tuple[PortWait, ...]:
    """A board where each access has so many bus clocks more than the table, whatever answers."""
    return (PortWait(EVERY_PORT, 32, wait_states, 0),)
