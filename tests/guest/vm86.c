/* Virtual-8086 mode: real-mode code as a task, and the instructions that the monitor gets to see.

   Source: Intel SDM Vol. 3B, "8086 Emulation". */
#include "pic.h"
#include "trap.h"
#include "user.h"

/* 16-bit code, copied to segment 0x0700.  INT 0xFF, with IOPL 0, is how it leaves. */
enum { CODE_SEGMENT = 0x700, STACK_SEGMENT = 0x800, DATA_SEGMENT = 0x900, STACK_TOP = 0x1000 };
extern const u8 real_code[], real_code_end[], real_sum[], real_trapping[], real_allowed[];

asm(".section .rodata\n"
    ".code16\n"
    "real_code:\n"
    "real_sum:\n"                         /* sum of four words at DS:0, and SS, CS */
    "    xor ax, ax; xor si, si; mov cx, 4\n"
    "1:  add ax, [si]; add si, 2; loop 1b\n"
    "    mov [8], ax; mov [10], cs; mov [12], ss; mov [14], sp\n"
    "    push 0x1234; pop dx; mov es:[16], dx\n"
    "    int 0xFF\n"
    "real_trapping:\n"
    "    cli; sti; hlt; pushf; popf; iret; int 0x21; in al, 0x60; out 0x80, al\n"
    "    lock; add [0], ax\n"             /* allowed: LOCK needs no IOPL */
    "    lldt ax\n"                       /* #UD: not a real-mode instruction */
    "    int 0xFF\n"
    "real_allowed:\n"
    "    mov bx, 0x77\n"
    "    cli; pushf; pop ax; mov [0], ax\n"
    "    sti; pushf; pop ax; mov [2], ax; push ax; popf\n"
    "    int3\n"
    "    int 0x90\n"
    "    mov [4], bx\n"
    "    push cs; push offset 1f - real_code; pushf; pop ax; pop bx; pop cx; push ax; push cx; push bx; iret\n"
    "    hlt\n"
    "1:  in al, 0x61\n"                  /* the bitmap, not IOPL, decides here */
    "    hlt\n"                          /* ring 0 only, whatever IOPL */
    "    int 0x91\n"                     /* its gate has DPL 0 */
    "real_code_end:\n"
    ".code32\n"
    ".text\n");

static u16 *const data = (u16 *)(DATA_SEGMENT << 4);
static u8 opcodes[16], vectors[16];
static u32 count, left_by_error;
static struct trap first;

/* The monitor: note the opcode, step over the instruction. */
static void monitor(struct trap *trap) {
    static const struct { u8 opcode, length; } sizes[] = {
        {0xFA, 1}, {0xFB, 1}, {0xF4, 1}, {0x9C, 1}, {0x9D, 1}, {0xCF, 1}, {0xCD, 2}, {0xE4, 2}, {0xE6, 2}, {0xCC, 1},
        {0x0F, 3},
    };
    const u8 *at = (const u8 *)((trap->cs << 4) + trap->eip);
    if (!(trap->eflags & FLAG_VM)) {
        print("a trap from outside the task: %u at %x\n", trap->vector, trap->eip);
        give_up();
    }
    if (!count) first = *trap;
    left_by_error = trap->error;
    if (at[0] == 0xCD && (at[1] == 0xFF || at[1] == 0x91)) leave_user(count);
    if (count == array_size(opcodes)) leave_user(99);
    opcodes[count] = at[0];
    vectors[count] = trap->vector;
    count++;
    for (size_t i = 0; i < array_size(sizes); i++)
        if (sizes[i].opcode == at[0]) trap->eip += sizes[i].length;
}

static u32 run(const u8 *code, u32 eflags) {
    memset(opcodes, 0, sizeof opcodes);
    count = 0;
    return run_vm86(CODE_SEGMENT, code - real_code, STACK_SEGMENT, STACK_TOP, DATA_SEGMENT, eflags);
}

static struct trap through_gate;
static u32 gate_selectors, gate_flags, breakpoints;
static void serve_gate(struct trap *trap) {
    through_gate = *trap;
    u32 fs, gs;
    asm volatile("mov %0, fs; mov %1, gs" : "=r"(fs), "=r"(gs));
    gate_selectors = fs | gs;
    gate_flags = flags();
    trap->ebx = 0x99;
}

static void serve_breakpoint(struct trap *trap) { breakpoints += trap->cs == CODE_SEGMENT; }

static bool saw(u32 at, u8 opcode, u8 vector) { return opcodes[at] == opcode && vectors[at] == vector; }

int main(void) {
    title("virtual-8086 mode");
    set_up_pics(); /* the timer ticks while interrupts are enabled: nobody wants that here */
    memcpy((void *)(CODE_SEGMENT << 4), real_code, real_code_end - real_code);
    on_trap(GP, monitor);
    on_trap(UD, monitor);

    for (u16 i = 0; i < 4; i++) data[i] = 0x100 + i;
    same("real-mode code ran and left by INT", run(real_sum, FLAG_IF), 0);
    same("it summed four words through DS", data[4], 0x406);
    same("its CS was a paragraph number", data[5], CODE_SEGMENT);
    same("and its SS", data[6], STACK_SEGMENT);
    same("its SP was what IRET had popped", data[7], STACK_TOP);
    same("a store through ES", data[8], 0x1234);
    same("#GP pushed its CS", first.cs, CODE_SEGMENT);
    same("and SS", first.ss, STACK_SEGMENT);
    check("and ES, DS, FS, GS", first.vm_es == DATA_SEGMENT && first.vm_ds == DATA_SEGMENT &&
          first.vm_fs == DATA_SEGMENT && first.vm_gs == DATA_SEGMENT);
    same("and EFLAGS with VM", first.eflags & FLAG_VM, FLAG_VM);
    same("the handler's own DS was null until it loaded one", first.ds | first.es | first.fs | first.gs, 0);

    same("IOPL 0: these trap, and nothing else", run(real_trapping, FLAG_IF), 10);
    check("#GP: CLI", saw(0, 0xFA, GP));
    check("#GP: STI", saw(1, 0xFB, GP));
    check("#GP: HLT", saw(2, 0xF4, GP));
    check("#GP: PUSHF", saw(3, 0x9C, GP));
    check("#GP: POPF", saw(4, 0x9D, GP));
    check("#GP: IRET", saw(5, 0xCF, GP));
    check("#GP: INT", saw(6, 0xCD, GP));
    check("#GP: IN, by the bitmap", saw(7, 0xE4, GP));
    check("#GP: OUT, by the bitmap", saw(8, 0xE6, GP));
    check("#UD: LLDT", vectors[count - 1] == UD && opcodes[count - 1] == 0x0F);

    enum { CALLS = 0x90, KERNEL_ONLY = 0x91 };
    set_idt(CALLS, gate(KERNEL_CODE, trap_stubs[CALLS], PRESENT | DPL_3 | INTERRUPT_GATE, 0));
    on_trap(CALLS, serve_gate);
    on_trap(BP, serve_breakpoint);
    same("IOPL 3: two trap still", run(real_allowed, FLAG_IF | FLAG_IOPL_3), 2);
    check("#GP: IN, by the bitmap", saw(0, 0xE4, GP));
    check("#GP: HLT", saw(1, 0xF4, GP));
    same("CLI clears IF itself", data[0] & FLAG_IF, 0);
    same("STI sets it", data[1] & FLAG_IF, FLAG_IF);
    same("PUSHF shows IOPL 3", data[1] & FLAG_IOPL_3, FLAG_IOPL_3);
    same("INT3 goes through the IDT", breakpoints, 1);
    same("INT goes through the IDT, and back with a value", data[2], 0x99);
    same("BX and CS on the way in", (through_gate.ebx & 0xFFFF) << 16 | through_gate.cs, 0x77 << 16 | CODE_SEGMENT);
    same("the handler ran outside virtual-8086 mode", gate_flags & FLAG_VM, 0);
    same("with FS and GS null", gate_selectors & 0xFFFF, 0);
    same("and the last was #GP: INT through a gate of DPL 0", left_by_error, KERNEL_ONLY * 8 + 2);
    return 0;
}
