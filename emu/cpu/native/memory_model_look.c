/* What the filter lets by: a line that it does not know, mostly in a page that it does.
 *
 * In a loop that goes through memory, this is each line's first accesses, so it is as short as can be for the most common
 * memory system: one cache of 4 ways that is written through, the i486's.  All else goes the way of any access.
 */
#include "memory_model_lines.h"

/* ---- any memory system ------------------------------------------------------------------------------------------- */

NOT_INLINE int64_t look_anywhere(MemoryModel *model, uint32_t linear, uint32_t size, MemoryKind kind, uint32_t flags,
                                 int64_t now)
{
    model->outcome = model->physical = 0;
    int64_t clocks = access_model_any(model, linear, size, kind, flags, now) - now;
    if (!model->filters)
        filter_forget(model);
    model->counters.stall_clocks += (uint64_t)clocks;
    return clocks;
}

/* In a page that the filter knows: the TLB is not asked. */
NOT_INLINE int64_t look_in_page(MemoryModel *model, uint32_t linear, uint32_t size, MemoryKind kind, uint32_t flags,
                                int64_t now)
{
    const PageKey *page = page_key(model, linear, kind, flags);
    uint32_t physical = page->frame << 12 | (linear & 0xFFF);
    way_touch(page->touch);
    model->outcome = 0;
    model->physical = physical;
    model->credit = model->table_clocks * ((size + 3) / 4);
    int64_t clocks = cache_model_access(model, linear, physical, size, kind, flags, page->rights, now) - now;
    model->counters.stall_clocks += (uint64_t)clocks;
    return clocks;
}

/* ---- a unified cache, written through ---------------------------------------------------------------------------- */

/* As in memory_model_cache.c, with what is known: no way of it is ever modified. */
ALWAYS_INLINE WayTouch fill(MemoryModel *model, uint32_t line, int64_t now)
{
    ModelCache *cache = &model->data_cache;
    uint32_t set = set_of(cache, line), first = set * 4, invalid = four_ways_with(cache, first, NO_KEY), way;
    int64_t start = bus_read(model, now, model->fill_clocks);
    if (__builtin_expect(invalid != 0, false)) {
        way = (uint32_t)__builtin_ctz(invalid);
    } else {
        way = replacement_victim(cache->recent[set], 4);
        model->outcome |= OUTCOME_CACHE_EVICTION;
        model->counters.cache_evictions++;
        uint32_t old = cache->tags[first + way];
        forget(model, MEMORY_READ, old);
        forget(model, MEMORY_WRITE, old);
        forget(model, MEMORY_FETCH, old);
    }
    cache->tags[first + way] = line;
    cache->states[first + way] = LINE_SHARED;
    forget(model, MEMORY_WRITE, line); /* it was absent */
    model->fill_line = line;
    model->fill_ends = start + model->fill_clocks;
    WayTouch touch = touch_of(&cache->recent[set], 4, way);
    way_touch(touch);
    return touch;
}

ALWAYS_INLINE int64_t read(MemoryModel *model, uint32_t linear, uint32_t line, MemoryKind kind, uint32_t flags, int64_t now)
{
    ModelCache *cache = &model->data_cache;
    uint32_t set = set_of(cache, line), found = four_ways_with(cache, set * 4, line);
    WayTouch touch;
    uint64_t filling = 0;
    if (found) {
        touch = touch_of(&cache->recent[set], 4, (uint32_t)__builtin_ctz(found));
        way_touch(touch);
        now = wait_for_fill(model, line, now);
    } else {
        model->outcome |= OUTCOME_CACHE_MISS;
        model->counters.data_cache_misses++;
        touch = fill(model, line, now);
        now = fill_begins(model) + model->geometry.miss_clocks;
        filling = TAG_FILLING;
    }
    set_key(model, linear, kind, flags, line, touch, BUS_IDLE, filling);
    return now;
}

ALWAYS_INLINE int64_t write(MemoryModel *model, uint32_t linear, uint32_t line, uint32_t flags, int64_t now)
{
    ModelCache *cache = &model->data_cache;
    uint32_t set = set_of(cache, line), found = four_ways_with(cache, set * 4, line);
    WayTouch touch = {&model->untouched, 0, 0};
    if (found) {
        touch = touch_of(&cache->recent[set], 4, (uint32_t)__builtin_ctz(found));
        way_touch(touch);
        now = wait_for_fill(model, line, now);
    } else {
        model->outcome |= OUTCOME_CACHE_MISS;
        model->counters.write_misses++;
    }
    set_key(model, linear, MEMORY_WRITE, flags, line, touch, found ? BUS_HIT : BUS_ABSENT, 0);
    return bus_write(model, now, found);
}

ALWAYS_INLINE int64_t look(MemoryModel *model, uint32_t linear, uint32_t size, MemoryKind kind, uint32_t flags,
                           int64_t now)
{
    LineKey *key = memory_model_key(model, linear, kind);
    uint64_t tag = memory_model_tag(model, linear, size, flags);
    int64_t then;
    if (kind != MEMORY_WRITE && key->tag == (tag | TAG_FILLING) && !(flags & MEMORY_LOCKED)) {
        key->tag = tag;
        memory_model_touch(key);
        model->outcome = 0;
        model->physical = key->physical << model->line_shift | (linear & ~model->line_base);
        then = wait_for_fill(model, key->physical, now);
    } else {
        const PageKey *page = page_key(model, linear, kind, flags);
        uint32_t physical = page->frame << 12 | (linear & 0xFFF), line = physical >> model->line_shift;
        if (page->page != linear >> 12 || linear & (size - 1) || size & (size - 1) || flags & MEMORY_LOCKED)
            return look_anywhere(model, linear, size, kind, flags, now);
        if (!model->is_unified || !(kind == MEMORY_WRITE ? size <= model->write_bytes : page->fills))
            return look_in_page(model, linear, size, kind, flags, now);
        way_touch(page->touch);
        model->outcome = 0;
        model->physical = physical;
        then = kind == MEMORY_WRITE ? write(model, linear, line, flags, now) : read(model, linear, line, kind, flags, now);
    }
    model->counters.stall_clocks += (uint64_t)(then - now);
    return then - now;
}

int64_t memory_model_look_read(MemoryModel *model, uint32_t linear, uint32_t size, uint32_t flags, int64_t now)
{
    return look(model, linear, size, MEMORY_READ, flags, now);
}

int64_t memory_model_look_write(MemoryModel *model, uint32_t linear, uint32_t size, uint32_t flags, int64_t now)
{
    return look(model, linear, size, MEMORY_WRITE, flags, now);
}

int64_t memory_model_look_fetch(MemoryModel *model, uint32_t linear, uint32_t size, uint32_t flags, int64_t now)
{
    return look(model, linear, size, MEMORY_FETCH, flags, now);
}
