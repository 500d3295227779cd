/* The guest's own watches: data breakpoints in DR0-DR3, which this release of QEMU has lost.  (Native mode only.)
 *
 *   DR7 bits 0-7     L0 G0 L1 G1 ...  enabled for this task, for all
 *       bit 13       GD               MOV to or from a debug register gives #DB, with DR6.BD
 *       bits 16-31   RW LEN           four bits for each: 1 is data writes, 3 data reads and writes; 1, 2, 8 or 4 bytes
 *   DR6 bits 0-3     B0-B3            which of them were hit
 *
 * #DB is a trap here: it comes behind the instruction, or behind the one that follows MOV SS and POP SS.  Instruction
 * and I/O breakpoints are QEMU's.
 *
 * Source: Intel SDM Vol. 3B, "Debug Registers", "Data Memory and I/O Breakpoint Exception Conditions", "General-Detect
 * Exception Condition"; Vol. 3A, "Masking Exceptions and Interrupts When Switching Stacks".
 */
#include "core.h"

enum { DR7_ENABLED = 3, DR7_FIRST_FIELD = 16, RW_WRITE = 1, RW_READ_WRITE = 3 };
enum { VECTOR_DEBUG = 1, DR7_GD = 1 << 13, DR6_BD = 1 << 13, DR6_HITS = 15 };

static uint32_t debug_register(const Core *core, int number) { return FIELD(uint32_t, core->env, ENV_DR + 8 * number); }

static Watch watch_of(const Core *core, int number)
{
    static const uint8_t bytes[] = {1, 2, 8, 4};
    uint32_t dr7 = debug_register(core, 7);
    uint32_t field = dr7 >> (DR7_FIRST_FIELD + 4 * number) & 15;
    uint32_t kind = field & 3, length = bytes[field >> 2];
    if (!(dr7 >> 2 * number & DR7_ENABLED) || (kind != RW_WRITE && kind != RW_READ_WRITE))
        return (Watch){0};
    uint64_t start = debug_register(core, number) & ~(length - 1);
    return (Watch){
        .start = start, .end = start + length, .kinds = kind == RW_WRITE ? WATCH_WRITE : WATCH_READ | WATCH_WRITE};
}

void debug_registers_changed(Core *core)
{
    bool changed = false;
    if (!core->native)
        return;
    for (int i = 0; i < DEBUG_REGISTERS; i++) {
        Watch *had = &core->seen.debug[i], has = watch_of(core, i);
        changed |= had->start != has.start || had->end != has.end || had->kinds != has.kinds;
        *had = has;
    }
    if (changed)
        watches_changed(core);
}

/* At a block start, and where an interrupt would be delivered. */
bool debug_trap_is_due(const Core *core) { return core->seen.debug_hits && !shadow_of_stack_switch(core); }

/* #DB is about to be delivered. */
void debug_trap_begins(Core *core)
{
    FIELD(uint64_t, core->env, ENV_DR + 8 * 6) |= core->seen.debug_hits; /* single step and data, in one */
    FIELD(uint64_t, core->env, ENV_DR + 8 * 7) &= ~(uint64_t)DR7_GD;     /* the handler may use the registers */
    core->seen.debug_hits = 0;
}

/* At a block start.  Does not return: the main loop delivers the exception. */
void debug_trap_raise(Core *core)
{
    uint64_t *dr6 = &FIELD(uint64_t, core->env, ENV_DR + 8 * 6);
    *dr6 = (*dr6 & ~(uint64_t)DR6_HITS) | core->seen.debug_hits;
    core->seen.debug_hits = 0;
    set_current_block(core, NULL);
    rearm(core);
    lib.raise_exception_err_ra(core->env, VECTOR_DEBUG, 0, 0);
}

/* MOV to or from a debug register. */
void debug_check_access(Core *core, uintptr_t ra)
{
    if (!(debug_register(core, 7) & DR7_GD))
        return;
    FIELD(uint64_t, core->env, ENV_DR + 8 * 6) |= DR6_BD;
    lib.raise_exception_err_ra(core->env, VECTOR_DEBUG, 0, ra);
}
