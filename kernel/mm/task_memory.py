"""The record of a program's memory, one for each address space, in guest memory.

The first five members are the seed's ``task_t.memory``: where the heap starts, where its last page ends, where it must
end, where `mmap` goes on, and the break to the byte.
"""

from __future__ import annotations

from hillemu.kernel.mm.structure import Structure

TASK_MEMORY = Structure(
    "task_memory",
    "u32 heap_start",
    "u32 heap_end",
    "u32 heap_max",
    "u32 mmap_cursor",
    "u32 brk",
    "u32 page_directory",
    "u32 id",
    "u32 resident",
    "u32 swapped",
    "u32 faults",
    "u32 areas",
    "u32 area_count",
    "u32 area_capacity",
)
"""`page_directory` is the program's CR3; `resident` and `swapped` count pages; `areas` is the virtual address of
``u32 starts[area_capacity]``, ascending, and behind it ``struct vm_area *area[area_capacity]``."""
(
    HEAP_START, HEAP_END, HEAP_MAX, MMAP_CURSOR, BRK, PAGE_DIRECTORY, ID, RESIDENT, SWAPPED, FAULTS,
    AREAS, AREA_COUNT, AREA_CAPACITY,
) = range(13)  # fmt: skip
MEMBERS = tuple(TASK_MEMORY.members)
LARGEST_ID = 0xFFF
"""An id has 12 bits: with a page's number it fits into the `info` of a frame."""
