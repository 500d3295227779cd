/* Charges what happens to the instruction that was executed last; profile.h tells the rules. */
#include "core.h"

/* The second argument of a step: ticks from the instruction to its block's end, and instructions. */
enum { REST_BITS = 10, REST_MASK = (1 << REST_BITS) - 1 };
enum { STEP_ARGS = 2, STEP_FUNCTION = OP_ARGS + 8 * STEP_ARGS, STEP_FLAGS = STEP_FUNCTION + 8, NO_READ_GLOBALS = 1 };

static Costs clock_at(const Core *core, int64_t ticks, int64_t instructions)
{
    Costs now = {.instructions = instructions, .ticks = ticks, .idle = core->idle};
    if (core->memory) {
        const MemoryCounters *counters = &core->memory->model.counters;
        now.stall = (int64_t)counters->stall_clocks;
        now.tlb_misses = (int64_t)(counters->data_tlb_misses + counters->code_tlb_misses);
        now.walk = (int64_t)counters->walk_clocks;
        now.cache_misses = (int64_t)(counters->data_cache_misses + counters->code_cache_misses);
    }
    const BranchPrediction *prediction = core->timing ? core->timing->branches : NULL;
    if (prediction) {
        const BranchCounters *counters = &prediction->counters;
        now.mispredicted = counters->conditional_missed + counters->unconditional_missed;
        now.conditional_mispredicted = counters->conditional_missed;
    }
    return now;
}

/* What has passed since the last instruction began is its own.  Whether it has been executed. */
static inline bool settle(Core *core, int64_t ticks, int64_t instructions)
{
    Profile *profile = core->profile;
    Costs now = clock_at(core, ticks, instructions), passed;
#define COST(name) passed.name = now.name - profile->then.name;
    PROFILE_COSTS(COST)
#undef COST
    profile->then = now;
    passed.branches = passed.instructions && profile->last->is_branch;
    passed.conditional = passed.instructions && profile->last->is_conditional;
    profile_charge(profile, &passed, ticks);
    return passed.instructions > 0;
}

static void step(Site *site, uint32_t rest)
{
    Core *core = site->core;
    Profile *profile = core->profile;
    const Site *last = profile->last;
    int64_t ticks = rest >> REST_BITS;
    if (__builtin_expect(core->hold != 0, false)) {
        void *tb = current_block(core);
        ticks = tb ? ticks_to_end(core, tb, find_instruction(tb, 0, site->pc), ticks) : ticks;
    }
    bool executed = settle(core, block_ticks(core) - ticks, block_instructions(core) - (rest & REST_MASK));
    if (executed && last->kind != SITE_PLAIN)
        profile_passed(core, last, site);
    profile->last = site;
    if (site->kind != SITE_PLAIN)
        profile->esp = FIELD(uint32_t, core->env, ENV_REGS + 8 * REG_ESP);
}

void profile_settle(Core *core)
{
    Profile *profile = core->profile;
    const Site *last = profile->last;
    if (settle(core, block_ticks(core), block_instructions(core)) && last->kind != SITE_PLAIN) {
        const Site *to = profile_site(core, linear_eip(core));
        if (to)
            profile_passed(core, last, to);
    }
    profile->last = &profile->delivery;
}

Call profile_before_delivery(Core *core)
{
    uint32_t caller = core->profile->last->number;
    profile_settle(core);
    Call place = profile_place(core);
    place.caller = caller;
    return place;
}

void profile_behind_delivery(Core *core, const Call *from, int kind, uint32_t vector)
{
    static const NodeKind kinds[] = {[DELIVERY_EXCEPTION] = NODE_EXCEPTION,
                                     [DELIVERY_SOFTWARE] = NODE_SOFTWARE,
                                     [DELIVERY_INTERRUPT] = NODE_INTERRUPT};
    const Site *handler = profile_site(core, linear_eip(core));
    if (handler)
        profile_entered(core, from, kinds[kind], vector, handler);
}

void profile_resume(Core *core)
{
    Profile *profile = core->profile;
    profile->then = clock_at(core, block_ticks(core), block_instructions(core));
    profile->slice_end = profile->then.ticks + profile->slice_ticks;
    profile->last = &profile->delivery;
    profile_first_chain(profile);
}

/* ---- translation ------------------------------------------------------------------------------------------------- */

static SiteKind kind_of(Core *core, uint32_t pc, uint32_t length)
{
    uint32_t at = pc;
    while (at - pc < length && is_prefix(code_at(core, at)))
        at++;
    switch (code_at(core, at)) {
    case 0xe8: case 0x9a: return SITE_CALL;
    case 0xff: {
        int operation = code_at(core, at + 1) >> 3 & 7;
        return operation == 2 || operation == 3 ? SITE_CALL : SITE_PLAIN;
    }
    case 0xc2: case 0xc3: case 0xca: case 0xcb: return SITE_RETURN;
    case 0xcf: return SITE_INTERRUPT_RETURN;
    default: return SITE_PLAIN;
    }
}

/* Between two instructions no temporary is alive but the block's own. */
static void emit_step(void *tcg, void *place, Site *site, uint32_t rest)
{
    void *last = last_op(tcg);
    emit_call(tcg, step, site, rest);
    if (site->kind == SITE_PLAIN)
        FIELD(uintptr_t, last_op(tcg), STEP_FLAGS) = NO_READ_GLOBALS;
    move_emitted(tcg, last, place);
}

/* Behind everything else that is put into a block, so that a step comes in front of it. */
void profile_translate_block(Core *core, const void *tb)
{
    uint64_t end = FIELD(uint64_t, tb, TB_PC) + FIELD(uint16_t, tb, TB_SIZE);
    int icount = FIELD(uint16_t, tb, TB_ICOUNT);
    void *op = op_instruction_from(FIELD(void *, core->tcg, TCG_OPS));
    for (int i = 0; op && i < icount; i++) {
        void *next = op_instruction_from(next_op(op));
        uint64_t pc = FIELD(uint64_t, op, OP_ARGS), behind = next ? FIELD(uint64_t, next, OP_ARGS) : end;
        Site *site = profile_site(core, (uint32_t)pc);
        if (!site)
            return;
        site->length = (uint8_t)(behind - pc);
        site->kind = kind_of(core, site->pc, site->length);
        BranchKind branch = core->timing && core->timing->branches ? branch_kind(core, site->pc) : BRANCH_NONE;
        site->is_branch = branch != BRANCH_NONE;
        site->is_conditional = branch == BRANCH_JCC || branch == BRANCH_COUNTED;
        uint32_t ticks = (uint32_t)ticks_between(core, tb, i, icount);
        emit_step(core->tcg, op, site, ticks << REST_BITS | (uint32_t)(icount - i));
        op = next;
    }
}
