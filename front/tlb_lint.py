"""What `--lint tlb` finds, for people and for programs.

>>> from hillemu import Machine
>>> machine = Machine(mem="16M")
>>> lint = machine.lint_tlb()
>>> loaded = machine.load_demo()
>>> stop = machine.run()
>>> lint.findings
[]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hillemu.emu.cpu.tlb_lint import StaleUse, TlbLint

MOST_SHOWN = 10


def told(lint: TlbLint, describe: Callable[[int], str]) -> list[str]:
    """The findings in lines; `describe` names an instruction's address."""
    findings = lint.findings
    if not findings:
        return ["TLB: no translation was used after its page tables had changed"]
    lines = [line for use in findings[:MOST_SHOWN] for line in _told(use, describe)]
    more = len(findings) - MOST_SHOWN
    if more > 0:
        lines.append(
            f"TLB: {more} more such pairs of instructions; --json FILE has {'them' if lint.dropped else 'all'}"
        )
    return lines


def _told(use: StaleUse, describe: Callable[[int], str]) -> list[str]:
    kind = "directory" if use.is_directory else "table"
    again = use.times - 1
    times = f", and {'once' if again == 1 else f'{again} times'} more" if again else ""
    who = "the host or a device, at" if use.by_host else "by"
    model = "; the modelled TLB had it still" if use.in_model else ""
    return [
        f"TLB: stale translation of {use.address:#010x}: {use.access} by {describe(use.used_by)} "
        f"at instruction {use.used_at:,}{times}{model}",
        f"     page-{kind} entry at {use.entry:#010x} was {use.old:#010x}, is {use.new:#010x} since instruction "
        f"{use.changed_at:,}, {who} {describe(use.changed_by)}, without INVLPG or a load of CR3",
    ]


def as_dicts(lint: TlbLint, describe: Callable[[int], str]) -> dict[str, Any]:
    """For JSON."""
    return {
        "stale_uses": [
            {
                **use._asdict(),
                "access": use.access.value,
                "used_by_name": describe(use.used_by),
                "changed_by_name": describe(use.changed_by),
            }
            for use in lint.findings
        ],
        "not_kept": lint.dropped,
    }
