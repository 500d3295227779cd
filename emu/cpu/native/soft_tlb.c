/* How large QEMU's soft TLB is: as the guest needs it, and never as the host's time goes.
 *
 * QEMU's table begins with 256 entries and changes its size only where it is flushed, since it would have to move the
 * entries otherwise: it doubles when more than 70 % were in use, and shrinks when less than 30 % were for 100 ms of the
 * host's time.  Here two things are different.
 *
 * Most kernels of the kind that this is for never load CR3 again.  Their table would stay as it is, and with more than
 * 256 pages in use each access would walk the page tables.  So a table that has lost as many entries as it holds is
 * doubled at once, and all entries are moved: nothing is forgotten that was not forgotten before, which a guest without
 * its INVLPG would see.
 *
 * What the table holds can be seen, by such a guest, and by one that clears accessed bits.  So its size must be the same
 * in each run: the time that QEMU looks back is counted in flushes.
 *
 * Source: unicorn 2.1.4, qemu/accel/tcg/cputlb.c, tlb_mmu_resize_locked().
 */
#include <string.h>

#include "core.h"

enum { FIRST_ENTRIES = 1 << 8, MOST_ENTRIES = 1 << 16, WINDOW_FLUSHES = 64 };
static const int64_t NOT_BY_TIME = INT64_MAX / 2, EXPIRED = 0; /* when QEMU's window began, in ns */

static char *desc_of(const Core *core, int mmu)
{
    return (char *)core->env + TLB_DESC_FROM_ENV + mmu * TLB_DESC_SIZE;
}

static char *fast_of(const Core *core, int mmu) { return (char *)core->env + TLB_FAST_FROM_ENV + mmu * TLB_FAST_SIZE; }

static uint64_t entries_of(const Core *core, int mmu)
{
    return FIELD(uint64_t, fast_of(core, mmu), TLB_FAST_MASK) / TLB_ENTRY_SIZE + 1;
}

void *soft_tlb_entry(const Core *core, uint64_t at, int mmu)
{
    char *fast = fast_of(core, mmu);
    return FIELD(char *, fast, TLB_FAST_TABLE) + ((at >> 12) * TLB_ENTRY_SIZE & FIELD(uint64_t, fast, TLB_FAST_MASK));
}

bool soft_tlb_address(Core *core, uint64_t at, int mmu, uint64_t *physical)
{
    enum { OF_PAGE = ~0xfff, NOT_VALID = 1 << 11 };
    const void *entry = soft_tlb_entry(core, at, mmu);
    uint64_t page = (uint32_t)at & (uint32_t)OF_PAGE;
    *physical = (FIELD(uint64_t, entry, TLB_ENTRY_PADDR) & ~(uint64_t)0xfff) | (at & 0xfff);
    return (FIELD(uint64_t, entry, TLB_ENTRY_WRITE) & ((uint64_t)(int64_t)OF_PAGE | NOT_VALID)) == page;
}

/* The address that an entry is for; UINT64_MAX where it is empty. */
static uint64_t address_of(const void *entry)
{
    const int fields[] = {TLB_ENTRY_READ, TLB_ENTRY_WRITE, TLB_ENTRY_CODE};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(fields); i++)
        if (FIELD(uint64_t, entry, fields[i]) != UINT64_MAX)
            return FIELD(uint64_t, entry, fields[i]);
    return UINT64_MAX;
}

void soft_tlb_each(Core *core, void (*visit)(Core *, void *entry, uint64_t at, uint64_t number), uint64_t number)
{
    for (int mmu = 0; mmu < TLB_MODES; mmu++) {
        const struct {
            char *entries;
            uint64_t count;
        } parts[] = {
            {FIELD(char *, fast_of(core, mmu), TLB_FAST_TABLE), entries_of(core, mmu)},
            {desc_of(core, mmu) + TLB_DESC_VICTIMS, TLB_VICTIMS},
        };
        for (int part = 0; part < 2; part++) {
            for (uint64_t i = 0; i < parts[part].count; i++) {
                char *entry = parts[part].entries + i * TLB_ENTRY_SIZE;
                uint64_t at = address_of(entry);
                if (at != UINT64_MAX)
                    visit(core, entry, at & ~(uint64_t)0xfff, number);
            }
        }
    }
}

/* QEMU makes a new, empty table, of the size that it finds right for so many entries. */
static void resize(Core *core, int mmu, uint64_t used)
{
    char *desc = desc_of(core, mmu);
    FIELD(uint64_t, desc, TLB_DESC_USED) = 0;
    FIELD(uint64_t, desc, TLB_DESC_WINDOW_MAX) = used;
    FIELD(int64_t, desc, TLB_DESC_WINDOW_BEGIN) = EXPIRED;
    FIELD(uint16_t, core->env, TLB_COMMON_FROM_ENV + TLB_COMMON_DIRTY) |= 1 << mmu; /* or QEMU has nothing to do */
    lib.tlb_flush_by_mode(core->cpu, 1 << mmu);
    FIELD(int64_t, desc, TLB_DESC_WINDOW_BEGIN) = NOT_BY_TIME;
}

static void grow(Core *core, int mmu)
{
    char *desc = desc_of(core, mmu), saved[TLB_DESC_OTHER_HALVES];
    uint64_t count = entries_of(core, mmu);
    char *old = malloc(count * (TLB_ENTRY_SIZE + TLB_OTHER_HALF_SIZE)), *old_halves = old + count * TLB_ENTRY_SIZE;
    if (!old)
        return; /* slower, and right */
    memcpy(old, FIELD(void *, fast_of(core, mmu), TLB_FAST_TABLE), count * TLB_ENTRY_SIZE);
    memcpy(old_halves, FIELD(void *, desc, TLB_DESC_OTHER_HALVES), count * TLB_OTHER_HALF_SIZE);
    memcpy(saved, desc, sizeof saved);

    resize(core, mmu, count);
    char *table = FIELD(char *, fast_of(core, mmu), TLB_FAST_TABLE);
    for (uint64_t i = 0; i < count; i++) {
        const char *entry = old + i * TLB_ENTRY_SIZE;
        uint64_t at = address_of(entry);
        if (at == UINT64_MAX)
            continue;
        char *place = soft_tlb_entry(core, at, mmu);
        memcpy(place, entry, TLB_ENTRY_SIZE);
        memcpy(FIELD(char *, desc, TLB_DESC_OTHER_HALVES) + (place - table) / TLB_ENTRY_SIZE * TLB_OTHER_HALF_SIZE,
               old_halves + i * TLB_OTHER_HALF_SIZE, TLB_OTHER_HALF_SIZE);
    }
    memcpy(desc + TLB_DESC_LARGE_PAGES, saved + TLB_DESC_LARGE_PAGES, TLB_DESC_WINDOW_BEGIN - TLB_DESC_LARGE_PAGES);
    FIELD(uint64_t, desc, TLB_DESC_USED) = FIELD(uint64_t, saved, TLB_DESC_USED);
    memcpy(desc + TLB_DESC_VICTIMS, saved + TLB_DESC_VICTIMS, TLB_DESC_OTHER_HALVES - TLB_DESC_VICTIMS);
    FIELD(uint16_t, core->env, TLB_COMMON_FROM_ENV + TLB_COMMON_DIRTY) |= 1 << mmu;
    free(old);
}

void soft_tlb_before_fill(Core *core, int mmu)
{
    char *desc = desc_of(core, mmu);
    bool was_flushed = !(FIELD(uint16_t, core->env, TLB_COMMON_FROM_ENV + TLB_COMMON_DIRTY) >> mmu & 1);
    if (was_flushed) {
        bool expires = ++core->tlb_flushes[mmu] % WINDOW_FLUSHES == 0;
        FIELD(int64_t, desc, TLB_DESC_WINDOW_BEGIN) = expires ? EXPIRED : NOT_BY_TIME;
    } else if (FIELD(int64_t, desc, TLB_DESC_WINDOW_BEGIN) != EXPIRED) {
        FIELD(int64_t, desc, TLB_DESC_WINDOW_BEGIN) = NOT_BY_TIME; /* INVLPG of a large page flushes it all */
    }
    uint64_t count = entries_of(core, mmu);
    if (FIELD(uint64_t, desc, TLB_DESC_EVICTED) >= count && count < MOST_ENTRIES)
        grow(core, mmu);
}

/* Forgets everything, the sizes as well, as if the engine were new. */
void soft_tlb_forget(Core *core)
{
    enum { ALL_MODES = (1 << TLB_MODES) - 1, TRIES = 3 };
    lib.tlb_flush_by_mode(core->cpu, ALL_MODES);
    for (int mmu = 0; mmu < TLB_MODES; mmu++) {
        core->tlb_flushes[mmu] = 0;
        for (int i = 0; i < TRIES && entries_of(core, mmu) != FIRST_ENTRIES; i++)
            resize(core, mmu, FIRST_ENTRIES / 2);
    }
}

void soft_tlb_flush_page(Core *core, uint64_t at)
{
    lib.tlb_flush_page(core->cpu, at);
    soft_tlb_behind_flush(core);
}

/* Where a large page was flushed, QEMU may have looked at its clock. */
void soft_tlb_behind_flush(Core *core)
{
    for (int mmu = 0; mmu < TLB_MODES; mmu++) {
        int64_t *begin = &FIELD(int64_t, desc_of(core, mmu), TLB_DESC_WINDOW_BEGIN);
        if (*begin != EXPIRED)
            *begin = NOT_BY_TIME;
    }
}

bool soft_tlb_is_laid_out(const Core *core)
{
    for (int mmu = 0; mmu < TLB_MODES; mmu++) {
        const char *desc = desc_of(core, mmu);
        const void *table = FIELD(void *, fast_of(core, mmu), TLB_FAST_TABLE);
        if (entries_of(core, mmu) != FIRST_ENTRIES || !table || address_of(table) != UINT64_MAX)
            return false;
        if (FIELD(int64_t, desc, TLB_DESC_LARGE_PAGES) != -1 || FIELD(uint64_t, desc, TLB_DESC_USED) ||
            FIELD(uint64_t, desc, TLB_DESC_EVICTED) || !FIELD(void *, desc, TLB_DESC_OTHER_HALVES))
            return false;
        for (int i = TLB_DESC_VICTIMS; i < TLB_DESC_VICTIMS + TLB_VICTIMS * TLB_ENTRY_SIZE; i += 8)
            if (FIELD(int64_t, desc, i) != -1)
                return false;
    }
    return true;
}
