"""Faults of instructions that QEMU 5 executes, and that the native core adds: UMIP, MOVBE, SSE alignment, MOV SS.

Sources: Intel SDM Vol. 3A, "Control Registers" and "Masking Exceptions and Interrupts When Switching Stacks"; Vol. 2.
"""

from __future__ import annotations

from typing import Any

import pytest

from hillemu.emu.cpu.core import CoreStop

FAULTS = """; hlt
    vector_1: mov ebp, 1; cli; hlt
    vector_6: mov ebp, 6; mov esi, [esp]; cli; hlt
    vector_13: mov ebp, 13; mov ebx, [esp]; mov esi, [esp + 4]; cli; hlt
    vector_128: cli; hlt
"""
RING3 = "push 0x23; push 0x70000; pushfd; push 0x1B; push offset user; iretd; user: push 0x23; pop ds; "
UMIP = "mov eax, 0x800; mov cr4, eax; "
STORES = ["sgdt [0x200000]", "sidt [0x200000]", "smsw [0x200000]", "smsw eax", "sldt eax", "str ax", "str [0x200000]"]


def native(lab_of: Any, source: str, cpu: str = "max") -> Any:
    machine = lab_of("native", source + FAULTS, cpu=cpu)
    assert machine.run() is CoreStop.HALT
    return machine


@pytest.mark.parametrize("instruction", STORES)
def test_umip_keeps_the_systems_registers_from_ring_3(instruction: str, lab_of: Any) -> None:
    machine = native(lab_of, f"{UMIP}{RING3}nop; here: {instruction}; int 0x80")
    assert (machine.get("ebp"), machine.get("ebx")) == (13, 0)
    assert machine.get("esi") == machine.symbols["here"]


@pytest.mark.parametrize("instruction", STORES)
def test_umip_leaves_ring_0_alone_and_ring_3_without_it(instruction: str, lab_of: Any) -> None:
    assert native(lab_of, f"{UMIP}{instruction}").get("ebp") == 0
    assert native(lab_of, f"{RING3}{instruction}; int 0x80").get("ebp") == 0


def test_switching_umip_changes_code_that_has_run(lab_of: Any) -> None:
    machine = lab_of(
        "native",
        f"""
    again: {RING3} smsw edx; int 0x80
    vector_128: inc edi; mov esp, 0x80000; mov eax, edi; shl eax, 10; and eax, 0x800; mov cr4, eax; jmp again
    vector_13: cli; hlt
        """,
    )
    assert machine.run() is CoreStop.HALT
    assert machine.get("edi") == 2


@pytest.mark.parametrize("code", ["0x0F, 0x38, 0xF0, 0xC0", "0x0F, 0x38, 0xF1, 0xC8", "0x66, 0x0F, 0x38, 0xF1, 0xC8"])
def test_movbe_between_registers_is_undefined(code: str, lab_of: Any) -> None:
    machine = native(lab_of, f"nop; here: .byte {code}")
    assert (machine.get("ebp"), machine.get("esi")) == (6, machine.symbols["here"])


def test_movbe_with_memory_and_crc32_between_registers_are_defined(lab_of: Any) -> None:
    machine = native(
        lab_of, "mov dword ptr [0x200000], 0x12345678; movbe ecx, [0x200000]; crc32 edx, eax; crc32 edx, al"
    )
    assert (machine.get("ebp"), machine.get("ecx")) == (0, 0x78563412)


OSFXSR = "mov eax, 0x200; mov cr4, eax; mov edi, 0x200004; "


@pytest.mark.parametrize(
    "instruction",
    ["movapd xmm0, [edi]", "movdqa [edi], xmm0", "movntps [edi], xmm0", "addps xmm1, [edi]", "pshufb xmm0, [edi]",
     "pshufd xmm0, [edi], 0", "aesenc xmm0, [edi]", "cvtpd2ps xmm0, [edi]", "xorps xmm0, [es:edi]"],
)  # fmt: skip
def test_a_128_bit_operand_must_be_aligned(instruction: str, lab_of: Any) -> None:
    machine = native(lab_of, f"{OSFXSR}here: {instruction}")
    assert (machine.get("ebp"), machine.get("ebx"), machine.get("esi")) == (13, 0, machine.symbols["here"])
    assert native(lab_of, f"{OSFXSR}and edi, ~15; {instruction}").get("ebp") == 0


@pytest.mark.parametrize(
    "instruction",
    ["movupd xmm0, [edi]", "movups [edi], xmm0", "movdqu xmm0, [edi]", "lddqu xmm0, [edi]", "cvtps2pd xmm0, [edi]",
     "cvtdq2pd xmm0, [edi]", "pcmpistri xmm0, [edi], 0", "movq mm0, [edi]", "movsd xmm0, [edi]", "movhps xmm0, [edi]",
     "pmovsxbw xmm0, [edi]", "fld qword ptr [edi]", "fild qword ptr [edi]", "movddup xmm0, [edi]"],
)  # fmt: skip
def test_other_operands_may_lie_anywhere(instruction: str, lab_of: Any) -> None:
    assert native(lab_of, f"{OSFXSR}{instruction}").get("ebp") == 0


BREAK_AT_HERE = "mov eax, offset here; mov dr0, eax; mov eax, 0x402; mov dr7, eax; mov ax, ss; push ss; "


@pytest.mark.parametrize(("before", "vector"), [("mov ss, ax", 0), ("pop ss", 0), ("sti", 1), ("nop", 1)])
def test_a_code_breakpoint_is_not_taken_behind_a_load_of_ss(before: str, vector: int, lab_of: Any) -> None:
    machine = native(lab_of, f"{BREAK_AT_HERE}{before}; here: inc ecx; cli")
    assert (machine.get("ebp"), machine.get("ecx")) == (vector, 1 - vector)


def test_smep_keeps_the_supervisor_from_user_pages(lab: Any) -> None:
    machine = lab(
        """
        mov edi, 0x400000; mov eax, 7; mov ecx, 1024
    1:  mov [edi], eax; add eax, 4096; add edi, 4; loop 1b
        mov dword ptr [0x401000], 0x400007
        and dword ptr [0x400400], ~4        # this code is the supervisor's
        mov byte ptr [0x300000], 0xC3       # what it calls is the user's
        mov eax, 0x401000; mov cr3, eax
        mov eax, cr0; or eax, 0x80000000; mov cr0, eax
        mov esi, 0x300000
        call esi; inc ebx
        mov eax, 1 << 20; mov cr4, eax
        call esi; inc ebx
        hlt
    vector_14: pop ecx; mov edx, cr2; cli; hlt
        """
    )
    machine.run()
    assert [machine.get(name) for name in ("ebx", "ecx", "edx")] == [1, 0x11, 0x300000]
