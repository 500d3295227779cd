# The kernel of profile orange, as far as it is machine code: it is loaded to 0x10000 by orange_boot.s, which has mapped
# all memory one to one, and runs where it lies.  Its memory management, processes and system calls are Python
# (kernel/profiles/orange in the sources), called through the trap port; docs/profiles.md describes both sides.
#
# On a machine without hillemu behind the trap port a trap does nothing: the kernel comes to rest in `rest`, as nobody has set up interrupts.

.layout base=0x10000

.equ BOOT_STACK_SIZE, 8192
.equ CR0_WRITE_PROTECT, 1 << 16             # WP: ring 0 respects read-only pages as well

.equ PROCESSES,     16
.equ PROCESS_BYTES, 720                     # struct proc in docs/profiles.md

.include "disk_kernel_start.inc"

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

.include "kernel_features.inc"
.include "kernel_descriptors.inc"
.include "kernel_fpu.inc"
.include "kernel_traps.inc"
.include "kernel_function.inc"
.include "printk.inc"
.include "orange_task_c.inc"

.text
# The loader leaves paging on.
kernel_main:
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
    jmp idle

.irp name, init_mm, start_processes, double_fault, printk, vm_alloc, vm_free
    kernel_function \name
.endr

kernel_ends
