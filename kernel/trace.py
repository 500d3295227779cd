"""Allocation traces: read from text, replayed through a kernel's kmalloc, and judged.

A trace has one operation a line; empty lines and what follows ``#`` say nothing::

    a 1 128      allocate 128 bytes, and call the allocation 1
    r 1 300      reallocate it
    f 1          free it

>>> operations = parse(["a 1 128  # a task", "r 1 300", "f 1"], "example")
>>> operations[1]
Operation(line=2, kind='r', name=1, size=300)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from hillemu.emu.errors import UserMistake
from hillemu.emu.i386.address import VirtAddr

_FIELDS = {"a": 3, "r": 3, "f": 2}
_SAMPLES = 64
LARGEST_SIZE = 0xFFFFFFFF


class TraceError(UserMistake):
    """A trace that cannot be replayed; the message is ``file:line: fault``."""


class Operation(NamedTuple):
    """One line; `size` is 0 for a free."""

    line: int
    kind: str
    name: int
    size: int


class Replayed(Protocol):
    """What a trace is replayed through: a kernel's `kmalloc` with its relatives, and figures of it."""

    def kmalloc(self, size: int, caller: int = 0) -> VirtAddr: ...

    def kfree(self, at: VirtAddr, caller: int = 0) -> bool: ...

    def krealloc(self, at: VirtAddr, size: int, caller: int = 0) -> VirtAddr: ...

    def ksize(self, at: VirtAddr) -> int:
        """How many bytes the allocation at `at` has; 0 if there is none."""

    def held_bytes(self) -> int:
        """What it has taken from memory, for whatever."""

    def fragmentation(self) -> float:
        """Of the free bytes that it could give out at once, the part outside the largest run; 0 if there are none."""


class Replay(NamedTuple):
    """What came out of it."""

    operations: int
    failures: int
    """Requests that got NULL; what they name is skipped until it is allocated again."""
    seconds: float
    peak_live_bytes: int
    """The most that the trace has asked for and not freed, at one time."""
    peak_held_bytes: int
    """The most that was held at one time, as far as was looked: at the peak, and at 64 more places."""
    left_bytes: int
    """What the trace did not free."""
    fragmentation: float
    """Of the free bytes, the part outside the largest free run: the worst of where was looked."""

    @property
    def per_second(self) -> float:
        return self.operations / self.seconds if self.seconds > 0 else 0.0

    @property
    def utilisation(self) -> float:
        """Peak of what was asked for, of the peak of what was held for it."""
        return self.peak_live_bytes / self.peak_held_bytes if self.peak_held_bytes else 1.0

    def lines(self) -> list[str]:
        """For people."""
        failed = f" ({self.failures} failed)" if self.failures else ""
        return [
            f"operations:     {self.operations}{failed}",
            f"throughput:     {self.per_second:,.0f} operations/s",
            f"peak:           {self.peak_live_bytes:,} bytes in use, {self.peak_held_bytes:,} bytes held",
            f"utilisation:    {self.utilisation:.1%}",
            f"fragmentation:  {self.fragmentation:.1%} of the free bytes outside the largest free run, at worst",
            f"not freed:      {self.left_bytes:,} bytes",
        ]


def parse(lines: Iterable[str], path: str) -> list[Operation]:
    """Read a trace.  Raises `TraceError` for the first line that makes no sense."""
    operations: list[Operation] = []
    alive: set[int] = set()
    for number, text in enumerate(lines, 1):
        fields = text.partition("#")[0].split()
        if not fields:
            continue

        def wrong(fault: str, number: int = number) -> TraceError:
            return TraceError(f"{path}:{number}: {fault}")

        kind = fields[0]
        if kind not in _FIELDS:
            raise wrong(f"{kind!r} is no operation: it must be a (allocate), r (reallocate) or f (free)")
        if len(fields) != _FIELDS[kind]:
            needs = "an identifier" if kind == "f" else "an identifier and a size"
            raise wrong(f"{kind} needs {needs}, and has {len(fields) - 1} values")
        if not all(field.isascii() and field.isdigit() and len(field) <= 10 for field in fields[1:]):
            raise wrong(f"{' '.join(fields[1:])!r}: numbers must be decimal, without a sign, of at most ten digits")
        name, size = int(fields[1]), int(fields[2]) if kind != "f" else 0
        if size > LARGEST_SIZE:
            raise wrong(f"{size} bytes are more than a 32-bit kernel can ask for")
        if kind == "a" and name in alive:
            raise wrong(f"{name} is allocated already")
        if kind != "a" and name not in alive:
            raise wrong(f"{name} is not allocated")
        if kind == "f" or (kind == "r" and not size):
            alive.discard(name)
        else:
            alive.add(name)
        operations.append(Operation(number, kind, name, size))
    return operations


def replay(operations: list[Operation], allocator: Replayed, now: Callable[[], float]) -> Replay:
    """Do the operations, and judge; `now` is a clock in seconds.

    The caller of each allocation is its line, for leak reports.  What the trace does not free stays allocated.
    """
    peak_live, peak_at = _peak(operations)
    every = max(1, len(operations) // _SAMPLES)
    stops = sorted({*range(every, len(operations), every), peak_at, len(operations)})
    addresses: dict[int, VirtAddr] = {}
    seconds, fragmentation = 0.0, 0.0
    failures = held = start = 0
    for stop in stops:
        started = now()
        failures += _run(operations[start:stop], allocator, addresses)
        seconds += now() - started
        held = max(held, allocator.held_bytes())
        fragmentation = max(fragmentation, allocator.fragmentation())
        start = stop
    left = sum(allocator.ksize(at) for at in addresses.values())
    return Replay(len(operations), failures, seconds, peak_live, held, left, fragmentation)


def _run(operations: list[Operation], allocator: Replayed, addresses: dict[int, VirtAddr]) -> int:
    failures = 0
    for line, kind, name, size in operations:
        if kind == "a":
            at = allocator.kmalloc(size, line)
        elif name not in addresses:
            continue
        elif kind == "f":
            allocator.kfree(addresses.pop(name), line)
            continue
        else:
            at = allocator.krealloc(addresses[name], size, line)
            if not at and size:  # what was there is there still
                failures += 1
                continue
        if at:
            addresses[name] = at
        else:
            failures += bool(size)
            addresses.pop(name, None)
    return failures


def _peak(operations: list[Operation]) -> tuple[int, int]:
    """The most live bytes, and after how many operations they are reached first."""
    sizes: dict[int, int] = {}
    live = peak = at = 0
    for number, (_, _, name, size) in enumerate(operations, 1):
        live += size - sizes.get(name, 0)
        sizes[name] = size
        if live > peak:
            peak, at = live, number
    return peak, at
