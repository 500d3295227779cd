"""Fences around allocations, poison in what is free, and the words for what they find.

::

    |<- 8 ->|<------- size ------->|<- 8 to 15 ->|
     BB...BB  the allocation         BB........BB       in use
              6B 6B 6B ... 6B                           free

A write in front of or behind an allocation breaks its fence, which is looked at when it is freed and by `check`.  A
write into free memory breaks the poison, which is looked at when the memory is given out again and by `check`.

Not detected: reading where one should not, and writes far away from one's own memory into somebody else's.
"""

from __future__ import annotations

from typing import NamedTuple

from hillemu.kernel.layout import KERNEL_BASE
from hillemu.kernel.mm.direct_map import DirectMap

FENCE = 0xBB
POISON = 0x6B
FENCE_BYTES = 8
_FENCE_WORD = int.from_bytes(bytes([FENCE]) * FENCE_BYTES, "little")
_BEHIND = tuple(bytes([FENCE]) * ((-size & 7) + FENCE_BYTES) for size in range(8))
"""The fence behind an allocation, by its size modulo 8."""
_SHOWN = 8


class Options(NamedTuple):
    """Which debug aids are on."""

    red_zones: bool = True
    poison: bool = True

    @property
    def pad_bytes(self) -> int:
        """How much an allocation needs in front and behind."""
        return FENCE_BYTES if self.red_zones else 0


class DebugAids:
    """Writes and inspects fences and poison; addresses are virtual, in the direct map."""

    def __init__(self, direct: DirectMap, options: Options) -> None:
        self.options = options
        self._bytes, self._u64 = direct.bytes, direct.u64
        self._poison = tuple(bytes([POISON]) * count for count in range(0, 4096, 8))
        """By eighths of their length."""

    def fence(self, at: int, size: int) -> None:
        """Fence the `size` bytes at `at`, a multiple of 8; the right one ends 8 behind the next multiple of 8."""
        start = at - KERNEL_BASE
        end = start + size
        behind = _BEHIND[size & 7]
        self._u64[(start >> 3) - 1] = _FENCE_WORD
        self._bytes[end : end + len(behind)] = behind

    def broken_fence(self, at: int, size: int) -> str:
        """Where the fences of the `size` bytes at `at` are broken, in words; nothing if they stand."""
        start = at - KERNEL_BASE
        end = start + size
        behind = _BEHIND[size & 7]
        if self._u64[(start >> 3) - 1] == _FENCE_WORD and self._bytes[end : end + len(behind)].tobytes() == behind:
            return ""
        found = []
        for first, count, where in ((start - FENCE_BYTES, FENCE_BYTES, "before"), (end, len(behind), "behind")):
            if difference := self._difference(first, count, FENCE):
                found.append(f"written {where} its bounds: {difference}")
        return "; ".join(found)

    def fence_slack(self, at: int, end: int) -> None:
        """Fence all bytes from `at` up to `end`, the unused rest of a page."""
        self._bytes[at - KERNEL_BASE : end - KERNEL_BASE] = bytes([FENCE]) * (end - at)

    def broken_slack(self, at: int, end: int) -> str:
        """What was written between `at` and `end`, in words; nothing if nothing was."""
        difference = self._difference(at - KERNEL_BASE, end - at, FENCE)
        return f"written behind its bounds: {difference}" if difference else ""

    def poison(self, at: int, count: int) -> None:
        """Fill free memory; `count` is a multiple of 8."""
        start = at - KERNEL_BASE
        self._bytes[start : start + count] = self._poison[count >> 3] if count < 4096 else bytes([POISON]) * count

    def broken_poison(self, at: int, count: int) -> str:
        """What was written into the free memory at `at`, in words; nothing if nothing was."""
        start = at - KERNEL_BASE
        if count < 4096 and self._bytes[start : start + count].tobytes() == self._poison[count >> 3]:
            return ""
        difference = self._difference(start, count, POISON)
        return f"written after it was freed: {difference}" if difference else ""

    def _difference(self, start: int, count: int, expected: int) -> str:
        return difference(bytes(self._bytes[start : start + count]), expected, KERNEL_BASE + start)


def difference(data: bytes, expected: int, at: int) -> str:
    """Where not every byte of `data`, which lies at `at`, is as expected, in words; nothing if all are.

    >>> difference(b"kkkAkk", POISON, 0x1000)
    '0x00001003-0x00001003 is 41'
    """
    if data == bytes([expected]) * len(data):
        return ""
    changed = [index for index, value in enumerate(data) if value != expected]
    first, last = changed[0], changed[-1]
    shown = data[first : min(last + 1, first + _SHOWN)].hex(" ")
    dots = " ..." if last >= first + _SHOWN else ""
    return f"0x{at + first:08X}-0x{at + last:08X} is {shown}{dots}"
