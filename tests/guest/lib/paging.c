#include "paging.h"

#include "test.h"

u32 directory[TABLE_ENTRIES] __attribute__((aligned(PAGE)));
static u32 tables[8][TABLE_ENTRIES] __attribute__((aligned(PAGE)));
static u32 tables_used;

u32 *entry_of(u32 at) {
    u32 *pde = &directory[at >> 22];
    if (!(*pde & PTE_PRESENT)) {
        if (tables_used == array_size(tables)) {
            print("out of page tables\n");
            give_up();
        }
        /* All rights: the page's own entry decides. */
        *pde = (u32)tables[tables_used++] | PTE_USER | PTE_WRITE | PTE_PRESENT;
    }
    return (u32 *)(*pde & ~(PAGE - 1)) + (at >> 12) % TABLE_ENTRIES;
}

void map(u32 at, u32 physical, u32 bits) {
    *entry_of(at) = physical | bits | PTE_PRESENT;
    invlpg(at);
}

void unmap(u32 at) {
    *entry_of(at) = 0;
    invlpg(at);
}

void start_paging(void) {
    for (u32 at = 0; at < 8 << 20; at += PAGE) *entry_of(at) = at | PTE_WRITE | PTE_PRESENT;
    set_cr3((u32)directory);
    set_cr0(cr0() | CR0_PG);
}

void stop_paging(void) {
    set_cr0(cr0() & ~CR0_PG);
    set_cr3(0);
}
