/* Segments, gates and tasks, as the library sets them up; a guest may use the slots from SLOT_FREE on.

   Source: Intel SDM Vol. 3A, "Segment Descriptors", "System Descriptor Types", "Task-State Segment (TSS)". */
#pragma once
#include "cpu.h"

/* The order of the first four is the one that SYSENTER and SYSEXIT ask for. */
enum { KERNEL_CODE = 0x08, KERNEL_DATA = 0x10, USER_CODE = 0x18 | 3, USER_DATA = 0x20 | 3 };
enum { MAIN_TSS = 0x28, SLOT_FREE = 0x30 };
enum { GDT_SLOTS = 32 };

/* Access byte of a descriptor: present, DPL, S, type. */
enum {
    PRESENT = 0x80, DPL_3 = 0x60, ACCESSED = 0x01, CODE = 0x1A, CODE_CONFORMING = 0x1E, CODE_EXECUTE_ONLY = 0x18, DATA_WRITABLE = 0x12,
    DATA_READ_ONLY = 0x10, SYSTEM_LDT = 0x02, SYSTEM_TSS = 0x09, SYSTEM_TSS_16 = 0x01, TSS_BUSY = 0x02, CALL_GATE = 0x0C, TASK_GATE = 0x05,
    INTERRUPT_GATE = 0x0E, TRAP_GATE = 0x0F,
};

struct tss {
    u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags, eax, ecx, edx, ebx, esp, ebp, esi, edi;
    u32 es, cs, ss, ds, fs, gs, ldt;
    u16 trap, io_map;
};
enum { TSS_LIMIT = sizeof(struct tss) - 1 };

/* The task that the guest runs in, followed by an I/O permission bitmap for all ports and its closing byte. */
extern struct main_task { struct tss tss; u8 io_map[0x10000 / 8 + 1]; } main_task;

extern u64 gdt[GDT_SLOTS], idt[256];

/* A segment with byte granularity up to 1 MiB, page granularity above; 32-bit. */
u64 segment(u32 base, u32 limit, u8 access);
u64 gate(u16 selector, u32 offset, u8 access, u8 parameters);
void set_gdt(u16 selector, u64 descriptor);
void set_idt(u8 vector, u64 descriptor);
u8 access_of(u16 selector);
void load_idt(const void *table, u16 limit);
