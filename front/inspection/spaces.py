"""An address space to ask: live (`Paging`), or as it was at one moment (`Capture`).

>>> from hillemu.machine import Machine
>>> machine = Machine(mem="16M")
>>> loaded = machine.load_demo()
>>> stop = machine.run()
>>> paging = machine.paging.at(cr3=0x5000, mode="32-bit")
>>> print(paging[0xC0100000].explain())
CR3 0x00005000
PDE[0x300] @0x00005C00 = not present
=> 0xC0100000: PDE[0x300] is not present: a read by supervisor mode raises #PF, error code 0x0
>>> len(paging), 0xC0100000 in paging
(0, False)

Looking changes nothing: no accessed bit, no TLB, no clock.  What a stale TLB entry would still translate is not told.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hillemu.emu.errors import UserMistake
from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PAGE_SHIFT, PAGE_SIZE, Frame, PhysAddr, VirtAddr
from hillemu.emu.i386.control import PAE, PEEK, PG, Access, ControlState, PagingMode
from hillemu.emu.i386.outcomes import Mapped, Translation
from hillemu.emu.i386.paging import ReadableMemory, translate
from hillemu.emu.i386.spaces import Region, Regions, Tables, capture_tables, regions_of
from hillemu.inspection.differences import Change, differences
from hillemu.inspection.physical_map import PhysicalMap
from hillemu.inspection.privileged import RegisterFile, privileged_places
from hillemu.inspection.statistics import Statistics, statistics_of
from hillemu.inspection.surroundings import Surroundings, dormant_tables

if TYPE_CHECKING:
    from hillemu.emu.pc import Pc
    from hillemu.inspection.lint import Findings, Severity

_MODES = {"32-bit": PagingMode.LEGACY, "pae": PagingMode.PAE}


class AddressSpace:
    """What can be asked of a space.

    It behaves as a mapping from virtual addresses to the outcomes of a walk, except that iterating gives `Region`s:
    nobody wants four thousand million addresses.
    """

    @property
    @abstractmethod
    def control(self) -> ControlState:
        """The registers that translations depend on."""

    @property
    @abstractmethod
    def tables(self) -> Tables:
        """A copy of all tables."""

    @property
    @abstractmethod
    def _memory(self) -> ReadableMemory:
        """Where walks read."""

    @abstractmethod
    def _surroundings(self) -> Surroundings:
        """What lint knows beside the tables."""

    # ---- one address --------------------------------------------------------------------------------------------

    def walk(self, at: int, access: Access = PEEK) -> Translation:
        """Walk the tables for `access` to virtual `at`; `UserMistake` if that is no 32-bit address.

        Without `access`: a look from outside, which no right of the page refuses.
        """
        return translate(self._memory, checked(at), self.control, access)

    def __getitem__(self, at: int) -> Translation:
        return self.walk(at)

    def __contains__(self, at: int) -> bool:
        return isinstance(self.walk(at), Mapped)

    # ---- the whole space ----------------------------------------------------------------------------------------

    def regions(self, *, split_flags: bool = False) -> Regions:
        """All that is mapped, as runs of pages; with `split_flags` they also end where A, D, G or PCD changes."""
        return regions_of(self.tables, split_flags=split_flags)

    def __iter__(self) -> Iterator[Region]:
        return iter(self.regions())

    def __len__(self) -> int:
        return len(self.regions())

    def __bool__(self) -> bool:
        return True

    def who_maps(self, frame: int) -> list[Region]:
        """Every place that maps physical frame number `frame` (address divided by 4096), each 4 KiB long."""
        found = []
        base = frame << PAGE_SHIFT
        regions = self.regions(split_flags=True)
        for index, (phys, size_bytes) in enumerate(zip(regions.columns.phys, regions.columns.size_bytes, strict=True)):
            if phys <= base < phys + size_bytes:
                found.append(_one_frame(regions[index], Frame(frame)))
        return found

    def diff(self, earlier: AddressSpace, *, flags: bool = False) -> list[Change]:
        """What is different here from `earlier`; with `flags`, accessed, dirty, global and cache-disabled count too."""
        return differences(earlier.regions(split_flags=flags), self.regions(split_flags=flags), flags=flags)

    def statistics(self) -> Statistics:
        """The space in numbers."""
        return statistics_of(self.tables)

    def lint(self, *, severity: Severity | str = "info", kernel: int | tuple[int, int] | None = None) -> Findings:
        """What looks wrong, from `severity` (``info``, ``warning``, ``error``) upwards.

        `kernel` says which addresses are the kernel's: from there up, or (start, end).  Without, that is found out
        from where its code and tables are.  `UserMistake` for a value that makes no sense.
        """
        from hillemu.inspection.lint import lint

        return lint(self.tables, self._surroundings(), severity=severity, kernel=kernel)

    # ---- texts --------------------------------------------------------------------------------------------------

    def info_mem(self) -> str:
        """What QEMU's monitor prints for ``info mem``."""
        from hillemu.inspection.monitor import info_mem

        return info_mem(self._memory, self.control)

    def info_tlb(self) -> str:
        """What QEMU's monitor prints for ``info tlb``: one line a page."""
        from hillemu.inspection.monitor import info_tlb

        return info_tlb(self._memory, self.control)

    def __str__(self) -> str:
        from hillemu.inspection.pictures import as_text

        return as_text(self.tables)

    def _repr_html_(self) -> str:
        from hillemu.inspection.pictures import as_html

        return as_html(self.tables)


class Paging(AddressSpace):
    """The space of a running machine: every question is answered from registers and memory as they are then.

    `physical_map` tells who answers in physical memory now; without it, only RAM is known.
    """

    def __init__(
        self,
        memory: GuestMemory,
        registers: RegisterFile,
        physical_map: Callable[[], PhysicalMap] | None = None,
        *,
        fixed: dict[str, int] | None = None,
    ) -> None:
        self._guest_memory = memory
        self._registers = registers
        self._physical_map = physical_map or (lambda: PhysicalMap.of_ram(memory))
        self._fixed = fixed or {}
        self._known: tuple[tuple[int, ...], ControlState] = ((), ControlState(0, 0))

    @classmethod
    def of_pc(cls, pc: Pc) -> Paging:
        """The space that the processor of `pc` uses."""
        return cls(pc.memory, pc.processor, lambda: PhysicalMap.of_machine(pc.memory, pc.mmio))

    @property
    def control(self) -> ControlState:
        get = self._registers.get
        now = (get("cr0"), get("cr3"), get("cr4"), get("efer"))
        if now != self._known[0]:  # seldom between two walks, and a state costs half as much as a walk
            self._known = (now, replace(ControlState(*now), **self._fixed))
        return self._known[1]

    @property
    def tables(self) -> Tables:
        return capture_tables(self._guest_memory, self.control)

    @property
    def _memory(self) -> ReadableMemory:
        return self._guest_memory

    def _surroundings(self) -> Surroundings:
        control, physical_map = self.control, self._physical_map()
        places = privileged_places(self._guest_memory, self._registers, control)
        return Surroundings(physical_map, places, dormant_tables(self._guest_memory, self.tables, physical_map))

    def at(
        self,
        cr3: int | None = None,
        *,
        mode: PagingMode | str | None = None,
        cr0: int | None = None,
        cr4: int | None = None,
        efer: int | None = None,
    ) -> Paging:
        """The space of another root, or of tables that are not in use yet; what is not given is as in the registers.

        `mode` is ``32-bit`` or ``pae``.  When `cr3` or `mode` is given, paging counts as on.
        Raises `UserMistake` for a mode that is neither, or a register value of more than 32 bits.
        """
        given = {"cr0": cr0, "cr3": cr3, "cr4": cr4, "efer": efer}
        fixed = self._fixed | {name: _register(name, value) for name, value in given.items() if value is not None}
        now = replace(ControlState.read(self._registers), **fixed)
        if mode is not None:
            fixed["cr4"] = now.cr4 & ~PAE | (PAE if _mode(mode) is PagingMode.PAE else 0)
        if cr0 is None and (mode is not None or cr3 is not None):
            fixed["cr0"] = now.cr0 | PG
        return Paging(self._guest_memory, self._registers, self._physical_map, fixed=fixed)

    def capture(self) -> Capture:
        """The space as it is now, as a value to keep and to compare."""
        return Capture(self.tables, self._surroundings())

    def __repr__(self) -> str:
        control = self.control
        return f"<Paging: {control.mode}, CR3 0x{control.cr3:08X}>"


@dataclass(frozen=True, eq=False, repr=False)
class Capture(AddressSpace):
    """A space as it was: its own copy of the tables, who answered in physical memory, where the kernel's tables were.

    Two captures are equal if the registers and all tables are, accessed and dirty bits included.
    """

    captured: Tables
    surroundings: Surroundings

    @property
    def control(self) -> ControlState:
        return self.captured.control

    @property
    def tables(self) -> Tables:
        return self.captured

    @property
    def _memory(self) -> ReadableMemory:
        return self.captured

    def _surroundings(self) -> Surroundings:
        return self.surroundings

    def __eq__(self, other: object) -> bool:
        return self.captured == other.captured if isinstance(other, Capture) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        control = self.control
        return f"<Capture: {control.mode}, CR3 0x{control.cr3:08X}, {len(self.captured.frames)} tables>"


def checked(at: int) -> VirtAddr:
    """`at` as a virtual address; `UserMistake` if it has more than 32 bits, or is no number."""
    try:
        if 0 <= at <= 0xFFFFFFFF:
            return VirtAddr(at)
    except TypeError:
        raise UserMistake(f"{at!r} is no address; a symbol's is machine.symbols[{at!r}]") from None
    raise UserMistake(f"{at:#x} is not a 32-bit address (0 to 0xFFFFFFFF)")


def _register(name: str, value: int) -> int:
    if not 0 <= value <= 0xFFFFFFFF:
        raise UserMistake(f"{name}={value:#x}: a register has 32 bits")
    return value


def _mode(mode: PagingMode | str) -> PagingMode:
    if mode in (PagingMode.LEGACY, PagingMode.PAE):
        return PagingMode(mode)
    if mode not in _MODES:
        raise UserMistake(f"mode={str(mode)!r}: say '32-bit' or 'pae'")
    return _MODES[mode]


def _one_frame(region: Region, frame: Frame) -> Region:
    """The 4 KiB of `region` that map `frame`."""
    base = PhysAddr(frame << PAGE_SHIFT)
    counts = (region.accessed_pages, region.dirty_pages, region.global_pages, region.cache_disabled_pages)
    accessed, dirty, is_global, cache_disabled = (min(count, 1) for count in counts)
    start = VirtAddr(region.start + base - region.phys)
    page_size = region.page_size_bytes
    return Region(start, base, PAGE_SIZE, page_size, region.rights, accessed, dirty, is_global, cache_disabled)
