/* What the files of the memory model ask of each other. */
#ifndef HILLEMU_MEMORY_MODEL_INTERNAL_H
#define HILLEMU_MEMORY_MODEL_INTERNAL_H

#include "memory_model.h"

enum { RIGHT_PRESENT = 1, RIGHT_WRITE = 2, RIGHT_USER = 4, RIGHT_DIRTY = 0x40 };
enum { ATTRIBUTE_PWT = 8, ATTRIBUTE_PCD = 0x10 };
enum { CR0_PE = 1, CR0_WP = 1 << 16, CR0_NW = 1 << 29, CR0_CD = 1 << 30, CR4_PSE = 1 << 4, CR4_PAE = 1 << 5 };
#define CR0_PG (1u << 31)

/* Way replacement.  4 ways: a tree of three bits, as the i486's cache and all TLBs have it; 2 ways: one bit.
 * A bit says which half to replace next.  Source: P5 DevMan 1997, s2.5 and figure 2-7; Embedded Intel486 HRM s3.3.3. */
static inline WayTouch touch_of(uint8_t *recent, uint32_t ways, uint32_t way)
{
    static const struct {
        uint8_t bits, put;
    } touches[5][4] = {[1] = {{0, 0}}, [2] = {{1, 1}, {1, 0}}, [4] = {{3, 3}, {3, 1}, {5, 4}, {5, 0}}};
    return (WayTouch){recent, touches[ways][way].bits, touches[ways][way].put};
}

static inline uint32_t replacement_victim(uint8_t bits, uint32_t ways)
{
    if (ways == 2)
        return bits;
    if (ways == 1)
        return 0;
    return bits & 1 ? (bits & 4 ? 3 : 2) : (bits & 2 ? 1 : 0);
}

static inline bool is_power_of_two(uint32_t number) { return number && !(number & (number - 1)); }

/* memory_model.c */
/* Any access, which may be split, misaligned or locked: the clock when the processor goes on. */
int64_t access_model_any(MemoryModel *model, uint32_t linear, uint32_t size, MemoryKind kind, uint32_t flags,
                         int64_t now);
void filter_forget(MemoryModel *model);
void filter_forget_lines(MemoryModel *model);
static inline PageKey *page_key(MemoryModel *model, uint32_t linear, MemoryKind kind, uint32_t flags)
{
    return &model->page_keys[linear >> 12 & model->page_mask][2 * (uint32_t)kind + (flags & MEMORY_USER)];
}
static inline bool has_code_cache(const MemoryModel *model) { return model->code_cache.lines != 0; }

/* memory_model_tlb.c */
/* Where `linear` is, with its caching attributes; false for a page fault.  Adds to `*now` what a walk takes. */
bool tlb_model_translate(MemoryModel *model, uint32_t linear, MemoryKind kind, bool user, int64_t *now,
                         uint32_t *physical, uint32_t *attributes);

/* memory_model_cache.c */
const char *cache_model_init(MemoryModel *model);
void cache_model_end(MemoryModel *model);
void cache_model_control(MemoryModel *model); /* behind a change of CR0 */
bool cache_model_fills(const MemoryModel *model, uint32_t frame, uint32_t attributes); /* each read of this frame */
/* One access inside a line: the clock when the processor goes on.  `linear` is for the filter. */
int64_t cache_model_access(MemoryModel *model, uint32_t linear, uint32_t physical, uint32_t size, MemoryKind kind,
                           uint32_t flags, uint32_t attributes, int64_t now);
int64_t cache_model_locked(MemoryModel *model, uint32_t physical, uint32_t size, bool writes, int64_t now);
/* An entry of the page tables: the walk waits for the whole line, and sets A or D with a locked read and write. */
int64_t cache_model_walk_read(MemoryModel *model, uint32_t physical, uint32_t attributes, int64_t now);
int64_t cache_model_walk_update(MemoryModel *model, uint32_t physical, bool second, int64_t now);

/* memory_model_bus.c */
int64_t bus_read_behind_writes(MemoryModel *model, int64_t now, int64_t clocks);
static inline int64_t bus_read(MemoryModel *model, int64_t now, int64_t clocks) /* the clock when it begins */
{
    if (model->bus_free > now)
        return bus_read_behind_writes(model, now, clocks);
    model->bus_free = now + clocks;
    return now;
}
int64_t bus_locked(MemoryModel *model, int64_t now, int64_t clocks); /* the clock when it ends */
static inline int64_t bus_transfers(const MemoryModel *model, uint32_t physical, uint32_t size)
{
    uint32_t shift = model->bus_shift, mask = (1u << shift) - 1;
    return ((physical & mask) + size + mask) >> shift;
}
static inline int64_t take_credit(MemoryModel *model, int64_t clocks)
{
    int64_t taken = model->credit < clocks ? model->credit : clocks;
    model->credit -= taken;
    return clocks - taken;
}

#endif
