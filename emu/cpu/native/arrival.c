/* What a branch costs at its target: the i386 decodes the instruction there (the ``m`` of its figures), the i486 fetches
 * the second line of one that lies in two.
 *
 * Beside the block's id, the prologue leaves a mark: all ones if a branch may lead on from its end, else 0.  Where the
 * branch is not taken, translated code wipes it out.  The next block's prologue charges its own cost of arrival under
 * the mark, before it leaves its own.  A block that is left early leaves no mark, nor does an interrupt.
 *
 *      icount_extra:  63      mark      32 31       block's id       0
 */
#include "core.h"

enum { MARK = 4, MARK_FROM_ENV = CPU_ICOUNT_EXTRA + MARK - X86CPU_ENV, ID_FROM_ENV = CPU_ICOUNT_EXTRA - X86CPU_ENV };

/* Operations of the block that is translated; translation is not reentrant. */
static struct {
    void *cost, *end; /* the constants: cost of arrival, and what the prologue leaves */
} constants;

static bool is_counted(const Timing *timing) { return timing->counts_components || timing->penalties.target_crosses_line; }

static uintptr_t env_of(void *tcg) { return (uintptr_t)tcg + FIELD(uintptr_t, tcg, TCG_CPU_ENV); }

/* left -= cost of arrival & mark */
void timing_emit_arrival(void *tcg, uintptr_t left)
{
    void *mark = lib.temp_new(tcg, TCG_TYPE_I64, false);
    lib.op3(tcg, OPC_LD32S_I64, (uintptr_t)mark, env_of(tcg), (uintptr_t)(intptr_t)MARK_FROM_ENV);
    uintptr_t cost = lib.const_i64(tcg, 0);
    constants.cost = last_op(tcg);
    lib.op3(tcg, OPC_AND_I64, (uintptr_t)mark, (uintptr_t)mark, (uintptr_t)tcg + cost);
    lib.op3(tcg, OPC_SUB_I64, left, left, (uintptr_t)mark);
    lib.temp_free(tcg, (char *)tcg + cost);
    lib.temp_free(tcg, mark);
}

/* The block begins: its id, and the mark of its end. */
void timing_emit_end(void *tcg)
{
    uintptr_t end = lib.const_i64(tcg, 0);
    constants.end = last_op(tcg);
    lib.op3(tcg, OPC_ST_I64, (uintptr_t)tcg + end, env_of(tcg), (uintptr_t)(intptr_t)ID_FROM_ENV);
    lib.temp_free(tcg, (char *)tcg + end);
}

static void set_constant(void *op, int64_t value) { FIELD(int64_t, op, OP_ARGS + sizeof(uintptr_t)) = value; }

void timing_complete_arrival(const Core *core, const void *tb)
{
    const BlockCosts *block = timing_of_block(core, tb);
    uint64_t mark = block && block->is_transfer && is_counted(core->timing) ? UINT32_MAX : 0;
    set_constant(constants.cost, block ? ticks_word(core, block->arrival) : 0);
    set_constant(constants.end, (int64_t)(mark << 32 | block_id(core, tb)));
}

/* Behind `place`, where a branch was not taken. */
void timing_emit_not_taken(void *tcg, void *place)
{
    void *last = last_op(tcg);
    uintptr_t none = lib.const_i32(tcg, 0);
    lib.op3(tcg, OPC_ST_I32, (uintptr_t)tcg + none, env_of(tcg), (uintptr_t)(intptr_t)MARK_FROM_ENV);
    lib.temp_free(tcg, (char *)tcg + none);
    move_emitted(tcg, last, place);
}

uint32_t timing_mark(const Core *core) { return core->tb_id[1]; }
void timing_set_mark(Core *core, uint32_t mark) { core->tb_id[1] = mark; }

int64_t timing_arrival(const Core *core, const void *tb)
{
    const BlockCosts *block = timing_of_block(core, tb);
    return block && timing_mark(core) ? block->arrival : 0;
}

int timing_cost_of_arrival(const Timing *timing, const Decoded *first, uint64_t pc, uint32_t length)
{
    if (timing->counts_components)
        return first->components;
    uint32_t line = timing->code_line_bytes;
    return line && pc % line + length > line ? timing->penalties.target_crosses_line : 0;
}
