"""What is different between two address spaces, or between two moments of one.

>>> from hillemu.emu.i386.address import PhysAddr
>>> from hillemu.emu.i386.control import ControlState
>>> from hillemu.emu.i386.spaces import capture_tables, regions_of
>>> from hillemu.emu.guest import FakeMemory
>>> memory = FakeMemory(0x4000)
>>> memory.set_u32(PhysAddr(0), 0x1003)
>>> memory.set_u32(PhysAddr(0x1004), 0x2003)
>>> control = ControlState(cr0=0x80000001, cr3=0)
>>> before = regions_of(capture_tables(memory, control))
>>> memory.set_u32(PhysAddr(0x1004), 0x2001)
>>> memory.set_u32(PhysAddr(0x1008), 0x3003)
>>> for change in differences(before, regions_of(capture_tables(memory, control))):
...     print(change)
rights    0x00001000-0x00001FFF  -> 0x000002000 -rwx  becomes  -> 0x000002000 -r-x
mapped    0x00002000-0x00002FFF  -> 0x000003000 -rwx
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from hillemu.emu.i386.address import VirtAddr
from hillemu.emu.i386.spaces import Columns, Region, Regions, run_of

_START, _PHYS, _SIZE, _PAGE_SIZE, _RIGHTS = (
    Columns._fields.index(name) for name in ("start", "phys", "size_bytes", "page_size_bytes", "rights")
)


class ChangeKind(StrEnum):
    """What happened to a run of addresses; the first that applies."""

    MAPPED = "mapped"
    UNMAPPED = "unmapped"
    MOVED = "moved"
    """Other frames."""
    RIGHTS = "rights"
    PAGE_SIZE = "page size"
    FLAGS = "flags"
    """Accessed, dirty, global or cache-disabled; looked for on request."""


@dataclass(frozen=True, slots=True)
class Change:
    """`size_bytes` at virtual `start` are not what they were.

    `before` and `after` are the runs that hold them, `None` where nothing is mapped; a run may reach beyond.
    """

    kind: ChangeKind
    start: VirtAddr
    size_bytes: int
    before: Region | None
    after: Region | None

    @property
    def end(self) -> int:
        """The first virtual address behind the change."""
        return self.start + self.size_bytes

    def __str__(self) -> str:
        text = f"{self.kind:<9} 0x{self.start:08X}-0x{self.end - 1:08X}"
        sides = [f"-> 0x{run.phys_at(self.start):09X} {_told(run, self.kind)}" for run in self._runs]
        return f"{text}  {'  becomes  '.join(sides)}"

    @property
    def _runs(self) -> list[Region]:
        return [run for run in (self.before, self.after) if run is not None]


def differences(before: Regions, after: Regions, *, flags: bool = False) -> list[Change]:
    """All changes in ascending order of virtual address.

    With `flags` these are compared too; both sides must be split by them then (`regions_of(..., split_flags=True)`).
    """
    changes: list[Change] = []
    for start, end, old, new in _side_by_side(before.columns, after.columns):
        kind = _kind(old, new, start, flags)
        if kind is not None:
            runs = (None if row is None else run_of(row) for row in (old, new))
            changes.append(Change(kind, VirtAddr(start), end - start, *runs))
    return changes


_Row = tuple[int, ...]
"""What `Columns` have of one run.  Of a million runs few are different: only those are made into `Region`s."""


def _side_by_side(before: Columns, after: Columns) -> Iterator[tuple[int, int, _Row | None, _Row | None]]:
    """Cut the space at every border of either side: start, end, and the run that each side has there.

    Where both sides have the same run, nothing is told.
    """
    olds, news = zip(*before, strict=True), zip(*after, strict=True)
    old, new = next(olds, None), next(news, None)
    at = 0
    while old is not None or new is not None:
        if old == new:
            old, new = next(olds, None), next(news, None)
            continue
        at = max(at, min(run[_START] for run in (old, new) if run is not None))
        here_old = old if old is not None and old[_START] <= at else None
        here_new = new if new is not None and new[_START] <= at else None
        end = min(_next_border(run, at) for run in (old, new) if run is not None)
        yield at, end, here_old, here_new
        at = end
        if old is not None and old[_START] + old[_SIZE] <= at:
            old = next(olds, None)
        if new is not None and new[_START] + new[_SIZE] <= at:
            new = next(news, None)


def _next_border(run: _Row, at: int) -> int:
    return run[_START] if run[_START] > at else run[_START] + run[_SIZE]


def _kind(old: _Row | None, new: _Row | None, at: int, flags: bool) -> ChangeKind | None:
    if old is None:
        return ChangeKind.MAPPED if new is not None else None
    if new is None:
        return ChangeKind.UNMAPPED
    if old[_PHYS] - old[_START] != new[_PHYS] - new[_START]:
        return ChangeKind.MOVED
    if old[_RIGHTS] != new[_RIGHTS]:
        return ChangeKind.RIGHTS
    if old[_PAGE_SIZE] != new[_PAGE_SIZE]:
        return ChangeKind.PAGE_SIZE
    return ChangeKind.FLAGS if flags and _uniform(old) != _uniform(new) else None


def _uniform(run: _Row) -> tuple[bool, ...]:
    """Which flags all pages have."""
    pages = run[_SIZE] // run[_PAGE_SIZE]
    return tuple(count == pages for count in run[_RIGHTS + 1 :])


def _uniform_flags(run: Region) -> tuple[str, ...]:
    """The flags that all pages have."""
    return tuple(name for name, count in run.flags.items() if count == run.pages)


def _told(run: Region, kind: ChangeKind) -> str:
    if kind is ChangeKind.PAGE_SIZE:
        return f"{run.letters} {run.page_size_bytes >> 10} KiB pages"
    return f"{run.letters} {' '.join(_uniform_flags(run))}".rstrip() if kind is ChangeKind.FLAGS else run.letters
