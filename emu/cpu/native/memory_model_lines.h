/* Lines of the memory model's caches, and the filter's keys for them. */
#ifndef HILLEMU_MEMORY_MODEL_LINES_H
#define HILLEMU_MEMORY_MODEL_LINES_H

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "memory_model_internal.h"

/* ---- sets and ways ----------------------------------------------------------------------------------------------- */

static inline uint32_t set_of(const ModelCache *cache, uint32_t line) { return line & cache->set_mask; }

/* The ways of the set from `first` on with this tag, a bit each; an invalid line's is NO_KEY.  Which of 4 ways it is
 * cannot be predicted, so these are compared without branches. */
static inline uint32_t four_ways_with(const ModelCache *cache, uint32_t first, uint32_t tag)
{
    const uint32_t *tags = cache->tags + first;
#ifdef __SSE2__
    __m128i four = _mm_loadu_si128((const __m128i *)tags);
    return (uint32_t)_mm_movemask_ps(_mm_castsi128_ps(_mm_cmpeq_epi32(four, _mm_set1_epi32((int)tag))));
#else
    return (uint32_t)(tags[0] == tag) | (uint32_t)(tags[1] == tag) << 1 | (uint32_t)(tags[2] == tag) << 2 |
           (uint32_t)(tags[3] == tag) << 3;
#endif
}

static inline uint32_t ways_with(const ModelCache *cache, uint32_t first, uint32_t tag)
{
    if (cache->ways == 4)
        return four_ways_with(cache, first, tag);
    uint32_t found = 0;
    for (uint32_t way = 0; way < cache->ways; way++)
        found |= (uint32_t)(cache->tags[first + way] == tag) << way;
    return found;
}

static inline uint32_t find(const ModelCache *cache, uint32_t line) /* index of the line, or NO_KEY */
{
    if (!cache->lines)
        return NO_KEY;
    uint32_t first = set_of(cache, line) * cache->ways, ways = ways_with(cache, first, line);
    return ways ? first + (uint32_t)__builtin_ctz(ways) : NO_KEY;
}

static inline void invalidate(ModelCache *cache, uint32_t index)
{
    cache->states[index] = LINE_INVALID;
    cache->tags[index] = NO_KEY;
}

static inline void forget_at(LineKey *key, uint32_t line)
{
    if (key->physical == line)
        key->tag = 0;
}

static inline void forget(MemoryModel *model, MemoryKind kind, uint32_t line)
{
    forget_at(memory_model_key(model, line << model->line_shift, kind), line); /* pages keep its lower bits */
}

/* A line goes, or its state does not serve as before. */
static inline void forget_key(MemoryModel *model, const ModelCache *cache, uint32_t line)
{
    if (!has_code_cache(model) || cache != &model->code_cache) {
        forget(model, MEMORY_READ, line);
        forget(model, MEMORY_WRITE, line);
    }
    if (!has_code_cache(model) || cache == &model->code_cache)
        forget(model, MEMORY_FETCH, line);
}

/* `line` is at `index`; how that way is touched again. */
static inline WayTouch touch(ModelCache *cache, uint32_t line, uint32_t index)
{
    WayTouch touch = touch_of(&cache->recent[set_of(cache, line)], cache->ways, index & (cache->ways - 1));
    way_touch(touch);
    return touch;
}

/* By `key`, accesses in that page find `line`; `tag` is memory_model_tag()'s of its first byte. */
static inline void put_key(LineKey *key, const PageKey *page, uint64_t tag, uint32_t line, WayTouch touch, BusUse bus)
{
    *key = (LineKey){
        .tag = tag,
        .page_recent = page->touch.recent,
        .page_bits = page->touch.bits,
        .page_put = page->touch.put,
        .line_recent = touch.recent,
        .line_bits = touch.bits,
        .line_put = touch.put,
        .physical = line,
        .bus = bus,
    };
}

/* Accesses of this kind find `line` by the filter, if their page is known. */
static inline void set_key(MemoryModel *model, uint32_t linear, MemoryKind kind, uint32_t flags, uint32_t line,
                           WayTouch touch, BusUse bus, uint64_t filling)
{
    const PageKey *page = page_key(model, linear, kind, flags);
    uint64_t tag = memory_model_tag(model, linear & model->line_base, 1, flags) | filling;
    if (page->page == linear >> 12)
        put_key(memory_model_key(model, linear, kind), page, tag, line, touch, bus);
}

/* ---- fills ------------------------------------------------------------------------------------------------------- */

static inline bool may_fill(const MemoryModel *model, uint32_t physical, uint32_t attributes)
{
    const MemoryGeometry *geometry = &model->geometry;
    return !(attributes & ATTRIBUTE_PCD) && !(model->cr0 & CR0_CD) &&
           !(physical >= geometry->uncached_from && physical < geometry->uncached_to) &&
           !(geometry->uncached_above && physical >= geometry->uncached_above);
}

/* When the first transfer is there. */
static inline int64_t fill_begins(const MemoryModel *model)
{
    return model->fill_ends - model->fill_clocks + model->read_clocks;
}

static inline int64_t wait_for_fill(const MemoryModel *model, uint32_t line, int64_t now)
{
    return line == model->fill_line && model->fill_ends > now ? model->fill_ends : now;
}

#endif
