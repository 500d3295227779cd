/* The FPU and SSE, as far as a kernel meets them: state, rounding, saving, and lazy switching by CR0.TS.

   Source: Intel SDM Vol. 1, "x87 FPU", "FXSAVE and FXRSTOR Instructions". */
#include "trap.h"

struct __attribute__((packed)) environment {
    u16 control, pad0, status, pad1, tags, pad2;
    u32 eip;
    u16 cs, opcode;
    u32 data;
    u16 ds, pad3;
};

static u8 saved[512] __attribute__((aligned(16))), saved_again[512] __attribute__((aligned(16)));

static void bits(const char *name, const double *got, u32 high, u32 low) {
    const u32 *words = (const u32 *)got;
    check(name, words[1] == high && words[0] == low);
}

static void state(void) {
    struct environment env;
    asm volatile("fninit; fnstenv %0" : "=m"(env));
    same("FNINIT: control word", env.control, 0x37F);
    same("status word", env.status, 0);
    same("all registers empty", env.tags, 0xFFFF);
    asm volatile("fld1; fldz; fnstenv %0; fldcw %0" : "=m"(env));
    same("two pushed: top of stack 6", env.status >> 11 & 7, 6);
    same("tags: one valid, one zero", env.tags, 0x1FFF);
    asm volatile("fninit");
    u32 status;
    asm volatile("fld1; fld1; fcompp; fnstsw ax; movzx %0, ax" : "=r"(status) : : "eax");
    same("FCOM of equals: C3", status & 0x4500, 0x4000);
    asm volatile("fld1; fldz; fcompp; fnstsw ax; movzx %0, ax" : "=r"(status) : : "eax");
    same("FCOM, ST0 below: C0", status & 0x4500, 0x0100);
}

static void arithmetic(void) {
    double result;
    const u32 two = 2, ten = 10, three = 3;
    asm volatile("fild dword ptr %1; fsqrt; fstp qword ptr %0" : "=m"(result) : "m"(two));
    bits("the square root of 2", &result, 0x3FF6A09E, 0x667F3BCD);
    asm volatile("fild dword ptr %1; fidiv dword ptr %2; fstp qword ptr %0" : "=m"(result) : "m"(ten), "m"(three));
    bits("10 / 3", &result, 0x400AAAAA, 0xAAAAAAAB);
    asm volatile("fldpi; fstp qword ptr %0" : "=m"(result));
    bits("pi", &result, 0x400921FB, 0x54442D18);
    asm volatile("fld1; fchs; fsqrt; fstp qword ptr %0; fnclex" : "=m"(result));
    bits("the square root of -1 is the default NaN", &result, 0xFFF80000, 0);
    asm volatile("fld1; fldz; fdivp; fstp qword ptr %0; fnclex" : "=m"(result));
    bits("1 / 0, masked, is infinite", &result, 0x7FF00000, 0);

    static const u16 modes[] = {0x37F, 0x77F, 0xB7F, 0xF7F};
    static const char *const names[] = {"2.5 rounds to even", "2.5 rounds down", "2.5 rounds up", "2.5 is cut off"};
    static const u32 want[] = {2, 2, 3, 2};
    const float half = 2.5f;
    for (u32 i = 0; i < 4; i++) {
        u32 rounded;
        asm volatile("fldcw %1; fld dword ptr %2; fistp dword ptr %0" : "=m"(rounded) : "m"(modes[i]), "m"(half));
        same(names[i], rounded, want[i]);
    }
    asm volatile("fninit");
    u8 decimal[10];
    const u32 number = 12345678;
    asm volatile("fild dword ptr %1; fbstp tbyte ptr %0" : "=m"(decimal) : "m"(number));
    check("FBSTP stores decimal digits", memcmp(decimal, "\x78\x56\x34\x12\0\0\0\0\0\0", 10) == 0);
}

static void sse(void) {
    set_cr4(cr4() & ~CR4_OSFXSR);
    ATTEMPT("xorps xmm0, xmm0");
    trapped("#UD: SSE without CR4.OSFXSR", UD, 0, 0);
    set_cr4(cr4() | CR4_OSFXSR);
    static const float a[4] __attribute__((aligned(16))) = {1, 2, 3, 4};
    static const float b[4] __attribute__((aligned(16))) = {10, 20, 30, 40};
    static float sum[4] __attribute__((aligned(16)));
    asm volatile("movaps xmm1, %1; addps xmm1, %2; movaps %0, xmm1" : "=m"(sum) : "m"(a), "m"(b));
    static const u32 want[4] = {0x41300000, 0x41B00000, 0x42040000, 0x42300000};
    check("ADDPS adds four", memcmp(sum, want, 16) == 0);
    u32 mxcsr = 0;
    asm volatile("stmxcsr %0" : "=m"(mxcsr));
    same("MXCSR is as after reset", mxcsr, 0x1F80);
}

static void saving(void) {
    asm volatile("fninit; fldpi; fld1; fxsave [%0]" : : "r"(saved) : "memory");
    same("FXSAVE: control word", *(u16 *)saved, 0x37F);
    same("abridged tags: two in use", saved[4], 0xC0);
    check("ST0 is 1.0 in 80 bits", memcmp(saved + 32, "\0\0\0\0\0\0\0\x80\xFF\x3F", 10) == 0);
    same("XMM1 is what ADDPS left", *(u32 *)(saved + 160 + 16), 0x41300000);
    same("MXCSR", *(u32 *)(saved + 24), 0x1F80);
    asm volatile("fninit; xorps xmm1, xmm1; fxrstor [%0]; fxsave [%1]" : : "r"(saved), "r"(saved_again) : "memory");
    check("FXRSTOR brings all of it back", memcmp(saved + 24, saved_again + 24, 4) == 0
          && memcmp(saved + 32, saved_again + 32, 288 - 32) == 0 && memcmp(saved, saved_again, 5) == 0);
    ATTEMPT("fxsave [%0]", : : "r"(saved + 8) : "memory");
    trapped("#GP: FXSAVE to an odd place", GP, 0, 0);

    u8 old[108], fresh[28];
    asm volatile("fnsave %0; fnstenv %1; frstor %0" : "=m"(old), "=m"(fresh));
    same("FNSAVE leaves a fresh FPU", *(u16 *)(fresh + 8), 0xFFFF);
    double one;
    asm volatile("fstp qword ptr %0" : "=m"(one));
    bits("FRSTOR brings ST0 back", &one, 0x3FF00000, 0);
}

static volatile u32 switches;
static void switch_lazily(struct trap *trap) {
    (void)trap;
    switches++;
    asm volatile("clts; fxrstor [%0]" : : "r"(saved));
}

static void lazily(void) {
    asm volatile("fninit; fldpi; fxsave [%0]; fninit" : : "r"(saved) : "memory");
    on_trap(NM, switch_lazily);
    set_cr0((cr0() & ~CR0_EM) | CR0_TS | CR0_MP);
    double pi;
    asm volatile("fst qword ptr %0" : "=m"(pi));
    same("CR0.TS: one #NM, and the instruction again", switches, 1);
    bits("which found the restored state", &pi, 0x400921FB, 0x54442D18);
    asm volatile("fst qword ptr %0" : "=m"(pi));
    same("no second one", switches, 1);
    set_cr0(cr0() | CR0_TS);
    asm volatile("movaps xmm2, xmm1");
    same("SSE asks too", switches, 2);
    set_cr0(cr0() | CR0_TS);
    asm volatile("movd mm0, eax; emms");
    same("and MMX", switches, 3);
    on_trap(NM, NULL);
    u32 word;
    asm volatile("clts; smsw %0" : "=r"(word));
    same("CLTS clears TS", word & CR0_TS, 0);
}

int main(void) {
    title("FPU and SSE");
    set_cr0((cr0() & ~(CR0_EM | CR0_TS)) | CR0_MP | CR0_NE);
    state();
    arithmetic();
    sse();
    saving();
    lazily();
    return 0;
}
