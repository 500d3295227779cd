"""Kernels to be graded: one that does all that `tests/machine/test_grading.py` asks, and ways to spoil it."""

from __future__ import annotations

from pathlib import Path

GOOD = """
.section .multiboot; .long 0x1BADB002, 0, 0xE4524FFE
.text
_start: mov esp, 0x180000
        mov esi, offset hello
        call print
paging_init:                        # two pages of 4 MiB: 0 and 0xC0000000, both to 0
        mov dword ptr [0x200000], 0x83
        mov dword ptr [0x200C00], 0x83
        mov eax, cr4
        or eax, 0x10
        mov cr4, eax
        mov eax, 0x200000
        mov cr3, eax
        mov eax, cr0
        or eax, 0x80010000
        mov cr0, eax
paging_done:
        mov esi, offset paged
        call print
        mov dword ptr [counter], 42
tasks_init:
        mov dword ptr [0x200004], 0x87  # the user's: from now on there is more
shell:  mov esi, offset prompt
        call print
read:   mov dx, 0x3FD
1:      in al, dx
        test al, 1
        jz 1b
        mov dx, 0x3F8
        in al, dx
        cmp al, 10
        je read
        cmp al, 'q'
        je quit
        cmp al, 'h'
        jne other
        inc dword ptr [helped]
        mov esi, offset help
        call print
        jmp shell
other:  mov esi, offset unknown
        call print
        jmp shell
quit:   mov esi, offset bye
        call print
halt:   cli
        hlt
        jmp halt

print:  mov dx, 0x3F8
1:      lodsb
        test al, al
        jz 2f
        out dx, al
        jmp 1b
2:      ret
.data
hello:   .asciz "kernel: hello\\n"
paged:   .asciz "kernel: paging is on\\n"
prompt:  .asciz "$ "
help:    .asciz "no help here\\n"
unknown: .asciz "what?\\n"
bye:     .asciz "bye\\n"
counter: .long 0
helped:  .long 0
"""


def write_kernel(folder: Path, *changes: tuple[str, str], source: str = GOOD) -> Path:
    """The kernel of `source`, in which each first text of `changes` is replaced by the second."""
    from hillemu.boot.assembler import assemble_text

    for before, after in changes:
        assert before in source, before
        source = source.replace(before, after)
    path = folder / "kernel.elf"
    path.write_bytes(assemble_text(source).data)
    return path


STRUCTS = (
    "enum state { SLEEPING, RUNNING = 4 }; struct task { int pid; char name[8]; enum state state; char *words; "
    + ("struct task *next; }; extern struct task *current; extern struct task tasks[2];")
)
TASKS = """
current: .long tasks + 24
tasks:   .long 1; .ascii "init\\0\\0\\0\\0"; .long 0, hello, tasks + 24
         .long -2; .ascii "shell\\0\\0\\0"; .long 4, prompt, 0
"""
