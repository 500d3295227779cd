"""An instruction that faults takes nothing but its exception's clocks, whatever its operands would have cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from timing_comparison import Comparison

PROCESSORS = ("i386", "i486", "pentium")
UNMAPPED = 0x600000
TO_RING_3 = "push 0x23; push 0x80000; pushfd; push 0x1B; push offset user; iretd; user:"
PAGING = f"""
    mov edi, 0x11000; xor eax, eax
1:  lea ecx, [eax + 7]; mov [edi], ecx; add edi, 4; add eax, 0x1000; cmp eax, {UNMAPPED}; jne 1b
    mov edi, 0x10000; mov dword ptr [edi], 0x11007; mov dword ptr [edi + 4], 0x12007
    mov cr3, edi; mov eax, cr0; or eax, 0x80000000; mov cr0, eax; jmp 2f
2:
"""
"""Maps all below 4 MiB; the page table behind it is empty."""
AFTER = "lea edx, [edx + 1]; add eax, edx"
PIECES = {
    "INT through a gate of DPL 0": TO_RING_3 + "int 0x10",
    "INT3 through a gate of DPL 0, behind a branch": TO_RING_3 + "jmp 1f; nop; 1: int3",
    "MOV SS of a DPL 3 descriptor that was not accessed": "mov eax, 0x23; mov ss, ax",
    "MOV DS of a descriptor that was not accessed, then of a TSS": (
        "mov eax, 0x10; and byte ptr [0x1015], ~1; mov ds, ax; mov eax, 0x28; mov ds, ax"),
    "SETcc, true, to a missing page": PAGING + f"xor eax, eax; setz byte ptr [{UNMAPPED}]",
    "SETcc, false, to a missing page": PAGING + f"xor eax, eax; setnz byte ptr [{UNMAPPED}]",
    "FDIV by a missing page, 64 bits of precision": PAGING + f"fninit; fld1; fdiv dword ptr [{UNMAPPED}]",
    "MUL by a missing page": PAGING + f"mul dword ptr [{UNMAPPED}]",
    "BSF in a missing page": PAGING + f"bsf eax, dword ptr [{UNMAPPED}]",
    "CMPXCHG, not equal, in a missing page": PAGING + f"cmpxchg dword ptr [{UNMAPPED}], ecx",
    "CMPXCHG, not equal, in a page that may not be written": (
        PAGING + "mov dword ptr [0x11000 + 4 * 0x210], 0x210005; mov eax, cr0; or eax, 0x10000; mov cr0, eax;"
        "mov eax, 5; cmpxchg dword ptr [0x210000], ecx"),
}  # fmt: skip


BRANCHES = {
    "JMP": "here: jmp 1f; nop; 1: nop",
    "Jcc taken": "xor eax, eax; here: jz 1f; nop; 1: nop",
    "Jcc not taken": "xor eax, eax; here: jnz 1f; nop; 1: nop",
    "LOOP": "mov ecx, 1; here: loop 1f; nop; 1: nop",
    "CALL": "here: call 1f; nop; 1: nop",
    "RET": "call 1f; jmp 2f; 1: nop; here: ret; 2: nop",
    "RET, which a CALL leads to": "call here; jmp 2f; here: ret; 2: nop",
    "JMP r": "mov eax, offset 1f; here: jmp eax; nop; 1: nop",
    "ADD": "here: add eax, ebx; jmp 1f; 1: nop",
}


@pytest.mark.parametrize("processor", PROCESSORS)
@pytest.mark.parametrize("name", BRANCHES)
def test_a_breakpoint_of_the_guest_in_front_of_a_branch_is_none(
    name: str, processor: str, lab_of: Callable[..., Any]
) -> None:
    source = f"mov eax, offset here; mov dr0, eax; mov eax, 2; mov dr7, eax; {BRANCHES[name]}; {AFTER}; hlt"
    handler = "vector_1: or dword ptr [esp + 8], 0x10000; iretd"
    comparison = Comparison(lab_of("native", f"{source}; {handler}", timing=f"{processor}-nomem"), processor)
    assert not comparison.run(1000)
    assert comparison.events == 1
    at_once = lab_of("native", f"{source}; {handler}", timing=f"{processor}-nomem")
    at_once.run()
    assert at_once.vectors == [1]


@pytest.mark.parametrize("processor", PROCESSORS)
@pytest.mark.parametrize("piece", PIECES)
def test_what_faults_takes_what_the_reference_says(piece: str, processor: str, lab_of: Callable[..., Any]) -> None:
    lab = lab_of("native", f"{PIECES[piece]}; {AFTER}; hlt", timing=f"{processor}-nomem")
    comparison = Comparison(lab, processor)
    assert not comparison.run(100_000)
    # What no handler was written for ends in CLI and HLT.
    assert comparison.events == 1
    assert comparison.recorder.has_ended
