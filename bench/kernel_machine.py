"""The hosted kernel on its machine: system calls and page faults end to end, and a whole boot from start to power off.

End to end is from the instruction in ring 3 that traps to the next one there: through the guest's IDT, its stub, the
trap port, Python, and back.

A zero page is measured twice: in frames that the host has given out already, and in memory that is new to the host,
which clears its own page first.  The goal is for the first: the second differs by the factor of ten from host to host.
Both are processor time, which other work on the host changes least; a boot is what people wait for.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

from figures import Goal, interleaved, table
from processes import BenchError

from hillemu.boot.assembler import assemble_text
from hillemu.boot.images import SOURCES
from hillemu.machine import Machine

CALLS, PAGES = 200_000, 16_384
HEAD = '.layout base=0x400000\n.include "user.inc"\n.text\n.global _start\n_start:\n'
CALL_PROGRAM = """
    tell "go 1\\n"
    mov esi, {count}
1:  mov eax, SYS_GETPID
    int 0x80
    dec esi
    jnz 1b
    tell "done 1\\n"
    system_call SYS_EXIT, 0
"""
FAULT_PROGRAM = """
.macro touch_all number
    system_call SYS_MMAP2, 0, {count}*4096, 3, 0x22, -1, 0
    mov ebp, eax
    mov edi, eax
    tell "go \\number\\n"
    mov esi, {count}
1:  mov byte ptr [edi], 1
    add edi, 4096
    dec esi
    jnz 1b
    tell "done \\number\\n"
    system_call SYS_MUNMAP, ebp, {count}*4096
.endm
    touch_all 1                             # frames that nobody has touched
    touch_all 2                             # the same frames
    system_call SYS_EXIT, 0
"""
CALLS_PER_SECOND, FAULT_US = 250_000, 12.0
BOOTS = {"512M": (1.0, None), "4G": (1.5, 150)}
"""RAM; seconds, and megabytes of the host's memory."""


def measure(folder: Path, *, rounds: int, shorter: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Microseconds of each kind of trap, seconds and peak bytes of each boot, `rounds` times."""
    measures: dict[str, Callable[[], float]] = {}
    for name, text, count, turn in (
        ("getpid", CALL_PROGRAM, CALLS, 1),
        ("zero page", FAULT_PROGRAM, PAGES, 2),
        ("zero page, new to the host", FAULT_PROGRAM, PAGES, 1),
    ):
        count //= shorter
        program = folder / name.replace(" ", "_")
        program.write_bytes(assemble_text(HEAD + text.format(count=count), include_paths=[SOURCES]).data)
        measures[name] = partial(_trap_us, str(program), count, turn)
    peaks: dict[str, list[float]] = {mem: [] for mem in BOOTS}
    for mem in BOOTS:
        measures[f"boot {mem}"] = partial(_boot, mem, peaks[mem])
    return {"figures": interleaved(rounds, measures, tell), "peak_rss_bytes": peaks}


def _trap_us(program: str, count: int, turn: int) -> float:
    """How long each of the `count` traps of the program's `turn` takes."""
    machine = Machine(mem="512M")
    machine.load_kernel(modules=[program], append="tests=off")
    machine.run(until=f"^go {turn}\n")
    started = process_time()
    machine.run(until=f"^done {turn}\n")
    seconds = process_time() - started
    if not machine.serial.text.endswith(f"done {turn}\n"):
        raise BenchError(f"{program}: {machine.serial.text[-200:]}")
    return seconds / count * 1e6


_RUN_AND_TELL = """
import resource, subprocess, sys, time
started = time.perf_counter()
status = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(status, time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""A small process of its own, because the peak that Linux tells for a child includes what its parent had."""


def _boot(mem: str, peaks: list[float]) -> float:
    command = [sys.executable, "-c", _RUN_AND_TELL, sys.executable, "-m", "hillemu", "boot", "--mem", mem, "--quiet"]
    status, seconds, kilobytes = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    if status != "0":
        raise BenchError(f"hillemu boot --mem {mem}: status {status}")
    peaks.append(float(kilobytes) * 1024)
    return float(seconds)


def report(found: dict[str, Any]) -> tuple[str, list[Goal]]:
    """The table, and what should have come out."""
    figures, peaks = found["figures"], found["peak_rss_bytes"]
    rows = [
        (name, f"{min(runs):.2f}", f"{median(runs):.2f}", "s" if name.startswith("boot") else "us")
        for name, runs in figures.items()
    ]
    goals = [
        Goal("kernel: system calls a second", 1e6 / median(figures["getpid"]), CALLS_PER_SECOND, at_least=True),
        Goal("kernel: a demand-paging fault, us", median(figures["zero page"]), FAULT_US),
    ]
    for mem, (seconds, megabytes) in BOOTS.items():
        goals.append(Goal(f"kernel: boot --mem {mem}, s", median(figures[f"boot {mem}"]), seconds))
        if megabytes is not None:
            goals.append(Goal(f"kernel: boot --mem {mem}, MB of the host's", max(peaks[mem]) / 1e6, megabytes))
    return table(("end to end", "best", "median", ""), rows), goals
