/* What the memory model's calls in translated code share.  There are millions of them in a second: each instruction
 * counts.  A memory model has a clock of cycles, so `*core->left` holds both cycles and instructions. */
#ifndef HILLEMU_MEMORY_QUICK_H
#define HILLEMU_MEMORY_QUICK_H

#include "core.h"

/* memory_events.c */
int64_t memory_now_in_piece(const Core *core, uint32_t how, uintptr_t ra);
void memory_tell(MemoryEvents *events, uint32_t linear, uint32_t size, MemoryKind kind, uint32_t flags, int64_t now);

/* What memory_quick() leaves to them, as it keeps no register: what the filter does not know, ... */
void memory_look(MemoryEvents *events, uint32_t linear, uint32_t how, MemoryKind kind, uintptr_t ra);
/* ... and a write to the bus in a piece of a block, or that is wider than the bus. */
void memory_write_to_bus(MemoryEvents *events, uint32_t how, BusUse bus, uintptr_t ra);

/* memory_fetch.c: memory_fetch_block() for a call that returns to `ra` */
void memory_enter_block(MemoryEvents *events, uint64_t where, uint32_t how, uintptr_t ra);

/* The clock at a call, which was told `how`, and returns to `ra`. */
static inline int64_t memory_now_in_block(const Core *core, uint32_t how)
{
    return core->check - (*core->left >> COUNT_BITS) - (how >> HOW_REST);
}

static inline int64_t memory_now_at(const Core *core, uint32_t how, uintptr_t ra)
{
    if (__builtin_expect(core->hold != 0, false))
        return memory_now_in_piece(core, how, ra);
    return memory_now_in_block(core, how);
}

static inline void memory_charge(Core *core, int64_t clocks) { *core->left -= clocks << COUNT_BITS; }

static inline int64_t memory_block_instructions(const Core *core) { return core->retired + (*core->left & COUNT_MASK); }

/* An access and nothing else; mostly the filter knows it. */
ALWAYS_INLINE void memory_quick(MemoryEvents *events, uint32_t linear, uint32_t how, uint32_t size, MemoryKind kind,
                                uint32_t user, uintptr_t ra)
{
    MemoryModel *model = &events->model;
    Core *core = events->core;
    BusUse bus;
    (&model->counters.reads)[kind]++;
    if (__builtin_expect(!memory_model_filter(model, linear, size, kind, user, &bus), false)) {
        memory_look(events, linear, how, kind, ra);
    } else if (kind == MEMORY_WRITE && bus != BUS_IDLE) {
        if (__builtin_expect(core->hold != 0 || size > model->geometry.bus_bytes, false)) {
            memory_write_to_bus(events, how, bus, ra);
            return;
        }
        int64_t clocks = memory_model_write_once(model, bus, memory_now_in_block(core, how));
        if (clocks)
            memory_charge(core, clocks);
    }
}

#endif
