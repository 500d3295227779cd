/* Two-level page tables, 4 KiB pages.

       31          22 21          12 11           0
      +--------------+--------------+--------------+
      |  directory   |    table     |    offset    |
      +--------------+--------------+--------------+

   Source: Intel SDM Vol. 3A, "32-Bit Paging". */
#pragma once
#include "cpu.h"

enum { PAGE = 4096, TABLE_ENTRIES = 1024 };
enum {
    PTE_PRESENT = 1 << 0, PTE_WRITE = 1 << 1, PTE_USER = 1 << 2, PTE_ACCESSED = 1 << 5, PTE_DIRTY = 1 << 6,
    PDE_LARGE = 1 << 7, PTE_GLOBAL = 1 << 8,
};
/* Error code of #PF. */
enum { PF_PROTECTION = 1 << 0, PF_WRITE = 1 << 1, PF_USER = 1 << 2 };

extern u32 directory[TABLE_ENTRIES];

/* The entry that maps `at`, in the page table that is made if there was none. */
u32 *entry_of(u32 at);
void map(u32 at, u32 physical, u32 bits);
void unmap(u32 at);
/* Map 0 to 8 MiB to itself for the kernel, all of it writable, then set CR3 and CR0.PG. */
void start_paging(void);
void stop_paging(void);
