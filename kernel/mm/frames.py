"""Frames in, frames out: the small protocol between allocators of page frames and those who use them.

Whoever gives out frames is a `FrameAllocator`; a class of some twenty lines is enough:

>>> from hillemu.emu.i386.address import Frame
>>> class Stack:
...     '''The frame that was freed last is handed out next; single frames only.'''
...     def __init__(self, zone: Zone) -> None:
...         self.stack = [frame for run in zone.runs() for frame in run.frames()]
...     @property
...     def free_frames(self) -> int:
...         return len(self.stack)
...     def alloc(self, order: int = 0, /) -> Frame | OutOfMemory:
...         if order > 0 or not self.stack:
...             return OutOfMemory(order, len(self.stack))
...         return self.stack.pop()
...     def free(self, frame: Frame, order: int = 0, /) -> None:
...         self.stack.append(frame)

An allocator need not distrust its callers: `hillemu.kernel.mm.pmm.Pmm` stands before it, keeps its own record of every
frame, refuses bad frees, and notices when an allocator hands out what it does not have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, final

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import Frame, PhysAddr

MAX_ORDER = 10
"""The largest block is 2**10 frames, 4 MiB."""


class FrameRun(NamedTuple):
    """Frames `first` up to, not including, `end`."""

    first: Frame
    end: Frame

    def __len__(self) -> int:
        return self.end - self.first

    def frames(self) -> range:
        """Every frame of the run, in ascending order."""
        return range(self.first, self.end)


@final
class OutOfMemory(NamedTuple):
    """What `alloc` returns when it has no block of `2**order` frames; `free_frames` may be more, but scattered."""

    order: int
    free_frames: int

    def __str__(self) -> str:
        return f"no block of {1 << self.order} frames (order {self.order}); {self.free_frames} frames are free"


class AllocFrames(Protocol):
    """Take a block of `2**order` frames that starts at a multiple of its size; all of it or nothing."""

    def __call__(self, order: int = 0, /) -> Frame | OutOfMemory: ...


class FreeFrames(Protocol):
    """Give back a block that `alloc(order)` returned."""

    def __call__(self, frame: Frame, order: int = 0, /) -> None: ...


class FrameAllocator(Protocol):
    """Gives out the frames of one zone and takes them back.

    It may also have ``check() -> list[str]``, which `Pmm.check` then calls: contradictions in its own structures.
    """

    @property
    def free_frames(self) -> int:
        """How many frames are free now."""

    @property
    def alloc(self) -> AllocFrames: ...

    @property
    def free(self) -> FreeFrames: ...


class Zone(Protocol):
    """What an allocator is born with: the frames that it shall manage, and a place for its structures."""

    @property
    def name(self) -> str:
        """``Normal`` (in the direct map) or ``HighMem``."""

    @property
    def first(self) -> Frame: ...

    @property
    def end(self) -> Frame:
        """One past the last frame that may be managed; not all between `first` and `end` are RAM."""

    @property
    def memory(self) -> GuestMemory: ...

    @property
    def log(self) -> Callable[[str], None]:
        """Prints a line on the kernel's console."""

    def take(self, size_bytes: int, what: str) -> PhysAddr:
        """Zeroed, page-aligned guest memory in the direct map for structures, for ever."""

    def runs(self) -> tuple[FrameRun, ...]:
        """The free frames, ascending and disjoint, never adjacent.  Ask after the last `take`."""


AllocatorFactory = Callable[[Zone], FrameAllocator]
"""Builds the allocator of one zone; a class with ``__init__(self, zone)`` is one."""


def order_for(count: int) -> int:
    """The smallest order whose block has at least `count` frames, which must be positive.

    >>> [order_for(count) for count in (1, 2, 3, 1024, 1025)]
    [0, 1, 2, 10, 11]
    """
    return (count - 1).bit_length()
