"""The buddy system: blocks of 2**order frames that split in twins and merge with them again, lowest address first.

All of its state lies in guest memory::

    struct buddy_zone          sizes, and for each order where its bitmaps lie
    u64 top[order]             bit i: the order's summary word i is not 0
    u64 summary[order][...]    bit i: the order's groups word i is not 0
    u64 groups[order][...]     bit i: the order's blocks word i is not 0
    u64 blocks[order][...]     bit i: the block of frames base + i * 2**order ... is free
    u8  state[frame]           0, or what is in `State` for the first frame of a block in use

A request takes the lowest block of the smallest order that has one.  Twins that are both free are always merged.  Four
levels of 64 bits each find the lowest free block of 64 GiB in four steps, whatever is free.  Nothing is cached outside
guest memory but addresses, so a debugger may change everything but struct buddy_zone.

Source: Knuth, The Art of Computer Programming, vol. 1, 2.5, "The buddy system" (Algorithms R and S).
"""

from __future__ import annotations

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import Frame, PhysAddr
from hillemu.kernel.errors import BadFree, Corruption, DoubleFree, InvalidParameters, Misaligned, Unowned, WrongSize
from hillemu.kernel.mm.buddy_layout import HEADER, MAGIC, RESERVED, USED, Geometry
from hillemu.kernel.mm.frames import MAX_ORDER, AllocFrames, FreeFrames, OutOfMemory, Zone
from hillemu.kernel.mm.words import ByteWindow, Words, window, words

_BIT = tuple(1 << number for number in range(64))


class Buddy:
    """A `FrameAllocator` on the structures at `at`, which `create` has made; the header says all the rest.

    `alloc(order)` and `free(frame, order)` are made once for this zone, with all they touch at hand.  `alloc` raises
    `InvalidParameters` for an order that cannot exist; `free` raises `BadFree` and changes nothing.
    """

    alloc: AllocFrames
    free: FreeFrames

    def __init__(self, memory: GuestMemory, at: PhysAddr) -> None:
        header = HEADER.read(memory, at)
        if header["magic"] != MAGIC:
            raise Corruption(f"no buddy_zone at physical {at:#x}: its magic number is {header['magic']!r}")
        self.memory, self.at = memory, at
        self.base, self.total_frames = _number(header["base_page"]), _number(header["total_pages"])
        self.min_order, self.max_order = _number(header["min_order"]), _number(header["max_order"])
        self.geometry = Geometry(self.total_frames, self.max_order)
        self.levels: tuple[list[Words], ...] = tuple(
            [words(memory, PhysAddr(at + offset), count, "Q") for offset, count in level]
            for level in self.geometry.levels
        )
        """For blocks, groups and summary: the words of each order."""
        self.top = words(memory, PhysAddr(at + self.geometry.top_offset), self.max_order + 2, "Q")
        self.state: ByteWindow = window(memory, PhysAddr(at + self.geometry.state_offset), self.total_frames)
        self.alloc = _alloc_for(self)
        self.free = _free_for(self)

    @classmethod
    def for_zone(cls, zone: Zone) -> Buddy:
        """Make the allocator of a zone: an `AllocatorFactory`."""
        base = zone.first & ~((1 << MAX_ORDER) - 1)
        at = zone.take(Geometry(zone.end - base, MAX_ORDER).size_bytes, f"buddy {zone.name}")
        from hillemu.kernel.mm.buddy_create import create

        return create(zone.memory, at, zone.runs(), base=base, end=zone.end, log=zone.log)

    @property
    def free_frames(self) -> int:
        """Counted from the bitmaps."""
        return sum(count << order for order, count in enumerate(self.free_blocks()))

    def free_blocks(self) -> list[int]:
        """How many blocks of each order are free, from order 0."""
        return [
            int.from_bytes(self.memory.read(PhysAddr(self.at + offset), 8 * count), "little").bit_count()
            for offset, count in self.geometry.levels[0]
        ]

    def order_of(self, frame: int) -> int | None:
        """The order of the block in use that starts at `frame`; None if none starts there."""
        state = self.state[frame - self.base] if 0 <= frame - self.base < self.total_frames else 0
        return state - USED if USED <= state <= USED + self.max_order else None

    def is_free(self, frame: int) -> bool:
        """Whether `frame` lies in a free block."""
        return self.free_block_around(frame) is not None

    def free_block_around(self, frame: int) -> tuple[Frame, int] | None:
        """The free block (first frame, order) that `frame` lies in; None if it is in none."""
        index = frame - self.base
        if 0 <= index < self.total_frames:
            for order, blocks in enumerate(self.levels[0]):
                block = index >> order
                if block >> 6 < len(blocks) and blocks[block >> 6] & _BIT[block & 63]:
                    return Frame(self.base + (block << order)), order
        return None

    def check(self) -> list[str]:
        """Contradictions in the structures, as sentences; none if all is well."""
        from hillemu.kernel.mm.buddy_check import check

        return check(self)

    def refusal(self, frame: int, order: int) -> BadFree:
        """Why `frame` cannot be freed as a block of `order`."""
        what = f"frame {frame:#x} (order {order})"
        index = frame - self.base
        if not 0 <= index < self.total_frames or self.state[index] == RESERVED:
            return Unowned(f"buddy_free: {what} is not managed")
        if not self.min_order <= order <= self.max_order:
            return WrongSize(f"buddy_free: {what}: orders are {self.min_order} to {self.max_order}")
        if (actual := self.order_of(frame)) is not None:
            return WrongSize(f"buddy_free: {what} was allocated with order {actual}")
        if (block := self.free_block_around(frame)) is not None:
            return DoubleFree(f"buddy_free: {what} is already free, in the block at {block[0]:#x} (order {block[1]})")
        if index & (1 << order) - 1:
            return Misaligned(f"buddy_free: {what} is not at a multiple of {1 << order} frames")
        return Unowned(f"buddy_free: {what} lies inside a block in use, which starts before it")


def _alloc_for(zone: Buddy) -> AllocFrames:
    base, min_order, max_order = zone.base, zone.min_order, zone.max_order
    top, state = zone.top, zone.state
    blocks_of, groups_of, summary_of = zone.levels
    levels_of = tuple(zip(blocks_of, groups_of, summary_of, strict=True))
    bit = _BIT

    def alloc(order: int = 0, /) -> Frame | OutOfMemory:
        if not min_order <= order <= max_order:
            if not 0 <= order < min_order:
                raise InvalidParameters(f"buddy_alloc: invalid order {order}: orders are 0 to {max_order}")
            order = min_order
        have = order
        while not (in_top := top[have]):  # the word behind the last order's is never 0
            have += 1
        if have > max_order:
            return OutOfMemory(order, zone.free_frames)
        # Down the four levels to the lowest free block.  The lowest bit of x is the highest of x ^ x - 1.
        blocks, groups, summary = levels_of[have]
        s = 0 if in_top & 1 else (in_top ^ in_top - 1).bit_length() - 1
        in_summary = summary[s]
        g = (s << 6) + (in_summary ^ in_summary - 1).bit_length() - 1
        in_group = groups[g]
        b = (g << 6) + (in_group ^ in_group - 1).bit_length() - 1
        in_block = blocks[b]
        if not in_block:
            raise Corruption(f"buddy_alloc: the summary of order {have} promises a free block, and there is none")
        # Take it, and up again as long as a word has become 0.
        blocks[b] = rest = in_block & in_block - 1
        index = (b << 6) + (in_block ^ rest).bit_length() - 1
        if not rest:
            groups[g] = in_group = in_group & in_group - 1
            if not in_group:
                summary[s] = in_summary = in_summary & in_summary - 1
                if not in_summary:
                    top[have] = in_top & in_top - 1
        # Split: the lower half goes on, the upper half becomes the only free block of its order.
        while have > order:
            have -= 1
            index += index
            blocks, groups, summary = levels_of[have]
            b = index >> 6
            g = b >> 6
            s = g >> 6
            blocks[b] = bit[index + 1 & 63]
            groups[g] = bit[b & 63]
            summary[s] = bit[g & 63]
            top[have] = bit[s]
        index <<= order
        state[index] = USED | order
        return base + index  # type: ignore[return-value]  # calling Frame would take 50 ns

    return alloc


def _free_for(zone: Buddy) -> FreeFrames:
    base, min_order, max_order, total = zone.base, zone.min_order, zone.max_order, zone.total_frames
    top, state = zone.top, zone.state
    blocks_of, groups_of, summary_of = zone.levels
    bit = _BIT

    def free(frame: Frame, order: int = 0, /) -> None:
        if order < min_order and order >= 0:
            order = min_order
        index = frame - base
        if not 0 <= index < total or state[index] != USED | order:
            raise zone.refusal(frame, order)
        state[index] = 0
        index >>= order
        while True:
            blocks = blocks_of[order]
            b = index >> 6
            in_block = blocks[b]
            twin = bit[index & 63 ^ 1]
            if not in_block & twin or order == max_order:
                break
            # The twin is free as well: take it out of its order, and go on with both as one block.
            blocks[b] = in_block = in_block ^ twin
            if not in_block:
                groups = groups_of[order]
                g = b >> 6
                groups[g] = in_group = groups[g] & ~bit[b & 63]
                if not in_group:
                    summary = summary_of[order]
                    s = g >> 6
                    summary[s] = in_summary = summary[s] & ~bit[g & 63]
                    if not in_summary:
                        top[order] &= ~bit[s]
            index >>= 1
            order += 1
        blocks[b] = in_block | bit[index & 63]
        if not in_block:
            groups = groups_of[order]
            g = b >> 6
            in_group = groups[g]
            groups[g] = in_group | bit[b & 63]
            if not in_group:
                summary = summary_of[order]
                s = g >> 6
                in_summary = summary[s]
                summary[s] = in_summary | bit[g & 63]
                if not in_summary:
                    top[order] |= bit[s]

    return free


def _number(value: int | bytes) -> int:
    assert isinstance(value, int)
    return value
