"""Claims about page tables.  A kernel without paging fulfils none of them, even where addresses happen to be equal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from hillemu.emu.errors import UserMistake
from hillemu.grading.claims import HOLDS, Claim, Place, Seen
from hillemu.similar_names import alike_or_all

if TYPE_CHECKING:
    from hillemu.emu.i386.control import Rights
    from hillemu.inspection.lint.findings import Finding
    from hillemu.inspection.spaces import Paging

T = TypeVar("T")
OFF = "paging is off (CR0.PG=0)"
MOST_FINDINGS = 3
"""Findings of lint shown in a reason."""

_WRITE = {"r": False, "ro": False, "rw": True}
_USER = {"supervisor": False, "user": True}
_EXECUTE = {"nx": False, "x": True}
_SIZES = {"4K": 1 << 12, "2M": 1 << 21, "4M": 1 << 22}
_WORDS = (*_WRITE, *_USER, *_EXECUTE, *_SIZES)


class Extent(NamedTuple):
    """Virtual addresses: one, or ``START..END`` without END."""

    first: Place
    end: Place | None

    @classmethod
    def parse(cls, text: str) -> Extent:
        first, dots, end = text.partition("..")
        return cls(Place.parse(first), Place.parse(end) if dots else None)

    def bounds(self, symbols: Mapping[str, int]) -> tuple[int, int]:
        """The first address and the one behind the last; raises `UserMistake` if there is none between."""
        first = self.first.at(symbols)
        if self.end is None:
            return first, first + 1
        end = self.end.at(symbols) or 1 << 32  # 0 and 0x100000000 are the end of the address space
        if end <= first:
            raise UserMistake(f"the range ends at {end:#010x}, before it begins ({first:#010x})")
        return first, end


class Mapping_(NamedTuple):  # noqa: N801 - collections.abc has the other one
    """``0xC0000000..0xC0400000 -> 0 rw supervisor``; what is `None` does not matter."""

    text: str
    extent: Extent
    phys: Place | None
    writable: bool | None
    user: bool | None
    executable: bool | None
    size_bytes: int | None

    @classmethod
    def parse(cls, text: str) -> Mapping_:
        """Raises `ValueError`."""
        virtual, arrow, rest = text.partition("->")
        words = rest.split() if arrow else []
        if not arrow:
            virtual, *words = text.split() or [""]
        phys = words.pop(0) if arrow and words and words[0] not in _WORDS else None
        if arrow and phys is None:
            raise ValueError(f"{text!r}: there is no physical address behind the arrow")
        for word in words:
            if word not in _WORDS:
                raise ValueError(f"{text!r}: {word!r} is no property of a page{alike_or_all(word, _WORDS)}")
        return cls(
            text,
            Extent.parse(virtual),
            None if phys is None or phys == "*" else Place.parse(phys),
            _chosen(text, words, _WRITE),
            _chosen(text, words, _USER),
            _chosen(text, words, _EXECUTE),
            _chosen(text, words, _SIZES),
        )

    def differs(self, rights: Rights, size_bytes: int) -> str:
        """What is otherwise in a page with these `rights` and of this size."""
        pairs = (
            (self.writable, rights.writable, "writable", "read-only"),
            (self.user, rights.user, "a user page", "a supervisor page"),
            (self.executable, rights.executable, "executable", "no-execute"),
        )
        found = [yes if is_so else no for wanted, is_so, yes, no in pairs if wanted is not None and wanted != is_so]
        if self.size_bytes is not None and self.size_bytes != size_bytes:
            found.append(f"a page of {size_bytes >> 10} KiB")
        return " and ".join(found)


@dataclass(frozen=True)
class Maps(Claim):
    """Pages are mapped as each of `mappings` says."""

    mappings: tuple[Mapping_, ...]

    @property
    def texts(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(f"maps {one.text}" for one in self.mappings)

    def judge(self, seen: Seen) -> Sequence[str]:
        return [_about_space(seen, partial(_unlike, one, seen)) for one in self.mappings]


@dataclass(frozen=True)
class NotPresent(Claim):
    """Nothing is mapped at any address of `extents`."""

    extents: tuple[tuple[str, Extent], ...]

    @property
    def texts(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(f"not_present {text}" for text, _ in self.extents)

    def judge(self, seen: Seen) -> Sequence[str]:
        return [_about_space(seen, partial(_present, one, seen)) for _, one in self.extents]


@dataclass(frozen=True)
class Clean(Claim):
    """Lint finds nothing of `rules` (all rules, if there are none), from `severity` upwards."""

    rules: tuple[str, ...]
    severity: str

    @property
    def texts(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(f"lint {rule}" for rule in self.rules) or (f"lint ({self.severity})",)

    def judge(self, seen: Seen) -> Sequence[str]:
        return [_about_space(seen, partial(self._reason, rule)) for rule in self.rules or (None,)]

    def _reason(self, rule: str | None, space: Paging) -> str:
        findings = space.lint(severity=self.severity if rule is None else "info")
        return _told([one for one in findings if rule is None or one.rule == rule])


def parse_extent(text: str) -> tuple[str, Extent]:
    """An extent and its text; raises `ValueError`."""
    return text, Extent.parse(text)


def _about_space(seen: Seen, reason: Callable[[Paging], str]) -> str:
    from hillemu.emu.i386.control import PagingMode

    space = seen.machine.paging
    if space.control.mode is PagingMode.OFF:
        return OFF
    try:
        return reason(space)
    except UserMistake as mistake:
        return str(mistake)


def _unlike(wanted: Mapping_, seen: Seen, space: Paging) -> str:
    """Why the pages are not as `wanted`: the first address that is otherwise."""
    symbols = seen.machine.symbols
    first, end = wanted.extent.bounds(symbols)
    phys = None if wanted.phys is None else wanted.phys.at(symbols)
    at = first
    for run in seen.regions:
        if run.end <= at:
            continue
        if run.start > at:
            break
        if phys is not None and run.phys_at(at) != phys + at - first:
            return f"{at:#010x} goes to {run.phys_at(at):#x}, not to {phys + at - first:#x}"
        if differs := wanted.differs(run.rights, run.page_size_bytes):
            return f"{at:#010x} is {differs}"
        at = run.end
        if at >= end:
            return HOLDS
    return f"{at:#010x} is not mapped: {space[at].verdict}"


def _present(extent: Extent, seen: Seen, space: Paging) -> str:
    first, end = extent.bounds(seen.machine.symbols)
    for run in seen.regions:
        if run.start < end and first < run.end:
            at = max(run.start, first)
            return f"{at:#010x} is mapped, to {run.phys_at(at):#x}"
    return HOLDS


def _told(findings: list[Finding]) -> str:
    shown = [f"{one.rule}: {one.start:#010x}-{one.end - 1:#010x}: {one.what}" for one in findings[:MOST_FINDINGS]]
    more = len(findings) - MOST_FINDINGS
    return "; ".join(shown) + (f"; and {more} more" if more > 0 else "")


def _chosen(text: str, words: list[str], kind: Mapping[str, T]) -> T | None:
    chosen = {kind[word] for word in words if word in kind}
    if len(chosen) > 1:
        raise ValueError(f"{text!r} contradicts itself: {' and '.join(word for word in words if word in kind)}")
    return chosen.pop() if chosen else None


def check_rule(name: str) -> str:
    """`name`, if lint has such a rule; `ValueError` otherwise."""
    from hillemu.inspection.lint import RULES

    rules = [rule.name for rule in RULES]
    if name not in rules:
        raise ValueError(f"{name!r} is no rule of lint{alike_or_all(name, rules)}")
    return name
