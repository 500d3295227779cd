# The kernel of profile bitmap, as far as it is machine code: it is loaded to 0x10000 by bitmap_boot.s and runs where it
# lies, in kernel space.  Its memory management, programs and system calls are Python (kernel/profiles/bitmap in the
# sources), called through the trap port; docs/profiles.md describes both sides.
#
# On a machine without hillemu behind the trap port a trap does nothing: the kernel stops after the first one, in `rest`.

.layout base=0x10000

.equ BOOT_STACK_SIZE, 8192

.include "disk_kernel_start.inc"

.data
.global kernel_data
kernel_data:
.bss
.balign 4096
.global kernel_bss
kernel_bss:
.global boot_stack_guard
boot_stack_guard: .space 4096               # not mapped: an overflow is noticed
boot_stack:       .space BOOT_STACK_SIZE
boot_stack_top:
.global program_stack_guard
program_stack_guard: .space 4096            # likewise
program_stack:    .space 4096               # what traps from ring 3 go on with
.global program_stack_top
program_stack_top:

# What the document has as globals in C; Python fills them in.
.balign 4
.global memory_manager
memory_manager:   .space 256                # memory_manager_t, and what is counted beside it
.global heap
heap:             .space 256
.global paging_statistics
paging_statistics: .space 64
.text

.include "bitmap_paging.inc"
.include "kernel_features.inc"
.include "kernel_descriptors.inc"
.include "kernel_fpu.inc"
.include "kernel_traps.inc"
.include "kernel_function.inc"
.include "bitmap_examples.inc"

.text
# The loader leaves the memory map's address in EBX, and paging off.
kernel_main:
    mov [memory_map], ebx
    cmp edx, KERNEL_MAGIC
    je 1f
    print "bitmap: this is not the loader that was expected\n"
    jmp rest
1:  print "bitmap: kernel at 0x"
    print_hex (offset kernel_image)
    print "-0x"
    print_hex (offset kernel_bss_end - 1)
    print "\n"
    call paging_init
    print "bitmap: page directory at 0x"
    print_hex [page_directory]
    print ", 0x00001000-0x"
    mov eax, [mapped_end]
    dec eax
    print_hex eax
    print " mapped 1:1\n"
    call descriptors_init
    call features_init
    call fpu_init
    call kernel_begin                       # the bitmap, the heap; not 0 where Python has made them
    test eax, eax
    jz rest
    call memory_examples
    call start_programs
    jmp idle

.irp name, kernel_begin, start_programs, double_fault, printk
    kernel_function \name
.endr
.irp name, alloc_page, free_page, kmalloc, kfree, map_page
    kernel_function \name
.endr
.irp name, kmalloc_guarded, halloc, hfree, hlock, hunlock, compact
    kernel_function \name
.endr

kernel_ends
