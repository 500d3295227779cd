# One stub per vector.  All of them leave the same picture on the stack: struct trap of trap.h.
.intel_syntax noprefix

.macro stub vector
    .text
9:
    # These push an error code themselves: #DF, #TS, #NP, #SS, #GP, #PF, #AC.
    .if \vector == 8 || (\vector >= 10 && \vector <= 14) || \vector == 17
    .else
        push 0
    .endif
    push \vector
    jmp common
    .section .rodata
    .long 9b
.endm

.section .rodata
.align 4
.globl trap_stubs
trap_stubs:
.altmacro
.set n, 0
.rept 256
    stub %n
    .set n, n + 1
.endr

.text
common:
    pushad
    push ds
    push es
    push fs
    push gs
    mov eax, 0x10       # KERNEL_DATA
    mov ds, eax
    mov es, eax
    cld
    push esp            # the argument: struct trap *
    call serve_trap
    add esp, 4
.globl return_from_trap
return_from_trap:
    pop gs
    pop fs
    pop es
    pop ds
    popad
    add esp, 8          # vector and error code
    iretd

.section .note.GNU-stack, "", @progbits
