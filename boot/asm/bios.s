# The last 8 KiB of the ROM: what a PC's firmware leaves behind for those who enable interrupts in real mode.
#
# Hardware interrupts have handlers that acknowledge them; the timer's counts ticks as INT 08h does.  Of the services,
# those that only read the BIOS data area are here (INT 11h, INT 12h).  The entries of the others tell the host which
# one was called, by a write to TELL, and return with the carry flag set.
#
# Everything stands where IBM's ROM has it, because programs know these addresses; clones keep them for that reason.

.layout flat, base=0xE000                   # offsets in segment 0xF000; the image lies at 0xFE000

.equ TELL,         0xB1                     # the host looks at CS:IP
.equ PIC_MASTER,   0x20
.equ PIC_SLAVE,    0xA0
.equ EOI,          0x20
.equ KEYBOARD,     0x60
.equ BDA_SEGMENT,  0x40
.equ EQUIPMENT,    0x10
.equ MEMORY_KIB,   0x13
.equ TICKS,        0x6C                     # since midnight, 18.2 a second
.equ MIDNIGHT,     0x70                     # set when they start again
.equ TICKS_A_DAY,  0x1800B0

.macro tell_host
    out TELL, al
    stc
    retf 2                                  # leaves the caller's flags behind, and returns the carry
.endm

.macro answer_from_bda offset
    push ds
    mov ax, BDA_SEGMENT
    mov ds, ax
    mov ax, word ptr [\offset]
    pop ds
    iret
.endm

.code16
.text
.global _start
_start:

# INT 02h: nothing here pulls NMI.
.org 0x2C3, 0xFF
.global nmi
nmi:
    iret

.org 0x6F2, 0xFF
.global bootstrap
bootstrap:
    tell_host
.global rom_basic
rom_basic:                                  # IBM's had a ROM of its own
    tell_host

.org 0x739, 0xFF
.global serial_port
serial_port:
    tell_host

.org 0x82E, 0xFF
.global key_input
key_input:
    tell_host

# INT 09h: there is no key buffer to put the scancode into.
.org 0x987, 0xFF
.global keyboard
keyboard:
    push ax
    in al, KEYBOARD
    mov al, EOI
    out PIC_MASTER, al
    pop ax
    iret

.org 0xC59, 0xFF
.global disk
disk:
    tell_host

# Hardware interrupts without a driver; IBM's diskette handler stands here.
.org 0xF57, 0xFF
.global master_irq
master_irq:
    push ax
    mov al, EOI
1:  out PIC_MASTER, al
    pop ax
    iret
.global slave_irq
slave_irq:
    push ax
    mov al, EOI
    out PIC_SLAVE, al
    jmp 1b

.org 0xFD2, 0xFF
.global printer
printer:
    tell_host

.org 0x1065, 0xFF
.global video
video:
    tell_host

.org 0x1841, 0xFF
.global memory_size
memory_size:
    answer_from_bda MEMORY_KIB

.org 0x184D, 0xFF
.global equipment_list
equipment_list:
    answer_from_bda EQUIPMENT

.org 0x1859, 0xFF
.global system
system:
    tell_host

.org 0x1E6E, 0xFF
.global time_of_day
time_of_day:
    tell_host

# INT 08h
.org 0x1EA5, 0xFF
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

# Exceptions and vectors without an owner.
.org 0x1F53, 0xFF
.global nothing
nothing:
    iret

# RESET starts here.  Images are started by the host, so whoever comes by has nowhere to go.
.org 0x1FF0, 0xFF
.global reset
reset:
    cli
    hlt
    jmp reset
.org 0x1FFE, 0xFF
    .byte 0xFC                              # the model byte of a PC/AT
    .byte 0x00
