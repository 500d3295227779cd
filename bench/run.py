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
from typing import Any

import debugger
import inspection
import kernel_machine
import kernel_mm
import kernel_vm
import loops
import memory_model
import ports
import snapshots
import startup
from machines import QEMU, qemu_path
from processes import BenchError

PARTS = ("loops", "start", "ports", "mm", "kernel", "snapshot", "gdb", "inspection", "timing")
WITHOUT_QEMU = {"ports", "mm", "kernel", "snapshot", "gdb", "inspection", "timing"}


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
    goals = []
    if "loops" in options.part:
        measured["loops"] = loops.measure(folder, rounds=rounds, shorter=shorter, tell=_tell)
        goals += _show(*loops.report(measured["loops"]))
    if "start" in options.part:
        measured["start"] = startup.measure(folder, rounds=start_rounds, tell=_tell)
        goals += _show(*startup.report(measured["start"]))
    if "ports" in options.part:
        measured["ports"] = ports.measure(folder, rounds=rounds, shorter=shorter, tell=_tell)
        goals += _show(*ports.report(measured["ports"]))
    if "mm" in options.part:
        measured["mm"] = kernel_mm.measure(folder, rounds=rounds, shorter=shorter, tell=_tell)
        goals += _show(*kernel_mm.report(measured["mm"]))
        measured["vm"] = kernel_vm.measure(rounds=rounds, tell=_tell)
        goals += _show(*kernel_vm.report(measured["vm"]))
    if "kernel" in options.part:
        measured["kernel"] = kernel_machine.measure(folder, rounds=rounds, shorter=shorter, tell=_tell)
        goals += _show(*kernel_machine.report(measured["kernel"]))
    if "snapshot" in options.part:
        measured["snapshot"] = snapshots.measure(rounds=rounds, tell=_tell)
        goals += _show(*snapshots.report(measured["snapshot"]))
    if "gdb" in options.part:
        measured["gdb"] = debugger.measure(folder, rounds=rounds, shorter=shorter, tell=_tell)
        goals += _show(*debugger.report(measured["gdb"]))
    if "inspection" in options.part:
        measured["inspection"] = inspection.measure(folder, rounds=rounds, shorter=shorter, tell=_tell)
        goals += _show(*inspection.report(measured["inspection"]))
    if "timing" in options.part:
        measured["timing"] = memory_model.measure(folder, rounds=rounds, shorter=shorter, tell=_tell)
        goals += _show(*memory_model.report(measured["timing"]))
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
