"""What counting cycles costs: each loop without a model, with `--lint tlb`, and with the i486's, without and with
its memory.

All are runs of one process that alternate, and processor time is taken, as nothing here waits.  Each run goes on where
the one before stopped, so that translated code is there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

from figures import Goal, interleaved, ratio, table
from kernels import LOOPS, build

from hillemu import Machine

PLAIN, LINT, WITHOUT_MEMORY, MODEL = "insn", "--lint tlb", "i486-nomem", "i486"
MOST_WITHOUT_MEMORY, MOST_WITH_MODEL, MOST_WITH_LINT, LEAST_MIPS = 1.2, 8, 3, 100
FAST = ("sieve", "fib")
INSTRUCTIONS = {PLAIN: 80_000_000, LINT: 80_000_000, WITHOUT_MEMORY: 80_000_000, MODEL: 10_000_000}


def measure(folder: Path, *, rounds: int, shorter: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Nanoseconds for each instruction, by loop and kind, `rounds` times; `shorter` divides the instructions."""
    found: dict[str, Any] = {}
    for loop in LOOPS:
        image = build(loop.name, folder, repeats=loop.repeats)
        machines = {kind: _at_the_loop(kind, image) for kind in INSTRUCTIONS}
        few = 8 if loop.name == "list_chase" else 1  # its every load misses the host's caches
        measures = {
            kind: partial(_nanoseconds, machine, INSTRUCTIONS[kind] // shorter // few)
            for kind, machine in machines.items()
        }
        found[loop.name] = interleaved(rounds, measures, lambda what, title=loop.title: tell(f"{title}, {what}"))
    return found


def _at_the_loop(kind: str, image: Path) -> Machine:
    machine = Machine(mem="32M", timing=kind if kind in (WITHOUT_MEMORY, MODEL) else PLAIN)
    if kind == LINT:
        machine.lint_tlb()
    machine.load(str(image))
    machine.run(until="<")
    machine.run(max_insns=1_000_000)
    return machine


def _nanoseconds(machine: Machine, instructions: int) -> float:
    started, before = process_time(), machine.cpu.instructions
    machine.run(max_insns=instructions)
    return (process_time() - started) * 1e9 / (machine.cpu.instructions - before)


def report(found: dict[str, Any]) -> tuple[str, list[Goal]]:
    """The table, and what issue and documentation promise."""
    ratios = {
        kind: {loop: ratio(runs[kind], runs[PLAIN]) for loop, runs in found.items()}
        for kind in (LINT, WITHOUT_MEMORY, MODEL)
    }
    rows = [
        (
            loop,
            *(f"{1000 / median(runs[kind]):.0f}" for kind in INSTRUCTIONS),
            *(f"{ratios[kind][loop]:.2f}" for kind in ratios),
        )
        for loop, runs in found.items()
    ]
    heads = ("timing, MIPS", *INSTRUCTIONS, *(f"{kind} x" for kind in ratios))
    limits = {LINT: MOST_WITH_LINT, WITHOUT_MEMORY: MOST_WITHOUT_MEMORY, MODEL: MOST_WITH_MODEL}
    goals = [Goal(f"{kind}, worst loop, to insn", max(ratios[kind].values()), limits[kind]) for kind in ratios]
    goals += [
        Goal(f"i486, {loop}, MIPS", 1000 / median(found[loop][MODEL]), LEAST_MIPS, at_least=True) for loop in FAST
    ]
    return table(heads, rows), goals
