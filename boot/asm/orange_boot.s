# Profile orange, on its disk in front of the kernel: the boot sector at 0x7C00, and the loader at 0x7E00, which lies
# around the words at 0x8000 that it leaves for the kernel:
#
#   0x8000  u32 count;                           at most MEMORY_RANGES
#           struct { u32 base, length; } range[count];
#
# They are the ranges of type 1 of the BIOS's memory map that lie below 4 GiB, or what of them does.
#
#     qemu-system-i386 -drive format=raw,file=orange.img          (or a floppy of the same bytes)

.layout flat, base=0x7C00

.equ SETUP_BEFORE_KERNEL, 1                 # disk_kernel.inc calls setup_before_kernel in protected mode
.equ OWN_MEMORY_MAP_TEXT, 1                 # say_memory_map_entry is in orange_memory_info.inc
.equ MEMORY_RANGES, 32

# disp "text"                   As `say`, on the serial port as well.
.macro disp text
    call disp_inline
    .asciz "\text"
.endm

.include "disk_sector.inc"

    call serial_init
    call disp_mem_info
    call save_mem_info
    call enable_a20
    call load_kernel
    disp "Ready.\n"
    jmp start_kernel

.org 0x8000 - 0x7C00
memory_info:
    .long 0
    .space 8*MEMORY_RANGES

.include "serial.inc"
.include "disk_memory_map.inc"
.include "orange_paging.inc"
.include "orange_memory_info.inc"
.include "a20.inc"
.include "disk_kernel.inc"

.balign SECTOR_BYTES, 0xCC
.equ LOADER_SECTORS, (. - loader) / SECTOR_BYTES
