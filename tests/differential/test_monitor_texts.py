"""`info mem` and `info tlb` say byte for byte what QEMU's monitor says, for the same guest at the same instruction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faulty_spaces import FAULTS, kernel_source
from qemu_monitor import QemuMonitor

from hillemu.boot.assembler import assemble_text
from hillemu.emu.stop import StopReason
from hillemu.machine import Machine

MULTIBOOT = ".section .multiboot; .long 0x1BADB002, 0, 0xE4524FFE; .text; .globl _start; _start: "

PSE_KERNEL = """
    mov edi, 0x200000; mov ecx, 0x1000; xor eax, eax; rep stosd
    mov dword ptr [0x200000], 0x201007
    mov edi, 0x201000; mov eax, 0x103
1:  mov [edi], eax; add eax, 0x1000; add edi, 4; cmp edi, 0x202000; jne 1b
    mov dword ptr [0x201008], 0x2005
    mov dword ptr [0x20100C], 0
    mov dword ptr [0x201014], 0x501F
    mov dword ptr [0x2003FC], 0x00C001E7
    mov dword ptr [0x200400], 0x00E02087
    mov dword ptr [0x200404], 0x201005
    mov dword ptr [0x200408], 0xE0000007
    mov dword ptr [0x20040C], 0x202003
    mov dword ptr [0x202000], 0xE0000002
    mov dword ptr [0x202FFC], 0xFFFFF0E7
    mov dword ptr [0x200FFC], 0x200003
    mov eax, 0x90; mov cr4, eax; mov eax, 0x200000; mov cr3, eax; mov eax, 0x80010011; mov cr0, eax
    mov eax, [0x3FC00000]; mov [0x5000], eax; mov eax, [0xFFFFFFFC]
in_the_space: hlt; jmp in_the_space
"""
"""4 KiB and 4 MiB pages with every flag, a bit 21, a high physical address, a table where nothing is, a self-map."""


@pytest.fixture
def built(tmp_path: Path) -> Callable[[str], Path]:
    """`built(source)` is the file of a multiboot kernel of that assembly."""

    def build(source: str) -> Path:
        path = tmp_path / "kernel.elf"
        path.write_bytes(assemble_text(MULTIBOOT + source).data)
        return path

    return build


def texts_of(image: Path, symbol: str, times: int, qemu: str, folder: Path) -> Iterator[tuple[str, str, str]]:
    """At each of the first `times` arrivals at `symbol`: the command, what QEMU says, what hillemu says."""
    machine = Machine(mem="16M")
    machine.load(str(image))
    at = machine.symbols[symbol]
    machine.breakpoints.add(at)
    command = [qemu, "-accel", "tcg", "-cpu", "max", "-m", "16", "-no-reboot", "-kernel", str(image)]
    with QemuMonitor(command, folder) as theirs:
        for _ in range(times):
            theirs.run_to(at)
            assert machine.run(max_insns=50_000_000).reason is StopReason.BREAKPOINT
            yield "info mem", theirs.human("info mem"), machine.paging.info_mem()
            yield "info tlb", theirs.human("info tlb"), machine.paging.info_tlb()


@pytest.mark.parametrize(
    ("source", "lines"),
    [(PSE_KERNEL, 2000), (kernel_source(FAULTS), 500)],
    ids=["32-bit paging with PSE", "PAE with every mistake that lint knows"],
)
def test_a_kernel_that_stands_in_its_space(
    source: str, lines: int, built: Callable[[str], Path], need_tool: Callable[[str], str], tmp_path: Path
) -> None:
    for command, theirs, ours in texts_of(built(source), "in_the_space", 1, need_tool("qemu-system-i386"), tmp_path):
        assert ours.splitlines() == theirs.splitlines(), command
        assert ours == theirs
        assert command == "info mem" or len(ours.splitlines()) > lines


@pytest.mark.parametrize(("name", "times"), [("paging", 1), ("paging_large", 2)])
def test_the_guests_about_paging_where_they_switch_it_off(
    name: str, times: int, image_of: Callable[[str], Path], need_tool: Callable[[str], str], tmp_path: Path
) -> None:
    for command, theirs, ours in texts_of(
        image_of(name), "stop_paging", times, need_tool("qemu-system-i386"), tmp_path
    ):
        assert ours.splitlines() == theirs.splitlines(), command
        assert ours == theirs
        assert len(ours) > 100


def test_without_paging_both_say_so(
    built: Callable[[str], Path], need_tool: Callable[[str], str], tmp_path: Path
) -> None:
    image = built("nop; in_the_space: hlt; jmp in_the_space")
    for _, theirs, ours in texts_of(image, "in_the_space", 1, need_tool("qemu-system-i386"), tmp_path):
        assert ours == theirs == "PG disabled\n"
