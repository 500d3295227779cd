"""What has happened to memory, counted, by the names of Linux's /proc/vmstat.

In guest memory: ``u32 vmstat[]``, in the order of `Event`.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from hillemu.emu.i386.address import VirtAddr
from hillemu.kernel.mm.direct_map import DirectMap


class Event(IntEnum):
    """The events; the names are printed in lower case."""

    PGFAULT = 0
    """Page faults that were resolved, of every kind."""
    PGMAJFAULT = 1
    """Those that had to read a page from swap or from a file."""
    PGZERO_FAULT = 2
    """Those that gave a page of zeros: demand paging."""
    PGCOW = 3
    """Those that made a private copy of a shared page."""
    PSWPIN = 4
    PSWPOUT = 5
    PGSCAN_DIRECT = 6
    """Pages that reclaim has looked at; it works for whoever needs a frame, never in the background."""
    PGSTEAL_DIRECT = 7
    """Pages that reclaim has taken."""
    PAGE_CACHE_HIT = 8
    PAGE_CACHE_MISS = 9
    SEGV = 10
    """Faults that killed a program."""
    OOM_KILL = 11


class Counters:
    """Counts modulo 2**32; `words[Event.PGFAULT] += 1` is the short way for inner loops."""

    SIZE_BYTES = 4 * len(Event)

    def __init__(self, direct: DirectMap, at: VirtAddr) -> None:
        self.at = at
        self.words = direct.u32_array(at, len(Event))

    def count(self, event: int, by: int = 1) -> None:
        words = self.words
        words[event] = words[event] + by & 0xFFFFFFFF

    def __getitem__(self, event: Event) -> int:
        return self.words[event]

    def items(self) -> Iterator[tuple[str, int]]:
        """Names, as /proc/vmstat prints them, and values."""
        return ((event.name.lower(), self.words[event]) for event in Event)
