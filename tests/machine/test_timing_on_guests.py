"""Guests take the cycles of the reference, instruction for instruction: loops, kernels of both kinds, programs.

``HILLEMU_LONG=1`` compares ten million instructions on each processor, and the guests of tests/guest to their ends; it
takes some ten minutes of a core, and ``-n`` divides them among several.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from timing_comparison import Comparison
from timing_guests import GUESTS, KERNELS, LOOPS, compiled, laboratory_of, loop

from hillemu import Machine
from hillemu.emu.cpu.core import CoreStop

IS_LONG = os.environ.get("HILLEMU_LONG") == "1"
PROCESSORS = ("i386", "i486", "pentium")
STEPS, MOST_STEPS = 1_500, 400_000
"""Of each guest in a short run, and more than a guest of tests/guest has."""
SHORT = ("sieve", "fib", "under a timer")


@pytest.fixture
def make_guest(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[str, str], Any]:
    """`make_guest("sieve", "i486-nomem")`"""

    def make(name: str, timing: str) -> Any:
        if GUESTS[name].needs_gcc:
            request.getfixturevalue("gcc_m32")
        return GUESTS[name].make(tmp_path, timing)

    return make


@pytest.mark.parametrize("processor", PROCESSORS)
@pytest.mark.parametrize("guest", GUESTS if IS_LONG else SHORT)
def test_a_guest_takes_the_cycles_of_the_reference(
    guest: str, processor: str, make_guest: Callable[[str, str], Any]
) -> None:
    wanted = GUESTS[guest].steps if IS_LONG else STEPS
    lab = make_guest(guest, f"{processor}-nomem")
    start = lab.processor.instructions
    comparison = Comparison(lab, processor)
    while comparison.compared < wanted and not comparison.recorder.has_ended:
        assert not comparison.run(wanted)
    assert comparison.compared >= wanted
    # And what does not stop behind each instruction takes as long.
    undisturbed = make_guest(guest, f"{processor}-nomem")
    undisturbed.processor.set("cr3", undisturbed.processor.get("cr3"))  # as the recorder begins
    undisturbed.processor.run(instructions=lab.processor.instructions - start)
    assert undisturbed.processor.ticks() == lab.processor.ticks()


def test_another_processors_cycles_are_told_with_what_came_before(make_guest: Callable[[str, str], Any]) -> None:
    told = Comparison(make_guest("fib", "i486-nomem"), "pentium").run(STEPS)
    assert told.startswith("pentium: native ")
    assert ", reference " in told


def test_the_long_run_has_ten_million_instructions() -> None:
    assert sum(guest.steps for guest in GUESTS.values()) >= 10_000_000


@pytest.mark.parametrize("processor", PROCESSORS)
@pytest.mark.parametrize("guest", KERNELS if IS_LONG else KERNELS[:2])
def test_a_kernel_takes_the_cycles_of_the_reference(
    guest: str, processor: str, tmp_path: Path, root: Path, gcc_m32: str
) -> None:
    lab = compiled(guest, root / "build" / "guests", f"{processor}-nomem")
    comparison = Comparison(lab, processor)
    if not IS_LONG:
        lab.processor.run(instructions=20_000)
        comparison = Comparison(lab, processor)
    assert not comparison.run(MOST_STEPS if IS_LONG else STEPS)
    assert comparison.recorder.has_ended or not IS_LONG


@pytest.mark.parametrize("processor", PROCESSORS)
def test_the_demo_takes_the_cycles_of_the_reference(processor: str) -> None:
    machine = Machine(mem="8M", timing=f"{processor}-nomem")
    machine.load_demo()
    assert not Comparison(laboratory_of(machine), processor).run(MOST_STEPS if IS_LONG else STEPS)


@pytest.mark.parametrize("processor", PROCESSORS)
@pytest.mark.parametrize("name", [*LOOPS, "rep_movsd"])
def test_with_memory_a_run_takes_as_long_as_without_and_what_memory_waits(
    name: str, processor: str, tmp_path: Path
) -> None:
    without, with_memory = (loop(name, tmp_path, processor + suffix) for suffix in ("-nomem", ""))
    for lab in (without, with_memory):
        assert lab.processor.run(instructions=20_000) is CoreStop.LIMIT
    waited = with_memory.pc.cycles.memory.counters()["stall_clocks"]
    assert waited > 0
    assert with_memory.processor.ticks() == without.processor.ticks() + waited
