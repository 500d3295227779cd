/* Translated code that asks the branch target buffer; branches.h tells the rules.
 *
 * What follows a branch in its block is the way to the next block, so a question may branch itself: no temporary is alive
 * there.  It is asked behind the branch's own accesses, which may fault.  What is translated as an exception (a breakpoint
 * of DR7, LOCK) has not the form of a branch.
 */
#include "core.h"

enum { TWO_BYTES = 0x0f, LOCK = 0xf0, LOOPNE = 0xe0, JCXZ = 0xe3, CALL = 0xe8, JMP = 0xe9, JMP_SHORT = 0xeb };
enum { RET_IMM = 0xc2, RET = 0xc3, GROUP_5 = 0xff, GROUP_CALL = 2, GROUP_JMP = 4 };


/* What the questions of a block share. */
typedef struct {
    Core *core;
    BranchSite *site;
    uint32_t cs_base;
    bool in_v, may_meet_flush; /* it is in the block's first clock */
} Question;

BranchKind branch_kind(Core *core, uint32_t pc)
{
    while (is_prefix(code_at(core, pc)))
        pc++;
    uint8_t opcode = code_at(core, pc);
    if (opcode >> 4 == 7 || (opcode == TWO_BYTES && code_at(core, pc + 1) >> 4 == 8))
        return BRANCH_JCC;
    if (opcode >= LOOPNE && opcode <= JCXZ)
        return BRANCH_COUNTED;
    if (opcode == CALL || opcode == JMP || opcode == JMP_SHORT)
        return BRANCH_DIRECT;
    int operation = opcode == GROUP_5 ? code_at(core, pc + 1) >> 3 & 7 : 0;
    bool is_indirect = opcode == RET || opcode == RET_IMM || operation == GROUP_CALL || operation == GROUP_JMP;
    return is_indirect ? BRANCH_INDIRECT : BRANCH_NONE;
}

/* ---- pieces of code ---------------------------------------------------------------------------------------------- */

static uintptr_t handle_of(void *tcg, void *temp) { return (uintptr_t)((char *)temp - (char *)tcg); }

static void *emit_load(void *tcg, const void *pointer)
{
    void *value = lib.temp_new(tcg, TCG_TYPE_I64, false);
    uintptr_t base = lib.const_i64(tcg, (int64_t)(uintptr_t)pointer);
    lib.op3(tcg, OPC_LD_I64, (uintptr_t)value, (uintptr_t)tcg + base, 0);
    lib.temp_free(tcg, (char *)tcg + base);
    return value;
}

/* result = result `opcode` operand */
static void emit_constant(void *tcg, int opcode, void *result, int64_t operand)
{
    uintptr_t constant = lib.const_i64(tcg, operand);
    lib.op3(tcg, opcode, (uintptr_t)result, (uintptr_t)result, (uintptr_t)tcg + constant);
    lib.temp_free(tcg, (char *)tcg + constant);
}

/* if (value | flushing) call(site, number) */
static void emit_question(const Question *asked, void *value, BranchEvent event, uint32_t number)
{
    void *tcg = asked->core->tcg, *label = lib.new_label(tcg);
    if (asked->may_meet_flush) {
        void *flushing = emit_load(tcg, &asked->core->timing->branches->flushing);
        lib.op3(tcg, OPC_OR_I64, (uintptr_t)value, (uintptr_t)value, (uintptr_t)flushing);
        lib.temp_free(tcg, flushing);
    }
    lib.brcondi_i64(tcg, TCG_COND_EQ, handle_of(tcg, value), 0, label);
    lib.temp_free(tcg, value);
    emit_call(tcg, (const void *)branch_call(event, asked->in_v), asked->site, number);
    label_set(tcg, label);
}

static void emit_not_taken(const Question *asked, void *place)
{
    void *tcg = asked->core->tcg, *last = last_op(tcg);
    emit_question(asked, emit_load(tcg, &asked->site->has_entry), BRANCH_NOT_TAKEN, 0);
    move_emitted(tcg, last, place);
}

static void emit_to(const Question *asked, void *place, BranchEvent event, uint32_t target)
{
    void *tcg = asked->core->tcg, *last = last_op(tcg);
    void *value = emit_load(tcg, &asked->site->taken_to);
    emit_constant(tcg, OPC_XOR_I64, value, target);
    emit_question(asked, value, event, target);
    move_emitted(tcg, last, place);
}

static void emit_to_eip(const Question *asked, void *place)
{
    void *tcg = asked->core->tcg, *last = last_op(tcg);
    void *target = lib.temp_new(tcg, TCG_TYPE_I64, false);
    lib.op3(tcg, OPC_LD_I64, (uintptr_t)target, (uintptr_t)tcg + FIELD(uintptr_t, tcg, TCG_CPU_ENV), ENV_EIP);
    if (asked->cs_base)
        emit_constant(tcg, OPC_ADD_I64, target, asked->cs_base); /* one that is beyond 4 GiB is told by the call */
    void *value = emit_load(tcg, &asked->site->taken_to);
    lib.op3(tcg, OPC_XOR_I64, (uintptr_t)value, (uintptr_t)value, (uintptr_t)target);
    lib.temp_free(tcg, target);
    emit_question(asked, value, BRANCH_JUMPED_TO_EIP, asked->cs_base);
    move_emitted(tcg, last, place);
}

/* ---- places ------------------------------------------------------------------------------------------------------ */

static bool stores_eip(const void *op)
{
    return FIELD(uint8_t, op, OP_OPCODE) == OPC_ST_I64 && FIELD(uintptr_t, op, OP_ARGS + 2 * 8) == ENV_EIP;
}

/* The store to EIP on the way from `op` out of the block; NULL: none.  Behind that way there may be another one, which
 * nothing leads to. */
static void *store_of_eip(const void *op)
{
    do
        op = next_op(op);
    while (is_in_instruction(op) && !stores_eip(op));
    return is_in_instruction(op) ? (void *)op : NULL;
}

/* The linear target of a way whose EIP is a constant.  false: it is none. */
static bool target_behind(const Question *asked, const void *op, uint32_t *target)
{
    void *store = store_of_eip(op), *constant = store ? previous_op(asked->core->tcg, store) : NULL;
    if (!constant || FIELD(uint8_t, constant, OP_OPCODE) != OPC_MOVI_I64)
        return false;
    *target = FIELD(uint32_t, constant, OP_ARGS + 8) + asked->cs_base;
    return true;
}

static bool is_constant(const Question *asked, const void *store)
{
    return FIELD(uint8_t, previous_op(asked->core->tcg, (void *)store), OP_OPCODE) == OPC_MOVI_I64;
}

/* ---- a branch ---------------------------------------------------------------------------------------------------- */

static void translate_conditional(const Question *asked, void *start, BranchKind kind)
{
    void *not_taken = timing_place_of_not_taken(start, kind == BRANCH_COUNTED);
    void *taken = op_of_kind(start, OPC_SET_LABEL);
    if (taken && kind == BRANCH_COUNTED)
        taken = op_of_kind(taken, OPC_SET_LABEL);
    uint32_t target;
    if (!taken || !target_behind(asked, taken, &target))
        return;
    emit_to(asked, taken, BRANCH_TAKEN, target);
    if (not_taken)
        emit_not_taken(asked, not_taken);
    timing_emit_count(asked->core->tcg, start, &asked->site->executed[1]);
}

static void translate_direct(const Question *asked, void *start)
{
    void *tcg = asked->core->tcg, *chained = op_of_kind(start, OPC_GOTO_TB);
    void *place = chained ? previous_op(tcg, chained) : store_of_eip(start);
    uint32_t target;
    if (!place || !target_behind(asked, chained ? chained : start, &target))
        return;
    emit_to(asked, place, BRANCH_JUMPED, target);
    timing_emit_count(tcg, place, &asked->site->executed[0]);
}

static void translate_indirect(const Question *asked, void *start)
{
    void *place = store_of_eip(start);
    if (!place || is_constant(asked, place))
        return;
    emit_to_eip(asked, place);
    timing_emit_count(asked->core->tcg, place, &asked->site->executed[0]);
}

/* A block that ends at a breakpoint has one byte of the instruction. */
static bool is_translated_as_exception(Core *core, uint32_t pc, uint32_t length, BranchKind kind)
{
    bool locked = false;
    for (uint32_t at = pc; is_prefix(code_at(core, at)); at++)
        locked |= code_at(core, at) == LOCK;
    return locked || (length < 2 && kind != BRANCH_INDIRECT);
}

void branches_translate(Core *core, const void *tb)
{
    if (!core->timing || !core->timing->branches)
        return;
    void *start = NULL, *op = op_instruction_from(FIELD(void *, core->tcg, TCG_OPS));
    for (; op; op = op_instruction_from(next_op(op)))
        start = op;
    uint32_t pc = start ? FIELD(uint32_t, start, OP_ARGS) : 0;
    uint32_t end = FIELD(uint32_t, tb, TB_PC) + FIELD(uint16_t, tb, TB_SIZE);
    BranchKind kind = start ? branch_kind(core, pc) : BRANCH_NONE;
    if (kind == BRANCH_NONE || is_translated_as_exception(core, pc, end - pc, kind))
        return;
    int count = FIELD(uint16_t, tb, TB_ICOUNT);
    const BlockCosts *costs = timing_of_block(core, tb);
    bool in_v = costs && costs->ends_in_v;
    Question asked = {
        .core = core,
        .site = branches_site(core, end - 1),
        .cs_base = FIELD(uint32_t, tb, TB_CS_BASE),
        .in_v = in_v,
        .may_meet_flush = count == 1 || (count == 2 && in_v),
    };
    if (!asked.site)
        return;
    if (kind == BRANCH_DIRECT)
        translate_direct(&asked, start);
    else if (kind == BRANCH_INDIRECT)
        translate_indirect(&asked, start);
    else
        translate_conditional(&asked, start, kind);
}
