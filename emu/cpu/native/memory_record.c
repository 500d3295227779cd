/* What the memory model was told in a run and what it answered, in the format of memory_model_type.c: the same events
 * given to another model must be answered alike. */
#include <string.h>

#include "core.h"

enum { TRACE_STORE = 3, RECORD_BYTES = 16, RESULT_BYTES = 12 };

static void append(MemoryEvents *events, const void *record, const void *result)
{
    MemoryRecord *all = events->record;
    if (all->count == all->capacity) {
        size_t capacity = all->capacity ? 2 * all->capacity : 1 << 16;
        uint8_t *records = realloc(all->records, capacity * RECORD_BYTES);
        all->records = records ? records : all->records;
        uint8_t *results = records ? realloc(all->results, capacity * RESULT_BYTES) : NULL;
        all->results = results ? results : all->results;
        all->failed |= !results;
        if (all->failed)
            return;
        all->capacity = capacity;
    }
    memcpy(all->records + all->count * RECORD_BYTES, record, RECORD_BYTES);
    memcpy(all->results + all->count++ * RESULT_BYTES, result, RESULT_BYTES);
}

/* An event at clock `now` that took so many clocks. */
void memory_note(MemoryEvents *events, uint8_t operation, uint32_t size, uint32_t flags, uint32_t address,
                 uint32_t value, int64_t now, int64_t clocks)
{
    MemoryRecord *all = events->record;
    const struct {
        uint8_t operation, size, flags, zero;
        uint32_t address, value, clocks;
    } record = {operation, (uint8_t)size, (uint8_t)flags, 0, address, value, (uint32_t)(now - all->then)};
    const uint32_t result[] = {(uint32_t)clocks, events->model.outcome, events->model.physical};
    append(events, &record, result);
    all->then = now + clocks;
}

/* A walk has read this; it is told before the access that needs it. */
void memory_note_table(MemoryEvents *events, uint32_t physical, uint32_t entry)
{
    const struct {
        uint8_t operation, size, flags, zero;
        uint32_t address, value, clocks;
    } record = {.operation = TRACE_STORE, .address = physical, .value = entry};
    const uint32_t result[] = {0, 0, 0};
    append(events, &record, result);
}

void memory_record_end(MemoryEvents *events)
{
    if (!events->record)
        return;
    free(events->record->records);
    free(events->record->results);
    free(events->record);
    events->record = NULL;
}
