/* Segments with a base, the LDT, and the instructions that look at descriptors. */
#include "trap.h"

enum { LDT = SLOT_FREE, WITH_BASE = LDT + 8, ABSENT_LDT = LDT + 16, EXECUTE_ONLY = LDT + 24, EXPAND = LDT + 32 };
enum { IN_LDT = 4, LDT_DATA = 0x08 | IN_LDT, LDT_CODE = 0x10 | IN_LDT };

static u64 ldt[4] __attribute__((aligned(8)));
static u32 window[4] = {0x11, 0x22, 0x33, 0x44};

static u32 through_fs(u16 selector, u32 offset) {
    u32 value;
    asm volatile("mov fs, %w1; mov %0, fs:[%2]" : "=r"(value) : "r"((u32)selector), "r"(offset));
    return value;
}

static void bases(void) {
    set_gdt(WITH_BASE, segment((u32)window, 0xFFFF, PRESENT | DATA_WRITABLE));
    same("a segment's base is added", through_fs(WITH_BASE, 8), 0x33);
    same("a loaded segment marks its descriptor accessed", access_of(WITH_BASE) & 1, 1);
    set_gdt(WITH_BASE, segment((u32)(window + 1), 0xFFFF, PRESENT | DATA_WRITABLE));
    u32 value;
    asm volatile("mov %0, fs:[8]" : "=r"(value));
    same("changing the descriptor changes nothing until it is loaded", value, 0x33);
    same("and then it does", through_fs(WITH_BASE, 8), 0x44);
    asm volatile("push gs; mov gs, %w1; mov dword ptr gs:[0], 0x55; pop gs" : : "r"(0), "r"(WITH_BASE) : "memory");
    same("a store through GS", window[1], 0x55);
    struct __attribute__((packed)) { u32 offset; u16 selector; } far = {4, WITH_BASE};
    asm volatile("lgs %0, %1; mov %0, gs:[%0]" : "=&r"(value) : "m"(far));
    same("LGS loads selector and offset", value, 0x33);
}

static void local_table(void) {
    ldt[1] = segment((u32)window, 0xFFFF, PRESENT | DATA_WRITABLE);
    ldt[2] = segment(0, ~0u, PRESENT | CODE);
    set_gdt(LDT, segment((u32)ldt, sizeof ldt - 1, PRESENT | SYSTEM_LDT));
    asm volatile("lldt %w0" : : "r"(LDT));
    u32 selector;
    asm volatile("sldt %0" : "=r"(selector));
    same("SLDT says what LLDT loaded", selector & 0xFFFF, LDT);
    same("a data segment from the LDT", through_fs(LDT_DATA, 0), 0x11);
    u32 cs;
    asm volatile("lcall %1:1f; jmp 2f; 1: mov %0, cs; retf; 2:" : "=&a"(cs) : "i"(LDT_CODE) : "memory");
    same("a far call into a code segment of the LDT", cs & 0xFFFF, LDT_CODE);
    same("and the far return out of it", selector_cs(), KERNEL_CODE);
    ATTEMPT("mov fs, %w0", : : "r"(0x20 | IN_LDT));
    trapped("#GP: a selector beyond the LDT's limit", GP, 0x20 | IN_LDT, 0);
    ATTEMPT("lldt %w0", : : "r"(KERNEL_DATA));
    trapped("#GP: LLDT of a data segment", GP, KERNEL_DATA, 0);
    set_gdt(ABSENT_LDT, segment((u32)ldt, sizeof ldt - 1, SYSTEM_LDT));
    ATTEMPT("lldt %w0", : : "r"(ABSENT_LDT));
    trapped("#NP: LLDT of an LDT that is not present", NP, ABSENT_LDT, 0);
    asm volatile("mov fs, %w0; lldt %w0" : : "r"(0));
    ATTEMPT("mov fs, %w0", : : "r"(LDT_DATA));
    trapped("#GP: after LLDT of null there is no LDT", GP, LDT_DATA, 0);
}

/* Each gives its result, or `otherwise` when ZF says that the selector is not good for it. */
#define LOOK(name)                                                                                                  \
    static u32 name(u32 selector, u32 otherwise) {                                                                  \
        u32 value;                                                                                                  \
        bool good;                                                                                                  \
        asm volatile(#name " %0, %2" : "=r"(value), "=@ccz"(good) : "r"(selector));                                \
        return good ? value : otherwise;                                                                            \
    }
LOOK(lar)
LOOK(lsl)
#define VERIFY(name)                                                                                                \
    static bool name(u32 selector) {                                                                                \
        bool good;                                                                                                  \
        asm volatile(#name " %w1" : "=@ccz"(good) : "r"(selector));                                                 \
        return good;                                                                                                \
    }
VERIFY(verr)
VERIFY(verw)

static void inspection(void) {
    set_gdt(EXECUTE_ONLY, segment(0, ~0u, PRESENT | CODE_EXECUTE_ONLY));
    set_gdt(EXPAND, segment(0, 0x1234, PRESENT | DATA_READ_ONLY));
    /* Bits 16-19 of what LAR gives are not defined. */
    same("LAR of the kernel's data", lar(KERNEL_DATA, 0) & 0xF0FF00, 0xC09300);
    same("LAR of this task's TSS", lar(MAIN_TSS, 0) & 0xF0FF00, 0x8B00);
    same("LAR of null fails", lar(0, 0xBAD), 0xBAD);
    same("LAR beyond the GDT fails", lar(GDT_SLOTS * 8, 0xBAD), 0xBAD);
    same("LSL with page granularity", lsl(KERNEL_DATA, 0), ~0u);
    same("LSL with byte granularity", lsl(EXPAND, 0), 0x1234);
    same("LSL of a TSS", lsl(MAIN_TSS, 0), sizeof main_task - 1);
    check("VERR: data is readable", verr(KERNEL_DATA));
    check("VERR: execute-only code is not", !verr(EXECUTE_ONLY));
    check("VERW: data is writable", verw(KERNEL_DATA));
    check("VERW: read-only data is not", !verw(EXPAND));
    check("VERW: code never is", !verw(KERNEL_CODE));
    u32 selector = 0x10;
    bool changed;
    asm volatile("arpl %w0, %w2" : "+r"(selector), "=@ccz"(changed) : "r"(3));
    same("ARPL raises the RPL", selector, 0x13);
    check("and says so in ZF", changed);
    asm volatile("arpl %w0, %w2" : "+r"(selector), "=@ccz"(changed) : "r"(1));
    same("ARPL never lowers it", selector, 0x13);
    check("and says that in ZF", !changed);
}

int main(void) {
    title("segments");
    bases();
    local_table();
    inspection();
    return 0;
}
