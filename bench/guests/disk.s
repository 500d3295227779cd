# A boot sector that starts a multiboot loop from a hard disk, for a PC that has no loader for such files.
#
# The kernel lies behind this sector as it shall lie in memory.  The assembler's command line tells the rest:
#
#     KERNEL_BASE, ENTRY       where it belongs and where it begins
#     KERNEL_SECTORS           its size on the disk, at most 127
#     ZERO_BASE, ZERO_BYTES    what is to be cleared behind it
#
# Source: Phoenix, "Enhanced Disk Drive Specification" 1.1, function 42h; Multiboot Specification 0.6.96, "Machine state".

.layout flat, base=0x7C00

.equ SECTOR_BYTES,  512
.equ LOADED_BASE,   0x8000                  # where the BIOS can put it
.equ A20_ON,        1 << 1
.equ PORT_92H,      0x92
.equ CR0_PROTECTED, 1 << 0
.equ CODE,          0x08
.equ DATA,          0x10

.code16
.text
.global _start
_start:
    cli
    cld
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, offset _start
    mov si, offset packet
    mov ah, 0x42
    int 0x13                                # DL: still the drive that this comes from
    jc stay
    in al, PORT_92H
    or al, A20_ON
    out PORT_92H, al
    cli
    lgdt [gdt_pointer]
    mov eax, cr0
    or eax, CR0_PROTECTED
    mov cr0, eax
    jmp CODE:protected

stay:
    hlt
    jmp stay

.code32
protected:
    mov eax, DATA
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov esi, LOADED_BASE
    mov edi, KERNEL_BASE
    mov ecx, KERNEL_SECTORS * SECTOR_BYTES / 4
    rep movsd
    mov edi, ZERO_BASE
    mov ecx, ZERO_BYTES
    xor eax, eax
    rep stosb
    mov eax, ENTRY
    jmp eax

.balign 8, 0xCC
gdt:    .quad 0
        .quad 0x00CF9A000000FFFF            # CODE: base 0, 4 GiB, execute and read
        .quad 0x00CF92000000FFFF            # DATA: base 0, 4 GiB, read and write
.equ GDT_LIMIT, . - gdt - 1
gdt_pointer:
        .word GDT_LIMIT
        .long gdt
packet: .byte 16, 0
        .word KERNEL_SECTORS
        .word LOADED_BASE, 0                # offset and segment
        .quad 1                             # from the sector behind this one

.org 510
    .word 0xAA55
