"""Guests that go on for long, for comparisons with the reference of the timing models.

Each is made by `make(folder, timing)`, where `folder` takes files that it is made of; it has come to where its work
begins, or is about to boot.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import bitmap_machine
import guest_builder
from hosted_programs import CHASE, HEAD
from laboratory import make_lab
from random_programs import FRAME

from hillemu import Machine
from hillemu.boot.assembler import assemble_file, assemble_text
from hillemu.boot.images import SOURCES
from hillemu.emu.i386.address import PhysAddr

ROOT = Path(__file__).resolve().parents[2]
SORT = """
        .bss
        .balign 4
        words: .space 4 * 64
        .text
    again:
        mov ecx, 64
        mov eax, 12345
    draw:                                   # random words of every length
        mov edx, 1103515245
        mul edx
        add eax, 12345
        push ecx
        mov edx, eax
        shr edx, cl
        pop ecx
        mov [words + 4 * ecx - 4], edx
        dec ecx
        jnz draw
        mov esi, 4
    insert:
        mov eax, [words + esi]
        mov edi, esi
    shift:
        mov edx, [words + edi - 4]
        cmp edx, eax
        jbe place
        mov [words + edi], edx
        sub edi, 4
        jnz shift
    place:
        mov [words + edi], eax
        bsr ecx, eax
        setz dl
        imul eax, esi
        add esi, 4
        cmp esi, 4 * 64
        jne insert
        system_call SYS_GETPID
        jmp again
"""
UNDER_A_TIMER = """
    sti
    .rept 20; add eax, [DATA + 4]; adc [DATA + 8], edx; xor esi, eax; .endr
    mov eax, [UNMAPPED]
    mov dword ptr [PAGE_TABLE + 0x800], 0; invlpg [UNMAPPED]
    xor ecx, ecx; xor edx, edx; div ecx
    int 0x80; ud2
    patched: mov eax, 5
    add dword ptr [patched + 1], 7
    mov edi, DATA + 0x200; mov ecx, 20; rep stosd
    mov ecx, 6; 5: imul ebx, eax; bsf edx, ebx; dec ecx; jnz 5b
    push ss; pop ss
    fninit; fld1; fldpi; fdivp st(1), st; fistp dword ptr [DATA + 0x80]
    pushfd; or dword ptr [esp], 0x100; popfd; nop; nop
    call 3f; jmp 4f; 3: ret; 4: cpuid
"""
BUDDY_FLAGS = (
    *("-m32", "-march=i386", "-mgeneral-regs-only", "-std=gnu11", "-O2", "-ffreestanding", "-fno-pic"),
    *("-fno-stack-protector", "-fcf-protection=none", "-fno-asynchronous-unwind-tables", "-static", "-nostdlib"),
    *("-no-pie", "-Wl,--build-id=none", "-Wl,-N", "-Wl,-z,noexecstack", "-Wl,--no-warn-rwx-segments"),
    *("-Wl,-Ttext=0x100000", "-Wno-parentheses", "-DFRAMES=4096u", "-DOPERATIONS=1000000u"),
)


class Guest(NamedTuple):
    """`steps` is how many of its instructions a long comparison has; `needs_gcc`: it is compiled."""

    make: Callable[[Path, str], Any]
    steps: int
    needs_gcc: bool = False


def laboratory_of(machine: Machine) -> Any:
    """A machine as the recorder takes one."""
    pc = machine._pc
    return SimpleNamespace(processor=pc.processor, pc=pc, memory=pc.memory)


def loop(name: str, folder: Path, timing: str) -> Any:
    """A loop of bench/guests, where it begins."""
    image = folder / f"{name}.elf"
    source = ROOT / "bench" / "guests" / f"{name}.s"
    image.write_bytes(assemble_file(source, include_paths=[SOURCES], defines={"REPEATS": 100}).data)
    machine = _loaded(image, timing)
    machine.run(until="<")
    return laboratory_of(machine)


def compiled(name: str, folder: Path, timing: str) -> Any:
    """A guest of tests/guest."""
    return laboratory_of(_loaded(guest_builder.build(name, folder), timing))


def numerics(folder: Path, timing: str) -> Any:
    """The guest that calculates, with more rounds than it would have."""
    machine = _loaded(guest_builder.build("numerics", folder), timing)
    machine._pc.memory.set_u32(PhysAddr(machine.symbols["rounds"]), 1_000_000)
    return laboratory_of(machine)


def buddy(folder: Path, timing: str) -> Any:
    """The buddy system in C."""
    image = folder / "buddy.elf"
    source = ROOT / "bench" / "guests" / "buddy.c"
    gcc = shutil.which("gcc") or "gcc"
    done = subprocess.run([gcc, *BUDDY_FLAGS, source, "-o", image], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return laboratory_of(_loaded(image, timing))


def hosted(profile: str, head: str, bodies: tuple[str, ...], folder: Path, timing: str) -> Any:
    """A built-in kernel that is about to boot, and to run programs that do not end."""
    machine = Machine(mem="32M", timing=timing)
    modules = []
    for number, body in enumerate(bodies):
        path = folder / f"program{number}"
        path.write_bytes(assemble_text(head + body, name=path.name, include_paths=[SOURCES]).data)
        modules.append(str(path))
    machine.load_kernel(profile=profile, modules=modules, append="tests=off" if profile == "hillson" else "")
    return laboratory_of(machine)


def under_a_timer(folder: Path, timing: str) -> Any:
    """Faults, interrupts and code that changes itself, again and again."""
    return make_lab(FRAME.format(body=UNDER_A_TIMER, timer=300, rounds=1_000_000), timing=timing)


def _loaded(image: Path, timing: str) -> Machine:
    machine = Machine(mem="32M", timing=timing)
    machine.load(str(image))
    return machine


LOOPS = ("sieve", "fib", "word_copy", "list_chase", "arithmetic")
KERNELS = (
    *("ring3", "vm86", "task_switch", "task_switch_16", "paging", "paging_large", "self_modifying", "strings"),
    *("segments", "call_gate", "mode_switches", "exceptions", "double_fault", "nested_faults", "debug_registers"),
    *("bios_vm86", "fpu", "sysenter", "io_permission"),
)
"""Of tests/guest; they end by themselves."""
GUESTS = (
    {name: Guest(partial(loop, name), 700_000) for name in LOOPS}
    | {"rep_movsd": Guest(partial(loop, "rep_movsd"), 300)}
    | {
        "hosted kernel": Guest(partial(hosted, "hillson", HEAD, (CHASE, SORT)), 1_200_000),
        "profile bitmap": Guest(partial(hosted, "bitmap", bitmap_machine.HEAD, (SORT,)), 1_200_000),
        "profile orange": Guest(partial(hosted, "orange", bitmap_machine.HEAD, (SORT,)), 1_200_000),
        "under a timer": Guest(under_a_timer, 700_000),
        "numerics": Guest(numerics, 1_300_000, needs_gcc=True),
        "buddy": Guest(buddy, 1_200_000, needs_gcc=True),
    }
)
"""`steps` of REP MOVSD are its repetitions."""
