# The last 8 KiB of the ROM: the entries of a PC's BIOS, at the addresses where IBM's ROM has them.
#
# Programs know these addresses, and clones keep them for that reason; so do the tables between them.  An entry is a
# stub: it calls `host`, whose OUT hands over to the host, which carries out the service on the caller's registers and
# on the flags that IRET will restore.  What needs the processor itself is done here: end-of-interrupt, the user's hooks
# (INT 1Bh, 1Ch, 4Ah...), waiting, the way into protected mode, and where a reset ends up.
#
# The host finds the stub by the return address on the stack; boot/bios/rom.py has the list.

.layout flat, base=0xE000                   # offsets in segment 0xF000; the image lies at 0xFE000

.include "bios_names.inc"

.code16
.text
.global _start
_start:

# The way to the host, for all.
.global host
host:
    out TELL, al
    ret

.org 0x5B, 0xFF
.include "bios_reset.inc"
.include "bios_protected.inc"
.include "bios_interrupts.inc"

# INT 02h: nothing here pulls NMI.
.org 0x2C3, 0xFF
.global nmi
nmi:
    iret

.org 0x3FE, 0xFF
.global disk
disk:
    jmp disk_service
# The parameters of IBM's drive types would follow.  Disks here have their own, in the extended BIOS data area.

.org 0x6F2, 0xFF
.global bootstrap
bootstrap:
    jmp boot
.org 0x6F5, 0xFF
.global configuration
configuration:                              # INT 15h, AH=C0h
    .word 8                                 # bytes that follow
    .byte 0xFC, 0x00, 0x01                  # model: PC/AT; submodel; BIOS revision
    .byte 0x74                              # second 8259, clock, INT 15h/4Fh called, extended data area
    .byte 0x40                              # INT 16h/09h is there
    .byte 0, 0, 0

# INT 19h.  The host loads the boot sector and has IRET lead to it; if there is none, here is where it leads.
.global boot
boot:
    cli
    cld
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, START_STACK
    push ax                                 # FLAGS
    push cs
    push offset rom_basic
    call host
.global booted
booted:
    iret

# INT 18h: nothing to boot.  (IBM's had a BASIC.)  The host says so.
.global rom_basic
rom_basic:
    call host
.global rom_basic_told
rom_basic_told:
    cli
.global no_boot_device
no_boot_device:
    hlt
    jmp no_boot_device

.org 0x729, 0xFF                            # divisors of INT 14h: 110, 150, 300, 600, 1200, 2400, 4800, 9600 baud
.global baud_rates
baud_rates:
    .word 0x417, 0x300, 0x180, 0xC0, 0x60, 0x30, 0x18, 0x0C

.org 0x739, 0xFF
.global serial_port
serial_port:
    service

.org 0x82E, 0xFF
.global key_input
key_input:
    jmp poll_keys
.global key_service
key_service:
    service

.global disk_service
disk_service:
    service

.org 0x987, 0xFF
.include "bios_keyboard.inc"

.org 0xC59, 0xFF
.global floppy
floppy:                                     # INT 40h; INT 13h of machines that have no other drives
    service

.include "bios_apm.inc"

# INT 0Eh, IRQ 6.
.org 0xF57, 0xFF
.global floppy_interrupt
floppy_interrupt:
    push ds
    push ax
    mov ax, BDA_SEGMENT
    mov ds, ax
    or byte ptr [FLOPPY_DONE], 0x80
    mov al, EOI
    out PIC_MASTER, al
    pop ax
    pop ds
    iret

# Hardware interrupts without a driver.
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

.org 0xFC7, 0xFF                            # INT 1Eh: how floppies of 1.44 MB are formatted
.global floppy_parameters
floppy_parameters:
    .byte 0xAF, 0x02                        # SPECIFY: step rate and head unload time; head load time, DMA
    .byte 0x25                              # ticks until the motor stops
    .byte 2, 18, 0x1B, 0xFF                 # 512 bytes a sector, sectors a track, gap, data length
    .byte 0x6C, 0xF6                        # formatting: gap and content
    .byte 0x0F, 0x08                        # head settle in ms, motor start in 1/8 s

.org 0xFD2, 0xFF
.global printer
printer:
    service

.org 0x1065, 0xFF
.global video
video:
    service

.org 0x10A4, 0xFF                           # INT 1Dh: registers of the CGA's 6845
.global video_parameters
video_parameters:
    .byte 0x38, 0x28, 0x2D, 0x0A, 0x1F, 0x06, 0x19, 0x1C, 0x02, 0x07, 0x06, 0x07, 0, 0, 0, 0    # 40 x 25
    .byte 0x71, 0x50, 0x5A, 0x0A, 0x1F, 0x06, 0x19, 0x1C, 0x02, 0x07, 0x06, 0x07, 0, 0, 0, 0    # 80 x 25
    .byte 0x38, 0x28, 0x2D, 0x0A, 0x7F, 0x06, 0x64, 0x70, 0x02, 0x01, 0x06, 0x07, 0, 0, 0, 0    # graphics
    .byte 0x61, 0x50, 0x52, 0x0F, 0x19, 0x06, 0x19, 0x19, 0x02, 0x0D, 0x0B, 0x0C, 0, 0, 0, 0    # monochrome
    .word 0x0800, 0x1000, 0x4000, 0x4000                            # bytes of a page
    .byte 40, 40, 80, 80, 40, 40, 80, 80                            # columns, by mode
    .byte 0x2C, 0x28, 0x2D, 0x29, 0x2A, 0x2E, 0x1E, 0x29            # mode control, by mode

.global video_functions
video_functions:                            # INT 10h, AH=1Bh: what the adapter can do
    .byte 0xFF, 0xE0, 0x0F                  # modes 0-7, 0Dh-0Fh, 10h-13h
    .byte 0, 0, 0, 0
    .byte 0x07                              # 200, 350, 400 lines
    .byte 8, 2                              # fonts: blocks, active at once
    .byte 0xE7, 0x0C                        # all but light pen, save state
    .byte 0, 0, 0, 0

.org 0x1120, 0xFF
.include "bios_pci32.inc"

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
    service

.org 0x1A6E, 0xFF
.include "bios_font.inc"

.org 0x1E6E, 0xFF
.global time_of_day
time_of_day:
    test ah, ah
    je poll_ticks
    cmp ah, 0x02
    je poll_clock
.global time_service
time_service:
    service

# INT 08h, IRQ 0
.org 0x1EA5, 0xFF
.global timer
timer:
    push ds
    push eax
    push dx
    mov ax, BDA_SEGMENT
    mov ds, ax
    mov eax, dword ptr [TICKS]
    inc eax
    cmp eax, TICKS_A_DAY
    jb 1f
    xor eax, eax
    mov byte ptr [MIDNIGHT], 1
1:  mov dword ptr [TICKS], eax
    cmp byte ptr [MOTOR_TICKS], 0
    je 2f
    dec byte ptr [MOTOR_TICKS]
    jnz 2f
    and byte ptr [MOTORS], 0xF0             # time is up for the floppies' motors
    mov al, MOTORS_OFF
    mov dx, FLOPPY_DOR
    out dx, al
2:  int 0x1C                                # the user's hook
    cli
    mov al, EOI
    out PIC_MASTER, al
    pop dx
    pop eax
    pop ds
    iret

# Exceptions and vectors without an owner.
.org 0x1F53, 0xFF
.global nothing
nothing:
    iret
.global print_screen                        # INT 05h: no printer to print on
print_screen:
    iret
.include "bios_polls.inc"

.org 0x1FF0, 0xFF
.global reset
reset:
    jmp ROM_SEGMENT:post
.org 0x1FF5, 0xFF
    .ascii "01/01/26"
.org 0x1FFE, 0xFF
    .byte 0xFC                              # the model byte of a PC/AT
    .byte 0x00
