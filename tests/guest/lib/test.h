/* Assertions: one line of text each, on COM1 and on the debug console.

       # paging                          title("paging")
       ok a page is where it was mapped  check("a page is where it was mapped", holds)
       FAIL the bit is set: 0x0, want 0x1      same("the bit is set", got, want)
       # 2 checks, 1 failed              finish(), which main's return does too

   The guest then ends by isa-debug-exit: 0 when all held, 1 when not. */
#pragma once
#include "cpu.h"

void title(const char *text);
void check(const char *name, bool holds);
void same(const char *name, u32 got, u32 want);
_Noreturn void finish(void);
_Noreturn void give_up(void); /* as finish, and failed */

/* %s string, %u decimal, %x hexadecimal with 0x, %c character, %% */
__attribute__((format(printf, 1, 2))) void print(const char *format, ...);

void *memset(void *to, int value, size_t count);
void *memcpy(void *to, const void *from, size_t count);
int memcmp(const void *one, const void *two, size_t count);

/* What a multiboot loader handed over, kept by start.S before anything was changed. */
struct entry_state { u32 eax, ebx, eflags, cr0; u16 cs, ds, es, fs, gs, ss; };
extern struct entry_state entry;
