"""The TLBs and caches of the processor that `--timing` models, as data.

>>> from hillemu import Machine
>>> machine = Machine(mem="16M", timing="i486")
>>> loaded = machine.load_demo()
>>> stop = machine.run()
>>> machine.tlb.misses > 0 and machine.cache.lines[0].state
'S'

They are the model's (docs/timing.md), not the host's; looking changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hillemu.emu.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hillemu.emu.cpu.memory_events import CacheLine, ModelledMemory, TlbEntry
    from hillemu.emu.i386.outcomes import Translation
    from hillemu.inspection.spaces import Paging


def memory_model_of(memory: ModelledMemory | None, wanted: str) -> ModelledMemory:
    """`memory`, or `OptionError` where the machine has none and `wanted` was asked for."""
    if memory is None:
        raise OptionError("--timing", f"{wanted}: only the models i386, i486 and pentium have TLBs and caches")
    return memory


class CheckedEntry(NamedTuple):
    """An entry beside what the page tables say of its page now."""

    entry: TlbEntry
    is_stale: bool
    """The tables lead elsewhere, or allow less: a flush is missing, if the page is used."""
    tables: str
    """What they say, in a few words."""


class Tlb:
    """Translations: what is held, and what it cost to find the others."""

    def __init__(self, memory: ModelledMemory) -> None:
        self._memory = memory
        self._counters: Callable[[], dict[str, int]] = memory.counters

    @property
    def entries(self) -> list[TlbEntry]:
        """The valid ones, by TLB, set and way."""
        return self._memory.tlb()

    def against(self, paging: Paging) -> list[CheckedEntry]:
        """The valid entries beside the tables that `paging` walks."""
        return [_checked(entry, paging.walk(entry.page)) for entry in self.entries]

    @property
    def hits(self) -> int:
        """Accesses with paging on that needed no page walk."""
        return self._memory.paged_accesses() - self.misses

    @property
    def misses(self) -> int:
        """Page walks, those that ended in a page fault with them."""
        counters = self._counters()
        return counters["data_tlb_misses"] + counters["code_tlb_misses"]

    @property
    def walk_cycles(self) -> int:
        """That walks took, with their reads and with setting A and D."""
        return self._counters()["walk_clocks"]

    @property
    def accesses_under_pae(self) -> int:
        """How many were not translated, as none of the modelled processors has PAE; they cost no walks."""
        return self._counters()["unmodelled"]

    def as_dict(self) -> dict[str, Any]:
        """The counts, for JSON."""
        counters = self._counters()
        return {
            "hits": self.hits,
            "misses": self.misses,
            "code_misses": counters["code_tlb_misses"],
            "evictions": counters["tlb_evictions"],
            "walk_cycles": self.walk_cycles,
            "walk_reads_from_memory": counters["walk_misses"],
            "accessed_and_dirty_updates": counters["updates"],
            "walks_that_faulted": counters["faults"],
            "flushes": counters["flushes_cr3"] + counters["flushes_task"] + counters["flushes_mode"],
            "invlpgs": counters["invlpgs"],
            "untranslated_pae": self.accesses_under_pae,
        }


def _checked(entry: TlbEntry, outcome: Translation) -> CheckedEntry:
    from hillemu.emu.i386.outcomes import Mapped

    if not isinstance(outcome, Mapped):
        return CheckedEntry(entry, True, outcome.verdict)
    if outcome.phys != entry.frame:
        return CheckedEntry(entry, True, f"at 0x{outcome.phys:08X}")
    lost = [
        name
        for name, had, has in (
            ("writable", entry.writable, outcome.rights.writable),
            ("user", entry.user, outcome.rights.user),
        )
        if had and not has
    ]
    return CheckedEntry(entry, bool(lost), f"not {' and '.join(lost)}" if lost else "the same")


class Cache:
    """Memory that is held near the processor; a processor without a cache misses always."""

    def __init__(self, memory: ModelledMemory) -> None:
        self._memory = memory

    @property
    def lines(self) -> list[CacheLine]:
        """The valid ones, by cache, set and way."""
        return self._memory.lines()

    @property
    def hits(self) -> int:
        """Reads, writes and lines of code that were there."""
        counters = self._memory.counters()
        return counters["reads"] + counters["writes"] + counters["fetches"] - self.misses

    @property
    def misses(self) -> int:
        """Those that were not."""
        counters = self._memory.counters()
        if not self._memory.geometry.data_cache_bytes:
            return counters["reads"] + counters["writes"] + counters["fetches"]
        return counters["data_cache_misses"] + counters["code_cache_misses"] + counters["write_misses"]

    @property
    def wait_cycles(self) -> int:
        """That the whole memory model added to the instructions' own: caches, bus, page walks, misalignment."""
        return self._memory.counters()["stall_clocks"]

    def as_dict(self) -> dict[str, Any]:
        """The counts, for JSON."""
        counters = self._memory.counters()
        return {
            "hits": self.hits,
            "misses": self.misses,
            "read_misses": counters["data_cache_misses"],
            "code_misses": counters["code_cache_misses"],
            "write_misses": counters["write_misses"],
            "evictions": counters["cache_evictions"],
            "write_backs": counters["write_backs"],
            "bus_writes": counters["bus_writes"],
            "uncached": counters["uncached"],
            "wait_cycles": self.wait_cycles,
        }
