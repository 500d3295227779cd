"""Names for the devices that PCs have and this machine has not.

A port number in the summary of a run says little to who did not write the driver; its owner says why a guest waits.

>>> absent_devices({"port_reads": {0x1F7: 4}, "port_writes": {0x1F6: 1, 0xCF8: 2}, "memory_reads": {}})
['ATA disk', 'PCI configuration']
"""

from __future__ import annotations

from collections.abc import Mapping

_PORTS: tuple[tuple[int, int, str], ...] = (
    (0x000, 0x00F, "DMA controller"),
    (0x081, 0x08F, "DMA controller"),
    (0x0C0, 0x0DF, "DMA controller"),
    (0x0B2, 0x0B3, "system management"),
    (0x170, 0x177, "ATA disk"),
    (0x1CE, 0x1CF, "Bochs graphics adapter"),
    (0x1F0, 0x1F7, "ATA disk"),
    (0x200, 0x207, "game port"),
    (0x220, 0x22F, "Sound Blaster"),
    (0x278, 0x27F, "parallel port"),
    (0x2E8, 0x2EF, "COM4"),
    (0x330, 0x331, "MIDI port"),
    (0x376, 0x376, "ATA disk"),
    (0x378, 0x37F, "parallel port"),
    (0x388, 0x38B, "AdLib"),
    (0x3E8, 0x3EF, "COM3"),
    (0x3F0, 0x3F5, "diskette drive"),
    (0x3F6, 0x3F6, "ATA disk"),
    (0x3F7, 0x3F7, "diskette drive"),
    (0x510, 0x51B, "QEMU firmware configuration"),
    (0x604, 0x605, "ACPI"),
    (0xB004, 0xB005, "ACPI"),
    (0xCF8, 0xCFF, "PCI configuration"),
)
"""(first, last, owner)"""

_MEMORY: tuple[tuple[int, int, str], ...] = (
    (0xFD000000, 0xFDFFFFFF, "linear frame buffer"),
    (0xFEC00000, 0xFEC00FFF, "I/O APIC"),
    (0xFED00000, 0xFED003FF, "HPET"),
    (0xFEE00000, 0xFEE00FFF, "local APIC"),
)


def absent_devices(unhandled: Mapping[str, Mapping[int, int]]) -> list[str]:
    """The owners of what `Machine.unhandled` counts, each once, by their addresses; strangers are left out."""
    ports = sorted({at for kind, counts in unhandled.items() if kind.startswith("port") for at in counts})
    memory = sorted({at for kind, counts in unhandled.items() if kind.startswith("memory") for at in counts})
    found = [owner for at in ports for first, last, owner in _PORTS if first <= at <= last]
    found += [owner for at in memory for first, last, owner in _MEMORY if first <= at <= last]
    return list(dict.fromkeys(found))
