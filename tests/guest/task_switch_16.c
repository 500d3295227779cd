/* Hardware tasks as the manuals describe them and QEMU does not switch them: 16-bit TSSs, faults of the new task, the
   T bit, local breakpoints.

   Source: Intel SDM Vol. 3A, "Task Switching", "16-Bit Task-State Segment (TSS)", "Exception Conditions Checked During
   a Task Switch"; Vol. 3B, "Task-Switch Exception Condition".  The manual leaves open that the upper halves of the
   registers are ones; test386.asm knows it of processors. */
#include "debug.h"

struct tss_16 {
    u16 link, sp0, ss0, sp1, ss1, sp2, ss2, ip, flags, ax, cx, dx, bx, sp, bp, si, di, es, cs, ss, ds, ldt;
    u16 behind[4];
};

enum {
    TSS_16 = SLOT_FREE, CODE_16 = SLOT_FREE + 8, STACK_16 = SLOT_FREE + 16, OTHER = SLOT_FREE + 24,
    RESCUE = SLOT_FREE + 32, RESCUE_GATE = SLOT_FREE + 40, ABSENT = SLOT_FREE + 48, READ_ONLY = SLOT_FREE + 56,
};
enum { TSS_16_LIMIT = 43, GUARD = 0x5AA5, DR6_BT = 1 << 15, CARRY = 1, ZERO = 0x40 };

static struct tss_16 small;
static struct tss other, rescue;
static u8 small_stack[1024] __attribute__((aligned(16)));
static u8 other_stack[4096] __attribute__((aligned(16)));
static u8 rescue_stack[4096] __attribute__((aligned(16)));
__attribute__((used)) static volatile u32 seen[8], seen_eflags, seen_fs, seen_gs, seen_ldt, other_runs;
__attribute__((used)) static volatile u32 error, rescues;

/* Its code segment begins here, so that 16 bits of EIP are enough. */
extern u8 small_body[];
asm(".pushsection .text\n"
    "small_body:\n"
    "    mov seen, eax; mov seen + 4, ecx; mov seen + 8, edx; mov seen + 12, ebx\n"
    "    mov seen + 16, esp; mov seen + 20, ebp; mov seen + 24, esi; mov seen + 28, edi\n"
    "    pushfd; pop dword ptr seen_eflags\n"
    "    mov eax, fs; mov seen_fs, eax; mov eax, gs; mov seen_gs, eax\n"
    "    sldt eax; mov seen_ldt, eax\n"
    "    mov eax, 0x11112222; mov ecx, 0x33334444; stc\n"
    "    iretd\n"
    "small_again:\n"
    "    mov eax, 0x5555\n"
    "    ljmp 0x28:0\n"
    "    jmp small_again\n"
    ".popsection");
extern u8 small_again[];

static void set_up_small(void) {
    small = (struct tss_16){
        .flags = 2, .ax = 0x1234, .cx = 0x5678, .dx = 0x9ABC, .bx = 0xDEF0, .sp = sizeof small_stack, .bp = 0x3344,
        .si = 0x5566, .di = 0x7788, .es = KERNEL_DATA, .cs = CODE_16, .ss = STACK_16, .ds = KERNEL_DATA,
        .behind = {GUARD, GUARD, GUARD, GUARD},
    };
    set_gdt(TSS_16, segment((u32)&small, TSS_16_LIMIT, PRESENT | SYSTEM_TSS_16));
    set_gdt(CODE_16, segment((u32)small_body, 0xFFFF, PRESENT | CODE));
    u64 sixteen_bit = 1ull << 54;
    set_gdt(STACK_16, segment((u32)small_stack, 0xFFFF, PRESENT | DATA_WRITABLE) & ~sixteen_bit);
}

/* The other task may change all registers. */
#define SWITCH(how)                                                                                                 \
    asm volatile("pushad; push fs; push gs; " how "; pop gs; pop fs; popad" : : : "memory", "cc")

static void sixteen_bits(void) {
    set_up_small();
    SWITCH("stc; cmp eax, eax; lcall 0x30:0");
    same("a 16-bit task begins with its AX, and ones above", seen[0], 0xFFFF1234);
    same("CX", seen[1], 0xFFFF5678);
    same("DX", seen[2], 0xFFFF9ABC);
    same("BX", seen[3], 0xFFFFDEF0);
    same("SP", seen[4], 0xFFFF0000 | sizeof small_stack);
    same("BP", seen[5], 0xFFFF3344);
    same("SI", seen[6], 0xFFFF5566);
    same("DI", seen[7], 0xFFFF7788);
    same("FLAGS, nested", seen_eflags, FLAG_NT | 2);
    same("without FS", seen_fs & 0xFFFF, 0);
    same("and GS", seen_gs & 0xFFFF, 0);
    same("and LDT", seen_ldt & 0xFFFF, 0);
    same("its link is the 32-bit task", small.link, MAIN_TSS);
    same("which was saved with its flags", main_task.tss.eflags & (CARRY | ZERO), ZERO);
    same("and its segments at 32 bits", main_task.tss.ss, KERNEL_DATA);
    same("the 16-bit task was saved: IP", small.ip, small_again - small_body);
    same("FLAGS, no longer nested", small.flags, CARRY | 2);
    same("AX", small.ax, 0x2222);
    same("CX", small.cx, 0x4444);
    same("SP", small.sp, sizeof small_stack);
    same("DI", small.di, 0x7788);
    same("ES", small.es, KERNEL_DATA);
    same("CS", small.cs, CODE_16);
    same("SS", small.ss, STACK_16);
    same("DS", small.ds, KERNEL_DATA);
    same("not its LDT, which is static", small.ldt, 0);
    same("and nothing behind that", (u32)small.behind[0] << 16 | small.behind[1], GUARD << 16 | GUARD);
    same("a code segment that a task begins in is marked as accessed", access_of(CODE_16) & ACCESSED, ACCESSED);

    SWITCH("ljmp 0x30:0");
    same("JMP between them and back", small.ax, 0x5555);
    same("frees the 16-bit task", access_of(TSS_16) & TSS_BUSY, 0);
    same("and takes this one", access_of(MAIN_TSS) & TSS_BUSY, TSS_BUSY);

    set_gdt(TSS_16, segment((u32)&small, TSS_16_LIMIT - 1, PRESENT | SYSTEM_TSS_16));
    ATTEMPT("ljmp 0x30:0");
    trapped("#TS: a 16-bit TSS of 43 bytes", TS, TSS_16, 0);
    set_up_small();
}

__attribute__((noreturn, used)) static void other_body(void) {
    for (;;) {
        other_runs++;
        asm volatile("ljmp 0x28:0" : : : "memory");
    }
}

static void set_up_other(void) {
    other = (struct tss){
        .eip = (u32)other_body, .eflags = 2, .esp = (u32)other_stack + sizeof other_stack, .es = KERNEL_DATA,
        .cs = KERNEL_CODE, .ss = KERNEL_DATA, .ds = KERNEL_DATA, .fs = KERNEL_DATA, .gs = KERNEL_DATA,
        .io_map = sizeof(struct tss),
    };
    set_gdt(OTHER, segment((u32)&other, TSS_LIMIT, PRESENT | SYSTEM_TSS));
}

static void trap_bit(void) {
    set_up_other();
    other.trap = 1;
    debug.count = 0;
    other_runs = 0;
    SWITCH("ljmp 0x48:0");
    same("the T bit gives #DB", debug.count, 1);
    same("in the new task, before its first instruction", debug.eip, (u32)other_body);
    same("DR6 tells why", debug.dr6 & (DR6_BT | BS | 0xF), DR6_BT);
    same("and the task goes on", other_runs, 1);
}

static void local_breakpoints(void) {
    static volatile u32 watched;
    set_up_other();
    SET_DR(0, &watched);
    SET_DR(1, &watched);
    SET_DR(7, 1 << 0 | 1 << 3 | 1 << 8 | WRITES << 16 | QUAD << 18 | WRITES << 20 | QUAD << 22);
    SWITCH("ljmp 0x48:0");
    same("a switch disables the local breakpoints, not the global ones", dr7() & 0x1FF, 1 << 3);
    disarm();
}

/* Comes by a task gate, notes the error code, and gives up the task that failed. */
extern u8 rescue_body[];
asm(".pushsection .text\n"
    "rescue_body:\n"
    "    pop dword ptr error; inc dword ptr rescues\n"
    "    ljmp 0x28:0\n"
    "    jmp rescue_body\n"
    ".popsection");

static void fault_of_new_task(const char *name, u8 vector, u32 *field, u16 selector) {
    u64 before = idt[vector];
    u32 kept = *field;
    set_idt(vector, gate(RESCUE, 0, PRESENT | TASK_GATE, 0));
    *field = selector;
    set_gdt(OTHER, segment((u32)&other, TSS_LIMIT, PRESENT | SYSTEM_TSS));
    error = rescues = 0;
    SWITCH("ljmp 0x48:0");
    set_idt(vector, before);
    same(name, rescues, 1);
    same("with the selector", error, selector & ~3u);
    same("in the new task", rescue.link, OTHER);
    same("at its first instruction", other.eip, (u32)other_body);
    *field = kept;
}

static void faults_of_new_tasks(void) {
    set_up_other();
    rescue = (struct tss){
        .eip = (u32)rescue_body, .eflags = 2, .esp = (u32)rescue_stack + sizeof rescue_stack, .es = KERNEL_DATA,
        .cs = KERNEL_CODE, .ss = KERNEL_DATA, .ds = KERNEL_DATA, .fs = KERNEL_DATA, .gs = KERNEL_DATA,
        .io_map = sizeof(struct tss),
    };
    set_gdt(RESCUE, segment((u32)&rescue, TSS_LIMIT, PRESENT | SYSTEM_TSS));
    set_gdt(ABSENT, segment(0, ~0u, DATA_WRITABLE));
    set_gdt(READ_ONLY, segment(0, ~0u, PRESENT | DATA_READ_ONLY));
    fault_of_new_task("#TS: a stack that is read-only", TS, &other.ss, READ_ONLY);
    fault_of_new_task("#SS: a stack that is not present", SS, &other.ss, ABSENT);
    fault_of_new_task("#TS: code that is data", TS, &other.cs, KERNEL_DATA);
    fault_of_new_task("#TS: a null stack", TS, &other.ss, 0);
    fault_of_new_task("#NP: data that is not present", NP, &other.ds, ABSENT);
    fault_of_new_task("#TS: an LDT that is none", TS, &other.ldt, KERNEL_DATA);
}

int main(void) {
    title("16-bit tasks");
    count_debug_exceptions();
    sixteen_bits();
    trap_bit();
    local_breakpoints();
    faults_of_new_tasks();
    return 0;
}
