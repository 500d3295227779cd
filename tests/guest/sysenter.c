/* SYSENTER and SYSEXIT.  Source: Intel SDM Vol. 3A, "Performing Fast Calls to System Procedures". */
#include "pic.h"
#include "trap.h"
#include "user.h"

enum { SYSENTER_CS = 0x174, SYSENTER_ESP = 0x175, SYSENTER_EIP = 0x176, HAS_SEP = 1 << 11 };

static u8 fast_stack[1024] __attribute__((aligned(16)));
static volatile u32 seen_esp, seen_cs, seen_ss, seen_flags, seen_ecx, calls;

void fast_entry(void);
asm(".globl fast_entry\n"
    "fast_entry:\n"
    "mov seen_esp, esp; mov seen_cs, cs; mov seen_ss, ss; mov seen_ecx, ecx\n"
    "pushfd; pop dword ptr seen_flags\n"
    "inc dword ptr calls\n"
    "mov eax, 0xFA57\n"
    "sti\n"
    "sysexit\n"); /* to EDX on stack ECX */

static volatile u32 esp_before;
static u32 fast_call(void) {
    u32 result;
    asm volatile("mov %1, esp\n"
                 "mov ecx, esp\n"
                 "mov edx, offset 1f\n"
                 "sysenter\n"
                 "1:" : "=a"(result), "=m"(esp_before) : : "ecx", "edx", "memory", "cc");
    return result;
}

static u32 after_return(void) {
    u32 result = fast_call();
    return result << 16 | (selector_cs() << 8) | selector_ss();
}

static u32 refused(void) {
    ATTEMPT("sysenter");
    trapped("#GP: SYSENTER with a null SYSENTER_CS", GP, 0, 0);
    ATTEMPT("sysexit");
    trapped("#GP: SYSEXIT in ring 3", GP, 0, 0);
    return 0;
}

int main(void) {
    title("SYSENTER");
    set_up_pics(); /* the timer ticks while interrupts are enabled: nobody wants that here */
    check("CPUID says SEP", cpuid(1).edx & HAS_SEP);
    wrmsr(SYSENTER_CS, KERNEL_CODE);
    wrmsr(SYSENTER_ESP, (u32)fast_stack + sizeof fast_stack);
    wrmsr(SYSENTER_EIP, (u32)fast_entry);
    same("SYSENTER_CS reads back", (u32)rdmsr(SYSENTER_CS), KERNEL_CODE);
    same("SYSENTER_ESP reads back", (u32)rdmsr(SYSENTER_ESP), (u32)fast_stack + sizeof fast_stack);
    same("SYSENTER_EIP reads back", (u32)rdmsr(SYSENTER_EIP), (u32)fast_entry);

    same("into ring 0 and back to ring 3", run_user(after_return, FLAG_IF), 0xFA57u << 16 | USER_CODE << 8 | USER_DATA);
    same("once", calls, 1);
    same("CS came from the MSR", seen_cs & 0xFFFF, KERNEL_CODE);
    same("SS is the one behind it", seen_ss & 0xFFFF, KERNEL_DATA);
    same("ESP came from the MSR", seen_esp, (u32)fast_stack + sizeof fast_stack);
    same("SYSENTER clears IF", seen_flags & FLAG_IF, 0);
    same("ECX is the caller's", seen_ecx, esp_before);

    wrmsr(SYSENTER_CS, 0);
    run_user(refused, FLAG_IF);
    ATTEMPT("sysexit", : : "c"(0), "d"(0));
    trapped("#GP: SYSEXIT with a null SYSENTER_CS", GP, 0, 0);
    return 0;
}
