"""SMBIOS: what inventory tools (dmidecode) and Linux's log say the machine is.

::

    F segment   "_SM_" entry point | structures 0 BIOS, 1 system, 3 chassis, 4 processor, 16 memory array,
                17 one module, 19 mapped addresses, 32 boot information, 127 end

Source: DMTF, System Management BIOS Reference Specification 2.4 (DSP0134), "Structure Definitions".
Not modelled: everything that a virtual machine has none of (caches, slots, sensors), and a machine's own UUID (all
zero: not present).
"""

from __future__ import annotations

import struct

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PhysAddr

ENTRY_POINT = PhysAddr(0xF5600)
STRUCTURES = PhysAddr(0xF5620)
NAME = "hillemu"
_RELEASE = "01/01/2026"
_UNKNOWN = 2
_NONE = 0xFFFE


def write_smbios(memory: GuestMemory, *, signature: int, features: int) -> PhysAddr:
    """Write entry point and structures; returns where the entry point is.

    `signature` and `features` are CPUID leaf 1's EAX and EDX.
    """
    ranges = memory.ram_ranges
    structures = smbios_structures(signature, features, ranges[-1].end, sum(ram.size_bytes for ram in ranges))
    memory.write(STRUCTURES, b"".join(structures))
    memory.write(ENTRY_POINT, _entry_point(structures))
    return ENTRY_POINT


def smbios_structures(signature: int, features: int, ram_end: int, ram_bytes: int) -> list[bytes]:
    """All structures, each with its strings.  `ram_end` is the end of RAM, `ram_bytes` its sum."""
    kib = ram_end >> 10
    mib = min(ram_bytes >> 20, 0x7FFF)
    bios = struct.pack("<BBHBBQ4B", 1, 2, 0xE800, 3, 0, 0x08, 0, 0x04, 0, 0)
    system = struct.pack("<4B16sBBB", 1, 2, 3, 0, bytes(16), 6, 0, 0)
    chassis = struct.pack("<9BI4B", 1, 1, 2, 0, 0, 3, 3, 3, _UNKNOWN, 0, 0, 0, 0, 0)
    processor = struct.pack(
        *("<BBBBIIBBHHHBBHHH6BH", 1, 3, 1, 2, signature, features, 0, 0, 0, 0, 0, 0x41, 1),
        *(0xFFFF, 0xFFFF, 0xFFFF, 0, 0, 0, 1, 1, 1, 0),
    )
    array = struct.pack("<BBBIHH", 1, 3, 6, min(kib, 0x80000000), _NONE, 1)
    module = struct.pack("<HHHHHBBBBBHHBBBB", 0x1000, _NONE, 0xFFFF, 0xFFFF, mib, 9, 0, 1, 0, 7, 2, 0, 2, 0, 0, 0)
    mapped = struct.pack("<IIHB", 0, kib - 1, 0x1000, 1)
    return [
        _structure(0, bios, NAME, "1.0", _RELEASE),
        _structure(1, system, NAME, "PC", "1.0"),
        _structure(3, chassis, NAME, "1.0"),
        _structure(4, processor, "CPU 0", NAME),
        _structure(16, array),
        _structure(17, module, "DIMM 0", NAME),
        _structure(19, mapped),
        _structure(32, bytes(7)),
        _structure(127, b""),
    ]


def _structure(kind: int, body: bytes, *strings: str) -> bytes:
    """A structure of type `kind` with a handle of its own, and its strings, numbered from 1."""
    texts = b"".join(text.encode("ascii") + b"\0" for text in strings) or b"\0"
    return struct.pack("<BBH", kind, 4 + len(body), kind << 8) + body + texts + b"\0"


def _entry_point(structures: list[bytes]) -> bytes:
    length = sum(map(len, structures))
    largest = max(map(len, structures))
    middle = bytearray(struct.pack("<5sBHIHB", b"_DMI_", 0, length, STRUCTURES, len(structures), 0x24))
    middle[5] = -sum(middle) & 0xFF
    entry = bytearray(struct.pack("<4sBBBBHB5s", b"_SM_", 0, 31, 2, 4, largest, 0, bytes(5)) + middle)
    entry[4] = -sum(entry) & 0xFF
    return bytes(entry)
