/* Code that the processor fetches, as the memory model is told of it: each line that it enters, by falling through or
 * by a transfer of control.
 *
 * A block's own start is no such place, since a stop cuts blocks.  So it is kept where falling through leads, and the
 * next iteration of REP.
 */
#include "memory_quick.h"

NOT_INLINE void look_for_line(MemoryEvents *events, uint32_t linear, uint32_t how, uintptr_t ra)
{
    uint32_t size = events->fetch_bytes, flags = how & HOW_USER ? MEMORY_USER : 0;
    int64_t now = memory_now_at(events->core, how, ra);
    if (events->record) {
        memory_tell(events, linear, size, MEMORY_FETCH, flags, now);
    } else {
        events->model.counters.fetches++;
        memory_charge(events->core, memory_model_look_fetch(&events->model, linear, size, flags, now));
    }
}

/* As the filter would, with what is known of a line: it is aligned, and of the cache's size if there is a key. */
ALWAYS_INLINE void enter_line(MemoryEvents *events, uint32_t line, uint32_t how, uintptr_t ra)
{
    MemoryModel *model = &events->model;
    uint32_t linear = line << events->fetch_shift, flags = how & HOW_USER ? MEMORY_USER : 0;
    const LineKey *key = memory_model_key(model, linear, MEMORY_FETCH);
    events->line = line;
    if (__builtin_expect(key->tag != memory_model_tag(model, linear, 1, flags) || events->record, false)) {
        look_for_line(events, linear, how, ra);
        return;
    }
    model->counters.fetches++;
    memory_model_touch(key);
}

void memory_fetch_line(MemoryEvents *events, uint64_t line, uint32_t how)
{
    enter_line(events, (uint32_t)line, how, (uintptr_t)__builtin_return_address(0));
}

/* Up to `last`. */
NOT_INLINE void enter_lines(MemoryEvents *events, uint32_t last, uint32_t how, uintptr_t ra)
{
    do
        enter_line(events, events->line + 1, how, ra);
    while (events->line != last);
}

void memory_fetch_in_line(MemoryEvents *events, uint64_t where, uint32_t how)
{
    uint32_t pc = (uint32_t)where, end = where >> 32, line = pc >> events->fetch_shift;
    uintptr_t ra = (uintptr_t)__builtin_return_address(0);
    bool falls_through = pc == events->next || pc == events->repeat;
    events->next = events->repeat = end;
    if (falls_through) {
        if ((int32_t)(line - events->line) > 0)
            enter_lines(events, line, how, ra);
    } else {
        enter_line(events, line, how, ra);
    }
}

void memory_fetch_block(MemoryEvents *events, uint64_t where, uint32_t how)
{
    uint32_t pc = (uint32_t)where, end = pc + (where >> 32 & 0xffff), repeat = (uint32_t)(where >> 48);
    if (pc == events->repeat && end == events->next)
        return; /* the next iteration of a REP, which was entered with its first */
    uint32_t shift = events->fetch_shift, last = (pc + (how & HOW_SIZE) - 1) >> shift;
    uintptr_t ra = (uintptr_t)__builtin_return_address(0);
    bool falls_through = pc == events->next || pc == events->repeat;
    events->next = end;
    events->repeat = repeat ? pc + (repeat - 1) : end;
    if (!falls_through)
        events->line = (pc >> shift) - 1;
    if ((int32_t)(last - events->line) > 0)
        enter_lines(events, last, how, ra);
}

/* A block was left in front of the instruction at `linear_pc`. */
void memory_left_at(Core *core, uint32_t linear_pc)
{
    core->memory->next = core->memory->repeat = linear_pc;
    core->memory->skip = 0;
}
