/* What Unicorn translates differently from the manual, and the native core mends; the portable core cannot.

   Sources: Intel SDM Vol. 2B, "PUSHF", "SMSW". */
#include "trap.h"

int main(void) {
    title("mended");
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
