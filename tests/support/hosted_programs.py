"""Programs for the hosted kernel, in assembly, and machines that run them."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from hillemu.boot.assembler import assemble_text
from hillemu.boot.images import SOURCES
from hillemu.emu.stop import StopReason
from hillemu.kernel.options import KernelOptions
from hillemu.machine import Machine

HEAD = """
.layout base=0x400000
.include "user.inc"
.text
.global _start
_start:
"""
CHASE = """
    again:
        system_call SYS_MMAP2, 0, 48*4096, 3, 0x22, -1, 0
        mov ebp, eax
        mov edx, 100
    turn:
        mov edi, ebp
        mov ecx, 48
    touch:
        add dword ptr [edi], ecx            # in every page another line
        add edi, 4096 + 64
        dec ecx
        cmp ecx, 1
        jne touch
        dec edx
        jnz turn
        system_call SYS_GETPID
        system_call SYS_MUNMAP, ebp, 48*4096
        jmp again
"""
"""For ever: an access in each of 48 pages, a hundred times over; then all of them anew."""
INSTRUCTIONS = 30_000_000
"""No program of a test needs more."""


def build_program(body: str, path: Path) -> str:
    """Assemble a program that consists of `body`, with what user.inc offers, into the file `path`."""
    path.write_bytes(assemble_text(HEAD + body, name=path.name, include_paths=[SOURCES]).data)
    return str(path)


def kernel_with(
    folder: Path,
    programs: Mapping[str, str],
    *,
    mem: str = "16M",
    append: str = "",
    options: KernelOptions | None = None,
) -> Machine:
    """A machine that is about to boot the kernel with these programs: name to source, or to a file's bytes."""
    machine = Machine(mem=mem)
    modules = [build_program(body, folder / name) for name, body in programs.items()]
    machine.load_kernel(modules=modules, append=f"tests=off {append}", options=options or KernelOptions(check=True))
    return machine


def run_to_the_end(machine: Machine) -> list[str]:
    """Run until the kernel switches off, which it does only if all is well.

    What the programs said, and the kernel of them; its boot log and its summary are left out.
    """
    stop = machine.run(max_insns=INSTRUCTIONS)
    text = machine.serial.text
    assert stop.reason is StopReason.POWER_OFF, f"{stop}\n{text}"
    assert "check: all is well\n" in text
    return spoken(text)


def spoken(text: str) -> list[str]:
    """The lines between the boot log and the summary."""
    lines = text.splitlines()
    start = max(number for number, line in enumerate(lines) if "kernel page tables at" in line) + 1
    end = next((number for number, line in enumerate(lines) if line == "=== Memory at the end ==="), len(lines))
    return lines[start:end]


C_FLAGS = [
    *(
        "-m32",
        "-masm=intel",
        "-O1",
        "-std=gnu11",
        "-ffreestanding",
        "-fno-pic",
        "-no-pie",
        "-static",
    ),
    *("-nostdlib", "-fno-stack-protector", "-fcf-protection=none", "-mno-sse", "-fno-asynchronous-unwind-tables"),
    *("-Wall", "-Wextra", "-Werror", "-Wl,--build-id=none", "-Wl,-Ttext-segment=0x400000", "-Wl,-z,noexecstack"),
]


def compile_program(gcc: str, name: str, folder: Path, *, march: str = "pentium3") -> str:
    """Compile tests/guest/programs/`name`.c as any user would: gcc -m32 -nostdlib, linked below the heap."""
    source = Path(__file__).resolve().parents[1] / "guest" / "programs" / f"{name}.c"
    command = [gcc, *C_FLAGS, f"-march={march}", source, "-o", folder / name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return str(folder / name)
