/* Debug exceptions: counted, with what the last one told, and one data breakpoint.

   Source: Intel SDM Vol. 3B, "Debug Registers". */
#pragma once
#include "trap.h"

enum { WRITES = 1, IO = 2, READS_AND_WRITES = 3, BYTE = 0, WORD = 1, QUAD = 3 };
enum { TF = 0x100, RF = 0x10000, BS = 0x4000 };

static volatile struct { u32 count, dr6, eip; } debug;
#define SET_DR(n, value) asm volatile("mov dr" #n ", %0" : : "r"((u32)(value)))

static inline u32 dr7(void) {
    u32 value;
    asm volatile("mov %0, dr7" : "=r"(value));
    return value;
}

static inline void on_debug(struct trap *trap) {
    debug.count++;
    debug.dr6 = dr6();
    debug.eip = trap->eip;
    SET_DR(6, 0);
    if (!(debug.dr6 & BS) && (dr7() & 0xF0000) == 0)
        trap->eflags |= RF; /* an instruction breakpoint is a fault: go over it */
    trap->eflags &= ~TF;
}

static inline void count_debug_exceptions(void) { on_trap(DB, on_debug); }

/* Breakpoint 0: on `address`, and no other. */
static inline void arm(u32 address, u32 kind, u32 length) {
    SET_DR(7, 0);
    SET_DR(6, 0);
    SET_DR(0, address);
    SET_DR(7, 1 | kind << 16 | length << 18);
    debug.count = 0;
    debug.dr6 = 0;
}

static inline void disarm(void) { SET_DR(7, 0); }

/* Executes an instruction that may use ESI; the value is EIP behind it. */
#define BEHIND(instruction, esi)                                                                                      \
    ({                                                                                                                \
        u32 behind_;                                                                                                  \
        asm volatile("mov %0, offset 1f\n" instruction "\n1: nop" : "=&r"(behind_) : "S"(esi) : "eax", "memory");     \
        behind_;                                                                                                      \
    })
