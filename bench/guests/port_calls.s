# Port calls: OUT and IN in turn to a port that a Python device answers, then isa-debug-exit.
#
# The device answers a read with the last written byte plus one, so AL counts, modulo 256.  No paging: it would change
# nothing for ports.

.include "multiboot.inc"
.include "ports.inc"

.equ DEBUG_EXIT, 0xF4
.equ TRAP_PORT,  0x5000

multiboot_header 0

.text
.global _start
.type _start, @function
_start:
    mov edx, TRAP_PORT
    mov ecx, REPEATS
    xor eax, eax
1:  out dx, al
    in al, dx
    dec ecx
    jnz 1b
    out DEBUG_EXIT, al
2:  hlt
    jmp 2b
