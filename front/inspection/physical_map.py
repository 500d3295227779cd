"""Who answers in physical memory: RAM, ROM, video memory, devices, or nobody."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from hillemu.emu.bus import Bus
from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import page_down, page_up
from hillemu.emu.memory import VIDEO_BASE, WINDOW_BYTES, PhysicalMemory

_VIDEO_END = VIDEO_BASE + 2 * WINDOW_BYTES
_RAM, _ROM, _VIDEO = "RAM", "ROM", "video memory"


class Place(NamedTuple):
    """Physical `base` up to, not including, `end`: ``RAM``, ``ROM``, ``video memory`` or a device by its name."""

    base: int
    end: int
    name: str

    def __str__(self) -> str:
        return f"0x{self.base:09X}-0x{self.end - 1:09X} {self.name}"


class PhysicalMap:
    """Places that do not overlap, in ascending order; between them nobody answers."""

    def __init__(self, places: Iterable[Place]) -> None:
        self.places = tuple(sorted(places))
        self._bases = [place.base for place in self.places]

    @classmethod
    def of_machine(cls, memory: PhysicalMemory, devices: Bus) -> PhysicalMap:
        """The map as it is now: base address registers move it.  Memory answers before devices."""
        places = [Place(area.base, area.end, _name(memory, area.base, area.buffer)) for area in memory.areas]
        for item in devices.ranges:
            # A device that answers in a part of a frame owns the frame: nothing else can be mapped there.
            places += _not_covered(Place(page_down(item.base), page_up(item.end), item.name), places)
        return cls(places)

    @classmethod
    def of_ram(cls, memory: GuestMemory) -> PhysicalMap:
        """A machine of which only the RAM is known."""
        return cls(Place(start, end, _RAM) for start, end in memory.ram_ranges)

    def find(self, at: int) -> Place | None:
        """Who answers at physical `at`; `None`: nobody."""
        index = bisect_right(self._bases, at) - 1
        return self.places[index] if index >= 0 and at < self.places[index].end else None

    def is_ram(self, at: int) -> bool:
        """Whether `at` is in RAM."""
        place = self.find(at)
        return place is not None and place.name == _RAM

    def somebody_in(self, base: int, end: int) -> bool:
        """Whether somebody answers at one of the addresses from `base` up to `end`."""
        index = bisect_left(self._bases, end) - 1
        return index >= 0 and self.places[index].end > base

    def gaps(self, base: int, end: int) -> Iterator[tuple[int, int]]:
        """The parts of `base` up to `end` where nobody answers."""
        at = base
        for place in self.places[max(bisect_right(self._bases, base) - 1, 0) :]:
            if place.base >= end:
                break
            if place.base > at:
                yield at, place.base
            at = max(at, place.end)
        if at < end:
            yield at, end


def _name(memory: PhysicalMemory, base: int, buffer: memoryview) -> str:
    if VIDEO_BASE <= base < _VIDEO_END or buffer is memory.video_ram:
        return _VIDEO
    return _RAM if buffer is memory.ram else _ROM


def _not_covered(place: Place, others: list[Place]) -> list[Place]:
    """The parts of `place` that lie in none of `others`."""
    return [Place(base, end, place.name) for base, end in PhysicalMap(others).gaps(place.base, place.end)]
