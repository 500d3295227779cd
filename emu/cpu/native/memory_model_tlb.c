/* Translation in the memory model: TLBs, the page walk and its cost, flushes.
 *
 * An entry serves an access if it has the rights for it, and D for a write: the TLBs hold D, U/S and R/W (the attribute
 * bits of TR6).  One that does not is dropped, and the tables are walked.
 *
 * Source: i486 figure 3-7 of Embedded Intel486 HRM; 80386 data sheet 4.5.4 and TR6, TR7; P5 DevMan 1997, s2.5.2;
 * Intel SDM Vol. 3A, "Invalidating TLBs", "Details of TLB Use".
 * Decisions: the i386's TLB replaces like the i486's (its manuals are silent).  A walk that ends in a page fault sets
 * no A bit and fills nothing.  The small pages' TLB is asked before the large pages'.  A walk's work besides its
 * accesses and the work of an update are set so that an i486 without wait states and with neither entry in the cache
 * takes its 13, 21 or 28 bus clocks: docs/timing.md, D35.
 */
#include <string.h>

#include "memory_model_internal.h"

static bool serves(const MemoryModel *model, uint32_t rights, bool writes, bool user)
{
    if (user && !(rights & RIGHT_USER))
        return false;
    bool protects = user || (model->geometry.has_write_protect && model->cr0 & CR0_WP);
    return !writes || rights & RIGHT_WRITE || !protects;
}

/* ---- sets and ways ----------------------------------------------------------------------------------------------- */

static ModelTlbEntry *find(ModelTlb *tlb, uint32_t linear, uint32_t *set)
{
    uint32_t page = linear >> tlb->page_shift;
    *set = page & tlb->set_mask;
    ModelTlbEntry *entry = &tlb->entries[*set * tlb->ways];
    for (uint32_t way = 0; way < tlb->ways; way++, entry++)
        if (entry->page == page && entry->rights)
            return entry;
    return NULL;
}

/* The keys whose page lies in this set, or with `set` NO_KEY all of that TLB's. */
static void forget_pages(MemoryModel *model, const ModelTlb *tlb, uint32_t set)
{
    enum { CODE = 2 * MEMORY_FETCH };
    uint32_t row = set == NO_KEY ? 0 : set & model->page_mask, last = set == NO_KEY ? model->page_mask : row;
    bool unified = !model->geometry.code_tlb_entries;
    for (; row <= last; row++) {
        int first = unified || tlb != &model->code_tlb ? 0 : CODE;
        int end = unified || tlb == &model->code_tlb ? FILTER_COLUMNS : CODE;
        for (int column = first; column < end; column++)
            model->page_keys[row][column].page = NO_KEY;
    }
}

static void touch(ModelTlb *tlb, uint32_t set, uint32_t way)
{
    way_touch(touch_of(&tlb->recent[set], tlb->ways, way));
}

static void fill(MemoryModel *model, ModelTlb *tlb, uint32_t linear, uint32_t frame, uint32_t rights)
{
    uint32_t page = linear >> tlb->page_shift, set = page & tlb->set_mask, way = 0;
    ModelTlbEntry *ways = &tlb->entries[set * tlb->ways];
    while (way < tlb->ways && ways[way].rights)
        way++;
    if (way == tlb->ways) {
        way = replacement_victim(tlb->recent[set], tlb->ways);
        model->outcome |= OUTCOME_TLB_EVICTION;
        model->counters.tlb_evictions++;
    }
    ways[way] = (ModelTlbEntry){page, frame, rights};
    touch(tlb, set, way);
    forget_pages(model, tlb, tlb == &model->large_tlb ? NO_KEY : set);
    filter_forget_lines(model); /* keys are linear, and this page may be somewhere else now */
}

static void flush(ModelTlb *tlb)
{
    for (uint32_t i = 0; i < TLB_ENTRIES_MAX; i++)
        tlb->entries[i].rights = 0;
}

static void flush_all(MemoryModel *model)
{
    flush(&model->data_tlb);
    flush(&model->code_tlb);
    flush(&model->large_tlb);
    filter_forget(model);
}

/* ---- the walk ---------------------------------------------------------------------------------------------------- */

static void update(MemoryModel *model, uint32_t at, uint32_t bits, uint32_t outcome, uint32_t *updates, int64_t *now)
{
    *now = cache_model_walk_update(model, at, (*updates)++ > 0, *now);
    model->outcome |= outcome;
    model->counters.updates++;
    if (model->tables.set)
        model->tables.set(model->tables.context, at, bits);
}

/* Walks; fills the TLB and returns the entry's frame (of 4 KiB) and rights; false for a page fault. */
static bool walk(MemoryModel *model, uint32_t linear, MemoryKind kind, bool user, int64_t *now, uint32_t *frame,
                 uint32_t *rights)
{
    enum { ACCESSED = 0x20, LARGE = 0x80 };
    bool writes = kind == MEMORY_WRITE, caches = model->geometry.has_write_protect;
    uint32_t pde_at = (model->cr3 & 0xFFFFF000) | (linear >> 20 & 0xFFC), pte_at = 0, pte, updates = 0;
    *now += model->walk_clocks;
    *now = cache_model_walk_read(model, pde_at, caches ? model->cr3 : 0, *now);
    uint32_t pde = model->tables.read(model->tables.context, pde_at);
    if (!(pde & RIGHT_PRESENT))
        return false;
    bool large = model->cr4 & CR4_PSE && pde & LARGE;
    if (large) {
        pte = pde;
        *frame = (pde >> 12 & ~0x3FFu) | (linear >> 12 & 0x3FF);
    } else {
        pte_at = (pde & 0xFFFFF000) | (linear >> 10 & 0xFFC);
        *now = cache_model_walk_read(model, pte_at, caches ? pde : 0, *now);
        pte = model->tables.read(model->tables.context, pte_at);
        if (!(pte & RIGHT_PRESENT))
            return false;
        *frame = pte >> 12;
    }
    *rights = (pte & pde & (RIGHT_WRITE | RIGHT_USER)) | (pte & RIGHT_DIRTY) | RIGHT_PRESENT;
    if (caches)
        *rights |= pte & (ATTRIBUTE_PCD | ATTRIBUTE_PWT);
    if (!serves(model, *rights, writes, user))
        return false;
    uint32_t wanted = ACCESSED | (writes ? RIGHT_DIRTY : 0);
    if (~pde & (large ? wanted : ACCESSED))
        update(model, pde_at, large ? wanted : ACCESSED, OUTCOME_PDE_UPDATE, &updates, now);
    if (!large && ~pte & wanted)
        update(model, pte_at, wanted, OUTCOME_PTE_UPDATE, &updates, now);
    if (writes)
        *rights |= RIGHT_DIRTY;
    bool code = kind == MEMORY_FETCH && model->geometry.code_tlb_entries;
    if (large && !code && model->geometry.large_tlb_entries)
        fill(model, &model->large_tlb, linear, *frame >> 10, *rights);
    else
        fill(model, code ? &model->code_tlb : &model->data_tlb, linear, *frame, *rights);
    return true;
}

static WayTouch touch_of_entry(ModelTlb *tlb, const ModelTlbEntry *entry)
{
    uint32_t number = (uint32_t)(entry - tlb->entries), set = number / tlb->ways;
    return touch_of(&tlb->recent[set], tlb->ways, number - set * tlb->ways);
}

/* The entry for this access, touched, or NULL.  One that may not serve it is dropped. */
static const ModelTlbEntry *look_up(MemoryModel *model, ModelTlb *tlb, uint32_t linear, bool writes, bool user)
{
    uint32_t set;
    ModelTlbEntry *entry = find(tlb, linear, &set);
    if (!entry)
        return NULL;
    if (serves(model, entry->rights, writes, user) && (!writes || entry->rights & RIGHT_DIRTY)) {
        touch(tlb, set, (uint32_t)(entry - tlb->entries) & (tlb->ways - 1));
        return entry;
    }
    entry->rights = 0;
    filter_forget(model);
    model->outcome |= OUTCOME_TLB_DROPPED;
    model->counters.tlb_dropped++;
    return NULL;
}

/* ---- what the other files call ----------------------------------------------------------------------------------- */

bool tlb_model_translate(MemoryModel *model, uint32_t linear, MemoryKind kind, bool user, int64_t *now,
                         uint32_t *physical, uint32_t *attributes)
{
    uint32_t page = linear >> 12, frame = page, rights = 0;
    PageKey *key = page_key(model, linear, kind, user ? MEMORY_USER : 0);
    if (key->page == page) {
        way_touch(key->touch);
        *physical = key->frame << 12 | (linear & 0xFFF);
        *attributes = key->rights;
        return true;
    }
    WayTouch touch = {&model->untouched, 0, 0};
    bool has_key = true;
    if (!(model->cr0 & CR0_PG)) {
        *physical = linear;
        *attributes = 0;
    } else if (model->cr4 & CR4_PAE) {
        *physical = linear;
        *attributes = 0;
        model->outcome |= OUTCOME_UNMODELLED;
        model->counters.unmodelled++;
        return true;
    } else {
        bool code = kind == MEMORY_FETCH && model->geometry.code_tlb_entries, writes = kind == MEMORY_WRITE;
        ModelTlb *small = code ? &model->code_tlb : &model->data_tlb;
        const ModelTlbEntry *entry = look_up(model, small, linear, writes, user);
        if (entry) {
            frame = entry->frame;
            rights = entry->rights;
            touch = touch_of_entry(small, entry);
        } else if (!code && model->geometry.large_tlb_entries &&
                   (entry = look_up(model, &model->large_tlb, linear, writes, user))) {
            frame = entry->frame << 10 | (linear >> 12 & 0x3FF);
            rights = entry->rights;
            touch = touch_of_entry(&model->large_tlb, entry);
        } else {
            int64_t before = *now;
            has_key = false; /* the next access finds its way */
            model->outcome |= OUTCOME_TLB_MISS;
            code ? model->counters.code_tlb_misses++ : model->counters.data_tlb_misses++;
            bool found = walk(model, linear, kind, user, now, &frame, &rights);
            model->counters.walk_clocks += *now - before;
            if (!found) {
                model->outcome |= OUTCOME_FAULT;
                model->counters.faults++;
                return false;
            }
        }
        *physical = frame << 12 | (linear & 0xFFF);
        *attributes = rights;
    }
    if (has_key)
        *key = (PageKey){page, frame, rights, cache_model_fills(model, frame, rights), touch};
    return true;
}

void memory_model_control(MemoryModel *model, uint32_t cr0, uint32_t cr3, uint32_t cr4, ControlEvent event)
{
    uint32_t cr0_changed = model->cr0 ^ cr0, cr3_changed = model->cr3 ^ cr3, cr4_changed = model->cr4 ^ cr4;
    model->cr0 = cr0;
    model->cr3 = cr3;
    model->cr4 = cr4;
    cache_model_control(model);
    uint64_t *flushes = NULL;
    if (event == CONTROL_CR3)
        flushes = &model->counters.flushes_cr3;
    else if (event == CONTROL_TASK_SWITCH && cr3_changed)
        flushes = &model->counters.flushes_task;
    else if (model->geometry.flushes_on_mode_change &&
             (cr0_changed & (CR0_PG | CR0_PE) || cr4_changed & (CR4_PSE | CR4_PAE)))
        flushes = &model->counters.flushes_mode;
    if (flushes) {
        (*flushes)++;
        flush_all(model);
    }
    filter_forget(model);
}

void memory_model_invlpg(MemoryModel *model, uint32_t linear)
{
    ModelTlb *tlbs[] = {&model->data_tlb, &model->code_tlb, &model->large_tlb};
    for (int i = 0; i < 3; i++) {
        uint32_t set;
        ModelTlbEntry *entry = find(tlbs[i], linear, &set);
        if (entry)
            entry->rights = 0;
    }
    model->counters.invlpgs++;
    filter_forget(model);
}
