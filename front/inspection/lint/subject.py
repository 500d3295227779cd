"""What the rules look at: one space, prepared once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

from hillemu.emu.i386.address import Frame, VirtAddr
from hillemu.emu.i386.spaces import Regions, Tables, regions_of
from hillemu.emu.i386.spaces_tables import LEGACY_SPAN, PAE_SPAN, POINTER_SPAN, Link
from hillemu.inspection.lint.findings import Severity
from hillemu.inspection.privileged import PrivilegedPlace
from hillemu.inspection.surroundings import Surroundings

HIGHER_HALF = 0x80000000
FOUR_GIB = 1 << 32


class Spot(NamedTuple):
    """A place that a rule does not like."""

    severity: Severity
    start: VirtAddr
    size_bytes: int
    what: str


class Subject:
    """A space with its surroundings.

    `kernel` is the range of addresses that are the kernel's, if it is known; `kernel_is_said` that somebody said so.
    """

    def __init__(
        self, tables: Tables, surroundings: Surroundings, kernel: tuple[int, int] | None, kernel_is_said: bool
    ) -> None:
        self.tables = tables
        self.control = tables.control
        self.physical_map = surroundings.physical_map
        self.places = surroundings.places
        self.dormant = surroundings.dormant
        self.kernel = kernel
        self.kernel_is_said = kernel_is_said

    @cached_property
    def regions(self) -> Regions:
        return regions_of(self.tables)

    @cached_property
    def page_table_links(self) -> tuple[Link, ...]:
        """The directory entries that the processor follows to page tables, those to itself left out."""
        windows = set(self.self_maps)
        return tuple(
            link
            for link in self.tables.links
            if link.span != POINTER_SPAN and not link.leads_nowhere and link not in windows
        )

    @cached_property
    def self_maps(self) -> tuple[Link, ...]:
        """Directory entries whose page table is a page directory of this space."""
        directories = {directory for _, directory, _ in self.tables.directories}
        return tuple(
            link
            for link in self.tables.links
            if link.span in (LEGACY_SPAN, PAE_SPAN) and link.table in directories and not link.leads_nowhere
        )

    def in_window(self, at: int) -> bool:
        """Whether virtual `at` is in the window of a recursive map."""
        return bool(self.self_maps) and any(link.start <= at < link.start + link.span for link in self.self_maps)

    @cached_property
    def table_frames(self) -> Sequence[Frame]:
        """The frames of all tables, ascending."""
        return sorted(self.tables.frames)


def kernel_range(places: Sequence[PrivilegedPlace]) -> tuple[int, int] | None:
    """Which addresses are probably the kernel's: start and end, in units of 4 MiB; `None` without any hint.

    If its code (the instruction at ring 0, the IDT's handlers) is in the upper half of the space, or some of it, the
    kernel has all from there up; otherwise from the lowest to the highest of it.

    >>> code = [PrivilegedPlace(VirtAddr(at), 1, "code", True) for at in (0xC0101234, 0xC0200000)]
    >>> [hex(at) for at in kernel_range(code)]
    ['0xc0000000', '0x100000000']
    """
    code = [place.start for place in places if place.is_code]
    if not code:
        return None
    upper = [at for at in code if at >= HIGHER_HALF]
    if upper:
        return min(upper) & -LEGACY_SPAN, FOUR_GIB
    return min(code) & -LEGACY_SPAN, (max(code) | LEGACY_SPAN - 1) + 1
