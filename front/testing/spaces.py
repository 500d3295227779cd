"""What a range of addresses must be: matchers for a whole address space, `machine.paging` or a capture of it.

::

    assert machine.paging == maps(range(0xC0000000, 0xC0400000), to=0, flags="rw")
    assert machine.paging == maps_nothing(range(0, 0x1000))

They look at every page of the range, also of one that is a million pages long.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

from hillemu.emu.errors import OptionError
from hillemu.emu.i386.address import PAGE_SIZE
from hillemu.emu.i386.spaces import Region
from hillemu.inspection.spaces import AddressSpace
from hillemu.testing.flags import Flags
from hillemu.testing.translations import flag_complaints

SPACE_END = 1 << 32


class Problem(NamedTuple):
    """Addresses from `start` to `end` (not included) that are not as wanted, and why."""

    start: int
    end: int
    what: str

    def __str__(self) -> str:
        pages = (self.end - self.start + PAGE_SIZE - 1) // PAGE_SIZE
        count = f" ({pages:,} pages)" if pages > 1 else ""
        return f"0x{self.start:08X}-0x{self.end - 1:08X}{count}: {self.what}"


class SpaceMatcher(ABC):
    """Equals every address space in which the addresses `where` are as it says."""

    def __init__(self, where: range) -> None:
        if not isinstance(where, range) or where.step != 1:
            raise OptionError("where", f"{where!r} is no range of addresses; write range(start, end)")
        if not 0 <= where.start < where.stop <= SPACE_END:
            raise OptionError("where", f"{where_text(where)} is empty or reaches beyond 4 GiB")
        self.where = where

    @abstractmethod
    def problems(self, space: AddressSpace) -> list[Problem]:
        """What in `space` is not as wanted, in ascending order; empty if it matches."""

    def __eq__(self, other: object) -> bool:
        return not self.problems(other) if isinstance(other, AddressSpace) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def runs(self, space: AddressSpace, *, split_flags: bool = False) -> Iterator[tuple[int, int, Region | None]]:
        """`where` in pieces: start, end, and the run of pages there, if any."""
        at = self.where.start
        for region in space.regions(split_flags=split_flags):
            if region.end <= at:
                continue
            if region.start >= self.where.stop:
                break
            if region.start > at:
                yield at, region.start, None
                at = region.start
            end = min(region.end, self.where.stop)
            yield at, end, region
            at = end
        if at < self.where.stop:
            yield at, self.where.stop, None


class maps(SpaceMatcher):  # noqa: N801 - it reads as a word of the assertion
    """All of `where` is mapped: to the physical addresses from `to` on, if that is given, and as `flags` says.

    See `hillemu.testing.flags` for the letters.
    """

    def __init__(self, where: range, *, to: int | None = None, flags: str | None = None) -> None:
        super().__init__(where)
        self.to = to
        self.flags = None if flags is None else Flags.parse(flags)

    def problems(self, space: AddressSpace) -> list[Problem]:
        wanted = {} if self.flags is None else self.flags.complete(no_execute=space.control.no_execute)
        found = []
        for start, end, region in self.runs(space, split_flags=bool(set(wanted) & set("adgc"))):
            if region is None:
                found.append(Problem(start, end, "nothing is mapped"))
                continue
            complaints = flag_complaints(region, wanted)
            phys = region.phys_at(start)
            if self.to is not None and phys != (expected := self.to + start - self.where.start):
                complaints.insert(0, f"expected physical 0x{expected:08X}")
            if complaints:
                found.append(Problem(start, end, f"-> 0x{phys:08X} {region.letters}; {'; '.join(complaints)}"))
        return found

    def __repr__(self) -> str:
        said = [where_text(self.where)]
        said += [] if self.to is None else [f"to=0x{self.to:X}"]
        said += [] if self.flags is None else [f"flags={self.flags.text!r}"]
        return f"maps({', '.join(said)})"


class maps_nothing(SpaceMatcher):  # noqa: N801
    """No address of `where` is mapped."""

    def problems(self, space: AddressSpace) -> list[Problem]:
        return [
            Problem(start, end, f"expected nothing, -> 0x{region.phys_at(start):08X} {region.letters}")
            for start, end, region in self.runs(space)
            if region is not None
        ]

    def __repr__(self) -> str:
        return f"maps_nothing({where_text(self.where)})"


def where_text(where: range) -> str:
    """A range in hexadecimal, as it was written."""
    return f"range(0x{where.start:X}, 0x{where.stop:X})"
