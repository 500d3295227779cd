# Sieve of Eratosthenes: byte stores with growing strides, and short loops.

.include "harness.inc"

.equ LIMIT, 65536
.equ ROOT,  256

.bss
.balign 4096
composite: .space LIMIT
sum:       .space 4
.text

prepare:
    ret

# Strikes out the composites, counts the primes below LIMIT and mixes their number into `sum`.
repetition:
    mov edi, offset composite
    mov ecx, LIMIT
1:  mov dword ptr [edi], 0
    add edi, 4
    sub ecx, 4
    jnz 1b

    mov ecx, 2
2:  cmp byte ptr composite[ecx], 0
    jne 4f
    mov eax, ecx
    imul eax, ecx
3:  mov byte ptr composite[eax], 1
    add eax, ecx
    cmp eax, LIMIT
    jb 3b
4:  inc ecx
    cmp ecx, ROOT
    jb 2b

    xor edx, edx
    mov ecx, 2
5:  cmp byte ptr composite[ecx], 1
    adc edx, 0                              # carry: the byte is 0
    inc ecx
    cmp ecx, LIMIT
    jb 5b
    mov eax, [sum]
    rol eax, 1
    add eax, edx
    mov [sum], eax
    ret

finish:
    mov eax, [sum]
    ret
