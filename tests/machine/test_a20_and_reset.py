"""The A20 gate, and the processor from its reset vector on."""

from __future__ import annotations

from typing import Any

import pytest

from hillemu.boot.assembler import Layout, assemble_text
from hillemu.emu.cpu.core import CoreStop

GATES = {
    "port 92h": ("in al, 0x92; and al, 0xFD; out 0x92, al", "in al, 0x92; or al, 2; out 0x92, al"),
    "8042": (
        "mov al, 0xD1; out 0x64, al; mov al, 0xDD; out 0x60, al",
        "mov al, 0xD1; out 0x64, al; mov al, 0xDF; out 0x60, al",
    ),
}


@pytest.mark.parametrize("gate", GATES)
def test_memory_wraps_at_1_mib_while_the_gate_is_closed(gate: str, lab: Any) -> None:
    close, open_ = GATES[gate]
    machine = lab(
        f"""
        mov dword ptr [0x5000], 0x11111111; mov dword ptr [0x105000], 0x22222222
        {close}; jmp 1f
    1:  mov ebx, [0x105000]; mov dword ptr [0x105004], 0x33333333
        {open_}; jmp 2f
    2:  mov ecx, [0x105000]; mov esi, [0x5004]; hlt
        """,
        base=0x8000,
    )
    assert machine.run() is CoreStop.HALT
    assert (machine.get("ebx"), machine.get("ecx"), machine.get("esi")) == (0x11111111, 0x22222222, 0x33333333)


def rom(machine: Any, source: str) -> None:
    """Assemble `source` to F000:0000 and a far jump to it at the reset vector."""
    code = assemble_text(f".code16; {source}", layout=Layout(flat=True, base=0xF0000)).data
    machine.memory.rom[0x30000 : 0x30000 + len(code)] = code
    machine.memory.rom[0x3FFF0:0x3FFF5] = b"\xea\x00\x00\x00\xf0"
    machine.processor.reset()


def test_the_state_after_reset_is_the_manuals(lab: Any) -> None:
    machine = lab("hlt")
    machine.processor.reset()
    cpu = machine.processor
    assert (cpu.get("eip"), cpu.get("eflags"), cpu.get("cr0")) == (0xFFF0, 2, 0x60000010)
    assert (cpu.segment("cs").selector, cpu.segment("cs").base) == (0xF000, 0xFFFF0000)
    assert cpu.get("edx") == cpu.model.signature
    assert (cpu.segment("idtr").base, cpu.segment("gdtr").limit) == (0, 0xFFFF)
    assert (cpu.get("dr6"), cpu.get("dr7")) == (0xFFFF0FF0, 0x400)


def test_reset_disarms_the_debug_registers(lab: Any) -> None:
    machine = lab("mov eax, offset target; mov dr0, eax; mov eax, 2; mov dr7, eax; hlt; target: nop; hlt")
    assert machine.run() is CoreStop.HALT
    machine.processor.reset()
    machine._flat(machine["target"])
    machine.run(1)
    assert machine.vectors == []
    assert machine.get("eip") == machine["target"] + 1


def test_code_in_rom_runs_from_the_reset_vector_into_protected_mode(lab: Any) -> None:
    machine = lab("hlt")
    rom(
        machine,
        """
        cli
        mov ax, 0x1234; mov bx, 0x5000; mov ds, bx; mov [0x10], ax
        lgdt cs:[pointer - 0xF0000]
        mov eax, cr0; or al, 1; mov cr0, eax
        .byte 0x66, 0xEA; .long protected; .word 8
        .balign 8
    gdt: .quad 0, 0x00CF9A000000FFFF, 0x00CF92000000FFFF
    pointer: .word 23; .long gdt
        .code32
    protected:
        mov ax, 16; mov ds, ax
        mov ebx, [0x50010]
        mov dword ptr [0x200000], 0xCAFE
        hlt
        """,
    )
    assert machine.run() is CoreStop.HALT
    assert machine.get("ebx") & 0xFFFF == 0x1234
    assert machine.word(0x200000) == 0xCAFE
    assert machine.get("cs") == 8


def test_a_real_mode_interrupt_goes_through_the_table_at_0(lab: Any) -> None:
    machine = lab("hlt")
    rom(
        machine,
        """
        mov sp, 0x1000; mov word ptr [0x40], offset handler - 0xF0000; mov word ptr [0x42], 0xF000
        int 0x10; inc bx; cli; hlt
    handler: mov dx, 0x77; iret
        """,
    )
    assert machine.run() is CoreStop.HALT
    assert (machine.get("edx") & 0xFFFF, machine.get("ebx"), machine.get("esp") & 0xFFFF) == (0x77, 1, 0x1000)
