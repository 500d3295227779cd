"""Accesses recorded from guests take the same clocks in the native memory model and in the reference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import guest_builder
import pytest
from hosted_programs import CHASE, kernel_with
from memory_format import I486, PENTIUM, RECORD, STORE
from memory_models import GEOMETRIES, IS_LONG, compare
from memory_recording import Recorder
from memory_system import MemorySystem

from hillemu import Machine
from hillemu.boot.assembler import assemble_file
from hillemu.boot.images import SOURCES

GUESTS = ("paging", "paging_large", "ring3", "vm86", "task_switch", "self_modifying", "strings", "fpu")
LOOPS = ("sieve", "fib", "word_copy", "list_chase")
"""Of bench/guests."""
ACCESSES = 2_100_000 if IS_LONG else 4_000
"""Of each loop and of the hosted kernel's program: together over ten million."""


def record(machine: Machine, accesses: int, *, tables_only: bool = False) -> Recorder:
    recorder = Recorder(machine, accesses, tables_only=tables_only)
    machine.run(max_insns=20_000_000)
    recorder.end()
    return recorder


@pytest.mark.parametrize("name", GEOMETRIES if IS_LONG else ["i486", "Pentium", "i386 with a wait state"])
def test_the_demo_takes_the_same_clocks_event_for_event(name: str) -> None:
    machine = Machine(mem="8M")
    machine.load_demo()
    recorder = record(machine, 700_000 if IS_LONG else 8_000)
    system = compare(GEOMETRIES[name], recorder.memory, bytes(recorder.trace))
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
        compare(geometry, recorder.memory, bytes(recorder.trace))


@pytest.mark.parametrize("loop", LOOPS)
def test_long_loops_take_the_same_clocks_event_for_event(loop: str, root: Path, tmp_path: Path) -> None:
    machine = machine_with(loop, root, tmp_path)
    machine.run(until="<")  # the loop begins
    compare_on_processors(record(machine, ACCESSES, tables_only=True))


def test_the_hosted_kernel_s_boot_and_program_take_the_same_clocks_event_for_event(tmp_path: Path) -> None:
    machine = kernel_with(tmp_path, {"chase": CHASE})
    recorder = record(machine, ACCESSES, tables_only=True)
    compare_on_processors(recorder)


def test_recording_only_the_tables_in_use_tells_the_model_the_same(root: Path, tmp_path: Path) -> None:
    """Of a guest that makes its page tables and then uses them."""
    found = []
    for tables_only in (False, True):
        recorder = record(machine_with("word_copy", root, tmp_path), 12_000, tables_only=tables_only)
        system = MemorySystem(I486, bytearray(recorder.memory))
        events = [(event, system.step(*event)) for event in RECORD.iter_unpack(recorder.trace)]
        found.append([(event[0], event[4], result) for event, result in events if event[0] != STORE])
        assert system.counters["data_tlb_misses"] > 5
        assert system.counters["updates"] > 5
    assert found[0] == found[1]


def machine_with(loop: str, root: Path, folder: Path) -> Machine:
    source = root / "bench/guests" / f"{loop}.s"
    image = folder / f"{loop}.elf"
    image.write_bytes(assemble_file(source, include_paths=[SOURCES], defines={"REPEATS": 1_000_000}).data)
    machine = Machine(mem="32M")
    machine.load(str(image))
    return machine


def compare_on_processors(recorder: Recorder) -> None:
    """On a short run only the i486."""
    assert recorder.accesses >= ACCESSES
    for geometry in (I486, PENTIUM) if IS_LONG else (I486,):
        system = compare(geometry, recorder.memory, bytes(recorder.trace))
        # Where an instruction's page is not there, its fetch is recorded with what the processor does about it.
        assert system.counters["faults"] <= 5
        if IS_LONG:
            assert system.counters["reads"] > ACCESSES // 20
            assert system.counters["writes"] > ACCESSES // 100_000
