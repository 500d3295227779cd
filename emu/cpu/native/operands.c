/* Charges what an instruction takes beyond its cheapest operand, by its value, which translated code hands over.
 *
 *   MUL, IMUL        the multiplier's significant bits; an immediate one's the prologue charges
 *   BSF, BSR         the bits skipped; 0 has a case of its own
 *   SETcc, CMPXCHG   true, and not equal
 *   LSL              a limit in pages
 *   FDIV, ...        the x87's precision control
 */
#include "core.h"

static uintptr_t argument(const void *op, int number) { return FIELD(uintptr_t, op, OP_ARGS + 8 * number); }

/* function(env, value, info), which has the signature of BOUND's helper. */
static void emit_value_call_behind(void *tcg, void *place, const void *function, uintptr_t value, uint32_t info)
{
    void *last = last_op(tcg);
    uintptr_t number = lib.const_i32(tcg, (int32_t)info);
    void *args[3] = {(char *)tcg + FIELD(uintptr_t, tcg, TCG_CPU_ENV), (void *)value, (char *)tcg + number};
    lib.gen_call(tcg, lib.helper_bound, NULL, 3, args);
    FIELD(uintptr_t, last_op(tcg), OP_ARGS + 3 * sizeof(uintptr_t)) = (uintptr_t)function;
    lib.temp_free(tcg, (char *)tcg + number);
    move_emitted(tcg, last, place);
}

/* What operand_is() is told: the figure's number, operand's bits, kind. */
enum { OPERAND_BITS = 16, OPERAND_KIND = 24, OPERAND_SIGNED = 28 };

static void charge_operand(Core *core, int64_t value, uint32_t info)
{
    const int16_t *figure = &core->timing->figures[(info & 0xffff) * FIGURE_WORDS];
    OperandKind kind = info >> OPERAND_KIND & 15;
    charge(core, timing_of_operand(figure, kind, value, info >> OPERAND_BITS & 0xff) - timing_least(figure));
}

static void operand_is(void *env, uint64_t value, uint32_t info)
{
    int unused = 64 - (int)(info >> OPERAND_BITS & 0xff);
    bool is_signed = info >> OPERAND_SIGNED & 1;
    charge_operand(core_of_env(env), is_signed ? (int64_t)(value << unused) >> unused : (int64_t)(value << unused >> unused),
                   info);
}

/* The bit scanned for: 0 has a case of its own, in front of that of others. */
static void source_is(void *env, uint64_t value, uint32_t info)
{
    Core *core = core_of_env(env);
    const int16_t *figure = &core->timing->figures[(info & 0xffff) * FIGURE_WORDS], *of_zero = figure - FIGURE_WORDS;
    int unused = 64 - (int)(info >> OPERAND_BITS & 0xff);
    value = value << unused >> unused;
    if (value)
        charge_operand(core, (int64_t)value, info);
    else
        charge(core, of_zero[WORD_BASE] - figure[WORD_BASE] - timing_least(figure));
}

static void precision_is(void *uc, uint32_t info)
{
    Core *core = core_of_uc(uc);
    charge_operand(core, FIELD(uint16_t, core->env, ENV_FPUC) >> 8 & 3, info);
}

/* The outcome of SETcc (not 0: true) or CMPXCHG (not 0: not equal) costs `info` more. */
static void outcome_is(void *env, uint64_t value, uint32_t info)
{
    if (value << (64 - (info >> OPERAND_BITS & 0xff)))
        charge(core_of_env(env), (int16_t)info);
}

static uint32_t bits_of_entry(Entry entry) { return entry.size ? 4u << entry.size : 32; }

static void translate_multiplication(Core *core, void *start, const Decoded *instruction, uint32_t info)
{
    bool is_unsigned = instruction->opcode != 0x1af && (instruction->modrm >> 3 & 7) == 4;
    int kind = instruction->entry.size != 3 ? OPC_MUL_I64 : is_unsigned ? OPC_MULU2_I32 : OPC_MULS2_I32;
    void *op = op_of_kind(start, kind);
    if (op)
        emit_value_call_behind(core->tcg, previous_op(core->tcg, op), operand_is, argument(op, kind == OPC_MUL_I64 ? 1 : 2),
                               info | (uint32_t)!is_unsigned << OPERAND_SIGNED);
}

/* The flags' result, cc_dst: of BSF and BSR their source, of CMPXCHG 0 if it was equal. */
static void translate_by_flags(Core *core, void *start, const void *function, uint32_t info)
{
    uintptr_t result = (uintptr_t)core->tcg + FIELD(uintptr_t, core->tcg, TCG_CC_DST);
    void *found = NULL;
    for (void *op = next_op(start); is_in_instruction(op); op = next_op(op)) {
        int kind = FIELD(uint8_t, op, OP_OPCODE);
        if ((kind == OPC_MOV_I64 || kind == OPC_SUB_I64) && argument(op, 0) == result)
            found = op;
    }
    if (found)
        emit_value_call_behind(core->tcg, found, function, result, info);
}

static void translate_setcc(Core *core, void *start, const Decoded *instruction, uint32_t info)
{
    void *found = NULL;
    for (void *op = next_op(start); is_in_instruction(op); op = next_op(op)) {
        int kind = FIELD(uint8_t, op, OP_OPCODE);
        if (kind == OPC_DEPOSIT_I64 || kind == OPC_QEMU_ST_I64)
            found = op;
    }
    if (found && instruction->is_memory) /* a store, which may fault */
        emit_value_call_behind(core->tcg, found, outcome_is, argument(found, 0), info);
    else if (found)
        emit_value_call_behind(core->tcg, previous_op(core->tcg, found), outcome_is, argument(found, 2), info);
}

void timing_translate_operands(Core *core, void *start, const Decoded *instruction, uint32_t flags)
{
    const Timing *timing = core->timing;
    Entry entry = instruction->entry;
    const int16_t *figure = timing_figure(timing, entry, timing_static_case(timing, instruction, flags));
    Outcome outcome = timing_outcome(timing, entry);
    if (!figure)
        return;
    if (outcome == OUTCOME_GRANULARITY) {
        void *call = op_of_kind(start, OPC_CALL); /* (result, env, selector) */
        int more = timing_clocks(timing, entry, 1, 0, 0) - timing_clocks(timing, entry, 0, 0, 0);
        if (call && more)
            emit_value_call_behind(core->tcg, previous_op(core->tcg, call), timing_charge_limit, argument(call, 2),
                                   (uint32_t)more);
        return;
    }
    uint32_t bits = bits_of_entry(entry) << OPERAND_BITS;
    uint32_t info = (uint32_t)((figure - timing->figures) / FIGURE_WORDS) | bits;
    if (outcome == OUTCOME_CONDITION || outcome == OUTCOME_COMPARISON) {
        int more = timing_clocks(timing, entry, 1, 0, 0) - timing_clocks(timing, entry, 0, 0, 0);
        if (more && outcome == OUTCOME_CONDITION)
            translate_setcc(core, start, instruction, (uint16_t)more | 8u << OPERAND_BITS);
        else if (more)
            translate_by_flags(core, start, outcome_is, (uint16_t)more | bits);
    } else if (outcome == OUTCOME_SOURCE) {
        bool up = !(instruction->opcode & 1);
        translate_by_flags(core, start, source_is,
                           info | (uint32_t)(up ? OPERAND_SCANNED_UP : OPERAND_SCANNED_DOWN) << OPERAND_KIND);
    } else if (figure[WORD_FUNCTION] == FUNCTION_BITS && !timing_multiplies_immediate(instruction)) {
        translate_multiplication(core, start, instruction, info);
    } else if (figure[WORD_FUNCTION] == FUNCTION_PRECISION) {
        /* Behind the load, which may fault. */
        void *last = last_op(core->tcg), *load = op_of_kind(start, OPC_QEMU_LD_I32);
        load = load ? load : op_of_kind(start, OPC_QEMU_LD_I64);
        emit_call(core->tcg, precision_is, core->uc, info | (uint32_t)OPERAND_PRECISION << OPERAND_KIND);
        move_emitted(core->tcg, last, load ? load : start);
    }
}
