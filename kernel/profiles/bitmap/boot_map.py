"""The memory map that the loader leaves at 0x500 (boot/asm/disk_memory_map.inc), and the pages in it.

::

    u32 count, u32 0
    struct { u64 base, length; u32 type, attributes; } [count];

Source: ACPI Specification, "INT 15H, E820H - Query System Address Map".
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PAGE_SHIFT, Frame, PhysAddr
from hillemu.kernel.errors import InvalidParameters
from hillemu.kernel.mm.frames import FrameRun
from hillemu.kernel.profiles.bitmap.layout import MEMORY_MAP

MOST_ENTRIES = 128
RAM = 1
_ENTRY = struct.Struct("<QQII")
_ENTRIES_AT = 8
_MOST_PAGES = 1 << 32 - PAGE_SHIFT


class MapEntry(NamedTuple):
    """As the BIOS gave it."""

    base: PhysAddr
    length: int
    type: int
    attributes: int

    @property
    def end(self) -> int:
        return self.base + self.length


def read_memory_map(memory: GuestMemory, at: PhysAddr = MEMORY_MAP) -> tuple[MapEntry, ...]:
    """The entries at `at`; raises `InvalidParameters` if no loader can have left that."""
    count = memory.u32(at)
    if not 0 < count <= MOST_ENTRIES:
        raise InvalidParameters(f"memory_init: no memory map at {at:#x}: it would have {count} entries")
    raw = memory.read(PhysAddr(at + _ENTRIES_AT), count * _ENTRY.size)
    return tuple(MapEntry(PhysAddr(base), *rest) for base, *rest in _ENTRY.iter_unpack(raw))


def usable_pages(entries: tuple[MapEntry, ...]) -> list[FrameRun]:
    """The whole pages of RAM below 4 GiB, without those that an entry of another type has as well."""
    runs = [(-(-entry.base >> PAGE_SHIFT), entry.end >> PAGE_SHIFT) for entry in entries if entry.type == RAM]
    for other in entries:
        if other.type != RAM:
            first, end = other.base >> PAGE_SHIFT, -(-other.end >> PAGE_SHIFT)
            runs = [piece for run in runs for piece in ((run[0], min(run[1], first)), (max(run[0], end), run[1]))]
            runs = [(start, stop) for start, stop in runs if start < stop]
    clipped = {(first, min(end, _MOST_PAGES)) for first, end in runs}
    return sorted(FrameRun(Frame(first), Frame(end)) for first, end in clipped if first < end)


def out_of_reach(entries: tuple[MapEntry, ...]) -> int:
    """How many pages of RAM lie beyond 4 GiB, where 32-bit paging does not lead."""
    ends = (entry.end - max(entry.base, _MOST_PAGES << PAGE_SHIFT) for entry in entries if entry.type == RAM)
    return sum(max(size, 0) for size in ends) >> PAGE_SHIFT
