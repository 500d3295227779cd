/* What the filter lets by: a line that it does not know, mostly in a page that it does.
 *
 * In a loop that goes through memory, this is each line's first accesses, so it is as short as can be for the most
 * common memory system: one cache of 4 ways that is written through, the i486's.  All else goes the way of any access.
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

/* As in memory_model_cache.c, with what is known: no line of it is ever modified, and as keys are chosen by bits that
 * choose sets too, what makes room has its keys where those of the new line are: `keys`, of reads, and behind it. */
ALWAYS_INLINE WayTouch fill(MemoryModel *model, LineKey *keys, uint32_t line, int64_t now)
{
    ModelCache *cache = &model->data_cache;
    uint32_t set = set_of(cache, line), *tags = cache->tags + set * 4;
    uint32_t invalid = four_ways_with(cache, set * 4, NO_KEY), way;
    LineKey *reads = keys, *writes = keys + FILTER_LINES * MEMORY_WRITE, *fetches = keys + FILTER_LINES * MEMORY_FETCH;
    int64_t start = bus_read(model, now, model->fill_clocks);
    if (__builtin_expect(invalid != 0, false)) {
        way = (uint32_t)__builtin_ctz(invalid);
    } else {
        way = replacement_victim(cache->recent[set], 4);
        model->outcome |= OUTCOME_CACHE_EVICTION;
        model->counters.cache_evictions++;
        forget_at(reads, tags[way]);
        forget_at(writes, tags[way]);
        forget_at(fetches, tags[way]);
    }
    forget_at(writes, line); /* it was absent */
    tags[way] = line;
    cache->states[set * 4 + way] = LINE_SHARED;
    model->fill_line = line;
    model->fill_ends = start + model->fill_clocks;
    WayTouch touch = touch_of(&cache->recent[set], 4, way);
    way_touch(touch);
    return touch;
}

/* `line` is in one of the ways `found` of its set: touches it, and returns the clock when it is whole. */
ALWAYS_INLINE int64_t hit(MemoryModel *model, uint32_t line, uint32_t found, WayTouch *touch, int64_t now)
{
    ModelCache *cache = &model->data_cache;
    *touch = touch_of(&cache->recent[set_of(cache, line)], 4, (uint32_t)__builtin_ctz(found));
    way_touch(*touch);
    return wait_for_fill(model, line, now);
}

/* Of `line`, which `page` and the key of `tag` are for: the clock when the processor goes on. */
ALWAYS_INLINE int64_t read(MemoryModel *model, LineKey *keys, MemoryKind kind, const PageKey *page, uint64_t tag,
                           uint32_t line, int64_t now)
{
    const ModelCache *cache = &model->data_cache;
    uint32_t found = four_ways_with(cache, set_of(cache, line) * 4, line);
    WayTouch touch;
    if (found) {
        now = hit(model, line, found, &touch, now);
    } else {
        model->outcome |= OUTCOME_CACHE_MISS;
        model->counters.data_cache_misses++;
        touch = fill(model, keys, line, now);
        now = fill_begins(model) + model->geometry.miss_clocks;
        tag |= TAG_FILLING;
    }
    put_key(keys + FILTER_LINES * kind, page, tag, line, touch, BUS_IDLE);
    return now;
}

ALWAYS_INLINE int64_t write(MemoryModel *model, LineKey *keys, const PageKey *page, uint64_t tag, uint32_t line,
                            int64_t now)
{
    const ModelCache *cache = &model->data_cache;
    uint32_t found = four_ways_with(cache, set_of(cache, line) * 4, line);
    WayTouch touch = {&model->untouched, 0, 0};
    if (found) {
        now = hit(model, line, found, &touch, now);
    } else {
        model->outcome |= OUTCOME_CACHE_MISS;
        model->counters.write_misses++;
    }
    put_key(keys + FILTER_LINES * MEMORY_WRITE, page, tag, line, touch, found ? BUS_HIT : BUS_ABSENT);
    return bus_write(model, now, found);
}

/* The line is not known. */
ALWAYS_INLINE int64_t look_for_line(MemoryModel *model, uint32_t linear, uint32_t size, MemoryKind kind, uint32_t flags,
                                    int64_t now)
{
    const PageKey *page = page_key(model, linear, kind, flags);
    uint32_t physical = page->frame << 12 | (linear & 0xFFF), line = physical >> model->line_shift;
    if (page->page != linear >> 12 || linear & (size - 1) || size & (size - 1) || flags & MEMORY_LOCKED)
        return look_anywhere(model, linear, size, kind, flags, now);
    if (!model->is_unified || !(kind == MEMORY_WRITE ? size <= model->write_bytes : page->fills))
        return look_in_page(model, linear, size, kind, flags, now);
    way_touch(page->touch);
    model->outcome = 0;
    model->physical = physical;
    LineKey *keys = memory_model_key(model, linear, MEMORY_READ);
    uint64_t tag = memory_model_tag(model, linear & model->line_base, 1, flags);
    int64_t then = kind == MEMORY_WRITE ? write(model, keys, page, tag, line, now)
                                        : read(model, keys, kind, page, tag, line, now);
    model->counters.stall_clocks += (uint64_t)(then - now);
    return then - now;
}

NOT_INLINE int64_t look_for_read(MemoryModel *model, uint32_t linear, uint32_t size, uint32_t flags, int64_t now)
{
    return look_for_line(model, linear, size, MEMORY_READ, flags, now);
}

NOT_INLINE int64_t look_for_fetch(MemoryModel *model, uint32_t linear, uint32_t size, uint32_t flags, int64_t now)
{
    return look_for_line(model, linear, size, MEMORY_FETCH, flags, now);
}

/* Whether the line was filled lately, and is not known to be whole; then also the clocks up to there. */
ALWAYS_INLINE bool wait_for_line(MemoryModel *model, uint32_t linear, uint32_t size, MemoryKind kind, uint32_t flags,
                                 int64_t now, int64_t *clocks)
{
    LineKey *key = memory_model_key(model, linear, kind);
    uint64_t tag = memory_model_tag(model, linear, size, flags);
    if (key->tag != (tag | TAG_FILLING) || flags & MEMORY_LOCKED)
        return false;
    key->tag = tag;
    memory_model_touch(key);
    model->outcome = 0;
    model->physical = key->physical << model->line_shift | (linear & ~model->line_base);
    *clocks = wait_for_fill(model, key->physical, now) - now;
    model->counters.stall_clocks += (uint64_t)*clocks;
    return true;
}

int64_t memory_model_look_read(MemoryModel *model, uint32_t linear, uint32_t size, uint32_t flags, int64_t now)
{
    int64_t clocks;
    if (wait_for_line(model, linear, size, MEMORY_READ, flags, now, &clocks))
        return clocks;
    return look_for_read(model, linear, size, flags, now);
}

int64_t memory_model_look_fetch(MemoryModel *model, uint32_t linear, uint32_t size, uint32_t flags, int64_t now)
{
    int64_t clocks;
    if (wait_for_line(model, linear, size, MEMORY_FETCH, flags, now, &clocks))
        return clocks;
    return look_for_fetch(model, linear, size, flags, now);
}

int64_t memory_model_look_write(MemoryModel *model, uint32_t linear, uint32_t size, uint32_t flags, int64_t now)
{
    return look_for_line(model, linear, size, MEMORY_WRITE, flags, now);
}
