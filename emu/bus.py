"""Address spaces made of ranges: I/O ports and memory-mapped I/O are the same kind of table.

>>> class Latch:
...     value = 0
...     def read(self, offset: int, size: int) -> int: return self.value
...     def write(self, offset: int, size: int, value: int) -> None: self.value = value
>>> ports = Bus("port", limit=0x10000)
>>> ports.attach(0x80, 1, Latch(), name="post")
>>> ports.write(0x80, 1, 0xAA); hex(ports.read(0x80, 1))
'0xaa'
>>> ports.attach(0x80, 4, Latch(), name="dma page")
Traceback (most recent call last):
...
hillemu.emu.errors.BusConflict: port 0x80-0x83 (dma page) overlaps port 0x80-0x80 (post)

Nobody's addresses are open bus: reads give all ones, writes vanish, and both are counted per address
(`Bus.unhandled`), so that a guest which needs a missing device can be told so.  Guests clear memory that is not there,
so where a whole unit of addresses is nobody's (`Bus.silent`), the processor answers and counts in the bus's place.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple, Protocol

from hillemu.emu.errors import BusConflict

MOST_WAYS = 4096


def _nothing_to_settle() -> None:
    """Nobody counts but the bus."""


class BusDevice(Protocol):
    """A chip as the bus sees it.  Offsets count from the start of the attached range; sizes are 1, 2 or 4 bytes.

    A chip attached with `width=1` (the 8-bit ISA chips) only ever sees `size` 1: the bus splits wider accesses, low
    address first, as the ISA bus does.
    """

    def read(self, offset: int, size: int) -> int: ...

    def write(self, offset: int, size: int, value: int) -> None: ...


class PeekableDevice(BusDevice, Protocol):
    """A chip whose registers can be looked at without side effects."""

    def peek(self, offset: int, size: int) -> int: ...


class DataWindow(Protocol):
    """Lets a data port's items be moved without calling the device, where moving one has no effect but the next.

    While a window is open, accesses of `size` bytes to its port read (or, with `output`, write) `buffer` from `start`
    up to, not including, `end`; every other access, and what comes at `end`, calls the device as always.  A device
    closes the window first in whatever it does, and learns from the answer how far the guest got.
    """

    def open(self, buffer: bytearray | memoryview, start: int, end: int, *, size: int, output: bool) -> None: ...

    def close(self) -> int | None:
        """Close the window; the offset of the next item, or `None` where none was open."""


class StillWord(Protocol):
    """Lets a memory-mapped word be read without calling the device, where reading it has no effect."""

    def show(self, at: int | None, value: int) -> None:
        """From now on aligned 32-bit reads of address `at` give `value`; `None`: all reads call the device."""


class NoWindow:
    """A machine that has none: every access calls the device."""

    def open(self, buffer: bytearray | memoryview, start: int, end: int, *, size: int, output: bool) -> None: ...

    def close(self) -> int | None:
        return None


class Range(NamedTuple):
    """One attached device: `base` up to, not including, `end`."""

    base: int
    end: int
    device: BusDevice
    name: str
    width: int


class Unhandled(NamedTuple):
    """Accesses that no device answered, by address."""

    reads: Counter[int]
    writes: Counter[int]


class Bus:
    """A table of address ranges and the devices behind them."""

    def __init__(self, kind: str, limit: int, *, count_unit: int = 1) -> None:
        """`limit` ends the address space; open-bus accesses are counted per `count_unit` addresses."""
        self.kind = kind
        self.limit = limit
        self.count_unit = count_unit
        self._unhandled = Unhandled(Counter(), Counter())
        self.settle: Callable[[], None] = _nothing_to_settle
        """Has who counts in the bus's place bring `unhandled` up to date, and look at `silent` again."""
        self.silent: set[int] = set()
        """Where units begin that were accessed, and in which no device is."""
        self._bases: list[int] = []
        self._ranges: list[Range] = []
        self._ways: dict[int, tuple[BusDevice, int]] = {}
        """Device and offset of accesses that have been made, by address and size: guests poll."""

    def attach(self, base: int, count: int, device: BusDevice, *, name: str = "", width: int = 1) -> None:
        """Put `device` at `base` up to `base + count`; `width` is the widest access in bytes that it understands.

        Raises `BusConflict` naming both owners when the range overlaps another, or leaves the address space.
        """
        new = Range(base, base + count, device, name or type(device).__name__, width)
        if count <= 0 or base < 0 or new.end > self.limit:
            raise BusConflict(f"{self._describe(new)} does not fit into {self.kind} space (limit {self.limit:#x})")
        at = bisect_right(self._bases, base)
        for other in self._ranges[max(at - 1, 0) : at + 1]:
            if other.base < new.end and base < other.end:
                raise BusConflict(f"{self._describe(new)} overlaps {self._describe(other)}")
        self._bases.insert(at, base)
        self._ranges.insert(at, new)
        self._forget_ways()

    def detach(self, base: int) -> Range:
        """Take away what was attached at `base`, and return it; `KeyError` if no range starts there."""
        at = bisect_right(self._bases, base) - 1
        if at < 0 or self._bases[at] != base:
            raise KeyError(f"no device is attached at {self.kind} {base:#x}")
        del self._bases[at]
        self._forget_ways()
        return self._ranges.pop(at)

    @property
    def unhandled(self) -> Unhandled:
        """Accesses that no device answered so far; the same counters each time."""
        self.settle()
        return self._unhandled

    def _describe(self, item: Range) -> str:
        return f"{self.kind} {item.base:#x}-{item.end - 1:#x} ({item.name})"

    @property
    def ranges(self) -> tuple[Range, ...]:
        """All attached ranges in ascending order of address."""
        return tuple(self._ranges)

    def find(self, address: int) -> Range | None:
        """Return the range that `address` falls into, or `None` for open bus."""
        at = bisect_right(self._bases, address) - 1
        if at >= 0 and address < (found := self._ranges[at]).end:
            return found
        return None

    def read(self, address: int, size: int) -> int:
        """Read `size` bytes as the processor would, little-endian."""
        way = self._ways.get(address << 3 | size)
        if way is not None:
            device, offset = way
            return device.read(offset, size)
        found = self.find(address)
        if found is None:
            self._count(self._unhandled.reads, address)
            return (1 << 8 * size) - 1
        if size <= found.width and address + size <= found.end:
            self._remember(address, size, found)
            return found.device.read(address - found.base, size)
        half = size // 2 if size > 1 else 1
        low = self.read(address, half)
        return low | self.read(address + half, size - half) << 8 * half

    def write(self, address: int, size: int, value: int) -> None:
        """Write `size` bytes as the processor would, little-endian."""
        way = self._ways.get(address << 3 | size)
        if way is not None:
            device, offset = way
            device.write(offset, size, value)
            return
        found = self.find(address)
        if found is None:
            self._count(self._unhandled.writes, address)
            return
        if size <= found.width and address + size <= found.end:
            self._remember(address, size, found)
            found.device.write(address - found.base, size, value)
            return
        half = size // 2 if size > 1 else 1
        self.write(address, half, value & (1 << 8 * half) - 1)
        self.write(address + half, size - half, value >> 8 * half)

    def _count(self, counts: Counter[int], address: int) -> None:
        unit = address - address % self.count_unit
        counts[unit] += 1
        if unit not in self.silent and self._is_free(unit, unit + self.count_unit):
            if len(self.silent) == MOST_WAYS:
                self.silent.clear()
            self.silent.add(unit)

    def _is_free(self, start: int, end: int) -> bool:
        last = bisect_right(self._bases, end - 1) - 1
        return last < 0 or self._ranges[last].end <= start

    def _forget_ways(self) -> None:
        self._ways.clear()
        self.silent.clear()
        self.settle()

    def _remember(self, address: int, size: int, found: Range) -> None:
        if len(self._ways) == MOST_WAYS:
            self._ways.clear()
        self._ways[address << 3 | size] = (found.device, address - found.base)

    def peek(self, address: int, size: int) -> int | None:
        """Look without side effects; `None` where the device cannot be looked at, or nobody is there."""
        found = self.find(address)
        peek = getattr(found.device, "peek", None) if found else None
        if found is None or peek is None:
            return None
        value: int = peek(address - found.base, size)
        return value
