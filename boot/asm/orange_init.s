# Init, the first process of profile orange: it forks, and parent and child tell that their memory is their own.
#
# System calls have the numbers and registers of Linux on i386: EAX the call, EBX, ECX, EDX, ESI, EDI, EBP its arguments,
# EAX the result, which is negative for an error.

.layout base=0x40000000

.include "user.inc"

.equ PARENTS_NUMBER, 0x11111111
.equ CHILDS_NUMBER,  0x22222222
.equ ANY_CHILD,      -1

.data
.balign 4
number: .long PARENTS_NUMBER
.bss
.balign 4
status: .space 4
.text

.global _start
.type _start, @function
_start:
    system_call SYS_FORK
    cmp eax, 0
    je child
    jl failed
    tell "parent is running, child pid:"
    call tell_hex
    system_call SYS_WAITPID, ANY_CHILD, (offset status), 0
    test eax, eax
    jle failed
    tell "parent: the child has ended, number = 0x"
    mov eax, [number]
    call tell_hex
    cmp eax, PARENTS_NUMBER
    jne failed
    cmp dword ptr [status], 3 << 8          # the child's exit code
    jne failed
    system_call SYS_EXIT, 0

child:
    system_call SYS_GETPID
    tell "child is running, pid:"
    call tell_hex
    mov dword ptr [number], CHILDS_NUMBER
    tell "child: number = 0x"
    mov eax, [number]
    call tell_hex
    system_call SYS_EXIT, 3

failed:
    tell "Init: something went wrong\n"
    system_call SYS_EXIT, 1
