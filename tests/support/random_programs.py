"""Random programs of everything that could tell whether a run was disturbed.

Arithmetic, loads and stores, page faults, divide errors, undefined opcodes, software interrupts, port accesses, the
time-stamp counter, REP, self-modifying code, STI and CLI, single steps by TF, HLT; all under a timer that interrupts
every few hundred instructions.
"""

from __future__ import annotations

from hypothesis import strategies as st

FRAME = """
    .equ TIMER_COUNT, {timer}
    .equ ROUNDS, {rounds}
    .equ DATA, 0x500000
    .equ UNMAPPED, 0x600000
    .equ PAGE_TABLE, 0x12000                # maps 4 MiB from 0x400000
start:
    mov al, 0x34; out 0x43, al; mov al, TIMER_COUNT & 255; out 0x40, al; mov al, TIMER_COUNT >> 8; out 0x40, al
    mov al, 0x11; out 0x20, al; mov al, 0x20; out 0x21, al; mov al, 4; out 0x21, al; mov al, 1; out 0x21, al
    mov al, 0xFE; out 0x21, al
    mov edi, 0x10000
    mov dword ptr [edi], 0x11003
    mov dword ptr [edi + 4], PAGE_TABLE + 3
    mov edi, 0x11000
    mov eax, 3
1:  mov [edi], eax
    add edi, 4; add eax, 0x1000
    cmp eax, 0x600003
    jne 1b
    mov eax, 0x10000; mov cr3, eax
    mov eax, cr0; or eax, 0x80010000; mov cr0, eax
    mov dword ptr [DATA + 0x100], ROUNDS
round:
{body}
    dec dword ptr [DATA + 0x100]
    jz 2f
    jmp round
2:  cli
    hlt
vector_0:                                   # divide error: a divisor and a dividend that fit, once more
    mov ecx, 7; xor edx, edx; iretd
vector_1:                                   # single step: no more of them
    and dword ptr [esp + 8], ~0x100; iretd
vector_6:                                   # UD2 is skipped
    add dword ptr [esp], 2; iretd
vector_14:                                  # page fault: map the page
    push eax; push ebx
    mov eax, cr2; and eax, ~0xFFF
    mov ebx, eax; sub ebx, 0x400000; shr ebx, 10
    or eax, 3; mov [PAGE_TABLE + ebx], eax
    pop ebx; pop eax; add esp, 4
    iretd
vector_32:                                  # timer
    inc dword ptr [DATA + 0x104]
    push eax; rdtsc; mov [DATA + 0x108], eax
    mov al, 0x20; out 0x20, al; pop eax; iretd
vector_128:
    inc ebp; iretd
"""

REGISTERS = st.sampled_from(["eax", "ebx", "ecx", "edx", "esi", "edi"])
NUMBERS = st.integers(0, 0xFFFFFFFF)
DATA = st.integers(0, 63).map(lambda n: f"dword ptr [DATA + {4 * n}]")
UNMAPPED = st.tuples(st.integers(0, 3), st.integers(0, 1023)).map(
    lambda at: f"dword ptr [UNMAPPED + {at[0] * 4096 + at[1]}]"
)
MEMORY = DATA | UNMAPPED

ARITHMETIC = st.tuples(
    st.sampled_from(["add", "sub", "adc", "xor", "and", "or", "cmp"]), REGISTERS, REGISTERS | MEMORY
).map(lambda it: f"{it[0]} {it[1]}, {it[2]}")
STORES = st.tuples(st.sampled_from(["mov", "add", "xor", "lock xadd"]), MEMORY, REGISTERS).map(
    lambda it: f"{it[0]} {it[1]}, {it[2]}"
)
SPECIAL = st.sampled_from(
    [
        "int 0x80",
        "ud2",
        "rdtsc",
        "cpuid",
        "sti",
        "cli",
        "pushfd; popfd",
        "pushfd; or dword ptr [esp], 0x200; popfd",
        "push ss; pop ss",
        "mov ax, ss; sti; mov ss, ax",
        "push eax; pop ebx",
        "xor ecx, ecx; xor edx, edx; div ecx",
        "mov edx, 0x500; in eax, dx",
        "mov edx, 0x504; out dx, eax",
        "mov edx, 0x508; mov esi, DATA; mov ecx, 5; rep outsd",
        "mov edx, 0x50C; mov edi, DATA + 0x200; mov ecx, 3; rep insd",
        "mov edi, DATA + 0x200; mov ecx, 20; rep stosd",
        "mov esi, DATA; mov edi, UNMAPPED + 0xFF0; mov ecx, 20; rep movsb",
        "pushfd; or dword ptr [esp], 0x100; popfd; nop; nop",
        "sti; hlt",
        "mov dword ptr [PAGE_TABLE + 0x800], 0; invlpg [UNMAPPED]",
        "call 3f; jmp 4f; 3: ret; 4: nop",
        "mov ecx, 6; 5: dec ecx; jnz 5b",
        "fninit; fld1; fld1; faddp st(1), st; fistp dword ptr [DATA + 0x80]",
    ]
)


@st.composite
def bodies(draw: st.DrawFn) -> str:
    """Instructions with forward branches, and stores that change an instruction before or behind them."""
    lines: list[str] = []
    for number in range(draw(st.integers(1, 14))):
        kind = draw(st.integers(0, 9))
        if kind == 0:
            condition = draw(st.sampled_from(["z", "nz", "c", "nc", "s"]))
            lines.append(
                f"test eax, {draw(NUMBERS):#x}; j{condition} skip{number}; inc esi; {draw(STORES)}; skip{number}:"
            )
        elif kind == 1:
            lines.append(f"patched{number}: mov eax, {draw(NUMBERS):#x}")
        elif kind == 2:
            lines.append(f".rept {draw(st.integers(2, 60))}; {draw(ARITHMETIC | STORES)}; .endr")
        elif kind <= 5:
            lines.append(draw(SPECIAL))
        else:
            lines.append(draw(ARITHMETIC | STORES))
    sites = [line.split(":")[0] for line in lines if line.startswith("patched")]
    for site in sites:
        store = f"add dword ptr [{site} + 1], {draw(st.integers(1, 0x7FFFFFFF)):#x}"
        lines.insert(draw(st.integers(0, len(lines))), store)
    return "\n".join(lines)


programs = st.builds(
    lambda start, body, timer, rounds: FRAME.format(body=f"{start}\n{body}", timer=timer, rounds=rounds),
    start=st.sampled_from(["sti", "nop"]),
    body=bodies(),
    timer=st.integers(3, 20),
    rounds=st.integers(1, 12),
)
