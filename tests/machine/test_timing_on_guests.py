"""Guests take the cycles of the reference, instruction for instruction: loops, the demo, and kernels in C that use
rings, virtual-8086 mode, tasks, paging, the x87 and code that changes itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from timing_comparison import Comparison

from hillemu import Machine
from hillemu.boot.assembler import assemble_file
from hillemu.boot.images import SOURCES

IS_LONG = os.environ.get("HILLEMU_LONG") == "1"
PROCESSORS = ("i386", "i486", "pentium")
STEPS = 60_000 if IS_LONG else 1_500
"""For each guest and processor."""
LOOPS = ("sieve", "fib", "word_copy", "list_chase", "arithmetic", "rep_movsd")
KERNELS = ("ring3", "vm86", "task_switch", "paging", "self_modifying", "strings", "segments", "call_gate")


def compare(machine: Machine, processor: str, steps: int = STEPS) -> int:
    """Compare so many steps from here on; how many faults and interrupts were among them."""
    pc = machine._pc
    comparison = Comparison(SimpleNamespace(processor=pc.processor, pc=pc, memory=pc.memory), processor)
    assert not comparison.run(steps)
    assert comparison.compared >= min(steps, 400) or IS_LONG
    return comparison.events


@pytest.fixture
def machine_with(root: Path, tmp_path: Path) -> Callable[[str, str], Machine]:
    """`machine_with("sieve", "i486")` has loaded that loop of bench/guests."""

    def make(loop: str, timing: str) -> Machine:
        image = tmp_path / "loop.elf"
        source = root / "bench" / "guests" / f"{loop}.s"
        image.write_bytes(assemble_file(source, include_paths=[SOURCES], defines={"REPEATS": 100}).data)
        machine = Machine(mem="32M", timing=timing)
        machine.load(str(image))
        return machine

    return make


@pytest.mark.parametrize("processor", PROCESSORS)
@pytest.mark.parametrize("loop", LOOPS if IS_LONG else LOOPS[:2])
def test_a_loop_takes_the_cycles_of_the_reference(
    loop: str, processor: str, machine_with: Callable[[str, str], Machine]
) -> None:
    machine = machine_with(loop, f"{processor}-nomem")
    machine.run(until="<")
    compare(machine, processor)


@pytest.mark.parametrize("processor", PROCESSORS)
@pytest.mark.parametrize("loop", LOOPS)
def test_with_memory_a_run_takes_as_long_as_without_and_what_memory_waits(
    loop: str, processor: str, machine_with: Callable[[str, str], Machine]
) -> None:
    without, with_memory = (machine_with(loop, processor + suffix) for suffix in ("-nomem", ""))
    for machine in (without, with_memory):
        machine.run(max_insns=20_000)
    assert with_memory.modelled_memory is not None
    waited = with_memory.modelled_memory.counters()["stall_clocks"]
    assert waited > 0
    assert with_memory.cycles == without.cycles + waited


@pytest.mark.parametrize("processor", PROCESSORS)
def test_the_demo_takes_the_cycles_of_the_reference(processor: str) -> None:
    machine = Machine(mem="8M", timing=f"{processor}-nomem")
    machine.load_demo()
    compare(machine, processor)


@pytest.mark.parametrize("processor", PROCESSORS)
@pytest.mark.parametrize("guest", KERNELS if IS_LONG else KERNELS[:2])
def test_a_kernel_takes_the_cycles_of_the_reference(
    guest: str, processor: str, tmp_path: Path, gcc_m32: str, image_of: Callable[[str], Path]
) -> None:
    machine = Machine(mem="32M", timing=f"{processor}-nomem")
    machine.load(str(image_of(guest)))
    machine.run(max_insns=20_000)
    compare(machine, processor)
