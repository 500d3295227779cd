"""What physical memory is used for: page tables, the image, pages of programs or the kernel, or nothing that we see.

>>> from hillemu.machine import Machine
>>> machine = Machine(mem="16M")
>>> loaded = machine.load_demo()
>>> for run in frame_uses(machine)[:2]:
...     print(run)
0x000000000-0x00009EFFF free         636 KiB
0x00009F000-0x00009FFFF reserved       4 KiB firmware

(with paging off nothing is mapped).  A frame has one use, the first that applies:

=============  ====================================================================================
page tables    the processor reads it in a walk of the space that CR3 holds now
image          the loader put the kernel or boot sector there
modules        the loader put a boot module there
reserved       firmware's memory map (E820) does not give it to the kernel: ROM, ACPI, devices
user           a page that programs can reach maps it
kernel         a page that only the kernel can reach maps it
free           RAM that nothing of these uses; a kernel's allocator may know better
=============  ====================================================================================

Other address spaces are not looked at: a frame that only another process maps counts as free.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from hillemu.boot.memory_map import MemoryKind, memory_map, without
from hillemu.emu.i386.address import PAGE_SIZE, PhysAddr, RamRange, base_of, page_down, page_up
from hillemu.emu.i386.control import PagingMode
from hillemu.emu.i386.spaces import USER, size_text

if TYPE_CHECKING:
    from hillemu.emu.i386.control import ControlState
    from hillemu.emu.i386.spaces import Tables
    from hillemu.inspection.spaces import Capture
    from hillemu.machine import Machine


class Use(StrEnum):
    """What a frame is used for; the first that applies."""

    TABLES = "page tables"
    IMAGE = "image"
    MODULES = "modules"
    RESERVED = "reserved"
    USER = "user"
    KERNEL = "kernel"
    FREE = "free"


class FrameRun(NamedTuple):
    """Frames from physical `base` up to, not including, `end`, that have one use.

    `mapped_at` is the virtual address of the first page that maps `base`, `None` if none does; `owner` names what lies
    there, if that is known.
    """

    base: int
    end: int
    use: Use
    owner: str = ""
    mapped_at: int | None = None

    @property
    def size_bytes(self) -> int:
        return self.end - self.base

    @property
    def frames(self) -> int:
        return self.size_bytes // PAGE_SIZE

    def __str__(self) -> str:
        size = size_text(self.size_bytes)
        return f"0x{self.base:09X}-0x{self.end - 1:09X} {self.use:<11}{size:>9} {self.owner}".rstrip()


def what_counts(control: ControlState) -> str:
    """What `frame_uses` takes for mapped, in a sentence for the reader of the runs."""
    if control.mode is PagingMode.OFF:
        return "paging is off: nothing is mapped, and what the kernel has given out counts as free"
    return f"mapped is what CR3 0x{control.cr3:08X} leads to; what only other address spaces map counts as free"


_FIRMWARE = "firmware"
_VAGUE = ("", _FIRMWARE)
"""Owners that a name beats."""


class _Claim(NamedTuple):
    base: int
    end: int
    use: Use
    owner: str = ""


def frame_uses(machine: Machine, space: Capture | None = None) -> list[FrameRun]:
    """All physical memory that somebody answers in, as runs in ascending order; peek only.

    `space` is the machine's address space, if it was captured already.
    """
    space = space or machine.paging.capture()
    pages = _pages(space)
    claims = [*_answering(machine, space), *_tables(space.tables), *_loaded(machine), *_mapped(pages)]
    return list(_merged(_sweep(claims, _Maps(pages))))


def _answering(machine: Machine, space: Capture) -> Iterator[_Claim]:
    """Who answers where: RAM is free until somebody claims it."""
    ram = []
    for place in space.surroundings.physical_map.places:
        if place.name == "RAM":
            ram.append(RamRange(PhysAddr(place.base), PhysAddr(place.end)))
            yield _Claim(place.base, place.end, Use.FREE)
        else:
            yield _Claim(page_down(place.base), page_up(place.end), Use.RESERVED, place.name)
    entries = memory_map(machine.memory)
    usable = tuple((entry.base, entry.end) for entry in entries if entry.kind is MemoryKind.USABLE)
    for hole in without(tuple(ram), usable):  # the BIOS's data, shadowed ROMs, ACPI tables
        yield _Claim(page_down(hole.base), page_up(hole.end), Use.RESERVED, _FIRMWARE)
    for entry in entries:
        if entry.kind is MemoryKind.RESERVED:
            yield _Claim(page_down(entry.base), page_up(entry.end), Use.RESERVED, _FIRMWARE)


def _tables(tables: Tables) -> Iterator[_Claim]:
    for frame in tables.frames:
        yield _Claim(base_of(frame), base_of(frame) + PAGE_SIZE, Use.TABLES)


def _loaded(machine: Machine) -> Iterator[_Claim]:
    if machine.loaded is None:
        return
    for use, things in ((Use.IMAGE, machine.loaded.segments), (Use.MODULES, machine.loaded.modules)):
        for thing in things:
            if thing.end > thing.base:
                yield _Claim(page_down(thing.base), page_up(thing.end), use, thing.name)


class _Pages(NamedTuple):
    """A run of pages, by physical address first."""

    base: int
    start: int
    size_bytes: int
    rights: int


def _pages(space: Capture) -> list[_Pages]:
    """The runs of `space` in ascending order, without those that lead where nobody answers: lint tells of them."""
    if space.control.mode is PagingMode.OFF:
        return []
    columns, somebody_in = space.regions().columns, space.surroundings.physical_map.somebody_in
    rows = zip(columns.phys, columns.start, columns.size_bytes, columns.rights, strict=True)
    return sorted(_Pages(*row) for row in rows if somebody_in(row[0], row[0] + row[2]))


def _mapped(pages: Iterable[_Pages]) -> Iterator[_Claim]:
    for run in pages:
        yield _Claim(run.base, run.base + run.size_bytes, Use.USER if run.rights & USER else Use.KERNEL)


class _Maps:
    """Which page maps a frame: the runs of a space by physical address."""

    def __init__(self, pages: Sequence[_Pages]) -> None:
        self._pages = pages
        self._bases = [run.base for run in pages]
        # Runs may cover each other, so the search goes back as far as the longest of them reaches.
        self._longest = max((run.size_bytes for run in pages), default=0)

    def first_at(self, at: int) -> int | None:
        """The lowest virtual address among the pages that map physical `at`."""
        found: list[int] = []
        index = bisect_right(self._bases, at)
        while index and self._bases[index - 1] > at - self._longest and len(found) < 16:
            index -= 1
            run = self._pages[index]
            if at < run.base + run.size_bytes:
                found.append(run.start + at - run.base)
        return min(found, default=None)


def _sweep(claims: Iterable[_Claim], maps: _Maps) -> Iterator[FrameRun]:
    """Cut memory at every border of a claim, and give each piece to the strongest claim on it."""
    order = {use: rank for rank, use in enumerate(Use)}
    borders: list[tuple[int, bool, _Claim]] = []
    for claim in claims:
        borders += ((claim.base, True, claim), (claim.end, False, claim))
    borders.sort(key=lambda border: border[0])
    active: dict[_Claim, int] = {}
    last = 0
    for at, begins, claim in borders:
        # What is mapped where nobody answers is lint's business.
        if at > last and any(one.use in (Use.FREE, Use.RESERVED) for one in active):
            best = min(active, key=lambda one: (order[one.use], one.owner in _VAGUE, one.owner))
            yield FrameRun(last, at, best.use, best.owner, maps.first_at(last))
        last = at
        active[claim] = active.get(claim, 0) + (1 if begins else -1)
        if not active[claim]:
            del active[claim]


def _merged(runs: Iterable[FrameRun]) -> Iterator[FrameRun]:
    """Join neighbours with one use, one owner, and pages that follow each other."""
    before: FrameRun | None = None
    for run in runs:
        if before is not None and before.end == run.base and _follows(before, run):
            before = before._replace(end=run.end)
            continue
        if before is not None:
            yield before
        before = run
    if before is not None:
        yield before


def _follows(before: FrameRun, run: FrameRun) -> bool:
    if (before.use, before.owner) != (run.use, run.owner):
        return False
    if before.mapped_at is None or run.mapped_at is None:
        return before.mapped_at is run.mapped_at
    return before.mapped_at + before.size_bytes == run.mapped_at
