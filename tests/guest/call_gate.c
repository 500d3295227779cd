/* Call gates: inward calls with parameters, and the return. */
#include "pic.h"
#include "trap.h"
#include "user.h"

enum { GATE = SLOT_FREE, KERNEL_GATE = SLOT_FREE + 8, ABSENT_GATE = SLOT_FREE + 16, SAME_RING_GATE = SLOT_FREE + 24 };

static volatile u32 inner_cs, inner_ss, inner_eflags, pushed_cs, pushed_ss, pushed_esp, got[2];

void gate_entry(void);
asm(".globl gate_entry\n"
    "gate_entry:\n"                      /* return EIP, CS, two parameters, ESP, SS */
    "push ebp\n"
    "mov ebp, esp\n"
    "push ds; mov eax, ss; mov ds, eax\n"
    "mov inner_cs, cs; mov inner_ss, ss\n"
    "pushfd; pop dword ptr inner_eflags\n"
    "mov eax, [ebp + 8];  mov pushed_cs, eax\n"
    "mov eax, [ebp + 12]; mov got, eax\n"
    "mov eax, [ebp + 16]; mov got + 4, eax\n"
    "mov eax, [ebp + 20]; mov pushed_esp, eax\n"
    "mov eax, [ebp + 24]; mov pushed_ss, eax\n"
    "mov eax, 0xCA11\n"
    "pop ds\n"
    "pop ebp\n"
    "retf 8\n");

void near_entry(void);
asm(".globl near_entry\n"
    "near_entry:\n"
    "mov eax, [esp + 4]\n"
    "retf\n");

static u32 stack_before, stack_after;
static u32 call_inward(void) {
    u32 result;
    asm volatile("mov %1, esp\n"
                 "push 0x2222; push 0x1111\n"
                 "lcall 0x33:0\n"
                 "mov %2, esp" : "=&a"(result), "=m"(stack_before), "=m"(stack_after) : : "memory", "ecx", "edx");
    return result;
}

static u32 refused(void) {
    ATTEMPT("lcall 0x3B:0");
    trapped("#GP: a gate of DPL 0", GP, KERNEL_GATE, 0);
    ATTEMPT("lcall 0x43:0");
    trapped("#NP: a gate that is not present", NP, ABSENT_GATE, 0);
    ATTEMPT("ljmp 0x33:0");
    trapped("#GP: a jump cannot go inward", GP, KERNEL_CODE, 0);
    return 0;
}

int main(void) {
    title("call gates");
    set_up_pics(); /* the timer ticks while interrupts are enabled: nobody wants that here */
    set_gdt(GATE, gate(KERNEL_CODE, (u32)gate_entry, PRESENT | DPL_3 | CALL_GATE, 2));
    set_gdt(KERNEL_GATE, gate(KERNEL_CODE, (u32)gate_entry, PRESENT | CALL_GATE, 2));
    set_gdt(ABSENT_GATE, gate(KERNEL_CODE, (u32)gate_entry, DPL_3 | CALL_GATE, 2));
    set_gdt(SAME_RING_GATE, gate(KERNEL_CODE, (u32)near_entry, PRESENT | CALL_GATE, 0));

    same("a far call from ring 3 came back with a value", run_user(call_inward, FLAG_IF), 0xCA11);
    same("the gate's code ran in ring 0", inner_cs & 0xFFFF, KERNEL_CODE);
    same("on the TSS's stack segment", inner_ss & 0xFFFF, KERNEL_DATA);
    same("interrupts stayed on", inner_eflags & FLAG_IF, FLAG_IF);
    same("the caller's CS was pushed", pushed_cs & 0xFFFF, USER_CODE);
    same("the caller's SS was pushed", pushed_ss & 0xFFFF, USER_DATA);
    same("the caller's ESP was pushed, at its parameters", pushed_esp, stack_before - 8);
    same("the first parameter was copied", got[0], 0x1111);
    same("the second parameter was copied", got[1], 0x2222);
    same("RETF 8 released them on the caller's stack", stack_after, stack_before);
    run_user(refused, FLAG_IF);

    u32 cs;
    asm volatile("lcall 0x48:0" : "=a"(cs) : : "memory");
    same("in the same ring nothing but CS:EIP is pushed", cs & 0xFFFF, KERNEL_CODE);
    return 0;
}
