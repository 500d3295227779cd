/* The caches of the memory model: lines, replacement, write-through or MESI, snoops.
 *
 * Source: Embedded Intel486 HRM, chapter 3 and 9 (write-through, no allocation on writes, invalid way first, the
 * processor goes on behind a fill's first transfer); P5 DevMan 1997, table 2-1 (CD and NW), s2.6.3 (fills and
 * write-backs), s3.4.3.4.1 (locked cycles invalidate the line), s6.4.3.2 (page table cycles), s6.5.3 (internal snoops).
 * Decisions: a second access to a line that is being filled waits until it is whole.  A modified line that makes room
 * is written back behind the fill.  WB/WT# is high, so a line is filled exclusive, or shared if its page is PWT.  A
 * walk of the Pentium that reads a modified line writes it back and invalidates it, as other internal snoops do.
 */
#include <stdlib.h>
#include <string.h>

#include "memory_model_lines.h"

/* ---- fills and write-backs --------------------------------------------------------------------------------------- */

static void write_line_back(MemoryModel *model, int64_t now)
{
    model->outcome |= OUTCOME_WRITE_BACK;
    model->counters.write_backs++;
    bus_locked(model, now, model->line_write_clocks);
}

/* An internal snoop: what is modified there is written back first. */
static void drop_data_line(MemoryModel *model, uint32_t line, int64_t now)
{
    uint32_t index = find(&model->data_cache, line);
    if (index == NO_KEY)
        return;
    if (model->data_cache.states[index] == LINE_MODIFIED)
        write_line_back(model, now);
    invalidate(&model->data_cache, index);
    forget_key(model, &model->data_cache, line);
}

/* Self-modifying code: no line is in both caches, so this is due only where the data cache misses or writes through. */
static inline void drop_code_line(MemoryModel *model, uint32_t line)
{
    uint32_t index = find(&model->code_cache, line);
    if (index == NO_KEY)
        return;
    invalidate(&model->code_cache, index);
    forget_key(model, &model->code_cache, line);
    model->outcome |= OUTCOME_CODE_DROPPED;
    model->counters.code_dropped++;
}

/* How the line's way is touched again; it is whole at `model->fill_ends`. */
static WayTouch fill(MemoryModel *model, ModelCache *cache, uint32_t line, uint32_t attributes, int64_t now)
{
    uint32_t set = set_of(cache, line), first = set * cache->ways, invalid = ways_with(cache, first, NO_KEY), index;
    int64_t start = bus_read(model, now, model->fill_clocks);
    if (invalid) {
        index = first + (uint32_t)__builtin_ctz(invalid);
    } else {
        index = first + replacement_victim(cache->recent[set], cache->ways);
        model->outcome |= OUTCOME_CACHE_EVICTION;
        model->counters.cache_evictions++;
        if (cache->states[index] == LINE_MODIFIED)
            write_line_back(model, start + model->fill_clocks);
        forget_key(model, cache, cache->tags[index]);
    }
    cache->tags[index] = line;
    bool owned = model->geometry.write_back && cache != &model->code_cache && !(attributes & ATTRIBUTE_PWT);
    cache->states[index] = owned ? LINE_EXCLUSIVE : LINE_SHARED;
    forget(model, MEMORY_WRITE, line); /* it was absent */
    model->fill_line = line;
    model->fill_ends = start + model->fill_clocks;
    return touch(cache, line, index);
}

/* ---- reads ------------------------------------------------------------------------------------------------------- */

static int64_t read_bus(MemoryModel *model, uint32_t physical, uint32_t size, int64_t now)
{
    int64_t clocks = bus_transfers(model, physical, size) * model->read_clocks;
    int64_t start = bus_read(model, now, clocks);
    model->outcome |= OUTCOME_UNCACHED;
    model->counters.uncached++;
    return start + take_credit(model, clocks) + model->geometry.miss_clocks;
}

static int64_t read(MemoryModel *model, uint32_t linear, uint32_t physical, uint32_t size, MemoryKind kind,
                           uint32_t flags, uint32_t attributes, int64_t now)
{
    bool code = kind == MEMORY_FETCH;
    uint32_t line = physical >> model->line_shift;
    ModelCache *cache = code && has_code_cache(model) ? &model->code_cache : &model->data_cache;
    if (!cache->lines)
        return read_bus(model, physical, size, now);
    uint32_t index = find(cache, line);
    if (index != NO_KEY) {
        now = wait_for_fill(model, line, now);
        set_key(model, linear, kind, flags, line, touch(cache, line, index), BUS_IDLE, 0);
        return now;
    }
    model->outcome |= OUTCOME_CACHE_MISS;
    cache == &model->code_cache ? model->counters.code_cache_misses++ : model->counters.data_cache_misses++;
    if (cache == &model->code_cache)
        drop_data_line(model, line, now);
    else
        drop_code_line(model, line);
    if (!may_fill(model, physical, attributes))
        return read_bus(model, physical, size, now);
    set_key(model, linear, kind, flags, line, fill(model, cache, line, attributes, now), BUS_IDLE, TAG_FILLING);
    return fill_begins(model) + model->geometry.miss_clocks;
}

/* ---- writes ------------------------------------------------------------------------------------------------------ */

static int64_t write_bus(MemoryModel *model, uint32_t physical, uint32_t size, bool hit, int64_t now)
{
    int64_t count = bus_transfers(model, physical, size);
    do
        now = bus_write(model, now, hit);
    while (__builtin_expect(--count > 0, false));
    return now;
}

static int64_t write(MemoryModel *model, uint32_t linear, uint32_t physical, uint32_t size, uint32_t flags,
                            uint32_t attributes, int64_t now)
{
    uint32_t line = physical >> model->line_shift;
    ModelCache *cache = &model->data_cache;
    uint32_t index = find(cache, line);
    if (index == NO_KEY || cache->states[index] == LINE_SHARED)
        drop_code_line(model, line);
    if (index == NO_KEY) {
        if (cache->lines) {
            model->outcome |= OUTCOME_CACHE_MISS;
            model->counters.write_misses++;
            if (!has_code_cache(model)) /* where it would have to be dropped from */
                set_key(model, linear, MEMORY_WRITE, flags, line, (WayTouch){&model->untouched, 0, 0}, BUS_ABSENT, 0);
        }
        return write_bus(model, physical, size, false, now);
    }
    now = wait_for_fill(model, line, now);
    if (cache->states[index] == LINE_SHARED) {
        if (!(model->cr0 & CR0_NW)) /* "not write-through": only the cache changes */
            now = write_bus(model, physical, size, true, now);
        if (model->geometry.write_back && !(attributes & ATTRIBUTE_PWT) && !(model->cr0 & CR0_NW))
            cache->states[index] = LINE_EXCLUSIVE;
    } else {
        cache->states[index] = LINE_MODIFIED;
    }
    WayTouch again = touch(cache, line, index);
    if (!model->geometry.write_back || cache->states[index] == LINE_MODIFIED)
        set_key(model, linear, MEMORY_WRITE, flags, line, again, model->writes_through ? BUS_HIT : BUS_IDLE, 0);
    return now;
}

/* ---- what the other files call ----------------------------------------------------------------------------------- */

int64_t cache_model_access(MemoryModel *model, uint32_t linear, uint32_t physical, uint32_t size, MemoryKind kind,
                           uint32_t flags, uint32_t attributes, int64_t now)
{
    if (kind == MEMORY_WRITE)
        return write(model, linear, physical, size, flags, attributes, now);
    return read(model, linear, physical, size, kind, flags, attributes, now);
}

/* Locked cycles go to the bus whatever the cache holds; a write-back cache lets go of the line first. */
static void leave_cache(MemoryModel *model, uint32_t physical, int64_t now)
{
    uint32_t line = physical >> model->line_shift;
    if (model->geometry.write_back)
        drop_data_line(model, line, now);
    drop_code_line(model, line);
}

int64_t cache_model_locked(MemoryModel *model, uint32_t physical, uint32_t size, bool writes, int64_t now)
{
    leave_cache(model, physical, now);
    int64_t clocks = bus_transfers(model, physical, size) * (writes ? model->write_clocks : model->read_clocks);
    return bus_locked(model, now, clocks) - (clocks - take_credit(model, clocks));
}

int64_t cache_model_walk_read(MemoryModel *model, uint32_t physical, uint32_t attributes, int64_t now)
{
    uint32_t line = physical >> model->line_shift;
    ModelCache *cache = &model->data_cache;
    uint32_t index = find(cache, line);
    bool cached = model->geometry.walks_in_cache && cache->lines;
    if (cached && index != NO_KEY) {
        touch(cache, line, index);
        return wait_for_fill(model, line, now) + model->geometry.walk_hit_clocks;
    }
    model->outcome |= OUTCOME_WALK_MISS;
    model->counters.walk_misses++;
    if (!cached && index != NO_KEY && cache->states[index] == LINE_MODIFIED)
        drop_data_line(model, line, now);
    if (!cached || !may_fill(model, physical, attributes))
        return bus_read(model, now, model->read_clocks) + model->read_clocks;
    fill(model, cache, line, attributes, now);
    return model->fill_ends;
}

int64_t cache_model_walk_update(MemoryModel *model, uint32_t physical, bool second, int64_t now)
{
    leave_cache(model, physical, now);
    return bus_locked(model, now, model->update_clocks[second]);
}

int64_t memory_model_flush_cache(MemoryModel *model, bool write_back, int64_t now)
{
    int64_t end = now;
    ModelCache *caches[] = {&model->data_cache, &model->code_cache};
    for (int c = 0; c < 2; c++) {
        for (uint32_t i = 0; i < caches[c]->lines; i++) {
            if (write_back && caches[c]->states[i] == LINE_MODIFIED) {
                write_line_back(model, now);
                end = model->bus_free;
            }
            invalidate(caches[c], i);
        }
    }
    filter_forget(model);
    model->counters.stall_clocks += (uint64_t)(end - now);
    return end - now;
}

void memory_model_snoop(MemoryModel *model, uint32_t physical, uint32_t size, bool writes, int64_t now)
{
    if (model->cr0 & CR0_NW)
        return;
    uint32_t last = (physical + size - 1) >> model->line_shift;
    ModelCache *caches[] = {&model->data_cache, &model->code_cache};
    for (uint32_t line = physical >> model->line_shift; line <= last; line++) {
        for (int c = 0; c < 2; c++) {
            uint32_t index = find(caches[c], line);
            if (index == NO_KEY)
                continue;
            if (caches[c]->states[index] == LINE_MODIFIED)
                write_line_back(model, now);
            if (writes)
                invalidate(caches[c], index);
            else
                caches[c]->states[index] = LINE_SHARED;
            forget_key(model, caches[c], line);
            model->counters.snooped_lines++;
        }
    }
}

void cache_model_control(MemoryModel *model)
{
    model->writes_through = !model->geometry.write_back && !(model->cr0 & CR0_NW);
    model->write_bytes = model->writes_through ? model->geometry.bus_bytes : 0;
}

bool cache_model_fills(const MemoryModel *model, uint32_t frame, uint32_t attributes)
{
    uint32_t first = frame << 12, last = first + 4095, from = model->geometry.uncached_from;
    return may_fill(model, first, attributes) && may_fill(model, last, attributes) && !(from > first && from <= last);
}

const char *cache_model_init(MemoryModel *model)
{
    const MemoryGeometry *geometry = &model->geometry;
    struct {
        ModelCache *cache;
        uint32_t bytes;
    } caches[] = {{&model->data_cache, geometry->data_cache_bytes}, {&model->code_cache, geometry->code_cache_bytes}};
    for (int c = 0; c < 2; c++) {
        ModelCache *cache = caches[c].cache;
        if (!caches[c].bytes)
            continue;
        uint32_t lines = caches[c].bytes / geometry->line_bytes, sets = lines / geometry->cache_ways;
        if (!is_power_of_two(sets) || sets * geometry->cache_ways * geometry->line_bytes != caches[c].bytes)
            return "the cache's size must be ways times lines times a power of two of sets";
        cache->lines = lines;
        cache->ways = geometry->cache_ways;
        cache->set_mask = sets - 1;
        cache->tags = calloc(lines, sizeof *cache->tags);
        cache->states = calloc(lines, 1);
        cache->recent = calloc(sets, 1);
        if (!cache->tags || !cache->states || !cache->recent)
            return "there is no memory for the cache's model";
        memset(cache->tags, 0xFF, lines * sizeof *cache->tags);
    }
    return NULL;
}

void cache_model_end(MemoryModel *model)
{
    ModelCache *caches[] = {&model->data_cache, &model->code_cache};
    for (int c = 0; c < 2; c++) {
        free(caches[c]->tags);
        free(caches[c]->states);
        free(caches[c]->recent);
        *caches[c] = (ModelCache){0};
    }
}
