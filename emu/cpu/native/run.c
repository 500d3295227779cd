/* The run loop: enters Unicorn, jumps over idle time, and says why it stopped. */
#include "core.h"

enum { HOOK_CODE = 1 << 2 };
enum { EFLAGS_IF = 1 << 9, DOUBLE_FAULT = 8 };

static bool interrupts_enabled(const Core *core) { return FIELD(uint32_t, core->env, ENV_EFLAGS) & EFLAGS_IF; }

/* HLT: virtual time jumps to the next event, until an interrupt comes through. */
static StopCode wait_for_interrupt(Core *core)
{
    while (!(core->interrupt_line && interrupts_enabled(core))) {
        if (!interrupts_enabled(core) || core->deadline == NEVER)
            return STOP_HALT;
        bool run_ends_first = core->limit_by_time < core->deadline;
        int64_t idle = (run_ends_first ? core->limit_by_time : core->deadline) - block_ticks(core);
        if (idle > 0)
            skip_ticks(core, idle);
        if (run_ends_first)
            return STOP_LIMIT;
        int64_t now = block_ticks(core);
        PyObject *next = PyObject_CallFunction(core->on_due, "L", (long long)now);
        int64_t deadline = next ? PyLong_AsLongLong(next) : 0;
        Py_XDECREF(next);
        if (PyErr_Occurred() || PyErr_CheckSignals())
            keep_error(core);
        if (core->stop_requested)
            return STOP_REQUESTED;
        core->deadline = deadline;
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

static int64_t limit_after(const Core *core, int64_t ticks)
{
    int64_t now = block_ticks(core);
    return ticks < 0 || ticks > NEVER - now ? NEVER : now + ticks;
}

StopCode run(Core *core, int64_t instructions, int64_t ticks, bool over_breakpoint)
{
    core->limit_by_instructions = limit_after(core, instructions);
    core->limit_by_time = limit_after(core, ticks);
    core->resume_eip = linear_eip(core);
    core->skip_breakpoint = over_breakpoint;
    core->uc_error = 0;
    rearm(core);

    StopCode stop = STOP_NONE;
    core->running = true;
    while (stop == STOP_NONE) {
        if (core->stop_requested)
            stop = STOP_REQUESTED;
        else if (block_ticks(core) >= core->limit)
            stop = STOP_LIMIT;
        else if (core->halted)
            stop = wait_for_interrupt(core);
        else
            stop = enter(core);
    }
    core->running = false;
    core->stop_requested = false;
    core->limit_by_instructions = core->limit_by_time = NEVER;
    rearm(core);
    return stop;
}

/* ---- breakpoints: a code hook on one address, which leaves before the instruction ------------------------------ */

static void on_breakpoint(void *uc, uint64_t address, uint32_t size, void *data)
{
    Core *core = data;
    bool resumed_here = core->skip_breakpoint && core->resume_eip == (uint32_t)address;
    core->skip_breakpoint = false;
    if (resumed_here || core->replaying)
        return;
    /* Unicorn has stored EIP and the flags before the hook. */
    void *tb = current_block(core);
    int64_t block_end = block_ticks(core), hold = core->hold;
    take_back_unexecuted(core, (uint32_t)address, false);
    if (tb && block_ticks(core) < block_end && (uint32_t)FIELD(uint64_t, tb, TB_PC) != (uint32_t)address)
        core->hold = hold > block_end ? hold : block_end;
    else
        core->hold = hold;
    core->stop = STOP_BREAKPOINT;
    leave_at_block_start(core, BLOCK_STOP);
    FIELD(int32_t, core->cpu, CPU_EXCEPTION_INDEX) = -1;
    lib.loop_exit(core->cpu);
}

bool breakpoint_add(Core *core, uint32_t at)
{
    size_t size = (core->breakpoint_count + 1) * sizeof *core->breakpoints;
    uint32_t *addresses = realloc(core->breakpoints, size);
    if (addresses)
        core->breakpoints = addresses;
    uintptr_t *hooks = realloc(core->breakpoint_hooks, (core->breakpoint_count + 1) * sizeof *hooks);
    if (hooks)
        core->breakpoint_hooks = hooks;
    uintptr_t hook;
    if (!addresses || !hooks || lib.hook_add(core->uc, &hook, HOOK_CODE, (void *)on_breakpoint, core, at, at))
        return false;
    core->breakpoints[core->breakpoint_count] = at;
    core->breakpoint_hooks[core->breakpoint_count++] = hook;
    lib.tb_flush(core->cpu); /* blocks translated before do not contain the hook */
    return true;
}

bool breakpoint_remove(Core *core, uint32_t at)
{
    for (size_t i = 0; i < core->breakpoint_count; i++) {
        if (core->breakpoints[i] != at)
            continue;
        lib.hook_del(core->uc, core->breakpoint_hooks[i]);
        core->breakpoint_count--;
        core->breakpoints[i] = core->breakpoints[core->breakpoint_count];
        core->breakpoint_hooks[i] = core->breakpoint_hooks[core->breakpoint_count];
        lib.tb_flush(core->cpu);
        return true;
    }
    return false;
}
