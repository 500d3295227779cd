# List chase: follow pointers through 4 MiB, each load waiting for the one before, pages in no order.
#
# Node n's successor is node n * 25173 + 13849 modulo 65536: a generator of full period, so one cycle holds all nodes.

.include "harness.inc"

.equ NODES,      65536
.equ NODE_BYTES, 64
.equ MULTIPLIER, 25173
.equ INCREMENT,  13849

.bss
.balign 4096
nodes: .space NODES * NODE_BYTES            # each: next (address), number
place: .space 4
sum:   .space 4
.text

prepare:
    xor ecx, ecx
1:  mov edi, ecx
    shl edi, 6
    imul eax, ecx, MULTIPLIER
    add eax, INCREMENT
    movzx eax, ax
    shl eax, 6
    add eax, offset nodes
    mov nodes[edi], eax
    mov nodes[edi + 4], ecx
    inc ecx
    cmp ecx, NODES
    jb 1b
    mov dword ptr [place], offset nodes
    ret

repetition:
    mov eax, [place]
    mov edx, [sum]
    mov ecx, NODES - 1                      # not the whole cycle: each repetition begins elsewhere
1:  mov eax, [eax]
    dec ecx
    jnz 1b
    rol edx, 1
    add edx, [eax + 4]
    mov [place], eax
    mov [sum], edx
    ret

finish:
    mov eax, [sum]
    ret
