"""How memory was used over time: samples as data, as a table, and what is suspicious in them.

Whoever has an occasion calls `look`, as often as he likes.  A sample is kept when the last one is `interval_ns` of
virtual time ago.  When there are `MOST`, every second one is dropped, and the interval doubles: a run of any length
has 32 to 64 samples, at times that are the same on every host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

MOST = 64
FIRST_INTERVAL_NS = 10_000
_GROWING = 8
"""So many samples at the end, and half of all, that only grow look like a leak."""


class Sample(NamedTuple):
    """Memory at one time; sizes in bytes."""

    now_ns: int
    """Virtual time since power-on."""
    free_pages: int
    heap_bytes: int
    used_bytes: int
    allocations: int
    largest_free: int
    fragmentation: float
    """Of the free bytes of the heap's blocks, the part outside the largest; 0 to 1."""


class Usage:
    """The samples that `take` has made; it gets the time in virtual nanoseconds."""

    def __init__(self, take: Callable[[int], Sample]) -> None:
        self._take = take
        self.samples: list[Sample] = []
        self.interval_ns = FIRST_INTERVAL_NS

    def look(self, now_ns: int) -> None:
        """Keep a sample, if it is time."""
        if not self.samples or now_ns - self.samples[-1].now_ns >= self.interval_ns:
            self.keep(now_ns)

    def keep(self, now_ns: int) -> None:
        """Keep a sample in any case: at the start and at the end."""
        if len(self.samples) >= MOST:
            del self.samples[1::2]
            self.interval_ns *= 2
        self.samples.append(self._take(now_ns))

    def table(self) -> Iterator[str]:
        """For people, a line for each sample; then what is suspicious."""
        yield "   time ms  free pages  heap bytes  used bytes  allocations  largest free  frag."
        for sample in self.samples:
            yield (
                f"{sample.now_ns / 1e6:10.3f} {sample.free_pages:11} {sample.heap_bytes:11} {sample.used_bytes:11} "
                f"{sample.allocations:12} {sample.largest_free:13} {sample.fragmentation:6.1%}"
            )
        yield from self.suspicions()

    def suspicions(self) -> list[str]:
        """What need not be wrong, as sentences: allocations that only grow."""
        run = self.samples[-1:]
        for sample in reversed(self.samples[:-1]):
            if sample.allocations >= run[-1].allocations:
                break
            run.append(sample)
        if len(run) < max(_GROWING, len(self.samples) // 2):
            return []
        first, last = run[-1], run[0]
        return [
            f"usage: allocations have only grown since {first.now_ns / 1e6:.3f} ms, from {first.allocations} to "
            f"{last.allocations} in {len(run)} samples: is something not freed?"
        ]

    def check(self, total_pages: int) -> list[str]:
        """Samples that cannot be, as sentences; none if all is well."""
        found = []
        before = 0
        for sample in self.samples:
            when = f"usage: at {sample.now_ns / 1e6:.3f} ms"
            if sample.now_ns < before:
                found.append(f"{when}: the sample before it is of {before / 1e6:.3f} ms")
            if sample.free_pages > total_pages:
                found.append(f"{when}: {sample.free_pages} pages were free, but there are {total_pages}")
            if sample.used_bytes + sample.largest_free > sample.heap_bytes:
                found.append(
                    f"{when}: {sample.used_bytes} bytes in use and a free block of {sample.largest_free} "
                    f"do not fit into a heap of {sample.heap_bytes}"
                )
            before = sample.now_ns
        return found
