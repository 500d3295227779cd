"""`make bench`: hillemu and QEMU side by side, as ratios.

Figures belong to a host and a moment; ratios of runs that alternate are what can be compared.  A missed goal is
printed as such and is no error: the exit status tells only whether everything could be measured.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import bochs
import debugger
import inspection
import kernel_machine
import kernel_mm
import kernel_profiles
import kernel_vm
import loops
import memory_model
import modelled
import ports
import published
import snapshots
import startup
from machines import QEMU, qemu_path
from processes import BenchError

PARTS = (
    "loops",
    "start",
    "ports",
    "mm",
    "profiles",
    "kernel",
    "snapshot",
    "gdb",
    "inspection",
    "timing",
    "bochs",
    "published",
)
WITHOUT_QEMU = {"ports", "mm", "profiles", "kernel", "snapshot", "gdb", "inspection", "timing", "bochs", "published"}


def main() -> int:
    """Measure what the command line asks for; the exit status is 1 if something cannot be measured."""
    options = _parse()
    if qemu_path() is None and not WITHOUT_QEMU.issuperset(options.part):
        return _give_up(f"{QEMU} is not installed; only --part {', '.join(sorted(WITHOUT_QEMU))} work without it")
    try:
        with tempfile.TemporaryDirectory(prefix="hillemu-bench-") as folder:
            record = _measure(options, Path(folder))
    except BenchError as error:
        return _give_up(str(error))
    if options.json is not None:
        options.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure hillemu against QEMU; prints ratios, below 1 is faster.")
    parser.add_argument("--quick", action="store_true", help="a short look: one round of short loops")
    parser.add_argument("--rounds", type=int, metavar="N", help="how often everything is measured (5; start: 21)")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part; may be given again")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every single figure")
    options = parser.parse_args()
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds must be at least 1")
    options.part = options.part or list(PARTS)
    return options


def _measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    shorter = 10 if options.quick else 1
    rounds = options.rounds or (1 if options.quick else 5)
    start_rounds = options.rounds or (5 if options.quick else 21)
    measured: dict[str, Any] = {}
    goals: list[Any] = []

    def measure(name: str, part: ModuleType, *where: Path, **how: int) -> None:
        measured[name] = part.measure(*where, **how, tell=_tell)
        goals.extend(_show(*part.report(measured[name])))

    if "loops" in options.part:
        measure("loops", loops, folder, rounds=rounds, shorter=shorter)
    if "start" in options.part:
        measure("start", startup, folder, rounds=start_rounds)
    if "ports" in options.part:
        measure("ports", ports, folder, rounds=rounds, shorter=shorter)
    if "mm" in options.part:
        measure("mm", kernel_mm, folder, rounds=rounds, shorter=shorter)
        measure("vm", kernel_vm, rounds=rounds)
    if "profiles" in options.part:
        measure("profiles", kernel_profiles, rounds=rounds, shorter=shorter)
    if "kernel" in options.part:
        measure("kernel", kernel_machine, folder, rounds=rounds, shorter=shorter)
    if "snapshot" in options.part:
        measure("snapshot", snapshots, rounds=rounds)
    if "gdb" in options.part:
        measure("gdb", debugger, folder, rounds=rounds, shorter=shorter)
    if "inspection" in options.part:
        measure("inspection", inspection, folder, rounds=rounds, shorter=shorter)
    if "timing" in options.part:
        measure("timing", memory_model, folder, rounds=rounds, shorter=shorter)
        measure("modelled", modelled, folder, rounds=rounds, shorter=shorter)
    if "bochs" in options.part:
        measure("bochs", bochs, folder, rounds=rounds, shorter=shorter)
    if "published" in options.part:
        measure("published", published)
    print(*goals, sep="\n")
    return {**measured, "goals": [goal.record() for goal in goals]}


def _show(text: str, goals: list[Any]) -> list[Any]:
    _tell("")
    print(text, end="\n\n", flush=True)
    return goals


def _tell(what: str) -> None:
    """What is going on, on a terminal: one line that the next one replaces."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{what}", end="", file=sys.stderr, flush=True)


def _give_up(why: str) -> int:
    print(f"bench: {why}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
