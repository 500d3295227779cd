/* Ring 3: run a function there, and what it may ask of the kernel by INT 0x80 (number in EAX, value in EBX). */
#pragma once
#include "cpu.h"

enum { SYSTEM_VECTOR = 0x80 };
enum { SYSTEM_LEAVE = 1, SYSTEM_PUT = 2, SYSTEM_EXIT = 3 };

static inline void system_call(u32 number, u32 value) {
    asm volatile("int 0x80" : : "a"(number), "b"(value) : "memory");
}

/* Run `entry` in ring 3 with these EFLAGS on a stack of its own, until it returns or asks for SYSTEM_LEAVE; its return
   value, or the value it asked with.  The processor finds the kernel's stack in the TSS. */
u32 run_user(u32 (*entry)(void), u32 eflags);
/* The same with a virtual-8086 mode task at segment:offset, data segments as given. */
u32 run_vm86(u16 code, u16 offset, u16 stack, u16 stack_offset, u16 data, u32 eflags);
/* In a trap handler: go back to run_user's caller with this value. */
_Noreturn void leave_user(u32 value);

extern u8 user_stack[4096];
extern u32 kernel_esp; /* where the TSS points while ring 3 runs */

void set_up_user(void);
