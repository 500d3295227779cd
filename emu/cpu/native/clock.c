/* The clock: one counter, exact to the instruction, decisions at block starts.
 *
 * Translated code counts *core->left down by each block's length when the block starts, and asks block_decide() as
 * soon as that goes below zero.  So
 *
 *     ticks now = check - left            (at a block start: exact; inside a block: as if it had finished)
 *
 * A block that does not finish (a fault, self-modifying code, a stop) gives back what it did not execute.
 *
 * With a timing model (timing.h) a tick is a cycle, and one subtraction counts both cycles and instructions:
 *
 *      *left:  63    cycles until the next check    24 23    instructions, beside core->retired    0
 *
 * A block takes its cycles from the upper part and adds its instructions to the lower one, which rearm() empties before
 * it is full.  Limits of instructions and `hold` are in instructions in any case.
 *
 * `hold` makes stops invisible: a stop inside a block cuts it in two, and the cut must not become a place where
 * events and interrupts are looked at, because an undisturbed run would not look there.
 */
#include "core.h"

#define POLL_INTERVAL_TICKS 20000000

/* The count of instructions neither falls below zero when some are taken back, nor overflows until the next check. */
enum { COUNT_START = 1 << 22, LONGEST_TICKS = 1 << 22 };

uint32_t block_id(const Core *core, const void *tb)
{
    return tb ? (uint32_t)((const char *)tb - FIELD(char *, core->tcg, TCG_CODE_GEN_BUFFER)) + 1 : 0;
}

void *block_of(const Core *core, uint32_t id)
{
    return id ? FIELD(char *, core->tcg, TCG_CODE_GEN_BUFFER) + (id - 1) : NULL;
}

void *current_block(const Core *core) { return block_of(core, *core->tb_id); }
void set_current_block(Core *core, const void *tb) { *core->tb_id = block_id(core, tb); }

static int64_t read_sleb128(const uint8_t **cursor)
{
    int64_t value = 0;
    int shift = 0;
    uint8_t byte;
    do {
        byte = *(*cursor)++;
        value |= (int64_t)(byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80);
    if (shift < 64 && (byte & 0x40))
        value |= -((int64_t)1 << shift);
    return value;
}

/* Walks a block's instruction table (encode_search() in QEMU's translate-all.c: per instruction the deltas of guest
 * pc, cc_op and end of host code) up to the instruction wanted: by host address if `host_pc`, else by linear `pc`.
 * Returns its number, or -1. */
int find_instruction(void *tb, uintptr_t host_pc, uint32_t pc)
{
    const char *code = FIELD(char *, tb, TB_TC_PTR);
    const uint8_t *cursor = (const uint8_t *)code + FIELD(size_t, tb, TB_TC_SIZE);
    int count = FIELD(uint16_t, tb, TB_ICOUNT);
    uint64_t guest = FIELD(uint64_t, tb, TB_PC);
    uintptr_t host = (uintptr_t)code;

    for (int i = 0; i < count; i++) {
        guest += read_sleb128(&cursor);
        read_sleb128(&cursor);
        host += read_sleb128(&cursor);
        if (host_pc ? host > host_pc : (uint32_t)guest == pc)
            return i;
    }
    return -1;
}

uint32_t pc_of_instruction(void *tb, int number)
{
    const uint8_t *cursor = FIELD(uint8_t *, tb, TB_TC_PTR) + FIELD(size_t, tb, TB_TC_SIZE);
    uint64_t guest = FIELD(uint64_t, tb, TB_PC);
    for (int i = 0; i <= number; i++) {
        guest += read_sleb128(&cursor);
        read_sleb128(&cursor);
        read_sleb128(&cursor);
    }
    return (uint32_t)guest;
}

int number_of_instruction_before(void *tb, uint32_t end)
{
    const uint8_t *cursor = FIELD(uint8_t *, tb, TB_TC_PTR) + FIELD(size_t, tb, TB_TC_SIZE);
    uint64_t guest = FIELD(uint64_t, tb, TB_PC);
    uint32_t start = (uint32_t)guest;
    int found = 0;
    for (int i = 0; i < FIELD(uint16_t, tb, TB_ICOUNT); i++) {
        guest += read_sleb128(&cursor);
        read_sleb128(&cursor);
        read_sleb128(&cursor);
        if ((uint32_t)guest - start < end - start)
            found = i;
    }
    return found;
}

/* Inside a device access: the number in its block of the instruction that does it; else -1. */
static int accessing_instruction(Core *core)
{
    void *tb = current_block(core);
    if (!core->in_access || !tb)
        return -1;
    return find_instruction(tb, core->host_pc ? core->host_pc - GETPC_ADJ : 0, linear_eip(core));
}

int64_t ticks_between(const Core *core, const void *tb, int from, int to)
{
    return core->timing ? timing_cycles_between(core, tb, from, to) : to - from;
}

int64_t ticks_to_end(const Core *core, const void *tb, int number, int64_t told)
{
    bool is_piece = core->timing && core->hold && number >= 0;
    return is_piece ? timing_cycles_between(core, tb, number, FIELD(uint16_t, tb, TB_ICOUNT)) : told;
}

int64_t clock_ticks(Core *core)
{
    int executed = accessing_instruction(core);
    const void *tb = current_block(core);
    return block_ticks(core) - (executed < 0 ? 0 : ticks_between(core, tb, executed, FIELD(uint16_t, tb, TB_ICOUNT)));
}

int64_t clock_instructions(Core *core)
{
    int executed = accessing_instruction(core);
    const void *tb = current_block(core);
    return block_instructions(core) - (executed < 0 ? 0 : FIELD(uint16_t, tb, TB_ICOUNT) - executed);
}

void charge_instructions(Core *core, const void *tb, int from, int to)
{
    charge(core, ticks_between(core, tb, from, to));
    *core->left += core->timing ? to - from : 0;
}

void take_back_unexecuted(Core *core, uint32_t linear_pc, bool retired)
{
    void *tb = current_block(core);
    set_current_block(core, NULL);
    if (tb && core->memory && !retired)
        memory_left_at(core, linear_pc);
    int executed = tb ? find_instruction(tb, 0, linear_pc) : -1;
    if (executed >= 0) {
        executed += retired ? 1 : 0;
        charge_instructions(core, tb, FIELD(uint16_t, tb, TB_ICOUNT), executed);
        if (core->timing)
            timing_leave(core, tb, executed);
    }
    core->hold = 0; /* the block that was cut ends here */
}

/* The instruction at `linear_pc` is left and will be executed again: what it did to memory counts once. */
static void take_back_begun(Core *core, uint32_t linear_pc)
{
    uint32_t done = core->memory ? memory_accesses_done(core, current_block(core), linear_pc) : 0;
    take_back_unexecuted(core, linear_pc, false);
    if (core->memory)
        core->memory->skip = done;
}

/* The instruction at `host_pc` (or at EIP, if 0) has not begun, and is to be executed in a block of its own.  The place
 * to look at events stays where its block would have ended.  The caller goes back to the main loop. */
void leave_before_instruction(Core *core, uintptr_t host_pc)
{
    int64_t end = block_instructions(core), hold = core->hold > end ? core->hold : end;
    if (host_pc)
        lib.restore_state(core->cpu, host_pc, false);
    core->host_pc = 0;
    core->in_access = false;
    take_back_begun(core, linear_eip(core));
    core->hold = hold;
    FIELD(uint32_t, core->cpu, CPU_CFLAGS_NEXT_TB) = 1;
    rearm(core);
}

/* QEMU leaves a block that wrote to its own code, in front of the store, and goes on in new blocks.  Had a stop cut the
 * block before, nothing would have been left; so the place to look at events stays where the old block would have
 * ended. */
void leave_changed_block(Core *core, uint32_t linear_pc)
{
    int64_t end = block_instructions(core), hold = core->hold > end ? core->hold : end; /* an old one may be left over */
    take_back_begun(core, linear_pc);
    core->hold = hold;
    rearm(core);
}

/* The block of one instruction that QEMU goes on with behind such a store, seen at its start.  Only portable mode,
 * which cannot see that exit, asks this, at the next block's start. */
bool was_cut_by_own_store(Core *core, void *next_tb)
{
    void *tb = current_block(core);
    return tb && (FIELD(uint32_t, tb, TB_CFLAGS) & CF_INVALID) &&
           (FIELD(uint32_t, next_tb, TB_CFLAGS) & CF_COUNT_MASK) == 1 &&
           find_instruction(tb, 0, (uint32_t)FIELD(uint64_t, next_tb, TB_PC)) >= 0;
}

void sync_state(Core *core)
{
    if (core->host_pc)
        lib.restore_state(core->cpu, core->host_pc, false);
}

/* The tick, or an earlier one, at which so many more instructions have been executed. */
static int64_t tick_after(const Core *core, int64_t now, int64_t instructions)
{
    return now + (core->timing ? instructions / 2 : instructions); /* two pipes: as many in a clock */
}

void rearm(Core *core)
{
    int64_t now = block_ticks(core), retired = block_instructions(core), check;
    if (core->stop_requested || observe_is_pending(core) || core->stay_bytes)
        check = now;
    else if (core->timing && core->hold)
        check = now; /* every piece of the block begins in block_decide() */
    else if (core->hold > retired)
        check = tick_after(core, now, core->hold - retired);
    else if (core->attention || core->reclaiming)
        check = now;
    else
        check = core->deadline < core->poll_at ? core->deadline : core->poll_at;
    if (core->limit_by_time < check)
        check = core->limit_by_time;
    if (core->limit_by_instructions != NEVER && tick_after(core, now, core->limit_by_instructions - retired) < check)
        check = tick_after(core, now, core->limit_by_instructions - retired);
    if (core->timing) {
        check = check - now > LONGEST_TICKS ? now + LONGEST_TICKS : check;
        core->retired = retired - COUNT_START;
        *core->left = ticks_word(core, check - now) + COUNT_START;
    } else {
        *core->left = check - now;
    }
    core->check = check;
}

/* Lets time pass without instructions: a halted processor, a slow bus. */
void skip_ticks(Core *core, int64_t ticks)
{
    core->idle += ticks;
    core->check += ticks;
    rearm(core);
}

bool limit_is_reached(const Core *core)
{
    return block_ticks(core) >= core->limit_by_time || block_instructions(core) >= core->limit_by_instructions;
}

/* How many instructions `tb` may execute within `ticks`: at least as many as end in time. */
static int64_t instructions_within(const Core *core, const void *tb, int64_t ticks)
{
    if (!core->timing)
        return ticks;
    int count = 0, icount = FIELD(uint16_t, tb, TB_ICOUNT);
    while (count < icount && timing_cycles_between(core, tb, 0, count) < ticks)
        count++;
    return count < icount ? count : NEVER;
}

void poll_host(Core *core)
{
    core->poll_at = block_ticks(core) + POLL_INTERVAL_TICKS;
    if (PyErr_CheckSignals())
        keep_error(core);
    Py_BEGIN_ALLOW_THREADS Py_END_ALLOW_THREADS
}

BlockDecision block_decide(Core *core, void *tb)
{
    int icount = FIELD(uint16_t, tb, TB_ICOUNT);
    int64_t now = block_ticks(core), retired = block_instructions(core);
    if (now >= core->poll_at)
        poll_host(core); /* never changes what the guest sees */
    if (observe_is_pending(core))
        observe_tell(core);
    if (core->seen.stop) {
        core->seen.stop = false;
        core->stop = STOP_WATCHPOINT;
        return BLOCK_STOP;
    }
    if (core->stop_requested && !core->replaying) {
        core->stop = STOP_REQUESTED;
        return BLOCK_STOP;
    }
    if (debug_trap_is_due(core))
        return BLOCK_TRAP;
    if (core->hold <= retired) {
        core->hold = 0;
        if (core->attention || now >= core->deadline)
            return BLOCK_ATTEND;
        if (core->reclaiming && !(FIELD(uint32_t, tb, TB_CFLAGS) & CF_COUNT_MASK)) {
            reclaim_frame(core);
            return BLOCK_AGAIN;
        }
    }
    if (limit_is_reached(core)) {
        core->stop = STOP_LIMIT;
        return BLOCK_STOP;
    }
    int breakpoint = breakpoint_in_block(core, tb);
    if (breakpoint == 0) {
        core->stop = STOP_BREAKPOINT;
        return BLOCK_STOP;
    }
    int64_t boundary = core->limit_by_instructions - retired; /* in instructions from here */
    if (core->hold && core->hold - retired < boundary)
        boundary = core->hold - retired;
    if (core->limit_by_time != NEVER) {
        int64_t in_time = instructions_within(core, tb, core->limit_by_time - now);
        boundary = in_time < boundary ? in_time : boundary;
    }
    if (breakpoint > 0 && breakpoint < boundary)
        boundary = breakpoint;
    if (call_is_at(core, linear_eip(core))) {
        observe_arrival(core);
        if (core->stop_requested) {
            core->stop = STOP_REQUESTED;
            return BLOCK_STOP;
        }
    }
    if (icount > boundary) {
        if (!core->hold && core->timing)
            timing_begin_cut(core);
        if (!core->hold)
            core->hold = retired + icount;
        FIELD(uint32_t, core->cpu, CPU_CFLAGS_NEXT_TB) = (uint32_t)boundary;
        return BLOCK_CUT;
    }
    core->skip_breakpoint = false;
    rearm(core);
    return BLOCK_RUN;
}

void leave_at_block_start(Core *core, BlockDecision decision)
{
    set_current_block(core, NULL);
    rearm(core);
    if (decision == BLOCK_ATTEND)
        FIELD(uint32_t, core->cpu, CPU_INTERRUPT_REQUEST) |= CPU_INTERRUPT_HARD;
    if (decision == BLOCK_STOP) {
        FIELD(uint8_t, core->cpu, CPU_EXIT_REQUEST) = 1;
        FIELD(uint8_t, core->uc, UC_STOP_REQUEST) = 1;
    }
}
