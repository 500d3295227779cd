/* What Unicorn translates differently from the manual, and the native core mends; the portable core cannot.

   Sources: Intel SDM Vol. 2B, "PUSHF", "SMSW"; Vol. 2A, "SSE/SSE2/SSE3/SSE4 Exceptions". */
#include "trap.h"

static u8 room[64] __attribute__((aligned(16)));

static void alignment(void) {
    set_cr4(cr4() | CR4_OSFXSR);
    ATTEMPT("movaps xmm0, [eax]", : : "a"(room + 16));
    not_trapped("MOVAPS reads 16 bytes that are aligned");
    ATTEMPT("movaps xmm0, [eax]", : : "a"(room + 8));
    trapped("and no others: #GP(0)", GP, 0, 0);
    ATTEMPT("movaps [eax], xmm0", : : "a"(room + 1) : "memory");
    trapped("nor does it write them", GP, 0, 0);
    ATTEMPT("paddd xmm0, [eax]", : : "a"(room + 4));
    trapped("PADDD reads none that are not aligned", GP, 0, 0);
    ATTEMPT("movups xmm0, [eax]", : : "a"(room + 3));
    not_trapped("MOVUPS does");
    ATTEMPT("movdqu [eax], xmm0", : : "a"(room + 3) : "memory");
    not_trapped("and MOVDQU writes them");
    ATTEMPT("cvtdq2pd xmm0, [eax]", : : "a"(room + 3));
    not_trapped("CVTDQ2PD reads 8 bytes from anywhere");
    ATTEMPT("movq xmm0, [eax]", : : "a"(room + 3));
    not_trapped("as MOVQ does");
}

int main(void) {
    title("mended");
    alignment();
    u32 stored;
    asm volatile("pushfd; or dword ptr [esp], %1; push cs; push offset 1f; iretd; 1: pushfd; pop %0"
                 : "=r"(stored) : "i"(FLAG_RF) : "memory", "cc");
    same("PUSHF stores RF clear, even right behind an IRET that set it", stored & FLAG_RF, 0);

    u32 before = cr0();
    set_cr0(before | CR0_CD);
    u32 word = 0x12345678;
    asm volatile("smsw %0" : "+r"(word));
    same("SMSW stores all of CR0 in a 32-bit register", word, cr0());
    word = 0x12345678;
    asm volatile("smsw %w0" : "+r"(word));
    same("but 16 bits in a 16-bit one", word, 0x12340000 | (cr0() & 0xFFFF));
    set_cr0(before);
    return 0;
}
