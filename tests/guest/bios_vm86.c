/* BIOS services in virtual-8086 mode, as memory managers and old kernels use them: the task has I/O privilege, a monitor
   passes its interrupts on to the real-mode vectors, and paging puts the task's buffer somewhere else.

   Source: Intel SDM Vol. 3B, "8086 Emulation", "Interrupt and Exception Handling". */
#include "paging.h"
#include "pic.h"
#include "trap.h"
#include "user.h"

enum { TASK = 0x700, STACK = 0x800, STACK_TOP = 0x4000, BUFFER = 0x40000, BEHIND = 0x50000 };
enum { BIOS_KEYBOARD = 0x09, COMMAND = 0x64, DATA = 0x60, WRITE_OUTPUT = 0xD2 };

extern const u8 task[], task_end[], text[], memory[], keys[], ticks[];

asm(".section .rodata\n"
    ".code16\n"
    "task:\n"
    "text:\n"
    "    mov ax, 0x4000; mov es, ax; xor bp, bp\n"
    "    mov ax, 0x1301; mov bx, 0x001E; mov cx, 5; mov dx, 0x0304; int 0x10\n"
    "    mov ax, 0x0E21; mov bx, 7; int 0x10\n"
    "    mov ah, 3; mov bh, 0; int 0x10; mov ax, dx\n"
    "    int 0xFF\n"
    "memory:\n"
    "    int 0x12; int 0xFF\n"
    "ticks:\n"
    "    mov ah, 1; mov cx, 0x11; mov dx, 0x2233; int 0x1A\n"
    "    mov ah, 0; int 0x1A; mov ax, cx; int 0xFF\n"
    "keys:\n"
    "    cli; stc; mov ah, 0; int 0x16; jc 1f; mov ah, 0xEE\n" /* the caller's flags come back: CF, and IF clear */
    "1:  pushf; pop bx; test bx, 0x200; jz 1f; mov ah, 0xDD\n"
    "1:  int 0xFF\n"
    "task_end:\n"
    ".code32\n"
    ".text\n");

static u32 passed_on;

static void leave(struct trap *trap) { leave_user(trap->eax); }

/* What the processor would have done in real mode. */
static void pass_on(struct trap *trap) {
    if (!(trap->eflags & FLAG_VM)) {
        print("interrupt %x from outside the task\n", trap->vector);
        give_up();
    }
    u32 at = 4 * trap->vector;
    asm("" : "+r"(at));
    const volatile u16 *vector = (const volatile u16 *)at;
    trap->esp = (trap->esp - 6) & 0xFFFF;
    volatile u16 *frame = (volatile u16 *)((trap->ss << 4) + trap->esp);
    frame[0] = trap->eip;
    frame[1] = trap->cs;
    frame[2] = trap->eflags;
    trap->eflags &= ~(FLAG_IF | FLAG_TF);
    trap->eip = vector[0];
    trap->cs = vector[1];
    passed_on++;
}

static u32 run(const u8 *code) {
    return run_vm86(TASK, code - task, STACK, STACK_TOP, 0, FLAG_IOPL_3) & 0xFFFF;
}

int main(void) {
    title("BIOS services in virtual-8086 mode");
    static const u8 vectors[] = {0x10, 0x12, 0x16, 0x1A};
    for (size_t i = 0; i < array_size(vectors); i++) {
        set_idt(vectors[i], gate(KERNEL_CODE, trap_stubs[vectors[i]], PRESENT | DPL_3 | INTERRUPT_GATE, 0));
        on_trap(vectors[i], pass_on);
    }
    set_idt(0x15, gate(KERNEL_CODE, trap_stubs[0x15], PRESENT | DPL_3 | INTERRUPT_GATE, 0));
    on_trap(0x15, pass_on); /* INT 09h asks it about each key */
    set_idt(0xFF, gate(KERNEL_CODE, trap_stubs[0xFF], PRESENT | DPL_3 | INTERRUPT_GATE, 0));
    on_trap(0xFF, leave);
    on_trap(BIOS_KEYBOARD, pass_on); /* the 8259s are still as the BIOS set them up */
    mask_irqs_except(1 << IRQ_KEYBOARD);
    memcpy((void *)(TASK << 4), task, task_end - task);
    memcpy((void *)BUFFER, "WRONG", 5);
    memcpy((void *)BEHIND, "HELLO", 5);

    memset(main_task.io_map, 0, sizeof main_task.io_map - 1);
    start_paging();
    for (u32 at = 0; at < 0x110000; at += PAGE) map(at, at, PTE_PRESENT | PTE_WRITE | PTE_USER);
    for (u32 at = 0; at < 0x10000; at += PAGE) map(BUFFER + at, BEHIND + at, PTE_PRESENT | PTE_WRITE | PTE_USER);

    u16 *screen = (u16 *)0xB8000;
    same("the cursor is behind the text", run(text), 0x030A);
    const char *expected = "HELLO!";
    for (u32 i = 0; i < 6; i++)
        same("a character, from where the page leads", screen[3 * 80 + 4 + i] & 0xFF, expected[i]);
    same("INT 12h", run(memory), 639);
    same("INT 1Ah", run(ticks), 0x11);

    outb(COMMAND, WRITE_OUTPUT);
    outb(DATA, 0x1E);
    passed_on = 0;
    same("a key ends the wait, though the task may not halt", run(keys), 0x1E61);
    check("interrupts were passed on while it waited", passed_on >= 3);
    return 0;
}
