/* Portable mode: the same clock and the same decisions by Unicorn's public hooks, without interposition.
 *
 * Slower, same counts: the block hook runs before the block's own exit check, so an exit that it asks for is taken
 * before the first instruction.  Not there without interposition: #GP for unknown MSRs and for reserved bits of CR0
 * and CR4, TSC and SYSENTER registers by MSR beyond what Unicorn keeps, #UD for CR4 on a 386, RF and VM clear in what
 * PUSHF stores, the upper half of CR0 by SMSW, the faults of refuse.c, #GP for misaligned SSE operands,
 * data breakpoints in DR0-DR3 and DR7.GD, watches on memory, who loads CR3, our own task switches.
 *
 * What loads EFLAGS ends its block; so flags that a model does not have are cleared where the next one begins, and
 * where an interrupt or exception comes before that.
 */
#include "core.h"

enum { HOOK_INSN = 1 << 1, HOOK_BLOCK = 1 << 3 };
enum { INS_CPUID = 113, INS_IN = 218, INS_OUT = 500, INS_RDTSC = 608, INS_RDTSCP = 609, INS_SYSENTER = 700 };
enum { EXIT_REQUESTED = 0xffff };

void portable_fix_eflags(Core *core)
{
    if (!core->native)
        FIELD(uint32_t, core->env, ENV_EFLAGS) &= ~core->eflags_fixed;
}

static void on_block(void *uc, uint64_t address, uint32_t size, void *data)
{
    Core *core = data;
    void *tb = lib.tb_lookup(core->tcg, (uintptr_t)__builtin_return_address(0));
    int icount = FIELD(uint16_t, tb, TB_ICOUNT);
    portable_fix_eflags(core);
    if (was_cut_by_own_store(core, tb))
        leave_changed_block(core, (uint32_t)address);
    if (*core->left < icount || block_is_watched(core, tb)) {
        BlockDecision decision = block_decide(core, tb);
        if (decision != BLOCK_RUN) {
            leave_at_block_start(core, decision);
            FIELD(uint16_t, FIELD(void *, core->cpu, CPU_ICOUNT_DECR_PTR), 2) = EXIT_REQUESTED;
            return;
        }
    }
    charge(core, icount);
    set_current_block(core, tb);
}

static uint32_t on_in(void *uc, uint32_t port, int size, void *data) { return io_input(data, port, size, 0); }

static void on_out(void *uc, uint32_t port, int size, uint32_t value, void *data)
{
    io_output(data, port, size, value, 0);
}

static int on_cpuid(void *uc, void *data)
{
    Core *core = data;
    if (!system_cpuid(core))
        lib.raise_exception_err_ra(core->env, 6, 0, 0);
    return 1;
}

static int on_rdtsc(void *uc, void *data)
{
    system_rdtsc(data, 0);
    return 1;
}

static int on_rdtscp(void *uc, void *data)
{
    system_rdtscp(data, 0);
    return 1;
}

static void on_sysenter(void *uc, void *data)
{
    Core *core = data;
    enum { LENGTH = 2 }; /* Unicorn adds it to EIP afterwards */
    if (!core->has_sysenter)
        lib.raise_exception_err_ra(core->env, 6, 0, 0);
    if (!system_sysenter(core))
        lib.raise_exception_err_ra(core->env, 13, 0, 0);
    FIELD(uint64_t, core->env, ENV_EIP) = FIELD(uint64_t, core->env, ENV_EIP) - LENGTH;
}

bool portable_install(Core *core)
{
    /* Keeps the exit check at block starts and drops those behind loads and stores. */
    FIELD(uint8_t, core->uc, UC_NO_EXIT_REQUEST) = 1;
    const struct {
        int type, instruction;
        void *function;
    } hooks[] = {
        {HOOK_BLOCK, 0, (void *)on_block},
        {HOOK_INSN, INS_IN, (void *)on_in},
        {HOOK_INSN, INS_OUT, (void *)on_out},
        {HOOK_INSN, INS_CPUID, (void *)on_cpuid},
        {HOOK_INSN, INS_RDTSC, (void *)on_rdtsc},
        {HOOK_INSN, INS_RDTSCP, (void *)on_rdtscp},
        {HOOK_INSN, INS_SYSENTER, (void *)on_sysenter},
    };
    for (size_t i = 0; i < Py_ARRAY_LENGTH(hooks); i++) {
        uintptr_t hook;
        uint64_t begin = 1, end = 0; /* begin > end: everywhere */
        int error =
            lib.hook_add(core->uc, &hook, hooks[i].type, hooks[i].function, core, begin, end, hooks[i].instruction);
        if (error) {
            PyErr_Format(PyExc_RuntimeError, "Unicorn refuses hook %zu: %s", i, lib.strerror(error));
            return false;
        }
    }
    return true;
}
