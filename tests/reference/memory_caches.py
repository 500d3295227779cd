"""Caches by the manuals: write-through (i486) and MESI (Pentium); `memory_system` tells the abbreviations."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from memory_bus import Bus, Ways
from memory_format import (
    BUFFERS_FULL,
    CACHE_EVICTION,
    CACHE_MISS,
    CD,
    CODE_DROPPED,
    NW,
    PCD,
    PWT,
    READ_AHEAD,
    UNCACHED,
    WRITE_BACK,
)


@dataclass(slots=True)
class Line:
    """One line of a cache; `state` is a letter of MESI.  A write-through cache knows valid lines only: S."""

    number: int
    state: str


class Caches:
    """The caches of `geometry`, its bus, and memory."""

    def __init__(self, geometry: dict[str, int], memory: bytearray) -> None:
        self.geometry = geometry
        self.memory = memory
        self.cr0 = self.cr3 = self.cr4 = 0
        self.now = 0
        self.counters: Counter[str] = Counter()
        line = geometry["line_bytes"]
        ways = geometry["cache_ways"]
        self.caches = {name: [Ways(ways) for _ in range(geometry[f"{name}_cache_bytes"] // line // ways)]
                       for name in ("data", "code")}  # fmt: skip
        self.bus = Bus(geometry)
        self.filling = (-1, 0)  # the line that was filled last; when it is whole
        self.outcome = self.physical = self.credit = 0
        transfers = line // geometry["bus_bytes"]
        read, write = geometry["read_bus_clocks"], geometry["write_bus_clocks"]
        burst = (transfers - 1) * geometry["burst_bus_clocks"]
        self.read_clocks = self.core(read)
        self.write_clocks = self.core(write)
        self.fill_clocks = self.core(read + burst)
        self.write_back_clocks = self.core(write + burst)

    def core(self, bus_clocks: int) -> int:
        """Processor clocks of so many bus clocks, rounded up."""
        up, down = self.geometry["multiplier_numerator"], self.geometry["multiplier_denominator"]
        return -(-bus_clocks * up // down)

    def note(self, outcome: int, counter: str) -> None:
        self.outcome |= outcome
        self.counters[counter] += 1

    def find(self, cache: str, line: int) -> tuple[Ways, int, Line] | None:
        if self.caches[cache]:
            ways = self.caches[cache][line % len(self.caches[cache])]
            for way, held in enumerate(ways.ways):
                if held is not None and held.number == line:
                    return ways, way, held
        return None

    def is_cacheable(self, physical: int, attributes: int) -> bool:
        """KEN# is inactive for devices; page-level and whole-cache disabling: P5 s2.5.4, table 2-1."""
        g = self.geometry
        outside = not g["uncached_from"] <= physical < g["uncached_to"]
        below = g["uncached_above"] == 0 or physical < g["uncached_above"]
        return outside and below and not attributes & PCD and not self.cr0 & CD

    def when_whole(self, line: int, now: int) -> int:
        """27302101 s12.3.1 rule 3: a later access to a line that is being filled waits for its end."""
        return max(now, self.filling[1]) if line == self.filling[0] else now

    def read_from_bus(self, now: int, clocks: int) -> int:
        begins, ahead = self.bus.read(now, clocks)
        if ahead:
            self.note(READ_AHEAD, "reads_ahead")
        return begins

    def take_credit(self, clocks: int) -> int:
        """What of these clocks the instruction tables do not hold."""
        taken = min(clocks, self.credit)
        self.credit -= taken
        return clocks - taken

    def transfers(self, physical: int, size: int) -> int:
        width = self.geometry["bus_bytes"]
        return (physical + size - 1) // width - physical // width + 1

    def read(self, physical: int, size: int, code: bool, attributes: int, now: int) -> int:
        cache = "code" if code and self.caches["code"] else "data"
        line = physical // self.geometry["line_bytes"]
        if self.caches[cache]:
            found = self.find(cache, line)
            if found:
                found[0].used(found[1])
                return self.when_whole(line, now)
            self.note(CACHE_MISS, f"{cache}_cache_misses")
            if cache == "code":
                self.drop_data(line, now)  # P5 s6.5.3 case 1
            else:
                self.drop_code(line)  # case 2
            if self.is_cacheable(physical, attributes):
                return self.fill(cache, line, attributes, now) + self.geometry["miss_clocks"]
        self.note(UNCACHED, "uncached")
        clocks = self.transfers(physical, size) * self.read_clocks
        begins = self.read_from_bus(now, clocks)
        return begins + self.take_credit(clocks) + self.geometry["miss_clocks"]

    def fill(self, cache: str, line: int, attributes: int, now: int) -> int:
        """When the first transfer is there; the processor goes on with it.  Source: HRM486 ch. 9; P5 s2.6.3."""
        begins = self.read_from_bus(now, self.fill_clocks)
        ends = begins + self.fill_clocks
        ways = self.caches[cache][line % len(self.caches[cache])]
        way = ways.room()
        if ways.ways[way] is not None:
            self.note(CACHE_EVICTION, "cache_evictions")
            if ways.ways[way].state == "M":
                self.write_back(ends)  # P5 s2.6.3: when the fill is complete
        shared = cache == "code" or not self.geometry["write_back"] or attributes & PWT
        ways.ways[way] = Line(line, "S" if shared else "E")
        ways.used(way)
        self.filling = (line, ends)
        return begins + self.read_clocks

    def write_back(self, now: int) -> None:
        self.note(WRITE_BACK, "write_backs")
        self.bus.in_order(now, self.write_back_clocks)

    def drop_data(self, line: int, now: int) -> None:
        """An internal snoop of the data cache: written back if modified, then invalid."""
        found = self.find("data", line)
        if found:
            if found[2].state == "M":
                self.write_back(now)
            found[0].ways[found[1]] = None

    def drop_code(self, line: int) -> None:
        found = self.find("code", line)
        if found:
            found[0].ways[found[1]] = None
            self.note(CODE_DROPPED, "code_dropped")

    def write(self, physical: int, size: int, attributes: int, now: int) -> int:
        """HRM486 p. 3-12: written through, nothing allocated.  P5 table 2-1: S is written through, E becomes M."""
        line = physical // self.geometry["line_bytes"]
        found = self.find("data", line)
        if not found:
            if self.caches["data"]:
                self.note(CACHE_MISS, "write_misses")
            self.drop_code(line)
            return self.write_through(physical, size, False, now)
        ways, way, held = found
        ways.used(way)
        now = self.when_whole(line, now)
        if held.state in "EM":
            held.state = "M"
            return now
        self.drop_code(line)
        if self.cr0 & NW:
            return now
        if self.geometry["write_back"] and not attributes & PWT:
            held.state = "E"
        return self.write_through(physical, size, True, now)

    def write_through(self, physical: int, size: int, is_hit: bool, now: int) -> int:
        for _ in range(self.transfers(physical, size)):
            begins = self.bus.write(now, self.write_clocks, is_hit)
            if begins > now:
                self.outcome |= BUFFERS_FULL
                self.counters["buffer_clocks"] += begins - now
            now = begins
            self.counters["bus_writes"] += 1
        return now

    def locked(self, physical: int, size: int, writes: bool, now: int) -> int:
        """On the bus, behind everything before it; the line ends invalid.  Source: P5 s3.4.3.4.1, s6.4.3."""
        line = physical // self.geometry["line_bytes"]
        if self.geometry["write_back"]:
            self.drop_data(line, now)
        self.drop_code(line)
        clocks = self.transfers(physical, size) * (self.write_clocks if writes else self.read_clocks)
        return self.bus.in_order(now, clocks) - clocks + self.take_credit(clocks)

    def flush_cache(self, write_back: bool) -> None:
        """WBINVD waits until all that was modified is written; INVD forgets it.  Source: P5 s2.5.3."""
        for cache in self.caches.values():
            for ways in cache:
                for held in ways.ways:
                    if held is not None and held.state == "M" and write_back:
                        self.note(WRITE_BACK, "write_backs")
                        self.now = self.bus.in_order(self.now, self.write_back_clocks)
                ways.ways = [None] * len(ways.ways)

    def snoop(self, physical: int, size: int, writes: bool) -> None:
        """A device reads or writes memory.  Source: P5 s6.5.1; table 2-1: inhibited by CR0.NW."""
        width = self.geometry["line_bytes"]
        if self.cr0 & NW:
            return
        for line in range(physical // width, (physical + size - 1) // width + 1):
            for name in self.caches:
                found = self.find(name, line)
                if found:
                    self.counters["snooped_lines"] += 1
                    if found[2].state == "M":
                        self.write_back(self.now)
                    found[2].state = "S"
                    if writes:
                        found[0].ways[found[1]] = None

    def load(self, at: int) -> int:
        """4 bytes of a page table; beyond memory nothing is present."""
        return int.from_bytes(self.memory[at : at + 4], "little") if at + 4 <= len(self.memory) else 0

    def store(self, at: int, value: int) -> None:
        if at + 4 <= len(self.memory):
            self.memory[at : at + 4] = value.to_bytes(4, "little")

    def lines(self) -> list[tuple[str, int, int, int, str]]:
        """What is in the caches: (cache, set, way, physical address, state)."""
        return [(name, number, way, held.number * self.geometry["line_bytes"], held.state)
                for name, cache in self.caches.items() for number, ways in enumerate(cache)
                for way, held in enumerate(ways.ways) if held is not None]  # fmt: skip
