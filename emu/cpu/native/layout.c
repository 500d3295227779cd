/* Checks on a fresh engine that layout.h describes this library, before anything relies on it. */
#include "core.h"

enum { UC_X86_REG_EBX = 21, UC_X86_REG_EFLAGS = 25, UC_X86_REG_CR2 = 52 };

static bool reads_back(Core *core, int reg, uint32_t value, const uint64_t *field)
{
    if (lib.reg_write(core->uc, reg, &value))
        return false;
    bool same = (uint32_t)*field == value;
    uint32_t zero = 0;
    lib.reg_write(core->uc, reg, &zero);
    return same && (uint32_t)*field == 0;
}

static const char *first_mismatch(Core *core)
{
    char *cpu = core->cpu, *env = core->env;
    if (env != cpu + X86CPU_ENV)
        return "CPUX86State does not follow CPUState where expected";
    if (FIELD(void *, cpu, CPU_UC) != core->uc || FIELD(void *, env, ENV_UC) != core->uc)
        return "the processor does not point back to its engine";
    if (FIELD(void *, core->tcg, TCG_UC) != core->uc)
        return "the translator does not point back to its engine";
    void *class = FIELD(void *, cpu, CPU_CLASS);
    if (FIELD(void *, class, CLASS_DO_INTERRUPT) != (void *)lib.do_interrupt ||
        FIELD(void *, class, CLASS_TLB_FILL) != lib.class_tlb_fill ||
        FIELD(void *, class, CLASS_EXEC_INTERRUPT) != lib.class_exec_interrupt)
        return "the processor class does not point to the exported functions";
    uintptr_t env_temp = FIELD(uintptr_t, core->tcg, TCG_CPU_ENV);
    if (env_temp == 0 || env_temp > TCG_OPS)
        return "the translator's env is not among its temporaries";
    for (int i = 0; i < 6; i++) {
        uintptr_t base = FIELD(uintptr_t, core->tcg, TCG_SEG_BASES + 8 * i);
        if (base == 0 || base > TCG_OPS || FIELD(uintptr_t, core->tcg, TCG_REGISTERS + 8 * i) >= base)
            return "the translator's registers and segment bases are not among its temporaries";
    }
    if (!soft_tlb_is_laid_out(core))
        return "the soft TLB is not in front of the processor's state, or not empty";
    if (!reads_back(core, UC_X86_REG_EBX, 0x5EED1234, &FIELD(uint64_t, env, ENV_REGS + 8 * 3)))
        return "EBX is not where expected";
    if (!reads_back(core, UC_X86_REG_CR2, 0x5EED5678, &FIELD(uint64_t, env, ENV_CR + 8 * 2)))
        return "CR2 is not where expected";
    if (FIELD(int64_t, cpu, CPU_ICOUNT_BUDGET) != 0 || FIELD(int64_t, cpu, CPU_ICOUNT_EXTRA) != 0)
        return "the fields that the clock uses are not idle";
    return NULL;
}

bool layout_check(Core *core)
{
    const char *mismatch = first_mismatch(core);
    if (mismatch)
        PyErr_Format(PyExc_ImportError,
                     "this libunicorn is not laid out as the 2.1.4 release is: %s; pip install unicorn==2.1.4",
                     mismatch);
    return mismatch == NULL;
}
