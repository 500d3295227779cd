"""Fences and poison for blocks in a window of pages; the bytes and the words are those of `kernel.mm.debug_aids`.

::

    | header | content ... | BB x 8 | header | 6B 6B ... 6B |
               an allocation                   a free block

The last 8 bytes of an allocation's block are its fence.  Up to 15 bytes between what was asked for and the fence belong
to the block and to nobody: a write that ends there does no harm and is not noticed.  What is in front of an allocation
is its header, which the heap itself compares.
"""

from __future__ import annotations

from hillemu.emu.i386.address import PAGE_SHIFT, PAGE_SIZE
from hillemu.kernel.mm.debug_aids import FENCE, FENCE_BYTES, POISON, Options, difference
from hillemu.kernel.profiles.bitmap.page_window import PageWindow

_FENCE = bytes([FENCE]) * FENCE_BYTES
_POISON = bytes([POISON])
_PAGE_MASK = PAGE_SIZE - 1


class Fences:
    """Does what `options` say, and nothing for what they do not."""

    def __init__(self, window: PageWindow, options: Options) -> None:
        self.window, self.options = window, options
        self._bytes, self._delta = window.bytes, window.delta
        self.pad = options.pad_bytes
        """How much longer a block must be for its fence."""

    def fence(self, content: int, size: int) -> None:
        """Put the fence into the block of `size` bytes at `content`."""
        if self.options.red_zones:
            self._fill(content + size - FENCE_BYTES, _FENCE)

    def broken_fence(self, content: int, size: int) -> str:
        """Where the fence of that block is broken, in words; nothing if it stands."""
        found = self._difference(content + size - FENCE_BYTES, _FENCE)
        return f"written behind its bounds: {found}" if found else ""

    def poison(self, start: int, end: int) -> None:
        """Fill what is free now, from `start` up to `end`."""
        if self.options.poison:
            self._fill(start, _POISON * (end - start))

    def broken_poison(self, start: int, count: int) -> str:
        """What was written into free memory, in words; nothing if nothing was."""
        found = self._difference(start, _POISON * count)
        return f"written after it was freed: {found}" if found else ""

    def fault_in(self, content: int, size: int, *, is_free: bool) -> str:
        """What is wrong in a block, in words; nothing if all is well."""
        if is_free:
            return self.broken_poison(content, size) if self.options.poison else ""
        return self.broken_fence(content, size) if self.options.red_zones else ""

    def _fill(self, at: int, data: bytes) -> None:
        if (at & _PAGE_MASK) + len(data) <= PAGE_SIZE:
            start = (self._delta[at >> PAGE_SHIFT] << 2) + at
            self._bytes[start : start + len(data)] = data
        else:
            self.window.write(at, data)

    def _difference(self, at: int, expected: bytes) -> str:
        if (at & _PAGE_MASK) + len(expected) <= PAGE_SIZE:
            start = (self._delta[at >> PAGE_SHIFT] << 2) + at
            if self._bytes[start : start + len(expected)] == expected:
                return ""
        return difference(self.window.read(at, len(expected)), expected[0], at)
