/* When exactly an interrupt is let in: the shadows of STI and MOV SS, POPF, IRET, HLT.

   An interrupt is made to wait, the window is opened, and the pushed EIP tells where it came in. */
#include "pic.h"
#include "trap.h"

static volatile u32 interrupts, came_in_at;
static void on_tick(struct trap *trap) {
    interrupts++;
    came_in_at = trap->eip;
    end_of_interrupt(IRQ_TIMER);
}

static void request(void) {
    interrupts = came_in_at = 0;
    timer_once(20);
    wait_for_timer_request();
}

static volatile u32 expected;
#define WINDOW(code) asm volatile(code "mov dword ptr expected, offset 1b" : : : "memory", "cc", "eax", "ecx", "edx")

static volatile u32 in_shadow;
extern const u8 shadow_end[];
static void watch_shadow(struct trap *trap) {
    interrupts++;
    in_shadow += trap->eip == (u32)shadow_end;
    end_of_interrupt(IRQ_TIMER);
}

int main(void) {
    title("interrupt windows");
    set_up_pics();
    mask_irqs_except(1 << IRQ_TIMER);
    on_trap(IRQ_VECTOR + IRQ_TIMER, on_tick);

    request();
    WINDOW("sti; nop; 1: nop; nop; cli\n");
    same("after STI one more instruction runs", came_in_at, expected);
    same("one interrupt", interrupts, 1);

    request();
    WINDOW("sti; cli; nop; 1: nop\n");
    same("STI, CLI opens no window", interrupts, 0);
    WINDOW("sti; nop; 1: cli\n");
    same("it waited for the next one", came_in_at, expected);

    request();
    WINDOW("pushfd; or dword ptr [esp], 0x200; popfd; 1: nop; nop; cli\n");
    same("POPF has no shadow", came_in_at, expected);

    request();
    WINDOW("pushfd; or dword ptr [esp], 0x200; push cs; push offset 1f; iretd; nop; 1: nop; nop; cli\n");
    same("nor has IRET", came_in_at, expected);

    request();
    WINDOW("sti; hlt; 1: nop; cli\n");
    same("STI, HLT: woken at once, EIP behind the HLT", came_in_at, expected);

    request();
    WINDOW("sti; sti; 1: nop; nop; cli\n");
    same("a second STI does not prolong the first one's shadow", came_in_at, expected);

    request();
    WINDOW("mov eax, esp; push ss; sti; pop ss; 1: nop; nop; cli\n");
    check("STI, POP SS: in at most one instruction later", came_in_at == expected || came_in_at == expected + 1);

    request();
    WINDOW("sti; jmp 1f; nop; 1: nop; nop; cli\n");
    same("the instruction in the shadow may be a jump", came_in_at, expected);

    u32 eflags;
    asm volatile("sti; pushfd; cli; pop %0" : "=r"(eflags));
    same("STI sets IF", eflags & FLAG_IF, FLAG_IF);
    asm volatile("cli; pushfd; pop %0" : "=r"(eflags));
    same("CLI clears it", eflags & FLAG_IF, 0);

    /* No interrupt may come between MOV SS and the instruction behind it, however many try. */
    on_trap(IRQ_VECTOR + IRQ_TIMER, watch_shadow);
    interrupts = 0;
    timer_every(300);
    sti();
    while (interrupts < 200)
        asm volatile("mov eax, ss; mov ss, eax\n"
                     ".globl shadow_end\n"
                     "shadow_end: nop; nop" : : : "eax", "memory");
    cli();
    same("200 interrupts, none right behind MOV SS", in_shadow, 0);
    return 0;
}
