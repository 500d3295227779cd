# Recursive Fibonacci numbers: calls, returns and the stack.

.include "harness.inc"

.equ ARGUMENT, 20

.bss
sum: .space 4
.text

prepare:
    ret

repetition:
    mov eax, ARGUMENT
    call fib
    mov edx, [sum]
    rol edx, 1
    add edx, eax
    mov [sum], edx
    ret

finish:
    mov eax, [sum]
    ret

# EAX: n; returns fib(n) in EAX.
fib:
    cmp eax, 2
    jb 1f
    push ebx
    push eax
    dec eax
    call fib
    mov ebx, eax
    pop eax
    sub eax, 2
    call fib
    add eax, ebx
    pop ebx
1:  ret
