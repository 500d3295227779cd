/* The run loop: enters Unicorn, jumps over idle time, and says why it stopped. */
#include "core.h"

enum { EFLAGS_IF = 1 << 9, DOUBLE_FAULT = 8 };

static bool interrupts_enabled(const Core *core) { return FIELD(uint32_t, core->env, ENV_EFLAGS) & EFLAGS_IF; }

/* HLT: virtual time jumps to the next event, until an interrupt comes through. */
static StopCode wait_for_interrupt(Core *core)
{
    while (!(core->interrupt_line && interrupts_enabled(core)) && !nmi_is_deliverable(core)) {
        if (!interrupts_enabled(core) || core->deadline == NEVER)
            return STOP_HALT;
        bool run_ends_first = core->limit_by_time < core->deadline;
        int64_t idle = (run_ends_first ? core->limit_by_time : core->deadline) - block_ticks(core);
        if (idle > 0)
            skip_ticks(core, idle);
        if (run_ends_first)
            return STOP_LIMIT;
        run_due_events(core);
        if (PyErr_CheckSignals())
            keep_error(core);
        if (core->stop_requested)
            return STOP_REQUESTED;
        rearm(core);
    }
    core->halted = false;
    return STOP_NONE;
}

static StopCode enter(Core *core)
{
    uint64_t eip = FIELD(uint32_t, core->env, ENV_EIP);
    core->stop = STOP_NONE;
    int error = lib.emu_start(core->uc, eip, 0, 0, 0);
    core->in_access = false;
    core->host_pc = 0;
    FIELD(uint32_t, core->cpu, CPU_CFLAGS_NEXT_TB) = core->replaying ? 1 : UINT32_MAX;
    if (core->stop != STOP_NONE)
        return core->stop;
    if (error) {
        core->uc_error = error;
        return STOP_ERROR;
    }
    if (FIELD(uint32_t, core->cpu, CPU_HALTED)) {
        core->halted = true;
        core->hold = 0;
        return STOP_NONE;
    }
    if (FIELD(int32_t, core->env, ENV_OLD_EXCEPTION) == DOUBLE_FAULT)
        return STOP_TRIPLE_FAULT;
    return STOP_NONE;
}

static int64_t limit_after(int64_t now, int64_t more)
{
    return more < 0 || more > NEVER - now ? NEVER : now + more;
}

StopCode run(Core *core, int64_t instructions, int64_t ticks, bool over_breakpoint, uint32_t from, uint32_t bytes)
{
    core->limit_by_instructions = limit_after(block_instructions(core), instructions);
    core->limit_by_time = limit_after(block_ticks(core), ticks);
    core->resume_eip = linear_eip(core);
    core->skip_breakpoint = over_breakpoint;
    core->stay_from = from;
    core->stay_bytes = bytes;
    core->uc_error = 0;
    core->seen.stop = false;
    debug_registers_changed(core);
    limits_changed(core->env);
    if (core->timing)
        core->timing->entering.entry.form = 0; /* left over by a shutdown */
    rearm(core);

    StopCode stop = STOP_NONE;
    core->running = true;
    while (stop == STOP_NONE) {
        if (core->stop_requested)
            stop = STOP_REQUESTED;
        else if (limit_is_reached(core))
            stop = STOP_LIMIT;
        else if (core->halted)
            stop = wait_for_interrupt(core);
        else
            stop = enter(core);
    }
    if (core->profile)
        profile_settle(core);
    if (core->seen.count && !core->replaying)
        observe_tell(core);
    settle_unanswered(core);
    core->running = false;
    core->stop_requested = false;
    core->limit_by_instructions = core->limit_by_time = NEVER;
    core->stay_bytes = 0;
    rearm(core);
    return stop;
}
