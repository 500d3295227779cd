"""The tables of the MultiProcessor Specification: how kernels without ACPI find the local and the I/O APIC.

::

    F segment   floating pointer "_MP_" | configuration table "PCMP":
                processor 0 | bus 0 PCI, bus 1 ISA | I/O APIC 0 | where each interrupt arrives | LINT0, LINT1

ISA interrupts arrive at the I/O APIC's input of their number, IRQ 0 at input 2; PCI's arrive at that of the ISA
interrupt that the PIIX3 routes them to.

Source: Intel MultiProcessor Specification 1.4, "MP Configuration Table"; the entries of SeaBIOS 1.16 on QEMU.
Not modelled: more than one processor, the extended entries.
"""

from __future__ import annotations

import struct

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PhysAddr

FLOATING_POINTER = PhysAddr(0xF5100)
CONFIGURATION = PhysAddr(0xF5110)
LOCAL_APIC, IO_APIC = 0xFEE00000, 0xFEC00000
_PCI_BUS, _ISA_BUS = 0, 1
_IO_APIC_ID = 0
_LOCAL_APIC_VERSION, _IO_APIC_VERSION = 0x14, 0x11
_ENABLED_BOOTSTRAP = 0x03
_INT, _NMI, _EXTINT = 0, 1, 3
_CONFORMING, _ACTIVE_HIGH = 0x0000, 0x0001
_CASCADE = 2
_PCI_IRQS = frozenset({5, 9, 10, 11})
PM_INTA = (1, 1, 9)


def write_mp_tables(
    memory: GuestMemory, *, signature: int, features: int, pci_pins: tuple[tuple[int, int, int], ...] = (PM_INTA,)
) -> PhysAddr:
    """Write both tables; returns where the floating pointer is.

    `signature` and `features` are CPUID leaf 1's EAX and EDX; `pci_pins` has (device, pin, ISA interrupt) of every
    interrupt pin on PCI bus 0, pin 1 being INTA#.
    """
    configuration = mp_configuration(signature, features, pci_pins)
    memory.write(CONFIGURATION, configuration)
    pointer = bytearray(struct.pack("<4sIBBB5B", b"_MP_", CONFIGURATION, 1, 4, 0, 0, 0, 0, 0, 0))
    pointer[10] = -sum(pointer) & 0xFF
    memory.write(FLOATING_POINTER, pointer)
    return FLOATING_POINTER


def mp_configuration(signature: int, features: int, pci_pins: tuple[tuple[int, int, int], ...]) -> bytes:
    """The configuration table."""
    entries = [
        struct.pack("<BBBBII8x", 0, 0, _LOCAL_APIC_VERSION, _ENABLED_BOOTSTRAP, signature, features),
        struct.pack("<BB6s", 1, _PCI_BUS, b"PCI   "),
        struct.pack("<BB6s", 1, _ISA_BUS, b"ISA   "),
        struct.pack("<BBBBI", 2, _IO_APIC_ID, _IO_APIC_VERSION, 1, IO_APIC),
    ]
    for device, pin, irq in pci_pins:
        entries.append(_interrupt(3, _INT, _ACTIVE_HIGH, _PCI_BUS, device << 2 | pin - 1, _IO_APIC_ID, irq))
    entries.extend(
        _interrupt(3, _INT, _CONFORMING, _ISA_BUS, irq, _IO_APIC_ID, irq or 2)
        for irq in range(16)
        if irq != _CASCADE and irq not in _PCI_IRQS
    )
    entries.append(_interrupt(4, _EXTINT, _CONFORMING, _ISA_BUS, 0, 0, 0))
    entries.append(_interrupt(4, _NMI, _CONFORMING, _ISA_BUS, 0, 0xFF, 1))
    body = b"".join(entries)
    header = struct.pack(
        *("<4sHBB8s12sIHHIHBB", b"PCMP", 44 + len(body), 4, 0, b"HILLEMU ", b"PC          "),
        *(0, 0, len(entries), LOCAL_APIC, 0, 0, 0),
    )
    table = bytearray(header + body)
    table[7] = -sum(table) & 0xFF
    return bytes(table)


def _interrupt(entry: int, kind: int, flags: int, bus: int, source: int, apic: int, pin: int) -> bytes:
    """An interrupt's way from `source` of `bus` to input `pin` of `apic`."""
    return struct.pack("<BBHBBBB", entry, kind, flags, bus, source, apic, pin)
