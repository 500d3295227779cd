/* Hardware tasks: JMP, CALL and IRET between them, and what the TSSs say afterwards.

   Source: Intel SDM Vol. 3A, "Task Switching". */
#include "trap.h"

enum { OTHER = SLOT_FREE, TASK_GATE_SLOT = SLOT_FREE + 8, INTERRUPT_TASK = 0x90 };

static struct tss other;
static u8 other_stack[4096] __attribute__((aligned(16)));
static volatile u32 runs, seen_eax, seen_eflags, seen_link, seen_cr0, main_access, other_access, seen_fs;

static void look(void) {
    runs++;
    seen_eflags = flags();
    seen_link = other.link;
    seen_cr0 = cr0();
    main_access = access_of(MAIN_TSS);
    other_access = access_of(OTHER);
}

__attribute__((noreturn, used)) static void other_body(void) {
    u32 eax, fs;
    asm volatile("mov %1, fs" : "=a"(eax), "=r"(fs));
    seen_eax = eax;
    seen_fs = fs;
    look();
    asm volatile("ljmp 0x28:0" : : : "memory");
    for (;;) { /* entered by CALL or INT from here on */
        look();
        asm volatile("iretd" : : : "memory");
    }
}

/* EIP and all registers come from the TSS, so everything but ESP may be another's. */
#define SWITCH(how)                                                                                                 \
    asm volatile("pushad; " how "; popad" : : : "memory", "cc")

int main(void) {
    title("task switch");
    other = (struct tss){
        .eip = (u32)other_body, .eflags = 2, .esp = (u32)other_stack + sizeof other_stack, .eax = 0x0EA0EA,
        .es = KERNEL_DATA, .cs = KERNEL_CODE, .ss = KERNEL_DATA, .ds = KERNEL_DATA, .fs = USER_DATA & ~3,
        .gs = KERNEL_DATA, .io_map = sizeof(struct tss),
    };
    set_gdt(OTHER, segment((u32)&other, TSS_LIMIT, PRESENT | SYSTEM_TSS));
    set_gdt(TASK_GATE_SLOT, gate(OTHER, 0, PRESENT | TASK_GATE, 0));
    set_idt(INTERRUPT_TASK, gate(OTHER, 0, PRESENT | TASK_GATE, 0));
    same("LTR marked this task busy", access_of(MAIN_TSS) & TSS_BUSY, TSS_BUSY);

    SWITCH("ljmp 0x30:0");
    same("JMP ran the other task once, and it jumped back", runs, 1);
    same("it started with its own EAX", seen_eax, 0x0EA0EA);
    same("and its own FS", seen_fs & 0xFFFF, USER_DATA & ~3);
    same("JMP does not nest: NT is clear", seen_eflags & FLAG_NT, 0);
    same("JMP freed the task it left", main_access & TSS_BUSY, 0);
    same("and took the other", other_access & TSS_BUSY, TSS_BUSY);
    same("a switch sets CR0.TS", seen_cr0 & CR0_TS, CR0_TS);
    same("the way back freed the other", access_of(OTHER) & TSS_BUSY, 0);
    same("and took this one", access_of(MAIN_TSS) & TSS_BUSY, TSS_BUSY);
    asm volatile("clts");

    SWITCH("lcall 0x30:0");
    same("CALL goes on where the other had left", runs, 2);
    same("CALL nests: NT is set", seen_eflags & FLAG_NT, FLAG_NT);
    same("and the back link is this task", seen_link, MAIN_TSS);
    same("both are busy", main_access & other_access & TSS_BUSY, TSS_BUSY);
    same("IRET freed the other", access_of(OTHER) & TSS_BUSY, 0);
    same("NT is clear again here", flags() & FLAG_NT, 0);

    SWITCH("lcall 0x38:0");
    same("CALL through a task gate", runs, 3);
    SWITCH("int 0x90");
    same("INT through a task gate", runs, 4);
    same("nests too", seen_eflags & FLAG_NT, FLAG_NT);
    same("back from it, CR0.TS is set", cr0() & CR0_TS, CR0_TS);
    asm volatile("clts");

    ATTEMPT("ljmp 0x28:0");
    trapped("#GP: a jump to the busy task", GP, MAIN_TSS, 0);
    set_gdt(OTHER, segment((u32)&other, TSS_LIMIT, SYSTEM_TSS));
    ATTEMPT("ljmp 0x30:0");
    trapped("#NP: a task that is not present", NP, OTHER, 0);
    ATTEMPT("ltr %w0", : : "r"(MAIN_TSS));
    trapped("#GP: LTR of a busy TSS", GP, MAIN_TSS, 0);
    ATTEMPT("ltr %w0", : : "r"(KERNEL_DATA));
    trapped("#GP: LTR of a data segment", GP, KERNEL_DATA, 0);
    return 0;
}
