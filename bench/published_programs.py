"""The programs that the timing models are compared with real machines by, and what is published of them.

Published times are taken times the machine's clock, so that machines of one processor can be compared; what differs
between them then is their memory.  Each figure's source is named with it: TOPBENCH is its database (Jim Leonard's;
its MemoryTest does what `BLOCKS` does), Abrash the Graphics Programming Black Book, measured on an i486.
"""

from __future__ import annotations

from typing import NamedTuple

COLD, WARM = 1, 2
"""Passes: with empty caches, or with the program in them."""

BLOCKS = """
    cld; xor ax, ax; mov di, 0x100; mov cx, 128; rep stosw; stosb
    mov si, 0x100; mov di, 0x202; mov cx, 128; rep movsw; movsb
    sub si, 257; sub di, 257
    mov byte ptr [di + 255], 0xFF
    mov al, 0xFF; mov cx, 257; repne scasb
    sub di, 256; mov cx, 257; repe cmpsb
    sub si, 256; mov cx, 128; rep lodsw
"""
SIEVE = """
    cld; mov cx, 2000; mov di, 0x400; mov al, 1; rep stosb
    mov si, 2
1:  cmp byte ptr [si + 0x400], 1; jne 3f
    mov di, si
2:  add di, si; cmp di, 2000; jae 3f; mov byte ptr [di + 0x400], 0; jmp 2b
3:  inc si; cmp si, 2000; jb 1b
"""
FIBONACCI = """
    mov ax, 12; call fib; jmp over
fib: cmp ax, 2; jb 4f
    push ax; dec ax; call fib; pop cx; push ax; mov ax, cx; sub ax, 2; call fib; pop cx; add ax, cx
4:  ret
over:
"""
WAIT_STATES = {"257 bytes filled, copied, ...": BLOCKS, "sieve of 2000 bytes": SIEVE, "recursive fib(12)": FIBONACCI}
INTEL_WAIT_STATES = (1.00, 0.81, 0.66, 0.57)
"""Speed of a 33 MHz Intel386 DX with 0 to 3 wait states and no pipelined addresses, by Intel's simulation.

Source: Intel386 DX Microprocessor Hardware Reference Manual, 231732-005, table 4-2.
"""


class Published(NamedTuple):
    """Cycles that real machines took, from the best to the worst, and where that is printed."""

    processor: str
    low: float
    high: float
    source: str


class Program(NamedTuple):
    """`turns` is how often the code executes what the figures are about; the last of `passes` is measured."""

    title: str
    before: str
    code: str
    turns: int
    figures: tuple[Published, ...]
    passes: int = WARM


def _of_machines(processor: str, source: str, *machines: tuple[float, float]) -> Published:
    """Machines as (microseconds, MHz)."""
    cycles = sorted(time * clock for time, clock in machines)
    return Published(processor, cycles[0], cycles[-1], f"{source}, {len(cycles)} machines")


_GPBB = "Abrash, chapters 12 and 13"


def _unrolled(title: str, piece: str, cycles: float, *, before: str = "") -> Program:
    """A piece of code of the i486, a hundred times."""
    return Program(title, before, f".rept 100; {piece}; .endr", 100, (Published("i486", cycles, cycles, _GPBB),))


def _loop(title: str, body: str, cycles: float) -> Program:
    turn = "mov cx, 1000; .balign 16; nop; nop; nop; nop; nop; nop; nop; nop; nop"
    return Program(title, turn, f"1: {body}; dec cx; jnz 1b", 1000, (Published("i486", cycles, cycles, _GPBB),))


# (microseconds, MHz) of every i386DX, i486 with 8 KiB and Pentium among the thirty machines that were collected.
_INTEL_386 = (
    *((537, 16), (390, 16), (370, 20), (326, 20), (452, 25), (317, 25)),
    *((193, 33), (204, 33), (196, 33)),
)
_INTEL_486 = (
    *((207, 25.5), (206, 25), (156, 33.8), (143, 33), (115, 67.1), (117, 67.1)),
    *((89, 66), (89, 66), (82, 66), (80, 66), (89, 66), (90, 66)),
)
_PENTIUM = ((52, 90), (62, 75), (54, 75), (45, 133), (32, 133), (36, 166))
_BLOCK_FIGURES = (
    _of_machines("i386", "TOPBENCH", *_INTEL_386),
    _of_machines("i486", "TOPBENCH", *_INTEL_486),
    _of_machines("pentium", "TOPBENCH", *_PENTIUM),
)
_PAIRS = "mov cx, 99; push offset 3f; push ax; 1: push offset 2f; push ax; dec cx; jnz 1b"

PROGRAMS = (
    Program("257 bytes filled, copied, searched, compared, read", "", BLOCKS, 1, _BLOCK_FIGURES, COLD),
    _loop("sum of a table by base and index", "add ax, [bx + si]; add si, 2", 8),
    _loop("sum of a table by base", "add ax, [si]; add si, 2", 7),
    _loop("the same, pointer moved just before its use", "add si, 2; add ax, [si]", 9),
    Program("POP and RET", _PAIRS, "2: pop dx; ret; 3:", 100, (Published("i486", 6, 6, _GPBB),)),
    _unrolled("four POP", "pop dx; pop cx; pop ax; pop bp", 4, before="mov sp, 0x6000"),
    _unrolled("MOV r,m and PUSH r", "mov ax, [bx]; push ax", 2),
    _unrolled("PUSH m", "push word ptr [bx]", 4),
    _unrolled("POP m", "pop word ptr [bx]", 6, before="mov sp, 0x6000"),
    _unrolled("SHL r,1", "shl dx, 1", 3),
    _unrolled("SHL r,2", "shl dx, 2", 2),
    _unrolled("pointer written one instruction before its use", "mov bx, 0x100; mov ax, [bx]; inc dx", 5),
    _unrolled("pointer written two instructions before its use", "mov bx, 0x100; inc dx; mov ax, [bx]", 4),
    _unrolled("pointer written three instructions before", "mov bx, 0x100; inc dx; dec bp; mov ax, [bx]", 4),
    _unrolled("byte register written just before an address", "nop; mov dl, cl; mov ax, [bx]", 3),
    _unrolled("byte register written two before an address", "mov dl, cl; nop; mov ax, [bx]", 4),
    _unrolled("byte registers written one and two before", "mov dl, al; mov cl, 3; mov bp, [si]", 5),
    _unrolled("pointer and byte register before its use", "mov bx, 0x100; mov cl, al; mov dx, [bx]", 5),
    _unrolled("pointers loaded just before their use", "mov di, [bp + 8]; mov bl, [di]; add dx, [bx + 0x400]", 8),
    _unrolled("the same, in another order", "mov bl, [di]; mov di, [bp + 8]; add dx, [bx + 0x400]", 5),
)
