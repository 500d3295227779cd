"""Callbacks for accesses, page faults, CR3 and arrivals: when they come, and what they may do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hillemu.emu.cpu.core import CoreStop
from hillemu.emu.cpu.observers import PageFault, Watch
from hillemu.emu.i386.address import PhysAddr

Lab = Callable[..., Any]
DATA = 0x500000

PAGING = """
    mov edi, 0x10000; mov dword ptr [edi], 0x83; mov dword ptr [edi + 4], 0x83; mov dword ptr [edi + 8], 0
    mov eax, edi; mov cr3, eax; mov eax, cr4; or eax, 0x10; mov cr4, eax
    mov eax, cr0; or eax, 0x80010000; mov cr0, eax
"""


# ---- page faults ----------------------------------------------------------------------------------------------------


def test_page_faults_are_told_in_front_of_the_handler(lab: Lab) -> None:
    machine = lab(
        PAGING + "fault: mov dword ptr [0x800123], 1; hlt; vector_14: mov dword ptr [0x10008], 0x83; add esp, 4; iretd"
    )
    told: list[tuple[PageFault, int, int]] = []
    cpu = machine.processor
    cpu.observers.on_page_fault(lambda fault: told.append((fault, cpu.get("eip"), cpu.instructions)))
    assert machine.run() is CoreStop.HALT
    at = cpu.deliveries[-1].at
    assert told == [((0x800123, 2, 8, machine["fault"], 0x10000, at), machine["vector_14"], at)]
    assert cpu.observers.page_faults == [told[0][0]]


def test_page_faults_are_kept_without_being_asked_for(lab: Lab) -> None:
    """65,536 of them; the table says of each what the processor's own record of deliveries says."""
    count = 65_600
    source = (
        PAGING
        + f"mov ecx, {count}; again: mov eax, [0x800000 + ecx]; loop again; hlt; vector_14: add esp, 4; "
        + "add dword ptr [esp], 6; iretd"
    )
    machine = lab(source)
    assert machine.run() is CoreStop.HALT
    observers = machine.processor.observers
    assert observers.page_fault_count == count
    faults = observers.page_faults
    assert [fault.address for fault in faults] == [0x800000 + ecx for ecx in range(65_536, 0, -1)]
    last = [(d.cr2, d.error_code, d.cs, d.eip, d.at) for d in machine.processor.deliveries]
    assert [(f.address, f.error_code, f.cs, f.eip, f.at) for f in faults[-16:]] == last


def test_a_page_fault_that_ends_in_a_triple_fault_is_told(lab: Lab) -> None:
    machine = lab(PAGING + "mov esp, 0x900000; mov eax, [0x800000]; hlt")
    told: list[int] = []
    machine.processor.observers.on_page_fault(lambda fault: told.append(fault.address))
    assert machine.run() is CoreStop.TRIPLE_FAULT
    assert told == [0x800000]  # the one of its delivery is part of a double fault
    assert machine.processor.observers.page_fault_count == 1


# ---- CR3 ------------------------------------------------------------------------------------------------------------


def test_loads_of_cr3_are_told_behind_the_instruction(lab_of: Lab) -> None:
    machine = lab_of("native", "mov eax, 0x5000; load: mov cr3, eax; next: mov ebx, cr3; mov cr3, ebx; nop; hlt")
    told: list[Any] = []
    cpu = machine.processor
    cpu.observers.on_cr3(lambda load: told.append((*load, cpu.get("cr3"), cpu.get("eip"))))
    assert machine.run() is CoreStop.HALT
    assert told[0] == (0, 0x5000, told[0][2], 2, 0x5000, machine["next"])
    assert [row[:2] for row in told] == [(0, 0x5000), (0x5000, 0x5000)]


# ---- arrivals -------------------------------------------------------------------------------------------------------


def test_each_arrival_is_told_in_front_of_the_instruction(lab: Lab) -> None:
    machine = lab("mov ecx, 5; again: call function; loop again; hlt; nop; function: inc eax; nop; ret")
    told: list[tuple[int, int, int]] = []
    cpu = machine.processor
    cpu.observers.on_arrival(machine["function"], lambda at: told.append((at, cpu.get("eip"), cpu.get("eax"))))
    assert machine.run() is CoreStop.HALT
    assert told == [(machine["function"], machine["function"], count) for count in range(5)]


def test_an_arrival_in_the_middle_of_a_block_is_told(lab: Lab) -> None:
    plain, machine = lab("nop; nop; middle: nop; nop; hlt"), lab("nop; nop; middle: nop; nop; hlt")
    told: list[int] = []
    machine.processor.observers.on_arrival(machine["middle"], lambda at: told.append(machine.count))
    assert machine.run() is plain.run() is CoreStop.HALT
    assert told == [2]
    assert machine.outcome() == plain.outcome()


def test_an_arrival_is_told_once_however_the_run_is_cut(lab: Lab) -> None:
    machine = lab("mov ecx, 5; again: call function; loop again; hlt; nop; function: inc eax; nop; ret")
    told: list[int] = []
    machine.processor.observers.on_arrival(machine["function"], told.append)
    machine.processor.add_breakpoint(machine["function"])
    while machine.run(1) is not CoreStop.HALT:
        pass
    assert told == [machine["function"]] * 5


# ---- what callbacks may do ------------------------------------------------------------------------------------------

LOOP = f"mov ecx, 100; again: mov [{DATA}], ecx; behind: nop; dec ecx; jnz again; hlt"


def watch(machine: Any, call: Callable[[Any], None]) -> int:
    number: int = machine.processor.observers.add_watch(DATA, 4, Watch.WRITE, on_hit=call)
    return number


def test_what_a_callback_raises_ends_the_run_behind_the_instruction(lab_of: Lab) -> None:
    machine, plain = lab_of("native", LOOP), lab_of("native", LOOP)
    fail = [True]

    def call(hit: Any) -> None:
        if hit.after == 50 and fail.pop():
            raise ValueError("fifty")

    watch(machine, call)
    with pytest.raises(ValueError, match="fifty"):
        machine.run()
    assert (machine.get("eip"), machine.get("ecx"), machine.word(DATA)) == (machine["behind"], 50, 50)
    assert machine.run() is plain.run() is CoreStop.HALT
    assert machine.outcome() == plain.outcome()


def test_a_callback_may_stop_the_run_there(lab_of: Lab) -> None:
    machine = lab_of("native", LOOP)
    watch(machine, lambda hit: machine.processor.stop() if hit.after == 7 else None)
    assert machine.run() is CoreStop.REQUESTED
    assert (machine.get("eip"), machine.get("ecx")) == (machine["behind"], 7)


def test_a_callback_may_stop_the_run_in_front_of_a_function(lab: Lab) -> None:
    machine = lab("call function; hlt; nop; function: inc eax; ret")
    told: list[int] = []

    def call(at: int) -> None:
        told.append(at)
        machine.processor.stop()

    machine.processor.observers.on_arrival(machine["function"], call)
    assert machine.run() is CoreStop.REQUESTED
    assert (machine.get("eip"), machine.get("eax")) == (machine["function"], 0)
    assert machine.run() is CoreStop.HALT
    assert len(told) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda machine: machine.processor.set("eax", 1),
        lambda machine: machine.processor.set_segment("ds", machine.processor.segment("es")),
        lambda machine: machine.memory.set_u32(PhysAddr(DATA), 1),
        lambda machine: machine.run(),
        lambda machine: machine.processor.add_breakpoint(0),
    ],
)
def test_a_callback_that_changes_the_machine_ends_the_run(lab_of: Lab, change: Callable[[Any], None]) -> None:
    machine = lab_of("native", LOOP)
    watch(machine, lambda hit: change(machine))
    with pytest.raises(RuntimeError, match="stop"):
        machine.run()


def test_a_callback_may_end_its_own_watch_and_begin_another(lab_of: Lab) -> None:
    machine, plain = lab_of("native", LOOP), lab_of("native", LOOP)
    first: list[int] = []
    second: list[int] = []

    def call(hit: Any) -> None:
        first.append(hit.after)
        if hit.after == 98:
            machine.processor.observers.remove_watch(number)
            machine.processor.observers.on_arrival(machine["behind"], lambda at: second.append(machine.get("ecx")))

    number = watch(machine, call)
    assert machine.run() is plain.run() is CoreStop.HALT
    assert first == [100, 99, 98]
    assert second == list(range(98, 0, -1))
    assert machine.outcome() == plain.outcome()


def test_a_callback_may_end_its_own_arrivals(lab: Lab) -> None:
    machine, plain = lab(LOOP), lab(LOOP)
    told: list[int] = []

    def call(at: int) -> None:
        told.append(machine.get("ecx"))
        if len(told) == 3:
            machine.processor.observers.remove_on_arrival(at, call)

    machine.processor.observers.on_arrival(machine["behind"], call)
    assert machine.run() is plain.run() is CoreStop.HALT
    assert told == [100, 99, 98]
    assert machine.outcome() == plain.outcome()


def test_two_machines_are_watched_apart(lab_of: Lab) -> None:
    one, other = lab_of("native", LOOP), lab_of("native", LOOP)
    told: list[int] = []
    watch(one, lambda hit: told.append(hit.after))
    assert other.run() is CoreStop.HALT
    assert told == []
    assert one.run() is CoreStop.HALT
    assert len(told) == 100
