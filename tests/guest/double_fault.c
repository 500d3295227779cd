/* #DF through a task gate: the way out when the stack itself is gone.

   Source: Intel SDM Vol. 3A, "Interrupt 8 - Double Fault Exception", "Task Switching". */
#include "paging.h"
#include "trap.h"

enum { DF_TSS = SLOT_FREE, NO_STACK = 0x50000000 };

static struct tss rescue_task;
static u8 rescue_stack[4096] __attribute__((aligned(16)));
static volatile u32 rescues, error_code, back_link, eflags_in_task, task_register, ts_in_task, old_task_access;
static volatile u32 recover_eip, recover_esp;

/* The task's body: each #DF goes on behind its IRET, in the loop. */
__attribute__((noreturn, used)) static void rescue(void) {
    for (;;) {
        u32 error, selector;
        asm volatile("pop %0" : "=r"(error) : : "memory");
        asm volatile("str %0" : "=r"(selector));
        rescues++;
        error_code = error;
        back_link = rescue_task.link;
        eflags_in_task = flags();
        task_register = selector;
        ts_in_task = cr0() & CR0_TS;
        old_task_access = access_of(MAIN_TSS);
        /* What #DF saved as EIP is undefined: name the place to go on. */
        main_task.tss.eip = recover_eip;
        main_task.tss.esp = recover_esp;
        asm volatile("iretd" : : : "memory");
    }
}

static void set_up_rescue(void) {
    rescue_task = (struct tss){
        .eip = (u32)rescue, .eflags = 2, .esp = (u32)rescue_stack + sizeof rescue_stack, .cr3 = (u32)directory,
        .es = KERNEL_DATA, .cs = KERNEL_CODE, .ss = KERNEL_DATA, .ds = KERNEL_DATA, .fs = KERNEL_DATA,
        .gs = KERNEL_DATA, .io_map = sizeof(struct tss),
    };
    set_gdt(DF_TSS, segment((u32)&rescue_task, TSS_LIMIT, PRESENT | SYSTEM_TSS));
    set_idt(DF, gate(DF_TSS, 0, PRESENT | TASK_GATE, 0));
    main_task.tss.cr3 = (u32)directory;
}

#define DIE(code)                                                                                                   \
    asm volatile("pushad\n"                                                                                         \
                 "mov %0, offset 1f\n"                                                                              \
                 "mov %1, esp\n" code "\n"                                                                          \
                 "1: popad\n" : "=m"(recover_eip), "=m"(recover_esp) : : "memory", "cc")

int main(void) {
    title("double fault");
    start_paging();
    set_up_rescue();

    u64 page_fault_gate = idt[PF];
    set_idt(PF, 0);
    DIE("mov eax, [0x60000000]");
    same("#GP while #PF is delivered: #DF, through its task gate", rescues, 1);
    same("error code 0", error_code, 0);
    same("the back link names the task that died", back_link, MAIN_TSS);
    same("the new task is marked nested", eflags_in_task & FLAG_NT, FLAG_NT);
    same("TR names the new task", task_register, DF_TSS);
    same("CR0.TS was set", ts_in_task, CR0_TS);
    same("the dead task stays busy while nested", old_task_access & TSS_BUSY, TSS_BUSY);
    same("after IRET the rescue task is free again", access_of(DF_TSS) & TSS_BUSY, 0);
    u32 selector;
    asm volatile("str %0" : "=r"(selector));
    same("after IRET, TR names the old task", selector, MAIN_TSS);
    set_idt(PF, page_fault_gate);

    DIE("mov esp, 0x50000000; push eax");
    same("a stack without pages: #PF cannot be pushed, #DF", rescues, 2);
    same("CR2 is the address that the delivery could not push to, or the PUSH", cr2() >> 12, (NO_STACK - 4) >> 12);

    u64 division_gate = idt[DE];
    set_idt(DE, 0);
    DIE("xor ecx, ecx; div ecx");
    same("#GP while #DE is delivered: contributory twice, #DF", rescues, 3);
    set_idt(DE, division_gate);

    u64 invalid_opcode_gate = idt[UD];
    set_idt(UD, 0);
    ATTEMPT("ud2");
    trapped("#GP while #UD is delivered: #UD is benign, so it is just #GP", GP, UD * 8 + 2, 0);
    same("and no double fault", rescues, 3);
    set_idt(UD, invalid_opcode_gate);
    return 0;
}
