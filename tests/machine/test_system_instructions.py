"""CPUID, MSRs, control registers, RDTSC and SYSENTER, as each processor model has them."""

from __future__ import annotations

from typing import Any

import pytest

from hillemu.emu.cpu.core import CoreStop
from hillemu.emu.cpu.models import MODELS

FAULTS = "; hlt; vector_6: mov ebp, 6; cli; hlt; vector_13: mov ebp, 13; cli; hlt"


def native(lab_of: Any, source: str, cpu: str = "max") -> Any:
    machine = lab_of("native", source + FAULTS, cpu=cpu)
    assert machine.run() is CoreStop.HALT
    return machine


@pytest.mark.parametrize("cpu", [name for name, model in MODELS.items() if model.has_cpuid])
def test_cpuid_tells_what_the_model_says(cpu: str, lab: Any) -> None:
    for leaf, subleaf, *expected in MODELS[cpu].cpuid_leaves:
        machine = lab(f"mov eax, {leaf:#x}; mov ecx, {subleaf & 0xFF:#x}; cpuid; hlt", cpu=cpu)
        machine.run()
        assert [machine.get(name) for name in ("eax", "ebx", "ecx", "edx")] == expected


def test_cpuid_beyond_its_last_leaf_answers_as_the_last_basic_leaf(lab: Any) -> None:
    machine = lab("mov eax, 0x1234; xor ecx, ecx; cpuid; hlt", cpu="pentium")
    machine.run()
    assert machine.get("edx") == MODELS["pentium"].edx


def test_a_386_has_no_cpuid(lab: Any) -> None:
    machine = lab("cpuid" + FAULTS, cpu="386")
    machine.run()
    assert machine.get("ebp") == 6


@pytest.mark.parametrize(("cpu", "bits"), [("386", 0), ("486", 0x240000), ("max", 0x240000)])
@pytest.mark.parametrize("load", ["popfd", "push cs; push offset 1f; iretd; 1:"])
def test_id_and_ac_can_be_changed_from_the_486_on(cpu: str, bits: int, load: str, lab: Any) -> None:
    machine = lab(f"push 0x240002; {load}; pushfd; pop eax; hlt", cpu=cpu)
    assert machine.run() is CoreStop.HALT
    assert machine.get("eax") & 0x240000 == bits
    assert machine.get("eflags") & 0x240000 == bits


@pytest.mark.parametrize("cpu", MODELS)
def test_each_bit_of_cr4_is_there_or_faults(cpu: str, lab_of: Any) -> None:
    for bit in range(32):
        machine = native(lab_of, f"mov eax, {1 << bit:#x}; mov cr4, eax", cpu)
        model = MODELS[cpu]
        expected = 6 if not model.has_cr4 else 0 if model.cr4_valid >> bit & 1 else 13
        assert machine.get("ebp") == expected, bit


@pytest.mark.parametrize("value", [0x80000000, 0x20000011])
def test_impossible_cr0_faults(value: int, lab_of: Any) -> None:
    assert native(lab_of, f"mov eax, {value:#x}; mov cr0, eax").get("ebp") == 13


@pytest.mark.parametrize("instruction", ["rdmsr", "wrmsr"])
@pytest.mark.parametrize("msr", [0x12345, 0xC0000102])
def test_an_unknown_msr_faults(instruction: str, msr: int, lab_of: Any) -> None:
    assert native(lab_of, f"mov ecx, {msr:#x}; {instruction}").get("ebp") == 13


@pytest.mark.parametrize("cpu", MODELS)
def test_every_msr_of_a_model_can_be_read(cpu: str, lab_of: Any) -> None:
    for index, *_ in MODELS[cpu].msrs:
        assert native(lab_of, f"mov ecx, {index:#x}; rdmsr", cpu).get("ebp") == 0


def test_rdtsc_is_the_clock_to_the_instruction(lab: Any) -> None:
    machine = lab("inc ebx; inc ebx; inc ebx; rdtsc; mov edx, 0x500; out dx, eax; hlt")
    machine.run()
    assert machine.probe.values == [3]


def test_rdtsc_counts_idle_time_and_port_accesses(lab: Any) -> None:
    machine = lab("in al, 0x80; rdtsc; mov ebx, eax; in al, 0x80; rdtsc; sub eax, ebx; hlt")
    machine.run()
    assert machine.get("eax") == 3 + machine.pc.clock.ticks_from_ns(1000)


def test_wrmsr_sets_the_time_stamp_counter(lab_of: Any) -> None:
    machine = native(lab_of, "mov ecx, 0x10; mov eax, 0x1000; xor edx, edx; wrmsr; rdtsc")
    assert machine.get("eax") == 0x1001
    assert machine.processor.ticks() < 0x1000


RING3 = "push 0x23; push 0x70000; pushfd; push 0x1B; push offset user; iretd; user: "


@pytest.mark.parametrize(("tsd", "fault"), [(0, 0), (4, 13)])
def test_tsd_keeps_rdtsc_from_ring_3(tsd: int, fault: int, lab_of: Any) -> None:
    source = f"mov eax, {tsd}; mov cr4, eax; {RING3} rdtsc; int 0x80; vector_128: cli"
    assert native(lab_of, source).get("ebp") == fault


def test_sysenter_and_sysexit_go_to_ring_0_and_back(lab_of: Any) -> None:
    machine = native(
        lab_of,
        f"""
        xor edx, edx
        mov ecx, 0x174; mov eax, 8; wrmsr
        mov ecx, 0x175; mov eax, 0x60000; wrmsr
        mov ecx, 0x176; mov eax, offset kernel; wrmsr
        {RING3} mov ecx, 0x70000; mov edx, offset back; sysenter
    kernel: mov ebx, esp; mov si, cs; sysexit
    back: mov di, cs; int 0x80
    vector_128: cli
        """,
    )
    assert (machine.get("ebx"), machine.get("esi"), machine.get("edi"), machine.get("ebp")) == (0x60000, 8, 0x1B, 0)


def test_sysenter_without_a_target_faults(lab_of: Any) -> None:
    assert native(lab_of, "sysenter").get("ebp") == 13


@pytest.mark.parametrize("cpu", ["386", "486", "pentium"])
def test_sysenter_is_undefined_before_the_pentium_ii(cpu: str, lab: Any) -> None:
    machine = lab("sysenter" + FAULTS, cpu=cpu)
    machine.run()
    assert machine.get("ebp") == 6
