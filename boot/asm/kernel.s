# The kernel that hillemu brings along, as far as it is machine code: how it starts, how it traps, what it offers to
# ring 0.  Its memory management, processes and system calls are Python (kernel/ in the sources), called through the
# trap port; docs/kernel.md describes both sides.
#
# It is loaded at 1 MiB by any multiboot loader and runs at 0xC0100000.  On a machine without hillemu behind the trap
# port a trap does nothing: the kernel comes to rest in `idle`, with its descriptor tables and the mapping of its birth.

.include "multiboot.inc"
.include "ports.inc"
.include "kernel_paging.inc"
.include "kernel_descriptors.inc"
.include "kernel_fpu.inc"
.include "kernel_traps.inc"
.include "kernel_calls.inc"
.include "kernel_tests.inc"

.layout base=0x100000, virtual=0xC0000000, high=.text .rodata .data .bss

.equ BOOT_STACK_SIZE, 8192

multiboot_header MULTIBOOT_PAGE_ALIGN|MULTIBOOT_MEMORY_INFO

.bss
.balign 4096
.global boot_stack_guard
boot_stack_guard: .space PAGE_SIZE          # kernel_start unmaps it: an overflow is noticed
boot_stack:       .space BOOT_STACK_SIZE
boot_stack_top:

# The loader leaves its magic number in EAX, the boot information's address in EBX, and paging off.
.section .boot, "ax"
.global _start
.type _start, @function
_start:
    cld
    mov esp, offset boot_stack_top - KERNEL_BASE
    call boot_paging
    mov ecx, offset kernel_main
    jmp ecx

.text
.global kernel_main
.type kernel_main, @function
kernel_main:
    mov esp, offset boot_stack_top
    push ebx                                # kernel_begin(magic, information)
    push eax
    call descriptors_init
    call features_init
    call fpu_init
    call kernel_begin                       # EAX: what else is to be done
    add esp, 8
    mov ebx, eax
    test ebx, START_PAE
    jz 1f
    call enter_pae
1:  call kernel_start                       # memory management; the mapping of low memory goes
    test ebx, START_TESTS
    jz 2f
    call kmalloc_tests
2:  call start_programs

# Process 0: what runs when nobody else can.
.global idle
.type idle, @function
idle:
    sti
    hlt
    jmp idle
