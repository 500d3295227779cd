"""Six loops on hillemu, on QEMU's TCG, and on QEMU with an instruction clock, which is what we promise as well."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from figures import Goal, geometric_mean, interleaved, ratio, table
from kernels import LOOPS, Loop, build
from machines import Booter, hillemu, qemu
from processes import BenchError, time_between_marks

OURS, TCG, ICOUNT = "hillemu", "tcg", "icount"
MACHINES: dict[str, Booter] = {
    OURS: hillemu([sys.executable, "-m", "hillemu"]),
    TCG: qemu("-accel", "tcg"),
    ICOUNT: qemu("-accel", "tcg", "-icount", "shift=auto,sleep=off"),
}
GEOMEAN_TCG, WORST_TCG, GEOMEAN_ICOUNT = 1.2, 1.7, 0.8


def measure(folder: Path, *, rounds: int, shorter: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Seconds of each loop on each machine, `rounds` times; `shorter` divides the repetitions."""
    return {loop.title: _measure_loop(loop, folder, rounds, shorter, tell) for loop in LOOPS}


def _measure_loop(
    loop: Loop, folder: Path, rounds: int, shorter: int, tell: Callable[[str], None]
) -> dict[str, list[float]]:
    image = build(loop.name, folder, repeats=loop.repeats // shorter)
    checksums: set[str] = set()

    def seconds(booter: Booter) -> float:
        span = time_between_marks(booter(image))
        checksums.add(span.checksum)
        if len(checksums) > 1:
            raise BenchError(f"{loop.title}: the machines' checksums differ: {', '.join(sorted(checksums))}")
        return span.seconds

    measures = {name: partial(seconds, booter) for name, booter in MACHINES.items()}
    return interleaved(rounds, measures, lambda what: tell(f"{loop.title}, {what}"))


def report(found: dict[str, Any]) -> tuple[str, list[Goal]]:
    """The table, and what should have come out."""
    against_tcg = {title: ratio(runs[OURS], runs[TCG]) for title, runs in found.items()}
    against_icount = {title: ratio(runs[OURS], runs[ICOUNT]) for title, runs in found.items()}
    means = geometric_mean(against_tcg.values()), geometric_mean(against_icount.values())
    rows = [
        (
            title,
            *(f"{median(runs[name]):.2f}" for name in MACHINES),
            f"{against_tcg[title]:.2f}",
            f"{against_icount[title]:.2f}",
        )
        for title, runs in found.items()
    ]
    rows.append(("geometric mean", "", "", "", f"{means[0]:.2f}", f"{means[1]:.2f}"))
    worst = max(against_tcg, key=lambda title: against_tcg[title])
    return table(("loop, seconds (median)", *MACHINES, "to tcg", "to icount"), rows), [
        Goal("loops: geometric mean of the time relative to TCG", means[0], GEOMEAN_TCG),
        Goal(f"loops: worst relative to TCG ({worst})", against_tcg[worst], WORST_TCG),
        Goal("loops: geometric mean relative to icount", means[1], GEOMEAN_ICOUNT),
    ]
