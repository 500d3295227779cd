/* Code that changes: its own page, the next instruction, other addresses of the same frame, a page that is re-used.

   Source: Intel SDM Vol. 3A, "Handling Self- and Cross-Modifying Code". */
#include "paging.h"
#include "trap.h"

enum { ALIAS = 0x40000000, HOME = 0x40001000 };

static u8 frame_a[PAGE] __attribute__((aligned(PAGE)));
static u8 frame_b[PAGE] __attribute__((aligned(PAGE)));

typedef u32 function(void);
static inline u32 call(u32 at) { return ((function *)at)(); }
static inline void serialize(void) { (void)cpuid(0); }

/* mov eax, value; ret */
static void write_function(u8 *at, u32 value) {
    at[0] = 0xB8;
    memcpy(at + 1, &value, 4);
    at[5] = 0xC3;
}

static void same_address(void) {
    write_function(frame_a, 1);
    same("new code runs", call((u32)frame_a), 1);
    write_function(frame_a, 2);
    same("changed code runs", call((u32)frame_a), 2);
    *(volatile u32 *)(frame_a + 1) = 3;
    same("a changed operand too", call((u32)frame_a), 3);
    *(volatile u8 *)(frame_a + 2) = 1;
    same("even one byte of it", call((u32)frame_a), 0x103);

    bool right = true;
    for (u32 i = 0; i < 1000; i++) {
        write_function(frame_a, i);
        right = right && call((u32)frame_a) == i;
    }
    check("a thousand times", right);

    u32 result, sum = 0;
    for (u32 i = 0; i < 3; i++) {
        asm volatile("mov dword ptr [1f + 1], %1; jmp 1f\n"
                     "1: mov eax, 0x11111111" : "=&a"(result) : "r"(i + 0x50) : "memory");
        sum += result;
    }
    same("a store into the instruction behind the next jump", sum, 0x50 + 0x51 + 0x52);

    asm volatile("mov byte ptr 1f, 0x42; jmp 1f\n"
                 "1: inc eax; jmp 2f\n"
                 "2:" : "=a"(result), "=d"(sum) : "a"(5), "d"(7) : "memory", "cc");
    same("INC EAX became INC EDX", result << 8 | sum, 5 << 8 | 8);

    memset(frame_a + 0x100, 0x40, 200); /* inc eax */
    frame_a[0x100 + 200] = 0xC3;
    asm volatile("xor eax, eax; call %1" : "=a"(result) : "r"(frame_a + 0x100) : "memory", "cc");
    same("REP STOS wrote 200 INCs", result, 200);
    asm volatile("std; rep stosb; cld" : : "a"(0x48), "D"(frame_a + 0x100 + 99), "c"(100) : "memory"); /* dec eax */
    asm volatile("xor eax, eax; call %1" : "=a"(result) : "r"(frame_a + 0x100) : "memory", "cc");
    same("and, backwards, 100 DECs over them", result, 0);
}

static void aliases(void) {
    map(ALIAS, (u32)frame_a, PTE_WRITE);
    map(HOME, (u32)frame_a, PTE_WRITE);
    write_function(frame_a, 10);
    same("code through an alias", call(HOME), 10);
    write_function((u8 *)ALIAS, 11);
    serialize();
    same("written through one address, run at another", call(HOME), 11);
    same("and at the identity", call((u32)frame_a), 11);

    write_function(frame_b, 20);
    map(HOME, (u32)frame_b, PTE_WRITE);
    same("another frame at the same address", call(HOME), 20);
    map(HOME, (u32)frame_a, PTE_WRITE);
    same("and back", call(HOME), 11);
    write_function(frame_b, 21);
    map(HOME, (u32)frame_b, 0);
    same("changed while it was away", call(HOME), 21);

    /* A function that begins in one page and ends in the next. */
    map(HOME + PAGE, (u32)frame_a, PTE_WRITE);
    frame_b[PAGE - 2] = 0xB8;
    frame_b[PAGE - 1] = 0x44;
    frame_a[0] = 0x33, frame_a[1] = 0x22, frame_a[2] = 0x11, frame_a[3] = 0xC3;
    same("an instruction across two pages", call(HOME + PAGE - 2), 0x11223344);
    frame_a[1] = 0x99;
    serialize();
    same("its second half changed through an alias", call(HOME + PAGE - 2), 0x11993344);
    unmap(HOME + PAGE);
    attempt_at = HOME + PAGE - 2;
    caught = (struct caught){.vector = NO_TRAP};
    asm volatile("mov dword ptr attempt_resume, offset 1f; call %0; 1: add esp, 4"
                 : : "r"(HOME + PAGE - 2) : "memory", "eax");
    trapped("#PF: its second half is not there: EIP at its start", PF, 0, 0);
    same("CR2 at the second half", caught.cr2, HOME + PAGE);
}

int main(void) {
    title("self-modifying code");
    same_address();
    start_paging();
    aliases();
    stop_paging();
    same_address();
    return 0;
}
