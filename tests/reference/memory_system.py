"""The memory systems of the i386, i486 and Pentium, told from the manuals: clear rather than quick.

This is the oracle for the native model (``emu/cpu/native/memory_model.h``), and shares no code with it.  It has no
filter, no keys and no packed state: a set is a list of ways, the bus is a list of writes that have not ended.

Clocks are the processor's.  Sources stand where the rule is used; the abbreviations are:

- *HRM486*: Embedded Intel486 Processor Hardware Reference Manual, 273025
- *P5*: Pentium Processor Family Developer's Manual, 241428-005
- *PRM386*: 80386 Programmer's Reference Manual 1986
- *SDM*: Intel Software Developer's Manual, Vol. 3A
"""

from __future__ import annotations

from memory_format import (
    DRAIN,
    FETCH,
    FLUSH_CACHE,
    INVLPG,
    LOCKED,
    MISALIGNED,
    RECORD,
    RESULT,
    SNOOP,
    SPLIT,
    STORE,
    USER,
    WRITE,
)
from memory_translation import Translating


class MemorySystem(Translating):
    """A memory system with `geometry`; page tables are in `memory`, where A and D bits are set."""

    # ---- traces -------------------------------------------------------------------------------------------------

    def run(self, trace: bytes) -> bytes:
        """Every record's result."""
        return b"".join(RESULT.pack(*self.step(*record)) for record in RECORD.iter_unpack(trace))

    def step(self, op: int, size: int, flags: int, _: int, address: int, value: int, clocks: int) -> tuple[int, ...]:
        self.now += clocks
        self.outcome = self.physical = 0
        before = self.now
        if op <= FETCH:
            self.counters[("reads", "writes", "fetches")[op]] += 1
            self.now = self.access(address, size, op, flags)
        elif op == STORE:
            self.store(address, value)
        elif op == INVLPG:
            self.invlpg(address)
        elif op == FLUSH_CACHE:
            self.flush_cache(bool(flags & 1))
        elif op == SNOOP:
            self.snoop(address, value, bool(flags & 1))
        elif op == DRAIN:  # I/O waits for the buffered writes.  Source: HRM486, p. 3-10; P5 s2.6.
            self.now = max(self.now, self.bus.free_at)
        else:
            self.control(op, value)
        waited = self.now - before
        self.counters["stall_clocks"] += waited
        return waited, self.outcome, self.physical

    # ---- accesses -----------------------------------------------------------------------------------------------

    def access(self, linear: int, size: int, kind: int, flags: int) -> int:
        now = self.now
        if kind != FETCH and self.is_misaligned(linear, size):
            self.note(MISALIGNED, "misaligned")
            now += self.geometry["misaligned_clocks"]
        # Without a cache an operand is one read or write, of as many bus cycles as it touches dwords.
        line = self.geometry["line_bytes"] if kind == FETCH or self.caches["data"] else 4096
        parts = [(linear, size)]
        if linear // line != (linear + size - 1) // line:
            first = line - linear % line
            parts = [(linear, first), ((linear + first) & 0xFFFFFFFF, size - first)]
        places: list[tuple[int, int]] = []
        for at, _ in parts:
            if places and at >> 12 == linear >> 12:
                places.append((places[0][0] + at - linear, places[0][1]))
            else:
                now, place = self.translate(at, kind, bool(flags & USER), now)
                if place is None:
                    return now
                places.append(place)
            if len(places) == 1:
                self.physical = places[0][0]
                if len(parts) == 2:
                    self.note(SPLIT, "splits")
        # PRM386 s17.2.2.3: the tables hold the bus cycles of aligned operands without wait states.
        self.credit = self.core(self.geometry["table_bus_clocks"]) * ((size + 3) // 4)
        if flags & LOCKED:
            self.counters["locked"] += 1
        for (_, bytes_), (physical, attributes) in zip(parts, places, strict=True):
            if flags & LOCKED:
                now = self.locked(physical, bytes_, kind == WRITE, now)
            elif kind == WRITE:
                now = self.write(physical, bytes_, attributes, now)
            else:
                now = self.read(physical, bytes_, kind == FETCH, attributes, now)
        return now

    def is_misaligned(self, linear: int, size: int) -> bool:
        """Source: AP-500 v2.2, "Alignment": 2 bytes within a dword, 4 at a dword, 8 at a quadword."""
        if size <= 4:
            return linear % 4 + size > 4
        return linear % min(8, max(4, self.geometry["bus_bytes"])) != 0
