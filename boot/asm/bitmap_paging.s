# A program of profile bitmap: it uses more pages than it needs at a time, so that some must leave where there are few
# frames (--append frames=10), and tells whether all of them come back as they were.
#
# Its first uses of pages of the heap are Belady's string, 1 2 3 4 1 2 5 1 2 3 4 5.

.layout base=0x40000000

.include "user.inc"

.equ PAGE_SIZE, 4096
.equ PAGES,     16
.equ BELADY_LENGTH, 12

.section .rodata
belady: .byte 1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5
uses:   .byte 3, 3, 2, 2, 2

.text
.global _start
.type _start, @function
_start:
    tell "paging: heap at 0x"
    system_call SYS_BRK, 0
    mov ebp, eax                            # where the heap begins
    call tell_hex
    lea eax, [ebp + PAGES*PAGE_SIZE]
    system_call SYS_BRK, eax

    xor esi, esi                            # in order of the string
1:  movzx edi, byte ptr belady[esi]
    dec edi
    shl edi, 12
    inc dword ptr [ebp + edi]               # counts how often the page was used
    inc esi
    cmp esi, BELADY_LENGTH
    jb 1b
    mov edi, ebp
    xor esi, esi
2:  movzx eax, byte ptr uses[esi]
    cmp [edi], eax
    jne lost
    add edi, PAGE_SIZE
    inc esi
    cmp esi, 5
    jb 2b
    tell "paging: 12 uses of 5 pages, each counted\n"

    mov edi, ebp                            # each page gets its own address, then all are read
    mov ecx, PAGES
3:  mov [edi + 8], edi
    add edi, PAGE_SIZE
    loop 3b
    mov edi, ebp
    mov ecx, PAGES
4:  cmp [edi + 8], edi
    jne lost
    add edi, PAGE_SIZE
    loop 4b
    tell "paging: 16 pages are as they were written\n"
    system_call SYS_EXIT, 0

lost:
    tell "paging: FAILED, page 0x"
    mov eax, edi
    call tell_hex
    system_call SYS_EXIT, 1
