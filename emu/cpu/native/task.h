/* Tasks of the hardware: descriptors as the processor reads them, the switch, and what leads to it. */
#ifndef HILLEMU_TASK_H
#define HILLEMU_TASK_H

#include "core.h"

enum { SELECTOR_LOCAL = 4, SELECTOR_NULL = 0xfffc }; /* a selector without the bits of the latter is null */

/* The upper half of a descriptor */
enum {
    DESC_ACCESSED = 1 << 8,
    DESC_WRITABLE = 1 << 9, /* data */
    DESC_READABLE = 1 << 9, /* code */
    DESC_CONFORMING = 1 << 10,
    DESC_CODE = 1 << 11,
    DESC_NOT_SYSTEM = 1 << 12,
    DESC_DPL_BIT = 13,
    DESC_PRESENT = 1 << 15,
    DESC_PAGES = 1 << 23,
    DESC_TSS_BUSY = 1 << 9,
    DESC_TSS_32 = 1 << 11,
    DESC_KIND = 0x1f00, /* type and "not system" */
    DESC_LDT = 0x0200,
    DESC_TSS = 0x0100, /* 16 bits, available */
    DESC_TASK_GATE = 0x0500,
};

typedef struct {
    uint64_t at; /* linear */
    uint32_t lower, upper;
} Descriptor;

static inline uint32_t descriptor_base(const Descriptor *d)
{
    return d->lower >> 16 | (d->upper & 0xff) << 16 | (d->upper & 0xff000000);
}

static inline uint32_t descriptor_limit(const Descriptor *d)
{
    uint32_t limit = (d->lower & 0xffff) | (d->upper & 0xf0000);
    return d->upper & DESC_PAGES ? limit << 12 | 0xfff : limit;
}

/* tasks.c */
bool descriptor_load(Core *core, uint32_t selector, Descriptor *found); /* false: beyond its table */
uint32_t descriptor_peek(Core *core, uint32_t selector, uintptr_t ra); /* the upper half, unseen by watches; 0: none */

/* task_switch.c */
typedef enum { SWITCH_BY_JMP, SWITCH_BY_IRET, SWITCH_BY_CALL } SwitchKind; /* CALL: also interrupts and exceptions */

/* To the task of `tss`, whose type and presence are checked.  The old one is saved with `return_eip`; `external` goes
 * into error codes.  Faults do not return.  True: the T bit asks for task_trap(), which does not return. */
bool task_switch(Core *core, uint32_t selector, const Descriptor *tss, SwitchKind kind, uint32_t return_eip,
                 bool external);
void task_trap(Core *core);
void task_fault(Core *core, int vector, uint32_t selector, bool external); /* at EIP; does not return */

#endif
