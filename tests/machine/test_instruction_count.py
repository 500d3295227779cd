"""The instruction counter is exact: after faults in mid-block, REP, self-modifying code, INT n, HLT, IRQs.

Two oracles of another kind: the machine itself one instruction at a time, which never relies on a block's length; and
a stock Unicorn engine with a hook on every instruction.
"""

from __future__ import annotations

from typing import Any

import pytest

from hillemu.emu.cpu.core import CoreStop

# Name: (source, instructions executed up to and including HLT; None where REP or interrupts make it an oracle's job)
PROGRAMS = {
    "straight line": ("mov eax, 1; add eax, 2; xor ebx, ebx; hlt", 4),
    "loop": ("mov ecx, 10; 1: dec ecx; jnz 1b; hlt", 1 + 20 + 1),
    "calls": ("call 1f; hlt; 1: push 5; pop eax; ret", 5),
    "a jump into the middle of a block": ("mov ecx, 2; 1: inc eax; 2: inc ebx; dec ecx; jz 3f; jmp 2b; 3: hlt", 10),
    "#UD in mid-block": ("inc eax; inc eax; ud2; inc eax; inc eax; hlt; vector_6: add dword ptr [esp], 2; iretd", 7),
    "#DE in mid-block": (
        "xor edx, edx; xor ecx, ecx; inc ebx; div ecx; inc ebx; hlt; vector_0: mov ecx, 1; iretd",
        3 + 2 + 1 + 2,
    ),
    "INT n": ("inc eax; int 0x80; inc eax; hlt; vector_128: inc ebx; iretd", 6),
    "INTO in mid-block": ("mov al, 0x7F; inc al; into; inc ebx; inc ebx; hlt; vector_4: iretd", 7),
    "INTO in mid-block that does nothing": ("xor eax, eax; into; inc ebx; hlt", 4),
    "INT3": ("int3; inc eax; hlt; vector_3: iretd", 4),
    "#GP by a bad selector": (
        "inc eax; mov ax, 0x1234; mov fs, ax; inc eax; hlt; vector_13: add esp, 4; add dword ptr [esp], 2; iretd",
        2 + 3 + 2,
    ),
    "rep movsd": ("mov esi, 0x200000; mov edi, 0x300000; mov ecx, 100; inc eax; rep movsd; inc eax; hlt", None),
    "rep stosb, no iteration": ("xor ecx, ecx; mov edi, 0x300000; rep stosb; inc eax; hlt", None),
    "repne scasb": ("mov edi, 0x300000; mov al, 1; mov ecx, 50; repne scasb; hlt", None),
    "a store into the same block": ("inc eax; mov byte ptr [1f], 0x43; inc eax; 1: inc eax; inc eax; hlt", 6),
    "rep stosb over its own block": (
        "mov edi, offset 1f; mov al, 0x90; mov ecx, 4; inc ebx; rep stosb; inc ebx; 1: .rept 4; inc edx; .endr; hlt",
        None,
    ),
    "single steps by TF": (
        "pushfd; or dword ptr [esp], 0x100; popfd; inc eax; inc eax; pushfd; and dword ptr [esp], ~0x100; popfd; hlt;"
        "vector_1: inc ebx; iretd",
        None,
    ),
    "virtual interrupts of a loop": ("mov ecx, 1000; 1: int 0x80; loop 1b; hlt; vector_128: iretd", 1 + 3 * 1000 + 1),
    "cpuid, rdtsc and port accesses": ("cpuid; rdtsc; in al, 0x80; out 0x80, al; inc eax; hlt", 6),
    "a block longer than a page": (".rept 5000; inc eax; .endr; hlt", 5001),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_run_counts_as_many_instructions_as_single_steps(name: str, lab: Any) -> None:
    source, expected = PROGRAMS[name]
    at_once, stepped = lab(source), lab(source)
    assert at_once.run() is CoreStop.HALT
    stepped.step_to_end()
    assert at_once.outcome() == stepped.outcome()
    if expected is not None:
        assert at_once.count == expected


# A stock engine has no interrupt table, and it calls the hook twice for a store into the block that runs.
COUNTED_BY_HOOKS = [
    name
    for name, (source, _) in PROGRAMS.items()
    if "vector_" not in source and "in al" not in source and name != "a store into the same block"
]


def counted_by_a_hook(code: bytes, at: int) -> int:
    """Calls of a stock engine's hook on every instruction; it is called for each iteration of a REP."""
    import unicorn
    from unicorn import x86_const

    engine = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_32)
    engine.mem_map(0, 16 << 20)
    engine.mem_write(at, code)
    engine.reg_write(x86_const.UC_X86_REG_ESP, 0x80000)
    calls = 0

    def on_code(*_: object) -> None:
        nonlocal calls
        calls += 1

    engine.hook_add(unicorn.UC_HOOK_CODE, on_code)
    engine.emu_start(at, 0)
    return calls


@pytest.mark.parametrize("name", COUNTED_BY_HOOKS)
def test_the_count_is_that_of_a_stock_engine_with_a_hook_on_every_instruction(name: str, lab: Any) -> None:
    machine = lab(PROGRAMS[name][0])
    start = machine.get("eip")
    code = machine.memory.read(start, 0x2000)
    machine.run()
    assert machine.count == counted_by_a_hook(code, start)


def test_a_store_through_another_address_of_the_page_changes_code_ahead_in_the_same_block(lab: Any) -> None:
    # Page tables at 0x10000: 0x400000 is mapped to the code's frame as well.
    source = """
        mov eax, 0x10000; mov cr3, eax
        mov eax, cr0; or eax, 0x80000000; mov cr0, eax
        jmp 1f
    1:  mov ebx, offset 2f - 0x100000 + 0x400000
        inc ecx
        mov byte ptr [ebx], 0x43            # inc ebx instead of inc ecx
        inc ecx
    2:  inc ecx
        hlt
    """
    ends = []
    for at_once in (True, False):
        machine = lab(source)
        set_u32 = machine.memory.set_u32
        set_u32(0x10000, 0x11003)
        set_u32(0x10004, 0x12003)
        for page in range(1024):
            set_u32(0x11000 + 4 * page, page << 12 | 3)
        set_u32(0x12000, 0x100003)
        if at_once:
            assert machine.run() is CoreStop.HALT
        else:
            machine.step_to_end()
        ends.append(machine.outcome())
        assert machine.count == 12
        assert machine.get("ecx") == 2
    assert ends[0] == ends[1]


def test_interrupts_between_blocks_leave_the_count_exact(lab: Any) -> None:
    # 8254 counter 0, mode 2, every 2 pulses: some 600,000 interrupts a second.
    source = """
        mov al, 0x34; out 0x43, al; mov al, 2; out 0x40, al; xor al, al; out 0x40, al
        mov al, 0x11; out 0x20, al; mov al, 0x20; out 0x21, al; mov al, 4; out 0x21, al; mov al, 1; out 0x21, al
        mov al, 0xFE; out 0x21, al
        sti
        mov ecx, 3000
    1:  inc ebx; xor edx, edx; inc edx; dec ecx; jnz 1b
        cli; hlt
    vector_32:
        inc ebp; push eax; mov al, 0x20; out 0x20, al; pop eax; iretd
    """
    at_once, stepped = lab(source), lab(source)
    assert at_once.run() is CoreStop.HALT
    stepped.step_to_end()
    assert at_once.outcome() == stepped.outcome()
    interrupts = at_once.get("ebp")
    assert interrupts > 50
    assert at_once.count == 6 + 8 + 2 + 2 + 5 * 3000 + 2 + 6 * interrupts


def test_a_breakpoint_in_mid_block_shows_the_exact_count(lab: Any) -> None:
    machine = lab(".rept 40; inc eax; .endr; here: .rept 40; inc eax; .endr; hlt")
    machine.processor.add_breakpoint(machine["here"])
    assert machine.run() is CoreStop.BREAKPOINT
    assert (machine.count, machine.get("eax"), machine.get("eip")) == (40, 40, machine["here"])


def test_idle_time_is_no_instruction(lab: Any) -> None:
    machine = lab("sti; hlt; cli; hlt; vector_8: iretd")
    for port, value in (
        (0x43, 0x34),
        (0x40, 0),
        (0x40, 0),
        (0x20, 0x11),
        (0x21, 8),
        (0x21, 4),
        (0x21, 1),
        (0x21, 0xFE),
    ):
        machine.pc.ports.write(port, 1, value)
    assert machine.run() is CoreStop.HALT
    assert machine.count == 5
    assert machine.processor.ticks() > 5_000_000  # a full count of the 8254 lasts 54.9 ms
