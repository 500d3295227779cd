"""Tables that firmware left in guest memory, found as an operating system finds them.

::

    RSDP    "RSD PTR ", checksum      first KiB of the EBDA, then 0xE0000-0xFFFFF, every 16 bytes
    SMBIOS  "_SM_", checksum          0xF0000-0xFFFFF, every 16 bytes

Source: ACPI specification, "Finding the RSDP on IA-PC Systems", "Root System Description Pointer"; System Management
BIOS Reference Specification, "Table convention".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PhysAddr

RSDP_V1_BYTES = 20
RSDP_V2_BYTES = 36

_RSDP_SIGNATURE, _SMBIOS_SIGNATURE = b"RSD PTR ", b"_SM_"
_PARAGRAPH = 16
_EBDA_POINTER = PhysAddr(0x40E)
_EBDA_SEARCH_BYTES = 1024
_HOLE_BASE = 0xA0000
_ACPI_AREA = (PhysAddr(0xE0000), 0x20000)
_SMBIOS_AREA = (PhysAddr(0xF0000), 0x10000)
_LONGEST_ANCHOR = 64
_SMBIOS_ANCHOR_BYTES = 0x1F


class Rsdp(NamedTuple):
    """The RSDP in memory: as ACPI 1.0 defines it, and as 2.0 does if it says that it is one."""

    v1: bytes
    v2: bytes | None


class Smbios(NamedTuple):
    """The SMBIOS version, and all structures."""

    major: int
    minor: int
    tables: bytes


def find_rsdp(memory: GuestMemory) -> Rsdp | None:
    """The first RSDP with a right checksum; `None` if there is none."""
    for found in _search(memory, _rsdp_areas(memory), _RSDP_SIGNATURE):
        v1 = found[:RSDP_V1_BYTES]
        if len(v1) == RSDP_V1_BYTES and sum(v1) & 0xFF == 0:
            return Rsdp(v1, _v2_of(found) if v1[15] >= 2 else None)
    return None


def find_smbios(memory: GuestMemory) -> Smbios | None:
    """What the 32-bit SMBIOS entry point says; `None` if there is none, or if it points outside RAM."""
    for anchor in _search(memory, [_SMBIOS_AREA], _SMBIOS_SIGNATURE):
        if len(anchor) < _SMBIOS_ANCHOR_BYTES or anchor[0x10:0x15] != b"_DMI_" or sum(anchor[: anchor[5]]) & 0xFF:
            continue
        size_bytes, address = struct.unpack_from("<HI", anchor, 0x16)
        try:
            return Smbios(anchor[6], anchor[7], memory.read(PhysAddr(address), size_bytes))
        except IndexError:
            continue
    return None


def _v2_of(found: bytes) -> bytes | None:
    length = struct.unpack_from("<I", found, 20)[0] if len(found) >= RSDP_V2_BYTES else 0
    whole = found[:length]
    return whole if RSDP_V2_BYTES <= length <= len(found) and sum(whole) & 0xFF == 0 else None


def _rsdp_areas(memory: GuestMemory) -> list[tuple[PhysAddr, int]]:
    ebda = _read(memory, _EBDA_POINTER, 2)
    base = int.from_bytes(ebda, "little") << 4
    # A pointer that was never set, or that points nowhere near the top of conventional memory, is none.
    is_one = 0x400 < base <= _HOLE_BASE - _EBDA_SEARCH_BYTES
    return [(PhysAddr(base), _EBDA_SEARCH_BYTES), _ACPI_AREA] if is_one else [_ACPI_AREA]


def _search(memory: GuestMemory, areas: list[tuple[PhysAddr, int]], signature: bytes) -> Iterator[bytes]:
    """What begins with `signature` on a paragraph boundary, up to `_LONGEST_ANCHOR` bytes of each."""
    for base, count in areas:
        data = _read(memory, base, count)
        at = data.find(signature)
        while at >= 0:
            if at % _PARAGRAPH == 0:
                yield data[at : at + _LONGEST_ANCHOR]
            at = data.find(signature, at + 1)


def _read(memory: GuestMemory, at: PhysAddr, count: int) -> bytes:
    try:
        return memory.read(at, count)
    except IndexError:
        return b""
