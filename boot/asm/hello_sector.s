# The smallest program that a PC boots: one sector of 512 bytes.
#
# The BIOS loads a disk's first sector to 0x7C00 and jumps there, in real mode.  This one uses no BIOS service: it
# writes to the VGA text memory and to the first serial port itself.
#
#     qemu-system-i386 -drive format=raw,file=hello_sector.bin -serial stdio

.layout flat, base=0x7C00

.equ SCREEN_SEGMENT,  0xB800                # 0xB8000 divided by 16
.equ WHITE_ON_BLUE,   0x1F
.equ COM_DATA,        0x3F8
.equ COM_LINE_STATUS, 0x3FD
.equ COM_CAN_SEND,    0x20

.code16
.text
.global _start
_start:
    cli
    cld
    xor ax, ax
    mov ds, ax
    mov ss, ax
    mov sp, offset _start                   # the stack grows down from here
    mov ax, SCREEN_SEGMENT
    mov es, ax
    xor di, di                              # the upper left corner
    mov si, offset greeting

next_character:
    lodsb
    test al, al
    jz stop
    call serial_put
    cmp al, ' '
    jb next_character                       # line ends are for the serial line only
    mov ah, WHITE_ON_BLUE
    stosw
    jmp next_character

# AL: the character.
serial_put:
    push ax
    mov dx, COM_LINE_STATUS
1:  in al, dx
    test al, COM_CAN_SEND
    jz 1b
    pop ax
    mov dx, COM_DATA
    out dx, al
    ret

stop:
    hlt
    jmp stop

greeting: .asciz "Hello from a boot sector\r\n"

.org 510
    .word 0xAA55                            # without this signature the BIOS boots nothing
