"""Accesses recorded from guests take the same clocks in the native memory model and in the reference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import guest_builder
import pytest
from memory_models import GEOMETRIES, IS_LONG, compare
from memory_recording import Recorder

from hillemu import Machine

GUESTS = ("paging", "paging_large", "ring3", "vm86", "task_switch", "self_modifying", "strings", "fpu")


def record(machine: Machine, events: int) -> Recorder:
    recorder = Recorder(machine, events)
    machine.run(max_insns=20_000_000)
    recorder.end()
    return recorder


@pytest.mark.parametrize("name", GEOMETRIES if IS_LONG else ["i486", "Pentium", "i386 with a wait state"])
def test_the_demo_takes_the_same_clocks_event_for_event(name: str) -> None:
    machine = Machine(mem="8M")
    machine.load_demo()
    recorder = record(machine, 700_000 if IS_LONG else 8_000)
    system = compare(GEOMETRIES[name], recorder.memory, recorder.trace)
    assert system.counters["reads"] > 1000
    assert system.counters["writes"] > 1000


@pytest.mark.skipif(not IS_LONG, reason="takes minutes: HILLEMU_LONG=1")
@pytest.mark.parametrize("guest", GUESTS)
def test_guests_take_the_same_clocks_event_for_event(
    guest: str, tmp_path: Path, need_tool: Callable[..., None]
) -> None:
    need_tool("gcc")
    machine = Machine(mem="32M")
    machine.load(str(guest_builder.build(guest, tmp_path)))
    recorder = record(machine, 300_000)
    for geometry in GEOMETRIES.values():
        compare(geometry, recorder.memory, recorder.trace)
