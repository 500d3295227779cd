"""`pf_list`: what is known of each page frame, in a circular doubly linked list in guest memory.

::

    struct pf {
        u32 prev;            linear address of the entry before; the first one's is the last
        u32 next;            of the entry behind; the last one's is the first
        u32 ref_count;       how many page-table entries map the frame
        u32 type;            PageType
        u32 protection;      Protection
        u32 frame;           physical address of the frame
    };                       24 bytes

The entries lie one behind the other, in the order of their frames, so that the list can be followed, and an entry also
be found by its frame.  Behind them lies what makes a search short: how many of each 1,024 frames are FREE in a row::

    struct pf_group {
        u16 first;           how many are FREE before the first that is not
        u16 longest;         the most that are FREE in a row
        u16 last;            how many are FREE behind the last that is not
        u16 unused;
    };                       8 bytes
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import NamedTuple

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PAGE_SHIFT, PAGE_SIZE, PhysAddr
from hillemu.kernel.errors import Corruption
from hillemu.kernel.mm.structure import Structure
from hillemu.kernel.mm.words import window


class PageType(IntEnum):
    """What a frame is used for."""

    FREE = 0
    """It can be handed out; nothing maps it."""
    RESERVED = 1
    """Page tables, the room for them, and `pf_list` itself: mapped one to one, and never handed out."""
    MAPPED = 2
    """`vm_alloc` has handed it out."""


class Protection(IntEnum):
    """What may be done with a frame, by any page-table entry that maps it."""

    NONE = 0
    """It is free."""
    READ_ONLY = 1
    READ_WRITE = 2


PF = Structure("pf", "u32 prev", "u32 next", "u32 ref_count", "u32 type", "u32 protection", "u32 frame")
PREV, NEXT, REF_COUNT, TYPE, PROTECTION, FRAME = range(6)
"""Members, as numbers of words in an entry."""
WORDS = PF.size_bytes // 4
GROUP = Structure("pf_group", "u16 first", "u16 longest", "u16 last", "u16 unused")
GROUP_FRAMES = 1024
_GROUP_WORDS = GROUP.size_bytes // 2
_TYPE_OFFSET = PF.offset("type")
_FREE, _NOT_FREE = bytes((PageType.FREE,)), b"\1"
_ONLY_FREE_OR_NOT = _FREE + _NOT_FREE * 255
"""For `bytes.translate`: all types but FREE become one."""


class Pf(NamedTuple):
    """An entry, as it stands in memory."""

    prev: int
    next: int
    ref_count: int
    type: int
    protection: int
    frame: int

    def __str__(self) -> str:
        """As people read it.

        >>> print(Pf(0x501000, 0x501030, 1, PageType.MAPPED, Protection.READ_WRITE, 0x530000))
        frame 0x00530000: MAPPED, READ_WRITE, mapped by 1
        """
        kind, protection = name_of(PageType, self.type), name_of(Protection, self.protection)
        return f"frame 0x{self.frame:08X}: {kind}, {protection}, mapped by {self.ref_count}"


def name_of(kind: type[PageType] | type[Protection], value: int) -> str:
    """What `value` is called; its number if it is none of these.

    >>> name_of(PageType, 2), name_of(PageType, 7)
    ('MAPPED', '7')
    """
    return kind(value).name if value in list(kind) else str(value)


class PfList:
    """The list at `at`, of `count` frames from physical `base` on; numbers of frames count from there."""

    def __init__(self, memory: GuestMemory, at: PhysAddr, base: PhysAddr, count: int) -> None:
        self.at, self.base, self.count = at, base, count
        self.groups_at = PhysAddr(at + count * PF.size_bytes)
        self.end = PhysAddr(at + size_for(count))
        """The physical address behind the groups."""
        self._bytes = window(memory, at, count * PF.size_bytes)
        self._groups = window(memory, self.groups_at, self.end - self.groups_at)

    @classmethod
    def create(cls, memory: GuestMemory, at: PhysAddr, base: PhysAddr, count: int, reserved: int) -> PfList:
        """Write the list: the first `reserved` frames are RESERVED and mapped once, all others FREE."""
        made = cls(memory, at, base, count)
        entries = array("I", bytes(count * PF.size_bytes))
        links = array("I", range(at, at + count * PF.size_bytes, PF.size_bytes))
        entries[NEXT::WORDS] = links[1:] + links[:1]
        entries[PREV::WORDS] = links[-1:] + links[:-1]
        entries[FRAME::WORDS] = array("I", range(base, base + (count << PAGE_SHIFT), PAGE_SIZE))
        for member, value in (
            (REF_COUNT, 1),
            (TYPE, PageType.RESERVED),
            (PROTECTION, Protection.READ_WRITE),
        ):
            entries[member : reserved * WORDS : WORDS] = array("I", [value]) * reserved
        made._bytes[:] = entries.tobytes()
        made._summarise(0, count)
        return made

    def number(self, frame: int) -> int | None:
        """The number of the frame at physical address `frame`; None if the list does not have it."""
        number = frame - self.base >> PAGE_SHIFT
        return number if 0 <= number < self.count else None

    def physical(self, number: int) -> PhysAddr:
        """Where frame `number` lies."""
        return PhysAddr(self.base + (number << PAGE_SHIFT))

    def __getitem__(self, number: int) -> Pf:
        if not 0 <= number < self.count:
            raise IndexError(f"pf_list has {self.count} entries, and no number {number}")
        return Pf(*self.words(number, 1))

    def words(self, first: int, count: int) -> array[int]:
        """A copy of `count` entries from number `first` on, as words."""
        at = first * PF.size_bytes
        return array("I", bytes(self._bytes[at : at + count * PF.size_bytes]))

    def find_free(self, pages: int) -> int | None:
        """The lowest number where `pages` frames in a row are FREE; None if there is none.

        Raises `Corruption` if the groups promise what the entries do not keep.
        """
        at = before = 0  # where the group begins, and how many frames right in front of it are FREE
        for first, longest, last in self._triples():
            if before + first >= pages:
                return at - before
            if longest >= pages:
                found = self._types(at).find(_FREE * pages)
                if found < 0:
                    raise Corruption(
                        f"pf_list: the group from 0x{self.physical(at):08X} on has no {longest} FREE frames in a row"
                    )
                return at + found
            before = before + GROUP_FRAMES if first == GROUP_FRAMES else last
            at += GROUP_FRAMES
        return None

    def longest_free(self) -> int:
        """How many frames in a row are FREE, at most."""
        best = before = 0
        for first, longest, last in self._triples():
            best = max(best, before + first, longest)
            before = before + GROUP_FRAMES if first == GROUP_FRAMES else last
        return best

    def groups(self) -> array[int]:
        """A copy of the groups, as 16-bit words."""
        return array("H", bytes(self._groups[:]))

    def summary(self, first: int) -> array[int]:
        """What the group that begins with frame number `first` should be."""
        types = self._types(first).translate(_ONLY_FREE_OR_NOT)
        size = len(types)
        runs = [len(run) for run in types.split(_NOT_FREE)]
        return array("H", (size - len(types.lstrip(_FREE)), max(runs), size - len(types.rstrip(_FREE)), 0))

    def mapped_from(self, first: int, count: int) -> int:
        """How many of `count` frames, the first of them number `first`, are MAPPED before one that is not."""
        types = self.words(first, min(count, self.count - first))[TYPE::WORDS]
        if types.count(PageType.MAPPED) == len(types):
            return len(types)
        return next(number for number, kind in enumerate(types) if kind != PageType.MAPPED)

    def count_free(self) -> int:
        """How many frames are FREE."""
        return self.words(0, self.count)[TYPE::WORDS].count(PageType.FREE)

    def take(self, first: int, pages: int, protection: Protection) -> None:
        """FREE frames become MAPPED, once.  Raises `Corruption` if one of them is not free."""

        def change(entries: array[int]) -> None:
            if entries[TYPE::WORDS].count(PageType.FREE) != pages or any(entries[REF_COUNT::WORDS]):
                raise Corruption(
                    f"pf_list: of {pages} frames from 0x{self.physical(first):08X} on, which should be FREE, one is not"
                )
            entries[REF_COUNT::WORDS] = array("I", [1]) * pages
            entries[TYPE::WORDS] = array("I", [PageType.MAPPED]) * pages
            entries[PROTECTION::WORDS] = array("I", [protection]) * pages

        self._change(first, pages, change)
        self._summarise(first, pages)

    def hold(self, first: int, pages: int) -> None:
        """One more page-table entry maps each of these frames, which are MAPPED."""

        def change(entries: array[int]) -> None:
            entries[REF_COUNT::WORDS] = array("I", [count + 1 & 0xFFFFFFFF for count in entries[REF_COUNT::WORDS]])

        self._change(first, pages, change)

    def release(self, first: int, pages: int) -> int:
        """One entry less maps each of these frames, which are MAPPED; how many of them are FREE now.

        Raises `Corruption` if the list says that nothing maps one of them.
        """
        freed = 0

        def change(entries: array[int]) -> None:
            nonlocal freed
            counts = entries[REF_COUNT::WORDS]
            if 0 in counts:
                raise Corruption(
                    f"pf_list: of {pages} frames from 0x{self.physical(first):08X} on, which were mapped, "
                    "one has reference count 0"
                )
            if (freed := counts.count(1)) == pages:
                free = array("I", bytes(4 * pages))
                entries[REF_COUNT::WORDS] = entries[TYPE::WORDS] = entries[PROTECTION::WORDS] = free
                return
            entries[REF_COUNT::WORDS] = array("I", [count - 1 for count in counts])
            for number, count in enumerate(counts):
                if count == 1:
                    entries[number * WORDS + TYPE] = PageType.FREE
                    entries[number * WORDS + PROTECTION] = Protection.NONE

        self._change(first, pages, change)
        if freed:
            self._summarise(first, pages)
        return freed

    def protect(self, first: int, pages: int, protection: Protection) -> None:
        """These frames, which are MAPPED, may be used so from now on."""

        def change(entries: array[int]) -> None:
            entries[PROTECTION::WORDS] = array("I", [protection]) * pages

        self._change(first, pages, change)

    def _change(self, first: int, pages: int, change: Callable[[array[int]], None]) -> None:
        entries = self.words(first, pages)
        change(entries)
        at = first * PF.size_bytes
        self._bytes[at : at + pages * PF.size_bytes] = entries.tobytes()

    def _triples(self) -> Iterator[tuple[int, int, int]]:
        """First, longest and last of each group."""
        groups = self.groups()
        return zip(groups[0::_GROUP_WORDS], groups[1::_GROUP_WORDS], groups[2::_GROUP_WORDS], strict=True)

    def _types(self, first: int) -> bytes:
        """The types in the group that begins with frame number `first`, a byte each."""
        size = PF.size_bytes
        end = min(first + GROUP_FRAMES, self.count)
        return bytes(self._bytes[first * size : end * size])[_TYPE_OFFSET::size]

    def _summarise(self, first: int, pages: int) -> None:
        """Bring the groups up to date that these frames are in."""
        for number in range(first // GROUP_FRAMES, (first + pages - 1) // GROUP_FRAMES + 1):
            at = number * GROUP.size_bytes
            self._groups[at : at + GROUP.size_bytes] = self.summary(number * GROUP_FRAMES).tobytes()


def size_for(count: int) -> int:
    """How many bytes the list of `count` frames takes, with its groups."""
    return count * PF.size_bytes + -(-count // GROUP_FRAMES) * GROUP.size_bytes
