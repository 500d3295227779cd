/* Who called the instruction that the TLB lint tells of: the calls that have not returned.
 *
 * Translated code notes each CALL, by the place of its return address on the stack, and each RET.  A note leads to that
 * of the call around it, as far as the stack is the same; and it counts while its return address is still there, so
 * notes that a longjmp or a stack that went away have left behind are passed over.
 *
 * Not seen: far calls, those of 16-bit code, and what was called before the lint began or a snapshot was restored.
 */
#include <string.h>

#include "tlb_lint_internal.h"

enum { CALLS = 1 << 16, LONGEST_CALL = 15, NEAR_BYTES = 2048, STACK_BYTES = 1 << 16 };
enum { CALL_REL = 0xe8, RET_IMM = 0xc2, RET = 0xc3, GROUP_5 = 0xff, GROUP_CALL = 2, OPERAND_PREFIX = 0x66 };

struct LintCall {
    uint32_t at, pc; /* linear: of the return address, and of the CALL; pc 0: returned */
    uint32_t outer;  /* the place of the call around it; 0: none */
};

static LintCall *note_at(const TlbLint *lint, uint32_t at) { return &lint->calls[(at >> 2 ^ at >> 18) % CALLS]; }

static const LintCall *known_at(const TlbLint *lint, uint32_t at)
{
    const LintCall *note = note_at(lint, at);
    return at && note->pc && note->at == at ? note : NULL;
}

static uint32_t segment_base(const Core *core, int segment)
{
    return FIELD(uint32_t, core->env, ENV_SEGS + segment * SEG_SIZE + SEG_BASE);
}

static uint32_t stack_pointer(const Core *core)
{
    return segment_base(core, SEG_SS) + FIELD(uint32_t, core->env, ENV_REGS + 8 * REG_ESP);
}

/* ---- what translated code calls, in front of the instruction ----------------------------------------------------- */

/* A call whose return address would be overwritten at `at`, or lies below it, has been left: by a longjmp, or because its
 * CALL is executed again. */
static uint32_t outer_of(const TlbLint *lint, uint32_t at)
{
    uint32_t outer = lint->innermost;
    while (outer && at - outer < STACK_BYTES) {
        const LintCall *left = known_at(lint, outer);
        outer = left && left->outer > outer ? left->outer : 0;
    }
    return outer;
}

static void called(void *pointer, uint32_t pc)
{
    Core *core = pointer;
    TlbLint *lint = core->lint;
    uint32_t at = stack_pointer(core) - 4;
    *note_at(lint, at) = (LintCall){.at = at, .pc = pc, .outer = outer_of(lint, at)};
    lint->innermost = at;
}

static void returned(void *pointer, uint32_t unused)
{
    Core *core = pointer;
    TlbLint *lint = core->lint;
    uint32_t at = stack_pointer(core);
    if (known_at(lint, at)) {
        LintCall *note = note_at(lint, at);
        note->pc = 0;
        lint->innermost = note->outer;
        lint->returned_from = at;
    } else if (at != lint->returned_from && lint->innermost - at >= NEAR_BYTES) { /* not a RET that has faulted */
        lint->innermost = 0; /* a stack that was not seen before; else a jump by RET */
    }
}

/* ---- translation ------------------------------------------------------------------------------------------------- */

static void emit_in_front(Core *core, void *start, void (*call)(void *, uint32_t), uint32_t number)
{
    void *last = last_op(core->tcg);
    emit_call(core->tcg, (const void *)call, core, number);
    move_emitted(core->tcg, last, start);
}

void tlb_lint_translate(Core *core, const void *tb)
{
    void *start = NULL, *op = op_instruction_from(FIELD(void *, core->tcg, TCG_OPS));
    for (; op; op = op_instruction_from(next_op(op)))
        start = op;
    if (!start || !(FIELD(uint32_t, tb, TB_FLAGS) & HF_CS32))
        return;
    uint32_t pc = FIELD(uint32_t, start, OP_ARGS), at = pc;
    for (; is_prefix(code_at(core, at)); at++)
        if (code_at(core, at) == OPERAND_PREFIX)
            return;
    uint8_t opcode = code_at(core, at);
    if (opcode == CALL_REL || (opcode == GROUP_5 && (code_at(core, at + 1) >> 3 & 7) == GROUP_CALL))
        emit_in_front(core, start, called, pc);
    if (opcode == RET || opcode == RET_IMM)
        emit_in_front(core, start, returned, 0);
}

/* ---- callers ----------------------------------------------------------------------------------------------------- */

/* Whether its return address is still where the CALL has put it. */
static bool is_on_stack(const Core *core, const LintCall *note)
{
    uint64_t physical;
    if (note->at & 3 || !lint_physical(core, note->at, &physical))
        return false;
    uint32_t address = (uint32_t)lint_entry_at(core, physical, 4) + segment_base(core, SEG_CS);
    return address - note->pc - 1 < LONGEST_CALL;
}

void lint_callers(const Core *core, uint32_t callers[LINT_CALLERS])
{
    uint32_t stack = stack_pointer(core), at = core->lint->innermost;
    const LintCall *note;
    memset(callers, 0, LINT_CALLERS * sizeof *callers);
    for (int count = 0; count < LINT_CALLERS && (note = known_at(core->lint, at)); at = note->outer) {
        if (at >= stack && is_on_stack(core, note))
            callers[count++] = note->pc;
        if (note->outer - at >= STACK_BYTES)
            break; /* another stack */
    }
}

bool lint_begin_calls(TlbLint *lint)
{
    lint->calls = calloc(CALLS, sizeof *lint->calls);
    return lint->calls;
}

void lint_forget_calls(TlbLint *lint)
{
    memset(lint->calls, 0, CALLS * sizeof *lint->calls);
    lint->innermost = 0;
}
