"""The hosted kernel's allocators: Python on structures in guest memory, beside the same buddy system compiled from C.

All run on the machine's real memory, `PhysicalMemory`.  The buddy system's plan is drawn from a fixed dice, and every
implementation must end with the same checksum over the blocks that it handed out.

What runs in this process is measured in its processor time, which other work on the host changes least.
"""

from __future__ import annotations

import gc
import shutil
import subprocess
import sys
from array import array
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from statistics import median
from time import process_time
from typing import Any

from figures import Goal, interleaved, table
from kernels import GUESTS
from machines import Command, hillemu, qemu, qemu_path
from processes import BenchError, time_between_marks

from hillemu.emu.i386.address import Frame, PhysAddr
from hillemu.emu.memory import PhysicalMemory
from hillemu.kernel.mm.assembly import KernelMemory
from hillemu.kernel.mm.bitmap import Bitmap
from hillemu.kernel.mm.buddy_create import create
from hillemu.kernel.mm.debug_aids import Options
from hillemu.kernel.mm.frames import FrameRun, OutOfMemory
from hillemu.kernel.mm.memory_map import MemoryRegion
from hillemu.kernel.trace import parse, replay
from hillemu.kernel.trace_generator import KINDS, generate

SMALL, LARGE = 131_072, 1_048_576
"""Frames: 512 MiB and 4 GiB."""
OPERATIONS = 400_000
GUEST_TIMES = 4
COMPILED_TIMES = 20
"""Compiled for the host, the plan is that much longer: it must take long enough to be timed from outside."""
PAIRS = 100_000
BUDDY_PER_SECOND, BUDDY_LARGE_PART, BITMAP_PER_SECOND, KMALLOC_PER_SECOND = 800_000, 0.8, 500_000, 250_000
AT = PhysAddr(1 << 20)
ORDERS = (0,) * 16 + (1,) * 6 + (2,) * 3 + (3, 3, 4, 4, 5, 6, 7)

C_FLAGS = ["-O2", "-std=gnu11", "-Wall", "-Werror", "-Wno-parentheses"]
GUEST_FLAGS = [
    *("-m32", "-march=pentium3", "-mgeneral-regs-only", "-ffreestanding", "-fno-pic", "-fno-stack-protector"),
    *("-fcf-protection=none", "-fno-asynchronous-unwind-tables", "-static", "-nostdlib", "-no-pie"),
    *("-Wl,--build-id=none", "-Wl,-N", "-Wl,-z,noexecstack", "-Wl,--no-warn-rwx-segments", "-Wl,-Ttext=0x100000"),
]


def measure(folder: Path, *, rounds: int, shorter: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Operations a second of everything, `rounds` times; `shorter` divides the repetitions."""
    operations = OPERATIONS // shorter
    measures: dict[str, Callable[[], float]] = {}
    for frames in (SMALL, LARGE):
        measures[f"buddy {frames}"] = partial(_python_buddy, frames, operations, set())
        for name, command, times in _compiled(folder, frames, operations):
            measures[f"buddy {frames} {name}"] = partial(_compiled_buddy, command, operations * times)
        measures[f"bitmap {frames}"] = partial(_bitmap, frames)
        _same_blocks(folder, frames, operations)
    for name, options in (("plain", Options(False, False)), ("debug", Options())):
        measures[f"kmalloc {name}"] = partial(_kmalloc, PAIRS // shorter, options)
    for kind in KINDS:
        measures[f"trace {kind}"] = partial(_trace, kind)
    gc.disable()
    try:
        return interleaved(rounds, measures, tell)
    finally:
        gc.enable()


def _plan(operations: int) -> tuple[array[int], Callable[[], int]]:
    """The dice that guests/buddy.c has: numbers for the timed part come from where the preparation stops."""
    value = 1

    def roll() -> int:
        nonlocal value
        value = value * 1664525 + 1013904223 & 0xFFFFFFFF
        return value >> 8

    return array("I", [0]) * operations, roll


def _python_buddy(frames: int, operations: int, checksums: set[str]) -> float:
    buddy = create(PhysicalMemory(64 << 20), AT, [FrameRun(Frame(0), Frame(frames))], base=0, end=frames)
    alloc, free = buddy.alloc, buddy.free
    plan, roll = _plan(operations)
    live = array("I")
    checksum = used = 0
    while used < frames // 2:
        order = ORDERS[roll() & 31]
        frame = alloc(order)
        if not isinstance(frame, OutOfMemory):
            checksum = checksum * 31 + frame & 0xFFFFFFFF
            live.append(frame << 4 | order)
            used += 1 << order
    for number in range(operations):
        plan[number] = roll()
    got = array("I", [0]) * operations
    orders, append, pop = ORDERS, live.append, live.pop
    started = process_time()
    for at, number in enumerate(plan):
        if number & 32 or not live:
            frame = alloc(orders[number & 31])
            if frame.__class__ is int:
                got[at] = frame + 1
                append(frame << 4 | orders[number & 31])
        else:
            which = (number >> 6) % len(live)
            block = live[which]
            last = pop()
            if which < len(live):
                live[which] = last
            free(block >> 4, block & 15)
    seconds = process_time() - started
    for frame_and_one in got:
        if frame_and_one:
            checksum = checksum * 31 + frame_and_one - 1 & 0xFFFFFFFF
    checksums.add(f"{checksum:08X}")
    if faults := buddy.check():
        raise BenchError(f"the buddy system contradicts itself: {faults[0]}")
    return operations / seconds


def _compiled(folder: Path, frames: int, operations: int) -> list[tuple[str, Command, int]]:
    """What can be run here: (where, command, how much longer the plan is)."""
    if shutil.which("gcc") is None:
        return []
    long = operations * COMPILED_TIMES
    native = _compile(folder, f"buddy-{frames}", ["-DHOSTED"], frames, long)
    guest = _compile(folder, f"buddy-{frames}.elf", GUEST_FLAGS, frames, operations * GUEST_TIMES)
    found: list[tuple[str, Command, int]] = [
        ("native", [str(native)], COMPILED_TIMES),
        ("hillemu", hillemu([sys.executable, "-m", "hillemu"])(guest), GUEST_TIMES),
    ]
    if qemu_path():
        found.append(("qemu", qemu("-accel", "tcg")(guest), GUEST_TIMES))
    return found


def _compile(folder: Path, name: str, flags: list[str], frames: int, operations: int) -> Path:
    """Compile guests/buddy.c, which needs no library but the host's own."""
    path = folder / f"{name}-{operations}"
    counts = [f"-DFRAMES={frames}u", f"-DOPERATIONS={operations}u"]
    command = ["gcc", *C_FLAGS, *flags, *counts, str(GUESTS / "buddy.c"), "-o", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"gcc: {done.stderr}")
    return path


def _compiled_buddy(command: Command, operations: int) -> float:
    return operations / time_between_marks(command).seconds


def _same_blocks(folder: Path, frames: int, operations: int) -> None:
    """Python and C hand out the same blocks, or the comparison is none."""
    if shutil.which("gcc") is None:
        return
    checksums: set[str] = set()
    _python_buddy(frames, operations, checksums)
    native = _compile(folder, f"same-{frames}", ["-DHOSTED"], frames, operations)
    checksums.add(time_between_marks([str(native)]).checksum)
    if len(checksums) > 1:
        raise BenchError(f"the buddy systems hand out different blocks: checksums {', '.join(sorted(checksums))}")


def _bitmap(frames: int) -> float:
    """`alloc_page` at 90 % full, the free pages scattered: a thousand pages at a time are freed elsewhere before."""
    bitmap = Bitmap.create(PhysicalMemory(64 << 20), AT, (FrameRun(Frame(0), Frame(frames)),), base=0, end=frames)
    alloc, free = bitmap.alloc, bitmap.free
    for _ in range(frames):
        alloc()
    order = list(range(frames))
    Random(1).shuffle(order)
    tenth = frames // 10
    for frame in order[:tenth]:
        free(Frame(frame))
    seconds, batch, batches = 0.0, 1000, 20
    for number in range(batches):
        for frame in order[tenth + number * batch : tenth + (number + 1) * batch]:
            free(Frame(frame))
        started = process_time()
        for _ in range(batch):
            alloc()
        seconds += process_time() - started
    if faults := bitmap.check():
        raise BenchError(f"the bitmap contradicts itself: {faults[0]}")
    return batch * batches / seconds


def _memory(options: Options) -> KernelMemory:
    regions = [MemoryRegion(1 << 20, 63 << 20, 1)]
    return KernelMemory.build(PhysicalMemory(64 << 20), regions, debug=options)


def _kmalloc(pairs: int, options: Options) -> float:
    """Pairs of kfree and kmalloc among 700 live allocations; sizes as kernels ask for, one in twenty of pages."""
    memory = _memory(options)
    kmalloc, kfree = memory.kmalloc.kmalloc, memory.kmalloc.kfree
    dice = Random(2)
    sizes = [dice.randint(2049, 16384) if dice.random() < 0.05 else dice.randint(1, 512) for _ in range(pairs)]
    places = [dice.randrange(700) for _ in range(pairs)]
    live = [kmalloc(dice.randint(1, 512)) for _ in range(700)]
    started = process_time()
    for place, size in zip(places, sizes, strict=True):
        kfree(live[place])
        live[place] = kmalloc(size)
    seconds = process_time() - started
    if faults := memory.check():
        raise BenchError(f"kmalloc contradicts itself: {faults[0]}")
    return pairs / seconds


def _trace(kind: str) -> float:
    return replay(parse(generate(kind), kind), _memory(Options()).kmalloc, process_time).per_second


def report(found: dict[str, Any]) -> tuple[str, list[Goal]]:
    """The table, and what should have come out."""
    rows = [
        (name, f"{median(runs):,.0f}", f"{max(runs):,.0f}", f"{1e9 / median(runs):,.0f}")
        for name, runs in found.items()
    ]
    small = median(found[f"buddy {SMALL}"])
    # Rounds alternate, so their ratios say more than the ratio of medians.
    part = median(b / a for a, b in zip(found[f"buddy {SMALL}"], found[f"buddy {LARGE}"], strict=True))
    goals = [
        Goal("kernel: buddy operations a second, 131,072 frames", small, BUDDY_PER_SECOND, at_least=True),
        Goal("kernel: buddy, 1,048,576 frames by 131,072", part, BUDDY_LARGE_PART, at_least=True),
    ]
    for frames in (SMALL, LARGE):
        figure = median(found[f"bitmap {frames}"])
        goals.append(Goal(f"kernel: bitmap alloc_page a second, {frames:,}", figure, BITMAP_PER_SECOND, at_least=True))
    for name in ("plain", "debug"):
        figure = median(found[f"kmalloc {name}"])
        goals.append(Goal(f"kernel: kmalloc/kfree pairs a second, {name}", figure, KMALLOC_PER_SECOND, at_least=True))
    return table(("allocator", "operations/s", "best", "ns each"), rows), goals
