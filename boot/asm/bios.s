# The last 8 KiB of the ROM: the entries of a PC's BIOS, at the addresses where IBM's ROM has them.
#
# Programs know these addresses, and clones keep them for that reason; so do the tables between them.  An entry is a
# stub: it calls `host`, whose OUT hands over to the host, which carries out the service on the caller's registers and
# on the flags that IRET will restore.  What needs the processor itself is done here: end-of-interrupt, the user's hooks
# (INT 1Bh, 1Ch, 4Ah...), waiting, the way into protected mode, and where a reset ends up.
#
# The host finds the stub by the return address on the stack; boot/bios/rom.py has the list.

.layout flat, base=0xE000                   # offsets in segment 0xF000; the image lies at 0xFE000

.equ TELL,         0xB1                     # the host looks at CS:IP
.equ PIC_MASTER,   0x20
.equ PIC_MASTER_MASK, 0x21
.equ PIC_SLAVE,    0xA0
.equ EOI,          0x20
.equ KEYBOARD,     0x60
.equ KEYBOARD_STATUS, 0x64
.equ OUTPUT_FULL,  0x01
.equ FROM_MOUSE,   0x20
.equ CMOS_INDEX,   0x70
.equ CMOS_DATA,    0x71
.equ SHUTDOWN,     0x8F                     # CMOS byte 0Fh; NMI off
.equ STATUS_D,     0x0D                     # NMI on again
.equ FPU_CLEAR,    0xF0
.equ FLOPPY_DOR,   0x3F2
.equ MOTORS_OFF,   0x0C

.equ ROM_SEGMENT,  0xF000
.equ START_STACK,  0x6F00                   # in segment 0, below the boot sector
.equ BDA_SEGMENT,  0x40
.equ EBDA_POINTER, 0x0E                     # in the BIOS data area:
.equ EQUIPMENT,    0x10
.equ MEMORY_KIB,   0x13
.equ FLOPPY_DONE,  0x3E
.equ MOTORS,       0x3F
.equ MOTOR_TICKS,  0x40
.equ RESUME_AT,    0x67                     # a far pointer, or a stack
.equ TICKS,        0x6C                     # since midnight, 18.2 a second
.equ MIDNIGHT,     0x70                     # set when they start again
.equ DISK_DONE,    0x8E
.equ TICKS_A_DAY,  0x1800B0
.equ MOUSE_DRIVER, 0x22                     # in the extended area: far pointer
.equ MOUSE_PACKET, 0x28

# The host carries out a service.  It may change where the CALL returns to: behind it is IRET, then come two ways to be
# called again.  The second CALL is for these only, so that the host knows.
.macro service
    call host
    iret
    sti                                     # AGAIN: at once, with a chance for interrupts
    nop
    jmp .+4
    sti                                     # WAIT: for an interrupt
    hlt
    cli
    call host
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

# The way to the host, for all.
.global host
host:
    out TELL, al
    ret

# A reset leads here, and programs that want one jump here.  The shutdown byte in CMOS says whether to go on with what
# was there before: that is how 80286 software leaves protected mode.
.org 0x5B, 0xFF
.global post
post:
    cli
    cld
    mov al, SHUTDOWN
    out CMOS_INDEX, al
    in al, CMOS_DATA
    mov ah, al
    mov al, SHUTDOWN
    out CMOS_INDEX, al
    mov al, 0
    out CMOS_DATA, al
    mov al, STATUS_D
    out CMOS_INDEX, al
    in al, CMOS_DATA
    xor bx, bx
    mov ds, bx
    cmp ah, 0x04
    je bootstrap
    cmp ah, 0x05
    je resume_with_eoi
    cmp ah, 0x09
    je resume_block_move
    cmp ah, 0x0A
    je resume
    cmp ah, 0x0B
    je resume_by_iret
    cmp ah, 0x0C
    je resume_by_retf
    mov ss, bx
    mov sp, START_STACK
    call host                               # has the machine start again
.global restarted
restarted:
    hlt
    jmp restarted

resume_with_eoi:
    in al, KEYBOARD
    mov al, EOI
    out PIC_SLAVE, al
    out PIC_MASTER, al
resume:
    ljmp [BDA_SEGMENT * 16 + RESUME_AT]
resume_by_iret:
    lss sp, [BDA_SEGMENT * 16 + RESUME_AT]
    iret
resume_by_retf:
    lss sp, [BDA_SEGMENT * 16 + RESUME_AT]
    retf
# A block move of the caller's own: its stack holds DS, ES, the general registers and the frame of INT 15h.
resume_block_move:
    lss sp, [BDA_SEGMENT * 16 + RESUME_AT]
    pop ds
    pop es
    popa
    mov ah, 0
    test ah, ah                             # carry clear, zero set
    sti
    retf 2

# INT 15h, AH=89h.  The host has opened the A20 gate, set up the interrupt controllers and written our descriptor; the
# stack holds the caller's frame, ES:SI the table.
.equ GDT_ENTRY, 0x08
.equ IDT_ENTRY, 0x10
.equ NEW_DS,    0x18
.equ NEW_ES,    0x20
.equ NEW_SS,    0x28
.equ NEW_CS,    0x30
.equ BIOS_CS,   0x38
.global enter_protected
enter_protected:
    cli
    lgdt es:[si + GDT_ENTRY]
    lidt es:[si + IDT_ENTRY]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp BIOS_CS:in_protected
in_protected:
    mov ax, NEW_DS
    mov ds, ax
    mov ax, NEW_ES
    mov es, ax
    mov ax, NEW_SS
    mov ss, ax
    pop bx                                  # where the caller goes on, now in its protected-mode segment
    add sp, 4
    push NEW_CS
    push bx
    xor ax, ax
    retf

# INT 74h, IRQ 12: the host gathers the mouse's bytes, and has the driver called when a packet is complete.
.global mouse
mouse:
    push ds
    push es
    pushad
    cld
    call host
.global mouse_done
mouse_done:
    mov al, EOI
    out PIC_SLAVE, al
    out PIC_MASTER, al
    popad
    pop es
    pop ds
    iret
.global mouse_packet
mouse_packet:
    mov ax, BDA_SEGMENT
    mov ds, ax
    mov ds, word ptr [EBDA_POINTER]
    mov al, EOI                             # the driver may take its time
    out PIC_SLAVE, al
    out PIC_MASTER, al
    push word ptr [MOUSE_PACKET]            # status, X, Y, Z
    push word ptr [MOUSE_PACKET + 2]
    push word ptr [MOUSE_PACKET + 4]
    push word ptr [MOUSE_PACKET + 6]
    sti
    lcall [MOUSE_DRIVER]
    cli
    add sp, 8
    popad
    pop es
    pop ds
    iret

# INT 70h, IRQ 8: the host looks at what the clock chip wants, and has the user's alarm called.
.global clock_chip
clock_chip:
    push ax
    call host
.global clock_done
clock_done:
    mov al, EOI
    out PIC_SLAVE, al
    out PIC_MASTER, al
    pop ax
    iret
.global clock_alarm
clock_alarm:
    mov al, EOI
    out PIC_SLAVE, al
    out PIC_MASTER, al
    sti
    int 0x4A
    pop ax
    iret

# INT 71h, IRQ 9: the cable of the PC's IRQ 2, whose handlers are at INT 0Ah.
.global redirected_irq
redirected_irq:
    push ax
    mov al, EOI
    out PIC_SLAVE, al
    pop ax
    int 0x0A
    iret

# INT 75h, IRQ 13: the coprocessor's error, for programs that expect it as an NMI.
.global coprocessor
coprocessor:
    push ax
    xor al, al
    out FPU_CLEAR, al
    mov al, EOI
    out PIC_SLAVE, al
    out PIC_MASTER, al
    pop ax
    int 0x02
    iret

# INT 76h, IRQ 14.
.global disk_interrupt
disk_interrupt:
    push ax
    push ds
    mov ax, BDA_SEGMENT
    mov ds, ax
    mov byte ptr [DISK_DONE], 0xFF
    pop ds
    mov al, EOI
    out PIC_SLAVE, al
    out PIC_MASTER, al
    pop ax
    iret

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
    service

.global disk_service
disk_service:
    service

# INT 09h, IRQ 1.  A program sees each scancode first, by INT 15h, AH=4Fh, and may change or keep it.  The host turns
# what is left into an entry of the key buffer, or has one of the special keys' ways taken.
.org 0x987, 0xFF
.global keyboard
keyboard:
    push ax
    in al, KEYBOARD_STATUS
    and al, OUTPUT_FULL | FROM_MOUSE
    cmp al, OUTPUT_FULL
    jne keyboard_done
    in al, KEYBOARD
    mov ah, 0x4F
    stc
    int 0x15
    jnc keyboard_done
    call host
keyboard_done:
    mov al, EOI
    out PIC_MASTER, al
    pop ax
    iret
.global keyboard_break                      # Ctrl-Break
keyboard_break:
    mov al, EOI
    out PIC_MASTER, al
    int 0x1B
    pop ax
    iret
.global keyboard_print                      # PrtSc
keyboard_print:
    mov al, EOI
    out PIC_MASTER, al
    int 0x05
    pop ax
    iret
.global keyboard_system_make                # SysReq goes down, and comes up
keyboard_system_make:
    mov ax, 0x8500
    jmp 1f
.global keyboard_system_break
keyboard_system_break:
    mov ax, 0x8501
1:  push ax
    mov al, EOI
    out PIC_MASTER, al
    pop ax
    sti
    int 0x15
    pop ax
    iret
.global keyboard_pause                      # until another key, for which we are called inside
keyboard_pause:
    mov al, EOI
    out PIC_MASTER, al
1:  call host                               # is it over?
.global keyboard_paused
keyboard_paused:                            # no, and this task may not halt
    sti
    nop
    jmp 2f
.global keyboard_paused_halted              # no
keyboard_paused_halted:
    sti
    hlt
2:  cli
    jmp 1b
.global keyboard_resumed
keyboard_resumed:                           # yes
    pop ax
    iret
.global keyboard_reset                      # Ctrl-Alt-Del
keyboard_reset:
    mov al, EOI
    out PIC_MASTER, al
    jmp post

.org 0xC59, 0xFF
.global floppy
floppy:                                     # INT 40h; INT 13h of machines that have no other drives
    service

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

.org 0x1A6E, 0xFF                           # 8 x 8 font, the first 128 characters: the host fills it in
.global font
font:

.org 0x1E6E, 0xFF
.global time_of_day
time_of_day:
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

.org 0x1FF0, 0xFF
.global reset
reset:
    jmp ROM_SEGMENT:post
.org 0x1FF5, 0xFF
    .ascii "01/01/26"
.org 0x1FFE, 0xFF
    .byte 0xFC                              # the model byte of a PC/AT
    .byte 0x00
