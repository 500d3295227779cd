"""Which page goes when memory is short: page-replacement policies, one small class each.

A policy is made with the `Pages` that it may look at, and names a victim when asked.  Twenty lines are enough:

>>> class Fifo:
...     '''The page that came first goes first.'''
...     def __init__(self, pages):
...         self.pages, self.queue = pages, []
...     def added(self, frame):
...         self.queue.append(frame)
...     def victim(self):
...         while self.queue:
...             frame = self.queue.pop(0)
...             if self.pages.is_program_page(frame):
...                 return frame
...         return None

A victim need not be evictable: the kernel asks again, as often as there are frames.  What a policy remembers, it may
keep in guest memory: ``pages.words(count)`` is an array of 32-bit words there.

Source: Corbató, "A Paging Experiment with the Multics System", 1968, for the clock; Tanenbaum, "Modern Operating
Systems", "Page Replacement Algorithms" for first in, first out and for LRU, "Simulating LRU in Software" for ageing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Protocol

from hillemu.emu.i386.address import Frame
from hillemu.kernel.mm.words import Words


class Pages(Protocol):
    """What a policy sees of memory."""

    @property
    def end(self) -> int:
        """One past the last frame."""

    def is_program_page(self, frame: int) -> bool:
        """Whether `frame` is a program's page, or a cached page of a file: only such can go."""

    def was_accessed(self, frame: Frame) -> bool:
        """Whether `frame` was used since the last time this was asked; clears the A bits."""

    def is_dirty(self, frame: Frame) -> bool:
        """Whether `frame` was written to, so that evicting it costs a write."""

    def program_pages(self, first: int = 0) -> Iterator[Frame]:
        """All that can go now, ascending from `first`, then from 0 up to it; no anonymous pages if swap is full."""

    def words(self, count: int) -> Words:
        """32-bit words in guest memory for the policy's own use, zero; once, when it is made."""


class ReplacementPolicy(Protocol):
    """Names victims.  If it has a method ``added(frame)``, that hears of every page of a program that gets a frame.

    A method ``used(frame)`` hears of every use where that is known: in a simulation, and in no kernel.
    """

    def victim(self) -> Frame | None:
        """The page that should go next; None if there is none."""


PolicyFactory = Callable[[Pages], ReplacementPolicy]
"""Makes a policy; a class with ``__init__(self, pages)`` is one."""


class Fifo:
    """The page that came first goes first, however much it is used."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        self.queue: OrderedDict[Frame, None] = OrderedDict()

    def added(self, frame: Frame) -> None:
        self.queue[frame] = None
        self.queue.move_to_end(frame)

    def victim(self) -> Frame | None:
        for _ in range(len(self.queue)):
            frame, _ = self.queue.popitem(last=False)
            if self.pages.is_program_page(frame):
                self.queue[frame] = None  # if it cannot go, it waits until the others were asked
                return frame
        return None


class Clock:
    """Second chance: a hand goes round all frames, and takes the first page that was not used since it last came by."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        self.hand = pages.words(1)

    def victim(self) -> Frame | None:
        start = self.hand[0]
        for _ in range(2):  # in the second round every A bit is clear
            for frame in self.pages.program_pages(start):
                self.hand[0] = (frame + 1) % self.pages.end
                if not self.pages.was_accessed(frame):
                    return frame
            start = self.hand[0]
        return None


class Ageing:
    """Least recently used, nearly: every page has an age of 8 bits, which a use sets back; the oldest of all goes.

    Ages are brought up to date once for every `BATCH` victims.
    """

    BATCH = 16

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        self.recency: dict[Frame, int] = {}
        self.oldest: list[Frame] = []

    def victim(self) -> Frame | None:
        if not self.oldest:
            before, self.recency = self.recency, {}
            for frame in self.pages.program_pages():
                self.recency[frame] = before.get(frame, 0) >> 1 | self.pages.was_accessed(frame) << 7
            self.oldest = sorted(self.recency, key=lambda frame: (-self.recency[frame], -frame))[-self.BATCH :]
        return self.oldest.pop() if self.oldest else None


class Lru:
    """The page that was not used for longest goes first.

    Who tells it of every use, by `used`, gets just that.  A kernel hears of none, and has A bits: they are looked at
    for every victim, and by whoever calls `sample` in between.  Pages that were used since the last look are then
    younger than all others, and among themselves as old as they were.
    """

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        self.oldest_first: OrderedDict[Frame, None] = OrderedDict()
        self._hears_of_uses = False

    def added(self, frame: Frame) -> None:
        self.oldest_first[frame] = None
        self.oldest_first.move_to_end(frame)

    def used(self, frame: Frame) -> None:
        self._hears_of_uses = True
        self.oldest_first.move_to_end(frame)

    def sample(self) -> None:
        """Look at the A bits of all pages, and clear them."""
        for frame in tuple(self.oldest_first):
            if not self.pages.is_program_page(frame):
                del self.oldest_first[frame]
            elif self.pages.was_accessed(frame):
                self.oldest_first.move_to_end(frame)

    def victim(self) -> Frame | None:
        if not self._hears_of_uses:
            self.sample()
        if not self.oldest_first:
            return None
        frame = next(iter(self.oldest_first))
        self.oldest_first.move_to_end(frame)  # if it cannot go, it waits until the others were asked
        return frame
