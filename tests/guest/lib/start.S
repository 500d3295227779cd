# A multiboot 1 kernel's first steps: keep what the loader handed over, get a stack, set up segments, call main.
.intel_syntax noprefix

.set MAGIC, 0x1BADB002
.set FLAGS, 3           # modules on page boundaries, and a memory map

.section .multiboot, "a"
.align 4
    .long MAGIC, FLAGS, -(MAGIC + FLAGS)

.text
.globl _start
_start:
    mov [entry + 0], eax
    mov [entry + 4], ebx
    mov esp, offset stack_top   # MOV leaves the flags alone
    pushfd
    pop dword ptr [entry + 8]
    mov eax, cr0
    mov [entry + 12], eax
    mov [entry + 16], cs
    mov [entry + 18], ds
    mov [entry + 20], es
    mov [entry + 22], fs
    mov [entry + 24], gs
    mov [entry + 26], ss
    push 0
    popfd
    call set_up_segments
    call set_up_user
    call main
    call finish

.bss
.align 16
stack:
    .skip 32768
stack_top:

.data                   # not .bss: a guest checks that the loader cleared that
.align 4
.globl entry
entry:
    .skip 28

.section .note.GNU-stack, "", @progbits
