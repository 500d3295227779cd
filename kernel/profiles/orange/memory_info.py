"""What the loader has found out about memory: the words at 0x8000, written by its `SaveMemInfo`.

::

    u32 count;                          how many follow, at most 32
    struct { u32 base, length; } range[count];

They are the ranges of type 1 (memory that is free to use) of INT 15h, AX=E820h, in its order, as far as they lie below
4 GiB: without PAE, nobody can map what lies above.
"""

from __future__ import annotations

from typing import NamedTuple

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PhysAddr, page_down
from hillemu.kernel.errors import InvalidParameters
from hillemu.kernel.profiles.orange.layout import MEMORY_INFO, PAGE_DIRECTORY, RESERVED_END

MAX_RANGES = 32


class MemoryRange(NamedTuple):
    """Memory that is free to use: `length` bytes at `base`."""

    base: PhysAddr
    length: int

    @property
    def end(self) -> PhysAddr:
        return PhysAddr(self.base + self.length)

    def __str__(self) -> str:
        return f"0x{self.base:08X}-0x{self.end - 1:08X}"


def read_memory_info(memory: GuestMemory, at: PhysAddr = MEMORY_INFO) -> tuple[MemoryRange, ...]:
    """The ranges at `at`; raises `InvalidParameters` if these words cannot be what a loader has written."""
    count = memory.u32(at)
    if not 0 < count <= MAX_RANGES:
        raise InvalidParameters(f"init_mm: {count} memory ranges at 0x{at:X}; the loader saves 1 to {MAX_RANGES}")
    ranges = []
    for number in range(count):
        base, length = (memory.u32(PhysAddr(at + 4 + 8 * number + word)) for word in (0, 4))
        if not length or base + length > 1 << 32:
            raise InvalidParameters(
                f"init_mm: memory range {number} at 0x{at:X}, {length:#x} bytes at {base:#x}, does not exist"
            )
        ranges.append(MemoryRange(PhysAddr(base), length))
    return tuple(ranges)


def range_with_page_tables(ranges: tuple[MemoryRange, ...]) -> MemoryRange:
    """The whole pages from the page directory on, of the range that the page tables lie in: what MM manages.

    Raises `InvalidParameters` if no range has room for tables that map 4 GiB.
    """
    end = next((one.end for one in ranges if one.base <= PAGE_DIRECTORY < one.end), PAGE_DIRECTORY)
    if end < RESERVED_END:
        raise InvalidParameters(
            f"init_mm: page tables that map 4 GiB need {RESERVED_END - PAGE_DIRECTORY >> 10} KB at "
            f"0x{PAGE_DIRECTORY:X}, where there are {end - PAGE_DIRECTORY >> 10} KB: give the machine 8 MB or more"
        )
    return MemoryRange(PAGE_DIRECTORY, page_down(end) - PAGE_DIRECTORY)
