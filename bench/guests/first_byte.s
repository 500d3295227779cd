# The smallest kernel that can be heard: one byte on COM1, then it spins until it is killed.
#
# It spins with interrupts enabled, since `cli; hlt` and a jump to itself without interrupts end a run; the interrupt
# controllers are masked, since it has no tables.

.include "multiboot.inc"
.include "ports.inc"

.equ PIC_MASTER_MASK, 0x21
.equ PIC_SLAVE_MASK,  0xA1
.equ COM_DATA,        0x3F8

multiboot_header 0

.text
.global _start
.type _start, @function
_start:
    out_byte COM_DATA, '<'
    out_byte PIC_MASTER_MASK, 0xFF
    out_byte PIC_SLAVE_MASK, 0xFF
    sti
1:  jmp 1b
