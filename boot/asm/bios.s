# The last 4 KiB of the ROM: what a PC's firmware leaves behind for those who enable interrupts in real mode.
#
# Hardware interrupts have handlers that acknowledge them; the timer's counts ticks as INT 08h does.  The services that
# programs call (INT 10h and its neighbours) are not there: their entries tell the host which one was called, by a
# write to TELL, and return with the carry flag set.

.layout flat, base=0xF000                   # offsets in segment 0xF000; the image lies at 0xFF000

.equ TELL,         0xB1                     # the host looks at CS:IP
.equ PIC_MASTER,   0x20
.equ PIC_SLAVE,    0xA0
.equ EOI,          0x20
.equ KEYBOARD,     0x60
.equ BDA_SEGMENT,  0x40
.equ TICKS,        0x6C                     # since midnight, 18.2 a second
.equ MIDNIGHT,     0x70                     # set when they start again
.equ TICKS_A_DAY,  0x1800B0

.code16
.text

# The services, one entry of eight bytes for each of INT 10h to INT 1Ah, so that CS:IP tells which.
.global _start, services
_start:
services:
.rept 11
    out TELL, al
    stc
    retf 2                                  # leaves the caller's flags behind, and returns the carry
    .balign 8, 0xFF
.endr

# INT 08h
.global timer
timer:
    push ds
    push eax
    mov ax, BDA_SEGMENT
    mov ds, ax
    mov eax, dword ptr [TICKS]
    inc eax
    cmp eax, TICKS_A_DAY
    jb 1f
    xor eax, eax
    mov byte ptr [MIDNIGHT], 1
1:  mov dword ptr [TICKS], eax
    int 0x1C                                # the user's hook
    mov al, EOI
    out PIC_MASTER, al
    pop eax
    pop ds
    iret

# INT 09h: there is no key buffer to put the scancode into.
.global keyboard
keyboard:
    push ax
    in al, KEYBOARD
    mov al, EOI
    out PIC_MASTER, al
    pop ax
    iret

.global slave_irq
slave_irq:
    push ax
    mov al, EOI
    out PIC_SLAVE, al
    jmp 1f

.global master_irq
master_irq:
    push ax
    mov al, EOI
1:  out PIC_MASTER, al
    pop ax
    iret

# Where every PC's firmware has an IRET: exceptions and vectors without an owner.
.org 0xF53, 0xFF
.global nothing
nothing:
    iret

# RESET starts here.  Images are started by the host, so whoever comes by has nowhere to go.
.org 0xFF0, 0xFF
.global reset
reset:
    cli
    hlt
    jmp reset
.org 0xFFE, 0xFF
    .byte 0xFC                              # the model byte of a PC/AT
    .byte 0x00
