/* Charges what is known only when an instruction executes, by translated code.
 *
 *   branches not taken   give back what they take less than taken ones, which the prologue charges
 *   REP                  each iteration is an execution, and has its cycles in the block's; what does not depend on the
 *                        count, and counts of 0 and 1, where the repetition ends
 *
 * What depends on operands' values: operands.c
 */
#include "core.h"

enum { LOOPNE = 0xe0, JCXZ = 0xe3 };
enum { CASE_NOT_TAKEN, CASE_TAKEN };

/* ---- pieces of code -------------------------------------------------------------------------------------------- */

/* *(base + offset) += amount.  Temporaries must not be alive across the place. */
static void emit_addition(void *tcg, uintptr_t base, intptr_t offset, int64_t amount)
{
    uintptr_t sum = (uintptr_t)lib.temp_new(tcg, TCG_TYPE_I64, false);
    uintptr_t base_arg = (uintptr_t)tcg + base;
    lib.op3(tcg, OPC_LD_I64, sum, base_arg, (uintptr_t)offset);
    uintptr_t constant = lib.const_i64(tcg, amount);
    lib.op3(tcg, OPC_ADD_I64, sum, sum, (uintptr_t)tcg + constant);
    lib.op3(tcg, OPC_ST_I64, sum, base_arg, (uintptr_t)offset);
    lib.temp_free(tcg, (char *)tcg + constant);
    lib.temp_free(tcg, (void *)sum);
}

void timing_emit_charge(Core *core, void *place, int cycles)
{
    void *tcg = core->tcg, *last = last_op(tcg);
    if (!cycles)
        return;
    emit_addition(tcg, FIELD(uintptr_t, tcg, TCG_CPU_ENV), (intptr_t)CPU_ICOUNT_BUDGET - X86CPU_ENV,
                  -ticks_word(core, cycles));
    move_emitted(tcg, last, place);
}

void timing_emit_count(void *tcg, void *place, const void *counter)
{
    void *last = last_op(tcg);
    uintptr_t pointer = lib.const_i64(tcg, (int64_t)(uintptr_t)counter);
    emit_addition(tcg, pointer, 0, 1);
    lib.temp_free(tcg, (char *)tcg + pointer);
    move_emitted(tcg, last, place);
}

/* ---- branches ---------------------------------------------------------------------------------------------------- */

void *timing_place_of_not_taken(void *start, bool is_counted)
{
    /* LOOP and JCXZ have three labels: not taken, taken, end.  Jcc falls through behind its comparison. */
    void *label = op_of_kind(start, OPC_SET_LABEL);
    if (is_counted)
        return label;
    void *comparison = label ? op_of_kind(start, OPC_BRCOND_I64) : NULL;
    if (!comparison && label && !op_of_kind(start, OPC_BR))
        return start; /* the translator knows that the condition is never true; OPC_BR: always */
    return comparison;
}

static void translate_branch(Core *core, void *start, const Decoded *instruction)
{
    const Timing *timing = core->timing;
    void *place = timing_place_of_not_taken(start, instruction->opcode >= LOOPNE && instruction->opcode <= JCXZ);
    if (!place)
        return;
    int taken = timing_clocks(timing, instruction->entry, CASE_TAKEN, 0, 0);
    int not_taken = timing_clocks(timing, instruction->entry, CASE_NOT_TAKEN, 0, 0);
    bool has_cases = timing_outcome(timing, instruction->entry) == OUTCOME_BRANCH && taken;
    timing_emit_charge(core, place, has_cases ? not_taken - taken : 0);
    if (timing->counts_components || timing->penalties.target_crosses_line)
        timing_emit_not_taken(core->tcg, place);
}

/* ---- REP --------------------------------------------------------------------------------------------------------- */

/* What repetition_ends() is told: form, size, mode, whether it does I/O and the case of that, clocks more. */
enum { REP_SIZE = 12, REP_MODE = 14, REP_IS_IO = 16, REP_IO_CASE = 17, REP_EXTRA = 18 };

/* The REP at EIP has come to its end: by its count, or by ZF. */
static void repetition_ends(void *uc, uint32_t info)
{
    Core *core = core_of_uc(uc);
    Timing *timing = core->timing;
    int64_t n = timing->repeats;
    timing->repeats = 0;
    Entry entry = {info & 0xfff, info >> REP_SIZE & 3, info >> REP_MODE & 3};
    bool is_io = info >> REP_IS_IO & 1;
    int many = is_io ? info >> REP_IO_CASE & 1 : REPEAT_MANY, chosen = !is_io && n < REPEAT_MANY ? (int)n : many;
    int iteration = timing_iteration(timing, entry, many);
    int64_t all = timing_clocks(timing, entry, chosen, 0, 0) + n * timing_iteration(timing, entry, chosen);
    charge(core, all + (info >> REP_EXTRA) - n * (iteration > 0 ? iteration : 1));
}

static void translate_repetition(Core *core, void *start, const Decoded *instruction, uint32_t flags)
{
    Timing *timing = core->timing;
    Entry entry = instruction->entry;
    bool is_io = timing_outcome(timing, entry) != OUTCOME_REPEAT_COUNT;
    int io_case = is_io ? timing_static_case(timing, instruction, flags) : 0;
    uint32_t info = entry.form | (uint32_t)entry.size << REP_SIZE | (uint32_t)entry.mode << REP_MODE |
                    (uint32_t)is_io << REP_IS_IO | (uint32_t)io_case << REP_IO_CASE |
                    (uint32_t)timing_extra_clocks(timing, instruction) << REP_EXTRA;
    /* if (count) goto go_on;  done: leave the instruction;  go_on: ...; execute again, or goto done (ZF) */
    void *done = op_of_kind(start, OPC_SET_LABEL), *go_on = done ? op_of_kind(done, OPC_SET_LABEL) : NULL;
    if (!go_on)
        return;
    void *tcg = core->tcg, *last = last_op(tcg);
    emit_call(tcg, repetition_ends, core->uc, info);
    move_emitted(tcg, last, done);
    timing_emit_count(tcg, go_on, &timing->repeats);
    /* where it finds the count 0 it is no iteration */
    timing_emit_charge(core, previous_op(tcg, done), -timing_static_cycles(timing, instruction, flags));
}

/* ---- a block ------------------------------------------------------------------------------------------------------- */

static void translate_instruction(Core *core, void *start, const Decoded *instruction, uint32_t flags)
{
    Timing *timing = core->timing;
    Entry entry = instruction->entry;
    if (!timing_is_listed(timing, entry))
        timing_emit_count(core->tcg, start,
                          entry.form ? &timing->unlisted_forms[entry.form] : &timing->unlisted_opcodes[instruction->opcode]);
    else if (instruction->repeated)
        translate_repetition(core, start, instruction, flags);
    else
        timing_translate_operands(core, start, instruction, flags);
    bool is_conditional = (instruction->opcode >= 0x70 && instruction->opcode <= 0x7f) ||
                          (instruction->opcode >= 0x180 && instruction->opcode <= 0x18f) ||
                          (instruction->opcode >= LOOPNE && instruction->opcode <= JCXZ);
    if (is_conditional)
        translate_branch(core, start, instruction);
}

/* Completes the record of a block that was translated, and its code. */
void timing_translate(Core *core, const void *tb)
{
    Timing *timing = core->timing;
    BlockCosts *block = timing_record(core, tb);
    uint32_t flags = FIELD(uint32_t, tb, TB_FLAGS);
    uint64_t end = FIELD(uint64_t, tb, TB_PC) + FIELD(uint16_t, tb, TB_SIZE);
    void *op = op_instruction_from(FIELD(void *, core->tcg, TCG_OPS));
    int icount = FIELD(uint16_t, tb, TB_ICOUNT);
    for (int i = 0; block && op && i < icount; i++) {
        void *next = op_instruction_from(next_op(op));
        uint64_t pc = FIELD(uint64_t, op, OP_ARGS), behind = next ? FIELD(uint64_t, next, OP_ARGS) : end;
        Decoded instruction = timing_decode(core, pc, (uint32_t)(behind - pc), flags);
        Step step = timing_step(timing, &instruction, timing_static_cycles(timing, &instruction, flags));
        if (!timing_record_add(timing, block, &step))
            break;
        if (i == 0)
            block->arrival = (uint8_t)timing_cost_of_arrival(timing, &instruction, pc, (uint32_t)(behind - pc));
        block->is_transfer = instruction.is_transfer;
        translate_instruction(core, op, &instruction, flags);
        op = next;
    }
    if (!block || block->count != icount) {
        PyErr_NoMemory();
        keep_error(core);
    } else {
        timing_find_pipe(timing, block);
    }
}
