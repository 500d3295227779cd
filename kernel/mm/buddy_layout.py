"""Where the parts of a buddy zone lie in guest memory.

The header comes first, then the words for all orders, then one byte for each frame; `Geometry` computes every place
from the number of frames and the largest order alone, and the header repeats them for debuggers.
"""

from __future__ import annotations

from hillemu.kernel.mm.frames import MAX_ORDER
from hillemu.kernel.mm.structure import Structure

MAGIC = 0x59444442
"""``BDDY`` in memory."""

HEADER = Structure(
    "buddy_zone",
    "u32 magic",
    "u32 base_page",
    "u32 total_pages",
    "u32 managed_pages",
    "u32 min_order",
    "u32 max_order",
    "u32 top",
    "u32 state",
    f"u32 blocks[{MAX_ORDER + 1}]",
    f"u32 groups[{MAX_ORDER + 1}]",
    f"u32 summary[{MAX_ORDER + 1}]",
)
"""`top`, `state`, `blocks`, `groups` and `summary` are offsets in bytes from the header."""

USED = 0x80
"""``state``: a block in use starts at this frame; its order is added."""
RESERVED = 0xFF
"""``state``: this frame belongs to no allocator, or is no RAM."""

_WORD_BITS = 64
_ALIGN = 64


class Geometry:
    """The places of a zone of `total_frames` frames, as offsets from its header."""

    def __init__(self, total_frames: int, max_order: int) -> None:
        at = HEADER.size_bytes + -HEADER.size_bytes % _ALIGN
        self.top_offset = at
        # One word more than there are orders: it is never 0, and ends the search for a block.
        at += 8 * (max_order + 2)
        levels: list[list[tuple[int, int]]] = [[], [], []]
        for order in range(max_order + 1):
            bits = -(-total_frames // (1 << order))
            for level in levels:
                bits = max(1, -(-bits // _WORD_BITS))
                level.append((at, bits))
                at += 8 * bits
        self.levels = tuple(levels)
        """For blocks, groups and summary: (offset, words) of each order."""
        self.state_offset = at
        self.size_bytes = at + total_frames


def frames_that_fit(room_bytes: int, max_order: int) -> int:
    """The most frames whose structures fit into `room_bytes`."""
    low, high = 0, room_bytes
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if Geometry(middle, max_order).size_bytes <= room_bytes else (low, middle - 1)
    return low
