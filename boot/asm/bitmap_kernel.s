# The kernel of profile bitmap, as far as it is machine code: it is loaded to 0x10000 by bitmap_boot.s and runs where it
# lies, in kernel space.  Its memory management, programs and system calls are Python (kernel/profiles/bitmap in the
# sources), called through the trap port; docs/profiles.md describes both sides.
#
# On a machine without hillemu behind the trap port a trap does nothing: the kernel stops after the first one, in `rest`.

.layout base=0x10000

.equ KERNEL_MAGIC, 0x6E6B6D68               # as in disk_kernel.inc
.equ BOOT_STACK_SIZE, 8192
.equ BIOS_CURSOR,  0x450                    # column and row, a byte each

.section .boot, "ax"
.global kernel_image
kernel_image:
    .long KERNEL_MAGIC
    .long kernel_file_end
    .long _start

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

.include "console.inc"
.include "bitmap_paging.inc"
.include "kernel_features.inc"
.include "kernel_descriptors.inc"
.include "kernel_fpu.inc"
.include "kernel_traps.inc"
.include "kernel_function.inc"
.include "bitmap_examples.inc"

# The loader leaves KERNEL_MAGIC in EAX, the memory map's address in EBX, flat segments, and paging off.
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
    mov [memory_map], ebx
    call kernel_main

.text
kernel_main:
    call serial_init
    movzx eax, byte ptr [BIOS_CURSOR + 1]   # go on where the BIOS has written
    imul eax, eax, COLUMNS
    movzx ecx, byte ptr [BIOS_CURSOR]
    add eax, ecx
    mov [screen_cell], eax
    print "bitmap: kernel at 0x"
    print_hex (offset kernel_image)
    print "-0x"
    print_hex (offset kernel_bss_end - 1)
    print "\n"
    cmp edx, KERNEL_MAGIC
    je 1f
    print "bitmap: this is not the loader that was expected\n"
    jmp rest
1:  call paging_init
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

# What runs when nobody else can.
.global idle
.type idle, @function
idle:
    sti
    hlt
    jmp idle

rest:
    cli
    hlt
    jmp rest

.irp name, kernel_begin, start_programs, double_fault, printk
    kernel_function \name
.endr
.irp name, alloc_page, free_page, kmalloc, kfree, map_page
    kernel_function \name
.endr
.irp name, kmalloc_guarded, halloc, hfree, hlock, hunlock, compact
    kernel_function \name
.endr

.data
.balign 4
kernel_file_end:
.bss
.balign 4
kernel_bss_end:
