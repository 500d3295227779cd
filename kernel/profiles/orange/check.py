"""Whether `pf_list` tells the truth: it is compared with every page table, and with itself.

`mapped` are the frames that page tables of processes map: (linear address, entry) pairs, as of the kernel's own.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, islice

from hillemu.emu.i386.address import PAGE_SHIFT, PAGE_SIZE
from hillemu.kernel.profiles.orange.layout import RESERVED_END
from hillemu.kernel.profiles.orange.memory_manager import FRAMES, FREE_FRAMES, MemoryManager
from hillemu.kernel.profiles.orange.page_tables import KERNEL, PRESENT, WRITABLE, PageTables, frame_in, table_at
from hillemu.kernel.profiles.orange.pf_list import (
    FRAME,
    GROUP,
    GROUP_FRAMES,
    NEXT,
    PF,
    PREV,
    PROTECTION,
    REF_COUNT,
    TYPE,
    WORDS,
    PageType,
    PfList,
    Protection,
    name_of,
)

_MOST = 8
"""How many sentences about one kind of contradiction are enough."""


def check(mm: MemoryManager, mapped: Iterable[tuple[int, int]] = ()) -> list[str]:
    """Contradictions, as sentences; none if all is well."""
    entries = mm.pf_list.words(0, mm.pf_list.count)
    users = list(mapped)
    kinds = (
        _links(mm.pf_list, entries),
        _types(mm.pf_list, entries),
        _groups(mm.pf_list),
        _references(mm.pf_list, entries, [*mm.tables.mappings(), *users]),
        _rights(mm.pf_list, entries, chain(mm.tables.mappings(), users)),
        _identity(mm),
        _directory(mm.tables),
        _variables(mm, entries),
    )
    return [sentence for kind in kinds for sentence in islice(kind, _MOST)]


def _links(pf_list: PfList, entries: array[int]) -> Iterator[str]:
    """Forwards and backwards, the list goes through every entry and returns; each entry is of its own frame."""
    places = array("I", range(pf_list.at, pf_list.groups_at, PF.size_bytes))
    frames = array("I", range(pf_list.base, pf_list.base + (pf_list.count << PAGE_SHIFT), PAGE_SIZE))
    wanted = ((NEXT, places[1:] + places[:1]), (PREV, places[-1:] + places[:-1]), (FRAME, frames))
    for member, right in wanted:
        found = entries[member::WORDS]
        if found != right:
            name = list(PF.members)[member]
            for number, (said, should) in enumerate(zip(found, right, strict=True)):
                if said != should:
                    frame = pf_list.physical(number)
                    yield f"pf_list: `{name}` of frame 0x{frame:08X} is 0x{said:08X}, not 0x{should:08X}"


def _types(pf_list: PfList, entries: array[int]) -> Iterator[str]:
    """Type, reference count and protection of each entry fit together; what is reserved lies in front."""
    reserved = (pf_list.end - pf_list.base + PAGE_SIZE - 1) >> PAGE_SHIFT
    rows = zip(entries[TYPE::WORDS], entries[REF_COUNT::WORDS], entries[PROTECTION::WORDS], strict=True)
    for number, (kind, count, protection) in enumerate(rows):
        if number < reserved:
            good = (kind, count, protection) == (PageType.RESERVED, 1, Protection.READ_WRITE)
        elif kind == PageType.MAPPED:
            good = count > 0 and protection in (Protection.READ_ONLY, Protection.READ_WRITE)
        else:
            good = (kind, count, protection) == (PageType.FREE, 0, Protection.NONE)
        if not good:
            where = "among page tables and pf_list, has" if number < reserved else "has"
            yield (
                f"pf_list: frame 0x{pf_list.physical(number):08X} {where} type {name_of(PageType, kind)}, "
                f"reference count {count}, protection {name_of(Protection, protection)}"
            )


def _groups(pf_list: PfList) -> Iterator[str]:
    """What the groups say of FREE frames in a row is so."""
    said = pf_list.groups()
    words = GROUP.size_bytes // 2
    for number in range(len(said) // words):
        is_, should = said[number * words : (number + 1) * words], pf_list.summary(number * GROUP_FRAMES)
        if is_ != should:
            frame = pf_list.physical(number * GROUP_FRAMES)
            yield (
                f"pf_list: the group from 0x{frame:08X} on says (first, longest, last) {tuple(is_[:3])} "
                f"of FREE frames in a row, which are {tuple(should[:3])}"
            )


def _references(pf_list: PfList, entries: array[int], mappings: list[tuple[int, int]]) -> Iterator[str]:
    """Each reference count is the number of page-table entries that map the frame."""
    by_frame = Counter(frame_in(entry) for _, entry in mappings)
    counts = array("I", bytes(4 * pf_list.count))
    for frame, count in by_frame.items():
        if (number := pf_list.number(frame)) is not None:
            counts[number] = count
    found = entries[REF_COUNT::WORDS]
    if found == counts:
        return
    for number, (said, count) in enumerate(zip(found, counts, strict=True)):
        if said != count:
            yield (
                f"pf_list: frame 0x{pf_list.physical(number):08X} has reference count {said}, "
                f"and {count} page-table entries map it"
            )


def _rights(pf_list: PfList, entries: array[int], mappings: Iterable[tuple[int, int]]) -> Iterator[str]:
    """Nobody may write to a frame that is read-only; a frame that is free is mapped by nobody."""
    for linear, entry in mappings:
        number = pf_list.number(frame_in(entry))
        if number is None:
            continue
        protection = entries[number * WORDS + PROTECTION]
        if bool(entry & WRITABLE) != (protection == Protection.READ_WRITE):
            can = "can" if entry & WRITABLE else "cannot"
            yield (
                f"page tables: 0x{linear:08X} {can} be written, and frame 0x{frame_in(entry):08X} has protection "
                f"{name_of(Protection, protection)}"
            )


def _identity(mm: MemoryManager) -> Iterator[str]:
    """What is reserved is mapped one to one."""
    pf_list = mm.pf_list
    pages = pf_list.end - pf_list.base + PAGE_SIZE - 1 >> PAGE_SHIFT
    for number, entry in enumerate(mm.tables.entries(pf_list.base, pages)):
        linear = pf_list.physical(number)
        if not entry & PRESENT or frame_in(entry) != linear:
            yield f"page tables: reserved frame 0x{linear:08X} is not mapped one to one, but by entry 0x{entry:08X}"


def _directory(tables: PageTables) -> Iterator[str]:
    """A directory entry leads to the table that has its number, which maps something."""
    for number in tables.in_use():
        entry = tables.directory[number]
        if frame_in(entry) != table_at(number) or entry & KERNEL != KERNEL:
            yield f"page tables: directory entry {number} is 0x{entry:08X}; its table lies at 0x{table_at(number):08X}"
        elif tables.is_empty(number):
            yield f"page tables: table {number} is in use, and empty"


def _variables(mm: MemoryManager, entries: array[int]) -> Iterator[str]:
    """MM's own variables agree with the list."""
    types = entries[TYPE::WORDS]
    free = types.count(PageType.FREE)
    if mm.variables[FREE_FRAMES] != free:
        yield f"mm: free_frames is {mm.variables[FREE_FRAMES]}, but {free} frames are FREE"
    if mm.variables[FRAMES] != mm.pf_list.count or mm.pf_list.at != RESERVED_END:
        yield f"mm: pf_list at 0x{mm.pf_list.at:08X} has {mm.variables[FRAMES]} of {mm.pf_list.count} frames"
