"""The $PIR table: how kernels without ACPI and APICs find out to which ISA interrupt a PCI device's pin can be routed.

::

    F segment   "$PIR" | the router is function 0 of device 1, compatible with 8086:122E | for each slot the four pins:
                the router's register (60h-63h) and the interrupts it can choose, a bit each

Source: Microsoft, "PCI IRQ Routing Table Specification" 1.0; the entries of SeaBIOS 1.16 on QEMU.
Not modelled: nothing.
"""

from __future__ import annotations

import struct

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PhysAddr

PIR = PhysAddr(0xF5400)
SLOTS = 6
_ROUTER = 1 << 3
_COMPATIBLE_ROUTER = 0x122E8086
_FIRST_REGISTER = 0x60
_CHOICES = 0xDEF8
"""IRQ 3-7, 9-12, 14 and 15."""


def write_pir_table(memory: GuestMemory) -> PhysAddr:
    """Write it; returns where it is."""
    memory.write(PIR, pir_table())
    return PIR


def pir_table() -> bytes:
    slots = b""
    for device in range(1, 1 + SLOTS):
        pins = b"".join(struct.pack("<BH", _FIRST_REGISTER + (device + pin - 1 & 3), _CHOICES) for pin in range(4))
        # The first one is on the board, the others are slots 1 and on.
        slots += struct.pack("<BB12sBB", 0, device << 3, pins, device - 1, 0)
    header = struct.pack(
        *("<4sHHBBHII11xB", b"$PIR", 0x0100, 32 + len(slots), 0, _ROUTER, 0, _COMPATIBLE_ROUTER, 0, 0),
    )
    table = bytearray(header + slots)
    table[31] = -sum(table) & 0xFF
    return bytes(table)
