/* What switches tasks: far JMP and CALL, IRET with NT set, and interrupts and exceptions through a task gate.  (Native
 * mode only.)
 *
 * In front of QEMU's helpers for the three instructions, translated code calls one of ours.  Where the instruction
 * leads to a task, that switches and leaves the block; else QEMU goes on.  To find out it reads a descriptor unseen
 * by watches, since it is read again.
 *
 * Source: Intel SDM Vol. 2A, JMP, CALL, IRET, INT n, "Operation": TASK-GATE, TASK-STATE-SEGMENT, TASK-RETURN; Vol. 3A,
 * "Exception Conditions Checked During a Task Switch".
 */
#include "core.h"
#include "task.h"

enum { DOUBLE_FAULT = 8, INVALID_TSS = 10, NOT_PRESENT = 11, GENERAL_PROTECTION = 13, PAGE_FAULT = 14, ALIGNMENT = 17 };
enum { CR0_PE = 1, EFLAGS_NT = 1 << 14, ERROR_IN_IDT = 2, GATE_SIZE = 8, GATE_UPPER = 4 };

/* ---- descriptors ------------------------------------------------------------------------------------------------- */

/* Where a selector's descriptor lies; false: beyond its table. */
static bool find_descriptor(void *env, uint32_t selector, uint64_t *at)
{
    void *table = (char *)env + (selector & SELECTOR_LOCAL ? ENV_LDT : ENV_GDT);
    uint32_t offset = selector & 0xfff8;
    *at = (uint32_t)(FIELD(uint64_t, table, SEG_BASE) + offset);
    return offset + 7 <= FIELD(uint32_t, table, SEG_LIMIT);
}

bool descriptor_load(Core *core, uint32_t selector, Descriptor *found)
{
    if (!find_descriptor(core->env, selector, &found->at))
        return false;
    found->lower = processor_load(core, found->at, 4);
    found->upper = processor_load(core, found->at + 4, 4);
    return true;
}

static uint32_t peek(Core *core, uint64_t at, uintptr_t ra)
{
    return ((uint32_t(*)(void *, uint64_t, uint32_t, uintptr_t))lib.direct_load_4)(
        core->env, (uint32_t)at, (uint32_t)processor_mmu_index(core), ra);
}

uint32_t descriptor_peek(Core *core, uint32_t selector, uintptr_t ra)
{
    uint64_t at;
    bool found = selector & SELECTOR_NULL && find_descriptor(core->env, selector, &at);
    return found ? peek(core, at + GATE_UPPER, ra) : 0;
}

static uint32_t cpl_of(const Core *core) { return FIELD(uint32_t, core->env, ENV_HFLAGS) & HF_CPL; }
static uint32_t dpl_of(uint32_t upper) { return upper >> DESC_DPL_BIT & 3; }

/* ---- JMP and CALL ------------------------------------------------------------------------------------------------ */

static bool leads_to_task(Core *core, uint32_t selector, uintptr_t ra)
{
    uint32_t upper = descriptor_peek(core, selector, ra), kind = upper & DESC_KIND;
    if (core->timing)
        timing_note_target(core, upper);
    return kind == DESC_TASK_GATE || (kind & ~(uint32_t)DESC_TSS_32) == DESC_TSS;
}

/* The available TSS that a task gate, or a JMP or CALL by itself, names. */
static void load_available_tss(Core *core, uint32_t selector, Descriptor *tss, bool external)
{
    if (selector & SELECTOR_LOCAL || !(selector & SELECTOR_NULL) || !descriptor_load(core, selector, tss) ||
        (tss->upper & DESC_KIND & ~(uint32_t)DESC_TSS_32) != DESC_TSS)
        task_fault(core, GENERAL_PROTECTION, selector, external);
    if (!(tss->upper & DESC_PRESENT))
        task_fault(core, NOT_PRESENT, selector, external);
}

static void leave_block(Core *core)
{
    rearm(core);
    lib.loop_exit_noexc(core->cpu);
}

static void go_to_task(Core *core, uint32_t selector, SwitchKind kind, uint32_t next_eip, uintptr_t ra)
{
    if (!leads_to_task(core, selector, ra))
        return;
    const void *tb = current_block(core);
    lib.restore_state(core->cpu, ra, false); /* EIP and flags, from here on */
    Descriptor found;
    descriptor_load(core, selector, &found);
    if (dpl_of(found.upper) < cpl_of(core) || dpl_of(found.upper) < (selector & 3))
        task_fault(core, GENERAL_PROTECTION, selector, false);
    TaskCause cause = (found.upper & DESC_KIND) == DESC_TASK_GATE ? TASK_BY_GATE : TASK_BY_TSS;
    if (cause == TASK_BY_GATE) {
        if (!(found.upper & DESC_PRESENT))
            task_fault(core, NOT_PRESENT, selector, false);
        selector = found.lower >> 16;
    }
    load_available_tss(core, selector, &found, false);
    if (core->timing)
        timing_begin_task(core, tb, cause);
    bool trap = task_switch(core, selector, &found, kind, next_eip, false);
    if (trap)
        task_trap(core);
    leave_block(core);
}

static void before_jump(void *env, int selector, uint64_t eip, uint64_t next_eip)
{
    go_to_task(core_of_env(env), (uint32_t)selector & 0xffff, SWITCH_BY_JMP, (uint32_t)next_eip,
               (uintptr_t)__builtin_return_address(0));
}

static void before_call(void *env, int selector, uint64_t eip, int size, uint64_t next_eip)
{
    go_to_task(core_of_env(env), (uint32_t)selector & 0xffff, SWITCH_BY_CALL, (uint32_t)next_eip,
               (uintptr_t)__builtin_return_address(0));
}

/* ---- IRET -------------------------------------------------------------------------------------------------------- */

static void before_return(void *env, int size, int next_eip)
{
    Core *core = core_of_env(env);
    if (!(FIELD(uint32_t, env, ENV_EFLAGS) & EFLAGS_NT))
        return;
    lib.restore_state(core->cpu, (uintptr_t)__builtin_return_address(0), false);
    uint32_t selector = processor_load(core, FIELD(uint64_t, env, ENV_TR + SEG_BASE), 2);
    Descriptor tss;
    if (selector & SELECTOR_LOCAL || !(selector & SELECTOR_NULL) || !descriptor_load(core, selector, &tss) ||
        (tss.upper & DESC_KIND & ~(uint32_t)DESC_TSS_32) != (DESC_TSS | DESC_TSS_BUSY))
        task_fault(core, INVALID_TSS, selector, false);
    if (!(tss.upper & DESC_PRESENT))
        task_fault(core, NOT_PRESENT, selector, false);
    if (core->timing)
        timing_begin_task(core, current_block(core), TASK_BY_IRET);
    bool trap = task_switch(core, selector, &tss, SWITCH_BY_IRET, (uint32_t)next_eip, false);
    FIELD(uint32_t, env, ENV_HFLAGS2) &= ~(uint32_t)HF2_NMI;
    if (trap)
        task_trap(core);
    leave_block(core);
}

const void *task_helper_before(const void *function)
{
    return function == lib.helper_far_jump   ? (const void *)before_jump
           : function == lib.helper_far_call ? (const void *)before_call
           : function == lib.helper_iret     ? (const void *)before_return
                                             : NULL;
}

/* ---- interrupts and exceptions ----------------------------------------------------------------------------------- */

static void gate_fault(Core *core, int vector, uint32_t offset, bool external)
{
    lib.raise_exception_err_ra(core->env, vector, (int)(offset | ERROR_IN_IDT | external), 0);
}

static bool has_error_code(uint32_t vector)
{
    return vector == DOUBLE_FAULT || (vector >= INVALID_TSS && vector <= PAGE_FAULT) || vector == ALIGNMENT;
}

static void push_error_code(Core *core, uint32_t error)
{
    void *env = core->env;
    uint32_t size = FIELD(uint32_t, env, ENV_TR + SEG_FLAGS) & DESC_TSS_32 ? 4 : 2;
    uint32_t mask = FIELD(uint32_t, env, ENV_HFLAGS) & HF_SS32 ? UINT32_MAX : 0xffff;
    uint32_t esp = FIELD(uint32_t, env, ENV_REGS + 8 * REG_ESP), top = (esp - size) & mask;
    processor_store(core, FIELD(uint64_t, env, ENV_SEGS + SEG_SS * SEG_SIZE + SEG_BASE) + top, error, (int)size);
    FIELD(uint64_t, env, ENV_REGS + 8 * REG_ESP) = (esp & ~mask) | top;
}

bool task_interrupt(Core *core, uint32_t vector, DeliveryKind kind)
{
    void *env = core->env;
    uint32_t offset = vector * GATE_SIZE;
    if (!core->native || !(FIELD(uint64_t, env, ENV_CR) & CR0_PE) ||
        offset + 7 > FIELD(uint32_t, env, ENV_IDT + SEG_LIMIT))
        return false;
    uint64_t at = FIELD(uint64_t, env, ENV_IDT + SEG_BASE) + offset;
    if ((peek(core, at + GATE_UPPER, 0) & DESC_KIND) != DESC_TASK_GATE)
        return false;

    bool software = kind == DELIVERY_SOFTWARE, external = !software;
    bool pushes_error = kind == DELIVERY_EXCEPTION && has_error_code(vector);
    uint32_t error = FIELD(uint32_t, env, ENV_ERROR_CODE);
    uint32_t selector = processor_load(core, at, 4) >> 16, upper = processor_load(core, at + GATE_UPPER, 4);
    if (software && dpl_of(upper) < cpl_of(core))
        gate_fault(core, GENERAL_PROTECTION, offset, false);
    if (!(upper & DESC_PRESENT))
        gate_fault(core, NOT_PRESENT, offset, external);
    Descriptor tss;
    load_available_tss(core, selector, &tss, external);
    uint32_t return_eip = FIELD(uint32_t, env, software ? ENV_EXCEPTION_NEXT_EIP : ENV_EIP);
    bool trap = task_switch(core, selector, &tss, SWITCH_BY_CALL, return_eip, external);
    if (pushes_error)
        push_error_code(core, error);
    FIELD(int32_t, env, ENV_OLD_EXCEPTION) = -1; /* delivered: another one is no double fault */
    if (trap)
        task_trap(core);
    return true;
}
