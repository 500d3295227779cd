# Instructions that kernels lean on and emulators get wrong: results and defined flags.
#
# Source: Intel SDM Vol. 2, under each instruction's name.
.include "check.inc"

.set FIVE, FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF

.data
.align 8
counter:    .quad 0x1122334455667788
table:      .ascii "0123456789ABCDEF"
bits:       .long 0, 0, 0, 0
cell:       .long 0x55

.text
.globl main
main:
    guest_title "instructions"

    mov eax, 0x12345678
    bswap eax
    .test "BSWAP turns the bytes round", eax, 0x78563412

    # CMPXCHG, CMPXCHG8B, XADD: what spin locks are made of.
    mov eax, 0x55
    mov ecx, 0x66
    lock cmpxchg [cell], ecx
    .test_flags "CMPXCHG of an equal: ZF", FLAG_ZF, FLAG_ZF
    .test "and the new value is there", "dword ptr cell", 0x66
    lock cmpxchg [cell], ecx
    .test_flags "CMPXCHG of another: no ZF", FLAG_ZF, 0
    .test "EAX has the old value", eax, 0x66

    mov eax, 0x55667788
    mov edx, 0x11223344
    mov ebx, 0xAAAAAAAA
    mov ecx, 0xBBBBBBBB
    lock cmpxchg8b [counter]
    .test_flags "CMPXCHG8B of an equal: ZF", FLAG_ZF, FLAG_ZF
    .test "low half exchanged", "dword ptr counter", 0xAAAAAAAA
    .test "high half exchanged", "dword ptr counter + 4", 0xBBBBBBBB
    lock cmpxchg8b [counter]
    .test_flags "CMPXCHG8B of another: no ZF", FLAG_ZF, 0
    .test "EAX has the low half", eax, 0xAAAAAAAA
    .test "EDX has the high half", edx, 0xBBBBBBBB

    mov ecx, 3
    lock xadd [cell], ecx
    .test "XADD gives the old value", ecx, 0x66
    .test "and stores the sum", "dword ptr cell", 0x69
    mov ecx, 7
    xchg [cell], ecx
    .test "XCHG gives the old value", ecx, 0x69

    # ENTER and LEAVE.
    mov esi, esp
    mov ebp, 0x1234
    enter 32, 0
    mov edi, esi
    sub edi, esp
    .test "ENTER 32, 0 takes EBP and 32 bytes", edi, 36
    mov edi, [ebp]
    .test "EBP points at the old EBP", edi, 0x1234
    leave
    .test "LEAVE brings EBP back", ebp, 0x1234
    mov edi, esi
    sub edi, esp
    .test "and ESP", edi, 0
    push 0xF1F1
    mov ebp, esp            # a frame whose display holds 0xF1F1 below it
    push 0xF0F0
    mov ebx, ebp
    enter 8, 2
    mov edi, [ebp - 4]
    .test "ENTER 8, 2 copies the outer display entry", edi, 0xF0F0
    mov edi, [ebp - 8]
    .test "and adds its own frame", edi, ebp
    mov edi, ebp
    sub edi, esp
    .test "below both, 8 bytes", edi, 16
    leave
    .test "LEAVE undoes it", ebp, ebx
    add esp, 8

    # Tables and decimal arithmetic.
    mov ebx, offset table
    mov eax, 0x9900000B
    xlatb
    .test "XLAT looks AL up", eax, 0x99000042
    mov eax, 0x1F63
    aam
    .test "AAM: 99 is 9 and 9", eax, 0x0909
    aad
    .test "AAD puts them together", eax, 0x63
    mov eax, 0x47
    aam 16
    .test "AAM 16 splits nibbles", eax, 0x0407
    mov eax, 0x0203
    aad 16
    .test "AAD 16 joins them", eax, 0x23
    mov eax, 0x79
    add al, 0x35
    daa
    .test "DAA: 79 + 35 is 114", eax, 0x14
    .test_flags "with carry", FLAG_CF, FLAG_CF
    mov eax, 0x35
    sub al, 0x47
    das
    .test "DAS: 35 - 47 is 88", eax, 0x88
    .test_flags "with borrow", FLAG_CF, FLAG_CF
    mov eax, 0x0205
    add al, 0x09
    aaa
    .test "AAA: 5 + 9 is 4, and one to AH", eax, 0x0304
    mov eax, 0x0205
    sub al, 0x09
    aas
    .test "AAS: 5 - 9 is 6, and one from AH", eax, 0x0106

    # Shifts of two registers, rotates through carry.
    mov eax, 0x12345678
    mov edx, 0x9ABCDEF0
    shld eax, edx, 8
    .test "SHLD shifts EDX's top in", eax, 0x3456789A
    .test_flags "CF is the last bit out", FLAG_CF, 0
    mov cl, 12
    shrd eax, edx, cl
    .test "SHRD shifts EDX's bottom in", eax, 0xEF034567
    .test_flags "CF is the last bit out", FLAG_CF, FLAG_CF
    mov cl, 32
    shld eax, edx, cl
    .test "a count of 32 is none", eax, 0xEF034567
    .test_flags "and leaves the flags", FLAG_CF, FLAG_CF
    mov eax, 0x80000001
    clc
    rcl eax, 1
    .test "RCL shifts CF in", eax, 2
    .test_flags "and the top bit to CF", FLAG_CF, FLAG_CF
    rcr eax, 2
    .test "RCR by 2", eax, 0x40000000
    mov eax, 0x80000000
    sar eax, 31
    .test "SAR keeps the sign", eax, 0xFFFFFFFF
    mov eax, 0x12345678
    rol ax, 4
    .test "ROL of 16 bits", eax, 0x12346785

    # Bits.
    mov eax, 70
    bts [bits], eax
    .test "BTS with a register reaches beyond its dword", "dword ptr bits + 8", 0x40
    .test_flags "the bit was clear", FLAG_CF, 0
    lock btr [bits], eax
    .test_flags "BTR: it was set", FLAG_CF, FLAG_CF
    .test "and is clear", "dword ptr bits + 8", 0
    mov ecx, 0x00F00000
    bsf eax, ecx
    .test "BSF: lowest set bit", eax, 20
    bsr eax, ecx
    .test "BSR: highest set bit", eax, 23
    xor ecx, ecx
    bsf edx, ecx
    .test_flags "BSF of 0: ZF", FLAG_ZF, FLAG_ZF

    # Wide and signed arithmetic.
    mov eax, 0xFFFFFFFF
    mov ecx, 0xFFFFFFFF
    mul ecx
    .test "MUL: low half", eax, 1
    .test "MUL: high half", edx, 0xFFFFFFFE
    .test_flags "CF and OF say that it matters", FLAG_CF | FLAG_OF, FLAG_CF | FLAG_OF
    mov eax, -7
    cdq
    mov ecx, 2
    idiv ecx
    .test "IDIV cuts towards zero", eax, -3
    .test "and its remainder has the dividend's sign", edx, -1
    imul eax, ecx, 0x60000000
    .test_flags "IMUL says that it overflowed", FLAG_CF | FLAG_OF, FLAG_CF | FLAG_OF
    mov eax, 0x7FFFFFFF
    add eax, 1
    .test_flags "ADD over the top: OF and SF", FLAG_OF | FLAG_SF | FLAG_CF | FLAG_ZF, FLAG_OF | FLAG_SF
    stc
    sbb eax, eax
    .test "SBB of itself spreads CF", eax, -1
    stc
    inc eax
    .test_flags "INC leaves CF alone", FLAG_CF | FLAG_ZF, FLAG_CF | FLAG_ZF
    mov eax, 0x80000000
    neg eax
    .test_flags "NEG of the smallest number overflows", FLAG_OF | FLAG_CF, FLAG_OF | FLAG_CF
    mov eax, 0x12345680
    cbw
    .test "CBW extends AL to AX", eax, 0x1234FF80
    cwde
    .test "CWDE extends AX to EAX", eax, 0xFFFFFF80
    mov eax, 0x80
    movsx ecx, al
    .test "MOVSX", ecx, 0xFFFFFF80
    cmp eax, 0x80
    mov ecx, 5
    mov edx, 6
    cmovne ecx, edx
    .test "CMOVNE, not taken", ecx, 5
    cmove ecx, edx
    .test "CMOVE, taken", ecx, 6
    setb al
    .test "SETB", eax, 0

    # Flags to and fro.
    mov eax, 0xD500
    sahf
    .test_flags "SAHF sets five flags", FIVE, FIVE
    mov eax, 0
    lahf
    .test "LAHF gets them", eax, 0xD700
    xor eax, eax
    .byte 0xD6              # SALC
    .test "SALC spreads CF to AL: clear", eax, 0

    # The stack pointer itself.
    mov esi, esp
    push esp
    pop eax
    .test "PUSH ESP pushes the old value", eax, esi
    push 0x11
    push 0x22
    pop dword ptr [esp]     # the address is computed after ESP has moved
    pop eax
    .test "POP [ESP] uses the new ESP", eax, 0x22
    pushad
    mov eax, [esp + 12]
    add eax, 0
    mov edi, esi
    add esp, 32
    .test "PUSHAD stores the ESP from before", eax, edi
    mov ecx, 3
    xor eax, eax
1:  add eax, ecx
    loop 1b
    .test "LOOP counts ECX down", eax, 6
    ret

.section .note.GNU-stack, "", @progbits
