/* Task switches by the hardware: registers to one task state segment (TSS), and from another.  (Native mode only.)
 *
 *      32 bits                               16 bits
 *      00  link                              00  link
 *      04  ESP0 SS0 ESP1 SS1 ESP2 SS2        02  SP0 SS0 SP1 SS1 SP2 SS2
 *      1C  CR3
 *      20  EIP                               0E  IP
 *      24  EFLAGS                            10  FLAGS
 *      28  EAX ECX EDX EBX ESP EBP ESI EDI   12  AX CX DX BX SP BP SI DI
 *      48  ES CS SS DS FS GS                 22  ES CS SS DS
 *      60  LDT                               2A  LDT
 *      64  T (bit 0), I/O map base (66)
 *
 * What can fault is done first: the new TSS is read, and all that will be written is probed.  Up to there a fault is
 * the old task's.  From there on it is the new task's, with the EIP where that begins, and CPL is its CS's RPL.
 *
 * A task of 16 bits begins with zeros in the upper half of EIP and EFLAGS and ones in that of its general registers, as
 * on processors, and keeps CR3.
 *
 * QEMU's own version gets 16-bit segments wrong, saves in the new task's format, keeps VM for a 16-bit task, reports
 * the old EIP with faults of the new task, and knows no T bit.
 *
 * Not modelled: the checks of PAE's page-directory-pointer entries.
 * Source: Intel SDM Vol. 3A, "Task Switching", "Task-State Segment (TSS)", "16-Bit Task-State Segment (TSS)",
 * "Exception Conditions Checked During a Task Switch"; Vol. 3B, "Task-Switch Exception Condition".
 */
#include <string.h>

#include "core.h"
#include "task.h"

enum { STORE = 1, PAGE = 0x1000 }; /* MMU_DATA_STORE */
enum { DEBUG = 1, INVALID_TSS = 10, NOT_PRESENT = 11, STACK_FAULT = 12, GENERAL_PROTECTION = 13 };
enum { EFLAGS_NT = 1 << 14, EFLAGS_RF = 1 << 16, EFLAGS_VM = 1 << 17 };
enum { EFLAGS_LOADED = 0x277300 }; /* TF IF IOPL NT RF VM AC ID; the arithmetic flags and DF QEMU always loads */
enum { CR0_TS = 1u << 3, CR0_PG = 1u << 31, HF_TS = 1 << 11 };
enum { DR6_BT = 1 << 15, DR7_LOCAL = 0x155 }; /* L0-L3 and LE */
enum { VM_SEGMENT = DESC_PRESENT | DESC_NOT_SYSTEM | 3 << DESC_DPL_BIT | DESC_WRITABLE | DESC_ACCESSED };

/* Where things lie in a TSS. */
typedef struct {
    uint8_t eip, eflags, registers, segments, segment_count, segment_size, ldt, word, last_saved;
} Layout;

static const Layout layout_32 = {0x20, 0x24, 0x28, 0x48, 6, 4, 0x60, 4, 0x5d};
static const Layout layout_16 = {0x0e, 0x10, 0x12, 0x22, 4, 2, 0x2a, 2, 0x29};
enum { TSS_CR3 = 0x1c, TSS_TRAP = 0x64, TSS_LAST_32 = 0x67, TSS_LAST_16 = 0x2b };

/* What a task brings along. */
typedef struct {
    uint32_t cr3, eip, eflags, registers[8];
    uint16_t segments[6], ldt;
    bool trap;
} Task;

static void *tr_of(Core *core) { return (char *)core->env + ENV_TR; }

static const Layout *layout_of(uint32_t type_flags) { return type_flags & DESC_TSS_32 ? &layout_32 : &layout_16; }

/* ---- before the commit: faults are the old task's ---------------------------------------------------------------- */

static void read_task(Core *core, uint64_t base, const Layout *layout, Task *task)
{
    memset(task, 0, sizeof *task);
    bool wide = layout == &layout_32;
    uint32_t upper = wide ? 0 : 0xffff0000;
    if (wide) {
        task->cr3 = processor_load(core, base + TSS_CR3, 4);
        task->trap = processor_load(core, base + TSS_TRAP, 2) & 1;
    }
    task->eip = processor_load(core, base + layout->eip, layout->word);
    task->eflags = processor_load(core, base + layout->eflags, layout->word);
    for (int i = 0; i < 8; i++)
        task->registers[i] = processor_load(core, base + layout->registers + i * layout->word, layout->word) | upper;
    for (int i = 0; i < layout->segment_count; i++)
        task->segments[i] = (uint16_t)processor_load(core, base + layout->segments + i * layout->segment_size, 2);
    task->ldt = (uint16_t)processor_load(core, base + layout->ldt, 2);
}

static void probe(Core *core, uint64_t at, uint32_t bytes)
{
    uint32_t last = (uint32_t)at + bytes - 1;
    lib.probe_access(core->env, (uint32_t)at, 1, STORE, processor_mmu_index(core), 0);
    if (((uint32_t)at ^ last) & ~(uint32_t)(PAGE - 1))
        lib.probe_access(core->env, last, 1, STORE, processor_mmu_index(core), 0);
}

/* ---- the old task ------------------------------------------------------------------------------------------------ */

static void set_busy(Core *core, uint32_t selector, bool busy)
{
    uint64_t at = FIELD(uint64_t, core->env, ENV_GDT + SEG_BASE) + (selector & ~7u) + 4;
    uint32_t upper = processor_load(core, at, 4);
    processor_store(core, at, busy ? upper | DESC_TSS_BUSY : upper & ~(uint32_t)DESC_TSS_BUSY, 4);
}

static uint32_t eflags_of(Core *core)
{
    uint32_t flags = (uint32_t)((uint64_t(*)(void *))lib.helper_read_eflags)(core->env);
    return flags | (FIELD(uint32_t, core->env, ENV_EFLAGS) & (EFLAGS_RF | EFLAGS_VM)); /* which that leaves out */
}

static void save_task(Core *core, uint32_t eip, uint32_t eflags)
{
    uint64_t base = FIELD(uint64_t, tr_of(core), SEG_BASE);
    const Layout *layout = layout_of(FIELD(uint32_t, tr_of(core), SEG_FLAGS));
    processor_store(core, base + layout->eip, eip, layout->word);
    processor_store(core, base + layout->eflags, eflags, layout->word);
    for (int i = 0; i < 8; i++)
        processor_store(core, base + layout->registers + i * layout->word,
                        FIELD(uint32_t, core->env, ENV_REGS + 8 * i), layout->word);
    for (int i = 0; i < layout->segment_count; i++)
        processor_store(core, base + layout->segments + i * layout->segment_size,
                        FIELD(uint32_t, core->env, ENV_SEGS + i * SEG_SIZE + SEG_SELECTOR), 2);
}

/* ---- the new task ------------------------------------------------------------------------------------------------ */

static void load_cr3(Core *core, uint32_t value)
{
    if (core->running)
        observe_cr3(core, FIELD(uint32_t, core->env, ENV_CR + 8 * 3), value);
    lib.update_cr3(core->env, value);
    memory_control(core, CONTROL_TASK_SWITCH);
}

static void load_registers(Core *core, const Task *task)
{
    void *env = core->env;
    FIELD(uint64_t, env, ENV_EIP) = task->eip;
    ((void (*)(void *, uint64_t, uint32_t))lib.helper_write_eflags)(env, task->eflags,
                                                                  EFLAGS_LOADED & ~core->eflags_fixed);
    for (int i = 0; i < 8; i++)
        FIELD(uint64_t, env, ENV_REGS + 8 * i) = task->registers[i];
    /* Only selectors, so far: CPL is that of CS. */
    bool is_vm = task->eflags & EFLAGS_VM;
    uint32_t cpl = task->segments[SEG_CS] & 3;
    for (int i = 0; i < 6; i++) {
        if (is_vm)
            segment_load(core, i, task->segments[i], (uint32_t)task->segments[i] << 4, 0xffff, VM_SEGMENT);
        else
            segment_load(core, i, task->segments[i], 0, 0, i == SEG_SS ? cpl << DESC_DPL_BIT : 0);
    }
    void *ldt = (char *)env + ENV_LDT;
    memset(ldt, 0, SEG_SIZE);
    FIELD(uint32_t, ldt, SEG_SELECTOR) = task->ldt;
}

static void load_ldt(Core *core, uint16_t selector, bool external)
{
    Descriptor found;
    if (!(selector & SELECTOR_NULL))
        return;
    if (selector & SELECTOR_LOCAL || !descriptor_load(core, selector, &found) ||
        (found.upper & DESC_KIND) != DESC_LDT || !(found.upper & DESC_PRESENT))
        task_fault(core, INVALID_TSS, selector, external);
    void *ldt = (char *)core->env + ENV_LDT;
    FIELD(uint64_t, ldt, SEG_BASE) = descriptor_base(&found);
    FIELD(uint32_t, ldt, SEG_LIMIT) = descriptor_limit(&found);
    FIELD(uint32_t, ldt, SEG_FLAGS) = found.upper;
}

static bool is_valid_code(uint32_t upper, uint32_t rpl)
{
    uint32_t dpl = upper >> DESC_DPL_BIT & 3;
    return upper & DESC_CODE && (upper & DESC_CONFORMING ? dpl <= rpl : dpl == rpl);
}

static bool is_valid_stack(uint32_t upper, uint32_t rpl, uint32_t cpl)
{
    return !(upper & DESC_CODE) && upper & DESC_WRITABLE && (upper >> DESC_DPL_BIT & 3) == cpl && rpl == cpl;
}

static bool is_valid_data(uint32_t upper, uint32_t rpl, uint32_t cpl)
{
    uint32_t dpl = upper >> DESC_DPL_BIT & 3;
    if ((upper & DESC_CODE) && !(upper & DESC_READABLE))
        return false;
    return (upper & DESC_CODE && upper & DESC_CONFORMING) || (dpl >= cpl && dpl >= rpl);
}

static void load_segment(Core *core, int number, uint32_t selector, uint32_t cpl, bool external)
{
    Descriptor found;
    bool is_data = number != SEG_CS && number != SEG_SS;
    if (is_data && !(selector & SELECTOR_NULL))
        return;
    uint32_t rpl = selector & 3;
    if (!(selector & SELECTOR_NULL) || !descriptor_load(core, selector, &found) || !(found.upper & DESC_NOT_SYSTEM))
        task_fault(core, INVALID_TSS, selector, external);
    bool is_valid = number == SEG_CS   ? is_valid_code(found.upper, rpl)
                    : number == SEG_SS ? is_valid_stack(found.upper, rpl, cpl)
                                       : is_valid_data(found.upper, rpl, cpl);
    if (!is_valid)
        task_fault(core, INVALID_TSS, selector, external);
    if (!(found.upper & DESC_PRESENT))
        task_fault(core, number == SEG_SS ? STACK_FAULT : NOT_PRESENT, selector, external);
    if (!(found.upper & DESC_ACCESSED)) {
        found.upper |= DESC_ACCESSED;
        processor_store(core, found.at + 4, found.upper, 4);
    }
    segment_load(core, number, selector, descriptor_base(&found), descriptor_limit(&found), found.upper);
}

static void load_segments(Core *core, const Task *task, bool external)
{
    static const uint8_t order[] = {SEG_CS, SEG_SS, SEG_ES, SEG_DS, SEG_FS, SEG_GS};
    load_ldt(core, task->ldt, external);
    if (!(task->eflags & EFLAGS_VM))
        for (size_t i = 0; i < Py_ARRAY_LENGTH(order); i++)
            load_segment(core, order[i], task->segments[order[i]], task->segments[SEG_CS] & 3, external);
    if (task->eip > FIELD(uint32_t, core->env, ENV_SEGS + SEG_CS * SEG_SIZE + SEG_LIMIT))
        task_fault(core, GENERAL_PROTECTION, 0, external);
}

static void clear_local_breakpoints(Core *core)
{
    uint32_t dr7 = FIELD(uint32_t, core->env, ENV_DR + 8 * 7);
    if (dr7 & DR7_LOCAL) {
        lib.update_dr7(core->env, dr7 & ~(uint32_t)DR7_LOCAL);
        debug_registers_changed(core);
    }
}

/* ---- the switch -------------------------------------------------------------------------------------------------- */

bool task_switch(Core *core, uint32_t selector, const Descriptor *tss, SwitchKind kind, uint32_t return_eip,
                 bool external)
{
    void *env = core->env, *tr = tr_of(core);
    const Layout *layout = layout_of(tss->upper);
    uint64_t base = descriptor_base(tss);
    bool nests = kind == SWITCH_BY_CALL;
    if (descriptor_limit(tss) < (layout == &layout_32 ? TSS_LAST_32 : TSS_LAST_16))
        task_fault(core, INVALID_TSS, selector, external);

    Task task;
    uint32_t old_selector = FIELD(uint32_t, tr, SEG_SELECTOR);
    uint64_t gdt = FIELD(uint64_t, env, ENV_GDT + SEG_BASE);
    read_task(core, base, layout, &task);
    probe(core, FIELD(uint64_t, tr, SEG_BASE), layout_of(FIELD(uint32_t, tr, SEG_FLAGS))->last_saved + 1);
    probe(core, gdt + (old_selector & ~7u), 8);
    probe(core, gdt + (selector & ~7u), 8);
    if (nests)
        probe(core, base, 2);

    uint32_t eflags = eflags_of(core);
    if (kind == SWITCH_BY_IRET)
        eflags &= ~(uint32_t)EFLAGS_NT;
    if (!nests)
        set_busy(core, old_selector, false);
    save_task(core, return_eip, eflags);
    if (kind != SWITCH_BY_IRET)
        set_busy(core, selector, true);
    if (nests) {
        processor_store(core, base, old_selector, 2);
        task.eflags |= EFLAGS_NT;
    }

    set_current_block(core, NULL); /* the instruction has retired; what comes is at the new task's EIP */
    FIELD(uint32_t, env, ENV_HFLAGS) &= ~(uint32_t)HF_INHIBIT_IRQ;
    FIELD(uint64_t, env, ENV_CR) |= CR0_TS;
    FIELD(uint32_t, env, ENV_HFLAGS) |= HF_TS;
    FIELD(uint32_t, tr, SEG_SELECTOR) = selector;
    FIELD(uint64_t, tr, SEG_BASE) = base;
    FIELD(uint32_t, tr, SEG_LIMIT) = descriptor_limit(tss);
    FIELD(uint32_t, tr, SEG_FLAGS) = tss->upper & ~(uint32_t)DESC_TSS_BUSY; /* QEMU aborts at a busy one */
    if (layout == &layout_32 && FIELD(uint64_t, env, ENV_CR) & CR0_PG)
        load_cr3(core, task.cr3);
    clear_local_breakpoints(core);
    load_registers(core, &task);
    if (core->timing)
        timing_task_entered(core);
    load_segments(core, &task, external);
    limits_changed(env);
    return task.trap;
}

void task_fault(Core *core, int vector, uint32_t selector, bool external)
{
    lib.raise_exception_err_ra(core->env, vector, (int)((selector & ~3u) | external), 0);
}

void task_trap(Core *core)
{
    FIELD(uint64_t, core->env, ENV_DR + 8 * 6) |= DR6_BT;
    lib.raise_exception_err_ra(core->env, DEBUG, 0, 0);
}
