"""The memory map that firmware hands to an operating system: the answer of INT 15h, AX=E820h.

::

    0x00000000-0x0009FBFF  usable      conventional memory
    0x0009FC00-0x0009FFFF  reserved    extended BIOS data area
    0x000A0000-0x000EFFFF  (no entry)  video memory and option ROMs
    0x000F0000-0x000FFFFF  reserved    system BIOS
    0x00100000-...         usable      RAM up to the hole for devices, but for
    its last 128 KiB       reserved    ACPI tables
    0xFFFC0000-0xFFFFFFFF  reserved    BIOS ROM
    0x100000000-...        usable      the rest of RAM

These are the entries of QEMU's PC.  A machine with less than 256 KiB above 1 MiB has no ACPI tables.

Source: ACPI specification, "INT 15H, E820H - Query System Address Map"; SeaBIOS under QEMU 7.2 for the addresses.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from hillemu.emu.guest import GuestMemory, RamRange
from hillemu.emu.i386.address import PhysAddr

EBDA_BASE = 0x9FC00
"""Start of the extended BIOS data area: the end of conventional memory that programs may use."""
HOLE_BASE = 0xA0000
"""Start of the hole for video memory and ROMs."""
BIOS_BASE = 0xF0000
HIGH_MEMORY_BASE = 0x100000
"""End of the hole: RAM goes on at 1 MiB."""
HIGH_BIOS_BASE = 0xFFFC0000
FOUR_GIB = 1 << 32
ACPI_BYTES = 128 << 10


class MemoryKind(IntEnum):
    """The type of an entry, as the ACPI specification numbers it."""

    USABLE = 1
    RESERVED = 2


class MapEntry(NamedTuple):
    """One entry of the map: `size_bytes` bytes at `base`."""

    base: PhysAddr
    size_bytes: int
    kind: MemoryKind

    @property
    def end(self) -> PhysAddr:
        return PhysAddr(self.base + self.size_bytes)


_RESERVED = (
    MapEntry(PhysAddr(EBDA_BASE), HOLE_BASE - EBDA_BASE, MemoryKind.RESERVED),
    MapEntry(PhysAddr(BIOS_BASE), HIGH_MEMORY_BASE - BIOS_BASE, MemoryKind.RESERVED),
    MapEntry(PhysAddr(HIGH_BIOS_BASE), FOUR_GIB - HIGH_BIOS_BASE, MemoryKind.RESERVED),
)
_NOT_USABLE = ((EBDA_BASE, HIGH_MEMORY_BASE), (HIGH_BIOS_BASE, FOUR_GIB))


def memory_map(memory: GuestMemory) -> tuple[MapEntry, ...]:
    """The map of a machine whose RAM is `memory.ram_ranges`, in ascending order, without overlaps.

    >>> from hillemu.emu.guest import FakeMemory
    >>> for entry in memory_map(FakeMemory(4 << 20)):
    ...     print(f"{entry.base:#010x} {entry.size_bytes:#010x} {entry.kind.name}")
    0x00000000 0x0009fc00 USABLE
    0x0009fc00 0x00000400 RESERVED
    0x000f0000 0x00010000 RESERVED
    0x00100000 0x002e0000 USABLE
    0x003e0000 0x00020000 RESERVED
    0xfffc0000 0x00040000 RESERVED
    """
    not_usable = list(_NOT_USABLE)
    reserved = list(_RESERVED)
    if tables := acpi_range(memory):
        not_usable.insert(1, tables)
        reserved.append(MapEntry(tables.base, tables.size_bytes, MemoryKind.RESERVED))
    ram_ranges = without(memory.ram_ranges, tuple(not_usable))
    usable = (MapEntry(ram.base, ram.size_bytes, MemoryKind.USABLE) for ram in ram_ranges)
    return tuple(sorted((*usable, *reserved)))


def acpi_range(memory: GuestMemory) -> RamRange | None:
    """The end of RAM below 4 GiB, set aside for ACPI tables; `None` where RAM is too small for that."""
    ends = [ram.end for ram in memory.ram_ranges if HIGH_MEMORY_BASE < ram.end <= HIGH_BIOS_BASE]
    if not ends or ends[-1] < HIGH_MEMORY_BASE + 2 * ACPI_BYTES:
        return None
    return RamRange(PhysAddr(ends[-1] - ACPI_BYTES), PhysAddr(ends[-1]))


def lower_kib(entries: tuple[MapEntry, ...]) -> int:
    """Conventional memory from address 0, in KiB: what INT 12h says, at most 640."""
    return _usable_end(entries, 0, HOLE_BASE) >> 10


def upper_kib(entries: tuple[MapEntry, ...]) -> int:
    """Memory from 1 MiB up to the first hole below 4 GiB, in KiB."""
    return _usable_end(entries, HIGH_MEMORY_BASE, FOUR_GIB) - HIGH_MEMORY_BASE >> 10


def without(ranges: tuple[RamRange, ...], holes: tuple[tuple[int, int], ...]) -> list[RamRange]:
    """What is left of `ranges` outside `holes`, which are (base, end) in ascending order."""
    left = []
    for ram in ranges:
        base: int = ram.base
        for hole_base, hole_end in holes:
            if base < hole_base < ram.end:
                left.append(RamRange(PhysAddr(base), PhysAddr(hole_base)))
            if hole_base < ram.end:
                base = max(base, hole_end)
        if base < ram.end:
            left.append(RamRange(PhysAddr(base), ram.end))
    return left


def _usable_end(entries: tuple[MapEntry, ...], start: int, limit: int) -> int:
    end = start
    for entry in entries:
        if entry.kind is MemoryKind.USABLE and entry.base <= end < entry.end:
            end = min(entry.end, limit)
    return end
