/* Every exception that one instruction can raise: vector, error code, and where the pushed EIP points.

   Not here, because QEMU's TCG does not check them: segment limits, writes through read-only and reads through null
   segments, #AC. */
#include "pic.h"
#include "trap.h"

enum { ABSENT = SLOT_FREE, READ_ONLY = SLOT_FREE + 8, BEYOND_GDT = GDT_SLOTS * 8, UNUSED_VECTOR = 0xF0 };

/* Single step: count the #DBs and gather what they pushed. */
static volatile u32 steps, step_eflags, step_dr6, handler_eflags;
static void on_step(struct trap *trap) {
    steps++;
    step_dr6 |= dr6();
    step_eflags |= trap->eflags;
    handler_eflags |= flags();
}

static void arithmetic(void) {
    ATTEMPT("div ecx", : : "a"(1), "d"(0), "c"(0) : "cc");
    trapped("#DE: DIV by zero", DE, 0, 0);
    ATTEMPT("div ecx", : : "a"(0), "d"(5), "c"(5) : "cc");
    trapped("#DE: a quotient of 33 bits", DE, 0, 0);
    ATTEMPT("idiv ecx", : : "a"(0x80000000), "d"(~0u), "c"(-1) : "cc");
    trapped("#DE: IDIV of the smallest number by -1", DE, 0, 0);
    u32 left = 7;
    ATTEMPT("div dword ptr [%1]", : "+a"(left) : "r"(&(u32){0}), "d"(0) : "cc");
    same("a faulting DIV changes no register", left, 7);
    ATTEMPT("aam 0", : : "a"(5) : "cc");
    trapped("#DE: AAM 0", DE, 0, 0);
    ATTEMPT("add al, 127; into", : : "a"(127) : "cc");
    trapped("#OF: INTO with OF set, EIP behind it", OF, 0, 3);
    ATTEMPT("add al, 1; into", : : "a"(1) : "cc");
    not_trapped("INTO with OF clear does nothing");
    static const struct { int low, high; } bounds = {10, 20};
    ATTEMPT("bound %0, [%1]", : : "r"(21), "r"(&bounds));
    trapped("#BR: above the bound", BR, 0, 0);
    ATTEMPT("bound %0, [%1]", : : "r"(-1), "r"(&bounds));
    trapped("#BR: below the bound, signed", BR, 0, 0);
    ATTEMPT("bound %0, [%1]", : : "r"(20), "r"(&bounds));
    not_trapped("BOUND on the bound does nothing");
}

static void breakpoints(void) {
    ATTEMPT("int3");
    trapped("#BP: INT3, EIP behind it", BP, 0, 1);
    ATTEMPT(".byte 0xCD, 3");
    trapped("#BP: INT 3 in two bytes", BP, 0, 2);

    on_trap(DB, on_step);
    asm volatile("pushfd; or dword ptr [esp], 0x100; popfd\n" /* #DB starts after the instruction behind this one */
                 "nop; nop\n"
                 "pushfd; and dword ptr [esp], ~0x100; popfd" : : : "memory", "cc");
    same("#DB: one after each of NOP, NOP, PUSHFD, AND, POPFD", steps, 5);
    same("the saved EFLAGS have TF", step_eflags & FLAG_TF, FLAG_TF);
    same("DR6 says single step", step_dr6 & 0x4000, 0x4000);
    same("the handler ran without TF", handler_eflags & FLAG_TF, 0);
    on_trap(DB, NULL);
}

static void opcodes(void) {
    ATTEMPT("ud2");
    trapped("#UD: UD2", UD, 0, 0);
    ATTEMPT(".byte 0x0F, 0xFF, 0xC0");
    trapped("#UD: UD0", UD, 0, 0);
    ATTEMPT(".byte 0xF0, 0x90");
    trapped("#UD: LOCK NOP", UD, 0, 0);
    ATTEMPT("lea eax, [eax]; .byte 0xF0, 0x01, 0xC0", : : : "eax", "cc");
    trapped("#UD: LOCK ADD to a register", UD, 0, 2);
    ATTEMPT(".byte 0x8E, 0xC8");
    trapped("#UD: MOV CS, AX", UD, 0, 0);
    ATTEMPT(".byte 0x0F, 0x20, 0xC8");
    trapped("#UD: MOV EAX, CR1", UD, 0, 0);
}

static void protection(void) {
    ATTEMPT("mov fs, %w0", : : "r"(BEYOND_GDT));
    trapped("#GP: a selector beyond the GDT, its number in the error code", GP, BEYOND_GDT, 0);
    ATTEMPT("mov fs, %w0", : : "r"(MAIN_TSS));
    trapped("#GP: a data segment register cannot hold a TSS", GP, MAIN_TSS, 0);
    ATTEMPT("mov ss, %w0", : : "r"(0));
    trapped("#GP: SS cannot be null", GP, 0, 0);
    ATTEMPT("mov ss, %w0", : : "r"(USER_DATA));
    trapped("#GP: SS of another privilege level", GP, USER_DATA & ~3, 0);
    set_gdt(READ_ONLY, segment(0, ~0u, PRESENT | DATA_READ_ONLY));
    ATTEMPT("mov ss, %w0", : : "r"(READ_ONLY));
    trapped("#GP: SS must be writable", GP, READ_ONLY, 0);
    ATTEMPT("mov fs, %w0", : : "r"(READ_ONLY));
    not_trapped("FS may be read-only");
    ATTEMPT("mov fs, %w0", : : "r"(0));
    not_trapped("FS may be null");
    ATTEMPT("ljmp 0x10:0");
    trapped("#GP: a far jump into a data segment", GP, KERNEL_DATA, 0);

    set_gdt(ABSENT, segment(0, ~0u, DATA_WRITABLE));
    ATTEMPT("mov es, %w0", : : "r"(ABSENT));
    trapped("#NP: a segment that is not present", NP, ABSENT, 0);
    ATTEMPT("mov ss, %w0", : : "r"(ABSENT));
    trapped("#SS: a stack segment that is not present", SS, ABSENT, 0);

    set_idt(UNUSED_VECTOR, 0);
    ATTEMPT("int 0xF0");
    trapped("#GP: INT through an empty gate, IDT bit in the error code", GP, UNUSED_VECTOR * 8 + 2, 0);
    set_idt(UNUSED_VECTOR, gate(KERNEL_CODE, trap_stubs[UNUSED_VECTOR], INTERRUPT_GATE, 0));
    ATTEMPT("int 0xF0");
    trapped("#NP: INT through a gate that is not present", NP, UNUSED_VECTOR * 8 + 2, 0);
    set_idt(UNUSED_VECTOR, gate(KERNEL_CODE, trap_stubs[UNUSED_VECTOR], PRESENT | INTERRUPT_GATE, 0));
    ATTEMPT("int 0xF0");
    trapped("INT through a gate that is there, EIP behind it", UNUSED_VECTOR, 0, 2);
    load_idt(idt, 0x80 * 8 - 1);
    ATTEMPT("int 0xF0");
    trapped("#GP: INT beyond the IDT's limit", GP, UNUSED_VECTOR * 8 + 2, 0);
    load_idt(idt, sizeof idt - 1);
}

static void tasks(void) {
    u32 old_link = main_task.tss.link;
    main_task.tss.link = KERNEL_CODE;
    asm volatile("pushfd; or dword ptr [esp], 0x4000; popfd" : : : "memory", "cc");
    ATTEMPT("iretd");
    set_flags(flags() & ~FLAG_NT);
    trapped("#TS: IRET of a nested task whose back link is no TSS", TS, KERNEL_CODE, 0);
    main_task.tss.link = old_link;

    set_gdt(SLOT_FREE + 16, segment((u32)&main_task, 0x66, PRESENT | SYSTEM_TSS));
    ATTEMPT("ljmp %0:0", : : "i"(SLOT_FREE + 16));
    trapped("#TS: a TSS that is too small", TS, SLOT_FREE + 16, 0);
}

static void floating_point(void) {
    set_cr0((cr0() & ~(CR0_EM | CR0_TS)) | CR0_MP | CR0_NE);
    set_cr0(cr0() | CR0_TS);
    ATTEMPT("fld1");
    trapped("#NM: an FPU instruction with CR0.TS", NM, 0, 0);
    ATTEMPT("fwait");
    trapped("#NM: WAIT with CR0.TS and CR0.MP", NM, 0, 0);
    asm volatile("clts");
    set_cr0(cr0() | CR0_EM);
    ATTEMPT("fld1");
    trapped("#NM: an FPU instruction with CR0.EM", NM, 0, 0);
    set_cr0(cr0() & ~CR0_EM);

    u16 control = 0x37B; /* division by zero is not masked */
    asm volatile("fninit; fldcw %0; fld1; fldz; fdivp" : : "m"(control));
    ATTEMPT("fwait");
    trapped("#MF: the division's fault arrives at the next waiting instruction", MF, 0, 0);
    asm volatile("fninit");
}

int main(void) {
    title("exceptions");
    set_up_pics(); /* the timer ticks while interrupts are enabled: nobody wants that here */
    arithmetic();
    breakpoints();
    opcodes();
    protection();
    tasks();
    floating_point();
    return 0;
}
