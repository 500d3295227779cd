/* What the processor says of itself: CPUID, the time-stamp counter, MSRs, control registers. */
#include "pic.h"
#include "trap.h"

enum { EFER = 0xC0000080, SYSENTER_EIP = 0x176 };
enum { HAS_FPU = 1 << 0, HAS_PSE = 1 << 3, HAS_TSC = 1 << 4, HAS_MSR = 1 << 5, HAS_CX8 = 1 << 8, HAS_CMOV = 1 << 15 };

int main(void) {
    title("processor");
    set_up_pics(); /* the timer ticks while interrupts are enabled: nobody wants that here */
    set_flags(flags() | FLAG_ID);
    same("EFLAGS.ID can be set", flags() & FLAG_ID, FLAG_ID);
    set_flags(flags() & ~FLAG_ID);
    same("and cleared: there is CPUID", flags() & FLAG_ID, 0);
    set_flags(flags() | FLAG_AC);
    same("EFLAGS.AC can be set: at least a 486", flags() & FLAG_AC, FLAG_AC);
    set_flags(2);

    struct cpuid id = cpuid(0);
    check("CPUID 0: there is leaf 1", id.eax >= 1);
    bool printable = true;
    for (u32 shift = 0; shift < 32; shift += 8) {
        u8 letter = id.ebx >> shift;
        printable = printable && letter >= ' ' && letter < 0x7F;
    }
    check("its vendor is text", printable);
    id = cpuid(1);
    u32 wanted = HAS_FPU | HAS_PSE | HAS_TSC | HAS_MSR | HAS_CX8 | HAS_CMOV;
    same("CPUID 1: FPU, PSE, TSC, MSR, CX8, CMOV", id.edx & wanted, wanted);
    check("family 5 or above", (id.eax >> 8 & 15) >= 5);

    u64 last = rdtsc();
    bool rises = true;
    for (u32 i = 0; i < 1000; i++) {
        u64 now = rdtsc();
        rises = rises && now > last;
        last = now;
    }
    check("RDTSC always rises", rises);

    wrmsr(SYSENTER_EIP, 0x12345678);
    same("an MSR reads back", (u32)rdmsr(SYSENTER_EIP), 0x12345678);

    u32 before = cr0();
    set_cr0(before | CR0_TS);
    same("CR0.TS can be set", cr0() & CR0_TS, CR0_TS);
    u32 word;
    asm volatile("smsw %0" : "=r"(word));
    same("SMSW sees CR0's low word", word & 0xFFFF, cr0() & 0xFFFF);
    asm volatile("clts");
    same("CLTS clears it", cr0() & CR0_TS, 0);
    asm volatile("lmsw %w0" : : "r"(word | CR0_TS));
    same("LMSW sets it", cr0() & CR0_TS, CR0_TS);
    asm volatile("lmsw %w0" : : "r"(0));
    same("LMSW cannot clear PE", cr0() & CR0_PE, CR0_PE);
    set_cr0(before);
    asm volatile("mov cr2, %0" : : "r"(0xC0FFEE00));
    same("CR2 can be written", cr2(), 0xC0FFEE00);
    u32 debug;
    asm volatile("mov dr0, %1; mov %0, dr0" : "=r"(debug) : "r"(0x12345678));
    same("DR0 reads back", debug, 0x12345678);
    asm volatile("mov dr0, %0" : : "r"(0));

    struct __attribute__((packed)) { u16 limit; u32 base; } table;
    asm volatile("sgdt %0" : "=m"(table));
    check("SGDT says what LGDT loaded", table.base == (u32)gdt && table.limit == sizeof gdt - 1);
    asm volatile("sidt %0" : "=m"(table));
    check("SIDT says what LIDT loaded", table.base == (u32)idt && table.limit == sizeof idt - 1);
    u32 tr;
    asm volatile("str %0" : "=r"(tr));
    same("STR says what LTR loaded", tr & 0xFFFF, MAIN_TSS);
    return 0;
}
