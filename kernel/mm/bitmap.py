"""The bitmap page allocator: one bit a page, found by next fit, so that its cost does not grow with memory.

All of its state lies in guest memory::

    struct bitmap_zone     sizes, the count of free pages, and `hint`
    u64 used[]             bit i of word w: page base + 64 * w + i is in use, or reserved
    u64 open[]             bit i of word w: used[64 * w + i] has a page that is free
    u64 managed[]          like `used`: the page belongs to this allocator (fixed; tells reserved from used)

A search starts at word `hint`, where the last one ended, and goes round once.  A count of pages is rounded up to an
order, and the block starts at a multiple of its size, as the buddy system's do.  One bit cannot tell how long a block
was: `free` believes its caller about the order, and refuses only pages that are free, reserved or misaligned.
"""

from __future__ import annotations

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import Frame, PhysAddr
from hillemu.kernel.errors import Corruption, DoubleFree, InvalidParameters, Misaligned, Unowned, WrongSize
from hillemu.kernel.mm.bits import lowest_aligned_run, set_bits
from hillemu.kernel.mm.frames import MAX_ORDER, AllocFrames, FrameRun, FreeFrames, OutOfMemory, Zone
from hillemu.kernel.mm.structure import Structure
from hillemu.kernel.mm.words import words

MAGIC = 0x504D5442
"""``BTMP`` in memory."""

HEADER = Structure(
    "bitmap_zone",
    "u32 magic",
    "u32 base_page",
    "u32 total_pages",
    "u32 managed_pages",
    "u32 free_pages",
    "u32 hint",
    "u32 used",
    "u32 open",
    "u32 managed",
)
"""`used`, `open` and `managed` are offsets in bytes from the header."""

_FREE_PAGES, _HINT = (HEADER.offset(name) // 4 for name in ("free_pages", "hint"))
_ARRAYS_OFFSET = 64
_BIT = tuple(1 << number for number in range(64))
_FULL = (1 << 64) - 1


class Bitmap:
    """A `FrameAllocator` on the structures at `at`, which `create` has made.

    `alloc` raises `InvalidParameters` for an order that cannot exist; `free` raises `BadFree` and changes nothing.
    """

    alloc: AllocFrames
    free: FreeFrames

    def __init__(self, memory: GuestMemory, at: PhysAddr) -> None:
        if HEADER.get(memory, at, "magic") != MAGIC:
            raise Corruption(f"no bitmap_zone at physical {at:#x}")
        self.memory, self.at = memory, at
        self.header = words(memory, at, HEADER.size_bytes // 4)
        self.base = HEADER.get(memory, at, "base_page")
        self.total_frames = HEADER.get(memory, at, "total_pages")
        count = _word_count(self.total_frames)
        self.used = words(memory, PhysAddr(at + HEADER.get(memory, at, "used")), count, "Q")
        self.open = words(memory, PhysAddr(at + HEADER.get(memory, at, "open")), _word_count(count), "Q")
        self.managed = words(memory, PhysAddr(at + HEADER.get(memory, at, "managed")), count, "Q")
        self.alloc = _alloc_for(self)
        self.free = self._free

    @classmethod
    def for_zone(cls, zone: Zone) -> Bitmap:
        """Make the allocator of a zone: an `AllocatorFactory`."""
        base = zone.first & -(1 << MAX_ORDER)
        at = zone.take(metadata_bytes(zone.end - base), f"bitmap {zone.name}")
        return cls.create(zone.memory, at, zone.runs(), base=base, end=zone.end)

    @classmethod
    def create(cls, memory: GuestMemory, at: PhysAddr, runs: tuple[FrameRun, ...], *, base: int, end: int) -> Bitmap:
        """Manage `runs`, between pages `base` and `end`, with structures at `at`, in zeroed memory.

        Raises `InvalidParameters` if `base` is no multiple of 1024 or a run lies outside.
        """
        if (
            base % (1 << MAX_ORDER)
            or base < 0
            or end <= base
            or any(not base <= run.first < run.end <= end for run in runs)
        ):
            raise InvalidParameters("bitmap_init: invalid parameters")
        count = _word_count(end - base)
        used, open_, managed = _offsets(count)
        pages = sum(map(len, runs))
        HEADER.write(
            memory,
            at,
            magic=MAGIC,
            base_page=base,
            total_pages=end - base,
            managed_pages=pages,
            free_pages=pages,
            used=used,
            open=open_,
            managed=managed,
        )
        bits = sum(((1 << len(run)) - 1) << (run.first - base) for run in runs)
        memory.write(PhysAddr(at + managed), bits.to_bytes(8 * count, "little"))
        memory.write(PhysAddr(at + used), (bits ^ (1 << 64 * count) - 1).to_bytes(8 * count, "little"))
        zone = cls(memory, at)
        for number in range(count):
            if zone.used[number] != _FULL:
                zone.open[number >> 6] |= _BIT[number & 63]
        return zone

    @property
    def free_frames(self) -> int:
        return self.header[_FREE_PAGES]

    def is_free(self, frame: int) -> bool:
        """Whether `frame` is managed here and not in use."""
        index = frame - self.base
        return 0 <= index < self.total_frames and not self.used[index >> 6] & _BIT[index & 63]

    def is_managed(self, frame: int) -> bool:
        """Whether `frame` belongs to this allocator, free or not."""
        index = frame - self.base
        return 0 <= index < self.total_frames and bool(self.managed[index >> 6] & _BIT[index & 63])

    def _free(self, frame: Frame, order: int = 0, /) -> None:
        if not 0 <= order <= MAX_ORDER:
            raise WrongSize(f"bitmap_free: frame {frame:#x} (order {order}): orders are 0 to {MAX_ORDER}")
        count = 1 << order
        if frame & count - 1:
            raise Misaligned(f"bitmap_free: frame {frame:#x} (order {order}) is not at a multiple of {count} frames")
        for one in range(frame, frame + count):
            if not self.is_managed(one):
                raise Unowned(f"bitmap_free: frame {one:#x} is not managed")
            if self.is_free(one):
                raise DoubleFree(f"bitmap_free: frame {one:#x} is already free")
        at = frame - self.base
        while count > 0:
            number = at >> 6
            bits = (1 << min(count, 64)) - 1 << (at & 63)
            self.used[number] &= ~bits
            self.open[number >> 6] |= _BIT[number & 63]
            at += 64
            count -= 64
        self.header[_FREE_PAGES] += 1 << order

    def take_block(self, order: int) -> int:
        """Find and take a block of `2**order` pages, order above 0: its number from `base`, or -1.

        Looks at 64 words, 4096 pages, at a time, beginning with those around the hint.
        """
        pieces = len(self.open)
        first = self.header[_HINT] >> 6
        for number in (*range(first, pieces), *range(min(first, pieces))):
            if not self.open[number]:
                continue
            start: int = 64 * number
            count = min(64, len(self.used) - start)
            raw = self.memory.read(PhysAddr(self.at + self.header[HEADER.offset("used") // 4] + 8 * start), 8 * count)
            free = int.from_bytes(raw, "little") ^ (1 << 64 * count) - 1
            if (at := lowest_aligned_run(free, order, 64 * count)) >= 0:
                self._take(64 * start + at, 1 << order)
                return 64 * start + at
        return -1

    def _take(self, at: int, count: int) -> None:
        left = count
        while left > 0:
            number = at >> 6
            word = self.used[number] | (1 << min(left, 64)) - 1 << (at & 63)
            self.used[number] = word
            if word == _FULL:
                self.open[number >> 6] &= ~_BIT[number & 63]
            self.header[_HINT] = number
            at += 64
            left -= 64
        self.header[_FREE_PAGES] -= count

    def check(self) -> list[str]:
        """Contradictions in the structures, as sentences; none if all is well."""
        found: list[str] = []
        count = len(self.used)
        expected = {"magic": MAGIC, "base_page": self.base, "total_pages": self.total_frames}
        expected |= dict(zip(("used", "open", "managed"), _offsets(count), strict=True))
        for name, value in expected.items():
            if (said := HEADER.get(self.memory, self.at, name)) != value:
                found.append(f"bitmap: bitmap_zone.{name} is {said}, not {value}")
        for number in range(len(self.open)):
            words_there = range(64 * number, min(64 * number + 64, count))
            open_ = sum(_BIT[index & 63] for index in words_there if self.used[index] != _FULL)
            if self.open[number] != open_:
                found.append(f"bitmap: word {number} of open is {self.open[number]:#x}, but used makes it {open_:#x}")
        for number in range(count):
            found += [
                f"bitmap: page {self.base + 64 * number + bit:#x} is free, but not managed"
                for bit in set_bits(~self.used[number] & _FULL & ~self.managed[number])
            ]
        free = sum((~self.used[number] & _FULL).bit_count() for number in range(count))
        if free != self.header[_FREE_PAGES]:
            found.append(f"bitmap: bitmap_zone.free_pages is {self.header[_FREE_PAGES]}, but {free} bits are clear")
        managed = sum(self.managed[number].bit_count() for number in range(count))
        if managed != (said := HEADER.get(self.memory, self.at, "managed_pages")):
            found.append(f"bitmap: bitmap_zone.managed_pages is {said}, but {managed} bits of managed are set")
        if self.header[_HINT] >= count:
            found.append(f"bitmap: bitmap_zone.hint is {self.header[_HINT]}, but there are {count} words")
        return found


def metadata_bytes(total_frames: int) -> int:
    """How much guest memory the structures for `total_frames` need."""
    count = _word_count(total_frames)
    return _ARRAYS_OFFSET + 8 * (2 * count + _word_count(count))


def _offsets(count: int) -> tuple[int, int, int]:
    """Where `used`, `open` and `managed` start, for `count` words of pages."""
    used = _ARRAYS_OFFSET
    return used, used + 8 * count, used + 8 * (count + _word_count(count))


def _word_count(bits: int) -> int:
    return -(-bits // 64)


def _alloc_for(zone: Bitmap) -> AllocFrames:
    base, header, used, open_ = zone.base, zone.header, zone.used, zone.open
    pieces = len(open_)

    def alloc(order: int = 0, /) -> Frame | OutOfMemory:
        free_pages = header[_FREE_PAGES]
        if order:
            if not 0 < order <= MAX_ORDER:
                raise InvalidParameters(f"bitmap_alloc: invalid order {order}: orders are 0 to {MAX_ORDER}")
            at = zone.take_block(order) if free_pages >> order else -1
            return Frame(base + at) if at >= 0 else OutOfMemory(order, free_pages)
        number = header[_HINT]
        word = used[number]
        if word == _FULL:
            # The words behind the hint first, then all from the start.
            piece = number >> 6
            in_piece = open_[piece] & -_BIT[number & 63]
            if not in_piece:
                for piece in (*range(piece + 1, pieces), *range(piece + 1)):  # noqa: B020
                    if in_piece := open_[piece]:
                        break
                else:
                    return OutOfMemory(0, free_pages)
            header[_HINT] = number = piece << 6 | (in_piece & -in_piece).bit_length() - 1
            word = used[number]
        used[number] = after = word | word + 1
        if after == _FULL:
            open_[number >> 6] &= ~_BIT[number & 63]
        header[_FREE_PAGES] = free_pages - 1
        return Frame(base + (number << 6) + (after ^ word).bit_length() - 1)

    return alloc
