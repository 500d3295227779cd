/* What the memory model's calls in translated code share.  There are millions of them in a second: each instruction
 * counts.  A memory model has a clock of cycles, so `*core->left` holds both cycles and instructions. */
#ifndef HILLEMU_MEMORY_QUICK_H
#define HILLEMU_MEMORY_QUICK_H

#include "core.h"

/* memory_events.c */
int64_t memory_now_in_piece(const Core *core, uint32_t how, uintptr_t ra);
void memory_tell(MemoryEvents *events, uint32_t linear, uint32_t size, MemoryKind kind, uint32_t flags, int64_t now);

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

#endif
