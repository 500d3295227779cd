"""How a translation can end: values that carry every entry visited.

::

    Outcome
    +-- Mapped            the access goes to `Mapped.phys`
    +-- PageFault         the processor would push `PageFault.error_code`
    |   +-- NotPresent
    |   +-- ReservedBit
    |   +-- Denied        by the rights of the page
    +-- OutsideRam        a table lies where no RAM or ROM answers: nobody can say what a processor reads there

Source: Intel SDM Vol. 3A, "Page-Fault Exceptions".
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

from hillemu.emu.i386.address import PhysAddr, VirtAddr
from hillemu.emu.i386.control import PGE, SMEP, Access, ControlState, PagingMode, Rights
from hillemu.emu.i386.entries import LeafEntry, PageDirectoryPointerEntry, PagingEntry
from hillemu.emu.i386.errorcodes import PageFaultError

_SIZES = {1 << 12: "4 KiB", 1 << 21: "2 MiB", 1 << 22: "4 MiB", 1 << 32: "4 GiB"}


@dataclass(frozen=True, slots=True)
class Step:
    """One entry that the walk read: number `index` of its table, found at physical address `at`.

    `level` is the manual's name: ``PDPTE``, ``PDE`` or ``PTE``.
    """

    level: str
    index: int
    at: PhysAddr
    entry: PagingEntry

    def __str__(self) -> str:
        digits = self.entry.BITS // 4
        if self.entry.present:
            content = repr(self.entry)
        elif self.entry:
            content = f"not present (0x{int(self.entry):0{digits}X})"
        else:
            content = "not present"
        return f"{self.place} @0x{self.at:08X} = {content}"

    @property
    def place(self) -> str:
        """Which entry it is, as in ``PTE[0x001]``."""
        return f"{self.level}[{self.index:#05x}]"


Visit = tuple[str, int, int, Callable[[int], PagingEntry], int]
"""The fields of a `Step`, with plain integers, and the entry as its class and a word."""

Value = TypeVar("Value")


@dataclass_transform(frozen_default=True)
def _value(cls: type[Value]) -> type[Value]:
    """A data class that nobody changes.  The type checker sees to it: Python would take as long as half a walk."""
    return dataclass(slots=True, unsafe_hash=True, repr=False)(cls)


@_value
class Outcome:
    """What all endings have in common."""

    at: VirtAddr
    access: Access
    control: ControlState
    trail: tuple[Visit, ...]
    """What `steps` is made from when somebody asks: most walks are asked for `phys` only."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every entry that the walk read."""
        return tuple(Step(level, index, PhysAddr(at), kind(raw)) for level, index, at, kind, raw in self.trail)

    @property
    @abstractmethod
    def verdict(self) -> str:
        """The ending in one clause."""

    def explain(self) -> str:
        """Draw the walk, one line for each entry, and the verdict below."""
        lines = [] if self.control.mode is PagingMode.OFF else [f"CR3 0x{self.control.cr3:08X}"]
        lines += [str(step) for step in self.steps]
        lines.append(f"=> 0x{self.at:08X}: {self.verdict}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} 0x{self.at:08X}: {self.verdict}>"


@_value
class Mapped(Outcome):
    """The access is allowed and reaches physical address `phys`.

    `page_size_bytes` is 4 KiB, 2 MiB, 4 MiB, or 4 GiB when paging is off: then all addresses are one page.
    """

    phys: PhysAddr
    page_size_bytes: int
    rights: Rights

    @property
    def writable(self) -> bool:
        """Whether the mode that made the access could also write here; CR0.WP and SMAP count."""
        as_write = Access(write=True, user=self.access.user, smap_override=self.access.smap_override)
        return not self.rights.refusal(as_write, self.control)

    @property
    def executable(self) -> bool:
        """Whether the mode that made the access could also fetch instructions here; SMEP counts."""
        return not self.rights.refusal(Access(fetch=True, user=self.access.user), self.control)

    @property
    def user(self) -> bool:
        """Whether user mode may read here."""
        return self.rights.user

    @property
    def leaf(self) -> LeafEntry | None:
        """The entry that maps the page; `None` when paging is off."""
        if not self.trail:
            return None
        *_, kind, raw = self.trail[-1]
        entry = kind(raw)
        return entry if isinstance(entry, LeafEntry) else None

    @property
    def accessed(self) -> bool:
        return self.leaf is not None and self.leaf.accessed

    @property
    def dirty(self) -> bool:
        return self.leaf is not None and self.leaf.dirty

    @property
    def global_page(self) -> bool:
        """Whether the translation survives a load of CR3: the G bit, while CR4.PGE is on."""
        return self.leaf is not None and self.leaf.global_page and bool(self.control.cr4 & PGE)

    @property
    def verdict(self) -> str:
        if not self.trail:
            return f"physical 0x{self.phys:08X} ({self.control.mode})"
        words = [
            _SIZES[self.page_size_bytes] + " page",
            "user" if self.user else "supervisor",
            "writable" if self.rights.writable else "read-only" if not self.writable else "read-only, but CR0.WP=0",
        ]
        if not self.rights.executable:
            words.append("no-execute")
        return f"physical 0x{self.phys:08X} ({', '.join(words)})"


@_value
class PageFault(Outcome):
    """The access raises #PF."""

    @property
    def phys(self) -> None:
        """Nothing, so that `outcome.phys` can be compared whatever came out."""
        return None

    @property
    def error_code(self) -> PageFaultError:
        """What the processor pushes."""
        fetch_is_told = self.access.fetch and (self.control.no_execute or self.control.cr4 & SMEP)
        return PageFaultError.of(
            fetch=int(bool(fetch_is_told)),
            reserved_bit=int(isinstance(self, ReservedBit)),
            user=int(self.access.user),
            write=int(self.access.write),
            protection=int(not isinstance(self, NotPresent)),
        )

    def _raises(self, cause: str) -> str:
        return f"{cause}: a {self.access} raises #PF, error code {int(self.error_code):#x}"


@_value
class NotPresent(PageFault):
    """The last entry visited has P=0."""

    @property
    def verdict(self) -> str:
        return self._raises(f"{self.steps[-1].place} is not present")


@_value
class ReservedBit(PageFault):
    """The last entry visited has the bits `reserved` set, which must be zero."""

    reserved: int

    @property
    def verdict(self) -> str:
        bits = [str(number) for number in range(64) if self.reserved >> number & 1]
        cause = f"{self.steps[-1].place} has reserved bit{'s' * (len(bits) > 1)} {', '.join(bits)} set"
        if isinstance(self.steps[-1].entry, PageDirectoryPointerEntry):
            cause += " (a processor refuses that with #GP when CR3 is loaded)"
        return self._raises(cause)


@_value
class Denied(PageFault):
    """The page is there, but not for this access; `reason` says which right is missing."""

    rights: Rights
    reason: str

    @property
    def verdict(self) -> str:
        return self._raises(self.reason)


@_value
class OutsideRam(Outcome):
    """The next entry would lie at `entry_at`, where neither RAM nor ROM answers."""

    level: str
    index: int
    entry_at: PhysAddr

    @property
    def phys(self) -> None:
        """Nothing, as for a page fault."""
        return None

    @property
    def verdict(self) -> str:
        owner = self.steps[-1].place if self.steps else "CR3"
        return f"{owner} leads outside RAM: {self.level}[{self.index:#05x}] would be at physical 0x{self.entry_at:08X}"


Translation = Mapped | NotPresent | ReservedBit | Denied | OutsideRam
