# A program of numbers, as the x87 was bought for: matrices, roots, angles, decimal and binary numbers in and out.
#
# It goes its rounds without a word; what they have come to is checked at the end.  Between a division or a root and the
# store of its result there are integer instructions, which a processor with an x87 beside it executes meanwhile.
#
# Source: Intel SDM Vol. 1, "Programming with the x87 FPU"; Vol. 2, under each instruction's name.
.include "check.inc"

.set ROUNDS, 40
.set SIDE, 4                            # of a matrix
.set ROW_BYTES, SIDE * 8
.set ROOTS, 30
.set ANGLES, 16
.set ALL_ONES, SIDE * ROUNDS            # what the rounds come to
.set ALL_DOTS, 50 * ROUNDS
.set ALL_ANGLES, 1000 * ANGLES * ROUNDS
.set ALL_LARGER, ROOTS * ROUNDS
.set ALL_ELSEWHERE, (SIDE * SIDE * 10 + ROOTS * 36) * ROUNDS
.set LOGARITHMS, 3 * 256 + 7
.set CR0_MP, 1 << 1
.set CR0_EM, 1 << 2
.set CR0_TS, 1 << 3
.set CR0_NE, 1 << 5
.set CONTROL_64, 0x37F                  # all exceptions masked, to nearest, 64 bits of precision
.set CONTROL_53, 0x27F
.set CONTROL_24, 0x07F

# ST(0) as an integer into memory, and popped.
.macro note to:req
    fistp dword ptr [\to]
.endm

.data
.align 8
.globl rounds
rounds:     .long ROUNDS                # left
inverse:    .long 16, -120, 240, -140, -120, 1200, -2700, 1680, 240, -2700, 6480, -4200, -140, 1680, -4200, 2800
million:    .long 1000000
thousand:   .long 1000
eight:      .long 8
three:      .long 3
seven:      .word 7
word_in:    .word -1234
quad_in:    .quad 123456789012345
controls:   .word CONTROL_24, CONTROL_53, CONTROL_64
packed:     .byte 0x10, 0x32, 0x54, 0x76, 0x98, 0x10, 0, 0, 0, 0x80     # -109876543210

.bss
.align 16
hilbert:    .skip SIDE * ROW_BYTES
product:    .skip SIDE * ROW_BYTES
extended:   .skip 16
saved:      .skip 108
environment: .skip 28
control:    .skip 4
status:     .skip 4
index:      .skip 4
elsewhere:  .skip 4                     # what the integer unit did meanwhile
diagonal:   .skip 4
off_diagonal: .skip 4
roots:      .skip 4
angles:     .skip 4
pi:         .skip 4
logarithm:  .skip 4
remainder:  .skip 4
tangents:   .skip 4
significand: .skip 4
exponent:   .skip 4
thirds:     .skip 12                    # 1/3 with 24, 53 and 64 bits, as 32 bits
decimal:    .skip 16
numbers:    .skip 24
through:    .skip 8
dot:        .skip 4
larger:     .skip 4

.text
.globl main
main:
    guest_title "numerics"
    mov eax, cr0
    and eax, ~(CR0_EM | CR0_TS)
    or eax, CR0_MP | CR0_NE
    mov cr0, eax
1:  fninit
    call matrices
    call dot_product
    call square_roots
    call trigonometry
    call precisions
    call formats
    call transcendental
    call state
    dec dword ptr [rounds]
    jnz 1b

    .test "a Hilbert matrix times its inverse: ones", "dword ptr diagonal", ALL_ONES
    .test "and nothing beside them", "dword ptr off_diagonal", 0
    .test "1 * 7 + 2 * 6 + 3 * 5 + 4 * 4 in two sums", "dword ptr dot", ALL_DOTS
    .test "square roots of 1 to 30, by 1000", "dword ptr roots", 112083
    .test "sin2 + cos2 of 16 angles, by 1000", "dword ptr angles", ALL_ANGLES
    .test "four times the arc tangent of 1, by a million", "dword ptr pi", 3141593
    .test "tangents by FSINCOS and by FPTAN: no difference that counts", "dword ptr tangents", 0
    .test "log2 of 8, and 2 to the 3rd less 1 by F2XM1 and FSCALE", "dword ptr logarithm", LOGARITHMS
    .test "1000 - 7 * 142 by FPREM", "dword ptr remainder", 6
    .test "1000 by FXTRACT: significand, by a million", "dword ptr significand", 1953125
    .test "and exponent", "dword ptr exponent", 9
    .test "1/3 in 24 bits", "dword ptr thirds", 0x3EAAAAAB
    .test "in 53 bits, then 24", "dword ptr thirds + 4", 0x3EAAAAAB
    .test "in 64 bits, then 24", "dword ptr thirds + 8", 0x3EAAAAAB
    .test "-109876543210 - 1 in packed decimal: digits", "dword ptr decimal", 0x76543211
    .test "more digits", "dword ptr decimal + 4", 0x1098
    .test "and the sign", "dword ptr decimal + 6", 0x80000000
    .test "a word comes through", "dword ptr numbers", -1234
    .test "a quadword, by three: low half", "dword ptr numbers + 8", 0x92299E6B
    .test "high half", "dword ptr numbers + 12", 0x000150D9
    .test "through 32, 64 and 80 bits", "dword ptr through", 1000
    .test "FCOM saw which root is larger", "dword ptr larger", ALL_LARGER
    .test "what the integer unit did meanwhile", "dword ptr elsewhere", ALL_ELSEWHERE
    ret

# product = hilbert * inverse, and how much of it is 1 where it should be, or not 0 where it should.
matrices:
    mov edi, offset hilbert
    mov ecx, 0
1:  mov edx, 0                          # 1 / (row + column + 1)
2:  lea eax, [ecx + edx + 1]
    mov [index], eax
    fld1
    fidiv dword ptr [index]
    mov eax, 10                         # meanwhile
3:  inc dword ptr [elsewhere]
    dec eax
    jnz 3b
    fstp qword ptr [edi]
    add edi, 8
    inc edx
    cmp edx, SIDE
    jb 2b
    inc ecx
    cmp ecx, SIDE
    jb 1b

    mov esi, offset hilbert
    mov edi, offset product
    mov ecx, SIDE
4:  mov ebx, offset inverse
    mov edx, SIDE
5:  fldz                                # a row by a column
    push ecx
    push ebx
    xor ecx, ecx
6:  fld qword ptr [esi + ecx * 8]
    fimul dword ptr [ebx]
    faddp st(1), st
    add ebx, SIDE * 4
    inc ecx
    cmp ecx, SIDE
    jne 6b
    pop ebx
    pop ecx
    fstp qword ptr [edi]
    add edi, 8
    add ebx, 4
    dec edx
    jnz 5b
    add esi, ROW_BYTES
    dec ecx
    jnz 4b

    xor ecx, ecx
7:  fld qword ptr [product + ecx * 8]
    frndint
    note index
    mov eax, [index]
    mov edx, ecx
    and edx, SIDE - 1
    mov ebx, ecx
    shr ebx, 2
    cmp edx, ebx
    je 8f
    add [off_diagonal], eax
    jmp 9f
8:  add [diagonal], eax
9:  inc ecx
    cmp ecx, SIDE * SIDE
    jne 7b
    ret

# Two sums at once, exchanged by FXCH: as code for the Pentium is written.
dot_product:
    sub esp, 32
    mov ecx, 8
1:  mov [esp + ecx * 4 - 4], ecx
    dec ecx
    jnz 1b
    fldz
    fldz
    fild dword ptr [esp]                # 1 * 7
    fimul dword ptr [esp + 24]
    fild dword ptr [esp + 4]            # 2 * 6
    fimul dword ptr [esp + 20]
    fxch st(1)
    faddp st(2), st
    fild dword ptr [esp + 8]            # 3 * 5
    fimul dword ptr [esp + 16]
    fxch st(1)
    faddp st(3), st
    fild dword ptr [esp + 12]           # 4 * 4
    fimul dword ptr [esp + 12]
    fxch st(1)
    faddp st(2), st
    fxch st(2)
    faddp st(1), st
    faddp st(1), st
    note index
    mov eax, [index]
    add [dot], eax
    add esp, 32
    ret

square_roots:
    fldz                                # the sum
    fldz                                # the root before
    mov dword ptr [index], 1
1:  fild dword ptr [index]
    fsqrt
    mov eax, 12                         # meanwhile
2:  add dword ptr [elsewhere], 3
    dec eax
    jnz 2b
    fcom st(1)                          # larger than the one before
    fnstsw ax
    sahf
    jbe 3f
    inc dword ptr [larger]
3:  fst st(1)
    faddp st(2), st
    inc dword ptr [index]
    cmp dword ptr [index], ROOTS
    jbe 1b
    fstp st(0)
    fimul dword ptr [thousand]
    note roots
    ret

trigonometry:
    mov dword ptr [index], ANGLES
1:  fild dword ptr [index]
    fidiv dword ptr [eight]
    fld st(0)
    fsin
    fxch st(1)
    fcos
    fmul st(0), st(0)
    fxch st(1)
    fmul st(0), st(0)
    faddp st(1), st
    fimul dword ptr [thousand]
    fistp dword ptr [status]
    mov eax, [status]
    add [angles], eax
    dec dword ptr [index]
    jnz 1b
    fld1
    fld1
    fpatan
    fadd st(0), st(0)
    fadd st(0), st(0)
    fimul dword ptr [million]
    note pi
    fldpi
    fidiv dword ptr [eight]
    fsincos
    fdivp st(1), st
    fldpi
    fidiv dword ptr [eight]
    fptan
    fstp st(0)
    fsubp st(1), st
    fabs
    fimul dword ptr [million]
    ftst
    note tangents
    ret

# 1/3 with each precision control.
precisions:
    xor ecx, ecx
1:  fldcw word ptr [controls + ecx * 2]
    fld1
    fidiv dword ptr [three]
    fstp dword ptr [thirds + ecx * 4]
    inc ecx
    cmp ecx, 3
    jne 1b
    fldcw word ptr [controls + 4]
    ret

# In and out in every size.
formats:
    fbld tbyte ptr [packed]
    fld1
    fsubp st(1), st
    fbstp tbyte ptr [decimal]
    fild word ptr [word_in]
    fist word ptr [numbers + 4]
    note numbers
    fild qword ptr [quad_in]
    fimul dword ptr [three]
    fistp qword ptr [numbers + 8]
    fild dword ptr [thousand]
    fst dword ptr [extended]
    fst qword ptr [extended]
    fstp tbyte ptr [extended]
    fld tbyte ptr [extended]
    fstp qword ptr [extended]
    fld qword ptr [extended]
    fstp dword ptr [extended]
    fld dword ptr [extended]
    fld dword ptr [extended]
    fadd dword ptr [extended]
    fsub dword ptr [extended]
    fsubp st(1), st
    fadd dword ptr [extended]
    note through
    ret

transcendental:
    fld1
    fild dword ptr [eight]
    fyl2x                               # 3
    fld st(0)
    fist dword ptr [index]
    fld1
    fscale                              # 8
    fstp st(1)
    fld1
    fchs
    f2xm1                               # 2 to the -1, less 1: -1/2
    fadd st(0), st(0)                   # -1
    faddp st(1), st                     # 7
    fistp dword ptr [logarithm]
    fstp st(0)
    mov eax, [index]
    shl eax, 8
    add [logarithm], eax
    fild word ptr [seven]
    fild dword ptr [thousand]
1:  fprem
    fnstsw ax
    test ah, 4                          # C2: not yet done
    jnz 1b
    note remainder
    fstp st(0)
    fild dword ptr [thousand]
    fxtract                             # 1.953125 times 2 to the 9th
    fimul dword ptr [million]
    note significand
    note exponent
    ret

# A task's x87 state, put away and taken back, as a kernel does.
state:
    fld1
    fldl2t
    fnsave [saved]
    frstor [saved]
    fnstenv [environment]
    fldenv [environment]
    fnstcw word ptr [control]
    fldcw word ptr [control]
    fincstp
    fdecstp
    ffree st(7)
    fwait
    fcompp
    fnclex
    ret

.section .note.GNU-stack, "", @progbits
