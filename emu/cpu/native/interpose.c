/* Native mode: replaces functions of libunicorn in its own relocated slots.
 *
 * Calls inside the library go through its PLT and GOT, so writing those slots redirects them.  Engines that are not
 * ours pass straight through to the originals.  What is replaced, and why:
 *
 *   check_exit_request      emits the exit check after every load and store: ours emits nothing, since an exit there
 *                           would execute the instruction twice
 *   gen_intermediate_code   translates a block: ours completes the clock's prologue when the length is known
 *   tcg_gen_callN           emits a helper call: ours emits the inline clock where the block's first check would be,
 *                           and puts our own helpers in the place of IN, OUT, CPUID, RDTSC, MSRs, ...
 *   cpu_loop_exit_noexc     leaves a block whose own code was written to: ours gives back what it did not execute
 *   cpu_ldub_code           reads a byte of code: ours makes some instructions undefined, see refuse.c
 *   tb_invalidate_phys_page_fast
 *                           a store to a frame with code: ours counts it, see reclaim.c
 *   tlb_reset_dirty_by_vaddr
 *                           looks through the whole soft TLB for each block that is translated: ours does nothing,
 *                           since stores to frames with code are slow already, see tlb.c
 *   cpu_x86_update_cr3      loads CR3: ours tells observers and the memory model
 *   cpu_x86_update_cr0, cpu_x86_update_cr4
 *                           ours tell the memory model
 *   cpu_x86_update_dr7      writes DR7: ours sees data breakpoints, see debug_registers.c
 *   loads and stores        see memory_access.c
 */
#include "core.h"

/* ---- the clock's prologue -------------------------------------------------------------------------------------
 *
 * At each block's start:              left -= icount;  if (left < 0) goto slow;  resume: ...
 * behind the block's last exit:       slow: block_slow(uc, id);  goto resume;
 *
 * tcg_gen_callN sees only pieces of that at a time, so what links them is kept here.  Translation is not reentrant.
 */
static struct {
    Core *core;
    void *tb;
    void *icount_op; /* the movi that receives the block's length */
    void *slow, *resume;
} block;

/* What the portable mode's block hook adds to a block's op count (pc, four arguments and the call), so that both
 * modes cut very long blocks at the same instruction. */
enum { PORTABLE_START_OPS = 8 };

static uintptr_t const_pointer(void *tcg, const void *pointer)
{
    return lib.const_i64(tcg, (int64_t)(uintptr_t)pointer);
}

static void *temp_of(void *tcg, uintptr_t handle) { return (char *)tcg + handle; }

static uintptr_t new_i64(void *tcg)
{
    return (uintptr_t)((char *)lib.temp_new(tcg, TCG_TYPE_I64, false) - (char *)tcg);
}

static void free_temp(void *tcg, uintptr_t handle) { lib.temp_free(tcg, temp_of(tcg, handle)); }

/* struct TCGLabel starts with one word: present:1 has_value:1 id:14 refs:16 */
void label_set(void *tcg, void *label)
{
    *(uint32_t *)label |= 1;
    lib.op1(tcg, OPC_SET_LABEL, (uintptr_t)label);
}

static void label_branch(void *tcg, void *label)
{
    *(uint32_t *)label += 1u << 16;
    lib.op1(tcg, OPC_BR, (uintptr_t)label);
}

/* Emits a call of ours with the signature (pointer, i32): the original's helper table has such an entry, and only
 * the function's address in the finished op is changed. */
void emit_call(void *tcg, const void *function, const void *pointer, uint32_t number)
{
    uintptr_t first = const_pointer(tcg, pointer), second = lib.const_i32(tcg, (int32_t)number);
    void *args[2] = {temp_of(tcg, first), temp_of(tcg, second)};
    lib.gen_call(tcg, lib.helper_check_exit_request, NULL, 2, args);
    FIELD(uintptr_t, last_op(tcg), OP_ARGS + 2 * sizeof(uintptr_t)) = (uintptr_t)function;
    free_temp(tcg, first);
    free_temp(tcg, second);
}

static void emit_id(void *tcg, uintptr_t env_arg)
{
    uintptr_t id = lib.const_i32(tcg, (int32_t)block_id(block.core, block.tb));
    lib.op3(tcg, OPC_ST_I32, (uintptr_t)temp_of(tcg, id), env_arg,
            (uintptr_t)((intptr_t)CPU_ICOUNT_EXTRA - X86CPU_ENV));
    free_temp(tcg, id);
}

static void emit_prologue(void *tcg)
{
    Core *core = block.core;
    int ops_before = FIELD(int, tcg, TCG_NB_OPS);
    uintptr_t env = FIELD(uintptr_t, tcg, TCG_CPU_ENV);
    uintptr_t env_arg = (uintptr_t)temp_of(tcg, env);

    if (!core->timing)
        emit_id(tcg, env_arg);
    uintptr_t left = new_i64(tcg), left_arg = (uintptr_t)temp_of(tcg, left);
    intptr_t left_offset = (intptr_t)CPU_ICOUNT_BUDGET - X86CPU_ENV;
    lib.op3(tcg, OPC_LD_I64, left_arg, env_arg, (uintptr_t)left_offset);
    uintptr_t icount = lib.const_i64(tcg, 0);
    block.icount_op = last_op(tcg);
    lib.op3(tcg, OPC_SUB_I64, left_arg, left_arg, (uintptr_t)temp_of(tcg, icount));
    free_temp(tcg, icount);
    if (core->timing)
        timing_emit_arrival(tcg, left_arg);
    lib.op3(tcg, OPC_ST_I64, left_arg, env_arg, (uintptr_t)left_offset);

    block.slow = lib.new_label(tcg);
    block.resume = lib.new_label(tcg);
    lib.brcondi_i64(tcg, TCG_COND_LT, left, 0, block.slow);
    free_temp(tcg, left);
    label_set(tcg, block.resume);
    if (core->timing)
        timing_emit_end(tcg);
    FIELD(int, tcg, TCG_NB_OPS) = ops_before + PORTABLE_START_OPS;
}

/* What the prologue takes from the countdown: a block with a breakpoint always takes it past zero. */
static int64_t block_charge(const Core *core, const void *tb)
{
    int64_t watched = block_is_watched(core, tb) ? (int64_t)1 << 60 : 0;
    int icount = FIELD(uint16_t, tb, TB_ICOUNT);
    return watched + (core->timing ? ticks_word(core, timing_of_whole_block(core, tb)) - icount : icount);
}

/* Called by translated code when the countdown has passed zero; jumps back to the main loop unless the block may run.
 */
void block_slow(void *uc, uint32_t id)
{
    Core *core = core_of_uc(uc);
    void *tb = block_of(core, id);
    int64_t arrival = core->timing ? timing_arrival(core, tb) : 0;
    set_current_block(core, tb); /* with a timing model not done yet */
    *core->left += block_charge(core, tb);
    charge(core, -arrival);
    /* Translated code runs on from block to block without storing EIP; the flags are stored at every block's end. */
    FIELD(uint64_t, core->env, ENV_EIP) = (uint32_t)(FIELD(uint64_t, tb, TB_PC) - FIELD(uint64_t, tb, TB_CS_BASE));
    BlockDecision decision = block_decide(core, tb);
    if (decision == BLOCK_RUN) {
        if (core->timing && core->hold)
            timing_begin_piece(core, tb);
        charge(core, arrival);
        charge_instructions(core, tb, 0, FIELD(uint16_t, tb, TB_ICOUNT));
        return;
    }
    if (decision == BLOCK_TRAP)
        debug_trap_raise(core);
    leave_at_block_start(core, decision);
    lib.loop_exit_noexc(core->cpu);
}

/* ---- the replacements ------------------------------------------------------------------------------------------ */

static void check_exit_request(void *tcg)
{
    Core *core = core_of_uc(FIELD(void *, tcg, TCG_UC));
    if (!core || !core->native)
        lib.check_exit_request(tcg);
    else if (block.core)
        limits_translate_access(tcg, block.tb);
    if (core && core->memory && block.core)
        memory_translate_access(core, block.tb);
}

/* In front of a call of `function`, one of ours, which may not return, with the same arguments. */
static void emit_call_before(void *tcg, void *function, int nargs, void **args)
{
    Core *core = core_of_uc(FIELD(void *, tcg, TCG_UC));
    const void *before = task_helper_before(function);
    before = before ? before : timing_segment_helper(core, function);
    if (!before)
        return;
    lib.gen_call(tcg, function, NULL, nargs, args);
    FIELD(uintptr_t, last_op(tcg), OP_ARGS + nargs * sizeof(uintptr_t)) = (uintptr_t)before;
}

static void gen_call(void *tcg, void *function, void *ret, int nargs, void **args)
{
    Core *core = core_of_uc(FIELD(void *, tcg, TCG_UC));
    if (!core || !core->native) {
        lib.gen_call(tcg, function, ret, nargs, args);
        return;
    }
    if (function == lib.helper_check_exit_request) {
        if (block.core)
            emit_prologue(tcg);
        return;
    }
    emit_call_before(tcg, function, nargs, args);
    lib.gen_call(tcg, function, ret, nargs, args);
    const void *ours = our_helper(function);
    if (ours)
        FIELD(uintptr_t, last_op(tcg), OP_ARGS + (nargs + (ret ? 1 : 0)) * sizeof(uintptr_t)) = (uintptr_t)ours;
    limits_translate_call(tcg, function);
    helpers_translate_call(core, function);
    const void *behind = core->timing && block.core ? timing_helper_behind(core, function) : NULL;
    if (behind)
        emit_call(tcg, behind, core->uc, FIELD(uint32_t, block.tb, TB_FLAGS) & HF_CPL);
}

static void gen_block(void *cpu, void *tb, int max_insns)
{
    Core *core = core_of_cpu(cpu);
    if (!core || !core->native) {
        lib.gen_block(cpu, tb, max_insns);
        return;
    }
    block.core = core;
    block.tb = tb;
    block.icount_op = NULL;
    lib.gen_block(cpu, tb, max_insns);
    block.core = NULL;
    if (core->timing && block.icount_op) {
        timing_translate(core, tb);
        timing_complete_arrival(core, tb);
    }
    fix_translation(core, tb);
    if (core->memory && block.icount_op)
        memory_translate_block(core, tb);
    if (block.icount_op)
        branches_translate(core, tb);
    if (core->lint && block.icount_op)
        tlb_lint_translate(core, tb);
    if (core->profile && block.icount_op)
        profile_translate_block(core, tb);
    if (!block.icount_op)
        return;
    FIELD(uintptr_t, block.icount_op, OP_ARGS + sizeof(uintptr_t)) = (uintptr_t)block_charge(core, tb);
    label_set(core->tcg, block.slow);
    emit_call(core->tcg, block_slow, core->uc, block_id(core, tb));
    label_branch(core->tcg, block.resume);
}

static void loop_exit_noexc(void *cpu)
{
    Core *core = core_of_cpu(cpu);
    if (core)
        leave_changed_block(core, linear_eip(core));
    lib.loop_exit_noexc(cpu);
}

static void store_to_code(void *uc, void *pages, uint64_t ram, int size, uintptr_t ra)
{
    lib.store_to_code(uc, pages, ram, size, ra);
    Core *core = core_of_uc(uc);
    if (core && core->native)
        reclaim_count_store(core, ram);
}

static void reset_dirty(void *cpu, uint64_t at, uint64_t size)
{
    Core *core = core_of_cpu(cpu);
    if (!core || !core->native)
        lib.reset_dirty(cpu, at, size);
}

static uint32_t read_code(void *env, uint64_t at)
{
    Core *core = core_of_env(env);
    uint32_t byte = lib.read_code(env, at);
    return block.core && block.core == core ? refuse_byte(core, at, (uint8_t)byte) : byte;
}

static void update_cr3(void *env, uint64_t value)
{
    Core *core = core_of_env(env);
    if (core && core->native && core->running)
        observe_cr3(core, FIELD(uint32_t, env, ENV_CR + 8 * 3), (uint32_t)value);
    lib.update_cr3(env, value);
    if (core && core->native)
        memory_control(core, CONTROL_CR3);
}

static void update_cr0(void *env, uint32_t value)
{
    Core *core = core_of_env(env);
    lib.update_cr0(env, value);
    if (core && core->native)
        memory_control(core, CONTROL_CR0);
}

static void update_cr4(void *env, uint32_t value)
{
    Core *core = core_of_env(env);
    lib.update_cr4(env, value);
    if (core && core->native)
        memory_control(core, CONTROL_CR4);
}

static void update_dr7(void *env, uint32_t value)
{
    Core *core = core_of_env(env);
    lib.update_dr7(env, value);
    if (core && core->native)
        debug_registers_changed(core);
}

#define REPLACED(name) {.original = (void *)lib.name, .replacement = (void *)name}

bool interpose_install(void)
{
    static bool installed;
    Replacement replacements[] = {
        REPLACED(check_exit_request), REPLACED(gen_call),      REPLACED(gen_block),  REPLACED(loop_exit_noexc),
        REPLACED(read_code),          REPLACED(store_to_code), REPLACED(update_cr3), REPLACED(update_dr7),
        REPLACED(update_cr0),         REPLACED(update_cr4),    REPLACED(reset_dirty),
    };
    installed = installed ||
                (slots_redirect(replacements, Py_ARRAY_LENGTH(replacements)) && memory_access_install());
    return installed;
}
