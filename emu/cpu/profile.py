"""A profile from the native core: what each executed instruction took, by which chain of calls, and when.

native/profile.h has the rules.  The sums are the clock's: over all `sites` and `deliveries`, over all `nodes`, and over
all `slices` there are the same instructions and ticks, which are those that the processor has counted meanwhile.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from hillemu.emu.errors import OptionError
from hillemu.emu.i386.address import Frame, VirtAddr

if TYPE_CHECKING:
    from hillemu.emu.cpu._core import Core

_COSTS = "11q"
_SITE, _NODE, _SLICE = struct.Struct(f"=2I{_COSTS}"), struct.Struct(f"=3I2Hq{_COSTS}"), struct.Struct(f"={_COSTS}")
_NONE = 0xFFFFFFFF


class Costs(NamedTuple):
    """What something took.  Without a timing model a tick is an instruction or a port access's wait, else a cycle."""

    instructions: int = 0
    ticks: int = 0
    """All of them, the idle ones too."""
    idle: int = 0
    """Ticks without instructions: HLT, and without a timing model port accesses."""
    stall: int = 0
    """Of the ticks, those that the memory model charged."""
    tlb_misses: int = 0
    walk: int = 0
    """Of the ticks, those of page walks."""
    cache_misses: int = 0
    branches: int = 0
    """Near branches, where the timing model predicts them."""
    mispredicted: int = 0
    conditional: int = 0
    """Of the branches, those with a condition."""
    conditional_mispredicted: int = 0

    def plus(self, other: Costs) -> Costs:
        return Costs(*map(sum, zip(self, other, strict=True)))


class Site(NamedTuple):
    """An instruction in memory."""

    pc: VirtAddr
    """Linear address."""
    frame: Frame | None
    """Of the page that it lies in; None if it was not mapped when an interrupt led there."""
    costs: Costs


class NodeKind(IntEnum):
    """How a function was entered."""

    ROOT = 0
    """Where the profile began."""
    CALL = 1
    INTERRUPT = 2
    """A device's: its parent is the root."""
    EXCEPTION = 3
    SOFTWARE = 4
    """INT n, INT3 and INTO."""
    STACK = 5
    """On a stack that was not seen before: a new thread.  Its parent is the root."""


class Node(NamedTuple):
    """A function in one chain of calls."""

    parent: int
    """Index of the node that called; the root is its own."""
    caller: int | None
    """Index of the calling instruction among the sites."""
    entry: int | None
    """Index of the first instruction."""
    kind: NodeKind
    vector: int
    calls: int
    costs: Costs
    """Its own, without what it called."""


class Profile(NamedTuple):
    """What was measured."""

    sites: tuple[Site, ...]
    nodes: tuple[Node, ...]
    """A tree; parents come before what they call, and the first is the root."""
    slices: tuple[Costs, ...]
    """By time, one behind the other, each of `slice_ticks` from the clock's `began` on."""
    deliveries: Costs
    """From what was interrupted to the handler's first instruction."""
    slice_ticks: int
    began: int
    lost_calls: int
    """Calls whose costs went to their callers', because there are too many different chains."""

    @property
    def total(self) -> Costs:
        """All of it."""
        total = Costs()
        for part in self.slices:
            total = total.plus(part)
        return total


class Profiler:
    """Takes a profile of `core` from now on; one at a time.  Raises `OptionError` on the portable core."""

    def __init__(self, core: Core, *, is_native: bool) -> None:
        if not is_native:
            raise OptionError("profile", "needs the native core; this is the portable one (HILLEMU_CORE, or the host)")
        self._core = core
        core.start_profile()

    def profile(self) -> Profile:
        """What there is by now; the processor must not be running."""
        sites, nodes, slices, deliveries, slice_ticks, began, lost = self._core.profile()
        return Profile(
            tuple(_sites(sites)),
            tuple(_nodes(nodes)),
            tuple(Costs(*row) for row in _SLICE.iter_unpack(slices)),
            Costs(*_SLICE.unpack(deliveries)),
            slice_ticks,
            began,
            lost,
        )

    def stop(self) -> None:
        """From here on the run is as fast as before."""
        self._core.stop_profile()


def _sites(rows: bytes) -> Iterator[Site]:
    for pc, frame, *costs in _SITE.iter_unpack(rows):
        yield Site(VirtAddr(pc), None if frame == _NONE else Frame(frame), Costs(*costs))


def _nodes(rows: bytes) -> Iterator[Node]:
    for parent, caller, entry, kind, vector, calls, *costs in _NODE.iter_unpack(rows):
        yield Node(parent, _known(caller), _known(entry), NodeKind(kind), vector, calls, Costs(*costs))


def _known(number: int) -> int | None:
    return None if number == _NONE else number
