#include "user.h"

#include "trap.h"

u8 user_stack[4096] __attribute__((aligned(4096)));

/* enter.S: save the registers, let `kernel_esp` and the TSS point here, pop a trap frame.  Returns by leave_user. */
u32 enter_outer(const struct trap *frame, u32 *esp0);

static void serve_system_call(struct trap *trap) {
    switch (trap->eax) {
    case SYSTEM_PUT: print("%c", (int)trap->ebx); break;
    case SYSTEM_LEAVE: leave_user(trap->ebx); break;
    case SYSTEM_EXIT: outl(0xF4, trap->ebx); break;
    default: print("unknown system call %u\n", trap->eax); give_up();
    }
}

void set_up_user(void) {
    set_idt(SYSTEM_VECTOR, gate(KERNEL_CODE, trap_stubs[SYSTEM_VECTOR], PRESENT | DPL_3 | INTERRUPT_GATE, 0));
    on_trap(SYSTEM_VECTOR, serve_system_call);
}

static void user_return(void) {
    /* `entry` returned here, with its value in EAX. */
    asm volatile("mov ebx, eax; mov eax, %0; int 0x80" : : "i"(SYSTEM_LEAVE));
    __builtin_unreachable();
}

u32 run_user(u32 (*entry)(void), u32 eflags) {
    u32 *stack = (u32 *)(user_stack + sizeof user_stack);
    *--stack = (u32)user_return;
    struct trap frame = {
        .gs = USER_DATA, .fs = USER_DATA, .es = USER_DATA, .ds = USER_DATA,
        .eip = (u32)entry, .cs = USER_CODE, .eflags = eflags | 2, .esp = (u32)stack, .ss = USER_DATA,
    };
    return enter_outer(&frame, &main_task.tss.esp0);
}

u32 run_vm86(u16 code, u16 offset, u16 stack, u16 stack_offset, u16 data, u32 eflags) {
    struct trap frame = {
        .gs = KERNEL_DATA, .fs = KERNEL_DATA, .es = KERNEL_DATA, .ds = KERNEL_DATA,
        .eip = offset, .cs = code, .eflags = eflags | FLAG_VM | 2, .esp = stack_offset, .ss = stack,
        .vm_es = data, .vm_ds = data, .vm_fs = data, .vm_gs = data,
    };
    return enter_outer(&frame, &main_task.tss.esp0);
}
