# REP MOVSD: a kernel copies pages.

.include "harness.inc"
.include "words.inc"

repetition:
    inc dword ptr [source]                  # the checksum shall tell how often
    mov esi, offset source
    mov edi, offset destination
    mov edx, AREA_BYTES / PAGE_BYTES
1:  mov ecx, PAGE_BYTES / 4
    rep movsd
    dec edx
    jnz 1b
    ret
