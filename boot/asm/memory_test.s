# The first program that the kernel runs: it asks for memory with `brk` and `mmap`, writes to it, and tells.
#
# System calls have the numbers and registers of Linux on i386: EAX the call, EBX, ECX, EDX, ESI, EDI, EBP its arguments,
# EAX the result, which is negative for an error.

.layout base=0x00400000

.include "user.inc"

.equ HEAP,      0x08000000
.equ PAGE_SIZE, 4096

.text
.global _start
.type _start, @function
_start:
    tell "Testing memory allocation...\n"

    system_call SYS_BRK, HEAP
    tell "old_brk = 0x"
    call tell_hex
    system_call SYS_BRK, HEAP + PAGE_SIZE
    tell "new_brk = 0x"
    call tell_hex
    mov dword ptr [HEAP], 0x6C6C6548        # "Hell"
    mov word ptr [HEAP + 4], 'o'            # and the zero byte
    tell "String: "
    mov ecx, HEAP
    call tell_line

    system_call SYS_MMAP2, 0, PAGE_SIZE, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0
    cmp eax, -PAGE_SIZE
    ja failed
    tell "mmap_addr = 0x"
    call tell_hex
    mov dword ptr [eax], 0x70616D4D         # "Mmap"
    mov word ptr [eax + 4], '!'
    tell "Mmap string: "
    mov ecx, eax
    call tell_line

    tell "Memory test completed!\n"
    system_call SYS_EXIT, 0

failed:
    tell "mmap failed\n"
    system_call SYS_EXIT, 1
