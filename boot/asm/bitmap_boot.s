# Profile bitmap, on its disk in front of the kernel: the boot sector at 0x7C00, and the loader at 0x7E00.
#
#     qemu-system-i386 -drive format=raw,file=bitmap.img          (or a floppy of the same bytes)

.layout flat, base=0x7C00

.include "disk_sector.inc"

    say "bitmap: loader at 0x7E00\n"
    call collect_memory_map
    call enable_a20
    call load_kernel
    say "bitmap: kernel loaded at 0x10000, entering protected mode\n"
    jmp start_kernel

.include "disk_memory_map.inc"
.include "a20.inc"
.include "disk_kernel.inc"

.balign SECTOR_BYTES, 0xCC
.equ LOADER_SECTORS, (. - loader) / SECTOR_BYTES
