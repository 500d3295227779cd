/* Where the manuals say one thing and QEMU's TCG does another: this machine follows the manuals.

   Sources: Intel SDM Vol. 2, "RDMSR", "WRMSR"; Intel 8254 data sheet, "Read-Back Command", "Mode 0"; Intel SDM
   Vol. 3B, "Debug Registers", "General-Detect Exception Condition"; Vol. 3A, "Masking Exceptions and Interrupts When
   Switching Stacks". */
#include "debug.h"
#include "pic.h"

enum { NO_SUCH_MSR = 0x12345678, TIMER_CONTROL = 0x43, COUNTER_2 = 0x42, STATUS_OUT = 0x80, STATUS_NULL = 0x40 };

enum { DR7_GD = 1 << 13, DR6_BD = 1 << 13 };

static volatile u32 watched[8] __attribute__((aligned(64)));

static u8 status_of_counter_2(void) {
    outb(TIMER_CONTROL, 0xE8);
    return inb(COUNTER_2);
}

static void several_breakpoints(void) {
    arm((u32)&watched[1], WRITES, QUAD);
    SET_DR(3, &watched[2]);
    SET_DR(7, 1 | 0x80 | WRITES << 16 | QUAD << 18 | WRITES << 28 | QUAD << 30);
    debug.count = 0;
    asm volatile("mov dword ptr [%0], 1" : : "r"((u32)&watched[1] + 2) : "memory");
    same("one write over two breakpoints gives one #DB", debug.count, 1);
    same("and DR6 tells both", debug.dr6 & 0xF, 9);
    disarm();
}

static void breakpoint_of_a_stack_switch(void) {
    static volatile u16 selector;
    asm volatile("mov %0, ss" : "=r"(selector));
    arm((u32)&selector, READS_AND_WRITES, WORD);
    u32 behind;
    asm volatile("mov %0, offset 1f\nmov ss, %1\nmov eax, 1\n1: nop" : "=&r"(behind) : "m"(selector) : "eax");
    same("MOV SS holds #DB back", debug.count, 1);
    same("until the next instruction is done", debug.eip, behind);
    disarm();
}

static void single_step_over_a_breakpoint(void) {
    u32 step = TF, behind;
    arm((u32)&watched[1], WRITES, QUAD);
    asm volatile("mov %0, offset 1f\npushfd\nor [esp], %1\npopfd\nmov %2, 1\n1: nop"
                 : "=&r"(behind)
                 : "r"(step), "m"(watched[1])
                 : "memory", "cc");
    same("a single step over a watched write gives one #DB", debug.count, 1);
    same("behind it", debug.eip, behind);
    same("for both reasons", debug.dr6 & (BS | 0xF), BS | 1);
    disarm();
}

static void protected_debug_registers(void) {
    SET_DR(7, DR7_GD);
    debug.count = 0;
    u32 at, value;
    asm volatile("mov %1, offset 1f\n1: mov %0, dr0" : "=r"(value), "=&r"(at));
    same("DR7.GD: an access to a debug register gives #DB", debug.count, 1);
    same("as a fault", debug.eip, at);
    same("DR6 tells why", debug.dr6 & DR6_BD, DR6_BD);
    same("and GD is clear for the handler", dr7() & DR7_GD, 0);
}

static void aligned_breakpoints(void) {
    arm((u32)&watched[1] + 3, WRITES, QUAD);
    watched[1] = 0;
    same("a data breakpoint of four bytes is aligned to four", debug.count, 1);
    watched[2] = 0;
    same("and reaches no further", debug.count, 1);
    disarm();
}

int main(void) {
    title("unlike QEMU");
    ATTEMPT("rdmsr", : : "c"(NO_SUCH_MSR) : "eax", "edx");
    trapped("#GP: RDMSR of an MSR that does not exist", GP, 0, 0);
    ATTEMPT("wrmsr", : : "c"(NO_SUCH_MSR), "a"(0), "d"(0));
    trapped("#GP: WRMSR of one", GP, 0, 0);

    outb(TIMER_CONTROL, 0xB6);
    outb(COUNTER_2, 0x34);
    outb(COUNTER_2, 0x12);
    outb(TIMER_CONTROL, 0xB0);
    same("8254: a control word for mode 0 makes the output low", status_of_counter_2() & STATUS_OUT, 0);
    same("and leaves the counter without a count", status_of_counter_2() & STATUS_NULL, STATUS_NULL);

    count_debug_exceptions();
    several_breakpoints();
    breakpoint_of_a_stack_switch();
    single_step_over_a_breakpoint();
    protected_debug_registers();
    aligned_breakpoints();
    return 0;
}
