#include "segment.h"

#include "trap.h"

u64 gdt[GDT_SLOTS] __attribute__((aligned(8)));
u64 idt[256] __attribute__((aligned(8)));
struct main_task main_task __attribute__((aligned(128)));

u64 segment(u32 base, u32 limit, u8 access) {
    u32 granularity = 0x4; /* D/B: 32-bit */
    if (limit > 0xFFFFF) limit >>= 12, granularity = 0xC;
    if (!(access & 0x10)) granularity &= 0x8; /* a system segment has no D/B */
    u32 low = limit & 0xFFFF, high = access << 8 | (limit & 0xF0000) | granularity << 20;
    low |= base << 16;
    high |= (base >> 16 & 0xFF) | (base & 0xFF000000);
    return (u64)high << 32 | low;
}

u64 gate(u16 selector, u32 offset, u8 access, u8 parameters) {
    u32 low = (u32)selector << 16 | (offset & 0xFFFF);
    u32 high = (offset & 0xFFFF0000) | access << 8 | parameters;
    return (u64)high << 32 | low;
}

void set_gdt(u16 selector, u64 descriptor) { gdt[selector >> 3] = descriptor; }
void set_idt(u8 vector, u64 descriptor) { idt[vector] = descriptor; }
u8 access_of(u16 selector) { return gdt[selector >> 3] >> 40; }

struct __attribute__((packed)) table_register { u16 limit; u32 base; };

void load_idt(const void *table, u16 limit) {
    struct table_register value = {limit, (u32)table};
    asm volatile("lidt %0" : : "m"(value));
}

/* Called by start.S before main. */
void set_up_segments(void) {
    /* Accessed, so that nobody has to mark them: QEMU does that for some ways of loading a segment only. */
    set_gdt(KERNEL_CODE, segment(0, ~0u, PRESENT | CODE | ACCESSED));
    set_gdt(KERNEL_DATA, segment(0, ~0u, PRESENT | DATA_WRITABLE | ACCESSED));
    set_gdt(USER_CODE, segment(0, ~0u, PRESENT | DPL_3 | CODE | ACCESSED));
    set_gdt(USER_DATA, segment(0, ~0u, PRESENT | DPL_3 | DATA_WRITABLE | ACCESSED));
    set_gdt(MAIN_TSS, segment((u32)&main_task, sizeof main_task - 1, PRESENT | SYSTEM_TSS));
    main_task.tss.ss0 = KERNEL_DATA;
    main_task.tss.io_map = offsetof(struct main_task, io_map);
    for (size_t i = 0; i < sizeof main_task.io_map; i++) main_task.io_map[i] = 0xFF; /* every port denied */

    struct table_register value = {sizeof gdt - 1, (u32)gdt};
    asm volatile("lgdt %0\n"
                 "ljmp %1, offset 1f\n"
                 "1: mov ds, %2; mov es, %2; mov fs, %2; mov gs, %2; mov ss, %2\n"
                 "ltr %w3"
                 : : "m"(value), "i"(KERNEL_CODE), "r"(KERNEL_DATA), "r"(MAIN_TSS) : "memory");
    set_up_traps();
    load_idt(idt, sizeof idt - 1);
}
