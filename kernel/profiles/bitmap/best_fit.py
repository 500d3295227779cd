"""Taking blocks from a heap's list and giving them back: the part of `BlockHeap` that must be fast.

Index and list are changed together, in place; besides the heap's growing, this is the code that splits and merges.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable
from typing import NamedTuple

from hillemu.kernel.profiles.bitmap.block_index import HEADER_BYTES, IN_TWO_PAGES, Block, BlockIndex, write_header
from hillemu.kernel.profiles.bitmap.page_window import PageWindow

ALIGN = 4
LEAST_REST = HEADER_BYTES + ALIGN
"""What must be left of a block to be a block of its own."""
_ADDRESS_MASK = 0xFFFFFFFF
_PAGE_MASK = 0xFFF
_LAST_WHOLE = 0x1000 - HEADER_BYTES


class BestFit(NamedTuple):
    """The two functions on one heap's list."""

    take: Callable[[int], Block | None]
    """The smallest free block of at least so many bytes, a multiple of 4, of equal ones the lowest, is in use now.

    What it has too much is split off.  None if no block is large enough.
    """
    release: Callable[[Block], Block]
    """The block, which is in use, is free now, merged with its free neighbours: the merged block."""


def best_fit(index: BlockIndex, window: PageWindow, verify: Callable[[Block], None]) -> BestFit:
    """`verify` is called for a header that is not as `index` has it, or that lies in two pages."""
    by_address, by_size = index.by_address, index.by_size
    u32, delta = window.u32, window.delta

    def take(need: int) -> Block | None:
        place = bisect_left(by_size, need << 32)
        if place == len(by_size):
            return None
        block = by_address[by_size[place] & _ADDRESS_MASK]
        del by_size[place]
        room, following, word = block.size, block.after, block.word
        if word < 0 or u32[word] != room or u32[word + 1] != 1 or u32[word + 2] != following.at:
            verify(block)
        block.is_free = 0
        if room < need + LEAST_REST:
            if word < 0:
                write_header(window, block)
            else:
                u32[word + 1] = 0
            return block
        rest = Block()
        rest.at = at = block.at + HEADER_BYTES + need
        rest.size = size = room - need - HEADER_BYTES
        rest.is_free = 1
        rest.before, rest.after = block, following
        block.after = following.before = by_address[at] = rest
        block.size = need
        insort(by_size, size << 32 | at)
        if word < 0:
            write_header(window, block)
        else:
            u32[word] = need
            u32[word + 1] = 0
            u32[word + 2] = at
        if at & _PAGE_MASK > _LAST_WHOLE:
            rest.word = IN_TWO_PAGES
            write_header(window, rest)
        else:
            rest.word = word = (at >> 2) + delta[at >> 12]
            u32[word] = size
            u32[word + 1] = 1
            u32[word + 2] = following.at
        return block

    def release(block: Block) -> Block:
        following, previous, word, size = block.after, block.before, block.word, block.size
        if word < 0 or u32[word] != size or u32[word + 1] or u32[word + 2] != following.at:
            verify(block)
        if following.is_free:
            beyond, room, word = following.after, following.size, following.word
            if word < 0 or u32[word] != room or u32[word + 1] != 1 or u32[word + 2] != beyond.at:
                verify(following)
            del by_size[bisect_left(by_size, room << 32 | following.at)]
            del by_address[following.at]
            size += HEADER_BYTES + room
            following = beyond
        if previous.is_free:
            room, word = previous.size, previous.word
            if word < 0 or u32[word] != room or u32[word + 1] != 1 or u32[word + 2] != block.at:
                verify(previous)
            del by_size[bisect_left(by_size, room << 32 | previous.at)]
            del by_address[block.at]
            size += HEADER_BYTES + room
            block = previous
        block.after, following.before = following, block
        block.size, block.is_free, word = size, 1, block.word
        insort(by_size, size << 32 | block.at)
        if word < 0:
            write_header(window, block)
        else:
            u32[word] = size
            u32[word + 1] = 1
            u32[word + 2] = following.at
        return block

    return BestFit(take, release)
