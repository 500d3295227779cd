"""Names for the devices that PCs have and this machine has not.

A port number in the summary of a run says little to who did not write the driver; its owner says why a guest waits.

>>> absent_devices({"port_reads": {0x3F4: 4, 0x220: 1}, "port_writes": {0x3F2: 1}, "memory_reads": {}})
['Sound Blaster', 'floppy controller (--floppy adds one)']
"""

from __future__ import annotations

from collections.abc import Mapping

_PORTS: tuple[tuple[int, int, str], ...] = (
    (0x200, 0x207, "game port"),
    (0x220, 0x22F, "Sound Blaster"),
    (0x278, 0x27F, "parallel port"),
    (0x2E8, 0x2EF, "COM4"),
    (0x330, 0x331, "MIDI port"),
    (0x378, 0x37F, "parallel port"),
    (0x388, 0x38B, "AdLib"),
    (0x3E8, 0x3EF, "COM3"),
    (0x3F0, 0x3F5, "floppy controller (--floppy adds one)"),
    (0x3F7, 0x3F7, "floppy controller (--floppy adds one)"),
    (0x402, 0x402, "SeaBIOS's debug port (--device isa-debugcon adds it)"),
    (0x510, 0x51B, "QEMU firmware configuration (--device fw-cfg adds it)"),
    (0xB004, 0xB005, "ACPI of old QEMUs"),
)
"""(first, last, owner)"""

_MEMORY: tuple[tuple[int, int, str], ...] = (
    (0xE0000000, 0xE0FFFFFF, "linear frame buffer of Bochs (here its address is in PCI's base address register)"),
    (0xFF000000, 0xFF00FFFF, "QEMU's test device (--device pc-testdev adds it)"),
)


def absent_devices(unhandled: Mapping[str, Mapping[int, int]]) -> list[str]:
    """The owners of what `Machine.unhandled` counts, each once, by their addresses; strangers are left out."""
    ports = sorted({at for kind, counts in unhandled.items() if kind.startswith("port") for at in counts})
    memory = sorted({at for kind, counts in unhandled.items() if kind.startswith("memory") for at in counts})
    found = [owner for at in ports for first, last, owner in _PORTS if first <= at <= last]
    found += [owner for at in memory for first, last, owner in _MEMORY if first <= at <= last]
    return list(dict.fromkeys(found))
