"""Reads the memory map that a multiboot loader left in guest memory, and prints it.

::

    information structure        map entry; the next one is `size` + 4 bytes further
      0  flags (bit 6: mmap)       0  size       of the entry without this field, at least 20
      4  mem_lower, KiB            4  base       64 bits
      8  mem_upper, KiB           12  length     64 bits
     44  mmap_length, bytes       20  type       1 is RAM
     48  mmap_addr

A loader without a map (bit 6 clear) has told the two sizes; they serve then.  Entries may overlap and come in any
order: memory is usable where an entry of type 1 says so and no other entry denies it.

Source: Multiboot Specification 0.6.96, "Boot information format".
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import NamedTuple

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PAGE_MASK, PAGE_SHIFT, Frame, PhysAddr
from hillemu.emu.word import Bit, Word
from hillemu.kernel.errors import InvalidParameters
from hillemu.kernel.mm.frames import FrameRun

AVAILABLE = 1
_ENTRY_BYTES_AFTER_SIZE = 20
_MIB = 1 << 20
_ADDRESS_END = 1 << 64


class InfoFlags(Word):
    """The first word of the information structure; only what is read here."""

    memory_map = Bit(6)
    memory = Bit(0)


class MemoryRegion(NamedTuple):
    """One entry of the map."""

    base: int
    size_bytes: int
    type: int

    @property
    def end(self) -> int:
        return self.base + self.size_bytes

    def __str__(self) -> str:
        """
        >>> print(MemoryRegion(0, 0x9FC00, AVAILABLE))
        mmap: base=0x0000000000000000, length=0x000000000009FC00, type=1
        """
        return f"mmap: base=0x{self.base:016X}, length=0x{self.size_bytes:016X}, type={self.type}"


def read_memory_map(
    memory: GuestMemory, info: PhysAddr, log: Callable[[str], None], report: Callable[[str], None]
) -> tuple[MemoryRegion, ...]:
    """The map that the structure at `info` points to, printed on `log` line by line as it is read.

    Damaged entries are reported and left out.  Raises `InvalidParameters` if nothing tells where RAM is.
    """
    flags, lower_kib, upper_kib = struct.unpack("<III", memory.read(info, 12))
    if not flags & InfoFlags.memory_map.mask:
        log("mm_init: No memory map available")
        if not flags & InfoFlags.memory.mask:
            raise InvalidParameters("mm_init: the loader told neither a memory map nor how much memory there is")
        regions = [MemoryRegion(0, lower_kib << 10, AVAILABLE), MemoryRegion(_MIB, upper_kib << 10, AVAILABLE)]
        for region in regions:
            log(str(region))
    else:
        log("mm_init: Parsing multiboot memory map...")
        length, at = struct.unpack("<II", memory.read(PhysAddr(info + 44), 8))
        regions = _read_entries(memory, at, length, log, report)
    log(f"mm_init: Found {len(regions)} memory map entries")
    log(f"mm_init: total available: {available_bytes(regions) // _MIB} MB")
    if not usable_runs(regions):
        raise InvalidParameters("mm_init: the memory map has no usable page")
    return tuple(regions)


def _read_entries(
    memory: GuestMemory, at: int, length: int, log: Callable[[str], None], report: Callable[[str], None]
) -> list[MemoryRegion]:
    regions = []
    end = at + length
    while at < end:
        if end - at < 4 + _ENTRY_BYTES_AFTER_SIZE:
            report(f"mm_init: the memory map ends in the middle of the entry at {at:#x}")
            break
        size, base, size_bytes, kind = struct.unpack("<IQQI", memory.read(PhysAddr(at), 24))
        if size < _ENTRY_BYTES_AFTER_SIZE:
            report(f"mm_init: the memory map entry at {at:#x} says it has {size} bytes; it needs 20. The rest is lost")
            break
        region = MemoryRegion(base, size_bytes, kind)
        log(str(region))
        if region.end > _ADDRESS_END:
            report(f"mm_init: the memory map entry at {at:#x} reaches beyond 2**64 and is left out")
        else:
            regions.append(region)
        at += size + 4
    return regions


def available_bytes(regions: Iterable[MemoryRegion]) -> int:
    """How much memory entries of type 1 offer, as the loader counts it: overlaps count twice."""
    return sum(region.size_bytes for region in regions if region.type == AVAILABLE)


def usable_runs(regions: Iterable[MemoryRegion]) -> tuple[FrameRun, ...]:
    """Whole frames that are RAM, ascending and disjoint.

    A frame that is RAM only in part is not usable:

    >>> usable_runs([MemoryRegion(0x800, 0x2000, 1), MemoryRegion(0x1800, 0x10, 2)])
    ()
    >>> usable_runs([MemoryRegion(0, 0x3000, 1), MemoryRegion(0x3000, 0x1000, 1), MemoryRegion(0x1000, 1, 2)])
    (FrameRun(first=0, end=1), FrameRun(first=2, end=4))
    """
    regions = [region for region in regions if region.size_bytes]
    bytes_usable = merged([(region.base, region.end) for region in regions if region.type == AVAILABLE])
    denied = merged([(region.base, region.end) for region in regions if region.type != AVAILABLE])
    left = subtract(bytes_usable, denied)
    frames = ((base + PAGE_MASK >> PAGE_SHIFT, end >> PAGE_SHIFT) for base, end in left)
    return tuple(
        FrameRun(Frame(first), Frame(end)) for first, end in merged([run for run in frames if run[0] < run[1]])
    )


def merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The union of (base, end) ranges: ascending, disjoint, not adjacent.

    >>> merged([(4, 6), (0, 2), (2, 3), (5, 9)])
    [(0, 3), (4, 9)]
    """
    union: list[tuple[int, int]] = []
    for base, end in sorted(ranges):
        if union and base <= union[-1][1]:
            union[-1] = (union[-1][0], max(end, union[-1][1]))
        else:
            union.append((base, end))
    return union


def subtract(ranges: Iterable[tuple[int, int]], holes: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """What is left of ascending, disjoint `ranges` outside ascending, disjoint `holes`.

    >>> subtract([(0, 10), (20, 30)], [(2, 4), (8, 22), (40, 50)])
    [(0, 2), (4, 8), (22, 30)]
    """
    holes = list(holes)
    left = []
    for start, end in ranges:
        base = start
        for hole_base, hole_end in holes:
            if hole_end <= base:
                continue
            if hole_base >= end:
                break
            if base < hole_base:
                left.append((base, hole_base))
            base = hole_end
        if base < end:
            left.append((base, end))
    return left
