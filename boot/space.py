"""Where a loader may put things: RAM below 4 GiB that nothing occupies yet.

>>> from hillemu.emu.guest import FakeMemory
>>> space = Space(FakeMemory(2 << 20))
>>> space.claim(0x100000, 0x2345)
>>> hex(space.first_fit(0x10, align=0x1000, low=0x100000))
'0x103000'
>>> print(space.first_fit(0x10, align=1, low=0xA0000, high=0x100000))
None
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from hillemu.boot.memory_map import FOUR_GIB, HIGH_MEMORY_BASE, HOLE_BASE, MapEntry, MemoryKind, without
from hillemu.emu.guest import GuestMemory


class Space:
    """Free RAM as a sorted list of runs.  The hole for video memory and ROMs is never part of it.

    Nor is what `entries`, the memory map, reserve above 1 MiB: there firmware keeps its tables.
    """

    def __init__(self, memory: GuestMemory, entries: tuple[MapEntry, ...] = ()) -> None:
        reserved = sorted(
            (entry.base, entry.end)
            for entry in entries
            if entry.kind != MemoryKind.USABLE and HIGH_MEMORY_BASE <= entry.base < FOUR_GIB
        )
        holes = ((HOLE_BASE, HIGH_MEMORY_BASE), *reserved, (FOUR_GIB, 1 << 64))
        ram = without(memory.ram_ranges, holes)
        top = max((run.end for run in without(memory.ram_ranges, holes[:1] + holes[-1:])), default=0)
        self._bases: list[int] = [run.base for run in ram]
        self._ends: list[int] = [run.end for run in ram]
        self.ram_end = self._ends[-1] if ram else 0
        """The end of RAM below 4 GiB that programs may use."""
        self.kept_bytes = top - self.ram_end
        """What firmware keeps for itself above `ram_end`."""

    def is_free(self, base: int, size_bytes: int) -> bool:
        """Whether all of `size_bytes` (at least 1) at `base` is free RAM."""
        at = bisect_right(self._bases, base) - 1
        return at >= 0 and base + size_bytes <= self._ends[at]

    def claim(self, base: int, size_bytes: int) -> None:
        """Take `size_bytes` (at least 1) at `base`, which must be free."""
        assert self.is_free(base, size_bytes), f"{size_bytes:#x} bytes at {base:#x} are not free"
        at = bisect_right(self._bases, base) - 1
        old_base, old_end = self._bases[at], self._ends[at]
        runs = [(old_base, base), (base + size_bytes, old_end)]
        kept = [run for run in runs if run[0] < run[1]]
        self._bases[at : at + 1] = [run[0] for run in kept]
        self._ends[at : at + 1] = [run[1] for run in kept]

    def first_fit(self, size_bytes: int, align: int, low: int = 0, high: int = FOUR_GIB) -> int | None:
        """The lowest free address from `low` for `size_bytes` that end at or below `high`; `None` if there is none.

        `align` is a power of two.
        """
        for at in range(max(bisect_right(self._bases, low) - 1, 0), len(self._bases)):
            base = max(self._bases[at], low) + align - 1 & -align
            if base + size_bytes > high:
                return None
            if base + size_bytes <= self._ends[at]:
                return base
        return None

    def last_fit(self, size_bytes: int, align: int, low: int = 0, high: int = FOUR_GIB) -> int | None:
        """The highest free address from `low` for `size_bytes` that end at or below `high`; `None` if there is none.

        `align` is a power of two.
        """
        for at in range(bisect_left(self._bases, high) - 1, -1, -1):
            base = min(self._ends[at], high) - size_bytes & -align
            if base >= max(self._bases[at], low):
                return base
            if self._bases[at] <= low:
                return None
        return None

    def largest_run_bytes(self, low: int = 0) -> int:
        """The size of the largest free run at or above `low`."""
        return max(
            (end - max(base, low) for base, end in zip(self._bases, self._ends, strict=True) if end > low), default=0
        )
