"""Cycles of instructions that fault at any of their accesses, and are executed again, are those of the reference.

Ring 3 executes random encodings whose operands lie in pages that are not there; the handler maps them one by one, and a
system call in front of each group takes all of them away.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from random_encodings import instruction
from timing_comparison import Comparison

PROCESSORS = ("i386", "i486", "pentium")
GROUPS, STEPS = 24, 60_000
REGISTERS = ("eax", "ecx", "edx", "ebx", "ebp", "esi", "edi")
# All above 4 MiB is one page table; all below is there, since random instructions make addresses of their own.
FRAME = """
    .equ DIRECTORY, 0x10000
    .equ THERE, 0x11000
    .equ PERHAPS, 0x12000
    mov edi, THERE; mov eax, 7; mov ecx, 1024
1:  mov [edi], eax; add edi, 4; add eax, 0x1000; dec ecx; jnz 1b
    mov edi, DIRECTORY; mov dword ptr [edi], THERE + 7; add edi, 4; mov eax, PERHAPS + 7; mov ecx, 1023; rep stosd
    mov eax, DIRECTORY; mov cr3, eax; mov eax, cr0; or eax, 0x80010000; mov cr0, eax; jmp 2f
2:  fninit; fld1; fld1
    push 0x23; push 0x70000; pushfd; or dword ptr [esp], 0x3000; push 0x1B; push offset user; iretd
user:
    mov ax, 0x23; mov ds, ax; mov es, ax; mov fs, ax
{body}
    cli; hlt
vector_14:
    push eax; push ebx
    mov ebx, cr2; shr ebx, 12; and ebx, 1023
    mov eax, ebx; shl eax, 12; or eax, 0x400007; mov [PERHAPS + 4 * ebx], eax
    pop ebx; pop eax; add esp, 4; iretd
vector_128:
    pushad; cld; mov edi, PERHAPS; xor eax, eax; mov ecx, 1024; rep stosd
    mov eax, cr3; mov cr3, eax; popad; iretd
"""


def program(chance: Random, *, has_newer: bool) -> str:
    """Groups of instructions, each behind registers that point to pages that are not there."""
    lines = []
    for _ in range(GROUPS):
        places = [0x600000 + 4 * chance.randrange(0x20000) + chance.choice((0, 0, 0, 1)) for _ in REGISTERS]
        codes = [instruction(chance, has_newer) for _ in range(chance.randrange(1, 6))]
        lines += [
            "int 0x80; mov esp, 0x70000",
            *(f"mov {name}, {at}" for name, at in zip(REGISTERS, places, strict=True)),
        ]
        lines += [f".byte {', '.join(map(str, code))}" for code in codes]
    return "\n".join(lines)


@pytest.mark.parametrize("processor", PROCESSORS)
@settings(
    phases=(Phase.generate,),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    max_examples=4,
)
@given(seed=st.integers(0, 1 << 32))
def test_what_faults_and_is_executed_again_takes_the_cycles_of_the_reference(
    lab_of: Callable[..., Any], processor: str, seed: int
) -> None:
    source = FRAME.format(body=program(Random(seed), has_newer=processor == "pentium"))
    comparison = Comparison(lab_of("native", source, timing=f"{processor}-nomem"), processor)
    assert not comparison.run(STEPS)
    assert comparison.recorder.has_ended
    assert comparison.events >= 5
