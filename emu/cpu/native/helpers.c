/* Native mode's own versions of QEMU's helpers: what translated code calls for IN, OUT, CPUID, RDTSC, MSRs, control
 * and debug registers, and SYSENTER.  An exception raised here restores EIP and flags from the return address, as
 * QEMU's do.
 */
#include "core.h"

#define RETURN_ADDRESS ((uintptr_t)__builtin_return_address(0))

static uint64_t in_byte(void *env, uint32_t port) { return io_input(core_of_env(env), port, 1, RETURN_ADDRESS); }
static uint64_t in_word(void *env, uint32_t port) { return io_input(core_of_env(env), port, 2, RETURN_ADDRESS); }
static uint64_t in_dword(void *env, uint32_t port) { return io_input(core_of_env(env), port, 4, RETURN_ADDRESS); }
static void out_byte(void *env, uint32_t port, uint32_t value)
{
    io_output(core_of_env(env), port, 1, value, RETURN_ADDRESS);
}
static void out_word(void *env, uint32_t port, uint32_t value)
{
    io_output(core_of_env(env), port, 2, value, RETURN_ADDRESS);
}
static void out_dword(void *env, uint32_t port, uint32_t value)
{
    io_output(core_of_env(env), port, 4, value, RETURN_ADDRESS);
}

static void general_protection(Core *core, uintptr_t ra) { lib.raise_exception_err_ra(core->env, 13, 0, ra); }
static void undefined_opcode(Core *core, uintptr_t ra) { lib.raise_exception_err_ra(core->env, 6, 0, ra); }

static void cpuid(void *env)
{
    Core *core = core_of_env(env);
    if (!system_cpuid(core))
        undefined_opcode(core, RETURN_ADDRESS);
}

static void check_tsc_allowed(Core *core, void *env, uintptr_t ra)
{
    bool disabled = FIELD(uint64_t, env, ENV_CR + 8 * 4) >> 2 & 1; /* CR4.TSD */
    if (disabled && (FIELD(uint32_t, env, ENV_HFLAGS) & HF_CPL))
        general_protection(core, ra);
}

static void rdtsc(void *env)
{
    Core *core = core_of_env(env);
    check_tsc_allowed(core, env, RETURN_ADDRESS);
    system_rdtsc(core, RETURN_ADDRESS);
}

static void rdtscp(void *env)
{
    Core *core = core_of_env(env);
    check_tsc_allowed(core, env, RETURN_ADDRESS);
    system_rdtscp(core, RETURN_ADDRESS);
}

static void rdmsr(void *env)
{
    Core *core = core_of_env(env);
    if (!system_rdmsr(core, RETURN_ADDRESS))
        general_protection(core, RETURN_ADDRESS);
}

static void wrmsr(void *env)
{
    Core *core = core_of_env(env);
    if (!system_wrmsr(core, RETURN_ADDRESS))
        general_protection(core, RETURN_ADDRESS);
}

static void sysenter(void *env, int length)
{
    Core *core = core_of_env(env);
    if (!core->has_sysenter)
        undefined_opcode(core, RETURN_ADDRESS);
    if (!system_sysenter(core))
        general_protection(core, RETURN_ADDRESS);
}

static void write_cr(void *env, int number, uint64_t value)
{
    Core *core = core_of_env(env);
    if (number == 4 && !core->has_cr4)
        undefined_opcode(core, RETURN_ADDRESS);
    if (!system_check_cr(core, number, (uint32_t)value))
        general_protection(core, RETURN_ADDRESS);
    if (number == 4)
        refuse_by_cr4(core, (uint32_t)value);
    ((void (*)(void *, int, uint64_t))lib.helper_write_crN)(env, number, (uint32_t)value);
}

static uint64_t read_cr(void *env, int number)
{
    Core *core = core_of_env(env);
    if (number == 4 && !core->has_cr4)
        undefined_opcode(core, RETURN_ADDRESS);
    return ((uint64_t (*)(void *, int))lib.helper_read_crN)(env, number);
}

static void invlpg(void *env, uint64_t linear)
{
    Core *core = core_of_env(env);
    ((void (*)(void *, uint64_t))lib.helper_invlpg)(env, linear);
    soft_tlb_behind_flush(core);
    if (core->lint)
        tlb_lint_invlpg(core, (uint32_t)linear);
    if (core->memory)
        memory_invlpg(core, (uint32_t)linear);
}

static void check_debug_register(Core *core, int number, uintptr_t ra)
{
    enum { CR4_DE = 1 << 3 };
    if ((number == 4 || number == 5) && FIELD(uint64_t, core->env, ENV_CR + 8 * 4) & CR4_DE)
        undefined_opcode(core, ra);
    debug_check_access(core, ra);
}

static void write_dr(void *env, int number, uint64_t value)
{
    Core *core = core_of_env(env);
    check_debug_register(core, number, RETURN_ADDRESS);
    ((void (*)(void *, int, uint64_t))lib.helper_set_dr)(env, number, (uint32_t)value);
    debug_registers_changed(core);
}

static uint64_t read_dr(void *env, int number)
{
    check_debug_register(core_of_env(env), number, RETURN_ADDRESS);
    return ((uint64_t (*)(void *, int))lib.helper_get_dr)(env, number);
}

static void write_eflags(void *env, uint64_t value, uint32_t mask)
{
    Core *core = core_of_env(env);
    ((void (*)(void *, uint64_t, uint32_t))lib.helper_write_eflags)(env, value, mask & ~core->eflags_fixed);
}

/* IRET's helpers load EFLAGS by themselves. */
static void behind_iret(void *env) { FIELD(uint32_t, env, ENV_EFLAGS) &= ~core_of_env(env)->eflags_fixed; }

/* A call of `helper` was translated: behind IRET, flags that the model does not have are cleared. */
void helpers_translate_call(Core *core, const void *helper)
{
    if (!core->eflags_fixed || (helper != lib.helper_iret && helper != lib.helper_iret_real))
        return;
    void *args[1] = {(char *)core->tcg + FIELD(uintptr_t, core->tcg, TCG_CPU_ENV)};
    lib.gen_call(core->tcg, lib.helper_cpuid, NULL, 1, args); /* the same signature */
    FIELD(uintptr_t, last_op(core->tcg), OP_ARGS + sizeof(uintptr_t)) = (uintptr_t)behind_iret;
}

/* PUSHF's image has VM and RF clear (Intel SDM Vol. 2B, PUSHF). */
static uint64_t read_eflags(void *env)
{
    enum { RF_AND_VM = 3 << 16 };
    return ((uint64_t (*)(void *))lib.helper_read_eflags)(env) & ~(uint64_t)RF_AND_VM;
}

/* OF behind rotates through CF by more than 1 is undefined in the manuals.  Processors compute it from the result, as
 * for 1, and so does this; QEMU compares the result's sign with the operand's. */
static void set_overflow(void *env, bool overflow)
{
    enum { OF_BIT = 11 };
    uint64_t flags = FIELD(uint64_t, env, ENV_CC_SRC);
    FIELD(uint64_t, env, ENV_CC_SRC) = (flags & ~(UINT64_C(1) << OF_BIT)) | (uint64_t)overflow << OF_BIT;
}

static uint64_t rotate_through_carry(void *env, const void *helper, int bits, bool left, uint64_t value, uint64_t count)
{
    uint64_t result = ((uint64_t(*)(void *, uint64_t, uint64_t))helper)(env, value, count);
    bool carry = FIELD(uint64_t, env, ENV_CC_SRC) & 1, top = result >> (bits - 1) & 1, next = result >> (bits - 2) & 1;
    if ((count & 31) % (bits == 32 ? 32 : bits + 1)) /* how often the bits come round: 9, 17, 33 */
        set_overflow(env, top ^ (left ? carry : next));
    return result;
}

#define ROTATE(name, slot, bits, left) \
    static uint64_t name(void *env, uint64_t value, uint64_t count) \
    { \
        return rotate_through_carry(env, lib.slot, bits, left, value, count); \
    }
ROTATE(rcl_byte, helper_rcl[0], 8, true)
ROTATE(rcl_word, helper_rcl[1], 16, true)
ROTATE(rcl_dword, helper_rcl[2], 32, true)
ROTATE(rcr_byte, helper_rcr[0], 8, false)
ROTATE(rcr_word, helper_rcr[1], 16, false)
ROTATE(rcr_dword, helper_rcr[2], 32, false)

/* The library's helper whose address is `function`, as ours; NULL where we have none. */
const void *our_helper(const void *function)
{
    const struct {
        const void *theirs, *ours;
    } pairs[] = {
        {lib.helper_in[0], in_byte},
        {lib.helper_in[1], in_word},
        {lib.helper_in[2], in_dword},
        {lib.helper_out[0], out_byte},
        {lib.helper_out[1], out_word},
        {lib.helper_out[2], out_dword},
        {lib.helper_rcl[0], rcl_byte},
        {lib.helper_rcl[1], rcl_word},
        {lib.helper_rcl[2], rcl_dword},
        {lib.helper_rcr[0], rcr_byte},
        {lib.helper_rcr[1], rcr_word},
        {lib.helper_rcr[2], rcr_dword},
        {lib.helper_cpuid, cpuid},
        {lib.helper_rdtsc, rdtsc},
        {lib.helper_rdtscp, rdtscp},
        {lib.helper_rdmsr, rdmsr},
        {lib.helper_wrmsr, wrmsr},
        {lib.helper_sysenter, sysenter},
        {lib.helper_write_crN, write_cr},
        {lib.helper_read_crN, read_cr},
        {lib.helper_write_eflags, write_eflags},
        {lib.helper_read_eflags, read_eflags},
        {lib.helper_set_dr, write_dr},
        {lib.helper_get_dr, read_dr},
        {lib.helper_invlpg, invlpg},
    };
    for (size_t i = 0; i < Py_ARRAY_LENGTH(pairs); i++)
        if (pairs[i].theirs == function)
            return pairs[i].ours;
    return NULL;
}
