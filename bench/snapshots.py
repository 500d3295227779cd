"""What snapshots of a 512M machine cost, 128 MiB of which a guest has filled, when few or many pages change."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

from figures import Goal, table

from hillemu import Machine

FILLED_BYTES = 128 << 20
PAGE = 4096
CHANGED = (16, 256, 4096)
INSTRUCTIONS = 1000
FEW_MS = 2.0


def measure(*, rounds: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Milliseconds: for the first snapshot, and by changed pages for going back and for another snapshot."""
    machine = Machine(mem="512M")
    machine.load_demo()
    machine.run(max_insns=5_000)
    for at in range(16 << 20, FILLED_BYTES, PAGE):
        machine.memory.ram[at : at + 8] = at.to_bytes(8, "little")
    started = perf_counter()
    base = machine.snapshot()
    found: dict[str, Any] = {"first": 1000 * (perf_counter() - started), "back": {}, "another": {}}
    for pages in CHANGED:
        back, another = [], []
        for number in range(5 * rounds):
            tell(f"{pages} pages, {number + 1}/{5 * rounds}")
            _change(machine, pages, number)
            back.append(_ms(lambda: machine.restore(base)))
            _change(machine, pages, number)
            another.append(_ms(machine.snapshot))
            machine.restore(base)
        found["back"][str(pages)], found["another"][str(pages)] = back, another
    return found


def _change(machine: Machine, pages: int, number: int) -> None:
    """Write to `pages` scattered pages, and let the guest run a little."""
    step = (FILLED_BYTES - (16 << 20)) // PAGE // pages
    for page in range(pages):
        at = (16 << 20) + page * step * PAGE
        machine.memory.ram[at : at + 4] = (number + 1).to_bytes(4, "little")
    machine.run(max_insns=INSTRUCTIONS)


def _ms(action: Callable[[], object]) -> float:
    started = perf_counter()
    kept = action()
    spent = 1000 * (perf_counter() - started)
    del kept
    return spent


def report(found: dict[str, Any]) -> tuple[str, list[Goal]]:
    """The table, and what should have come out."""
    rows = [
        (f"{int(pages):,} pages", *(f"{figure:.2f}" for figure in _figures(found, pages))) for pages in found["back"]
    ]
    heads = ("snapshots of 512M, ms", "back", "best", "another", "best")
    few = str(CHANGED[0])
    return table(heads, [*rows, ("the first", "", "", f"{found['first']:.0f}", "")]), [
        Goal("snapshots: back over a few pages, ms", median(found["back"][few]), FEW_MS),
        Goal("snapshots: another after a few pages, ms", median(found["another"][few]), 2 * FEW_MS),
    ]


def _figures(found: dict[str, Any], pages: str) -> tuple[float, ...]:
    back, another = found["back"][pages], found["another"][pages]
    return median(back), min(back), median(another), min(another)
