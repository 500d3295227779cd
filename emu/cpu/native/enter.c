/* ENTER, in the finished operations of a block.  (Native mode only.)
 *
 * Three things are translated wrongly:
 *   - on a 16-bit stack, the frame pointer has ESP's upper half, which no push changes; QEMU's borrows from it;
 *   - EBP takes as many bits of the frame pointer as the operand has, not as the stack has;
 *   - where a write at the final stack pointer would fault, ENTER does, and changes no register.
 *
 * Source: Intel SDM Vol. 2A, ENTER; Intel386 Programmer's Reference Manual, ENTER.
 */
#include "core.h"

enum { ENTER = 0xc8, PROBE_STORE = 1, INFO_SIZE_SHIFT = 20 };
enum { MMU_KERNEL_SMAP, MMU_USER, MMU_KERNEL };
enum { HF_SMAP = 1 << 23, EFLAGS_AC = 1 << 18 };

static int mmu_index(void *env)
{
    uint32_t hflags = FIELD(uint32_t, env, ENV_HFLAGS);
    if ((hflags & HF_CPL) == HF_CPL)
        return MMU_USER;
    return !(hflags & HF_SMAP) || FIELD(uint64_t, env, ENV_EFLAGS) & EFLAGS_AC ? MMU_KERNEL : MMU_KERNEL_SMAP;
}

/* Called by translated code before it changes EBP: faults as a write at the final stack pointer would. */
static void probe_stack(void *env, uint64_t frame_pointer, uint32_t info)
{
    uint32_t size = info >> INFO_SIZE_SHIFT, frame = info & ((1 << INFO_SIZE_SHIFT) - 1);
    uint32_t esp = (uint32_t)frame_pointer - frame;
    if (!(FIELD(uint32_t, env, ENV_HFLAGS) & HF_SS32))
        esp &= 0xffff;
    uint32_t linear = esp + FIELD(uint32_t, env, ENV_SEGS + SEG_SS * SEG_SIZE + SEG_BASE);
    uintptr_t ra = (uintptr_t)__builtin_return_address(0);
    lib.probe_access(env, linear, 1, PROBE_STORE, mmu_index(env), ra);
    lib.probe_access(env, linear + size - 1, 1, PROBE_STORE, mmu_index(env), ra); /* which may be on another page */
}

static void emit_probe(Core *core, uint64_t frame_pointer, int info, void *place)
{
    void *tcg = core->tcg, *before = last_op(tcg);
    uintptr_t number = lib.const_i32(tcg, info);
    void *args[3] = {(char *)tcg + FIELD(uintptr_t, tcg, TCG_CPU_ENV), (void *)frame_pointer, (char *)tcg + number};
    lib.gen_call(tcg, lib.helper_bound, NULL, 3, args); /* the same signature */
    FIELD(uintptr_t, last_op(tcg), OP_ARGS + 3 * sizeof(uintptr_t)) = (uintptr_t)probe_stack;
    lib.temp_free(tcg, (char *)tcg + number);
    while (last_op(tcg) != before) { /* from the last one to the first, each in front of the one before */
        void *moved = last_op(tcg);
        op_move_behind(tcg, moved, previous_op(tcg, place));
        place = moved;
    }
}

/* `op` subtracts from ESP; the opcode is at `pc`, and operands have 32 bits if `wide`: mends ENTER. */
void enter_fix(Core *core, const void *tb, uint64_t pc, bool wide, void *op)
{
    void *tcg = core->tcg;
    if (code_at(core, pc) != ENTER)
        return;
    uint32_t size = wide ? 4 : 2, level = code_at(core, pc + 3) & 31;
    uint32_t frame = (code_at(core, pc + 1) | (uint32_t)code_at(core, pc + 2) << 8) + size * level;
    uint64_t frame_pointer = FIELD(uint64_t, op, OP_ARGS), esp = FIELD(uint64_t, op, OP_ARGS + 8);
    if (!(FIELD(uint32_t, tb, TB_FLAGS) & HF_SS32)) {
        lib.deposit_i64(tcg, frame_pointer - (uint64_t)tcg, esp - (uint64_t)tcg, frame_pointer - (uint64_t)tcg, 0, 16);
        op_move_behind(tcg, last_op(tcg), op);
    }
    uint64_t ebp = (uint64_t)tcg + FIELD(uintptr_t, tcg, TCG_REGISTERS + 8 * REG_EBP);
    for (op = FIELD(void *, op, OP_LINK); op; op = FIELD(void *, op, OP_LINK)) {
        uint64_t *args = (uint64_t *)((char *)op + OP_ARGS);
        uint8_t *opcode = (uint8_t *)op + OP_OPCODE;
        if ((*opcode != OPC_EXT32U_I64 && *opcode != OPC_DEPOSIT_I64) || args[0] != ebp)
            continue;
        emit_probe(core, frame_pointer, (int)(frame | size << INFO_SIZE_SHIFT), op);
        *opcode = wide ? OPC_EXT32U_I64 : OPC_DEPOSIT_I64;
        args[1] = wide ? frame_pointer : ebp;
        args[2] = frame_pointer;
        args[3] = 0;
        args[4] = 16;
        return;
    }
}
