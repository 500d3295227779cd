"""Puts virtual memory together, on top of `KernelMemory` and the kernel half of the page tables.

`create_space`, `add_module` and `check` are for the kernel; address spaces use the rest.
"""

from __future__ import annotations

from collections.abc import Callable

from hillemu.emu.i386.address import Frame, PhysAddr, VirtAddr
from hillemu.emu.reports import Report, unheard
from hillemu.kernel.errors import InvalidParameters
from hillemu.kernel.layout import HEAP_BASE, HEAP_MAX_BYTES, MMAP_BASE
from hillemu.kernel.mm.address_space import AddressSpace
from hillemu.kernel.mm.areas import AREA, AreaMap
from hillemu.kernel.mm.assembly import KernelMemory
from hillemu.kernel.mm.counters import Event
from hillemu.kernel.mm.files import File, ModuleFile, SharedMemory
from hillemu.kernel.mm.frames import OutOfMemory
from hillemu.kernel.mm.kernel_space import KernelSpace
from hillemu.kernel.mm.oom import OomPolicy, largest, sentence
from hillemu.kernel.mm.page_cache import CACHED_FILE, PageCache
from hillemu.kernel.mm.page_tables import NO_EXECUTE, PRESENT, USER, WRITABLE
from hillemu.kernel.mm.protection import PROT_EXEC, PROT_WRITE
from hillemu.kernel.mm.reclaim import Reclaim
from hillemu.kernel.mm.replacement import Clock, PolicyFactory
from hillemu.kernel.mm.reverse_map import ReverseMap
from hillemu.kernel.mm.swap import Swap, SwapStore
from hillemu.kernel.mm.task_memory import (
    BRK,
    HEAP_END,
    HEAP_MAX,
    HEAP_START,
    ID,
    LARGEST_ID,
    MMAP_CURSOR,
    PAGE_DIRECTORY,
    TASK_MEMORY,
)
from hillemu.kernel.mm.window import HighWindow

Kill = Callable[[AddressSpace, str], None]
"""End the program that has this space, and destroy the space; the sentence says why."""


class VirtualMemory:
    """All address spaces, by id, and what they share."""

    def __init__(
        self,
        memory: KernelMemory,
        kernel: KernelSpace,
        store: SwapStore | None,
        policy: PolicyFactory,
        oom: OomPolicy,
        kill: Kill | None,
        report: Report,
    ) -> None:
        self.kernel_memory, self.kernel, self.report = memory, kernel, report
        self.memory, self.direct = memory.direct.memory, memory.direct
        self.pmm, self.counters = memory.pmm, memory.counters
        self.spaces: dict[int, AddressSpace] = {}
        self.kill = kill
        """May be set later: by whoever knows of processes."""
        self._oom = oom
        self._records = memory.caches.create("task_memory", TASK_MEMORY.size_bytes)
        self._areas = memory.caches.create("vm_area", AREA.size_bytes)
        structures = memory.caches.create("cached_file", CACHED_FILE.size_bytes)
        self.files = PageCache(self.direct, self.pmm, self.counters, structures)
        self._modules: dict[str, ModuleFile] = {}
        self.swap = Swap(self.direct, self.pmm, store) if store is not None else None
        self.reverse_map = ReverseMap(self.pmm, self.files, self.spaces)
        self.reclaim = Reclaim(
            self.direct, self.pmm, self.counters, self.files, self.swap, self.reverse_map, policy,
            memory.pool.kmalloc_early, kernel.flush_tlb,
        )  # fmt: skip
        self.page_added = self.reclaim.added
        self.window = HighWindow(kernel, report)
        self.entry_flags = tuple(_entry_flags(prot, kernel.no_execute) for prot in range(8))
        """By rights: the low bits, and perhaps the highest, of a page-table entry."""

    @classmethod
    def build(
        cls,
        memory: KernelMemory,
        kernel: KernelSpace,
        *,
        swap: SwapStore | None = None,
        policy: PolicyFactory = Clock,
        oom: OomPolicy = largest,
        kill: Kill | None = None,
        report: Report = unheard,
    ) -> VirtualMemory:
        """Virtual memory without programs.  Raises `InvalidParameters` if memory does not suffice."""
        return cls(memory, kernel, swap, policy, oom, kill, report)

    # ---- files --------------------------------------------------------------------------------------------------

    def add_module(self, name: str, base: int, size_bytes: int) -> ModuleFile:
        """Make a file of a boot module, which lies in RAM that no allocator has.

        Raises `InvalidParameters` for a name that is taken.
        """
        if name in self._modules:
            raise InvalidParameters(f"mm_init: there are two modules called {name}")
        file = self._modules[name] = ModuleFile(self.memory, name, PhysAddr(base), size_bytes)
        return file

    def find_file(self, name: str) -> File | None:
        """The module of that name."""
        return self._modules.get(name)

    def close_shared_memory(self, numbers: set[int]) -> None:
        """Of these files, forget anonymous ones that nobody maps any more."""
        for number in numbers:
            if isinstance(self.files.file(number), SharedMemory) and not any(
                area.file == number for space in self.spaces.values() for area in space.areas
            ):
                self.files.close(number)

    # ---- spaces -------------------------------------------------------------------------------------------------

    def create_space(self, name: str = "") -> AddressSpace | OutOfMemory:
        """An address space with nothing in it but the kernel half."""
        number = next((number for number in range(1, LARGEST_ID + 1) if number not in self.spaces), 0)
        at = self._records.alloc() if number else VirtAddr(0)
        if not at:
            return OutOfMemory(0, self.pmm.free_frames)
        record = self.direct.u32_array(at, len(TASK_MEMORY.members))
        for member in range(len(record)):
            record[member] = 0
        areas = AreaMap(record, self.direct, self.pmm, self._areas)
        record[ID] = number
        failed = areas.reserve(1)
        tables = self.kernel.new_tables(number) if failed is None else failed
        if isinstance(tables, OutOfMemory):
            areas.destroy()
            self._records.free(at)
            return tables
        record[HEAP_START] = record[HEAP_END] = record[BRK] = HEAP_BASE
        record[HEAP_MAX] = HEAP_BASE + HEAP_MAX_BYTES
        record[MMAP_CURSOR] = MMAP_BASE
        record[PAGE_DIRECTORY] = tables.cr3
        space = AddressSpace(self, at, record, tables, areas, name or f"program {number}")
        self.spaces[number] = space
        return space

    def forget(self, space: AddressSpace) -> None:
        """The last of `AddressSpace.destroy`: its page tables, its record, its place in the list."""
        del self.spaces[space.record[ID]]
        self.kernel.forget_tables(space.tables)
        self._records.free(space.at)

    def end_somebody(self, asking: AddressSpace, cause: str) -> str | None:
        """Nothing can be reclaimed: have a program ended.  Why, if it is `asking`; None if it was another."""
        victim = self._oom(self.spaces.values())
        if not isinstance(victim, AddressSpace) or victim not in self.spaces.values():
            raise InvalidParameters(f"oom: {victim!r} was picked, which is none of the address spaces that there are")
        reason = sentence(victim, cause)
        self.counters.count(Event.OOM_KILL)
        self.report(reason)
        if victim is asking:
            return reason
        number = victim.record[ID]
        if self.kill is not None:
            self.kill(victim, reason)
        if self.spaces.get(number) is victim:
            victim.destroy()
        return None

    # ---- what there is ------------------------------------------------------------------------------------------

    def free_up(self, frames: int) -> int:
        """Evict pages until so many more frames are free; how many it was."""
        return self.reclaim.shrink(frames)

    def holders(self, frame: Frame) -> list[tuple[str, int]]:
        """Which programs map `frame`, a program's page, and where."""
        if not self.reverse_map.is_program_page(frame):
            return []
        return [(place.space.name, place.at) for place in self.reverse_map.places(frame)]

    def check(self) -> list[str]:
        """Contradictions in all of memory management, as sentences; none if all is well."""
        from hillemu.kernel.mm.space_check import check_all

        return self.kernel_memory.check() + check_all(self)


def _entry_flags(prot: int, no_execute: bool) -> int:
    if not prot:
        return PRESENT
    flags = PRESENT | USER | (WRITABLE if prot & PROT_WRITE else 0)
    return flags | (NO_EXECUTE if no_execute and not prot & PROT_EXEC else 0)
