"""Two kinds of address that never meet, and the frames between them.

`PhysAddr` is what the memory chips see, `VirtAddr` what a program sees (the manual's linear address).  Both are plain
integers at run time; the type checker keeps them apart.
"""

from __future__ import annotations

from typing import NamedTuple, NewType

PhysAddr = NewType("PhysAddr", int)
VirtAddr = NewType("VirtAddr", int)
Frame = NewType("Frame", int)
"""Number of a 4 KiB page frame: physical address divided by `PAGE_SIZE`."""

PAGE_SHIFT = 12
PAGE_SIZE = 1 << PAGE_SHIFT
PAGE_MASK = PAGE_SIZE - 1


def frame_of(at: PhysAddr) -> Frame:
    """The frame that `at` lies in.

    >>> frame_of(PhysAddr(0x12FFF)) == 0x12
    True
    """
    return Frame(at >> PAGE_SHIFT)


def base_of(frame: Frame) -> PhysAddr:
    """The address of `frame`'s first byte."""
    return PhysAddr(frame << PAGE_SHIFT)


def page_down(at: int) -> int:
    """`at`, rounded down to a page boundary."""
    return at & ~PAGE_MASK


def page_up(at: int) -> int:
    """`at`, rounded up to a page boundary.

    >>> hex(page_up(0x1001)), hex(page_up(0x1000))
    ('0x2000', '0x1000')
    """
    return at + PAGE_MASK & ~PAGE_MASK


class RamRange(NamedTuple):
    """A run of RAM in physical address space: `base` up to, not including, `end`."""

    base: PhysAddr
    end: PhysAddr

    @property
    def size_bytes(self) -> int:
        return self.end - self.base
