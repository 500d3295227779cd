# Word copy: a load and a store in each turn of a loop.

.include "harness.inc"
.include "words.inc"

repetition:
    inc dword ptr [source]                  # the checksum shall tell how often
    mov esi, offset source
    mov edi, offset destination
    mov ecx, AREA_WORDS
1:  mov eax, [esi]
    mov [edi], eax
    add esi, 4
    add edi, 4
    dec ecx
    jnz 1b
    ret
