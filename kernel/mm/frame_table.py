"""The kernel's record of every frame: who owns it, how many share it, and how long its block is.

One entry a frame, from frame 0, in guest memory::

    struct frame {
        u16 references;    0 in a free frame and inside a block; else how many hold it
        u8  order;         0x80 + order in a block's first frame, 0x40 in its others, 0 if free
        u8  owner;         an `Owner`
        u32 info;          means what the owner likes: a process, a cache's address, a file's page
    };
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import NamedTuple

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import Frame, PhysAddr
from hillemu.kernel.mm.frames import FrameRun
from hillemu.kernel.mm.structure import Structure
from hillemu.kernel.mm.words import words

FRAME = Structure("frame", "u16 references", "u8 order", "u8 owner", "u32 info")

HEAD = 0x80
INSIDE = 0x40
REFERENCES_MASK = 0xFFFF
_PIECE = 1024
ORDER_SHIFT, OWNER_SHIFT, INFO_SHIFT = 16, 24, 32


class Owner(IntEnum):
    """Who a frame belongs to."""

    NOBODY = 0
    """Free."""
    RESERVED = 1
    """No RAM, or taken before there was an allocator: the kernel's image, modules, fixed structures."""
    KERNEL = 2
    KMALLOC = 3
    SLAB = 4
    PAGE_TABLE = 5
    ANONYMOUS = 6
    """A program's heap, stack or anonymous mapping."""
    PAGE_CACHE = 7
    STACK = 8
    """A kernel stack."""


_OWNERS: dict[int, Owner | int] = {int(owner): owner for owner in Owner}


class FrameRecord(NamedTuple):
    """One entry, taken apart; `order` is None unless a block starts here."""

    references: int
    order: int | None
    owner: Owner | int
    info: int

    @property
    def owner_name(self) -> str:
        return self.owner.name.lower().replace("_", " ") if isinstance(self.owner, Owner) else f"owner {self.owner}"


class FrameTable:
    """The entries of frames 0 up to `end`, as words of 64 bits in `entries`."""

    def __init__(self, memory: GuestMemory, at: PhysAddr, end: int) -> None:
        self.memory, self.at, self.end = memory, at, end
        self.entries = words(memory, at, end, "Q")

    def reserve_all_but(self, runs: Iterable[FrameRun]) -> None:
        """Mark what is not in `runs`, which are ascending and disjoint."""
        previous = 0
        for first, last in (*runs, (self.end, self.end)):
            entry = (Owner.RESERVED << OWNER_SHIFT).to_bytes(8, "little")
            self.memory.write(PhysAddr(self.at + 8 * previous), entry * (first - previous))
            previous = last

    def record(self, frame: int) -> FrameRecord:
        """What is known of `frame`; a frame beyond the table is reserved."""
        entry = self.entries[frame] if 0 <= frame < self.end else Owner.RESERVED << OWNER_SHIFT
        order, owner = entry >> ORDER_SHIFT & 0xFF, entry >> OWNER_SHIFT & 0xFF
        known = _OWNERS.get(owner, owner)
        return FrameRecord(entry & REFERENCES_MASK, order - HEAD if order & HEAD else None, known, entry >> INFO_SHIFT)

    def block_of(self, frame: int) -> tuple[Frame, int] | None:
        """The block in use (first frame, order) that `frame` lies in; None if it is in none."""
        for order in range(HEAD):
            head = frame & -(1 << order)
            found = self.record(head).order
            if found is not None:
                return (Frame(head), found) if head + (1 << found) > frame else None
            if not head or not self.entries[frame] >> ORDER_SHIFT & INSIDE:
                return None
        return None

    def used(self) -> Iterator[tuple[Frame, FrameRecord]]:
        """Every frame that is neither free nor reserved."""
        reserved = Owner.RESERVED << OWNER_SHIFT
        # Most of memory is free, or reserved in long runs: those pass a piece at a time.
        dull = {entry.to_bytes(8, "little") * _PIECE for entry in (0, reserved)}
        for start in range(0, self.end, _PIECE):
            raw = self.memory.read(PhysAddr(self.at + 8 * start), 8 * min(_PIECE, self.end - start))
            if raw in dull:
                continue
            for frame, entry in enumerate(array("Q", raw), start):
                if entry and entry != reserved:
                    yield Frame(frame), self.record(frame)
