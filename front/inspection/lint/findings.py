"""What lint says: findings, each with its place, its reason and a way out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from html import escape
from typing import Any, overload

from hillemu.emu.errors import UserMistake
from hillemu.emu.i386.address import VirtAddr


class Severity(StrEnum):
    """How bad it is, from worth knowing to certainly wrong."""

    INFO = "info"
    WARNING = "warning"
    """Legal, and seldom wanted."""
    ERROR = "error"
    """A protection that does not protect, or an access that cannot work."""

    @property
    def rank(self) -> int:
        """0 for the mildest."""
        return list(Severity).index(self)

    @classmethod
    def named(cls, name: str) -> Severity:
        """The severity called `name`; `UserMistake` if there is none."""
        try:
            return cls(name)
        except ValueError:
            raise UserMistake(f"severity {name!r}: say {', '.join(cls)}") from None


@dataclass(frozen=True, slots=True)
class Finding:
    """Rule `rule` does not like `size_bytes` at virtual `start`.

    `what` says what is there, `why` why that matters, `advice` what to do.
    """

    rule: str
    severity: Severity
    start: VirtAddr
    size_bytes: int
    what: str
    why: str
    advice: str

    @property
    def end(self) -> int:
        """The first virtual address behind."""
        return self.start + self.size_bytes

    def as_dict(self) -> dict[str, Any]:
        """All fields for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        place = f"0x{self.start:08X}-0x{self.end - 1:08X}"
        return f"{self.severity}: {self.rule}: {place}: {self.what}\n    why: {self.why}\n    do:  {self.advice}"


_TOLD = 4
"""Findings that `repr` names."""


class Findings(Sequence[Finding]):
    """Findings in order: the worst first, then by rule as the rules are listed, then by address."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self._findings = tuple(findings)

    @overload
    def __getitem__(self, index: int) -> Finding: ...
    @overload
    def __getitem__(self, index: slice) -> Findings: ...
    def __getitem__(self, index: int | slice) -> Finding | Findings:
        return Findings(self._findings[index]) if isinstance(index, slice) else self._findings[index]

    def __len__(self) -> int:
        return len(self._findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._findings)

    def of_rule(self, rule: str) -> Findings:
        """Those of one rule."""
        return Findings([finding for finding in self if finding.rule == rule])

    def at_least(self, severity: Severity | str) -> Findings:
        """Those of `severity` and worse."""
        least = Severity.named(severity).rank
        return Findings([finding for finding in self if finding.severity.rank >= least])

    def __str__(self) -> str:
        return "\n".join(str(finding) for finding in self) or "no findings"

    def __repr__(self) -> str:
        counts = (f"{sum(one.severity is level for one in self)} {level}" for level in reversed(Severity))
        # All that a failed `assert not paging.lint("warning")` shows.
        worst = [f"; {one.rule} at 0x{one.start:08X}" for one in self.at_least(Severity.WARNING)]
        more = f"; {len(worst) - _TOLD} more" if len(worst) > _TOLD else ""
        return f"<Findings: {', '.join(counts)}{''.join(worst[:_TOLD])}{more}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{one.severity}</td><td>{escape(one.rule)}</td><td>0x{one.start:08X}-0x{one.end - 1:08X}</td>"
            f"<td>{escape(one.what)}</td><td>{escape(one.why)} {escape(one.advice)}</td></tr>"
            for one in self
        )
        return f'<table style="text-align:left"><tbody>{rows or "<tr><td>no findings</td></tr>"}</tbody></table>'
