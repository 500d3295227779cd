# A program of profile bitmap that tries what it may not, and ends with its last try.

.layout base=0x40000000

.include "user.inc"

.equ KERNEL, 0x10000

.text
.global _start
.type _start, @function
_start:
    tell "protection: write(1, 0x00010000, 4) fails with error 0x"
    system_call SYS_WRITE, STDOUT, KERNEL, 4    # the kernel must not read for us what we may not
    neg eax
    call tell_hex
    mov edi, offset _start
    mov eax, [edi]
    tell "protection: reads its own text, and now writes to it\n"
    mov [edi], eax
    tell "protection: FAILED, that worked\n"
    system_call SYS_EXIT, 1
