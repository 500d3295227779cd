/* Translations that are used although the page tables have changed; tlb_lint.h tells the rules. */
#include "tlb_lint_internal.h"

enum { ENTRY_GLOBAL = 0x100, CR4_PSE = 1 << 4, CR4_PAE = 1 << 5, CR4_PGE = 1 << 7 };
#define CR0_PG (1u << 31)

/* ---- what is alive ----------------------------------------------------------------------------------------------- */

static bool is_alive(const TlbLint *lint, const UsedPage *page)
{
    return page->generation == (page->global ? lint->global_generation : lint->generation);
}

static void end_page(UsedPage *page)
{
    page->generation = 0;
}

static void end_all(TlbLint *lint, bool global)
{
    lint->generation++;
    lint->global_generation += global;
}

void tlb_lint_forget(Core *core)
{
    end_all(core->lint, true);
    lint_forget_calls(core->lint);
}

void tlb_lint_control(Core *core, ControlEvent event)
{
    TlbLint *lint = core->lint;
    uint32_t cr0 = FIELD(uint32_t, core->env, ENV_CR), cr3 = FIELD(uint32_t, core->env, ENV_CR + 8 * 3),
             cr4 = FIELD(uint32_t, core->env, ENV_CR + 8 * 4);
    if ((cr0 ^ lint->cr0) & CR0_PG || (cr4 ^ lint->cr4) & (CR4_PSE | CR4_PAE | CR4_PGE))
        end_all(lint, true);
    else if (event == CONTROL_CR3 || (event == CONTROL_TASK_SWITCH && cr3 != lint->cr3))
        end_all(lint, false);
    lint->cr0 = cr0;
    lint->cr3 = cr3;
    lint->cr4 = cr4;
}

void tlb_lint_invlpg(Core *core, uint32_t linear)
{
    TlbLint *lint = core->lint;
    UsedPage *page = &lint->pages[linear >> 12];
    if (lint->regions[lint_region_of(lint, linear)].has_large) {
        uint32_t pages = lint_pages_of_region(lint), first = (linear >> 12) & ~(pages - 1);
        for (uint32_t i = first; i < first + pages; i++)
            if (lint->pages[i].entries.count == 1)
                end_page(&lint->pages[i]);
    }
    end_page(page);
}

/* A page fault ends what is held of its page. */
void tlb_lint_page_fault(Core *core) { end_page(&core->lint->pages[FIELD(uint32_t, core->env, ENV_CR + 8 * 2) >> 12]); }

/* ---- changes ----------------------------------------------------------------------------------------------------- */

bool tlb_lint_is_table(const TlbLint *lint, uint64_t frame)
{
    return frame < FRAMES && lint->tables[frame >> 3] >> (frame & 7) & 1;
}

static void look_at_page(Core *core, uint32_t number, uint64_t at, uint64_t entry, bool by_host, Place by)
{
    TlbLint *lint = core->lint;
    UsedPage *page = &lint->pages[number];
    if (!is_alive(lint, page))
        return;
    for (int i = 0; i < page->entries.count; i++) {
        if (page->entries.at[i] != at)
            continue;
        bool stale = lint_makes_stale(lint, page->entries.value[i], entry, i == 0);
        if (page->stale && page->level != i)
            continue; /* the other one changed first */
        page->stale = stale;
        page->level = (uint8_t)i;
        page->by_host = by_host;
        page->changed_to = entry;
        page->changed = by;
        if (stale)
            soft_tlb_flush_page(core, (uint64_t)number << 12);
    }
}

/* An entry in a watched frame was written. */
static bool look_at_entry(Core *core, uint64_t at, bool by_host, Place by)
{
    TlbLint *lint = core->lint;
    uint64_t frame = at >> 12, entry = lint_entry_at(core, at, lint_entry_bytes(lint));
    uint32_t index = (uint32_t)(at & 0xfff) / (uint32_t)lint_entry_bytes(lint), pages = lint_pages_of_region(lint);
    bool used = false;
    for (uint32_t i = 0; i < LINT_PAGES / pages; i++) {
        const Region *region = &lint->regions[i];
        bool alive = region->generation == lint->generation || region->has_global;
        if (!alive || (region->frames[0] != frame && region->frames[1] != frame))
            continue;
        used = true;
        if (region->frames[1] == frame)
            look_at_page(core, i * pages + index, at, entry, by_host, by);
        if (region->frames[0] == frame && (i & (pages - 1)) == index)
            for (uint32_t page = 0; page < pages; page++)
                look_at_page(core, i * pages + page, at, entry, by_host, by);
    }
    return used;
}

static void look_at_bytes(Core *core, uint64_t start, uint64_t end, bool by_host, Place by)
{
    TlbLint *lint = core->lint;
    uint64_t bytes = (uint64_t)lint_entry_bytes(lint);
    for (uint64_t at = start & ~(bytes - 1); at < end;) {
        uint64_t frame = at >> 12;
        if (tlb_lint_is_table(lint, frame) && look_at_entry(core, at, by_host, by)) {
            at += bytes;
            continue;
        }
        if (tlb_lint_is_table(lint, frame)) { /* no more: it may have become anything */
            lint->tables[frame >> 3] &= (uint8_t)~(1 << (frame & 7));
            tlb_watches_changed(core);
        }
        at = (frame + 1) << 12;
    }
}

/* The instruction that is executed, and how many were before it. */
static Place place_of(Core *core, uintptr_t ra)
{
    void *tb = ra ? current_block(core) : NULL;
    int number = tb ? find_instruction(tb, ra - GETPC_ADJ, 0) : -1;
    int64_t rest = number < 0 ? 0 : FIELD(uint16_t, tb, TB_ICOUNT) - number;
    Place place = {.pc = number < 0 ? linear_eip(core) : pc_of_instruction(tb, number),
                   .instructions = block_instructions(core) - rest};
    lint_callers(core, place.callers);
    return place;
}

void tlb_lint_stored(Core *core, uint32_t linear, int size, int mmu, uintptr_t ra)
{
    uint32_t last = linear + (uint32_t)size - 1;
    for (uint32_t at = linear;; at = last & ~0xfffu) {
        uint64_t physical;
        if (soft_tlb_address(core, at, mmu, &physical) && tlb_lint_is_table(core->lint, physical >> 12)) {
            uint64_t end = at >> 12 == last >> 12 ? physical + (last - at) + 1 : (physical | 0xfff) + 1;
            look_at_bytes(core, physical, end, false, place_of(core, ra));
        }
        if (at >> 12 == last >> 12)
            return;
    }
}

void tlb_lint_host_wrote(Core *core, uint64_t physical, uint64_t size)
{
    Place running = {.pc = linear_eip(core), .instructions = block_instructions(core)};
    if (size)
        look_at_bytes(core, physical, physical + size, true, running);
}

/* ---- uses -------------------------------------------------------------------------------------------------------- */

/* Whether the modelled TLB, if there is one, has this page still. */
static bool is_in_model(const Core *core, uint32_t linear)
{
    const ModelTlb *tlbs[] = {&core->memory->model.data_tlb, &core->memory->model.code_tlb,
                              &core->memory->model.large_tlb};
    for (int i = 0; i < 3; i++)
        for (int entry = 0; entry < TLB_ENTRIES_MAX; entry++)
            if (tlbs[i]->entries[entry].rights && tlbs[i]->entries[entry].page == linear >> tlbs[i]->page_shift)
                return true;
    return false;
}

/* The instruction, in a function that was called at the same place. */
static bool is_same(const Place *one, const Place *other)
{
    return one->pc == other->pc && one->callers[0] == other->callers[0];
}

static void add_finding(Core *core, const UsedPage *page, uint32_t linear, int access, uintptr_t ra)
{
    TlbLint *lint = core->lint;
    Place used = place_of(core, ra);
    for (size_t i = 0; i < lint->finding_count; i++) {
        Finding *found = &lint->findings[i];
        if (is_same(&found->used, &used) && is_same(&found->page.changed, &page->changed)) {
            found->times++;
            return;
        }
    }
    if (lint->finding_count == FINDINGS) {
        lint->dropped++;
        return;
    }
    lint->findings[lint->finding_count++] = (Finding){
        .page = *page,
        .address = linear,
        .used = used,
        .access = (uint32_t)access,
        .times = 1,
        .in_model = core->memory && is_in_model(core, linear),
    };
}

static void watch_tables(Core *core, const Entries *entries)
{
    TlbLint *lint = core->lint;
    bool added = false;
    for (int i = 0; i < entries->count; i++) {
        uint64_t frame = entries->at[i] >> 12;
        if (frame < FRAMES && !tlb_lint_is_table(lint, frame)) {
            lint->tables[frame >> 3] |= (uint8_t)(1 << (frame & 7));
            added = true;
        }
    }
    if (added)
        tlb_watches_changed(core); /* stores there take the slow path from here on */
}

void tlb_lint_before_fill(Core *core, uint32_t linear, int access, int mmu, uintptr_t ra)
{
    TlbLint *lint = core->lint;
    if (!(lint->cr0 & CR0_PG))
        return;
    UsedPage *page = &lint->pages[linear >> 12];
    Entries entries = lint_walk(core, linear);
    watch_tables(core, &entries);
    if (!is_alive(lint, page) || !page->stale)
        return;
    if (lint_serves_alike(core, &page->entries, &entries, access, mmu))
        return;
    add_finding(core, page, linear, access, ra);
    end_page(page);
}

/* It succeeded: the translation may be kept from here on. */
void tlb_lint_filled(Core *core, uint32_t linear)
{
    TlbLint *lint = core->lint;
    UsedPage *page = &lint->pages[linear >> 12];
    if (!(lint->cr0 & CR0_PG) || (is_alive(lint, page) && page->stale))
        return;
    Entries entries = lint_walk(core, linear);
    Region *region = &lint->regions[lint_region_of(lint, linear)];
    if (!entries.complete)
        return;
    bool global = lint->cr4 & CR4_PGE && entries.value[entries.count - 1] & ENTRY_GLOBAL;
    *page = (UsedPage){
        .entries = entries,
        .generation = global ? lint->global_generation : lint->generation,
        .global = global,
    };
    for (int i = 0; i < 2; i++)
        region->frames[i] = i < entries.count ? entries.at[i] >> 12 : FRAMES;
    region->generation = lint->generation;
    region->has_global |= global;
    region->has_large |= entries.count == 1;
}
