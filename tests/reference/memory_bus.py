"""The bus and its write buffers; ways and their replacement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class Ways:
    """One set of a cache or TLB, with the bits that choose what to replace.

    Four ways have a tree: B0 says which pair was used last (1: ways 0 and 1), B1 which of ways 0 and 1, B2 which of
    ways 2 and 3; the other pair's other way makes room.  Two ways have one bit: the way that makes room.

    Source: HRM486 s3.3.3; P5 s2.5.1, table 16-3.
    """

    def __init__(self, count: int) -> None:
        self.ways: list[Any] = [None] * count
        self.b0 = self.b1 = self.b2 = 0
        self.next = 0

    def used(self, way: int) -> None:
        if len(self.ways) == 4:
            self.b0 = int(way in (0, 1))
            if way in (0, 1):
                self.b1 = int(way == 0)
            else:
                self.b2 = int(way == 2)
        else:
            self.next = len(self.ways) - 1 - way

    def room(self) -> int:
        """The way to fill: the first that is empty, else the one that was not used for longest."""
        if None in self.ways:
            return self.ways.index(None)
        if len(self.ways) == 4:
            if self.b0 == 0:
                return 0 if self.b1 == 0 else 1
            return 2 if self.b2 == 0 else 3
        return self.next


@dataclass(slots=True)
class BufferedWrite:
    begins: int
    ends: int
    is_hit: bool


class Bus:
    """One cycle at a time, and writes that wait for theirs.

    Source: HRM486, "Write Buffers": four; a read goes ahead of them if all are hits, and then they count as misses.
    P5 s2.6: two; nothing goes ahead.  Decision: the i386's bus unit holds one write.
    """

    def __init__(self, geometry: dict[str, int]) -> None:
        self.buffers = geometry["write_buffers"]
        self.may_pass = bool(geometry["reads_pass_writes"])
        self.free_at = 0
        self.writes: list[BufferedWrite] = []

    def read(self, now: int, clocks: int) -> tuple[int, bool]:
        """When a read of so many clocks begins, and whether it goes ahead of writes."""
        self.writes = [write for write in self.writes if write.ends > now]
        waiting = [write for write in self.writes if write.begins > now]
        if self.may_pass and waiting and all(write.is_hit for write in self.writes):
            begins = waiting[0].begins
            for write in waiting:
                write.begins += clocks
                write.ends += clocks
            for write in self.writes:
                write.is_hit = False
            self.free_at += clocks
            return begins, True
        begins = max(now, self.free_at)
        self.free_at = begins + clocks
        return begins, False

    def in_order(self, now: int, clocks: int) -> int:
        """When a cycle ends that waits for all before it."""
        self.free_at = max(now, self.free_at) + clocks
        return self.free_at

    def write(self, now: int, clocks: int, is_hit: bool) -> int:
        """When the processor goes on: at once if there is a buffer."""
        self.writes = [write for write in self.writes if write.ends > now]
        if len(self.writes) == self.buffers:
            now = self.writes.pop(0).ends
        self.free_at = max(now, self.free_at) + clocks
        self.writes.append(BufferedWrite(self.free_at - clocks, self.free_at, is_hit))
        return now
