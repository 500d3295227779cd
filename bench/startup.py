"""From the start of the process to the guest's first byte on COM1, and the host memory that this takes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from figures import Goal, interleaved, ratio, table
from kernels import build
from machines import hillemu, plain_qemu
from processes import peak_rss_at_first_byte, time_to_first_byte
from wheel import install

OURS, OURS_4G = "hillemu, 64M", "hillemu, 4G"
QEMU, QEMU_BARE = "qemu", "qemu -nodefaults"
RATIO, RATIO_4G, RSS_MB = 1.0, 1.1, 120
"""A 4G machine shall start as fast as a 64M one; a tenth is what such short times differ by anyway."""


def measure(folder: Path, *, rounds: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Seconds to the first byte, `rounds` times for each machine, and peak resident bytes of ours."""
    tell("building and installing the wheel")
    program = [str(install(folder))]
    image = build("first_byte", folder)
    ours = {OURS: hillemu(program), OURS_4G: hillemu(program, "4G")}
    machines = {**ours, QEMU: plain_qemu(), QEMU_BARE: plain_qemu("-nodefaults")}
    for booter in machines.values():  # what the host must read from disk, it has read
        time_to_first_byte(booter(image))
    measures = {name: partial(time_to_first_byte, booter(image)) for name, booter in machines.items()}
    return {
        "seconds": interleaved(rounds, measures, tell),
        "peak_rss_bytes": {name: peak_rss_at_first_byte(booter(image)) for name, booter in ours.items()},
    }


def report(found: dict[str, Any]) -> tuple[str, list[Goal]]:
    """The table, and what should have come out."""
    seconds, peaks = found["seconds"], found["peak_rss_bytes"]
    rows = [
        (
            name,
            f"{min(times) * 1000:.0f}",
            f"{median(times) * 1000:.0f}",
            f"{ratio(times, seconds[QEMU]):.2f}",
            f"{peaks[name] / 1e6:.0f}" if name in peaks else "",
        )
        for name, times in seconds.items()
    ]
    return table(("first byte, ms", "best", "median", "to qemu", "RSS, MB"), rows), [
        Goal("start: time to first byte relative to QEMU", ratio(seconds[OURS], seconds[QEMU]), RATIO),
        Goal("start: 4G relative to 64M", ratio(seconds[OURS_4G], seconds[OURS]), RATIO_4G),
        Goal("start: resident memory of a 4G machine, MB", peaks[OURS_4G] / 1e6, RSS_MB),
    ]
