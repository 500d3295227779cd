"""What a walk must say: matchers for `machine.paging[address]`.

::

    assert machine.paging[0xC0100000] == maps_to(0x100000, "rw")       physical address, rights; see `flags`
    assert machine.paging[0x400000] == maps_to(None, "urw")            rights alone
    assert machine.paging[0] == unmapped                               no page there, for whatever reason
    assert machine.paging[0] == not_present("PDE")                     and the reason is P=0 in that entry
    assert machine.paging[0xC0100000] == faults(write=True, user=True) this access raises #PF

A comparison that fails draws both walks side by side (`hillemu.testing.explanations`).  ``!=`` is the opposite.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from hillemu.emu.errors import OptionError
from hillemu.emu.i386.control import Access
from hillemu.emu.i386.outcomes import Denied, Mapped, NotPresent, Outcome, PageFault, ReservedBit, Translation
from hillemu.emu.i386.spaces import Region
from hillemu.testing.flags import Flags

_SIZES = {"4k": 1 << 12, "2m": 1 << 21, "4m": 1 << 22}
_LEVELS = ("PDPTE", "PDE", "PTE")


class TranslationMatcher(ABC):
    """Equals every walk that is as it says."""

    @abstractmethod
    def complaints(self, outcome: Translation) -> list[str]:
        """What is wrong with `outcome`, a clause each; empty if it matches."""

    def __eq__(self, other: object) -> bool:
        return not self.complaints(other) if isinstance(other, Outcome) else NotImplemented  # type: ignore[arg-type]

    __hash__ = None  # type: ignore[assignment]


class maps_to(TranslationMatcher):  # noqa: N801 - it reads as a word of the assertion
    """A page that leads to physical address `phys` (`None`: wherever), with rights and flags as `flags` says.

    Without `flags`, only the address counts.  `page_size` is ``"4K"``, ``"2M"``, ``"4M"`` or a number of bytes.
    It also equals a `Region` that begins at `phys`.  Raises `OptionError` for flags and sizes that do not exist.
    """

    def __init__(self, phys: int | None, flags: str | None = None, *, page_size: str | int | None = None) -> None:
        self.phys = phys
        self.flags = None if flags is None else Flags.parse(flags)
        self.page_size_bytes = None if page_size is None else _page_size(page_size)

    def __eq__(self, other: object) -> bool:
        return not self.region_complaints(other) if isinstance(other, Region) else super().__eq__(other)

    __hash__ = None

    def complaints(self, outcome: Translation) -> list[str]:
        if not isinstance(outcome, Mapped | Denied):
            return [f"expected a page; {outcome.verdict}"]
        if isinstance(outcome, Denied):  # a walk for one kind of access; nobody but Mapped knows the address
            return [f"expected a page that can be used so; {outcome.verdict}"]
        found = self._address_complaints(outcome.phys) + self._size_complaints(outcome.page_size_bytes)
        if self.flags is not None:
            wanted = self.flags.complete(no_execute=outcome.control.no_execute)
            facts = facts_of(outcome)
            found += [clause(letter, value) for letter, value in wanted.items() if facts[letter] != value]
        return found

    def region_complaints(self, region: Region) -> list[str]:
        """What is wrong with a run of pages, all of which must be as wanted.  It does not know whether XD works."""
        found = self._address_complaints(region.phys) + self._size_complaints(region.page_size_bytes)
        return found + ([] if self.flags is None else flag_complaints(region, self.flags.wanted))

    def _address_complaints(self, phys: int) -> list[str]:
        return (
            [] if self.phys is None or phys == self.phys else [f"expected physical 0x{self.phys:08X}, not 0x{phys:08X}"]
        )

    def _size_complaints(self, size_bytes: int) -> list[str]:
        if self.page_size_bytes is None or size_bytes == self.page_size_bytes:
            return []
        return [f"expected a page of {self.page_size_bytes:,} bytes, not {size_bytes:,}"]

    def __repr__(self) -> str:
        parts = ["None" if self.phys is None else f"0x{self.phys:X}"]
        parts += [] if self.flags is None else [repr(self.flags.text)]
        parts += [] if self.page_size_bytes is None else [f"page_size={self.page_size_bytes}"]
        return f"maps_to({', '.join(parts)})"


class not_present(TranslationMatcher):  # noqa: N801
    """The walk ends at an entry with P=0, at `level` (``PDPTE``, ``PDE``, ``PTE``) if that is given."""

    def __init__(self, level: str | None = None) -> None:
        if level is not None and level not in _LEVELS:
            raise OptionError("level", f"{level!r} is none of {', '.join(_LEVELS)}")
        self.level = level

    def complaints(self, outcome: Translation) -> list[str]:
        if not isinstance(outcome, NotPresent):
            return [f"expected an entry with P=0; {outcome.verdict}"]
        last = outcome.steps[-1]
        if self.level is not None and last.level != self.level:
            return [f"expected P=0 in the {self.level}, not in {last.place}"]
        return []

    def __repr__(self) -> str:
        return f"not_present({'' if self.level is None else repr(self.level)})"


class _Unmapped(TranslationMatcher):
    """No page: P=0, a reserved bit, a table outside RAM."""

    def complaints(self, outcome: Translation) -> list[str]:
        return [f"expected no page; {outcome.verdict}"] if isinstance(outcome, Mapped | Denied) else []

    def __repr__(self) -> str:
        return "unmapped"


unmapped = _Unmapped()


class faults(TranslationMatcher):  # noqa: N801
    """An access raises #PF: a read by the supervisor, unless `write`, `user` or `fetch` say otherwise.

    CR0.WP, SMEP and SMAP count, as they are in the walk's registers.  `error_code` is what the processor must push.
    """

    def __init__(
        self, *, write: bool = False, user: bool = False, fetch: bool = False, error_code: int | None = None
    ) -> None:
        if write and fetch:
            raise OptionError("faults", "an access is a write or a fetch; say one of them")
        self.access = Access(write=write, user=user, fetch=fetch)
        self.error_code = error_code

    def outcome_of(self, outcome: Translation) -> Translation:
        """How the same walk ends for our access."""
        about = (outcome.at, self.access, outcome.control, outcome.trail)
        match outcome:
            case Mapped() | Denied():
                if reason := outcome.rights.refusal(self.access, outcome.control):
                    return Denied(*about, outcome.rights, reason)
                return outcome
            case NotPresent():
                return NotPresent(*about)
            case ReservedBit():
                return ReservedBit(*about, outcome.reserved)
        return outcome

    def complaints(self, outcome: Translation) -> list[str]:
        ending = self.outcome_of(outcome)
        if not isinstance(ending, PageFault) or (ending is outcome and isinstance(ending, Denied)):
            what = outcome.verdict if not isinstance(outcome, Mapped | Denied) else "it is allowed"
            return [f"expected a {self.access} to raise #PF; {what}"]
        if self.error_code is not None and int(ending.error_code) != self.error_code:
            return [f"expected error code {self.error_code:#x}, not {int(ending.error_code):#x}"]
        return []

    def __repr__(self) -> str:
        said = [f"{name}=True" for name in ("write", "user", "fetch") if getattr(self.access, name)]
        said += [] if self.error_code is None else [f"error_code={self.error_code:#x}"]
        return f"faults({', '.join(said)})"


def facts_of(outcome: Mapped) -> dict[str, bool]:
    """What a page is, by letter."""
    leaf = outcome.leaf
    return {
        "u": outcome.rights.user,
        "w": outcome.rights.writable,
        "x": outcome.rights.executable,
        "g": outcome.global_page,
        "a": outcome.accessed,
        "d": outcome.dirty,
        "c": leaf is not None and leaf.cache_disabled,
    }


def flag_complaints(region: Region, wanted: Mapping[str, bool]) -> list[str]:
    """Which of the `wanted` letters the pages of `region` do not all have."""
    rights = {"u": region.rights.user, "w": region.rights.writable, "x": region.rights.executable}
    counts = {
        "g": region.global_pages,
        "a": region.accessed_pages,
        "d": region.dirty_pages,
        "c": region.cache_disabled_pages,
    }
    found = [clause(letter, value) for letter, value in wanted.items() if rights.get(letter, value) != value]
    for letter, value in wanted.items():
        if letter in counts and (wrong := region.pages - counts[letter] if value else counts[letter]):
            found.append(clause(letter, value) + (f" on {wrong} of {region.pages} pages" if region.pages > 1 else ""))
    return found


def clause(letter: str, wanted: bool) -> str:
    """What is wrong where a page is not so."""
    words = {
        "u": ("a user's page", "a supervisor's page"),
        "w": ("a writable page", "a read-only page"),
        "x": ("an executable page", "no execution (XD)"),
        "g": ("a global page", "a page that is not global"),
        "a": ("an accessed page", "A=0"),
        "d": ("a dirty page", "D=0"),
        "c": ("an uncached page (PCD)", "a cached page (PCD=0)"),
    }
    return f"expected {words[letter][not wanted]}"


def _page_size(given: str | int) -> int:
    size = _SIZES.get(given.lower().removesuffix("ib")) if isinstance(given, str) else given
    if size is None or size not in _SIZES.values():
        raise OptionError("page_size", f"{given!r} is none of 4K, 2M, 4M")
    return size
