/* Puts the memory model's calls into a block.  (Native mode only.)
 *
 * A load or store gets its call as soon as it is translated, while its temporaries are known to be its own.  What the
 * call is told is completed when the block is: clocks to its end, which calls an instruction has, LOCK.  Calls for code
 * have constants only, and stand in front of their instruction, where no temporary is alive but the block's own.
 *
 * A branch inside an instruction would end its temporaries' lives, so the filter is asked behind a call.  The calls
 * neither read nor write registers of the guest, and are told so: these may stay where they are.
 */
#include "core.h"

enum { MEMOP_SHIFT = 4, MEMOP_SIZE = 3, CALL_NO_READ_GLOBALS = 1, CALL_NO_SIDE_EFFECTS = 4 };
enum { CALL_ARGS = 3, CALL_FUNCTION = OP_ARGS + 8 * CALL_ARGS, CALL_FLAGS = CALL_FUNCTION + 8 };
enum { LOCK = 0xf0, XCHG_BYTE = 0x86, XCHG = 0x87, TWO_BYTES = 0x0f, INVD = 0x08, WBINVD = 0x09 };
enum { INS_BYTE = 0x6c, INS = 0x6d, OUTS = 0x6f, MOVS_BYTE = 0xa4, CMPS = 0xa7, STOS_BYTE = 0xaa, SCAS = 0xaf };

/* `keeps`: registers of the guest stay where they are; else the call has them in env, and may change them. */
static void emit_memory_call(Core *core, MemoryCall call, void *where, uint32_t how, bool keeps)
{
    void *tcg = core->tcg;
    uintptr_t events = lib.const_i64(tcg, (int64_t)(uintptr_t)core->memory), number = lib.const_i32(tcg, (int32_t)how);
    void *args[CALL_ARGS] = {(char *)tcg + events, where, (char *)tcg + number};
    lib.gen_call(tcg, lib.helper_bound, NULL, CALL_ARGS, args); /* the same signature */
    FIELD(uintptr_t, last_op(tcg), CALL_FUNCTION) = (uintptr_t)call;
    FIELD(uintptr_t, last_op(tcg), CALL_FLAGS) = keeps ? CALL_NO_READ_GLOBALS : 0;
    lib.temp_free(tcg, (char *)tcg + number);
    lib.temp_free(tcg, (char *)tcg + events);
}

/* The last operation may be a load or a store: puts its call behind it. */
void memory_translate_access(Core *core, const void *tb)
{
    char *access = last_op(core->tcg);
    uint8_t opcode = FIELD(uint8_t, access, OP_OPCODE);
    if (opcode < OPC_QEMU_LD_I32 || opcode > OPC_QEMU_ST_I64)
        return;
    int ops = FIELD(int, core->tcg, TCG_NB_OPS);
    void *where = FIELD(void *, access, OP_ARGS + 8), *copy = NULL;
    if (opcode == OPC_QEMU_LD_I64 && FIELD(void *, access, OP_ARGS) == where) { /* the load replaces its address */
        copy = lib.temp_new(core->tcg, TCG_TYPE_I64, false);
        lib.op2(core->tcg, OPC_MOV_I64, (uintptr_t)copy, (uintptr_t)where);
        op_move_behind(core->tcg, access, last_op(core->tcg));
        where = copy;
    }
    bool writes = opcode == OPC_QEMU_ST_I32 || opcode == OPC_QEMU_ST_I64;
    bool user = (FIELD(uint32_t, tb, TB_FLAGS) & HF_CPL) == HF_CPL;
    uint32_t size = 1 << (FIELD(uint64_t, access, OP_ARGS + 2 * 8) >> MEMOP_SHIFT & MEMOP_SIZE);
    emit_memory_call(core, memory_any_access, where, size | (writes ? HOW_WRITE : 0) | (user ? HOW_USER : 0), true);
    if (copy)
        lib.temp_free(core->tcg, copy);
    FIELD(int, core->tcg, TCG_NB_OPS) = ops; /* blocks end where they do without a model */
}

/* ---- a whole block ----------------------------------------------------------------------------------------------- */

typedef struct {
    void *first_op; /* its OPC_INSN_START */
    uint32_t pc, length, rest;
    uint8_t opcode, second; /* behind the prefixes */
    bool locked, repeats, writes_port_first;
} Instruction;

static bool is_string(uint8_t opcode)
{
    return (opcode >= INS_BYTE && opcode <= OUTS) || (opcode >= MOVS_BYTE && opcode <= CMPS) ||
           (opcode >= STOS_BYTE && opcode <= SCAS);
}

static Instruction instruction_from(Core *core, void *op, uint32_t end)
{
    Instruction found = {.first_op = op, .pc = FIELD(uint32_t, op, OP_ARGS)};
    void *next = op_instruction_from(next_op(op));
    found.length = (next ? FIELD(uint32_t, next, OP_ARGS) : end) - found.pc;
    if (found.length > LONGEST_INSTRUCTION)
        found.length = LONGEST_INSTRUCTION; /* it faults */
    bool rep = false;
    uint32_t at = found.pc;
    for (; at - found.pc < found.length && is_prefix(code_at(core, at)); at++) {
        found.locked |= code_at(core, at) == LOCK;
        rep |= (code_at(core, at) & 0xfe) == 0xf2;
    }
    found.opcode = code_at(core, at);
    found.second = found.opcode == TWO_BYTES ? code_at(core, at + 1) : 0;
    found.locked |= found.opcode == XCHG_BYTE || found.opcode == XCHG;
    found.repeats = rep && is_string(found.opcode);
    found.writes_port_first = found.opcode == INS_BYTE || found.opcode == INS;
    return found;
}

static bool is_call(const void *op) { return FIELD(uint8_t, op, OP_OPCODE) == OPC_CALL; }
static bool is_access(const void *op)
{
    bool has_our_args = FIELD(uint16_t, op, OP_OPCODE) == (OPC_CALL | CALL_ARGS << OP_CALL_ARGS); /* and no result */
    return has_our_args && FIELD(uintptr_t, op, CALL_FUNCTION) == (uintptr_t)memory_any_access;
}

/* Of a helper that may leave the block; the others have no side effects. */
static bool may_leave(const void *op)
{
    uint32_t counts = FIELD(uint16_t, op, OP_OPCODE) >> OP_CALL_ARGS, args = (counts & 15) + (counts >> 4);
    return !(FIELD(uint64_t, op, OP_ARGS + 8 * (args + 1)) & CALL_NO_SIDE_EFFECTS);
}

/* An instruction with a single access and no other helper needs no memory of what it has done. */
static bool makes_several(const Instruction *instruction)
{
    int calls = 0;
    void *op = FIELD(void *, instruction->first_op, OP_LINK);
    for (; is_in_instruction(op); op = next_op(op))
        calls += is_call(op) && may_leave(op);
    return calls > 1;
}

static void complete_accesses(Core *core, const void *tb, const Instruction *instruction)
{
    bool again = (FIELD(uint32_t, tb, TB_CFLAGS) & CF_COUNT_MASK) == 1; /* it may have made some of them already */
    bool several = makes_several(instruction), first = true, drop = instruction->writes_port_first;
    void *op = FIELD(void *, instruction->first_op, OP_LINK);
    for (; is_in_instruction(op); op = next_op(op)) {
        if (!is_access(op))
            continue;
        int32_t *number = &FIELD(int32_t, previous_op(core->tcg, op), OP_ARGS + 8);
        uint32_t how = (uint32_t)*number | instruction->rest << HOW_REST | (instruction->locked ? HOW_LOCKED : 0);
        bool notes = first && (several || again);
        how |= notes ? HOW_FIRST : 0;
        *number = (int32_t)how;
        if (drop)
            FIELD(uintptr_t, op, CALL_FUNCTION) = (uintptr_t)memory_no_access;
        else if (!again && !instruction->locked && !core->memory->record)
            FIELD(uintptr_t, op, CALL_FUNCTION) = (uintptr_t)memory_quick_call(how);
        first = first && drop;
        drop = false;
    }
}

static void emit_at_start(Core *core, const Instruction *instruction, MemoryCall call, uint64_t where, uint32_t how)
{
    void *last = last_op(core->tcg);
    uintptr_t constant = lib.const_i64(core->tcg, (int64_t)where);
    emit_memory_call(core, call, (char *)core->tcg + constant, how | instruction->rest << HOW_REST,
                     call != memory_fetch_repeat);
    lib.temp_free(core->tcg, (char *)core->tcg + constant);
    move_emitted(core->tcg, last, instruction->first_op);
}

/* In front of a block whose `last` instruction may have REP. */
static void emit_fetch(Core *core, const void *tb, const Instruction *first, const Instruction *last, uint32_t user)
{
    uint32_t start = first->pc, end = last->pc + last->length, shift = core->memory->fetch_shift, size;
    uint64_t repeated = last->repeats ? memory_repeat_told(core, tb, &size) : 0;
    if (repeated) {
        emit_at_start(core, first, memory_fetch_repeat, repeated, size | user);
    } else if (!last->repeats && !core->memory->record && start >> shift == (start + first->length - 1) >> shift) {
        MemoryCall call = user ? memory_fetch_in_user_line : memory_fetch_in_line;
        emit_at_start(core, first, call, start | (uint64_t)end << 32, user);
    } else {
        uint64_t repeat = last->repeats ? 1 + last->pc - start : 0;
        uint64_t where = start | (uint64_t)(end - start) << 32 | repeat << 48;
        emit_at_start(core, first, memory_fetch_block, where, first->length | user);
    }
}

static bool flushes_cache(const Instruction *instruction, uint32_t tb_flags)
{
    return instruction->opcode == TWO_BYTES && (instruction->second == INVD || instruction->second == WBINVD) &&
           !(tb_flags & HF_CPL);
}

void memory_translate_block(Core *core, const void *tb)
{
    uint32_t flags = FIELD(uint32_t, tb, TB_FLAGS), user = (flags & HF_CPL) == HF_CPL ? HOW_USER : 0;
    uint32_t start = FIELD(uint32_t, tb, TB_PC), size = FIELD(uint16_t, tb, TB_SIZE), shift = core->memory->fetch_shift;
    int icount = FIELD(uint16_t, tb, TB_ICOUNT);
    Instruction first = {0}, instruction = {0};
    uint32_t entered = 0; /* the line that the last byte was in */
    void *op = op_instruction_from(FIELD(void *, core->tcg, TCG_OPS));
    for (int i = 0; op && i < icount; i++) {
        void *next = op_instruction_from(next_op(op));
        instruction = instruction_from(core, op, start + size);
        instruction.rest = (uint32_t)ticks_between(core, tb, i, icount);
        complete_accesses(core, tb, &instruction);
        uint32_t last = (instruction.pc + instruction.length - 1) >> shift;
        if (flushes_cache(&instruction, flags))
            emit_at_start(core, &instruction, memory_cache_flush, instruction.second == WBINVD, 0);
        if (i == 0)
            first = instruction;
        for (uint32_t line = last; i > 0 && line != entered; line--) /* what is emitted last is called first */
            emit_at_start(core, &instruction, core->memory->record ? memory_fetch_line_recorded : memory_fetch_line,
                          memory_line_told(core->memory, line, user), user);
        entered = last;
        op = next;
    }
    if (first.first_op)
        emit_fetch(core, tb, &first, &instruction, user);
    core->memory->helper_ra = 0; /* another block may lie there now */
}
