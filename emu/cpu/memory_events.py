"""The memory model of a run: what is in its TLBs and caches, what it has counted, and what it was told.

The model is `native/memory_model.h`, fed with the guest's accesses by `native/memory_events.h`.  It is there with a
timing model that has one (``--timing i486``), and on the native core only.  Looking changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hillemu.emu.i386.address import PhysAddr, VirtAddr
from hillemu.emu.timing.memory import memory_geometry

if TYPE_CHECKING:
    from hillemu.emu.cpu._core import Core
    from hillemu.emu.timing.model import TimingModel

_PRESENT, _WRITABLE, _USER, _DIRTY = 1, 2, 4, 0x40


class TlbEntry(NamedTuple):
    """One valid translation."""

    tlb: str
    """``data`` (or the only one), ``code``, or ``large`` for 4 MiB pages."""
    set: int
    way: int
    page: VirtAddr
    frame: PhysAddr
    size_bytes: int
    writable: bool
    user: bool
    dirty: bool
    age: int
    """In its set: 0 was used last; the highest is replaced next.  With pseudo-LRU, as its bits tell."""


class CacheLine(NamedTuple):
    """One valid line."""

    cache: str
    """``data`` (or the only one), or ``code``."""
    set: int
    way: int
    at: PhysAddr
    state: str
    """A letter of MESI; a write-through cache knows S only."""


class ModelledMemory:
    """The memory system of `model` in the processor `core`, which has not run yet.

    `board_from` is where the board's devices begin, above RAM: nothing from there on is in a cache.  Raises
    `OptionError` for a memory system that cannot be.
    """

    HAS_STATE = False

    def __init__(self, core: Core, model: TimingModel, board_from: int = 0) -> None:
        self.geometry = memory_geometry(model, uncached_above=board_from)
        self._core = core
        core.set_memory_model(self.geometry._asdict())

    def counters(self) -> dict[str, int]:
        """By the names of MEMORY_COUNTERS in native/memory_model.h."""
        return self._core.memory_counters()

    def paged_accesses(self) -> int:
        """How many accesses there were while paging was on."""
        return self._core.paged_accesses()

    def tlb(self) -> list[TlbEntry]:
        """The valid entries, by TLB, set and way."""
        return [
            TlbEntry(
                tlb,
                number,
                way,
                VirtAddr(page << (22 if tlb == "large" else 12)),
                PhysAddr(frame << (22 if tlb == "large" else 12)),
                1 << (22 if tlb == "large" else 12),
                bool(rights & _WRITABLE),
                bool(rights & _USER),
                bool(rights & _DIRTY),
                _age(self.geometry.tlb_ways, recent, way),
            )
            for tlb, number, way, page, frame, rights, recent in self._core.memory_tlb()
        ]

    def lines(self) -> list[CacheLine]:
        """The valid lines, by cache, set and way."""
        return [
            CacheLine(cache, number, way, PhysAddr(at), state)
            for cache, number, way, at, state in self._core.memory_lines()
        ]

    # ---- recording ----------------------------------------------------------------------------------------------

    def record(self, wanted: bool) -> None:
        """From now on keep all that the model is told and answers, or no more; what was kept is forgotten."""
        self._core.record_memory(wanted)

    def recorded(self) -> tuple[bytes, bytes]:
        """What was kept since the last call: records and results, as native/memory_model_type.c writes them.

        In front of an access stand the page-table entries that its walk has read, as stores.
        """
        return self._core.take_memory_record()


def _age(ways: int, recent: int, way: int) -> int:
    """How many of a set's ways were used later, by its replacement bits (replacement_touch() in C)."""
    if ways == 1:
        return 0
    if ways == 2:
        return int(recent == way)
    pair, last_pair = way // 2, 0 if recent & 1 else 1
    first_is_last = recent & (2 if pair == 0 else 4) != 0
    is_last_of_pair = first_is_last == (way % 2 == 0)
    return (0 if pair == last_pair else 2) + (0 if is_last_of_pair else 1)
