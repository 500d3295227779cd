# A boot sector that goes through all modes and back, with bases that are not zero where that can be.
#
# Built with AT&T syntax by GNU as, because GDB wants its line numbers.

.code16
.globl _start
_start:
    ljmp $0x07c0, $(in_segment - _start)
in_segment:
    xor %ax, %ax
    mov %ax, %ds
    mov $0x0700, %ax
    mov %ax, %ss                    # a stack at 0x7000 + SP
    mov $0x0800, %sp
real_mode:
    mov $0x1234, %ax
    call function
    lgdtl gdt_pointer
    cli
    mov %cr0, %eax
    or $1, %al
    mov %eax, %cr0
    ljmp $0x18, $(protected_16 - _start)
function:
    mov $0x5678, %bx
    ret

protected_16:                       # CS base 0x7C00
    mov $0x10, %ax
    mov %ax, %ds
    mov %ax, %ss
    ljmpl $0x08, $protected_32

.code32
protected_32:
    mov $0x90000, %esp
    movl $0x83, 0x2000              # 4 MiB at 0 and at 0xC0000000
    movl $0x83, 0x2c00
    mov $0x2000, %eax
    mov %eax, %cr3
    mov $0x10, %eax
    mov %eax, %cr4
    mov %cr0, %eax
    or $0x80000000, %eax
    mov %eax, %cr0
    mov $(high + 0xc0000000), %eax
    jmp *%eax
high:
    mov $low, %eax
    jmp *%eax
low:
    mov %cr0, %eax
    and $0x7fffffff, %eax
    mov %eax, %cr0
    ljmp $0x18, $(back_in_16 - _start)

.code16
back_in_16:
    mov %cr0, %eax
    and $0xfe, %al
    mov %eax, %cr0
    ljmp $0, $real_again
real_again:
    mov $0x4321, %ax
    hlt

.balign 8
gdt: .quad 0, 0x00CF9A000000FFFF, 0x00CF92000000FFFF, 0x00009A007C00FFFF
gdt_pointer:
    .word 31
    .long gdt
.org 510
    .word 0xaa55
