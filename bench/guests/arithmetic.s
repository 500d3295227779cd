# Arithmetic: registers only, one block that jumps to itself.

.include "harness.inc"

.equ ROUNDS, 10000                          # in a repetition

.bss
sum: .space 4
.text

prepare:
    ret

repetition:
    mov eax, [sum]
    mov ecx, ROUNDS
1:  add eax, ecx
    imul edx, eax, 0x01000193
    xor eax, edx
    rol eax, 5
    lea edx, [eax + eax*2 + 7]
    shr edx, 3
    sub eax, edx
    dec ecx
    jnz 1b
    mov [sum], eax
    ret

finish:
    mov eax, [sum]
    ret
