"""What looking costs: page walks, whole address spaces, watches that watch nothing, and tests that share a boot.

All but the tests is processor time, which other work on the host changes least.
"""

from __future__ import annotations

import random
import subprocess
import sys
from array import array
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

from figures import Goal, interleaved, ratio, table
from kernels import build
from processes import BenchError

from hillemu import Machine
from hillemu.boot.shipped import shipped_folder
from hillemu.inspection.spaces import Paging

MODES = {"32-bit": 4, "pae": 8}
"""Bytes of an entry."""
PAGES = 1 << 20
TABLES_AT = 16 << 20
WALKS = 20_000
GUEST_INSNS = 400_000_000
TESTS = 100
WALK_US, ENUMERATION_S, OFF_RATIO = 5.0, 0.5, 1.02
NEVER, REMOVED, ELSEWHERE = "never", "removed", "elsewhere"


def measure(folder: Path, *, rounds: int, shorter: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """By mode microseconds a walk and seconds an enumeration; seconds of a loop by watch, and of so many tests."""
    machine = Machine(mem="64M")
    machine.load_demo()
    found: dict[str, Any] = {"walk_us": {}, "regions_s": {}, "scattered_s": {}}
    for mode in MODES:
        for kind, name in ((0, "regions_s"), (1, "scattered_s")):
            space = _full_space(machine, mode, scattered=bool(kind))
            tell(f"a million pages, {mode}")
            found[name][mode] = [_enumeration(space, PAGES if kind else 1) for _ in range(rounds)]
        tell(f"walks, {mode}")
        found["walk_us"][mode] = [_walk(space) for _ in range(rounds)]
    machines = _watched_machines(folder)
    insns = GUEST_INSNS // shorter
    runs = {name: partial(_run, one, insns) for name, one in machines.items()}
    found["loop_s"] = interleaved(rounds, runs, lambda what: tell(f"watch {what}"))
    tests = {str(count): partial(_tests, folder, count) for count in (1, TESTS)}
    found["tests_s"] = interleaved(rounds, tests, lambda what: tell(f"tests {what}"))
    return found


def report(found: dict[str, Any]) -> tuple[str, list[Goal]]:
    """The tables, and what should have come out."""
    rows = [
        (mode, *(f"{median(found[name][mode]):.3g}" for name in ("walk_us", "regions_s", "scattered_s")))
        for mode in MODES
    ]
    loops = {name: ratio(found["loop_s"][name], found["loop_s"][NEVER]) for name in found["loop_s"]}
    each_ms = 1000 * median(
        (many - one) / (TESTS - 1)
        for many, one in zip(found["tests_s"][str(TESTS)], found["tests_s"]["1"], strict=True)
    )
    first = f"{median(found['tests_s']['1']):.2f}"
    text = "\n\n".join(
        (
            table(("looking at page tables", "walk, us", "4 GiB in one run, s", "in a million, s"), rows),
            table(("a loop, watched", "to never"), [(name, f"{figure:.3f}") for name, figure in loops.items()]),
            table(("tests of one boot", "the first, s", "each more, ms"), [("pytest", first, f"{each_ms:.1f}")]),
        )
    )
    worst = {name: max(median(found[name][mode]) for mode in MODES) for name in ("walk_us", "scattered_s")}
    return text, [
        Goal("inspection: a page walk, us", worst["walk_us"], WALK_US),
        Goal("inspection: a million pages enumerated, s", worst["scattered_s"], ENUMERATION_S),
        Goal("inspection: a loop whose watch was removed", loops[REMOVED], OFF_RATIO),
        Goal("inspection: a loop with a watch elsewhere", loops[ELSEWHERE], OFF_RATIO),
    ]


# ---- page tables ----------------------------------------------------------------------------------------------------


def _full_space(machine: Machine, mode: str, *, scattered: bool) -> Paging:
    """All 4 GiB in pages of 4 KiB: one to one, or so that no page continues the one before."""
    size = MODES[mode]
    frames = list(range(PAGES))
    if scattered:
        random.Random(6).shuffle(frames)
    code = {4: "I", 8: "Q"}[size]
    tables = array(code, (frame << 12 | 7 for frame in frames))
    per_table = 4096 // size
    directories_at = TABLES_AT + len(tables) * size
    directories = array(code, (TABLES_AT + number * 4096 | 7 for number in range(PAGES // per_table)))
    pointers_at = directories_at + len(directories) * size
    ram = machine.memory.ram
    for at, entries in ((TABLES_AT, tables), (directories_at, directories)):
        ram[at : at + len(entries) * size] = entries.tobytes()
    if mode == "32-bit":
        return machine.paging.at(cr3=directories_at, mode=mode)
    pointers = array("Q", (directories_at + number * 4096 | 1 for number in range(4))).tobytes()
    ram[pointers_at : pointers_at + len(pointers)] = pointers
    return machine.paging.at(cr3=pointers_at, mode=mode)


def _enumeration(space: Paging, expected: int) -> float:
    started = process_time()
    found = len(space.regions())
    spent = process_time() - started
    if found < expected * 0.99:
        raise BenchError(f"{found:,} runs of pages were found, not some {expected:,}")
    return spent


def _walk(space: Paging) -> float:
    picked = random.Random(7).choices(range(0, 1 << 32, 1 << 12), k=WALKS)
    started = process_time()
    for at in picked:
        space[at]
    return 1e6 * (process_time() - started) / WALKS


# ---- watches --------------------------------------------------------------------------------------------------------


def _watched_machines(folder: Path) -> dict[str, Machine]:
    """Machines inside a loop of loads and stores: never watched, no longer, and in a page that it does not touch."""
    image = build("word_copy", folder, repeats=1 << 30)
    machines = {}
    for name in (NEVER, REMOVED, ELSEWHERE):
        machines[name] = machine = Machine(mem="64M")
        machine.load(str(image))
        machine.run(until="<")
        if name != NEVER:
            watch = machine.on_write(range(0x8000, 0x8004), lambda hit: None)
            machine.run(max_insns=1_000_000)
            if name == REMOVED:
                watch.remove()
    return machines


def _run(machine: Machine, insns: int) -> float:
    started = process_time()
    machine.run(max_insns=insns)
    return process_time() - started


# ---- tests ----------------------------------------------------------------------------------------------------------


def _tests(folder: Path, count: int) -> float:
    """Seconds of a pytest that runs `count` tests, each of which writes to the machine and runs it."""
    kernel = str(Path(shipped_folder()) / "demo.elf")
    project = folder / f"tests-{count}"
    project.mkdir(exist_ok=True)
    (project / "test_kernel.py").write_text(
        "import pytest\n"
        f"@pytest.mark.hillemu(kernel={kernel!r}, mem='512M', until='checks passed')\n"
        f"@pytest.mark.parametrize('number', range({count}))\n"
        "def test_it(machine, number):\n"
        "    assert machine.memory.ram[0x200000] == 0\n"
        "    machine.memory.ram[0x200000] = 1\n"
        "    machine.run(max_insns=1_000)\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "."]
    started = perf_counter()
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"the tests failed:\n{done.stdout}")
    return perf_counter() - started
