/* Charges what entering and leaving handlers, gates and tasks takes, when it has happened.
 *
 *   interrupts, INT n   when the handler is entered: by gate and privilege
 *   IRET, far CALL, JMP, RET   a helper behind QEMU's, which sees the privilege that it led to
 *   task switches       by what led to the task, and both tasks' kinds
 *
 * The prologue has charged the cheapest case of the instruction.
 *   segment registers   a descriptor that was not accessed yet
 */
#include "core.h"
#include "task.h"

enum { VM_BIT = 17, DESC_GATE = 0x400, DESC_GATE_KINDS = 0x1700, GATE_PARAMETERS = 31 };

Privilege timing_privilege(const Core *core)
{
    bool is_protected = FIELD(uint64_t, core->env, ENV_CR) & 1;
    bool v86 = FIELD(uint32_t, core->env, ENV_EFLAGS) >> VM_BIT & 1;
    return (Privilege){!is_protected ? MODE_REAL : v86 ? MODE_V86 : MODE_PROTECTED,
                       (int)(FIELD(uint32_t, core->env, ENV_HFLAGS) & HF_CPL),
                       (FIELD(uint32_t, core->env, ENV_TR + SEG_FLAGS) & DESC_TSS_32) != 0};
}

/* Clocks of the switch that has happened: cases "386 to 386", "... V86", "... 286", "286 to 386", ...; from V86 the
 * first three. */
static int task_switch_clocks(const Core *core, SwitchForm form, Privilege before)
{
    Privilege now = timing_privilege(core);
    int to = now.mode == MODE_V86 ? 1 : now.is_32_bit_task ? 0 : 2;
    bool from_v86 = before.mode == MODE_V86;
    Entry entry = {core->timing->task_switches[form], 0, from_v86 ? MODE_V86 : MODE_PROTECTED};
    return timing_clocks(core->timing, entry, to + (from_v86 || before.is_32_bit_task ? 0 : 3), 0, 0);
}

/* Which case of a gate's outcome it was. */
static int case_of_gate(const Core *core, Outcome outcome, Privilege before, bool by_task)
{
    bool inner = timing_privilege(core).cpl < before.cpl;
    switch (outcome) {
    case OUTCOME_GATE: return by_task ? 2 : inner;
    case OUTCOME_GATE_FROM_V86: return by_task;
    case OUTCOME_OVERFLOW: return 1;
    case OUTCOME_OVERFLOW_GATE: return by_task ? 3 : 1 + inner;
    case OUTCOME_OVERFLOW_GATE_FROM_V86: return 1 + by_task;
    default: return 0;
    }
}

static int clocks_of_gate(const Core *core, Entry entry, Privilege before, bool by_task)
{
    int chosen = case_of_gate(core, timing_outcome(core->timing, entry), before, by_task);
    int task_switch = by_task ? task_switch_clocks(core, SWITCH_FORM_INT, before) : 0;
    return timing_clocks(core->timing, entry, chosen, 0, task_switch);
}

void timing_charge_software_interrupt(Core *core, Entry entry, Privilege before, bool by_task)
{
    int charged = timing_clocks(core->timing, entry, 0, 0, 0);
    charge(core, clocks_of_gate(core, entry, before, by_task) - charged);
}

void timing_charge_event(Core *core, int event, Privilege before, bool by_task)
{
    Entry entry = {core->timing->events[event], 0, (uint8_t)before.mode};
    charge(core, clocks_of_gate(core, entry, before, by_task));
}

/* ---- far transfers ------------------------------------------------------------------------------------------------ */

/* Instead of what the prologue has charged. */
static void charge_case(Core *core, Entry entry, int chosen, int n, int task_switch)
{
    const int16_t *figure = timing_figure(core->timing, entry, chosen);
    if (!figure)
        return;
    if (core->timing->counts_components && !figure[WORD_PER_COMPONENT])
        timing_set_mark(core, 0);
    charge(core, timing_clocks(core->timing, entry, chosen, n, task_switch) -
                     timing_clocks(core->timing, entry, 0, 0, 0));
}

void timing_charge_task(Core *core, const void *tb, TaskCause cause, Privilege before)
{
    static const SwitchForm forms[] = {SWITCH_FORM_TRANSFER, SWITCH_FORM_GATE, SWITCH_FORM_IRET};
    Entry entry = timing_entry(core, tb, -1);
    Outcome outcome = timing_outcome(core->timing, entry);
    bool is_gate = cause == TASK_BY_GATE;
    int chosen = outcome == OUTCOME_FAR_CALL ? 4 + is_gate : outcome == OUTCOME_FAR_JUMP ? 2 + is_gate : 3;
    charge_case(core, entry, chosen, 0, task_switch_clocks(core, forms[cause], before));
}

/* In front of a far CALL or JMP that leads to no task: what its selector names. */
void timing_note_target(Core *core, uint32_t upper)
{
    bool is_gate = (upper & DESC_GATE_KINDS) == DESC_GATE;
    core->timing->far_parameters = is_gate ? (int)(upper & GATE_PARAMETERS) : NO_GATE;
}

/* Behind a far CALL, JMP or RET or IRET in protected mode; `cpl` is that before. */
static void behind_far_transfer(void *uc, int cpl)
{
    Core *core = core_of_uc(uc);
    void *tb = current_block(core);
    if (!tb)
        return;
    Entry entry = timing_entry(core, tb, -1);
    Privilege now = timing_privilege(core);
    int parameters = core->timing->far_parameters, chosen = 0;
    bool by_gate = parameters != NO_GATE;
    switch (timing_outcome(core->timing, entry)) {
    case OUTCOME_FAR_CALL: chosen = !by_gate ? 0 : now.cpl == cpl ? 1 : parameters ? 3 : 2; break;
    case OUTCOME_FAR_JUMP: chosen = by_gate; break;
    case OUTCOME_FAR_RETURN: chosen = now.cpl > cpl; break;
    case OUTCOME_INTERRUPT_RETURN: chosen = now.mode == MODE_V86 ? 2 : now.cpl > cpl; break;
    default: return;
    }
    charge_case(core, entry, chosen, chosen == 3 ? parameters : 0, 0);
}

const void *timing_helper_behind(const void *helper)
{
    bool transfers = helper == lib.helper_far_call || helper == lib.helper_far_jump ||
                     helper == lib.helper_segments[3] || helper == lib.helper_iret;
    return transfers ? (const void *)behind_far_transfer : NULL;
}

/* ---- descriptors --------------------------------------------------------------------------------------------------- */

/* In front of a load of a data segment register: the processor marks a descriptor that was not accessed yet. */
static void before_segment(void *env, int segment, int selector)
{
    Core *core = core_of_env(env);
    uint32_t upper = descriptor_peek(core, (uint32_t)selector & 0xffff, (uintptr_t)__builtin_return_address(0));
    if (upper & DESC_PRESENT && upper & DESC_NOT_SYSTEM && !(upper & DESC_ACCESSED))
        charge(core, core->timing->penalties.descriptor_not_accessed);
}

void *timing_segment_helper(const Core *core, const void *helper)
{
    bool marks = core->timing && core->timing->penalties.descriptor_not_accessed && helper == lib.helper_segments[0];
    return marks ? (void *)before_segment : NULL;
}

void timing_charge_limit(void *env, uint64_t selector, uint32_t more)
{
    Core *core = core_of_env(env);
    uint32_t upper = descriptor_peek(core, (uint32_t)selector & 0xffff, (uintptr_t)__builtin_return_address(0));
    if (upper & DESC_PAGES)
        charge(core, more);
}
