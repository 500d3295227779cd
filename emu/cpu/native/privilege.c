/* Charges what entering and leaving handlers, gates and tasks takes, when it has happened.
 *
 *   interrupts, INT n   when the handler is entered: by gate and privilege
 *   IRET, far CALL, JMP, RET   a helper behind QEMU's, which sees the privilege that it led to
 *   task switches       by what led to the task, and both tasks' kinds; before its segments are loaded, which may fault
 *   segment registers   a descriptor that was not accessed yet, when it is loaded
 *
 * The prologue has charged the cheapest case of the instruction; one that faults takes nothing.
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

/* Of what the prologue has charged for an instruction. */
static int charged_already(const Core *core)
{
    const Entering *entering = &core->timing->entering;
    return entering->is_instruction ? timing_clocks(core->timing, entering->entry, 0, 0, 0) : 0;
}

static void begin_delivery(Core *core, Entry entry, bool is_instruction)
{
    Entering *entering = &core->timing->entering;
    if (entering->entry.form && entering->cause == TASK_BY_INTERRUPT && entering->is_instruction) {
        charge(core, -charged_already(core)); /* an INT's delivery has faulted, so it takes nothing */
        rearm(core);                          /* a limit may have been reached already */
    }
    *entering = (Entering){entry, is_instruction, TASK_BY_INTERRUPT, timing_privilege(core)};
}

void timing_begin_software_interrupt(Core *core, Entry entry) { begin_delivery(core, entry, true); }

void timing_begin_event(Core *core, int event)
{
    branches_interrupted(core);
    begin_delivery(core, (Entry){core->timing->events[event], 0, (uint8_t)timing_privilege(core).mode}, false);
}

static void charge_delivery(Core *core, bool by_task)
{
    Entering *entering = &core->timing->entering;
    int chosen = case_of_gate(core, timing_outcome(core->timing, entering->entry), entering->before, by_task);
    int task_switch = by_task ? task_switch_clocks(core, SWITCH_FORM_INT, entering->before) : 0;
    charge(core, timing_clocks(core->timing, entering->entry, chosen, 0, task_switch) - charged_already(core));
    entering->entry.form = 0;
}

void timing_end_delivery(Core *core)
{
    if (core->timing->entering.entry.form)
        charge_delivery(core, false);
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

void timing_begin_task(Core *core, const void *tb, TaskCause cause)
{
    core->timing->entering = (Entering){timing_entry(core, tb, -1), true, cause, timing_privilege(core)};
}

void timing_task_entered(Core *core)
{
    static const SwitchForm forms[] = {SWITCH_FORM_TRANSFER, SWITCH_FORM_GATE, SWITCH_FORM_IRET};
    Entering *entering = &core->timing->entering;
    if (entering->cause == TASK_BY_INTERRUPT) {
        charge_delivery(core, true);
        return;
    }
    Outcome outcome = timing_outcome(core->timing, entering->entry);
    bool is_gate = entering->cause == TASK_BY_GATE;
    int chosen = outcome == OUTCOME_FAR_CALL ? 4 + is_gate : outcome == OUTCOME_FAR_JUMP ? 2 + is_gate : 3;
    charge_case(core, entering->entry, chosen, 0, task_switch_clocks(core, forms[entering->cause], entering->before));
    entering->entry.form = 0;
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

/* ---- descriptors --------------------------------------------------------------------------------------------------- */

/* In front of a load of a data segment register, which may fault: whether the processor will mark the descriptor as
 * accessed. */
static void before_segment(void *env, int segment, int selector)
{
    Core *core = core_of_env(env);
    uint32_t upper = descriptor_peek(core, (uint32_t)selector & 0xffff, (uintptr_t)__builtin_return_address(0));
    core->timing->marks_descriptor = upper & DESC_PRESENT && upper & DESC_NOT_SYSTEM && !(upper & DESC_ACCESSED);
}

static void behind_segment(void *uc, int cpl)
{
    Core *core = core_of_uc(uc);
    if (core->timing->marks_descriptor)
        charge(core, core->timing->penalties.descriptor_not_accessed);
}

static bool marks_descriptors(const Core *core, const void *helper)
{
    return core->timing && core->timing->penalties.descriptor_not_accessed && helper == lib.helper_segments[0];
}

void *timing_segment_helper(const Core *core, const void *helper)
{
    return marks_descriptors(core, helper) ? (void *)before_segment : NULL;
}

void timing_charge_limit(void *env, uint64_t selector, uint32_t more)
{
    Core *core = core_of_env(env);
    uint32_t upper = descriptor_peek(core, (uint32_t)selector & 0xffff, (uintptr_t)__builtin_return_address(0));
    if (upper & DESC_PAGES)
        charge(core, more);
}

const void *timing_helper_behind(const Core *core, const void *helper)
{
    bool transfers = helper == lib.helper_far_call || helper == lib.helper_far_jump ||
                     helper == lib.helper_segments[3] || helper == lib.helper_iret;
    if (marks_descriptors(core, helper))
        return (const void *)behind_segment;
    return transfers ? (const void *)behind_far_transfer : NULL;
}
