"""The Pentium's branch target buffer is that of the reference, for random programs that are made of branches, and its
state is part of the machine's: a snapshot takes it back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from branch_prediction import NEAR_BRANCHES, SETS, WAYS, Buffer
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from instruction_clocks import cycles
from instruction_decoding import decode
from instruction_recording import record
from instruction_trace import Step

from hillemu.emu.cpu.core import CoreStop
from hillemu.emu.snapshot import Snapshots

STEPS = 2500
PROPERTY = settings(
    phases=(Phase.generate,),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
# Each place of a program leads to the next, or over it.  EDX is a register of random bits, and EBP counts rounds.
KINDS = (
    "shr edx, 1; jc {over}",
    "ror edx, 1; jnc {over}",
    "test edx, {bit}; jz {over}",
    "jmp {over}",
    "call function_{number}",
    "mov esi, offset {over}; jmp esi",
    "mov ecx, 2; 9: inc eax; loop 9b",
    "cld; nop",
    "inc eax; inc ebx",
    "mov ecx, cr3; mov cr3, ecx",
)
FUNCTIONS = "".join(
    f"function_{n}: {body} ret\n" for n, body in enumerate(("", "nop;", "cld; inc eax;", "xor ebx, eax;"))
)


@st.composite
def programs(draw: st.DrawFn) -> str:
    """Up to 90 places, many of them a multiple of 64 bytes apart, in a loop; CR3 is loaded by few of them."""
    kinds = KINDS if draw(st.integers(0, 3)) == 0 else KINDS[:-1]
    chosen = draw(st.lists(st.tuples(st.sampled_from(kinds), st.booleans()), min_size=20, max_size=90))
    lines = [f"mov edx, {draw(st.integers(1, 0xFFFFFFFF))}", f"mov ebp, {draw(st.integers(20, 40))}", "round:"]
    for number, (kind, is_aligned) in enumerate(chosen):
        over = f"place_{min(number + draw(st.integers(1, 2)), len(chosen))}"
        lines += [".balign 64"] if is_aligned else []
        lines.append(f"place_{number}: {kind.format(over=over, bit=1 << number % 32, number=number % 4)}")
    lines += [f"place_{len(chosen)}: imul edx, edx, 69069", "inc edx", "dec ebp", "jnz round", "hlt", FUNCTIONS]
    return "\n".join(lines)


@settings(PROPERTY, max_examples=12)
@given(source=programs())
def test_a_program_of_branches_takes_the_cycles_of_the_reference(lab_of: Callable[..., Any], source: str) -> None:
    lab = lab_of("native", source, timing="pentium-nomem")
    recording = record(lab, STEPS)
    assert recording.sums(cycles("pentium", recording.entries)) == [clocks for _, clocks in recording.groups]
    names = [decode(entry.code, entry.bits).mnemonic for entry in recording.entries if isinstance(entry, Step)]
    assert lab.pc.cycles.branches.executed == sum(name in NEAR_BRANCHES for name in names)


IN_SHADOWS = """
    mov ecx, 5
1:  sti; jz 2f; nop
2:  sti; jmp 3f; nop
3:  mov bx, ss; mov ss, bx; call 6f; xor edx, 1; mov ss, bx; jnz 4f; nop
4:  mov eax, offset target; mov ss, bx; call eax; mov ss, bx; loop 1b
    hlt
6:
target: mov ss, bx; ret
"""
SINGLE_STEPPED = """
    mov ecx, 5; pushfd; or dword ptr [esp], 0x100; popfd
1:  xor edx, 1; jz 2f; nop
2:  call target; mov eax, offset target; call eax; jmp 3f; nop
3:  loop 1b; jecxz 4f; nop
4:  hlt
target: ret 0
vector_1: inc ebp; cmp ebp, 40; ja 9f; iretd
9:  and dword ptr [esp + 8], ~0x100; iretd
"""


# With LOCK each raises #UD, whose handler goes on behind it.
LOCKED = """
    .byte 0xF0; jmp 1f
1:  .byte 0xF0; jz 2f
2:  .byte 0xF0, 0xE2, 0
    .byte 0xF0, 0xFF, 0xD0
    jmp 3f; nop
3:  hlt
vector_6:
    mov eax, [esp]; mov ecx, 3; add [esp], ecx; iretd
"""
BREAKPOINTS = """
    mov eax, offset at_jcc; mov dr0, eax; mov eax, offset at_jump; mov dr1, eax
    mov eax, offset at_call; mov dr2, eax; mov eax, offset at_ret; mov dr3, eax; mov eax, 0xFF; mov dr7, eax
    mov ecx, 3; xor ebx, ebx
1:  test ecx, 1
at_jcc: jz 2f
    nop
2:  inc ebx
at_jump: jmp 3f
    nop
3:  mov edx, offset target; mov eax, ebx
at_call: call edx
    dec ecx; jnz 1b
    hlt
target: inc eax
at_ret: ret
vector_1: or dword ptr [esp + 8], 0x10000; iretd
"""


@pytest.mark.parametrize(
    ("source", "executed"),
    [(IN_SHADOWS, 5 * 8), (SINGLE_STEPPED, 0), (LOCKED, 1), (BREAKPOINTS, 3 * 5)],
    ids=["shadows", "traps", "LOCK", "breakpoints"],
)
def test_branches_that_end_their_blocks_otherwise_are_predicted_too(
    lab_of: Callable[..., Any], source: str, executed: int
) -> None:
    lab = lab_of("native", source, timing="pentium-nomem")
    recording = record(lab)
    assert recording.sums(cycles("pentium", recording.entries)) == [clocks for _, clocks in recording.groups]
    if executed:
        assert lab.pc.cycles.branches.executed == executed


@pytest.mark.parametrize("timing", ["pentium-nomem", "pentium"])
@settings(PROPERTY, max_examples=12)
@given(source=programs(), first=st.integers(100, 900))
def test_a_snapshot_takes_the_buffer_back(lab_of: Callable[..., Any], timing: str, source: str, first: int) -> None:
    whole, parted = (lab_of("native", source, timing=timing) for _ in range(2))
    assert whole.run() is CoreStop.HALT
    parted.processor.run(instructions=first)
    snapshots = Snapshots(parted.pc, parted.pc)
    saved = snapshots.take()
    for _ in range(2):
        parted.run()
        assert parted.outcome() == whole.outcome()
        snapshots.restore(saved)


@pytest.mark.parametrize("first", [20, 21])
def test_a_snapshot_behind_a_misprediction_takes_that_back(lab_of: Callable[..., Any], first: int) -> None:
    lab = lab_of("native", "mov ecx, 50; 1: dec ecx; jnz 1b; hlt", timing="pentium-nomem")
    lab.processor.run(instructions=first)
    snapshots = Snapshots(lab.pc, lab.pc)
    saved = snapshots.take()
    outcomes = []
    for _ in range(2):
        lab.run()
        outcomes.append(lab.outcome())
        snapshots.restore(saved)
    assert outcomes[0] == outcomes[1]
    assert outcomes[0]["branches"] == (50, 49, 50, 49)


def test_the_reference_gives_up_one_way_of_a_full_set_at_a_time() -> None:
    buffer = Buffer()
    branches = [64 * number for number in range(WAYS + 1)]
    assert all(buffer.mispredicted(at, True, 1, False) for at in branches)
    assert [buffer.mispredicted(at, True, 1, False) for at in branches[1:]] == [False] * WAYS
    assert buffer.mispredicted(branches[0], True, 1, False)
    assert not buffer.mispredicted(SETS * 1000 + 1, False, 0, False)
