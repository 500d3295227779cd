"""Programs whose cycles are worked out by hand from the tables' figures; each says how.  HLT is 4 on the i486.

The tables' own figures are tested elsewhere (tests/unit/emu/timing); here it is what is charged when.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hillemu.emu.cpu.core import CoreStop
from hillemu.emu.errors import OptionError

MODELS = ("i386-nomem", "i486-nomem", "pentium-nomem")
TO_RING_3 = "push 0x23; push 0x80000; pushfd; push 0x1B; push offset user; iretd; user:"

# Name: (source, cycles on the i486 up to and including HLT)
PROGRAMS = {
    "HLT": ("hlt", 4),
    "register and memory operands": ("mov eax, 1; add eax, [0x5000]; add [0x5000], eax; hlt", 1 + 2 + 3 + 4),
    "Jcc taken 3, not taken 1": ("mov ecx, 10; 1: dec ecx; jnz 1b; hlt", 1 + 10 * 1 + 9 * 3 + 1 + 4),
    "a condition that needs all flags": ("mov ecx, 3; 1: dec ecx; cmp ecx, 0; jg 1b; hlt", 1 + 3 * 2 + 2 * 3 + 1 + 4),
    "LOOP taken 7, not taken 6": ("mov ecx, 10; 1: loop 1b; hlt", 1 + 9 * 7 + 6 + 4),
    "LOOPE that ends by ZF 6": ("mov ecx, 10; or ecx, ecx; 1: loope 1b; hlt", 1 + 1 + 6 + 4),
    "JECXZ taken 8": ("xor ecx, ecx; jecxz 1f; nop; 1: hlt", 1 + 8 + 4),
    "JECXZ not taken 5": ("mov ecx, 1; jecxz 1f; nop; 1: hlt", 1 + 5 + 1 + 4),
    "CALL 3, PUSH 1, POP 1, RET 5": ("call 1f; hlt; 1: push eax; pop eax; ret", 3 + 1 + 1 + 5 + 4),
    "REP STOS 7+4n": ("mov edi, 0x5000; mov ecx, 100; rep stosd; hlt", 1 + 1 + 7 + 400 + 4),
    "REP MOVS 12+3n": ("mov esi, 0x5000; mov edi, 0x6000; mov ecx, 50; rep movsb; hlt", 3 + 12 + 150 + 4),
    "REPE CMPS 7+7n, stopped by its count": (
        "mov esi, 0x200000; mov edi, 0x300000; mov ecx, 5; repe cmpsb; hlt", 3 + 7 + 35 + 4),
    "REPNE SCAS 7+5n, stopped by ZF": ("mov edi, 0x200000; mov ecx, 50; xor eax, eax; repne scasb; hlt", 3 + 7 + 5 + 4),
    "ENTER 14, 17, 17+3n and LEAVE 5": (
        "enter 8, 0; leave; mov ebp, 0x70000; enter 8, 1; leave; mov ebp, 0x70000; enter 8, 3; leave; hlt",
        14 + 5 + 1 + 17 + 5 + 1 + 17 + 9 + 5 + 4),
    "OUT imm 11, IN imm 9, at CPL 0": ("out 0x80, al; in al, 0x80; hlt", 11 + 22 + 9 + 22 + 4),
    "REP OUTS 11+5n": ("mov esi, 0x5000; mov edx, 0x80; mov ecx, 4; rep outsb; hlt", 3 + 11 + 4 * (5 + 22) + 4),
    "INT n 44, IRET 20": ("int 0x80; hlt; vector_128: iretd", 44 + 20 + 4),
    "#UD 44, ADD m,imm 3, IRET 20, and UD2 itself is not executed": (
        "ud2; hlt; vector_6: add dword ptr [esp], 2; iretd", 44 + 3 + 20 + 4),
    "a fault in mid-block is charged up to it": (
        "xor edx, edx; xor ecx, ecx; div ecx; hlt; vector_0: mov ecx, 1; iretd", 1 + 1 + 44 + 1 + 20 + 40 + 4),
    # PUSH imm 1 (four) and PUSHFD 3; IRET to an outer privilege 36; INT n to more privilege 71
    "to ring 3 and back": (TO_RING_3 + "int 0x80; vector_128: hlt", 4 * 1 + 3 + 36 + 71 + 4),
    "RETF to the same privilege 17": ("push 8; push offset 1f; retf; 1: hlt", 1 + 1 + 17 + 4),
    "far JMP to a code segment 19": (".byte 0xEA; .long 1f; .word 8; 1: hlt", 19 + 4),
    "code that changes itself in its own block; displacement and immediate 1 more": (
        "inc eax; mov byte ptr [1f], 0x43; inc eax; 1: inc eax; hlt", 1 + 1 + 1 + 1 + 1 + 4),
}  # fmt: skip


def timed(lab_of: Callable[..., Any], source: str, model: str = "i486-nomem") -> Any:
    return lab_of("native", source, timing=model)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_takes_the_cycles_that_the_tables_say(name: str, lab_of: Callable[..., Any]) -> None:
    source, cycles = PROGRAMS[name]
    at_once, stepped = timed(lab_of, source), timed(lab_of, source)
    assert at_once.run() is CoreStop.HALT
    stepped.step_to_end()
    assert at_once.processor.ticks() == cycles
    assert at_once.outcome() == stepped.outcome()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_counting_cycles_changes_neither_instructions_nor_memory(
    name: str, model: str, lab_of: Callable[..., Any]
) -> None:
    source, _ = PROGRAMS[name]
    plain, counted = lab_of("native", source), timed(lab_of, source, model)
    assert plain.run() is counted.run() is CoreStop.HALT
    assert plain.count == counted.count
    assert plain.processor.registers() == counted.processor.registers()
    assert plain.memory.sha256() == counted.memory.sha256()


def test_rdtsc_in_mid_block_reads_the_cycles_before_it(lab_of: Callable[..., Any]) -> None:
    machine = timed(lab_of, "mov ebx, 1; add ebx, [0x5000]; rdtsc; mov ebx, 2; hlt")
    machine.run()
    assert machine.get("eax") == 1 + 2


def test_a_device_sees_the_cycles_before_its_instruction(lab_of: Callable[..., Any]) -> None:
    machine = timed(lab_of, "mov edx, 0x500; mov ecx, 2; out dx, al; 1: dec ecx; out dx, al; jnz 1b; hlt")
    machine.run()
    # OUT DX 10 at CPL 0, DEC 1, Jcc taken 3; the ISA bus 22 more, at whose end the device sees the access
    assert [at for at, *_ in machine.probe.log] == [2 + 22, 24 + 10 + 1 + 22, 57 + 10 + 3 + 1 + 22]


@pytest.mark.parametrize("wanted", [1, 2, 17, 18, 99])
def test_a_limit_of_instructions_is_exact(wanted: int, lab_of: Callable[..., Any]) -> None:
    machine = timed(lab_of, "1: mov eax, [0x5000]; mul eax; add ebx, eax; rep stosb; jmp 1b")
    assert machine.processor.run(instructions=wanted) is CoreStop.LIMIT
    assert machine.count == wanted


@pytest.mark.parametrize("model", MODELS)
def test_instructions_and_cycles_are_exact_far_beyond_the_counter_of_instructions(
    model: str, lab_of: Callable[..., Any]
) -> None:
    rounds = 12_000_000
    machine = lab_of("native", f"mov ecx, {rounds}; 1: dec ecx; jnz 1b; hlt", timing=model)
    assert machine.processor.run() is CoreStop.HALT
    assert machine.count == 1 + 2 * rounds + 1
    halt = lab_of("native", "hlt", timing=model)
    halt.run()
    # MOV, DEC, Jcc taken (7+m on the i386, DEC is one component), not taken; on the Pentium MOV and DEC are no pair,
    # since both write ECX, DEC and Jcc are one, and a pair that leads to itself is always in the clock behind its own
    # misprediction
    wanted = {
        "i386-nomem": 2 + rounds * 2 + (rounds - 1) * (7 + 1) + 3,
        "i486-nomem": 1 + rounds * 1 + (rounds - 1) * 3 + 1,
        "pentium-nomem": 1 + rounds + (rounds - 1) * 4,
    }
    assert machine.processor.ticks() - halt.processor.ticks() == wanted[model]


def test_the_precision_control_decides_what_a_division_takes(lab_of: Callable[..., Any]) -> None:
    found = {}
    for name, word in (("24", 0x007F), ("53", 0x027F), ("64", 0x037F)):
        machine = lab_of(
            "native",
            f"push {word}; fldcw [esp]; fld1; fld1; rdtsc; mov ebx, eax; fdivp; rdtsc; hlt",
            timing="pentium-nomem",
        )
        machine.run()
        found[name] = machine.get("eax") - machine.get("ebx")
    assert found["53"] - found["24"] == 33 - 19
    assert found["64"] - found["53"] == 39 - 33


def test_a_port_access_waits_for_the_bus(lab_of: Callable[..., Any]) -> None:
    from hillemu.emu.timing.model import timing_model

    plain, slow = (timing_model("i486-nomem", io_wait_states=waits) for waits in (0, 6))
    assert (plain.io_wait_states, slow.io_wait_states) == (0, 6)
    source = "mov edx, 0x500; mov ecx, 3; mov esi, 0x5000; out dx, al; in al, dx; rep outsb; hlt"
    fast, waiting = (lab_of("native", source, timing=model) for model in (plain, slow))
    fast.run()
    waiting.run()
    assert waiting.processor.ticks() - fast.processor.ticks() == 5 * 6
    assert waiting.pc.cycles.idle == 0


def test_idle_time_is_apart(lab_of: Callable[..., Any]) -> None:
    machine = timed(lab_of, "sti; hlt; cli; hlt; vector_8: iretd")
    for port, value in (
        (0x43, 0x34),
        (0x40, 0),
        (0x40, 0),
        (0x20, 0x11),
        (0x21, 8),
        (0x21, 4),
        (0x21, 1),
        (0x21, 0xFE),
    ):
        machine.pc.ports.write(port, 1, value)
    assert machine.run() is CoreStop.HALT
    # STI 5, HLT 4, interrupt 55, IRET 20, CLI 5, HLT 4; a full count of the 8254 lasts 54.9 ms at 33 MHz
    assert machine.processor.ticks() - machine.pc.cycles.idle == 5 + 4 + 55 + 20 + 5 + 4
    assert 1_812_000 - 200 < machine.processor.ticks() < 1_813_000


def test_instructions_without_an_entry_are_counted_by_name(lab_of: Callable[..., Any]) -> None:
    machine = timed(lab_of, "mov ecx, 3; 1: bswap eax; cmovz eax, ebx; dec ecx; jnz 1b; hlt", "i386-nomem")
    machine.run()
    assert machine.pc.cycles.untimed() == {"BSWAP r": 3, "CMOVZ (0F 44)": 3}


@pytest.mark.parametrize("model", ["i486", "i486-nomem"])
def test_the_portable_core_is_refused_in_one_line(model: str, lab_of: Callable[..., Any]) -> None:
    with pytest.raises(OptionError, match="needs the native core"):
        lab_of("portable", "hlt", timing=model)


def test_a_snapshot_goes_on_with_the_same_cycles(boot: Callable[..., Any]) -> None:
    machine = boot("mov ecx, 50; 1: mov eax, [0x200000]; dec ecx; jnz 1b; hlt", timing="i486-nomem")
    machine.run(max_insns=61)
    snapshot, at = machine.snapshot(), (machine.cycles, machine.cpu.instructions)
    machine.run()
    end = machine.cycles, machine.cpu.instructions
    machine.restore(snapshot)
    assert (machine.cycles, machine.cpu.instructions) == at
    machine.run()
    assert (machine.cycles, machine.cpu.instructions) == end


def test_json_has_the_cycles(tmp_path: Path) -> None:
    report = tmp_path / "run.json"
    command = [sys.executable, "-m", "hillemu", "boot", "--timing", "i486-nomem", "--json", str(report)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    record = json.loads(report.read_text())
    busy = record["cycles"] - record["idle_cycles"]
    assert record["timing"] == "i486-nomem"
    assert record["cpi"] == pytest.approx(busy / record["instructions"], abs=1e-6)
    assert record["virtual_ns"] == record["cycles"] * 1_000_000_000 // 33_000_000
    assert "no documented timing, 1 cycle each: CPUID" in ended.stderr
