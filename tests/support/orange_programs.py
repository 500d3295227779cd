"""Machines that run profile orange, and programs in assembly for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hillemu.boot.assembler import assemble_text
from hillemu.boot.images import SOURCES
from hillemu.emu.stop import Stop, StopReason
from hillemu.kernel.options import KernelOptions
from hillemu.kernel.profiles.orange.kernel import OrangeKernel
from hillemu.machine import Machine

HEAD = """
.layout base=0x40000000
.include "user.inc"
.text
.global _start
_start:
"""
WAIT = "system_call SYS_WAITPID, -1, (offset status), 0"
STATUS = """
        .bss
        .balign 4
        status: .space 4
        .text
"""
EXIT = "system_call SYS_EXIT, 0"
"""Pieces of programs: wait for a child, the variable that takes its status, the end."""
INSTRUCTIONS = 60_000_000
"""No boot needs more: page tables for 3 GiB take some three million."""


def orange_with(
    programs: Mapping[str, str | bytes] | None = None,
    folder: Path | None = None,
    *,
    mem: str = "32M",
    check: bool = True,
) -> Machine:
    """A machine that is about to boot profile orange, with these programs (source or file) instead of Init."""
    machine = Machine(mem=mem)
    modules = []
    for name, body in (programs or {}).items():
        assert folder is not None
        data = body
        if isinstance(data, str):
            data = assemble_text(HEAD + data, name=name, include_paths=[SOURCES]).data
        (folder / name).write_bytes(data)
        modules.append(str(folder / name))
    machine.load_kernel(profile="orange", modules=modules, options=KernelOptions(check=check))
    return machine


def kernel_of(machine: Machine) -> OrangeKernel:
    """The Python behind the machine's trap port."""
    kernel = machine.kernel
    assert isinstance(kernel, OrangeKernel)
    return kernel


def run(machine: Machine) -> Stop:
    """Run to the end, whichever it is."""
    return machine.run(max_insns=INSTRUCTIONS)


def spoken(machine: Machine) -> list[str]:
    """Run until the kernel switches off, which it does only if all is well: what was said by programs, and of them."""
    stop = run(machine)
    text = machine.serial.text
    assert stop.reason is StopReason.POWER_OFF, f"{stop}\n{text}"
    assert "check: all is well\n" in text
    lines = text.splitlines()
    start = max(number for number, line in enumerate(lines) if line.startswith("linear -> physical")) + 1
    end = next(number for number, line in enumerate(lines) if line.startswith("vm_alloc, vm_free:"))
    return lines[start:end]


def said(folder: Path, body: str, *, mem: str = "32M") -> list[str]:
    """What a single program says, and what the kernel says of it."""
    return spoken(orange_with({"prog": body}, folder, mem=mem))
