"""What `--lint tlb` finds, for people and for programs.

>>> from hillemu import Machine
>>> machine = Machine(mem="16M")
>>> lint = machine.lint_tlb()
>>> loaded = machine.load_demo()
>>> stop = machine.run()
>>> machine.stale_uses == []
True
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from hillemu.code_names import CodeNames
    from hillemu.emu.cpu.tlb_lint import StaleUse, TlbLint
    from hillemu.emu.i386.address import VirtAddr

MOST_SHOWN, MOST_CALLERS = 10, 4


class StaleUses(Sequence["StaleUse"]):
    """The uses that have been found by now, with the names of the code that they happened in.

    It is equal to a list of the same uses, and as text it is what `hillemu boot --lint tlb` prints.
    """

    def __init__(self, lint: TlbLint, names: CodeNames) -> None:
        self._uses, self.not_kept = lint.findings, lint.dropped
        self._names = names

    @overload
    def __getitem__(self, at: int) -> StaleUse: ...
    @overload
    def __getitem__(self, at: slice) -> list[StaleUse]: ...
    def __getitem__(self, at: int | slice) -> StaleUse | list[StaleUse]:
        return self._uses[at]

    def __len__(self) -> int:
        return len(self._uses)

    def __eq__(self, other: object) -> bool:
        return self._uses == list(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # it is compared as a list is

    def __repr__(self) -> str:
        return f"<stale translations used: {len(self)}>"

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self, most: int = MOST_SHOWN, callers: int = MOST_CALLERS) -> list[str]:
        """For people; the first `most` of them, with so many callers."""
        if not self:
            return ["TLB: no translation was used after its page tables had changed"]
        lines = [line for use in self[:most] for line in self._lines_of(use, callers)]
        more = len(self) - most
        if more > 0:
            lines.append(
                f"TLB: {more} more such pairs of instructions; --json FILE has {'them' if self.not_kept else 'all'}"
            )
        return lines

    def _lines_of(self, use: StaleUse, callers: int) -> list[str]:
        kind = "directory" if use.is_directory else "table"
        again = use.times - 1
        times = f", and {'once' if again == 1 else f'{again} times'} more" if again else ""
        who = "the host or a device, at" if use.by_host else "by"
        model = "; the modelled TLB had it still" if use.in_model else ""
        describe = self._names.describe
        return [
            f"TLB: stale translation of {use.address:#010x}: {use.access} by {describe(use.used_by)}, "
            f"instruction {use.used_at:,}{times}{model}",
            *self._called(use.used_callers[:callers]),
            f"     page-{kind} entry at {use.entry:#010x} was {use.old:#010x}, is {use.new:#010x} since instruction "
            f"{use.changed_at:,}, {who} {describe(use.changed_by)}, without INVLPG or a load of CR3",
            *self._called(use.changed_callers[:callers]),
        ]

    def _called(self, callers: tuple[VirtAddr, ...]) -> list[str]:
        named = ", from ".join(map(self._names.describe, callers))
        return [f"       called from {named}"] if named else []

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"stale_uses": [self._as_dict(use) for use in self], "not_kept": self.not_kept}

    def _as_dict(self, use: StaleUse) -> dict[str, Any]:
        describe = self._names.describe
        return {
            **use._asdict(),
            "access": use.access.value,
            "used_by_name": describe(use.used_by),
            "used_callers_names": [describe(caller) for caller in use.used_callers],
            "changed_by_name": describe(use.changed_by),
            "changed_callers_names": [describe(caller) for caller in use.changed_callers],
        }
