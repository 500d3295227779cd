/* The memory model's accesses; memory_model.h tells what it is.
 *
 * An access that lies in two lines or pages is two, and both are translated before either is made.
 *
 * Source: i486 PRM, App. E, note 2, and AP-500 v2.2 (misaligned: at least 3 clocks on i486 and Pentium); PRM386 s2.2
 * (extra memory cycles); Intel386 DX HRM ch. 4 (bus cycles of 2 clocks and wait states).
 * Decision: 2 or 4 bytes are misaligned if they cross a dword (the i486's are at its bus), 8 bytes and more if they do
 * not begin at a multiple of the smaller of 8 and the bus's width.
 */
#include <stddef.h>
#include <string.h>

#include "memory_model_internal.h"

void filter_forget_lines(MemoryModel *model)
{
    model->generation += TAG_GENERATION;
    if (model->generation)
        return;
    memset(model->line_keys, 0, sizeof model->line_keys); /* after so many, the first generation's are there again */
    model->generation = TAG_GENERATION;
}

void filter_forget(MemoryModel *model)
{
    for (uint32_t row = 0; row <= model->page_mask; row++)
        for (int column = 0; column < FILTER_COLUMNS; column++)
            model->page_keys[row][column].page = NO_KEY;
    filter_forget_lines(model);
}

static bool is_misaligned(const MemoryModel *model, uint32_t linear, uint32_t size)
{
    if (size > 4)
        return linear & (model->geometry.bus_bytes > 4 ? 7 : 3);
    return size > 1 && (linear & 3) + size > 4;
}

int64_t access_model_any(MemoryModel *model, uint32_t linear, uint32_t size, MemoryKind kind, uint32_t flags,
                         int64_t now)
{
    /* Without a cache an operand is split by pages only: one in two dwords takes two bus cycles, wherever it lies. */
    uint32_t span = kind == MEMORY_FETCH || model->data_cache.lines ? model->geometry.line_bytes : 4096;
    uint32_t left = span - (linear & (span - 1));
    uint32_t first = size < left ? size : left, second = linear + first;
    uint32_t physical, attributes, physical_2 = 0, attributes_2 = 0;
    bool user = flags & MEMORY_USER;
    if (kind != MEMORY_FETCH && is_misaligned(model, linear, size)) {
        model->outcome |= OUTCOME_MISALIGNED;
        model->counters.misaligned++;
        now += model->geometry.misaligned_clocks;
    }
    if (!tlb_model_translate(model, linear, kind, user, &now, &physical, &attributes))
        return now;
    model->physical = physical;
    if (first < size) {
        model->outcome |= OUTCOME_SPLIT;
        model->counters.splits++;
        if ((linear ^ second) >> 12) {
            if (!tlb_model_translate(model, second, kind, user, &now, &physical_2, &attributes_2))
                return now;
        } else {
            physical_2 = physical + first;
            attributes_2 = attributes;
        }
    }
    model->credit = model->table_clocks * ((size + 3) / 4);
    if (flags & MEMORY_LOCKED) {
        model->counters.locked++;
        now = cache_model_locked(model, physical, first, kind == MEMORY_WRITE, now);
        if (first < size)
            now = cache_model_locked(model, physical_2, size - first, kind == MEMORY_WRITE, now);
        return now;
    }
    now = cache_model_access(model, linear, physical, first, kind, flags, attributes, now);
    if (first < size)
        now = cache_model_access(model, second, physical_2, size - first, kind, flags, attributes_2, now);
    return now;
}

int64_t memory_model_drain(MemoryModel *model, int64_t now)
{
    int64_t clocks = model->bus_free > now ? model->bus_free - now : 0;
    model->counters.stall_clocks += (uint64_t)clocks;
    return clocks;
}

/* ---- geometry ---------------------------------------------------------------------------------------------------- */

static const char *complaint(const MemoryGeometry *geometry)
{
    uint32_t tlb_ways = geometry->tlb_ways, cache_ways = geometry->cache_ways;
    uint32_t tlbs[] = {geometry->data_tlb_entries, geometry->code_tlb_entries, geometry->large_tlb_entries};
    if ((tlb_ways != 1 && tlb_ways != 2 && tlb_ways != 4) || (cache_ways != 1 && cache_ways != 2 && cache_ways != 4))
        return "ways must be 1, 2 or 4";
    for (int i = 0; i < 3; i++)
        if ((tlbs[i] || i == 0) && (tlbs[i] > TLB_ENTRIES_MAX || !is_power_of_two(tlbs[i]) || tlbs[i] < tlb_ways))
            return "a TLB must have a power of two of entries, at least one for each way and at most 64";
    if (geometry->line_bytes < LINE_BYTES_LEAST || geometry->line_bytes > 64 || !is_power_of_two(geometry->line_bytes))
        return "a line must have 16, 32 or 64 bytes";
    if (geometry->data_cache_bytes > 1 << 20 || geometry->code_cache_bytes > 1 << 20)
        return "a cache must have at most 1 MiB";
    if (geometry->code_cache_bytes && !geometry->data_cache_bytes)
        return "a code cache needs a data cache beside it";
    if (geometry->bus_bytes != 2 && geometry->bus_bytes != 4 && geometry->bus_bytes != 8)
        return "the bus must have 2, 4 or 8 bytes";
    if (geometry->write_buffers < 1 || geometry->write_buffers > WRITE_BUFFERS_MAX)
        return "there must be 1 to 8 write buffers";
    if (!geometry->multiplier_denominator || geometry->multiplier_numerator < geometry->multiplier_denominator ||
        geometry->multiplier_numerator > 64)
        return "the processor must be at least as fast as its bus, and at most 64 times";
    if (!geometry->read_bus_clocks || !geometry->burst_bus_clocks || !geometry->write_bus_clocks)
        return "a bus cycle must take at least one clock";
    const uint32_t clocks[] = {geometry->read_bus_clocks,         geometry->burst_bus_clocks,
                               geometry->write_bus_clocks,        geometry->table_bus_clocks,
                               geometry->miss_clocks,             geometry->misaligned_clocks,
                               geometry->walk_bus_clocks,         geometry->walk_hit_clocks,
                               geometry->first_update_bus_clocks, geometry->second_update_bus_clocks};
    for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++)
        if (clocks[i] > 1000)
            return "a bus cycle or penalty must take at most 1000 clocks";
    return NULL;
}

static int64_t processor_clocks(const MemoryGeometry *geometry, int64_t bus_clocks)
{
    uint32_t denominator = geometry->multiplier_denominator;
    return (bus_clocks * geometry->multiplier_numerator + denominator - 1) / denominator;
}

static void tlb_init(ModelTlb *tlb, uint32_t entries, uint32_t ways, uint32_t page_shift)
{
    *tlb = (ModelTlb){.page_shift = page_shift};
    if (entries) {
        tlb->ways = ways;
        tlb->set_mask = entries / ways - 1;
    }
}

const char *memory_model_init(MemoryModel *model, const MemoryGeometry *geometry, PageTableAccess tables)
{
    const char *why = complaint(geometry);
    if (why)
        return why;
    *model = (MemoryModel){.geometry = *geometry, .tables = tables, .filters = true, .fill_line = NO_KEY};
    tlb_init(&model->data_tlb, geometry->data_tlb_entries, geometry->tlb_ways, 12);
    tlb_init(&model->code_tlb, geometry->code_tlb_entries, geometry->tlb_ways, 12);
    tlb_init(&model->large_tlb, geometry->large_tlb_entries, geometry->tlb_ways, 22);
    why = cache_model_init(model);
    if (why) {
        cache_model_end(model);
        return why;
    }
    uint32_t lines = 4096 / geometry->line_bytes; /* keys: of bits that are the same in linear and physical addresses */
    uint32_t sets = geometry->data_cache_bytes ? model->data_cache.set_mask + 1 : lines;
    uint32_t code_sets = geometry->code_cache_bytes ? model->code_cache.set_mask + 1 : sets;
    model->bus_shift = (uint32_t)__builtin_ctz(geometry->bus_bytes);
    model->line_shift = (uint32_t)__builtin_ctz(geometry->line_bytes);
    model->line_base = ~(geometry->line_bytes - 1);
    model->line_mask = (sets < code_sets ? sets : code_sets) - 1;
    if (model->line_mask > lines - 1)
        model->line_mask = lines - 1;
    model->key_mask = model->line_mask << model->line_shift;
    model->page_mask = model->data_tlb.set_mask;
    if (geometry->code_tlb_entries && model->code_tlb.set_mask < model->page_mask)
        model->page_mask = model->code_tlb.set_mask;
    int64_t transfers = geometry->line_bytes / geometry->bus_bytes, read = geometry->read_bus_clocks;
    int64_t write = geometry->write_bus_clocks, burst = (transfers - 1) * geometry->burst_bus_clocks;
    model->read_clocks = processor_clocks(geometry, read);
    model->write_clocks = processor_clocks(geometry, write);
    model->fill_clocks = processor_clocks(geometry, read + burst);
    model->line_write_clocks = processor_clocks(geometry, write + burst);
    model->table_clocks = processor_clocks(geometry, geometry->table_bus_clocks);
    model->walk_clocks = processor_clocks(geometry, geometry->walk_bus_clocks);
    model->update_clocks[0] = processor_clocks(geometry, read + write + geometry->first_update_bus_clocks);
    model->update_clocks[1] = processor_clocks(geometry, read + write + geometry->second_update_bus_clocks);
    model->is_unified = !geometry->write_back && !has_code_cache(model) && model->data_cache.ways == 4;
    cache_model_control(model);
    filter_forget(model);
    return NULL;
}

void memory_model_end(MemoryModel *model) { cache_model_end(model); }
void memory_model_forget(MemoryModel *model) { filter_forget(model); }
