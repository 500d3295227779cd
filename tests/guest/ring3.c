/* Ring 3: the way there by IRET, the way back through a gate and the TSS's stack, and what is forbidden there. */
#include "pic.h"
#include "trap.h"
#include "user.h"

enum { CALLS = 0x90, KERNEL_ONLY = 0x91 };

static struct trap seen;
static volatile u32 seen_esp0, flags_in_handler;
static void keep(struct trap *trap) {
    seen = *trap;
    seen_esp0 = (u32)&trap->vm_es;
    flags_in_handler = flags();
}

static u32 identify(void) {
    u32 ds;
    asm volatile("mov %0, ds" : "=r"(ds));
    return selector_cs() << 16 | (ds & 0xFFFF);
}

static u32 call_kernel(void) {
    asm volatile("mov ecx, 0x1234; int 0x90" : : : "ecx", "memory");
    return flags();
}

static u32 forbidden(void) {
    ATTEMPT("hlt");
    trapped("#GP: HLT", GP, 0, 0);
    ATTEMPT("cli");
    trapped("#GP: CLI with IOPL 0", GP, 0, 0);
    ATTEMPT("sti");
    trapped("#GP: STI with IOPL 0", GP, 0, 0);
    ATTEMPT("in al, 0x60", : : : "eax");
    trapped("#GP: IN with IOPL 0", GP, 0, 0);
    ATTEMPT("mov eax, cr0", : : : "eax");
    trapped("#GP: reading CR0", GP, 0, 0);
    ATTEMPT("mov cr3, eax");
    trapped("#GP: writing CR3", GP, 0, 0);
    ATTEMPT("lgdt [%0]", : : "r"(user_stack));
    trapped("#GP: LGDT", GP, 0, 0);
    ATTEMPT("ltr %w0", : : "r"(MAIN_TSS));
    trapped("#GP: LTR", GP, 0, 0);
    ATTEMPT("invlpg [%0]", : : "r"(0));
    trapped("#GP: INVLPG", GP, 0, 0);
    ATTEMPT("clts");
    trapped("#GP: CLTS", GP, 0, 0);
    ATTEMPT("wbinvd");
    trapped("#GP: WBINVD", GP, 0, 0);
    ATTEMPT("rdmsr", : : "c"(0x174) : "eax", "edx");
    trapped("#GP: RDMSR", GP, 0, 0);
    ATTEMPT("mov eax, dr7", : : : "eax");
    trapped("#GP: reading DR7", GP, 0, 0);
    ATTEMPT("mov ds, %w0", : : "r"(KERNEL_DATA));
    trapped("#GP: DS cannot take the kernel's data", GP, KERNEL_DATA, 0);
    ATTEMPT("ljmp 0x08:0");
    trapped("#GP: nor a jump the kernel's code", GP, KERNEL_CODE, 0);
    ATTEMPT("int 0x91");
    trapped("#GP: INT through a gate of DPL 0", GP, KERNEL_ONLY * 8 + 2, 0);
    ATTEMPT("int 14");
    trapped("#GP: a user cannot fake a page fault", GP, PF * 8 + 2, 0);
    ATTEMPT("int3");
    trapped("INT3's gate has DPL 3", BP, 0, 1);
    ATTEMPT("ud2");
    trapped("an exception does not look at the gate's DPL", UD, 0, 0);
    same("it came from ring 3", caught.cs, USER_CODE);
    ATTEMPT("smsw eax", : : : "eax");
    not_trapped("SMSW is allowed");
    ATTEMPT("sgdt [%0]", : : "r"(user_stack) : "memory");
    not_trapped("SGDT is allowed");
    return 0;
}

static u32 try_flags(void) {
    set_flags(2 | FLAG_IOPL_3 | FLAG_CF);
    return flags();
}

static u32 iopl_3(void) {
    cli();
    u32 off = flags();
    sti();
    u32 on = flags();
    (void)inb(0x61);
    return (off & FLAG_IF) | (on & FLAG_IF) << 1;
}

static u32 time_stamp(void) {
    ATTEMPT("rdtsc", : : : "eax", "edx");
    trapped("#GP: RDTSC with CR4.TSD", GP, 0, 0);
    return 0;
}

int main(void) {
    title("ring 3");
    set_up_pics(); /* the timer ticks while interrupts are enabled: nobody wants that here */
    same("a function in ring 3 sees its selectors", run_user(identify, FLAG_IF), (USER_CODE << 16) | USER_DATA);
    same("its caller is back in ring 0", selector_cs() << 16 | selector_ss(), KERNEL_CODE << 16 | KERNEL_DATA);

    set_idt(CALLS, gate(KERNEL_CODE, trap_stubs[CALLS], PRESENT | DPL_3 | INTERRUPT_GATE, 0));
    on_trap(CALLS, keep);
    u32 after = run_user(call_kernel, FLAG_IF | FLAG_DF);
    same("INT pushed the user's CS", seen.cs, USER_CODE);
    same("and SS", seen.ss, USER_DATA);
    check("and ESP, on the user's stack", seen.esp > (u32)user_stack && seen.esp < (u32)user_stack + sizeof user_stack);
    same("and ECX is the user's", seen.ecx, 0x1234);
    same("the kernel's stack came from the TSS", seen_esp0, main_task.tss.esp0);
    same("an interrupt gate clears IF in the kernel", flags_in_handler & FLAG_IF, 0);
    same("and IRET brings it back", after & FLAG_IF, FLAG_IF);
    set_idt(CALLS, gate(KERNEL_CODE, trap_stubs[CALLS], PRESENT | DPL_3 | TRAP_GATE, 0));
    run_user(call_kernel, FLAG_IF);
    same("a trap gate does not", flags_in_handler & FLAG_IF, FLAG_IF);

    run_user(forbidden, FLAG_IF);
    same("POPF in ring 3 silently keeps IF and IOPL", run_user(try_flags, FLAG_IF) & (FLAG_IF | FLAG_IOPL_3 | FLAG_CF),
         FLAG_IF | FLAG_CF);
    same("with IOPL 3, CLI, STI and IN are allowed", run_user(iopl_3, FLAG_IF | FLAG_IOPL_3), FLAG_IF << 1);
    set_cr4(cr4() | CR4_TSD);
    run_user(time_stamp, FLAG_IF);
    set_cr4(cr4() & ~CR4_TSD);

    return 0;
}
