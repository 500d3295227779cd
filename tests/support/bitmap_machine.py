"""Machines with profile bitmap's kernel, and programs for it in assembly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hillemu.boot.assembler import assemble_text
from hillemu.boot.images import SOURCES
from hillemu.emu.stop import StopReason
from hillemu.kernel.options import KernelOptions
from hillemu.kernel.profiles.bitmap.kernel import BitmapKernel
from hillemu.machine import Machine

HEAD = """
.layout base=0x40000000
.include "user.inc"
.text
.global _start
_start:
"""
INSTRUCTIONS = 3_000_000
"""No program of a test needs more."""


def build_program(body: str, path: Path) -> str:
    """Assemble a program that consists of `body`, with what user.inc offers, into the file `path`."""
    path.write_bytes(assemble_text(HEAD + body, name=path.name, include_paths=[SOURCES]).data)
    return str(path)


def bitmap_with(
    folder: Path,
    programs: Mapping[str, str],
    *,
    mem: str = "16M",
    append: str = "",
    options: KernelOptions | None = None,
) -> Machine:
    """A machine that is about to boot the kernel with these programs: name to source."""
    machine = Machine(mem=mem)
    modules = [build_program(body, folder / name) for name, body in programs.items()]
    machine.load_kernel(profile="bitmap", modules=modules, append=append, options=options or KernelOptions(check=True))
    return machine


def kernel_of(machine: Machine) -> BitmapKernel:
    """The Python behind the machine's kernel."""
    kernel = machine.kernel
    assert isinstance(kernel, BitmapKernel)
    return kernel


def run_to_the_end(machine: Machine) -> list[str]:
    """Run until the kernel switches off, which it does only if all is well; what was said about programs."""
    stop = machine.run(max_insns=INSTRUCTIONS)
    text = machine.serial.text
    assert stop.reason is StopReason.POWER_OFF, f"{stop}\n{text}"
    assert ": all is well\n" in text
    return spoken(text)


def spoken(text: str) -> list[str]:
    """The lines between the document's examples and the summary."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("kmalloc(1024) = ")) + 1
    end = next((number for number, line in enumerate(lines) if line == "=== Memory at the end ==="), len(lines))
    return lines[start:end]
