# The way into an outer ring and, some traps later, back.
.intel_syntax noprefix

.text
# u32 enter_outer(const struct trap *frame, u32 *esp0)
.globl enter_outer
enter_outer:
    push ebp
    push ebx
    push esi
    push edi
    mov eax, [esp + 20]         # frame
    mov edx, [esp + 24]         # where the TSS keeps the kernel's stack
    mov kernel_esp, esp
    mov [edx], esp
    mov esp, eax
    jmp return_from_trap        # the frame is the caller's: it stays where it is

# _Noreturn void leave_user(u32 value)
.globl leave_user
leave_user:
    mov eax, [esp + 4]
    mov esp, kernel_esp
    mov edx, 0x10               # KERNEL_DATA
    mov ds, edx
    mov es, edx
    mov fs, edx
    mov gs, edx
    pop edi
    pop esi
    pop ebx
    pop ebp
    ret

.bss
.align 4
.globl kernel_esp
kernel_esp:
    .skip 4

.section .note.GNU-stack, "", @progbits
