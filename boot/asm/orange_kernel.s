# The kernel of profile orange, as far as it is machine code: it is loaded to 0x10000 by orange_boot.s, which has mapped
# all memory one to one, and runs where it lies.  Its memory management, processes and system calls are Python
# (kernel/profiles/orange in the sources), called through the trap port; docs/profiles.md describes both sides.
#
# On a machine without hillemu behind the trap port a trap does nothing: the kernel comes to rest in `rest`, as nobody has set up interrupts.

.layout base=0x10000

.equ KERNEL_MAGIC, 0x6E6B6D68               # as in disk_kernel.inc
.equ BOOT_STACK_SIZE, 8192
.equ BIOS_CURSOR,  0x450                    # column and row, a byte each
.equ CR0_WRITE_PROTECT, 1 << 16             # WP: ring 0 respects read-only pages as well

.equ PROCESSES,     16
.equ PROCESS_BYTES, 720                     # struct proc in docs/profiles.md

.section .boot, "ax"
.global kernel_image
kernel_image:
    .long KERNEL_MAGIC
    .long kernel_file_end
    .long _start

.bss
.balign 16
kernel_bss:
boot_stack:     .space BOOT_STACK_SIZE
boot_stack_top:
.global proc_table
proc_table:     .space PROCESSES * PROCESS_BYTES
.global mm
mm:             .space 44                   # struct mm in docs/profiles.md
.text

.include "console.inc"
.include "kernel_features.inc"
.include "kernel_descriptors.inc"
.include "kernel_fpu.inc"
.include "kernel_traps.inc"
.include "kernel_function.inc"
.include "printk.inc"
.include "orange_task_c.inc"

# The loader leaves KERNEL_MAGIC in EAX, flat segments, and paging on.
.section .boot, "ax"
.global _start
.type _start, @function
_start:
    cld
    mov edi, offset kernel_bss              # the disk has no zeros for it
    mov ecx, offset kernel_bss_end
    sub ecx, edi
    mov edx, eax
    xor eax, eax
    rep stosb
    mov esp, offset boot_stack_top
    call kernel_main

.text
kernel_main:
    call serial_init
    movzx eax, byte ptr [BIOS_CURSOR + 1]   # go on where the BIOS has written
    imul eax, eax, COLUMNS
    movzx ecx, byte ptr [BIOS_CURSOR]
    add eax, ecx
    mov [screen_cell], eax
    cmp edx, KERNEL_MAGIC
    je 1f
    print "orange: this is not the loader that was expected\n"
    jmp rest
1:  print "orange: kernel at 0x"
    print_hex (offset kernel_image)
    print "-0x"
    print_hex (offset kernel_bss_end - 1)
    print ", page directory at 0x"
    mov eax, cr3
    print_hex eax
    print "\n"
    call descriptors_init
    call features_init
    call fpu_init
    mov eax, cr0
    or eax, CR0_WRITE_PROTECT
    mov cr0, eax
    call init_mm                            # not 0 where Python has done it
    test eax, eax
    jz rest
    call task_c
    call start_processes

# What runs when nobody else can.
.global idle
.type idle, @function
idle:
    sti
    hlt
    jmp idle

.global rest
rest:
    cli
    hlt
    jmp rest

.irp name, init_mm, start_processes, double_fault, printk, vm_alloc, vm_free
    kernel_function \name
.endr

.data
.balign 4
kernel_file_end:
.bss
.balign 4
kernel_bss_end:
