/* Code that the processor fetches, as the memory model is told of it: each line that it enters, by falling through or
 * by a transfer of control.
 *
 * A block's own start is no such place, since a stop cuts blocks.  So it is kept where falling through leads, and the
 * next iteration of REP.  Where that has overwritten itself, what stands there now is entered anew.
 */
#include "memory_quick.h"

enum { NO_REPEAT = 0xFFFFFFFF };

NOT_INLINE void look_for_line(MemoryEvents *events, uint32_t how, uintptr_t ra)
{
    uint32_t linear = events->line << events->fetch_shift, size = events->fetch_bytes;
    uint32_t flags = how & HOW_USER ? MEMORY_USER : 0;
    int64_t now = memory_now_at(events->core, how, ra);
    if (events->record) {
        memory_tell(events, linear, size, MEMORY_FETCH, flags, now);
    } else {
        events->model.counters.fetches++;
        memory_charge(events->core, memory_model_look_fetch(&events->model, linear, size, flags, now));
    }
}

/* As the filter would, with what is known of a line: it is aligned, and of the cache's size if there is a key.  `low`
 * is its linear address, with TAG_USER. */
ALWAYS_INLINE void enter_line(MemoryEvents *events, uint32_t line, uint32_t low, uint32_t how, uintptr_t ra)
{
    MemoryModel *model = &events->model;
    const LineKey *key = memory_model_key(model, low, MEMORY_FETCH);
    events->line = line;
    if (__builtin_expect(key->tag != (model->generation | low), false)) {
        look_for_line(events, how, ra);
        return;
    }
    model->counters.fetches++;
    memory_model_touch(key);
}

static inline uint32_t user_tag(uint32_t how) { return how & HOW_USER ? TAG_USER : 0; }

uint64_t memory_line_told(const MemoryEvents *events, uint32_t line, uint32_t how)
{
    return (line << events->fetch_shift) | user_tag(how) | (uint64_t)line << 32;
}

void memory_fetch_line(MemoryEvents *events, uint64_t told, uint32_t how)
{
    enter_line(events, (uint32_t)(told >> 32), (uint32_t)told, how, (uintptr_t)__builtin_return_address(0));
}

void memory_fetch_line_recorded(MemoryEvents *events, uint64_t told, uint32_t how)
{
    events->line = (uint32_t)(told >> 32);
    look_for_line(events, how, (uintptr_t)__builtin_return_address(0));
}

/* Up to `last`. */
NOT_INLINE void enter_lines(MemoryEvents *events, uint32_t last, uint32_t how, uintptr_t ra)
{
    uint32_t line = events->line;
    do {
        line++;
        if (events->record) {
            events->line = line;
            look_for_line(events, how, ra);
        } else {
            enter_line(events, line, (line << events->fetch_shift) | user_tag(how), how, ra);
        }
    } while (line != last);
}

ALWAYS_INLINE void enter_block(MemoryEvents *events, uint64_t where, uint32_t how, uint32_t user, uintptr_t ra)
{
    uint32_t pc = (uint32_t)where, line = pc >> events->fetch_shift;
    bool falls_through = pc == events->next;
    int32_t ahead = (int32_t)(line - events->line);
    events->next = where >> 32;
    events->repeat = NO_REPEAT;
    if (falls_through && ahead != 1) {
        if (ahead > 1)
            enter_lines(events, line, how, ra);
    } else {
        enter_line(events, line, (pc & events->model.line_base) | user, how, ra);
    }
}

void memory_fetch_in_line(MemoryEvents *events, uint64_t where, uint32_t how)
{
    enter_block(events, where, how, 0, (uintptr_t)__builtin_return_address(0));
}

void memory_fetch_in_user_line(MemoryEvents *events, uint64_t where, uint32_t how)
{
    enter_block(events, where, how, TAG_USER, (uintptr_t)__builtin_return_address(0));
}

void memory_enter_block(MemoryEvents *events, uint64_t where, uint32_t how, uintptr_t ra)
{
    uint32_t pc = (uint32_t)where, end = pc + (where >> 32 & 0xffff), repeat = (uint32_t)(where >> 48);
    if (repeat && pc == events->repeat && end == events->next)
        return; /* the next iteration of a REP, which was entered with its first */
    uint32_t shift = events->fetch_shift, last = (pc + (how & HOW_SIZE) - 1) >> shift;
    bool falls_through = pc == events->next;
    events->next = end;
    events->repeat = repeat ? pc + (repeat - 1) : NO_REPEAT;
    if (!falls_through)
        events->line = (pc >> shift) - 1;
    if ((int32_t)(last - events->line) > 0)
        enter_lines(events, last, how, ra);
}

void memory_fetch_block(MemoryEvents *events, uint64_t where, uint32_t how)
{
    memory_enter_block(events, where, how, (uintptr_t)__builtin_return_address(0));
}

/* A block was left in front of the instruction at `linear_pc`. */
void memory_left_at(Core *core, uint32_t linear_pc)
{
    core->memory->next = core->memory->repeat = linear_pc;
    core->memory->skip = 0;
}
