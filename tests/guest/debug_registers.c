/* Debug registers: data, I/O and instruction breakpoints.

   Source: Intel SDM Vol. 3B, "Debug Registers", "Debug Exceptions".  unlike_qemu.c has more of them. */
#include "debug.h"

static volatile u32 data[8] __attribute__((aligned(64)));
static u8 frame[512] __attribute__((aligned(64)));

static void test_writes(void) {
    arm((u32)&data[1], WRITES, QUAD);
    u32 behind = BEHIND("mov dword ptr [esi], 0x12345678", &data[1]);
    same("a write gives #DB", debug.count, 1);
    same("as a trap: EIP is that of the next instruction", debug.eip, behind);
    same("DR6 tells which register", debug.dr6 & 0xF, 1);
    same("and that it was no single step", debug.dr6 & BS, 0);
    same("the write is done", data[1], 0x12345678);
    (void)data[1];
    same("a read gives none", debug.count, 1);
    data[0] = data[2] = 1;
    same("nor do its neighbours", debug.count, 1);
    BEHIND("add dword ptr [esi], 1", &data[1]);
    same("a read and write gives one", debug.count, 2);
    same("and is done once", data[1], 0x12345679);
    asm volatile("mov byte ptr [%0], 1" : : "r"((u32)&data[1] + 3) : "memory");
    same("the last byte counts", debug.count, 3);
    asm volatile("mov dword ptr [%0], 1" : : "r"((u32)&data[1] - 3) : "memory");
    same("a write that begins in front of it counts", debug.count, 4);
    asm volatile("mov dword ptr [%0], 1" : : "r"((u32)&data[1] - 4) : "memory");
    same("one that ends in front of it does not", debug.count, 4);
    disarm();
    data[1] = 0;
    same("without its enable bit there is none", debug.count, 4);
}

static void test_reads(void) {
    arm((u32)&data[1] + 1, READS_AND_WRITES, BYTE);
    u32 eax, behind = BEHIND("mov eax, [esi]", &data[1]);
    same("a read gives #DB", debug.count, 1);
    same("behind the instruction", debug.eip, behind);
    data[1] = 5;
    same("and a write", debug.count, 2);
    asm volatile("movzx %0, byte ptr [%1]" : "=r"(eax) : "r"((u32)&data[1]) : "memory");
    same("the byte in front of it does not", debug.count, 2);
    disarm();
}

static void test_strings(void) {
    arm((u32)&data[2], WRITES, QUAD);
    u32 edi = (u32)data, ecx = 8;
    asm volatile("rep stosd" : "+D"(edi), "+c"(ecx) : "a"(0x55) : "memory");
    same("REP STOSD gives one", debug.count, 1);
    same("and goes on behind it", data[7], 0x55);
    same("to its end", ecx, 0);
    disarm();
}

static void test_helpers(void) {
    u32 esp_word;
    arm((u32)frame + 32, WRITES, QUAD);
    asm volatile("fxsave [%0]" : : "r"(frame) : "memory");
    same("FXSAVE gives one", debug.count, 1);
    same("of DR0", debug.dr6 & 0xF, 1);
    arm((u32)&data[4], WRITES, QUAD);
    data[4] = data[5] = 0;
    debug.count = 0;
    asm volatile("cmpxchg8b [%0]" : : "S"(&data[4]), "a"(0), "d"(0), "b"(7), "c"(8) : "memory", "cc");
    same("CMPXCHG8B gives one", debug.count, 1);
    same("and is done", data[5], 8);
    asm volatile("mov %0, esp" : "=r"(esp_word));
    arm(esp_word - 4, WRITES, QUAD);
    asm volatile("push 1\npop eax" : : : "eax", "memory");
    check("PUSH gives one", debug.count >= 1);
    disarm();
}

static void test_faults(void) {
    arm((u32)&data[1], READS_AND_WRITES, QUAD);
    data[1] = 0;
    debug.count = 0;
    ATTEMPT("div %0", : : "m"(data[1]), "a"(1), "d"(0));
    trapped("an instruction that reads and then faults has its fault", DE, NO_ERROR, 0);
    disarm();
}

static void test_instructions(void) {
    u32 at;
    asm volatile("mov %0, offset 1f\njmp 2f\n1: ret\n2:" : "=r"(at));
    arm(at, 0, 0);
    asm volatile("call %0" : : "r"(at) : "memory");
    same("an instruction breakpoint gives #DB", debug.count, 1);
    same("in front of the instruction", debug.eip, at);
    same("DR6 tells it", debug.dr6 & 0xF, 1);
    asm volatile("call %0" : : "r"(at) : "memory");
    same("each time", debug.count, 2);
    disarm();
}

static void test_io(void) {
    u32 cr4;
    asm volatile("mov %0, cr4" : "=r"(cr4));
    asm volatile("mov cr4, %0" : : "r"(cr4 | CR4_DE));
    arm(0x80, IO, BYTE);
    u32 behind = BEHIND("out 0x80, al", 0);
    same("OUT to a watched port gives #DB", debug.count, 1);
    same("behind the instruction", debug.eip, behind);
    asm volatile("in al, 0x81" : : : "eax");
    same("another port gives none", debug.count, 1);
    disarm();
    ATTEMPT("mov eax, dr4", : : : "eax");
    trapped("DR4 does not exist while CR4.DE is set", UD, NO_ERROR, 0);
    asm volatile("mov cr4, %0" : : "r"(cr4));
}

int main(void) {
    title("debug registers");
    count_debug_exceptions();
    test_writes();
    test_reads();
    test_strings();
    test_helpers();
    test_faults();
    test_instructions();
    test_io();
    return 0;
}
