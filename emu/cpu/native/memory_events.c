/* What happens to memory in a run, on its way to the memory model; memory_events.h tells the rules.
 *
 * A call gets the clocks from its instruction to its block's end, since the clock counts blocks when they start.
 */
#include "memory_quick.h"

#define CR0_PAGING (1u << 31)
enum { USER_MMU = 1, FAULT_WRITE = 2, FAULT_USER = 4 };

static int instruction_at(void *tb, uintptr_t ra) { return find_instruction(tb, ra - GETPC_ADJ, 0); }

/* A piece of a block that was cut may take other clocks than the call was told. */
static int64_t rest_of_piece(const Core *core, uintptr_t ra, int64_t told)
{
    void *tb = current_block(core);
    return tb ? ticks_to_end(core, tb, instruction_at(tb, ra), told) : told;
}

int64_t memory_now_in_piece(const Core *core, uint32_t how, uintptr_t ra)
{
    return block_ticks(core) - rest_of_piece(core, ra, how >> HOW_REST);
}

static uint64_t data_events(const MemoryEvents *events)
{
    return events->model.counters.reads + events->model.counters.writes;
}

static void begin_event(MemoryEvents *events) { events->model.outcome = events->model.physical = 0; }

void memory_tell(MemoryEvents *events, uint32_t linear, uint32_t size, MemoryKind kind, uint32_t flags, int64_t now)
{
    begin_event(events);
    int64_t clocks = memory_model_access(&events->model, linear, size, kind, flags, now);
    memory_charge(events->core, clocks);
    if (__builtin_expect(events->record != NULL, false))
        memory_note(events, (uint8_t)kind, size, flags, linear, 0, now, clocks);
}

/* ---- data -------------------------------------------------------------------------------------------------------- */

void memory_look(MemoryEvents *events, uint32_t linear, uint32_t how, MemoryKind kind, uintptr_t ra)
{
    uint32_t size = how & HOW_SIZE, flags = how & HOW_USER ? MEMORY_USER : 0;
    int64_t now = memory_now_at(events->core, how, ra);
    memory_charge(events->core, memory_model_look(&events->model, linear, size, kind, flags, now));
}

void memory_write_to_bus(MemoryEvents *events, uint32_t how, BusUse bus, uintptr_t ra)
{
    int64_t now = memory_now_at(events->core, how, ra);
    memory_charge(events->core, memory_model_write_through(&events->model, how & HOW_SIZE, bus, now));
}

static inline void begin_instruction(MemoryEvents *events, uintptr_t ra)
{
    events->first_events = data_events(events);
    events->first_instructions = memory_block_instructions(events->core);
    events->first_ra = ra;
}

/* Whether this access was made when its instruction was begun before. */
static bool was_made(MemoryEvents *events)
{
    if (!events->skip)
        return false;
    events->skip--;
    events->first_events--; /* it counts as one of this execution's */
    return true;
}

#define QUICK(name, size, kind, user, first)                                                                          \
    static void name(MemoryEvents *events, uint64_t linear, uint32_t how)                                             \
    {                                                                                                                 \
        uintptr_t ra = (uintptr_t)__builtin_return_address(0);                                                        \
        if (first)                                                                                                    \
            begin_instruction(events, ra);                                                                            \
        if (!(first) || !was_made(events))                                                                            \
            memory_quick(events, (uint32_t)linear, how, size, kind, user, ra);                                        \
    }
#define QUICK_KINDS(size, order, first)                                                                               \
    QUICK(order##_read_##size, size, MEMORY_READ, 0, first)                                                           \
    QUICK(order##_user_read_##size, size, MEMORY_READ, MEMORY_USER, first)                                            \
    QUICK(order##_write_##size, size, MEMORY_WRITE, 0, first)                                                         \
    QUICK(order##_user_write_##size, size, MEMORY_WRITE, MEMORY_USER, first)
#define QUICK_SIZES(order, first)                                                                                     \
    QUICK_KINDS(1, order, first) QUICK_KINDS(2, order, first) QUICK_KINDS(4, order, first) QUICK_KINDS(8, order, first)
QUICK_SIZES(next, false)
QUICK_SIZES(first, true)

MemoryCall memory_quick_call(uint32_t how)
{
#define CALLS(order, size)                                                                                            \
    {order##_read_##size, order##_user_read_##size, order##_write_##size, order##_user_write_##size}
#define CALLS_OF_SIZES(order) {CALLS(order, 1), CALLS(order, 2), CALLS(order, 4), CALLS(order, 8)}
    static const MemoryCall calls[2][4][4] = {CALLS_OF_SIZES(next), CALLS_OF_SIZES(first)};
    uint32_t kind = (how & HOW_WRITE ? 2 : 0) + (how & HOW_USER ? 1 : 0);
    return calls[how & HOW_FIRST ? 1 : 0][__builtin_ctz(how & HOW_SIZE)][kind];
}

void memory_any_access(MemoryEvents *events, uint64_t linear, uint32_t how)
{
    uintptr_t ra = (uintptr_t)__builtin_return_address(0);
    if (how & HOW_FIRST)
        begin_instruction(events, ra);
    if (was_made(events))
        return;
    uint32_t flags = (how & HOW_USER ? MEMORY_USER : 0) | (how & HOW_LOCKED ? MEMORY_LOCKED : 0);
    MemoryKind kind = how & HOW_WRITE ? MEMORY_WRITE : MEMORY_READ;
    if (flags & MEMORY_LOCKED || events->record)
        memory_tell(events, (uint32_t)linear, how & HOW_SIZE, kind, flags, memory_now_at(events->core, how, ra));
    else
        memory_quick(events, (uint32_t)linear, how, how & HOW_SIZE, kind, flags, ra);
}

/* INS stores first to see a fault before it reads the port: no processor does. */
void memory_no_access(MemoryEvents *events, uint64_t linear, uint32_t how) {}

static int64_t helper_rest(Core *core, void *tb, uintptr_t ra)
{
    MemoryEvents *events = core->memory;
    if (core->hold)
        return rest_of_piece(core, ra, 0);
    if (ra != events->helper_ra) {
        int number = instruction_at(tb, ra), count = FIELD(uint16_t, tb, TB_ICOUNT);
        events->helper_ra = ra;
        events->helper_rest = number < 0 ? 0 : ticks_between(core, tb, number, count);
    }
    return events->helper_rest;
}

/* One that a helper made, or the processor where it delivers an interrupt: `ra` 0, or there is no block. */
void memory_helper_access(Core *core, uint32_t linear, int size, bool writes, int mmu, uintptr_t ra)
{
    MemoryEvents *events = core->memory;
    void *tb = ra ? current_block(core) : NULL;
    if (tb && ra != events->helper_ra && core->in_access && core->host_pc && instruction_at(tb, ra) < 0)
        ra = core->host_pc; /* the I/O permission bitmap: QEMU's helper was called by ours */
    int64_t now = block_ticks(core);
    if (!ra && current_block(core)) { /* a task switch, by the block's last instruction */
        int count = FIELD(uint16_t, current_block(core), TB_ICOUNT);
        now -= ticks_between(core, current_block(core), count - 1, count);
    }
    if (tb) {
        now -= helper_rest(core, tb, ra);
        bool begun = events->first_instructions == block_instructions(core) &&
                     (events->first_ra == ra || instruction_at(tb, events->first_ra) == instruction_at(tb, ra));
        if (!begun)
            begin_instruction(events, ra);
        if (was_made(events))
            return;
    }
    memory_tell(events, linear, (uint32_t)size, writes ? MEMORY_WRITE : MEMORY_READ,
                mmu == USER_MMU ? MEMORY_USER : 0, now);
}

/* What an instruction in `tb` that is left, to be executed again, has done. */
uint32_t memory_accesses_done(Core *core, void *tb, uint32_t linear_pc)
{
    const MemoryEvents *events = core->memory;
    if (!tb || events->first_instructions != block_instructions(core) ||
        instruction_at(tb, events->first_ra) != find_instruction(tb, 0, linear_pc))
        return 0;
    return (uint32_t)(data_events(events) - events->first_events);
}

/* ---- what is no access ------------------------------------------------------------------------------------------- */

void memory_page_fault(Core *core)
{
    MemoryEvents *events = core->memory;
    uint32_t linear = FIELD(uint32_t, core->env, ENV_CR + 8 * 2);
    uint32_t error_code = FIELD(uint32_t, core->env, ENV_ERROR_CODE);
    MemoryKind kind = events->fill_access == ACCESS_FETCH ? MEMORY_FETCH
                      : error_code & FAULT_WRITE          ? MEMORY_WRITE
                                                          : MEMORY_READ;
    memory_tell(events, linear, 1, kind, error_code & FAULT_USER ? MEMORY_USER : 0, block_ticks(core));
}

/* Paging goes on or off: which accesses were translated? */
static void count_paged(MemoryEvents *events)
{
    uint64_t all = data_events(events) + events->model.counters.fetches;
    if (events->model.cr0 & CR0_PAGING)
        events->paged += all - events->paged_since;
    events->paged_since = all;
}

uint64_t memory_paged_accesses(const MemoryEvents *events)
{
    uint64_t all = data_events(events) + events->model.counters.fetches;
    return events->paged + (events->model.cr0 & CR0_PAGING ? all - events->paged_since : 0);
}

void memory_control(Core *core, ControlEvent event)
{
    enum { TRACE_CR0 = 4, TRACE_CR3, TRACE_CR4, TRACE_TASK_SWITCH };
    MemoryEvents *events = core->memory;
    if (core->lint)
        tlb_lint_control(core, event);
    if (event == CONTROL_CR3 || event == CONTROL_TASK_SWITCH)
        branches_flush(core);
    if (!events)
        return;
    uint32_t cr0 = FIELD(uint32_t, core->env, ENV_CR), cr3 = FIELD(uint32_t, core->env, ENV_CR + 8 * 3),
             cr4 = FIELD(uint32_t, core->env, ENV_CR + 8 * 4);
    count_paged(events);
    begin_event(events);
    memory_model_control(&events->model, cr0, cr3, cr4, event);
    if (!events->record)
        return;
    const uint32_t values[] = {[CONTROL_CR0] = cr0, [CONTROL_CR3] = cr3, [CONTROL_CR4] = cr4,
                               [CONTROL_TASK_SWITCH] = cr3};
    static const uint8_t operations[] = {[CONTROL_CR0] = TRACE_CR0, [CONTROL_CR3] = TRACE_CR3,
                                         [CONTROL_CR4] = TRACE_CR4, [CONTROL_TASK_SWITCH] = TRACE_TASK_SWITCH};
    memory_note(events, operations[event], 0, 0, 0, values[event], events->record->then, 0);
}

enum { TRACE_INVLPG = 8, TRACE_FLUSH_CACHE, TRACE_SNOOP, TRACE_DRAIN };

void memory_invlpg(Core *core, uint32_t linear)
{
    MemoryEvents *events = core->memory;
    begin_event(events);
    memory_model_invlpg(&events->model, linear);
    if (events->record)
        memory_note(events, TRACE_INVLPG, 0, 0, linear, 0, events->record->then, 0);
}

/* INVD and WBINVD. */
void memory_cache_flush(MemoryEvents *events, uint64_t writes_back, uint32_t how)
{
    begin_event(events);
    uintptr_t ra = (uintptr_t)__builtin_return_address(0);
    int64_t now = memory_now_at(events->core, how, ra);
    int64_t clocks = memory_model_flush_cache(&events->model, writes_back, now);
    charge(events->core, clocks);
    if (events->record)
        memory_note(events, TRACE_FLUSH_CACHE, 0, (uint32_t)writes_back, 0, 0, now, clocks);
}

void memory_device_wrote(Core *core, uint64_t physical, uint64_t size)
{
    MemoryEvents *events = core->memory;
    if (!core->running || !size || physical + size > UINT32_MAX)
        return;
    int64_t now = clock_ticks(core);
    begin_event(events);
    memory_model_snoop(&events->model, (uint32_t)physical, (uint32_t)size, true, now);
    if (events->record)
        memory_note(events, TRACE_SNOOP, 0, 1, (uint32_t)physical, (uint32_t)size, now, 0);
}

/* A port access waits until the write buffers are empty. */
void memory_port_access(Core *core)
{
    MemoryEvents *events = core->memory;
    begin_event(events);
    int64_t now = clock_ticks(core), clocks = memory_model_drain(&events->model, now);
    charge(core, clocks);
    if (events->record)
        memory_note(events, TRACE_DRAIN, 0, 0, 0, 0, now, clocks);
}
