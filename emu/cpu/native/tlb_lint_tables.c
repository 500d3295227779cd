/* Page tables, 32-bit and PAE, as the TLB lint reads them; and what a change of an entry means. */
#include <string.h>

#include "tlb_lint_internal.h"

enum { PRESENT = 1, WRITABLE = 2, USER = 4, LARGE = 0x80 };
#define NO_EXECUTE ((uint64_t)1 << 63)
#define CR0_PG (1u << 31)
#define ADDRESS ((uint64_t)0x000ffffffffff000)
enum { CR0_WP = 1 << 16, CR4_PSE = 1 << 4, CR4_PAE = 1 << 5, CR4_PGE = 1 << 7, USER_MMU = 1 };

static bool has_pae(const TlbLint *lint) { return lint->cr4 & CR4_PAE; }
int lint_entry_bytes(const TlbLint *lint) { return has_pae(lint) ? 8 : 4; }
uint32_t lint_region_of(const TlbLint *lint, uint32_t linear) { return linear >> (has_pae(lint) ? 21 : 22); }
uint32_t lint_pages_of_region(const TlbLint *lint) { return has_pae(lint) ? 512 : 1024; }

uint64_t lint_entry_at(const Core *core, uint64_t at, int bytes)
{
    const MemoryArea *area = area_at(core, at);
    uint64_t value = 0;
    if (area)
        memcpy(&value, area->host + (at - area->base), (size_t)bytes);
    return value;
}

static bool is_large(const TlbLint *lint, uint64_t directory_entry)
{
    return directory_entry & LARGE && (has_pae(lint) || lint->cr4 & CR4_PSE);
}

Entries lint_walk(const Core *core, uint32_t linear)
{
    const TlbLint *lint = core->lint;
    int bytes = lint_entry_bytes(lint);
    Entries found = {.count = 1};
    if (has_pae(lint)) {
        uint64_t pointer = lint_entry_at(core, (lint->cr3 & 0xffffffe0) + (linear >> 30) * 8, 8);
        if (!(pointer & PRESENT))
            return (Entries){.count = 0};
        found.at[0] = (pointer & ADDRESS) + (linear >> 21 & 511) * 8;
    } else {
        found.at[0] = (lint->cr3 & 0xfffff000) + (linear >> 22) * 4;
    }
    found.value[0] = lint_entry_at(core, found.at[0], bytes);
    found.complete = found.value[0] & PRESENT;
    if (!found.complete || is_large(lint, found.value[0]))
        return found;
    found.count = 2;
    found.at[1] = (found.value[0] & ADDRESS) + (has_pae(lint) ? (linear >> 12 & 511) * 8 : (linear >> 12 & 1023) * 4);
    found.value[1] = lint_entry_at(core, found.at[1], bytes);
    found.complete = found.value[1] & PRESENT;
    return found;
}

bool lint_physical(const Core *core, uint32_t linear, uint64_t *physical)
{
    if (!(core->lint->cr0 & CR0_PG)) {
        *physical = linear;
        return true;
    }
    Entries entries = lint_walk(core, linear);
    uint64_t page_bytes = entries.count == 2 ? 1 << 12 : has_pae(core->lint) ? 1 << 21 : 1 << 22;
    if (entries.complete)
        *physical = (entries.value[entries.count - 1] & ADDRESS & ~(page_bytes - 1)) | (linear & (page_bytes - 1));
    return entries.complete;
}

bool lint_makes_stale(const TlbLint *lint, uint64_t old, uint64_t new, bool of_directory)
{
    if (!(new & PRESENT) || old & ~new & (WRITABLE | USER) || new & ~old & NO_EXECUTE)
        return true;
    if (of_directory && is_large(lint, old) != is_large(lint, new))
        return true;
    return ((old ^ new) & ADDRESS) != 0;
}

bool lint_serves_alike(const Core *core, const Entries *old, const Entries *new, int access, int mmu)
{
    bool user = mmu == USER_MMU, writes = access == ACCESS_STORE;
    if (!new->complete || new->count != old->count)
        return false;
    for (int i = 0; i < new->count; i++) {
        uint64_t entry = new->value[i];
        if ((entry ^ old->value[i]) & ADDRESS || (user && !(entry & USER)) ||
            (access == ACCESS_FETCH && entry & NO_EXECUTE) ||
            (writes && !(entry & WRITABLE) && (user || core->lint->cr0 & CR0_WP)))
            return false;
    }
    return true;
}
