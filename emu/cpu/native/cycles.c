/* Charges the cycles that are known only when an instruction executes.
 *
 *   branches not taken  translated code gives back what they take less than taken ones, which are in the record
 *   REP                 each iteration is an execution, and has its cycles in the record; what does not depend on
 *                       the count is charged by translated code where the repetition ends, once
 *   interrupts, INT n   when the handler is entered: by gate and privilege
 *   IRET, far CALL, RET a helper behind QEMU's, which sees the privilege that it led to
 *
 * Not modelled: call gates to the same privilege (as a code segment); REP of a count of 0 or 1 (by the formula for more); parameters that a call
 * gate copies; a task switch by a far transfer (the instruction's cheapest); MUL, BSF, BSR, SETcc, CMPXCHG: the
 * cheapest operands; operations that stop early.
 */
#include "core.h"

enum { LOOPNE = 0xe0, JCXZ = 0xe3, VM_BIT = 17 };
enum { CASE_NOT_TAKEN, CASE_TAKEN };
enum { CALL_MORE_PRIVILEGE = 2, RETURN_OUTER = 1, RETURN_TO_V86 = 2 };

/* *(base + offset) += amount.  Temporaries must not be alive across the place. */
void *emit_addition(void *tcg, uintptr_t base, intptr_t offset, int64_t amount)
{
    uintptr_t sum = (uintptr_t)lib.temp_new(tcg, TCG_TYPE_I64, false);
    uintptr_t base_arg = (uintptr_t)tcg + base;
    lib.op3(tcg, OPC_LD_I64, sum, base_arg, (uintptr_t)offset);
    uintptr_t constant = lib.const_i64(tcg, amount);
    void *amount_op = last_op(tcg);
    lib.op3(tcg, OPC_ADD_I64, sum, sum, (uintptr_t)tcg + constant);
    lib.op3(tcg, OPC_ST_I64, sum, base_arg, (uintptr_t)offset);
    lib.temp_free(tcg, (char *)tcg + constant);
    lib.temp_free(tcg, (void *)sum);
    return amount_op;
}

static void emit_charge_behind(void *tcg, void *place, int cycles)
{
    if (!cycles)
        return;
    void *last = last_op(tcg);
    emit_addition(tcg, FIELD(uintptr_t, tcg, TCG_CPU_ENV), (intptr_t)CPU_ICOUNT_BUDGET - X86CPU_ENV, -(int64_t)cycles);
    move_emitted(tcg, last, place);
}

static void emit_count_behind(void *tcg, void *place, uint64_t *counter)
{
    void *last = last_op(tcg);
    uintptr_t pointer = lib.const_i64(tcg, (int64_t)(uintptr_t)counter);
    emit_addition(tcg, pointer, 0, 1);
    lib.temp_free(tcg, (char *)tcg + pointer);
    move_emitted(tcg, last, place);
}

/* The first operation `kind` of the block's last instruction, which begins at `op`; NULL: it has none. */
static void *op_of_kind(void *op, int kind)
{
    while (op && FIELD(uint8_t, op, OP_OPCODE) != kind)
        op = FIELD(void *, op, OP_LINK);
    return op;
}

/* The last instruction of a block: a conditional branch, or REP. */
static void emit_dynamic(Core *core, void *start, Decoded instruction, uint32_t flags)
{
    const Timing *timing = core->timing;
    Entry entry = instruction.entry;
    Outcome outcome = timing_outcome(timing, entry);
    if (outcome == OUTCOME_BRANCH) {
        /* LOOP and JCXZ have three labels: not taken, taken, end.  Jcc falls through behind its comparison. */
        bool is_loop = instruction.opcode >= LOOPNE && instruction.opcode <= JCXZ;
        void *label = op_of_kind(start, OPC_SET_LABEL);
        void *not_taken = is_loop ? label : label ? op_of_kind(start, OPC_BRCOND_I64) : NULL;
        if (!not_taken && label && !op_of_kind(start, OPC_BR))
            not_taken = start; /* the translator knows that the condition is never true; OPC_BR: always */
        int taken = timing_clocks(timing, entry, CASE_TAKEN, 0);
        if (not_taken)
            emit_charge_behind(core->tcg, not_taken, timing_clocks(timing, entry, CASE_NOT_TAKEN, 0) - taken);
    } else if (outcome == OUTCOME_REPEAT_COUNT || outcome == OUTCOME_IO_PRIVILEGE) {
        bool is_io = outcome == OUTCOME_IO_PRIVILEGE;
        int many = is_io ? !timing_may_do_io(flags) : REPEAT_MANY, iteration = timing_iteration(timing, entry, many);
        if (is_io && !iteration)
            return; /* without REP */
        /* if (count) goto go_on;  done: leave the instruction;  go_on: ...; execute again, or goto done (ZF) */
        void *done = op_of_kind(start, OPC_SET_LABEL);
        if (!done)
            return;
        int charged = iteration > 0 ? iteration : 1; /* where it finds the count 0 it is no iteration */
        emit_charge_behind(core->tcg, previous_op(core->tcg, done), -charged);
        emit_charge_behind(core->tcg, done, timing_clocks(timing, entry, many, 0));
    }
}

/* Completes the record of a block that was translated, and its code. */
void timing_translate(Core *core, const void *tb)
{
    Timing *timing = core->timing;
    BlockCosts *block = timing_record(core, tb);
    uint32_t flags = FIELD(uint32_t, tb, TB_FLAGS);
    uint64_t end = FIELD(uint64_t, tb, TB_PC) + FIELD(uint16_t, tb, TB_SIZE);
    void *op = FIELD(void *, core->tcg, TCG_OPS), *start = NULL;
    int icount = FIELD(uint16_t, tb, TB_ICOUNT);
    Decoded instruction = {0};
    while (op && FIELD(uint8_t, op, OP_OPCODE) != OPC_INSN_START)
        op = FIELD(void *, op, OP_LINK);
    for (int i = 0; block && op && i < icount; i++) {
        void *next = FIELD(void *, op, OP_LINK);
        while (next && FIELD(uint8_t, next, OP_OPCODE) != OPC_INSN_START)
            next = FIELD(void *, next, OP_LINK);
        uint64_t pc = FIELD(uint64_t, op, OP_ARGS), behind = next ? FIELD(uint64_t, next, OP_ARGS) : end;
        instruction = timing_decode(core, pc, (uint32_t)(behind - pc), flags);
        if (!timing_record_add(timing, block, timing_static_cycles(timing, instruction, flags)))
            break;
        Entry entry = instruction.entry;
        bool listed = entry.form && timing->groups[(entry.form * MODES + entry.mode) * OPERAND_SIZES + entry.size];
        if (!listed)
            emit_count_behind(core->tcg, op,
                              entry.form ? &timing->unlisted_forms[entry.form]
                                         : &timing->unlisted_opcodes[instruction.opcode]);
        start = op;
        op = next;
    }
    if (!block || block->count != icount) {
        PyErr_NoMemory();
        keep_error(core);
        return;
    }
    block->last = instruction.entry;
    emit_dynamic(core, start, instruction, flags);
}

/* ---- changes of privilege ---------------------------------------------------------------------------------------- */

Privilege timing_privilege(const Core *core)
{
    bool is_protected = FIELD(uint64_t, core->env, ENV_CR) & 1;
    bool v86 = FIELD(uint32_t, core->env, ENV_EFLAGS) >> VM_BIT & 1;
    return (Privilege){!is_protected ? MODE_REAL : v86 ? MODE_V86 : MODE_PROTECTED,
                       (int)(FIELD(uint32_t, core->env, ENV_HFLAGS) & HF_CPL)};
}

/* Which case of a gate's outcome it was. */
static int case_of_gate(const Core *core, Outcome outcome, Privilege before, bool by_task)
{
    bool inner = timing_privilege(core).cpl < before.cpl;
    switch (outcome) {
    case OUTCOME_GATE: return by_task ? 2 : inner;
    case OUTCOME_GATE_FROM_V86: return by_task;
    case OUTCOME_OVERFLOW: return 1;
    case OUTCOME_OVERFLOW_GATE: return by_task ? 3 : 1 + inner;
    case OUTCOME_OVERFLOW_GATE_FROM_V86: return 1 + by_task;
    default: return 0;
    }
}

void timing_charge_software_interrupt(Core *core, Entry entry, Privilege before, bool by_task)
{
    int chosen = case_of_gate(core, timing_outcome(core->timing, entry), before, by_task);
    int all = timing_clocks(core->timing, entry, chosen, 0), charged = timing_clocks(core->timing, entry, 0, 0);
    charge(core, all - charged);
}

void timing_charge_event(Core *core, int event, Privilege before, bool by_task)
{
    Entry entry = {core->timing->events[event], 0, (uint8_t)before.mode};
    int chosen = case_of_gate(core, timing_outcome(core->timing, entry), before, by_task);
    charge(core, timing_clocks(core->timing, entry, chosen, 0));
}

/* Behind a far CALL, a far RET or IRET in protected mode; `cpl` is that before. */
static void behind_far_transfer(void *uc, int cpl)
{
    Core *core = core_of_uc(uc);
    const BlockCosts *block = timing_of_block(core, current_block(core));
    if (!block)
        return;
    Privilege now = timing_privilege(core);
    Entry entry = block->last;
    int chosen = 0;
    switch (timing_outcome(core->timing, entry)) {
    case OUTCOME_FAR_CALL: chosen = now.cpl < cpl ? CALL_MORE_PRIVILEGE : 0; break;
    case OUTCOME_FAR_RETURN: chosen = now.cpl > cpl ? RETURN_OUTER : 0; break;
    case OUTCOME_INTERRUPT_RETURN:
        chosen = now.mode == MODE_V86 ? RETURN_TO_V86 : now.cpl > cpl ? RETURN_OUTER : 0;
        break;
    default: break;
    }
    charge(core, timing_clocks(core->timing, entry, chosen, 0) - timing_clocks(core->timing, entry, 0, 0));
}

const void *timing_helper_behind(const void *helper)
{
    bool transfers = helper == lib.helper_far_call || helper == lib.helper_segments[3] || helper == lib.helper_iret;
    return transfers ? (const void *)behind_far_transfer : NULL;
}
